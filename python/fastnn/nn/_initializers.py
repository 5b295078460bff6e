# SPDX-License-Identifier: BSD-3-Clause
"""The initializers, made from their rows; _initializers.pyi lists them for type checkers."""

from __future__ import annotations

from fastnn._describe import Members

from ._initializer import Initializer

INITIALIZERS = Members(Initializer, "fastnn.nn.init")

__all__ = list(INITIALIZERS.class_names())


def __getattr__(name: str) -> object:
    return INITIALIZERS.named(name)
