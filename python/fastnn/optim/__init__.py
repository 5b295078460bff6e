# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers as immutable descriptions with torch's rules, names and defaults.

An optimizer is passed to ``Sequential.compile``; its state belongs to the model. So is an average
of the parameters, `EMA` or `SWA`. Other libraries
have other defaults: Keras' Adam has ``eps=1e-7``, and the weight decay of AdamW is 0.004 in Keras
and 1e-4 in optax. Schedules of the learning rate are in `fastnn.optim.lr_scheduler`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _optimizers
from fastnn._first_use import on_first_use
from fastnn._optimizer import Average, Optimizer

from . import lr_scheduler

if TYPE_CHECKING:
    from fastnn._optimizers import *  # noqa: F403

__all__ = ["Average", "Optimizer", "lr_scheduler"]
__all__ += _optimizers.__all__

if not TYPE_CHECKING:  # for type checkers, a module with __getattr__ has every name
    __getattr__, __dir__ = on_first_use(globals(), _optimizers)
