# SPDX-License-Identifier: BSD-3-Clause
"""What the parameters of the estimators may be: the constraints of the installed scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.neural_network import MLPClassifier, MLPRegressor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLASSIFIER", "REGRESSOR", "STOCHASTIC_SOLVERS"]

STOCHASTIC_SOLVERS = ("sgd", "adam")

CLASSIFIER: Mapping[str, Any] = dict(MLPClassifier._parameter_constraints)
REGRESSOR: Mapping[str, Any] = dict(MLPRegressor._parameter_constraints)
