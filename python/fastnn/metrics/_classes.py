# SPDX-License-Identifier: BSD-3-Clause
"""The metrics of classes that compile knows: one class each, over the functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _validate

from . import _counts, _numbers, _ranking
from ._metric import Kind, Metric, per_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._validate import Array

__all__ = [
    "AUC",
    "F1",
    "Accuracy",
    "AveragePrecision",
    "ConfusionCounts",
    "Hamming",
    "LogLoss",
    "Precision",
    "Recall",
    "TopK",
]

_OF_CLASSES = ("binary", "multiclass")
_AUTO = "auto"


class Accuracy(Metric):
    """The share of labels that are right; `fit` sums it over the training batches as well.

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
        average = self._average
        if average == _AUTO:
            average = "binary" if kind.columns == 1 else "macro"
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


class TopK(Metric):
    """The share of rows whose class is among the k most probable ones.

    Parameters
    ----------
    k : int, default 5

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.TopK(k=2)([0, 2], [[0.3, 0.5, 0.2], [0.3, 0.5, 0.2]])
    0.5
    """

    registry_name = "top_k"
    larger_is_better = True
    tasks = ("multiclass",)

    def __init__(self, k: int = 5) -> None:
        self._k = _validate.integer("TopK", "k", k)

    @property
    def k(self) -> int:
        """Number of classes that may be named."""
        return self._k

    @property
    def name(self) -> str:
        """The name in the logs: "top_k", or "top_3" for another k than 5."""
        return self.registry_name if self._k == 5 else f"top_{self._k}"

    def params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {"k": self._k}

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> float:
        """Return the share of the rows."""
        return _numbers.top_k(kind.truth(y), p, k=self._k, sample_weight=w)


class LogLoss(Metric):
    """The mean of -log(p), p the probability of the true class.

    Examples
    --------
    >>> from fastnn import metrics
    >>> round(metrics.LogLoss()([1, 0], [0.5, 0.5]), 4)
    0.6931
    """

    registry_name = "log_loss"
    tasks = _OF_CLASSES

    def expect(self, where: str, kind: Kind) -> None:
        """Refuse losses without probabilities of one class a row."""
        super().expect(where, kind)
        if not kind.probabilities or (kind.task == "binary" and kind.columns > 1):
            raise ValueError(
                f"[{where}] {self.name} needs the probabilities of one class a row; {kind.loss} on "
                f"{kind.columns} outputs has none"
            )

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> float:
        """Return the weighted mean."""
        return _numbers.log_loss(kind.truth(y), p, sample_weight=w)


class AUC(Metric):
    """The area under the ROC curve; see `metrics.auc`.

    Parameters
    ----------
    average : {"macro", "weighted", "micro"} or None, default "macro"
    multi_class : {"ovr", "ovo"}, default "ovr"

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.AUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """

    registry_name = "auc"
    larger_is_better = True
    tasks = _OF_CLASSES

    def __init__(self, average: str | None = "macro", multi_class: str = "ovr") -> None:
        _counts.check_average("AUC", average, _ranking.MEANS)
        _ranking.check_multi_class("AUC", multi_class)
        if multi_class == "ovo" and average not in ("macro", "weighted"):
            raise ValueError(
                f"[AUC] average is {average!r} with 'ovo'; expected 'macro' or 'weighted'"
            )
        self._average, self._multi_class = average, multi_class

    @property
    def average(self) -> str | None:
        """The name of the average."""
        return self._average

    @property
    def multi_class(self) -> str:
        """What a class is compared with."""
        return self._multi_class

    @property
    def name(self) -> str:
        """The name in the logs, with what differs from the defaults."""
        pairs = "_ovo" if self._multi_class == "ovo" else ""
        return f"{self.registry_name}{pairs}{_suffix(self._average)}"

    def params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {"average": self._average, "multi_class": self._multi_class}

    def names(self, kind: Kind) -> list[str]:
        """Return one name, or with average=None one for each class."""
        each = self._average is None and kind.columns > 1
        return per_class(self.name, kind) if each else [self.name]

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> Any:
        """Return the average, or the figures of the classes."""
        pairs = kind.task == "multiclass" and self._multi_class == "ovo"
        means: Any = {"average": self._average, "multi_class": "ovo" if pairs else "ovr"}
        return _ranking.auc(kind.truth(y), p, sample_weight=w, **means)


class AveragePrecision(Metric):
    """The mean of the precisions at all thresholds; see `metrics.average_precision`.

    Parameters
    ----------
    average : {"macro", "weighted", "micro"} or None, default "macro"

    Examples
    --------
    >>> from fastnn import metrics
    >>> round(metrics.AveragePrecision()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """

    registry_name = "average_precision"
    larger_is_better = True
    tasks = _OF_CLASSES

    def __init__(self, average: str | None = "macro") -> None:
        _counts.check_average("AveragePrecision", average, _ranking.MEANS)
        self._average = average

    @property
    def average(self) -> str | None:
        """The name of the average."""
        return self._average

    @property
    def name(self) -> str:
        """The name in the logs, with that of an average that is not the default."""
        return f"{self.registry_name}{_suffix(self._average)}"

    def params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {"average": self._average}

    def names(self, kind: Kind) -> list[str]:
        """Return one name, or with average=None one for each class."""
        each = self._average is None and kind.columns > 1
        return per_class(self.name, kind) if each else [self.name]

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> Any:
        """Return the average, or the figures of the classes."""
        average: Any = self._average
        return _ranking.average_precision(kind.truth(y), p, average=average, sample_weight=w)


def _suffix(average: str | None) -> str:
    return "" if average in ("macro", None) else f"_{average}"
