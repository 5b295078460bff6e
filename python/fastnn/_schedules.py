# SPDX-License-Identifier: BSD-3-Clause
"""The schedules, made from their rows; _schedules.pyi lists them for type checkers."""

from __future__ import annotations

from ._schedule import SCHEDULES

__all__ = list(SCHEDULES.class_names())


def __getattr__(name: str) -> object:
    return SCHEDULES.named(name)
