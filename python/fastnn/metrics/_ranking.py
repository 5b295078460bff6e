# SPDX-License-Identifier: BSD-3-Clause
"""Metrics of the order of scores: areas under the ROC curve and the precision-recall curve.

They need all rows at once, so they are computed from predictions and not summed batch by batch.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ._arrays import class_labels, one_column, same_rows, weights_of
from ._counts import check_average

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._validate import Array

__all__ = ["MEANS", "auc", "average_precision", "check_multi_class"]

MEANS = ("macro", "weighted", "micro", None)
_MULTI_CLASS = ("ovr", "ovo")


def check_multi_class(where: str, multi_class: Any) -> None:
    """Refuse another word than "ovr" and "ovo"."""
    if not isinstance(multi_class, str) or multi_class not in _MULTI_CLASS:
        raise ValueError(f"[{where}] multi_class is {multi_class!r}; expected 'ovr' or 'ovo'")


def auc(
    y_true: Any,
    y_pred: Any,
    *,
    average: Literal["macro", "weighted", "micro"] | None = "macro",
    multi_class: Literal["ovr", "ovo"] = "ovr",
    sample_weight: Any = None,
) -> Any:
    """Return the area under the ROC curve: how often a row of the class scores above another one.

    Parameters
    ----------
    y_true : array_like of integers (n,) or (n, labels)
        Classes, or flags of rows that may have several labels.
    y_pred : array_like of shape (n,), (n, 1) or (n, classes)
        Scores or probabilities: of class 1, or of all classes or labels.
    average : {"macro", "weighted", "micro"} or None, default "macro"
        The plain mean over classes or labels, the one by their number of true rows, the figure of
        all cells in one column, or (None) the figures themselves.
    multi_class : {"ovr", "ovo"}, default "ovr"
        With several classes: each one against the rest, or all pairs of classes.
    sample_weight : array_like of shape (n,), optional
        Not with "ovo".

    Returns
    -------
    float or ndarray of shape (classes,)
        NaN if all rows have one class.

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit, or a name is unknown.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    where = "auc"
    check_average(where, average, MEANS)
    check_multi_class(where, multi_class)
    flags, scores, weights, classes = _columns(where, y_true, y_pred, sample_weight)
    if classes is not None and multi_class == "ovo":
        if sample_weight is not None:
            raise ValueError(f"[{where}] sample_weight came with 'ovo'; expected it with 'ovr'")
        if average not in ("macro", "weighted"):
            raise ValueError(
                f"[{where}] average is {average!r} with 'ovo'; expected 'macro' or 'weighted'"
            )
        return _of_pairs(classes, scores, average)
    return _averaged(_area, flags, scores, weights, average)


def average_precision(
    y_true: Any,
    y_pred: Any,
    *,
    average: Literal["macro", "weighted", "micro"] | None = "macro",
    sample_weight: Any = None,
) -> Any:
    """Return the mean of the precisions at all thresholds, by the growth of recall.

    Parameters
    ----------
    y_true : array_like of integers (n,) or (n, labels)
        Classes, or flags of rows that may have several labels.
    y_pred : array_like of shape (n,), (n, 1) or (n, classes)
        Scores or probabilities: of class 1, or of all classes or labels.
    average : {"macro", "weighted", "micro"} or None, default "macro"
        As for `auc`.
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float or ndarray of shape (classes,)
        A class without a true row has 0.

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit, or a name is unknown.

    Examples
    --------
    >>> from fastnn import metrics
    >>> round(metrics.average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    where = "average_precision"
    check_average(where, average, MEANS)
    flags, scores, weights, _ = _columns(where, y_true, y_pred, sample_weight)
    return _averaged(_precision_by_recall, flags, scores, weights, average)


def _columns(
    where: str, y_true: Any, y_pred: Any, sample_weight: Any
) -> tuple[Array, Array, Array, Array | None]:
    """Return flags and scores (n, columns), weights, and the classes if there are several."""
    truth, seen = map(one_column, same_rows(where, y_true, y_pred))
    truth = class_labels(where, "y_true", truth)
    weights = weights_of(where, sample_weight, len(truth))
    if not np.isfinite(seen).all():
        raise ValueError(f"[{where}] y_pred has Inf or NaN; expected finite scores")
    several = seen.ndim == 2 and truth.ndim == 1
    highest = seen.shape[1] - 1 if several else 1
    if truth.max() > highest or (not several and truth.shape != seen.shape):
        raise ValueError(
            f"[{where}] y_true has shape {truth.shape} and numbers up to {truth.max()}, y_pred has "
            f"shape {seen.shape}; expected classes with a column each, or flags of that shape"
        )
    if several:
        return truth[:, None] == np.arange(seen.shape[1]), seen, weights, truth
    return truth.reshape(len(truth), -1) == 1, seen.reshape(len(seen), -1), weights, None


def _averaged(
    of_column: Callable[[Array, Array, Array], float],
    flags: Array,
    scores: Array,
    weights: Array,
    average: str | None,
) -> Any:
    if flags.shape[1] == 1:
        return of_column(flags[:, 0], scores[:, 0], weights)
    if average == "micro":
        return of_column(flags.ravel(), scores.ravel(), np.repeat(weights, flags.shape[1]))
    each = np.array([of_column(f, s, weights) for f, s in zip(flags.T, scores.T, strict=True)])
    if average is None:
        return each
    if average == "macro":
        return float(each.mean())
    shares = (weights[:, None] * flags).sum(axis=0)
    if not shares.any():
        return 0.0
    return float(np.average(np.where(shares == 0, 0, each), weights=shares))


def _of_pairs(classes: Array, scores: Array, average: str) -> float:
    """Return the mean over pairs of classes of the area between their rows, from both scores."""
    areas, shares = [], []
    for a, b in combinations(range(scores.shape[1]), 2):
        among = (classes == a) | (classes == b)
        ones = np.ones(int(among.sum()))
        of_a = classes[among] == a
        both = _area(of_a, scores[among, a], ones) + _area(~of_a, scores[among, b], ones)
        areas.append(both / 2)
        shares.append(among.mean())
    return float(np.average(areas, weights=shares if average == "weighted" else None))


def _steps(flags: Array, scores: Array, weights: Array) -> tuple[Array, Array]:
    """Return the weights of true and of false positives at each threshold, from the highest on."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    right = np.cumsum(np.where(flags, weights, 0)[order])[ends]
    wrong = np.cumsum(np.where(flags, 0, weights)[order])[ends]
    return right, wrong


def _area(flags: Array, scores: Array, weights: Array) -> float:
    right, wrong = (np.concatenate([[0.0], each]) for each in _steps(flags, scores, weights))
    if right[-1] <= 0 or wrong[-1] <= 0:
        return math.nan
    trapezoids = np.diff(wrong) * (right[1:] + right[:-1]) / 2
    return float(trapezoids.sum() / (right[-1] * wrong[-1]))


def _precision_by_recall(flags: Array, scores: Array, weights: Array) -> float:
    right, wrong = _steps(flags, scores, weights)
    if right[-1] <= 0:
        return 0.0
    said = right + wrong
    precision = np.where(said > 0, right / np.where(said > 0, said, 1), 0)
    return float((np.diff(right, prepend=0.0) * precision).sum() / right[-1])
