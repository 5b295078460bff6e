# SPDX-License-Identifier: BSD-3-Clause
"""Metrics of labels: classes (n,), or flags (n, labels) of rows that may have several labels.

Definitions and names of averages are scikit-learn's. Precision, recall and F1 follow from the
counts of each class: how often it is the truth, how often it is predicted, and how often both.
"""

from __future__ import annotations

import math
from itertools import compress
from numbers import Real
from operator import mul
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastnn import _validate
from fastnn._hints import shown

from ._arrays import flags_or_classes, weights_of

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = [
    "AVERAGES",
    "Average",
    "Counts",
    "Tally",
    "accuracy",
    "check_average",
    "check_zero_division",
    "confusion_counts",
    "f1",
    "figure",
    "hamming",
    "precision",
    "recall",
]

AVERAGES = ("binary", "micro", "macro", "weighted", None)
Average = Literal["binary", "micro", "macro", "weighted"] | None


class Counts(NamedTuple):
    """For each class, the weights of the rows that are true or false, positive or negative."""

    tn: Array
    fp: Array
    fn: Array
    tp: Array


class Tally(NamedTuple):
    """For each class or label, the weights of the rows that are, are said to be, and are both.

    occurs : not 0 if a row is, or is said to be, of it. Labels always count as such.
    """

    true: list[float]
    said: list[float]
    both: list[float]
    occurs: list[float]

    def counts(self, weight: float) -> tuple[list[float], ...]:
        """Return `Counts` as lists; weight: the sum of the weights of all rows."""
        true, said, both, _ = self
        return (
            [weight - t - s + b for t, s, b in zip(true, said, both, strict=True)],
            [s - b for s, b in zip(said, both, strict=True)],
            [t - b for t, b in zip(true, both, strict=True)],
            both,
        )


