# SPDX-License-Identifier: BSD-3-Clause
"""What bounds a training step: operations, padding and memory traffic, computed from the shapes.

`python -m bench.roofline [FILE.json]` prints one line per network. With the record of a comparison,
the last column has the measured fraction of the peak.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compare.networks import cases, flops
from .compare.table import medians, peak

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .compare.case import Case

__all__ = ["bytes_of_parameters", "main", "padded_flops"]

STATES = {"sgd": 0, "adam": 2, "adamw": 2}
LINE = 64  # bytes


def padded_flops(case: Case, vector: int) -> int:
    """Return the operations of the products, counting whole vectors as the kernels compute them.

    Parameters
    ----------
    case : Case
    vector : int
        Bytes of a vector: 32 with AVX2, 64 with AVX-512.
    """
    size = 4 if case.dtype == "float32" else 8
    line, lane = LINE // size, vector // size
    total = 0
    for layer, (rows, cols) in enumerate(pairwise(case.widths)):
        total += 2 * 2 * case.batch * rows * _padded(cols, line, lane)  # x W and x^T dy
        if layer:
            total += 2 * case.batch * cols * _padded(rows, line, lane)  # dy W^T
    return total


def _padded(cols: int, line: int, lane: int) -> int:
    """Round up to cache lines; a last line of which one vector is used counts as one vector."""
    whole, rest = divmod(cols, line)
    return whole * line + (0 if rest == 0 else lane if rest <= lane else line)


def bytes_of_parameters(case: Case) -> int:
    """Return the bytes of weights and optimizer state that a step reads and writes.

    The forward pass reads W and the backward pass W^T; the update reads and writes W and every
    state, and writes W^T. Each of these is counted once.
    """
    size = 4 if case.dtype == "float32" else 8
    passes = 3 + 2 * STATES[case.optimizer]
    total = 0
    for layer, (rows, cols) in enumerate(pairwise(case.widths)):
        transposed = 2 if layer and case.batch > 8 else 0
        total += rows * cols * size * (passes + transposed)
    return total


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.roofline", description=__doc__)
    parser.add_argument("record", nargs="?", type=Path, help="of python -m bench.compare --json")
    parser.add_argument("--vector", type=int, default=32, metavar="BYTES", help="32 or 64")
    given = parser.parse_args(arguments)
    measured: dict[tuple[str, str], Any] = {}
    if given.record:
        record = json.loads(given.record.read_text(encoding="utf-8"))
        measured = {(case["network"], case["optimizer"]): case for case in record["cases"]}
    print(
        "| network, batch, optimizer | Mflop | useful lanes | parameters MB "
        "| flop/byte | of the peak |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for case in cases():
        print(_row(case, given.vector, measured.get((case.network, case.optimizer))))
    return 0


def _row(case: Case, vector: int, measured: Any) -> str:
    work, traffic = flops(case), bytes_of_parameters(case)
    share = "-"
    if measured:
        times = {name: us for name, us in medians(measured).items() if name.startswith("fastnn/")}
        if "fastnn/1" in times:
            best = peak(measured, "1")
            share = f"{work / times['fastnn/1'] * 1e6 / best:.2f} of one core" if best else "-"
    return (
        f"| {case.network}, {case.batch}, {case.optimizer} | {work / 1e6:.3g} | "
        f"{work / padded_flops(case, vector):.2f} | {traffic / 1e6:.3g} | "
        f"{work / traffic:.3g} | {share} |"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
