# SPDX-License-Identifier: BSD-3-Clause
"""Functions on NumPy arrays, for code that writes forward, backward and update itself.

Conventions: x is (batch, features), weights are (in_features, out_features); an operation f has a
function f_backward; a loss takes (out, target) and returns (value, gradient with respect to out);
functions whose names end in `_` change their arrays in place. A function that returns an array
takes ``out=``, the array to fill and return; one that returns several takes them by the names of
the results, such as ``dx=, dw=, db=``, and a loss takes ``dout=``. The functions of activations,
layers, losses and optimizers are made from the registries of the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn._first_use import on_first_use

from . import _members, init
from ._checking import Comparison, GradientReport, check_gradient, compare
from ._classes import one_hot
from ._linear import linear, linear_backward, matmul
from ._optimizers import OptimizerState, clip_grad_norm_
from ._perceptron import perceptron, perceptron_step
from ._random import dropout_mask
from ._schedules import schedule

if TYPE_CHECKING:
    from ._members import *  # noqa: F403

__all__ = [
    "Comparison",
    "GradientReport",
    "OptimizerState",
    "check_gradient",
    "clip_grad_norm_",
    "compare",
    "dropout_mask",
    "init",
    "linear",
    "linear_backward",
    "matmul",
    "one_hot",
    "perceptron",
    "perceptron_step",
    "schedule",
]
__all__ += _members.__all__

if not TYPE_CHECKING:  # for type checkers, a module with __getattr__ has every name
    __getattr__, __dir__ = on_first_use(globals(), _members)
