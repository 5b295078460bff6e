# SPDX-License-Identifier: BSD-3-Clause
"""What a busy machine does to a training step: `python bench/busy.py [network ...] [--peers ...]`.

One spinning process per processor is let go and stopped in turn; a step is timed beside both. Ways
to train: fastnn's fit and train_step at n_threads=None, and peers with the threads that they take
by themselves. Each has its own process; they take turns, and medians count.
The networks are those of `bench.compare`, each with its first optimizer there.
The aim: at most three times the quiet step for fastnn. (Fair shares alone cost a factor of two.)
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if not __package__:  # started by its path: Python looks for modules beside the file only
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.compare.__main__ import OPTIONAL, PEERS
from bench.compare.child import Child, ChildError
from bench.compare.networks import cases
from bench.turns import alternate, finish, parser, say

from fastnn import _bench

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bench.compare.case import Case

WORKER = "bench.busy_worker"
OWN = ("fit", "train_step")
OTHERS = [peer for peer in [*PEERS, *OPTIONAL] if peer != "fastnn"]
LIMIT = 3.0
WIDE_ROUNDS = 3  # at most: its steps take seconds
MAX_STEPS = 200_000  # of one turn: beyond what half a second needs
# A spinner dies with the benchmark however that ends (1 is PR_SET_PDEATHSIG), even stopped.
# Ctrl-C is for the benchmark alone. The empty line says that it spins.
SPIN = """
import ctypes, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
print(flush=True)
while True: pass
"""


class Spinners:
    """A process per processor that wants all of it, while they are let go."""

    def __enter__(self) -> Self:
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            for _ in os.sched_getaffinity(0):
                # Of the same session: schedulers may share processors out by session first.
                spinner = subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE)
                self.processes.append(spinner)
                assert spinner.stdout is not None
                spinner.stdout.readline()
                spinner.send_signal(signal.SIGSTOP)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()

    @contextmanager
    def spinning(self) -> Iterator[None]:
        """Let them go for a while."""
        try:
            self._send(signal.SIGCONT)
            yield
        finally:
            self._send(signal.SIGSTOP)

    def _send(self, number: int) -> None:
        for process in self.processes:
            process.send_signal(number)
        time.sleep(0.05)


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


def pair(child: Child, spinners: Spinners, seconds: float) -> list[dict[str, Any]] | None:
    """Return a quiet and a busy turn of one way; nothing if a peer fails."""
    try:
        quiet = child.ask("turn", seconds=seconds)
        with spinners.spinning():
            return [quiet, child.ask("turn", seconds=seconds)]
    except ChildError as error:
        if child.peer in OWN:
            raise
        say(f"{child.peer}: {error}")
        return None


def measure(
    case: Case, children: dict[str, Child], spinners: Spinners, rounds: int, seconds: float
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
    made.add_argument("--threads", type=int, default=0, help="fastnn's n_threads; 0 is automatic")
    given = made.parse_args()
    unknown = [name for name in given.networks if name not in known]
    if unknown:
        made.error(f"no such network: {', '.join(unknown)}; known: {', '.join(known)}")
    return given, [known[name] for name in given.networks or known]


def main() -> int:
    """Print the table; return 1 when a step of fastnn is slower than the limit."""
    given, chosen = arguments()
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        children, versions, absent = start(stack, given.peers, given.threads)
        spinners = stack.enter_context(Spinners())  # the first to end
        names = f"{'network':<20}{'batch':>6} {'way':<13}"
        print(f"{names}{'quiet us':>11}{'busy us':>11}{'factor':>8}  threads", flush=True)
        for case in chosen:
            wide = (case.widths, case.batch) == _bench.WIDE
            rounds = min(given.rounds, WIDE_ROUNDS) if wide else given.rounds
            for found in measure(case, children, spinners, rounds, given.seconds):
                rows.append(found)
                print(line(found), flush=True)
            # Anew after each network, so that nothing is lost.
            finish(given.json, limit=LIMIT, peers=versions, absent=absent, rows=rows)
    worst = max((found for found in rows if found["way"] in OWN), key=lambda found: found["factor"])
    print(
        f"\n{len(os.sched_getaffinity(0))} cores and as many spinners; fastnn's largest factor "
        f"{worst['factor']:.2f} ({worst['network']}, {worst['way']}), at most {LIMIT:g}."
    )
    if absent:
        print(f"Left out: {', '.join(absent)}.")
    return int(worst["factor"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
