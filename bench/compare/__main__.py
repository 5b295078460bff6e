# SPDX-License-Identifier: BSD-3-Clause
"""Measure with `python -m bench.compare`; `... table FILE.json` writes the result to the docs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .case import Case
    from .rounds import Settings

ROOT = Path(__file__).resolve().parents[2]
PEERS = ["fastnn", "numpy", "torch", "jax", "sklearn", "keras"]
OPTIONAL = ["torch_compile"]


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 1 if the losses of a peer differ from fastnn's."""
    if arguments[:1] == ["table"]:
        return _table(arguments[1:])
    given = _parser().parse_args(arguments)
    from .networks import cases, quick_cases
    from .rounds import run
    from .table import markdown

    chosen = [
        replace(case, dtype=given.dtype)
        for case in cases()
        if not given.only or case.network in given.only
    ]
    if given.quick:
        chosen = quick_cases(chosen)
    if not chosen:
        known = ", ".join(dict.fromkeys(case.network for case in cases()))
        print(f"no such network; known: {known}", file=sys.stderr)
        return 2
    record = run(_settings(given, chosen), given.json)
    print(markdown(record), end="")
    skipped = [reason for case in record["cases"] for reason in case["skipped"].values()]
    return 1 if any("losses differ" in reason for reason in skipped) else 0


def _settings(given: argparse.Namespace, chosen: list[Case]) -> Settings:
    from .rounds import Settings

    cores = len(os.sched_getaffinity(0))
    return Settings(
        cases=chosen,
        # fastnn always takes part and comes first: ratios and losses are compared with it.
        peers=["fastnn", *(peer for peer in given.peers if peer != "fastnn")],
        threads=sorted({min(number, cores) for number in given.threads}),
        rounds=given.rounds or (3 if given.quick else 7),
        seconds=0.03 if given.quick else 0.25,
        dtype=given.dtype,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description="Time training steps of fastnn and its peers in turns. "
        "`table FILE.json` writes the result into docs/performance.md.",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--only", nargs="+", metavar="NETWORK", help="such as 64-32-10")
    parser.add_argument(
        "--peers",
        nargs="+",
        choices=[*PEERS, *OPTIONAL],
        default=PEERS,
        metavar="PEER",
        help=f"of {', '.join(PEERS)}; {', '.join(OPTIONAL)} only if named",
    )
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--rounds", type=int, metavar="N", help="7, with --quick 3")
    parser.add_argument("--quick", action="store_true", help="small networks, short turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds there")
    return parser


def _table(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.compare table")
    parser.add_argument("file", type=Path)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--no-picture", action="store_true")
    given = parser.parse_args(arguments)
    from .page import write

    record = json.loads(given.file.read_text(encoding="utf-8"))
    try:
        drawn = write(record, given.page, not given.no_picture)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote {given.page}{f' and {drawn}' if drawn else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
