# SPDX-License-Identifier: BSD-3-Clause
"""The metrics of the scores and probabilities of classes that compile knows: one class each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _validate

from . import _counts, _numbers, _ranking
from ._metric import Kind, Metric, RowSums, Sum, per_class, sum_of

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["AUC", "AveragePrecision", "LogLoss", "TopK"]

_OF_CLASSES = ("binary", "multiclass")


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

    def sums(self) -> tuple[Sum, ...]:
        """Return the weight of the rows whose class is among the k."""
        return (sum_of("top_k", k=self._k),)

    def of_sums(self, kind: Kind, sums: RowSums) -> float:
        """Return the share of the rows."""
        return sums.mean(*self.sums())[0]


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

    def sums(self) -> tuple[Sum, ...]:
        """Return the sum of the logarithms."""
        return (sum_of("log_loss"),)

    def of_sums(self, kind: Kind, sums: RowSums) -> float:
        """Return the weighted mean."""
        (mean,) = sums.mean(*self.sums())
        if math.isnan(mean):
            raise _numbers.no_probabilities(self.registry_name)
        return mean


class _OverThresholds(Metric):
    """A figure over all thresholds of the scores, of each class or averaged over classes."""

    larger_is_better = True
    tasks = _OF_CLASSES

    def __init__(self, average: str | None) -> None:
        _counts.check_average(type(self).__name__, average, _ranking.MEANS)
        self._average = average

    @property
    def average(self) -> str | None:
        """The name of the average."""
        return self._average

    def names(self, kind: Kind) -> list[str]:
        """Return one name, or with average=None one for each class."""
        each = self._average is None and kind.columns > 1
        return per_class(self.name, kind) if each else [self.name]


class AUC(_OverThresholds):
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

    def __init__(self, average: str | None = "macro", multi_class: str = "ovr") -> None:
        super().__init__(average)
        _ranking.check_multi_class("AUC", multi_class)
        if multi_class == "ovo" and average not in ("macro", "weighted"):
            raise ValueError(
                f"[AUC] average is {average!r} with 'ovo'; expected 'macro' or 'weighted'"
            )
        self._multi_class = multi_class

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

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> Any:
        """Return the average, or the figures of the classes."""
        pairs = kind.task == "multiclass" and self._multi_class == "ovo"
        means: Any = {"average": self._average, "multi_class": "ovo" if pairs else "ovr"}
        return _ranking.auc(kind.truth(y), p, sample_weight=w, **means)


class AveragePrecision(_OverThresholds):
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

    def __init__(self, average: str | None = "macro") -> None:
        super().__init__(average)

    @property
    def name(self) -> str:
        """The name in the logs, with that of an average that is not the default."""
        return f"{self.registry_name}{_suffix(self._average)}"

    def params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {"average": self._average}

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> Any:
        """Return the average, or the figures of the classes."""
        average: Any = self._average
        return _ranking.average_precision(kind.truth(y), p, average=average, sample_weight=w)


def _suffix(average: str | None) -> str:
    return "" if average in ("macro", None) else f"_{average}"
