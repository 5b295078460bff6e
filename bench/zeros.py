# SPDX-License-Identifier: BSD-3-Clause
"""Rows many of whose numbers are zero beside rows without zeros: `python -m bench.zeros`.

Prints the milliseconds of a training step of a fit with batches of 200 rows (Adam), for random
rows, for scikit-learn's digits and, if FASTNN_DATA names a folder, for MNIST. The rows without
zeros are the same with a small number in the place of each zero, so that fit skips nothing.
"""

from __future__ import annotations

import os
import statistics
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
SHARES = (0.02, 0.1, 0.2, 0.3, 0.5)
SMALL = 1e-20


def step(x: Any, units: int, threads: int, seconds: float) -> Callable[[], float]:
    """Return a function that fits for about so long and returns the seconds of a step."""
    y = np.arange(len(x)) % 5
    model = nn.Sequential(
        nn.Linear(x.shape[1], units), nn.ReLU(), nn.Linear(units, 5), dtype=x.dtype.name
    )
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
    """Return the name with the share of numbers that are not zero, and of columns of three rows."""
    there = rows != 0
    threes = there[: len(rows) // 3 * 3].reshape(-1, 3, rows.shape[1]).any(axis=1)
    return f"{name}, {there.mean():.0%} ({threes.mean():.0%})"


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
            turns = {k: step(x, units, given.threads, given.seconds) for k, x in kinds.items()}
            record[f"{name} -> {units}"] = alternate(turns, given.rounds)
            say(f"{name} -> {units}")
    print(markdown(record))
    finish(given.json, zeros=record)


def markdown(record: dict[str, Any]) -> str:
    """Return the table of a record, in milliseconds."""
    lines = []
    for name, times in record.items():
        ours, other = (statistics.median(times[kind]) for kind in ("zeros", "none"))
        lines.append([name, f"{ours * 1e3:.3f}", f"{other * 1e3:.3f}", f"{ours / other:.2f}"])
    head = [
        "rows, not zero (in one of three) -> units",
        "with zeros",
        "without",
        "share of the time",
    ]
    return table(head, lines)


if __name__ == "__main__":
    main()
