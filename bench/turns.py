# SPDX-License-Identifier: BSD-3-Clause
"""Functions that the programs of this folder share: turns, timing, tables, records."""

from __future__ import annotations

import argparse
import gc
import json
import os
import shlex
import statistics
import sys
import time
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["alternate", "best", "clock", "finish", "parser", "per_call", "say", "shown", "table"]

# Seconds between turns: threads of BLAS and OpenMP spin for a while after a call, and should not
# disturb the next turn.
PAUSE = 0.05
# Packages whose versions belong to a record if they were imported.
PEERS = ("sklearn", "scipy", "torch", "jax")


def per_call(call: Callable[[], object], seconds: float) -> float:
    """Return microseconds per call: the mean over about `seconds`, after a warm-up."""
    calls, spent = 1, clock(call, 1)
    while spent < seconds / 8:
        calls *= 4
        spent = clock(call, calls)
    calls = max(1, round(calls * seconds / spent))
    gc.collect()
    return clock(call, calls) / calls * 1e6


def clock(call: Callable[[], object], calls: int) -> float:
    """Return the seconds of so many calls."""
    start = perf_counter()
    for _ in range(calls):
        call()
    return perf_counter() - start


def alternate(
    turns: Mapping[str, Callable[[], Any]], rounds: int, pause: float = PAUSE
) -> dict[str, list[Any]]:
    """Call all functions `rounds` times in turns, in an order that changes from round to round."""
    names = list(turns)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % max(1, len(names))
        order = names[shift:] + names[:shift]
        for name in order if number % 2 == 0 else order[::-1]:
            time.sleep(pause)
            found[name].append(turns[name]())
    return found


def best(times: Mapping[str, Sequence[float]]) -> tuple[str, float]:
    """Return the name with the smallest median, and that median."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    name = min(medians, key=medians.__getitem__)
    return name, medians[name]


def shown(seconds: float) -> str:
    """Return seconds with their unit: us, ms or s, and negative ones with their sign."""
    size = abs(seconds)
    if size < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.1f} ms" if size < 1 else f"{seconds:.2f} s"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table: the first column aligned left, the others right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def parser(doc: str | None, rounds: int, seconds: float | None = None) -> argparse.ArgumentParser:
    """Return an argument parser with the options that all programs have."""
    made = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    made.add_argument("--rounds", type=int, default=rounds, metavar="N", help=f"{rounds}")
    if seconds is not None:
        made.add_argument("--seconds", type=float, default=seconds, help="of one turn")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all rounds there")
    return made


def finish(file: Path | None, **record: Any) -> None:
    """Write the record as JSON with the command, the build, the machine and the versions of peers.

    Without a file nothing is written.
    """
    if file is None:
        return
    from fastnn import build_info

    machine = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    peers = {name: sys.modules[name].__version__ for name in PEERS if name in sys.modules}
    conditions = {"command": _command(), "date": time.strftime("%Y-%m-%d"), "peers": peers}
    record = {"build": build_info(), "machine": machine, **conditions, **record}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _command() -> str:
    """Return the command that runs now, without the file that it writes."""
    words, given = [], iter(sys.argv[1:])
    for word in given:
        if word == "--json":
            next(given)
        elif not word.startswith("--json="):
            words.append(shlex.quote(word))
    spec = sys.modules["__main__"].__spec__
    name = f"-m {spec.name}" if spec else shlex.quote(sys.argv[0])
    return " ".join(["python", name, *words])


def say(text: str) -> None:
    """Print a line about the progress on stderr."""
    print(text, file=sys.stderr, flush=True)
