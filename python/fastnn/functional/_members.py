# SPDX-License-Identifier: BSD-3-Clause
"""The functions that are made from rows; _members.pyi lists them for type checkers."""

from __future__ import annotations

from ._functions import MAKERS

__all__ = list(MAKERS)


def __getattr__(name: str) -> object:
    if name not in MAKERS:
        raise AttributeError(f"module 'fastnn.functional' has no attribute {name!r}")
    return MAKERS[name]().made("fastnn.functional")
