# SPDX-License-Identifier: BSD-3-Clause
"""The activations and losses, made from their rows; _members.pyi lists them for type checkers."""

from __future__ import annotations

from fastnn._describe import Members

from ._layer import Activation
from ._loss import Loss

ACTIVATIONS = Members(Activation, "fastnn.nn")
LOSSES = Members(Loss, "fastnn.nn")

__all__ = list(ACTIVATIONS.class_names()) + list(LOSSES.class_names())


def __getattr__(name: str) -> object:
    members = ACTIVATIONS if name in ACTIVATIONS.class_names() else LOSSES
    return members.named(name)
