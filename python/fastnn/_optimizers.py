# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers, made from their rows; _optimizers.pyi lists them for type checkers."""

from __future__ import annotations

from ._describe import Members
from ._optimizer import Optimizer

OPTIMIZERS = Members(Optimizer, "fastnn.optim")

__all__ = list(OPTIMIZERS.class_names())


def __getattr__(name: str) -> object:
    return OPTIMIZERS.named(name)
