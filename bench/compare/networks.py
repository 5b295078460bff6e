# SPDX-License-Identifier: BSD-3-Clause
"""The networks of the comparison, one for each row of its table."""

from __future__ import annotations

from dataclasses import replace

from fastnn import _bench

from .case import Case

__all__ = ["cases", "flops", "quick_cases"]

LR = _bench.LR
BATCHES = {(784, 128, 10): 32, (784, 512, 512, 10): 16, (1024, 4096, 4096, 10): 1}


def cases() -> list[Case]:
    """Return all networks in float32, in the table's order."""
    found = []
    for widths, batch in [*_bench.NETWORKS, _bench.WIDE]:
        for optimizer in ("sgd", "adam"):
            batches = BATCHES.get(widths, 32)
            found.append(Case(widths, batch, batches, optimizer, LR[optimizer]))
    return found + _special()


def _special() -> list[Case]:
    adam, sgd = LR["adam"], LR["sgd"]
    return [
        # Benchmarks of other libraries: a large regression, and one with dropout;
        Case((1444, 512, 256, 128, 64, 1), 128, 16, "adamw", adam, loss="mse"),
        Case((100, 256, 256, 256, 1), 256, 16, "adam", adam, loss="mse", dropout=0.15),
        # the benchmark of SimpleChains.jl (one full batch per epoch);
        Case((4, 32, 16, 4), 10_000, 1, "adam", adam, "tanh", "mse"),
        # the benchmark of OpenNN (HIGGS).
        Case((28, *[300] * 5, 1), 100, 32, "sgd", sgd, "tanh", "bce_with_logits"),
        # A small classifier; training on one row at a time; the first training loop of courses.
        Case((64, 100, 10), 200, 16, "adam", adam),
        Case((4, 64, 64, 2), 1, 256, "sgd", sgd, loss="mse"),
        Case((2, 1), 1, 256, "sgd", sgd, loss="bce_with_logits", max_steps=400_000),
    ]


def quick_cases(chosen: list[Case]) -> list[Case]:
    """Return the networks with at most 10^8 operations per step, with shorter epochs."""
    return [replace(c, batches=min(c.batches, 8)) for c in chosen if flops(c) <= 1e8]


def flops(case: Case) -> int:
    """Return the operations of a step's products, as `python -m fastnn bench` counts them."""
    return _bench.Case(case.widths, case.batch, case.optimizer).flops
