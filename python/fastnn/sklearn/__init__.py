# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's multi-layer perceptrons, trained by the core; see docs/estimators.md."""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "[fastnn.sklearn] scikit-learn is not installed; expected the packages of the extra "
        "fastnn-cpu[sklearn]: pip install 'fastnn-cpu[sklearn]'",
        name="sklearn",
    ) from error

from ._classifier import MLPClassifier
from ._converter import register_when_imported
from ._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]

register_when_imported()
