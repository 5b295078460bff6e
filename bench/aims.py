# SPDX-License-Identifier: BSD-3-Clause
"""Compare a record of `bench.compare` with the project's aims: `python -m bench.aims FILE.json`.

The aims were set for two cores with AVX-512 units of full width, on which products take half the
time of AVX2 while the overhead of a peer stays the same. Each cell has the measured value and, in
brackets, the required one and the one aimed at; it is bold where the required value is reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from operator import ge, le
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compare.table import TITLES, fraction, medians, ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["AIMS", "Aim", "main"]

Pair = tuple[float, float]  # required, aimed at
PEERS = ("torch", "jax", "sklearn", "numpy")
ADAM = 0.9  # the aims with Adam are this fraction of those with SGD, which the table has


@dataclass(frozen=True)
class Aim:
    """The aims of one network: each peer's time over fastnn's, and at most one further figure."""

    ratios: dict[str, Pair] = field(default_factory=dict)
    peak: Pair | None = None  # fraction of the peak of as many cores as fastnn used
    us: Pair | None = None  # microseconds of a step, at most
    rows: Pair | None = None  # rows per second, at least


AIMS = {
    "64-32-10": Aim(
        {"torch": (42, 55), "jax": (6.5, 9), "sklearn": (36, 48), "numpy": (8.5, 11)}, (0.45, 0.55)
    ),
    "17-64-64-6": Aim(
        {"torch": (20, 28), "jax": (5, 7), "sklearn": (21, 30), "numpy": (6.5, 9)}, (0.42, 0.6)
    ),
    "784-128-10": Aim(
        {"torch": (4.6, 6), "jax": (2.1, 2.8), "sklearn": (6.7, 8.5), "numpy": (2.9, 3.7)},
        (0.66, 0.8),
    ),
    "784-512-512-10": Aim(
        {"torch": (1.55, 1.9), "jax": (1.5, 1.9), "sklearn": (4.3, 5.2), "numpy": (2.4, 2.9)},
        (0.75, 0.88),
    ),
    "1024-4096-4096-10": Aim(
        {"torch": (1.06, 1.15), "jax": (2.1, 2.4), "numpy": (1.8, 2)}, (0.87, 0.93)
    ),
    "1444-512-256-128-64-1": Aim({"torch": (1.5, 2), "jax": (1.5, 2)}),
    "100-256-256-256-1": Aim({"torch": (3.3, 5), "jax": (2, 3)}),
    "4-32-16-4": Aim({"torch": (6, 10), "jax": (15, 25)}, us=(400, 250)),
    "28-300-300-300-300-300-1": Aim({"torch": (2.8, 3.8), "jax": (2, 2.7)}, rows=(1e5, 1.3e5)),
    "64-100-10": Aim({"torch": (8, 14), "jax": (4, 6.5)}),
    "4-64-64-2": Aim({"torch": (60, 100), "jax": (2.6, 4)}, us=(4, 2.5)),
    "2-1": Aim(rows=(1e6, 2e6)),
}


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.aims", description=__doc__)
    parser.add_argument("record", type=Path, help="of python -m bench.compare --json")
    record = json.loads(parser.parse_args(arguments).record.read_text(encoding="utf-8"))
    print(f"| network, batch, optimizer | {' | '.join(TITLES[p] for p in PEERS)} | besides |")
    print("|---|" + "---:|" * (len(PEERS) + 1))
    for case in record["cases"]:
        aim = AIMS.get("-".join(map(str, case["widths"])))
        if aim is not None:
            print(_row(case, aim))
    return 0


def _row(case: dict[str, Any], aim: Aim) -> str:
    found = ratios(case)
    share = ADAM if case["optimizer"] == "adam" and aim.peak else 1.0
    cells = []
    for peer in PEERS:
        goal = aim.ratios.get(peer)
        if peer not in found or goal is None:
            cells.append(f"{found[peer]:.3g}" if peer in found else "-")
        else:
            must, want = (share * value for value in goal)
            cells.append(_cell(found[peer], must, want, ge))
    cells.append(_besides(case, aim))
    return f"| {case['network']}, {case['batch']}, {case['optimizer']} | {' | '.join(cells)} |"


def _besides(case: dict[str, Any], aim: Aim) -> str:
    us = medians(case)["fastnn/auto"]
    if aim.peak and case["optimizer"] == "sgd":
        share = fraction(case)
        return "-" if share is None else f"peak {_cell(share, *aim.peak, ge)}"
    if aim.us:
        return f"us {_cell(us, *aim.us, le)}"
    if aim.rows:
        return f"rows/s {_cell(case['batch'] / us * 1e6, *aim.rows, ge)}"
    return "-"


def _cell(got: float, must: float, want: float, reached: Callable[[float, float], bool]) -> str:
    text = f"{got:.3g}" if got < 1000 else f"{got / 1e3:.4g}k"
    if reached(got, must):
        text = f"**{text}**"
    goals = [f"{goal:.3g}" if goal < 1000 else f"{goal / 1e3:.4g}k" for goal in (must, want)]
    return f"{text} ({', '.join(goals)})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
