# SPDX-License-Identifier: BSD-3-Clause
"""Sparse X beside the same rows as an array: `python -m bench.sparse`.

Prints the milliseconds of a training step on 200 rows (Adam, float32) and of predicting them, for
first layers of several widths and shares of stored cells. Beyond a share the core gathers sparse
rows as dense ones, so that both columns then have the same products.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.turns import alternate, finish, parser, per_call, say, table
from scipy import sparse

from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "markdown"]

ROWS = 200
COLUMNS = (64, 1000, 10_000)
UNITS = (16, 100, 512)
SHARES = (0.002, 0.01, 0.03, 0.1, 0.3)


def step(x: Any, units: int, dtype: str) -> Callable[[], Any]:
    """Return a training step on x."""
    model = nn.Sequential(nn.Linear(x.shape[1], units), nn.ReLU(), nn.Linear(units, 5), dtype=dtype)
    model.compile(optim.Adam(), "cross_entropy")
    y = np.arange(ROWS) % 5
    return lambda: model.train_step(x, y)


def prediction(x: Any, units: int, dtype: str) -> Callable[[], Any]:
    """Return a call of predict on x."""
    model = nn.Sequential(nn.Linear(x.shape[1], units), nn.ReLU(), nn.Linear(units, 5), dtype=dtype)
    return lambda: model.predict(x)


def main() -> None:
    """Measure and print."""
    made = parser(__doc__, rounds=3, seconds=0.05)
    made.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    made.add_argument("--columns", type=int, nargs="*", default=COLUMNS)
    given = made.parse_args()
    rng = np.random.default_rng(0)
    record = {}
    for columns in given.columns:
        for share in SHARES:
            csr = sparse.random_array((ROWS, columns), density=share, rng=rng, format="csr")
            csr = csr.astype(given.dtype)
            rows = {"sparse": csr, "dense": csr.toarray()}
            for units in UNITS:
                name = f"{columns} -> {units}, {share:.1%}"
                record[name] = {}
                for what, make in (("step", step), ("predict", prediction)):
                    calls = {kind: make(x, units, given.dtype) for kind, x in rows.items()}
                    turns = {
                        kind: lambda call=call: per_call(call, given.seconds)
                        for kind, call in calls.items()
                    }
                    record[name][what] = alternate(turns, given.rounds)
                say(name)
    print(markdown(record))
    finish(given.json, sparse=record)


def markdown(record: dict[str, Any]) -> str:
    """Return the table of a record, in milliseconds."""
    lines = []
    for name, calls in record.items():
        line = [name]
        for times in calls.values():
            ours, other = (statistics.median(times[kind]) for kind in ("sparse", "dense"))
            line += [f"{ours / 1e3:.3f}", f"{other / 1e3:.3f}", f"{other / ours:.1f}x"]
        lines.append(line)
    head = ["columns -> units, stored", "step, sparse", "dense", "", "predict, sparse", "dense", ""]
    return table(head, lines)


if __name__ == "__main__":
    main()
