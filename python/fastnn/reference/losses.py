# SPDX-License-Identifier: BSD-3-Clause
"""Losses: value and gradient from the raw outputs of a network.

A loss also defines the link function, which turns raw outputs into predictions, and which outputs
are right. A new loss consists of its functions and a row, both in the file of its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.reference._loss import Loss, Sums, weights_of
from fastnn.reference._losses_of_classes import LOSSES_OF_CLASSES
from fastnn.reference._losses_of_numbers import LOSSES_OF_NUMBERS

if TYPE_CHECKING:
    from fastnn.reference._describe import Array

__all__ = ["LOSSES", "Loss", "Sums", "loss", "weights_of"]

LOSSES = {**LOSSES_OF_NUMBERS, **LOSSES_OF_CLASSES}


def loss(
    name: str, hyper: dict[str, Any], out: Array, target: Any, sample_weight: Any = None
) -> tuple[float, Array]:
    """Return (value, dvalue/dout) of the loss called `name` for out (n, k)."""
    row = LOSSES[name]
    return (
        row.value(out, target, sample_weight, **hyper),
        row.gradient(out, target, sample_weight, **hyper),
    )
