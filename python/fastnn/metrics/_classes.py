# SPDX-License-Identifier: BSD-3-Clause
"""The metrics of labels that compile knows: one class each, over the functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import _counts
from ._metric import ACCURACY, CONFUSION, Kind, Metric, RowSums, Sum, per_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._validate import Array

__all__ = [
    "F1",
    "Accuracy",
    "ConfusionCounts",
    "Hamming",
    "Precision",
    "Recall",
]

_OF_CLASSES = ("binary", "multiclass")
_AUTO = "auto"


class Accuracy(Metric):
    """The share of labels that are right.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.Accuracy()([0, 1, 1], [0.2, 0.9, 0.4])
    0.6666666666666667
    """

    registry_name = "accuracy"
    larger_is_better = True
    tasks = _OF_CLASSES

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> float:
        """Return the share of the rows, or of the labels of each row."""
        return _counts.accuracy(kind.truth(y), kind.labels(p), sample_weight=w)

    def sums(self) -> tuple[Sum, ...]:
        """Return the sum of the shares of right labels."""
        return (ACCURACY,)

    def of_sums(self, kind: Kind, sums: RowSums) -> float:
        """Return the accuracy."""
        return sums.accuracy


class Hamming(Metric):
    """The share of labels that are wrong.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.Hamming()([0, 1], [[0.7, 0.3], [0.6, 0.4]])
    0.5
    """

    registry_name = "hamming"
    tasks = _OF_CLASSES

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> float:
        """Return the share of the rows, or of the labels of each row."""
        return _counts.hamming(kind.truth(y), kind.labels(p), sample_weight=w)

    def sums(self) -> tuple[Sum, ...]:
        """Return the sum of the shares of right labels."""
        return (ACCURACY,)

    def of_sums(self, kind: Kind, sums: RowSums) -> float:
        """Return what the accuracy lacks to 1."""
        return 1 - sums.accuracy


class ConfusionCounts(Metric):
    """How often a class is predicted rightly and wrongly, as figures of their own.

    In the logs they are ``confusion_counts_tn``, ``_fp``, ``_fn`` and ``_tp`` of class 1 for one
    output, and otherwise ``confusion_counts_tn_0`` and so on of every class or label.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.ConfusionCounts()([0, 1, 1], [0.2, 0.9, 0.4]).tolist()
    [1.0, 0.0, 1.0, 1.0]
    """

    registry_name = "confusion_counts"
    larger_is_better = True
    tasks = _OF_CLASSES

    def names(self, kind: Kind) -> list[str]:
        """Return four names, or four for each class."""
        four = [f"{self.name}_{each}" for each in _counts.Counts._fields]
        if kind.columns == 1:
            return four
        return [f"{each}_{c}" for each in four for c in range(kind.columns)]

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> Array:
        """Return the four counts of class 1, or those of all classes after one another."""
        classes = kind.columns if kind.task == "multiclass" else None
        counts = _counts.confusion_counts(
            kind.truth(y), kind.labels(p), n_classes=classes, sample_weight=w
        )
        four = np.array(counts)
        return four[:, 1] if kind.columns == 1 else four.ravel()

    def sums(self) -> tuple[Sum, ...]:
        """Return the counts of the classes."""
        return (CONFUSION,)

    def of_sums(self, kind: Kind, sums: RowSums) -> list[float]:
        """Return what `compute` returns."""
        counts, unit = sums.tally.counts(sums.weight), sums.unit
        if kind.columns == 1:
            return [each[1] * unit for each in counts]
        return [count * unit for each in counts for count in each]


class _OfCounts(Metric):
    larger_is_better = True
    tasks = _OF_CLASSES
    function: ClassVar[Callable[..., Any]]

    def __init__(self, average: str | None = _AUTO, zero_division: float = 0.0) -> None:
        where = type(self).__name__
        _counts.check_average(where, average, (_AUTO, *_counts.AVERAGES))
        self._average = average
        self._zero_division = _counts.check_zero_division(where, zero_division)

    @property
    def average(self) -> str | None:
        """The name of the average."""
        return self._average

    @property
    def zero_division(self) -> float:
        """What stands for 0 / 0."""
        return self._zero_division

    @property
    def name(self) -> str:
        """The name in the logs, with that of an average that was chosen."""
        plain = self._average in (_AUTO, None)
        return self.registry_name if plain else f"{self.registry_name}_{self._average}"

    def params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {"average": self._average, "zero_division": self._zero_division}

    def expect(self, where: str, kind: Kind) -> None:
        """Refuse losses for regression, and "binary" for several classes."""
        super().expect(where, kind)
        two_classes = kind.columns == (2 if kind.task == "multiclass" else 1)
        if self._average == "binary" and not two_classes:
            raise ValueError(
                f"[{where}] {self.name} is of the classes 0 and 1; the model has {kind.columns} "
                "outputs: expected average='micro', 'macro', 'weighted' or None"
            )

    def names(self, kind: Kind) -> list[str]:
        """Return one name, or with average=None one for each class."""
        return per_class(self.name, kind) if self._average is None else [self.name]

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> Any:
        """Return the average, or the figures of the classes."""
        average = self._average_for(kind)
        value = type(self).function(
            kind.truth(y),
            kind.labels(p),
            average=average,
            zero_division=self._zero_division,
            sample_weight=w,
        )
        if average is not None:
            return value
        # The last classes may occur neither among the targets nor among the predictions.
        missing = len(self.names(kind)) - len(value)
        return np.append(value, [self._zero_division] * missing)

    def sums(self) -> tuple[Sum, ...]:
        """Return the counts of the classes."""
        return (CONFUSION,)

    def of_sums(self, kind: Kind, sums: RowSums) -> float | list[float]:
        """Return the average, or the figures of the classes."""
        average = self._average_for(kind)
        return _counts.figure(self.registry_name, sums.tally, average, self._zero_division)

    def _average_for(self, kind: Kind) -> str | None:
        if self._average != _AUTO:
            return self._average
        return "binary" if kind.columns == 1 else "macro"


class Precision(_OfCounts):
    """How many of the rows that are said to be of a class are of it; see `metrics.precision`.

    Parameters
    ----------
    average : {"auto", "binary", "micro", "macro", "weighted"} or None, default "auto"
        "auto" is "binary" for one output and otherwise "macro". None gives a figure for each class.
    zero_division : {0, 1, nan}, default 0

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.Precision()([0, 1, 1, 0], [0.1, 0.9, 0.2, 0.8])
    0.5
    """

    registry_name = "precision"
    function = staticmethod(_counts.precision)


class Recall(_OfCounts):
    """How many of the rows of a class are said to be of it; see `metrics.recall`.

    Parameters
    ----------
    average : {"auto", "binary", "micro", "macro", "weighted"} or None, default "auto"
        "auto" is "binary" for one output and otherwise "macro". None gives a figure for each class.
    zero_division : {0, 1, nan}, default 0

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.Recall()([0, 1, 1, 1], [0.1, 0.9, 0.9, 0.8])
    1.0
    """

    registry_name = "recall"
    function = staticmethod(_counts.recall)


class F1(_OfCounts):
    """The harmonic mean of precision and recall; see `metrics.f1`.

    Parameters
    ----------
    average : {"auto", "binary", "micro", "macro", "weighted"} or None, default "auto"
        "auto" is "binary" for one output and otherwise "macro". None gives a figure for each class.
    zero_division : {0, 1, nan}, default 0

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.F1(average=None)([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]).round(3).tolist()
    [0.667, 0.667]
    """

    registry_name = "f1"
    function = staticmethod(_counts.f1)
