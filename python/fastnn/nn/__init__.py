# SPDX-License-Identifier: BSD-3-Clause
"""Networks: Sequential, its layers, activations and losses, under torch's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn._first_use import on_first_use

from . import _containers, _inputs, _layers, _members, _norms, init
from ._containers import *  # noqa: F403
from ._exchange import from_keras, from_torch
from ._function_loss import FunctionLoss
from ._history import History
from ._inputs import *  # noqa: F403
from ._layer import Activation, Layer
from ._layers import *  # noqa: F403
from ._loss import Loss
from ._norms import *  # noqa: F403
from ._sequential import Sequential

if TYPE_CHECKING:
    from ._members import *  # noqa: F403
    from ._rate_search import RateSearch
    from ._summary import Summary

__all__ = [
    "Activation",
    "FunctionLoss",
    "History",
    "Layer",
    "Loss",
    "RateSearch",
    "Sequential",
    "Summary",
    "from_keras",
    "from_torch",
    "init",
]
__all__ += _containers.__all__
__all__ += _inputs.__all__
__all__ += _layers.__all__
__all__ += _members.__all__
__all__ += _norms.__all__

if not TYPE_CHECKING:  # for type checkers, a module with __getattr__ has every name
    __getattr__, __dir__ = on_first_use(
        globals(), _members, RateSearch="_rate_search", Summary="_summary"
    )
