# SPDX-License-Identifier: BSD-3-Clause
"""Networks: Sequential, its layers, activations and losses, under torch's names."""

from __future__ import annotations

from . import _activations, _layers, _losses
from ._activations import *  # noqa: F403  (the generated list is the list)
from ._history import History
from ._layer import Activation, Layer
from ._layers import *  # noqa: F403
from ._loss import Loss
from ._losses import *  # noqa: F403
from ._sequential import Sequential
from ._summary import Summary

__all__ = ["Activation", "History", "Layer", "Loss", "Sequential", "Summary"]
__all__ += _activations.__all__
__all__ += _layers.__all__
__all__ += _losses.__all__
