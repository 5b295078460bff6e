# SPDX-License-Identifier: BSD-3-Clause
"""`python -m fastnn`: the commands demo, bench and info."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from . import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    given = _parser().parse_args(arguments)
    if given.command == "demo":
        from . import _demo

        return _demo.main(given.epochs, given.threads)
    if given.command == "bench":
        from . import _bench

        return _bench.main(
            dtype=given.dtype,
            quick=given.quick,
            full=given.full,
            n_threads=given.threads,
            json_file=given.json,
        )
    from .info import describe

    print(describe())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fastnn", description="Dense networks on CPUs.")
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train on handwritten digits, beside plain NumPy")
    demo.add_argument("--epochs", type=_positive, default=20, help="20 by default")
    bench = commands.add_parser("bench", help="time training steps against plain NumPy")
    bench.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    size = bench.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the two smallest networks, briefly")
    size.add_argument("--full", action="store_true", help="also 1024-4096-4096-10 (minutes)")
    bench.add_argument("--json", metavar="FILE", help="write all rounds there")
    for command in (demo, bench):
        command.add_argument(
            "--threads", type=_positive, default=0, metavar="N", help="automatic by default"
        )
    commands.add_parser("info", help="versions, instruction set, threads and why that many")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


if __name__ == "__main__":
    try:
        status = main()
    except BrokenPipeError:  # the reader of the output has ended, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
