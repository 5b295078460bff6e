# SPDX-License-Identifier: BSD-3-Clause
"""How much other processes slow fastnn down: `python bench/busy.py [network ...] [options]`.

The first table times single calls, alone and beside other processes (`bench/busy_calls.py`). The
second times training steps, while one spinning process per processor is stopped ("quiet") and while
it runs ("busy"). The ways to train are fastnn's fit and train_step with n_threads=None, and the
peers with the number of threads that they choose themselves. Each way has a process of its own; the
processes take turns, and the median of the rounds is printed. The networks are those of
`bench.compare`, each with the first optimizer that it has there.

A busy step of fastnn should take at most three times as long as a quiet one. A factor of two is
the least that a fair scheduler gives, since each processor is shared by two processes.
"""

from __future__ import annotations

import os
import statistics
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # started as a file, so that Python searches only the directory of the file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.busy_calls import line as line_of_call
from bench.busy_calls import rows as rows_of_calls
from bench.compare.__main__ import OPTIONAL, PEERS
from bench.compare.child import Child, ChildError
from bench.compare.networks import cases
from bench.neighbours import spinners as make_spinners
from bench.neighbours import trainer
from bench.turns import alternate, finish, parser, say

from fastnn import _bench

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.compare.case import Case
    from bench.neighbours import Neighbours

WORKER = "bench.busy_worker"
OWN = ("fit", "train_step")
OTHERS = [peer for peer in [*PEERS, *OPTIONAL] if peer != "fastnn"]
LIMIT = 3.0
WIDE_ROUNDS = 3  # the most rounds of the wide network, whose steps take seconds
MAX_STEPS = 200_000  # the most steps of one turn: more than any network makes in half a second


def start(
    stack: ExitStack, peers: Sequence[str], threads: int
) -> tuple[dict[str, Child], dict[str, Any], dict[str, str]]:
    """Start a process for each way to train; return them, versions, and why others are absent."""
    children: dict[str, Child] = {}
    versions: dict[str, Any] = {}
    absent: dict[str, str] = {}
    for way in [*OWN, *peers]:
        child = Child(way, threads if way in OWN else 0, WORKER)
        stack.callback(child.close)
        try:
            versions[way] = child.ask("versions")
            children[way] = child
        except ChildError as error:
            if way in OWN:
                raise
            absent[way] = str(error)
            say(f"without {way}: {error}")
    return children, versions, absent


def pair(child: Child, spinners: Neighbours, seconds: float) -> list[dict[str, Any]] | None:
    """Return a quiet and a busy turn of one way, or None if a peer fails."""
    try:
        quiet = child.ask("turn", seconds=seconds)
        with spinners.awake():
            return [quiet, child.ask("turn", seconds=seconds)]
    except ChildError as error:
        if child.peer in OWN:
            raise
        say(f"{child.peer}: {error}")
        return None


