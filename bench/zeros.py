# SPDX-License-Identifier: BSD-3-Clause
"""Factors many of whose numbers are zero beside factors without zeros: `python -m bench.zeros`.

Prints the milliseconds of a training step of a fit with batches of 200 rows (Adam), for random
rows, for scikit-learn's digits and, if FASTNN_DATA names a folder, for MNIST; and for networks with
hidden layers, on random rows without zeros. The factors without zeros have a small number in the
place of each zero: the rows themselves, or the outputs of a LeakyReLU in the place of a ReLU. So
nothing is skipped.
"""

from __future__ import annotations

import os
import statistics
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.turns import alternate, finish, parser, say, table
from sklearn.datasets import load_digits

from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "markdown"]

ROWS, BATCH = 2000, 200
COLUMNS, UNITS = (64, 784), (64, 100, 512)
HIDDEN = ((50, 50), (100, 100), (64, 32), (512, 512), (1024, 1024))
SHARES = (0.02, 0.1, 0.2, 0.3, 0.5)
SMALL = 1e-20


def step(
    x: Any, units: tuple[int, ...], threads: int, seconds: float, activation: Any = nn.ReLU
) -> Callable[[], float]:
    """Return a function that fits for about so long and returns the seconds of a step."""
    y = np.arange(len(x)) % 5
    layers: list[Any] = []
    for inputs, outputs in pairwise((x.shape[1], *units)):
        layers += [nn.Linear(inputs, outputs), activation()]
    model = nn.Sequential(*layers, nn.Linear(units[-1], 5), dtype=x.dtype.name)
    model.compile(optim.Adam(), "cross_entropy")

    def epochs(count: int) -> float:
        start = perf_counter()
        model.fit(x, y, epochs=count, batch_size=BATCH, n_threads=threads, verbose=0)
        return (perf_counter() - start) / (count * len(x) // BATCH)

    count = max(1, round(seconds / (epochs(1) * len(x) / BATCH)))
    return lambda: epochs(count)


def sets(dtype: str) -> dict[str, Any]:
    """Return rows by what they are."""
    rng = np.random.default_rng(0)
    found = {}
    for columns in COLUMNS:
        for share in SHARES:
            kept = rng.random((ROWS, columns)) < share
            rows = np.where(kept, rng.standard_normal((ROWS, columns)), 0)
            found[described(f"{columns} columns", rows)] = rows.astype(dtype)
    real = {"digits": load_digits(return_X_y=True)[0]}
    if "FASTNN_DATA" in os.environ:
        from bench import mnist

        real["MNIST"] = mnist.load("train")[0][:ROWS] / np.float32(255)
    for name, rows in real.items():
        found[described(name, rows)] = rows.astype(dtype)
    return found


def described(name: str, rows: Any) -> str:
    """Return the name with the share of numbers that are not zero."""
    return f"{name}, {(rows != 0).mean():.0%}"


def leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(SMALL)


def main() -> None:
    """Measure and print."""
    made = parser(__doc__, rounds=5, seconds=0.05)
    made.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    made.add_argument("--threads", type=int, default=1)
    given = made.parse_args()
    record = {}
    for name, rows in sets(given.dtype).items():
        for units in UNITS:
            kinds = {"zeros": rows, "none": np.where(rows == 0, rows.dtype.type(SMALL), rows)}
            turns = {k: step(x, (units,), given.threads, given.seconds) for k, x in kinds.items()}
            record[f"{name} -> {units}"] = alternate(turns, given.rounds)
            say(f"{name} -> {units}")
    rows = np.random.default_rng(0).standard_normal((ROWS, COLUMNS[0])).astype(given.dtype)
    for hidden in HIDDEN:
        kinds = {"zeros": nn.ReLU, "none": leaky}
        turns = {k: step(rows, hidden, given.threads, given.seconds, a) for k, a in kinds.items()}
        name = "ReLU, 64 -> " + " -> ".join(map(str, hidden))
        record[name] = alternate(turns, given.rounds)
        say(name)
    print(markdown(record))
    finish(given.json, zeros=record)


def markdown(record: dict[str, Any]) -> str:
    """Return the table of a record, in milliseconds."""
    lines = []
    for name, times in record.items():
        ours, other = (statistics.median(times[kind]) for kind in ("zeros", "none"))
        lines.append([name, f"{ours * 1e3:.3f}", f"{other * 1e3:.3f}", f"{ours / other:.2f}"])
    head = [
        "rows, not zero -> units",
        "with zeros",
        "without",
        "share of the time",
    ]
    return table(head, lines)


if __name__ == "__main__":
    main()
