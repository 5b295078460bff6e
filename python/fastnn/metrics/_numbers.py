# SPDX-License-Identifier: BSD-3-Clause
"""Metrics of numbers, and of probabilities row by row, with scikit-learn's definitions.

Several outputs count alike: the figure is the mean of those of the outputs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _validate

from ._arrays import class_labels, one_column, same_rows, weights_of

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["explained", "log_loss", "mae", "mape", "mse", "no_probabilities", "r2", "rmse", "top_k"]


def _errors(where: str, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Array, Array, Array]:
    """Return targets and errors (n, outputs) in float64, and the shares (n, 1) of the rows."""
    truth, seen = same_rows(where, y_true, y_pred)
    truth, seen = (a.astype(np.float64).reshape(len(a), -1) for a in (truth, seen))
    if truth.shape != seen.shape:
        raise ValueError(
            f"[{where}] y_true has shape {truth.shape} and y_pred {seen.shape}; expected the same"
        )
    weights = weights_of(where, sample_weight, len(truth))[:, None]
    return truth, truth - seen, weights / weights.sum()


def mae(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the mean absolute error.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,) or (n, outputs)
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.mae([1.0, 2.0], [1.5, 2.0])
    0.25
    """
    _, error, share = _errors("mae", y_true, y_pred, sample_weight)
    return float((np.abs(error) * share).sum(axis=0).mean())


def mse(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the mean squared error.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,) or (n, outputs)
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.mse([1.0, 2.0], [1.5, 2.0])
    0.125
    """
    _, error, share = _errors("mse", y_true, y_pred, sample_weight)
    return float((error * error * share).sum(axis=0).mean())


def rmse(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the root of the mean squared error; of several outputs the mean of their roots.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,) or (n, outputs)
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.rmse([1.0, 2.0], [4.0, 2.0], sample_weight=[1, 8])
    1.0
    """
    _, error, share = _errors("rmse", y_true, y_pred, sample_weight)
    return float(np.sqrt((error * error * share).sum(axis=0)).mean())


def mape(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the mean of the errors relative to the targets: 0.1 is ten percent.

    A target of 0 counts as the smallest difference of floats near 1, so that the figure is huge.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,) or (n, outputs)
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.mape([2.0, 4.0], [1.0, 4.0])
    0.25
    """
    truth, error, share = _errors("mape", y_true, y_pred, sample_weight)
    relative = np.abs(error) / np.maximum(np.abs(truth), np.finfo(np.float64).eps)
    return float((relative * share).sum(axis=0).mean())


def r2(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the coefficient of determination, 1 - sum(error^2) / sum((target - mean)^2).

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,) or (n, outputs)
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float
        NaN for one row. An output whose targets are all equal has 1 if it is predicted exactly, and
        0 otherwise.

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.r2([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    truth, error, share = _errors("r2", y_true, y_pred, sample_weight)
    left = (error * error * share).sum(axis=0)
    around = truth - np.average(truth, axis=0, weights=share[:, 0])
    whole = (around * around * share).sum(axis=0)
    constant = (truth == truth[0]).all(axis=0)
    return explained(len(truth), left.tolist(), whole.tolist(), constant.tolist())


def explained(rows: int, left: list[float], whole: list[float], constant: list[bool]) -> float:
    """Return R2 of the sums of each output: of the squared errors, and of those of the mean.

    constant: whether the targets of an output are all equal, whose mean may differ by rounding.
    """
    if rows < 2:
        return math.nan
    sums = zip(left, whole, constant, strict=True)
    return mean_of(
        [1 - own / around if around and not same else float(own == 0) for own, around, same in sums]
    )


def mean_of(figures: list[float]) -> float:
    """Return the mean of a figure over the outputs."""
    return sum(figures) / len(figures)


def log_loss(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the mean of -log(p), p the probability of the true class.

    Parameters
    ----------
    y_true : array_like of integers (n,)
        Classes.
    y_pred : array_like of shape (n,), (n, 1) or (n, classes)
        The probability of class 1, or those of all classes. They are limited to
        [eps, 1 - eps], where eps is that of their dtype.
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit, or a probability is below 0 or above 1.

    Examples
    --------
    >>> from fastnn import metrics
    >>> round(metrics.log_loss([1, 0], [0.5, 0.5]), 4)
    0.6931
    """
    where = "log_loss"
    truth, seen = same_rows(where, y_true, y_pred)
    eps = float(np.finfo(seen.dtype if seen.dtype.kind == "f" else np.float64).eps)
    p = seen.astype(np.float64).reshape(len(seen), -1)
    if not ((p >= 0) & (p <= 1)).all():
        raise no_probabilities(where)
    p = np.hstack([1 - p, p]) if p.shape[1] == 1 else p
    classes = _classes_within(where, truth, p.shape[1])
    weights = weights_of(where, sample_weight, len(p))
    own = np.clip(p[np.arange(len(p)), classes], eps, 1 - eps)
    return float((weights * -np.log(own)).sum() / weights.sum())


def no_probabilities(where: str) -> ValueError:
    """Return the error for predictions that are no probabilities."""
    return ValueError(f"[{where}] y_pred has numbers outside 0 to 1; expected probabilities")


def top_k(y_true: Any, y_pred: Any, *, k: int = 5, sample_weight: Any = None) -> float:
    """Return the share of rows whose class is among the k with the largest scores.

    Of equal scores the larger class number comes first, as in scikit-learn.

    Parameters
    ----------
    y_true : array_like of integers (n,)
        Classes.
    y_pred : array_like of shape (n, classes)
        Scores or probabilities.
    k : int, default 5
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.top_k([0, 2], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]], k=2)
    0.5
    """
    where = "top_k"
    truth, seen = same_rows(where, y_true, y_pred)
    if seen.ndim != 2 or seen.shape[1] < 2:
        raise ValueError(f"[{where}] y_pred has shape {seen.shape}; expected (n, classes)")
    most = _validate.integer(where, "k", k)
    classes = _classes_within(where, truth, seen.shape[1])
    weights = weights_of(where, sample_weight, len(seen))
    own = seen[np.arange(len(seen)), classes][:, None]
    later = np.arange(seen.shape[1]) > classes[:, None]
    before = ((seen > own) | ((seen == own) & later)).sum(axis=1)
    return float((weights * (before < most)).sum() / weights.sum())


def _classes_within(where: str, truth: Array, count: int) -> Array:
    """Return the classes (n,), which must be 0 to count - 1."""
    column = one_column(truth)
    if column.ndim != 1:
        raise ValueError(f"[{where}] y_true has shape {truth.shape}; expected classes (n,)")
    classes = class_labels(where, "y_true", column)
    if classes.max() >= count:
        raise ValueError(
            f"[{where}] y_true has the class {classes.max()}; expected 0 to {count - 1}"
        )
    return classes
