# SPDX-License-Identifier: BSD-3-Clause
"""Networks: Sequential, its layers, activations and losses, under torch's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _containers, _layers, _members
from ._containers import *  # noqa: F403
from ._history import History
from ._layer import Activation, Layer
from ._layers import *  # noqa: F403
from ._loss import Loss
from ._sequential import Sequential
from ._summary import Summary

if TYPE_CHECKING:
    from ._members import *  # noqa: F403

__all__ = ["Activation", "History", "Layer", "Loss", "Sequential", "Summary"]
__all__ += _containers.__all__
__all__ += _layers.__all__
__all__ += _members.__all__

if not TYPE_CHECKING:  # type checkers take any name for one of a module that has __getattr__

    def __getattr__(name: str) -> object:
        if name not in _members.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, getattr(_members, name))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
