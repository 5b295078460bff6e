# SPDX-License-Identifier: BSD-3-Clause
"""Functions that the programs of this folder share: turns, timing, tables, records."""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["alternate", "best", "finish", "parser", "per_call", "say", "table"]

# Seconds between turns: threads of BLAS and OpenMP spin for a while after a call, and should not
# disturb the next turn.
PAUSE = 0.05


def per_call(call: Callable[[], object], seconds: float) -> float:
    """Return microseconds per call: the mean over about `seconds`, after a warm-up."""
    calls, spent = 1, _clock(call, 1)
    while spent < seconds / 8:
        calls *= 4
        spent = _clock(call, calls)
    calls = max(1, round(calls * seconds / spent))
    gc.collect()
    return _clock(call, calls) / calls * 1e6


def _clock(call: Callable[[], object], calls: int) -> float:
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
    """Write the record as JSON with the build and the machine; without a file do nothing."""
    if file is None:
        return
    from fastnn import build_info

    machine = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}
    record = {"build": build_info(), "machine": machine, **record}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Print a line about the progress on stderr."""
    print(text, file=sys.stderr, flush=True)