def measure(
    case: Case, children: dict[str, Child], spinners: Neighbours, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Return a row of the table for each way that trains the network."""
    turns = {}
    for way, child in children.items():
        try:
            child.ask("load", case=case.to_json())
            turns[way] = partial(pair, child, spinners, seconds)
        except ChildError as error:
            if way in OWN:
                raise
            say(f"{case.network}, {case.batch} without {way}: {error}")
    found = alternate(turns, rounds)
    names = {"network": case.network, "batch": case.batch}
    return [{**names, "way": way, **row(pairs)} for way, pairs in found.items() if all(pairs)]


def row(pairs: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the medians of the rounds, their ratio, and all rounds."""
    quiet, busy = (
        [turn["seconds"] / turn["steps"] * 1e6 for turn in turns]
        for turns in zip(*pairs, strict=True)
    )
    one, other = statistics.median(quiet), statistics.median(busy)
    return {
        "quiet_us": one,
        "busy_us": other,
        "factor": other / one,
        "threads": sorted({turn["threads"] for _, turn in pairs}),  # in the busy turns
        "rounds": {"quiet_us": quiet, "busy_us": busy, "turns": pairs},
    }


def line(found: dict[str, Any]) -> str:
    """Return one row of the table as text."""
    names = f"{found['network']:<20}{found['batch']:>6} {found['way']:<13}"
    times = f"{found['quiet_us']:>11.1f}{found['busy_us']:>11.1f}{found['factor']:>8.2f}"
    return f"{names}{times}  {','.join(map(str, found['threads']))}"


def arguments() -> tuple[argparse.Namespace, list[Case]]:
    """Return the options and the networks that were asked for."""
    known: dict[str, Case] = {}
    for case in cases():  # each network once, with the settings of its first row
        known.setdefault(case.network, replace(case, max_steps=MAX_STEPS))
    made = parser(__doc__, rounds=5, seconds=0.5)
    made.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(known)}")
    made.add_argument(
        "--peers",
        nargs="*",
        choices=OTHERS,
        default=["torch", "numpy"],
        metavar="PEER",
        help=f"of {', '.join(OTHERS)}; torch and numpy by default; none: fastnn alone",
    )
    made.add_argument("--only", choices=("calls", "networks"), help="of the two tables")
    made.add_argument("--threads", type=int, default=0, help="fastnn's n_threads; 0 is automatic")
    given = made.parse_args()
    unknown = [name for name in given.networks if name not in known]
    if unknown:
        made.error(f"no such network: {', '.join(unknown)}; known: {', '.join(known)}")
    return given, [known[name] for name in given.networks or known]


def calls(rounds: int, seconds: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Print the table of single calls; return its rows and the worst one."""
    found: list[dict[str, Any]] = []
    print(f"{'call':<44}{'alone us':>10}{'spinners, median, mean':>25}{'training, ...':>25}")
    with make_spinners() as spinners, trainer() as training:
        for row_ in rows_of_calls({"spinners": spinners, "training": training}, rounds, seconds):
            found.append(row_)
            print(line_of_call(row_), flush=True)
    worst = max(found, key=lambda each: max(each["factor"].values()))
    print(f"largest factor {max(worst['factor'].values()):.2f} ({worst['call']})\n")
    return found, worst


def networks(
    given: argparse.Namespace, chosen: list[Case], record: dict[str, Any]
) -> dict[str, Any]:
    """Print the table of training steps; return the worst row of fastnn."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        children, versions, absent = start(stack, given.peers, given.threads)
        spinners = stack.enter_context(make_spinners())  # last, so that they are the first to end
        names = f"{'network':<20}{'batch':>6} {'way':<13}"
        print(f"{names}{'quiet us':>11}{'busy us':>11}{'factor':>8}  threads", flush=True)
        for case in chosen:
            wide = (case.widths, case.batch) == _bench.WIDE
            rounds = min(given.rounds, WIDE_ROUNDS) if wide else given.rounds
            for found in measure(case, children, spinners, rounds, given.seconds):
                rows.append(found)
                print(line(found), flush=True)
            # Written after each network, so that an interrupted run keeps its results.
            record |= {"peers": versions, "absent": absent, "rows": rows}
            finish(given.json, **record)
    worst = max((found for found in rows if found["way"] in OWN), key=lambda found: found["factor"])
    print(
        f"\n{len(os.sched_getaffinity(0))} cores and as many spinners; fastnn's largest factor "
        f"{worst['factor']:.2f} ({worst['network']}, {worst['way']}), at most {LIMIT:g}."
    )
    if absent:
        print(f"Left out: {', '.join(absent)}.")
    return worst


def main() -> int:
    """Print the tables; return 1 if a factor of fastnn exceeds the limit."""
    given, chosen = arguments()
    record: dict[str, Any] = {"limit": LIMIT}
    factors = [0.0]
    if given.only != "networks":
        record["calls"], worst = calls(given.rounds, given.seconds)
        factors += worst["factor"].values()
        finish(given.json, **record)
    if given.only != "calls":
        factors.append(networks(given, chosen, record)["factor"])
    return int(max(factors) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
