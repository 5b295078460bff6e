# SPDX-License-Identifier: BSD-3-Clause
"""Estimators beside scikit-learn's, in turns: `python -m bench.estimators`.

Prints three tables: the median seconds of both libraries and scikit-learn's time over ours; the
same search with one and with two jobs of ours; and what our estimators add to the core's training.
Both libraries may take all processors. Fits have two more columns: the time that their products
take at the measured peak of the cores that may be used, and scikit-learn's time over that, which no
library can exceed that computes all terms; `fit` skips those of zeros. With `--long` also searches,
sparse rows and, if FASTNN_DATA names a folder, California housing and MNIST until scikit-learn's
own rule ends the training. `--only` names a part of the names of the rows to measure, of the long
ones, too; `bench.page` puts the records of several runs together.
"""

from __future__ import annotations

import statistics
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.compare.peak import Peak
from bench.estimator_rows import MODULES, Case, Row, rows
from bench.turns import finish, parser, say, shown, table
from sklearn.exceptions import ConvergenceWarning

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TABLES", "main"]


def measured(row: Row, rounds: int) -> dict[str, Any]:
    """Return the record of a row."""
    case = row.make()
    times = case.measure(min(rounds, row.rounds))
    reached = row.aim.is_reached(*map(statistics.median, times.values()))
    record = {"times": times, "aim": row.aim.text, "reached": reached}
    if "fastnn" in case.flops:
        record["peak"] = at_the_peak(case)
    return record


def at_the_peak(case: Case) -> float | None:
    """Return the seconds that the products of our fit take at the peak of all cores."""
    with tempfile.TemporaryDirectory() as folder:
        peak = Peak(case.dtype, Path(folder))
        # The threads of a measurement may share a core; those of one of several do not.
        speeds = [speed for _ in range(5) for speed in peak.measure(0.1).values()]
    return case.flops["fastnn"] / max(speeds) if speeds else None


def main() -> int:
    """Measure and print, and return 1 if a row misses its aim."""
    options = parser(__doc__, rounds=5, seconds=0.2)
    options.add_argument("--long", action="store_true", help="also what takes minutes")
    options.add_argument("--only", default="", metavar="WORD", help="rows with this in their name")
    given = options.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    known = rows(given.seconds, long=given.long or bool(given.only))
    record: dict[str, dict[str, Any]] = {}
    for name, row in known.items():
        if given.only in name:
            record.setdefault(row.table, {})[name] = measured(row, given.rounds)
            say(" | ".join(line(row.table, name, record[row.table][name])))
    if not record:
        raise SystemExit(
            f"--only: no name has {given.only!r}; expected a part of one of {[*known]}"
        )
    for kind, found in record.items():
        print(TABLES[kind](found), end="\n\n")
    finish(given.json, **record)
    return int(not all(entry["reached"] for found in record.values() for entry in found.values()))


def line(kind: str, name: str, entry: dict[str, Any]) -> list[str]:
    """Return the cells of a row of the table `kind`."""
    first, second = map(statistics.median, entry["times"].values())
    compared = {
        "estimators": f"{first / second:.1f}x",
        "estimator_jobs": f"{first / second:.2f}x",
        "estimator_overhead": shown(first - second),
    }
    aim = entry["aim"] if entry["reached"] else f"{entry['aim']}: missed"
    cells = [name, shown(first), shown(second), compared[kind], aim]
    if kind != "estimators":
        return cells
    bound = entry.get("peak")
    return [*cells, *(("", "") if bound is None else (shown(bound), f"{first / bound:.1f}x"))]


HEADS = {
    "estimators": ["", *MODULES, "ratio", "aim", "at the peak", "largest ratio"],
    "estimator_jobs": ["search", "n_jobs=1", "n_jobs=2", "ratio", "aim"],
    "estimator_overhead": ["", "whole", "the core's training", "more", "aim"],
}


def markdown(kind: str, record: dict[str, Any]) -> str:
    """Return the table `kind` of a record."""
    return table(HEADS[kind], [line(kind, name, entry) for name, entry in record.items()])


# By the key of the record: the function that makes its table.
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    kind: partial(markdown, kind) for kind in HEADS
}


if __name__ == "__main__":
    raise SystemExit(main())
