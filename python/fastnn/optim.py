# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers as plain frozen descriptions with torch's rules, names and defaults.

An optimizer is handed to ``Sequential.compile``; the state lives in the model. Two defaults that
differ elsewhere: Keras' Adam has ``eps=1e-7``, Keras' AdamW decays by 0.004, optax's by 1e-4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _optimizers
from ._describe import Optimizer

if TYPE_CHECKING:
    from ._optimizers import *  # noqa: F403

__all__ = ["Optimizer"]
__all__ += _optimizers.__all__

if not TYPE_CHECKING:  # type checkers take any name for one of a module that has __getattr__

    def __getattr__(name: str) -> object:
        if name not in _optimizers.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, getattr(_optimizers, name))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
