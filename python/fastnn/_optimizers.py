# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers and averages, made from their rows; _optimizers.pyi lists them for type checkers."""

from __future__ import annotations

from ._describe import Members
from ._optimizer import Average, Optimizer

AVERAGES = Members(Average, "fastnn.optim")
OPTIMIZERS = Members(Optimizer, "fastnn.optim")

_CLASSES = OPTIMIZERS.class_names() + AVERAGES.class_names()

__all__ = list(_CLASSES)


def __getattr__(name: str) -> object:
    members = AVERAGES if name in AVERAGES.class_names() else OPTIMIZERS
    return members.named(name)
