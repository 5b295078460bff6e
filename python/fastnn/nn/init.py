# SPDX-License-Identifier: BSD-3-Clause
"""Initializers of Linear, with torch's names and parameters.

``nn.Linear(784, 128, init="kaiming_normal", bias_init="zeros")`` takes one by its name, and
``init=nn.init.KaimingNormal(nonlinearity="relu")`` with other parameters. Values are drawn when a
Sequential takes the layer, from the model's seed: equal seeds give equal bits on every processor.
The functions of `fastnn.functional.init` draw arrays in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn._first_use import on_first_use

from . import _initializers
from ._initializer import Initializer

if TYPE_CHECKING:
    from ._initializers import *  # noqa: F403

__all__ = ["Initializer"]
__all__ += _initializers.__all__

if not TYPE_CHECKING:  # for type checkers, a module with __getattr__ has every name
    __getattr__, __dir__ = on_first_use(globals(), _initializers)
