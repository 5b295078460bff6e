# SPDX-License-Identifier: BSD-3-Clause
"""Functions on NumPy arrays, for code that writes forward, backward and update itself.

Conventions: x is (batch, features), weights are (in_features, out_features); an operation f has a
function f_backward; a loss returns (value, gradient with respect to its first argument); functions
whose names end in `_` change their arrays in place. The activations and their backwards are
generated from the engine's list.
"""

from __future__ import annotations

from . import _activations, init
from ._activations import *  # noqa: F403
from ._checking import Comparison, GradientReport, check_gradient, compare
from ._cross_entropy import cross_entropy
from ._linear import linear, linear_backward, matmul
from ._losses import bce_loss, bce_with_logits, half_mse_loss, l1_loss, mse_loss
from ._optimizer_state import OptimizerState, adam_state, clip_grad_norm_, sgd_state
from ._optimizers import adam_step_, adamw_step_, sgd_step_
from ._perceptron import perceptron, perceptron_step
from ._random import dropout_mask
from ._softmax import log_softmax, one_hot, softmax, step

__all__ = [
    "Comparison",
    "GradientReport",
    "OptimizerState",
    "adam_state",
    "adam_step_",
    "adamw_step_",
    "bce_loss",
    "bce_with_logits",
    "check_gradient",
    "clip_grad_norm_",
    "compare",
    "cross_entropy",
    "dropout_mask",
    "half_mse_loss",
    "init",
    "l1_loss",
    "linear",
    "linear_backward",
    "log_softmax",
    "matmul",
    "mse_loss",
    "one_hot",
    "perceptron",
    "perceptron_step",
    "sgd_state",
    "sgd_step_",
    "softmax",
    "step",
]
__all__ += _activations.__all__
