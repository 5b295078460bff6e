# SPDX-License-Identifier: BSD-3-Clause
"""What the parameters may be: the constraints of the installed scikit-learn, and the additions'.

Names that are added are those of the core's registries.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils._param_validation import Interval, Options, StrOptions

from fastnn import _registry, nn
from fastnn._optimizer import Optimizer
from fastnn._schedule import Schedule
from fastnn.callbacks import Callback
from fastnn.nn._layer import Activation

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ACTIVATIONS",
    "CLASSIFIER",
    "CLASS_LOSSES",
    "NORMALIZATIONS",
    "REGRESSION_LOSSES",
    "REGRESSOR",
    "SCHEDULES",
    "TAKES_PENALTY",
    "check_together",
]

TAKES_PENALTY = ("sgd", "adam")  # scikit-learn's stochastic solvers, which have alpha

# The registry's names by the names here. Where scikit-learn has a word, it is one of them.
ACTIVATIONS = {name: name for name in _registry.rows("activations")} | {"logistic": "sigmoid"}
NORMALIZATIONS = {
    name.partition("_norm")[0]: name for name in _registry.rows("layers") if "_norm" in name
}
_THEIR_SCHEDULES = {"constant", "invscaling", "adaptive"}
# Without those whose rule has a name of scikit-learn's, and the one that needs an array.
SCHEDULES = {
    name.removesuffix("_lr"): name
    for name in _registry.rows("schedules")
    if name not in ("constant_lr", "inv_scaling_lr", "adaptive_lr", "array_lr")
} | {"cosine": "cosine_annealing_lr"}
# A row's loss is the sum over its outputs. Losses that have another number of outputs than of
# targets, or take logarithms of probabilities, are none of an estimator's.
REGRESSION_LOSSES = {
    name: name
    for name, row in _registry.rows("losses").items()
    if row["task"] == "regression" and row["outputs_per_target"] == 1 and name != "kl_div"
} | {
    "squared_error": "half_mse",
    "absolute_error": "l1",
    "poisson": "poisson_deviance",
    "quantile": "quantile",
}
CLASS_LOSSES = (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.FocalLoss)

_BOTH: Mapping[str, Any] = {
    "activation": [StrOptions(set(ACTIVATIONS)), Activation, list, tuple],
    "solver": [StrOptions({"lbfgs", *_registry.rows("optimizers")}), Optimizer],
    "learning_rate": [
        StrOptions({*_THEIR_SCHEDULES, *SCHEDULES}),
        Schedule,
        list,
        tuple,
        np.ndarray,
        callable,
    ],
    "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
    "normalization": [StrOptions(set(NORMALIZATIONS)), None],
    "weight_decay": [Interval(Real, 0, None, closed="left"), None],
    "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
    "dtype": [
        StrOptions({"float32", "float64"}),
        Options(type, {np.float32, np.float64}),
        np.dtype,
        None,
    ],
    "n_init": [Interval(Integral, 1, None, closed="left")],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "n_jobs": [
        Interval(Integral, None, -1, closed="right"),
        Interval(Integral, 1, None, closed="left"),
        None,
    ],
    "callbacks": [Callback, list, tuple, None],
}
CLASSIFIER: Mapping[str, Any] = {
    **MLPClassifier._parameter_constraints,
    **_BOTH,
    "loss": [StrOptions({"log_loss", "focal"}), *CLASS_LOSSES],
    "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    "class_weight": [StrOptions({"balanced"}), dict, None],
}
REGRESSOR: Mapping[str, Any] = {
    **MLPRegressor._parameter_constraints,
    **_BOTH,
    "loss": [StrOptions(set(REGRESSION_LOSSES)), nn.Loss],
}


def check_together(parameters: Any, where: str, validates: bool) -> None:
    """Refuse parameters that "lbfgs" cannot follow; `validates`: rows for validation are given.

    It minimizes one function of the weights and biases, over all rows.
    """
    if parameters.solver != "lbfgs":
        return
    given = {
        "dropout": np.any(np.asarray(parameters.dropout, object) != 0),
        "normalization": parameters.normalization is not None,
        "weight_decay": parameters.weight_decay is not None,
        "max_grad_norm": parameters.max_grad_norm is not None,
        "callbacks": bool(parameters.callbacks),
        "learning_rate": not isinstance(parameters.learning_rate, str)
        or parameters.learning_rate in SCHEDULES,
    }
    found = [name for name, is_set in given.items() if is_set] + ["X_val"] * validates
    if found:
        raise ValueError(
            f"[{where}] {found[0]} came with solver='lbfgs', which minimizes one function over "
            "all rows; expected a solver that goes by batches, such as 'adam'"
        )