def accuracy(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the share of labels that are right.

    With several labels a row, a row counts with the share of its labels that are right, as in the
    logs of `fit`; scikit-learn counts only rows that are right as a whole.

    Parameters
    ----------
    y_true, y_pred : array_like of integers
        Classes (n,), or flags (n, labels).
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
    >>> metrics.accuracy([0, 1, 2, 2], [0, 1, 1, 2])
    0.75
    """
    return 1 - _wrong("accuracy", y_true, y_pred, sample_weight)


def hamming(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> float:
    """Return the share of labels that are wrong (scikit-learn's hamming_loss).

    Parameters
    ----------
    y_true, y_pred : array_like of integers
        Classes (n,), or flags (n, labels).
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
    >>> metrics.hamming([[1, 0], [1, 1]], [[1, 0], [0, 1]])
    0.25
    """
    return _wrong("hamming", y_true, y_pred, sample_weight)


def _wrong(where: str, y_true: Any, y_pred: Any, sample_weight: Any) -> float:
    truth, seen = flags_or_classes(where, y_true, y_pred)
    weights = weights_of(where, sample_weight, len(truth))
    wrong = truth != seen
    rows = wrong.mean(axis=1) if wrong.ndim == 2 else wrong
    return float((weights * rows).sum() / weights.sum())


def confusion_counts(
    y_true: Any, y_pred: Any, *, n_classes: int | None = None, sample_weight: Any = None
) -> Counts:
    """Count for each class how often it is predicted rightly and wrongly.

    Parameters
    ----------
    y_true, y_pred : array_like of integers
        Classes (n,), or flags (n, labels).
    n_classes : int, optional
        Number of classes; by default the largest one + 1.
    sample_weight : array_like of shape (n,), optional
        Rows count with these weights.

    Returns
    -------
    Counts
        Named tuple of tn, fp, fn and tp, each of shape (classes,).

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit, or there is a class beyond `n_classes`.

    Examples
    --------
    >>> from fastnn import metrics
    >>> counts = metrics.confusion_counts([0, 1, 1, 2], [0, 1, 2, 2])
    >>> counts.tp.tolist(), counts.fn.tolist(), counts.fp.tolist()
    ([1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    """
    where = "confusion_counts"
    truth, seen = flags_or_classes(where, y_true, y_pred)
    classes = _class_count(where, truth, seen, n_classes)
    weights = weights_of(where, sample_weight, len(truth))
    counts = _tally(truth, seen, weights, classes).counts(float(weights.sum()))
    return Counts(*map(np.array, counts))


def _class_count(where: str, truth: Array, seen: Array, n_classes: int | None) -> int:
    if truth.ndim == 2:
        return int(truth.shape[1])
    largest = int(max(truth.max(), seen.max()))
    if n_classes is None:
        return max(2, largest + 1)
    classes = _validate.integer(where, "n_classes", n_classes)
    if largest >= classes:
        raise ValueError(f"[{where}] there is the class {largest}; expected 0 to {classes - 1}")
    return classes


def _tally(truth: Array, seen: Array, weights: Array, classes: int) -> Tally:
    if truth.ndim == 2:
        arrays = [weights @ truth, weights @ seen, weights @ (truth & seen), np.ones(classes)]
    else:
        right, occurs = truth == seen, np.zeros(classes)
        occurs[truth] = occurs[seen] = 1
        arrays = [
            np.bincount(truth, weights, classes),
            np.bincount(seen, weights, classes),
            np.bincount(truth[right], weights[right], classes),
            occurs,
        ]
    return Tally(*(each.tolist() for each in arrays))


def check_average(where: str, average: Any, known: tuple[str | None, ...] = AVERAGES) -> None:
    """Refuse the name of an average that is not known."""
    if (average is None or isinstance(average, str)) and average in known:
        return
    names = ", ".join(map(repr, known))
    raise ValueError(f"[{where}] average is {shown(average)}; expected one of {names}")


def check_zero_division(where: str, value: Any) -> float:
    """Return what stands for 0 / 0: 0, 1 or NaN, as in scikit-learn."""
    number = float(value) if isinstance(value, Real) else math.inf
    if number in (0, 1) or math.isnan(number):
        return number
    raise ValueError(f"[{where}] zero_division is {shown(value)}; expected 0, 1 or NaN")


def precision(
    y_true: Any,
    y_pred: Any,
    *,
    average: Average = "binary",
    zero_division: float = 0.0,
    sample_weight: Any = None,
) -> Any:
    """Return tp / (tp + fp): how many of the rows that are said to be of a class are of it.

    Parameters
    ----------
    y_true, y_pred : array_like of integers
        Classes (n,), or flags (n, labels).
    average : {"binary", "micro", "macro", "weighted"} or None, default "binary"
        "binary" is the figure of class 1 of the classes 0 and 1. "micro" adds the counts of all
        classes, "macro" is the mean over the classes that occur, and "weighted" counts them by
        their number of true rows. None returns the figures of all classes up to the largest.
    zero_division : {0, 1, nan}, default 0
        The figure of a class for which nothing is divided by nothing; NaN leaves it out of means.
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float or ndarray of shape (classes,)

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit, or a name is unknown.

    Examples
    --------
    >>> from fastnn import metrics
    >>> round(metrics.precision([0, 1, 1, 0], [0, 1, 1, 1], average="macro"), 4)
    0.8333
    """
    return _figure("precision", y_true, y_pred, average, zero_division, sample_weight)


def recall(
    y_true: Any,
    y_pred: Any,
    *,
    average: Average = "binary",
    zero_division: float = 0.0,
    sample_weight: Any = None,
) -> Any:
    """Return tp / (tp + fn): how many of the rows of a class are said to be of it.

    Parameters
    ----------
    y_true, y_pred : array_like of integers
        Classes (n,), or flags (n, labels).
    average : {"binary", "micro", "macro", "weighted"} or None, default "binary"
        As for `precision`.
    zero_division : {0, 1, nan}, default 0
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float or ndarray of shape (classes,)

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit, or a name is unknown.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.recall([0, 1, 1, 0], [0, 1, 0, 1])
    0.5
    """
    return _figure("recall", y_true, y_pred, average, zero_division, sample_weight)


def f1(
    y_true: Any,
    y_pred: Any,
    *,
    average: Average = "binary",
    zero_division: float = 0.0,
    sample_weight: Any = None,
) -> Any:
    """Return 2 tp / (2 tp + fp + fn), the harmonic mean of precision and recall.

    Parameters
    ----------
    y_true, y_pred : array_like of integers
        Classes (n,), or flags (n, labels).
    average : {"binary", "micro", "macro", "weighted"} or None, default "binary"
        As for `precision`.
    zero_division : {0, 1, nan}, default 0
    sample_weight : array_like of shape (n,), optional

    Returns
    -------
    float or ndarray of shape (classes,)

    Raises
    ------
    ValueError, TypeError
        If shapes or dtypes do not fit, or a name is unknown.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.f1([0, 1, 2, 2], [0, 1, 1, 2], average=None).round(3).tolist()
    [1.0, 0.667, 0.667]
    """
    return _figure("f1", y_true, y_pred, average, zero_division, sample_weight)


def _figure(
    where: str,
    y_true: Any,
    y_pred: Any,
    average: Any,
    zero_division: Any,
    sample_weight: Any,
) -> Any:
    check_average(where, average)
    instead = check_zero_division(where, zero_division)
    truth, seen = flags_or_classes(where, y_true, y_pred)
    weights = weights_of(where, sample_weight, len(truth))
    classes = _class_count(where, truth, seen, None)
    if average == "binary" and (truth.ndim == 2 or classes > 2):
        raise ValueError(
            f"[{where}] average='binary' is of the classes 0 and 1; y has {classes} classes: "
            "expected 'micro', 'macro', 'weighted' or None"
        )
    found = figure(where, _tally(truth, seen, weights, classes), average, instead)
    return np.array(found) if average is None else found


def figure(name: str, tally: Tally, average: str | None, instead: float) -> float | list[float]:
    """Return precision, recall or f1 of the counts of the classes; instead: what 0 / 0 is."""
    true, said, both, occurs = tally
    if average == "binary":
        true, said, both = true[1:2], said[1:2], both[1:2]
    elif average == "micro":
        true, said, both = ([math.fsum(each)] for each in (true, said, both))
    elif average is not None and not all(occurs):
        true, said, both = (list(compress(each, occurs)) for each in (true, said, both))
    if name == "f1":
        pairs = zip(true, said, both, strict=True)
        shares = [2.0 * b / over if (over := t + s) else instead for t, s, b in pairs]
    else:
        overs = said if name == "precision" else true
        shares = [b / over if over else instead for b, over in zip(both, overs, strict=True)]
    if average is None:
        return shares
    return _mean(shares, true if average == "weighted" else None)


def _mean(figures: list[float], weights: list[float] | None) -> float:
    """Return the weighted mean of the figures that are numbers, the plain one without weights."""
    if any(map(math.isnan, figures)):
        known = [not math.isnan(each) for each in figures]
        if not any(known):
            return math.nan
        weights = None if weights is None else list(compress(weights, known))
        figures = list(compress(figures, known))
    if weights is not None and (total := math.fsum(weights)):
        return math.fsum(map(mul, figures, weights)) / total
    return math.fsum(figures) / len(figures)
