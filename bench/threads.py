# SPDX-License-Identifier: BSD-3-Clause
"""Compare the automatic choice of threads with one thread: `python -m bench.threads`.

Twelve sizes, from batches of one row up, are trained by fit with n_threads=None and with one thread
in turns. The ratio is the median over the rounds of the ratio of the two times in a round.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bench.compare.case import Case, data
from bench.turns import alternate, finish, parser, table

from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 1.03
SIZES = [
    ((2, 1), 1),
    ((4, 64, 64, 2), 1),
    ((784, 512, 512, 10), 1),
    ((17, 64, 64, 6), 4),
    ((64, 32, 10), 8),
    ((64, 32, 10), 32),
    ((17, 64, 64, 6), 64),
    ((64, 100, 10), 200),
    ((784, 128, 10), 16),
    ((784, 128, 10), 64),
    ((100, 256, 256, 1), 256),
    ((784, 512, 512, 10), 128),
]


def trainer(case: Case, n_threads: int | None, seconds: float) -> Callable[[], tuple[float, int]]:
    """Return a function that trains and returns microseconds per step and threads of the fit."""
    layers: list[Any] = []
    for a, b in zip(case.widths, case.widths[1:], strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    model.compile(optim.SGD(lr=case.lr), nn.MSELoss())
    x, y = data(case)

    def fit(epochs: int) -> float:
        start = perf_counter()
        model.fit(x, y, case.batch, epochs, shuffle=False, n_threads=n_threads)
        return perf_counter() - start

    def turn() -> tuple[float, int]:
        epochs, spent = 1, fit(1)
        while spent < seconds / 8:
            epochs *= 4
            spent = fit(epochs)
        epochs = max(1, round(epochs * seconds / spent))
        return fit(epochs) / (epochs * case.batches) * 1e6, model.threads_used

    return turn


def measure(widths: tuple[int, ...], batch: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Return the times of one size and the numbers of threads that were chosen."""
    case = Case(widths, batch, 16 if batch > 1 else 256, "sgd", 1e-4, loss="mse")
    turns = {"auto": trainer(case, None, seconds), "one": trainer(case, 1, seconds)}
    found = alternate(turns, rounds, pause=0.0)
    auto, one = ([us for us, _ in found[name]] for name in ("auto", "one"))
    return {
        "network": case.network,
        "batch": batch,
        "auto_us": auto,
        "one_us": one,
        "ratio": statistics.median(a / b for a, b in zip(auto, one, strict=True)),
        "threads": [threads for _, threads in found["auto"]],
    }


def choice(threads: list[int]) -> str:
    """Return how often each number of threads was chosen: "2", or "2 (6), 1 (3)"."""
    counted = Counter(threads).most_common()
    if len(counted) == 1:
        return str(counted[0][0])
    return ", ".join(f"{number} ({times})" for number, times in counted)


def main() -> int:
    """Print the table; return 1 if a ratio is above the limit."""
    given = parser(__doc__, rounds=9, seconds=0.15).parse_args()
    rows, lines = [], []
    for widths, batch in SIZES:
        row = measure(widths, batch, given.rounds, given.seconds)
        rows.append(row)
        times = [f"{statistics.median(row[name]):.2f}" for name in ("auto_us", "one_us")]
        lines.append([row["network"], batch, *times, f"{row['ratio']:.3f}", choice(row["threads"])])
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    head = ["network", "batch", "automatic us", "one thread us", "ratio", "chosen (rounds)"]
    print(table(head, lines))
    worst = max(rows, key=lambda row: row["ratio"])
    print(
        f"\n{len(os.sched_getaffinity(0))} cores; worst ratio {worst['ratio']:.3f} "
        f"({worst['network']}, {worst['batch']}), at most {LIMIT}."
    )
    finish(given.json, limit=LIMIT, rows=rows)
    return int(worst["ratio"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
