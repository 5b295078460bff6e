# SPDX-License-Identifier: BSD-3-Clause
"""`python -m fastnn`: demo, bench and info, and show, export and predict for model files."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

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
    if given.command in ("show", "export", "predict"):
        from . import _model_commands

        if given.command == "show":
            return _model_commands.show(given.file)
        if given.command == "export":
            return _model_commands.export(
                given.file, given.onnx, "raw" if given.raw else "predictions"
            )
        return _model_commands.predict(given.file, given.rows, given.out, given.threads)
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
    predict = _model_parsers(commands)
    for command in (demo, bench, predict):
        command.add_argument(
            "--threads", type=_positive, default=0, metavar="N", help="automatic by default"
        )
    commands.add_parser("info", help="versions, instruction set, threads and why that many")
    return parser


def _model_parsers(commands: Any) -> argparse.ArgumentParser:
    """Add the commands for model files and return the parser of predict."""
    show = commands.add_parser("show", help="layers, settings and history of a model file")
    export = commands.add_parser("export", help="write a model file as a model of ONNX")
    predict: argparse.ArgumentParser = commands.add_parser(
        "predict", help="predictions of a model file"
    )
    for command in (show, export, predict):
        command.add_argument("file", metavar="FILE", help="a file of Sequential.save")
    export.add_argument("onnx", metavar="OUT.onnx")
    export.add_argument("--raw", action="store_true", help="without the link of the loss")
    predict.add_argument("rows", metavar="X", help="an .npy file, or CSV")
    predict.add_argument("--out", metavar="Y", help="an .npy file, or CSV; CSV is printed without")
    return predict


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
