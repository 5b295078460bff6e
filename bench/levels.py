# SPDX-License-Identifier: BSD-3-Clause
"""Compare the instruction-set levels: `python -m bench.levels`, with all levels installed.

Times training steps of the benchmark's networks, with one process for each level that was built and
that this processor can run (FASTNN_ISA). The processes take turns. The table shows microseconds,
and the time of each level divided by that of the next better one.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from itertools import pairwise
from typing import Any

from bench.compare.child import Child
from bench.compare.networks import cases
from bench.turns import alternate, finish, parser, say, table

from fastnn import _bench, _core

NETWORKS = [widths for widths, _ in [*_bench.NETWORKS, _bench.WIDE]]
PAYS = 1.02  # a level pays if the next lower one takes this many times as long, in the median


def measure(levels: list[str], dtype: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return microseconds per step by case and level."""
    children = {level: Child("fastnn", 0, environment={"FASTNN_ISA": level}) for level in levels}
    rows = []
    try:
        for level, child in children.items():
            loaded = child.ask("versions")["isa"]
            if loaded != level:
                raise SystemExit(f"FASTNN_ISA={level} loaded {loaded}")
        for case in cases():
            if case.widths not in NETWORKS:
                continue
            values = {**case.to_json(), "dtype": dtype}
            for child in children.values():
                child.ask("load", case=values)
            say(f"{case.network}, {case.batch}, {case.optimizer}")
            turns = {
                level: partial(child.ask, "turn", seconds=seconds)
                for level, child in children.items()
            }
            found = alternate(turns, rounds)
            us = {
                level: [1e6 * turn["seconds"] / turn["steps"] for turn in many]
                for level, many in found.items()
            }
            rows.append(
                {
                    "network": case.network,
                    "batch": case.batch,
                    "optimizer": case.optimizer,
                    "us": us,
                    "threads": {level: many[-1]["threads"] for level, many in found.items()},
                }
            )
    finally:
        for child in children.values():
            child.close()
    return rows


def show(levels: list[str], rows: list[dict[str, Any]]) -> None:
    """Print the table, and whether each level pays; `levels` begins with the best."""
    steps = list(pairwise(levels))
    lines = []
    ratios: dict[tuple[str, str], list[float]] = {step: [] for step in steps}
    for row in rows:
        us = {level: statistics.median(row["us"][level]) for level in levels}
        cells = [f"{us[level]:.1f} ({row['threads'][level]})" for level in levels]
        for better, worse in steps:
            # Ratios within a round: a disturbance of the machine affects both times.
            pairs = zip(row["us"][worse], row["us"][better], strict=True)
            ratio = statistics.median(a / b for a, b in pairs)
            ratios[better, worse].append(ratio)
            cells.append(f"{ratio:.2f}")
        lines.append([f"{row['network']}, {row['batch']}, {row['optimizer']}", *cells])
    head = [f"{level} us (threads)" for level in levels]
    print(table(["network", *head, *(f"{b} / {a}" for a, b in steps)], lines))
    print()
    for (better, worse), found in ratios.items():
        middle = statistics.median(found)
        word = "pays" if middle >= PAYS else "does not pay"
        print(f"{better} {word}: {worse} takes {middle:.2f} times as long in the median row.")


def main() -> int:
    """Print the table; return 2 if there is nothing to compare."""
    made = parser(__doc__, rounds=7, seconds=0.15)
    made.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    given = made.parse_args()
    levels = [level for level in _core.built if level in _core.runnable]
    if len(levels) < 2:
        here = f"built: {', '.join(_core.built)}; runs here: {', '.join(_core.runnable)}"
        print(f"at least two levels are needed. {here}", file=sys.stderr)
        return 2
    rows = measure(levels, given.dtype, given.rounds, given.seconds)
    show(levels, rows)
    finish(given.json, dtype=given.dtype, levels=levels, rows=rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
