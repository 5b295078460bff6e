# SPDX-License-Identifier: BSD-3-Clause
"""Metrics with scikit-learn's definitions: functions, and classes for ``compile(metrics=[...])``.

A function takes classes (n,), or flags (n, labels), or numbers, as scikit-learn's. An object of a
class takes what a model predicts, and ``compile`` takes it, or its name for the defaults:
``metrics=["accuracy", "f1", metrics.TopK(3)]``.
"""

from __future__ import annotations

from . import _classes, _classes_of_numbers, _classes_of_scores
from ._chosen import BY_NAME
from ._classes import *  # noqa: F403
from ._classes_of_numbers import *  # noqa: F403
from ._classes_of_scores import *  # noqa: F403
from ._counts import Counts, accuracy, confusion_counts, f1, hamming, precision, recall
from ._metric import Metric
from ._numbers import log_loss, mae, mape, mse, r2, rmse, top_k
from ._ranking import auc, average_precision

__all__ = [
    "Counts",
    "Metric",
    "accuracy",
    "auc",
    "average_precision",
    "confusion_counts",
    "f1",
    "hamming",
    "larger_is_better",
    "log_loss",
    "mae",
    "mape",
    "mse",
    "precision",
    "r2",
    "recall",
    "rmse",
    "top_k",
]
__all__ += _classes.__all__
__all__ += _classes_of_numbers.__all__
__all__ += _classes_of_scores.__all__


def larger_is_better(name: str) -> bool:
    """Whether a figure in the logs of `fit` is better the larger it is, by its name.

    Parameters
    ----------
    name : str
        Also with ``val_`` before it, or the name of an average or the number of a class behind it.

    Returns
    -------
    bool
        For a name that is none of a metric, whether it ends with "accuracy".

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.larger_is_better("val_f1_macro"), metrics.larger_is_better("val_loss")
    (True, False)
    """
    plain = name.removeprefix("val_")
    if plain.startswith("top_"):
        return True
    fitting = [known for known in BY_NAME if plain == known or plain.startswith(f"{known}_")]
    if not fitting:
        return plain.endswith("accuracy")
    if plain.startswith(("confusion_counts_fp", "confusion_counts_fn")):
        return False
    return BY_NAME[max(fitting, key=len)].larger_is_better
