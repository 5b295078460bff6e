# SPDX-License-Identifier: BSD-3-Clause
"""Schedules of the learning rate, with torch's formulas and, where torch has one, its names.

A schedule takes the place of the number: ``optim.SGD(lr=lr_scheduler.StepLR(0.1, step_size=30))``.
It begins when the model is compiled and is computed by the engine before each step, in ``fit`` and
in loops of ``train_step``. Lengths are counted in steps, or with ``by="epoch"`` in epochs; a length
of None is that of the fit. docs/learning-rates.md has the whole.

>>> from fastnn import nn, optim
>>> from fastnn.optim import lr_scheduler
>>> model = nn.Sequential(nn.Linear(4, 2))
>>> model.compile(optim.SGD(lr=lr_scheduler.CosineAnnealingLR(0.1, T_max=100)), "mse")
>>> model.lr
0.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _schedules
from fastnn._first_use import on_first_use
from fastnn._schedule import LambdaLR, Schedule

if TYPE_CHECKING:
    from fastnn._schedules import *  # noqa: F403

__all__ = ["LambdaLR", "Schedule"]
__all__ += _schedules.__all__

if not TYPE_CHECKING:  # for type checkers, a module with __getattr__ has every name
    __getattr__, __dir__ = on_first_use(globals(), _schedules)
