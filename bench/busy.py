# SPDX-License-Identifier: BSD-3-Clause
"""What a busy machine does: `python bench/busy.py [network ...] [--peers ...] [--only calls]`.

First single calls, beside spinning processes and beside one that trains on two threads
(`bench/busy_calls.py`), then steps of training. One spinning process per processor is let go and
stopped in turn; a step is timed beside both. Ways to train: fastnn's fit and train_step at
n_threads=None, and peers with the threads that they take by themselves. Each has its own process;
they take turns, and medians count.
The networks are those of `bench.compare`, each with its first optimizer there.
The aim: at most three times the quiet step for fastnn. (Fair shares alone cost a factor of two.)
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

if not __package__:  # started by its path: Python looks for modules beside the file only
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
WIDE_ROUNDS = 3  # at most: its steps take seconds
MAX_STEPS = 200_000  # of one turn: beyond what half a second needs


def start(
    stack: ExitStack, peers: Sequence[str], threads: int
) -> tuple[dict[str, Child], dict[str, Any], dict[str, str]]:
    """One process for each way to train, versions, and why peers are left out."""
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
    """Return a quiet and a busy turn of one way; nothing if a peer fails."""
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
    """Return a row for each way that trains the network."""
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
    """Medians of the rounds, their ratio, and the rounds."""
    quiet, busy = (
        [turn["seconds"] / turn["steps"] * 1e6 for turn in turns]
        for turns in zip(*pairs, strict=True)
    )
    one, other = statistics.median(quiet), statistics.median(busy)
    return {
        "quiet_us": one,
        "busy_us": other,
        "factor": other / one,
        "threads": sorted({turn["threads"] for _, turn in pairs}),  # beside the spinners
        "rounds": {"quiet_us": quiet, "busy_us": busy, "turns": pairs},
    }


def line(found: dict[str, Any]) -> str:
    """One row as it is printed."""
    names = f"{found['network']:<20}{found['batch']:>6} {found['way']:<13}"
    times = f"{found['quiet_us']:>11.1f}{found['busy_us']:>11.1f}{found['factor']:>8.2f}"
    return f"{names}{times}  {','.join(map(str, found['threads']))}"


def arguments() -> tuple[argparse.Namespace, list[Case]]:
    """Return the options and the networks that were asked for."""
    known: dict[str, Case] = {}
    for case in cases():  # each network once, as its first row has it
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
        spinners = stack.enter_context(make_spinners())  # the first to end
        names = f"{'network':<20}{'batch':>6} {'way':<13}"
        print(f"{names}{'quiet us':>11}{'busy us':>11}{'factor':>8}  threads", flush=True)
        for case in chosen:
            wide = (case.widths, case.batch) == _bench.WIDE
            rounds = min(given.rounds, WIDE_ROUNDS) if wide else given.rounds
            for found in measure(case, children, spinners, rounds, given.seconds):
                rows.append(found)
                print(line(found), flush=True)
            # Anew after each network, so that nothing is lost.
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
    """Print the tables; return 1 when anything of fastnn is slower than the limit."""
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
