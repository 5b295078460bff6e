# SPDX-License-Identifier: BSD-3-Clause
"""`python -m fastnn bench`: microseconds per training step of the engine and of the NumPy twin.

Both first train from the same weights, and a network is timed only if the losses agree. Then they
take turns, each time from the initial weights and after a warm-up, so that a disturbance of the
machine affects both.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._pair import Pair, Run, curve_difference
from .info import build_info, describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Case", "main"]

# Adam's first steps have the size of lr however small a gradient is, even if rounding decides its
# sign. With lr = 1e-3 the networks soon overfit the random rows, and the losses of two correct
# programs diverge.
LR = {"sgd": 0.01, "adam": 1e-4}
# The largest accepted relative difference of the losses of the first epochs, in which the rounding
# errors of all steps accumulate.
AGREEMENT = {"float32": 1e-4, "float64": 1e-10}


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    widths: tuple[int, ...]
    batch: int
    optimizer: str

    @property
    def name(self) -> str:
        """The widths as text, 64-32-10."""
        return "-".join(map(str, self.widths))

    @property
    def flops(self) -> int:
        """Operations of the products of a step; the first layer has no gradient of its input."""
        products = [a * b for a, b in zip(self.widths, self.widths[1:], strict=False)]
        return 2 * self.batch * (3 * sum(products) - products[0])


NETWORKS: list[tuple[tuple[int, ...], int]] = [
    ((64, 32, 10), 32),
    ((17, 64, 64, 6), 64),
    ((784, 128, 10), 64),
    ((784, 512, 512, 10), 128),
]
WIDE = ((1024, 4096, 4096, 10), 1024)


def main(
    *,
    dtype: str = "float32",
    quick: bool = False,
    full: bool = False,
    n_threads: int = 0,
    json_file: str | None = None,
) -> int:
    """Run the comparison and print the table.

    Returns
    -------
    int
        Exit status: 0, or 1 if engine and twin did not compute the same.
    """
    info = build_info()
    print(describe(info), end="\n\n")
    networks = NETWORKS[:2] if quick else NETWORKS + [WIDE] * full
    columns = f"{'network':<20}{'batch':>6}{'optimizer':>10}{'fastnn us':>11}{'NumPy us':>11}"
    print(f"{columns}{'GFLOP/s':>9}{'ratio':>8}{'threads':>8}")
    results = []
    for widths, batch in networks:
        for optimizer in LR:
            result = _measure(Case(widths, batch, optimizer), dtype, quick, n_threads)
            results.append(result)
            print(_line(result), flush=True)
    if json_file is not None:
        record = {"build": info, "dtype": dtype, "results": results}
        Path(json_file).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    failed = [result for result in results if not result["agree"]]
    for result in failed:
        text = f"FAILED: {result['network']} {result['optimizer']}: losses differ by"
        print(f"{text} {result['loss_difference']:.2g} (relative)", file=sys.stderr)
    print("\nratio: NumPy's time over fastnn's; times are medians over rounds that take turns")
    return 1 if failed else 0


def _measure(case: Case, dtype: str, quick: bool, n_threads: int) -> dict[str, Any]:
    batches = 4 if case.flops > 1e10 else 32
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batches * case.batch, case.widths[0])).astype(dtype)
    y = rng.integers(0, case.widths[-1], len(x))
    pair = _new(case, dtype)
    ours = pair.fit_engine(x, y, batch_size=case.batch, epochs=2, n_threads=n_threads)
    theirs = pair.fit_twin(x, y, batch_size=case.batch, epochs=2)
    difference = curve_difference(ours.losses, theirs.losses) / abs(theirs.losses[0])
    result: dict[str, Any] = {
        "network": case.name,
        "batch": case.batch,
        "optimizer": case.optimizer,
        "dtype": dtype,
        "loss_difference": difference,
        "agree": difference <= AGREEMENT[dtype],
        "threads_used": ours.threads,
        "flops": case.flops,
        "rounds": [],
    }
    if result["agree"]:
        target = 0.05 if quick else 0.4
        epochs = [max(1, round(target / (run.seconds / 2))) for run in (ours, theirs)]
        for _ in range(3 if quick else 7):
            result["rounds"].append(_round(case, dtype, (x, y), epochs, n_threads))
        for who in ("fastnn_us", "numpy_us"):
            result[who] = statistics.median(entry[who] for entry in result["rounds"])
    return result


def _round(
    case: Case,
    dtype: str,
    data: tuple[NDArray[Any], NDArray[Any]],
    epochs: list[int],
    n_threads: int,
) -> dict[str, float]:
    pair, (x, y) = _new(case, dtype), data
    warm = slice(0, 2 * case.batch)
    pair.fit_engine(x[warm], y[warm], batch_size=case.batch, epochs=1, n_threads=n_threads)
    ours = pair.fit_engine(x, y, batch_size=case.batch, epochs=epochs[0], n_threads=n_threads)
    pair.fit_twin(x[warm], y[warm], batch_size=case.batch, epochs=1)
    theirs = pair.fit_twin(x, y, batch_size=case.batch, epochs=epochs[1])
    return {"fastnn_us": _microseconds(ours), "numpy_us": _microseconds(theirs)}


def _new(case: Case, dtype: str) -> Pair:
    return Pair(case.widths, case.optimizer, {"lr": LR[case.optimizer]}, dtype=dtype)


def _microseconds(run: Run) -> float:
    return run.seconds / run.steps * 1e6


def _line(result: dict[str, Any]) -> str:
    start = f"{result['network']:<20}{result['batch']:>6}{result['optimizer']:>10}"
    if not result["agree"]:
        return f"{start}   not timed: the losses differ"
    ours, theirs = result["fastnn_us"], result["numpy_us"]
    speed = result["flops"] / ours * 1e-3
    times = f"{ours:>11.1f}{theirs:>11.1f}{speed:>9.1f}"
    return f"{start}{times}{theirs / ours:>8.1f}{result['threads_used']:>8}"
