# SPDX-License-Identifier: BSD-3-Clause
"""The base of metrics for ``compile(metrics=[...])``, and what they see of a model.

A metric gets targets as the caller gave them and what `predict` returns. Which of classes, flags,
scores or numbers it computes from follows from the loss: see `Kind`.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from fastnn._hints import shown

from ._arrays import one_column, same_rows
from ._counts import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastnn._validate import Array

__all__ = [
    "ACCURACY",
    "CONFUSION",
    "Kind",
    "Metric",
    "Own",
    "RowSums",
    "Sum",
    "kind_of_arrays",
    "per_class",
    "sum_of",
]

# A sum over rows that the engine takes: its name in the core's registry, and its parameters.
Sum: TypeAlias = "tuple[str, tuple[tuple[str, Any], ...]]"


# The accuracy, which the core sums as the loss defines it, beside the members of the registry.
ACCURACY: Sum = ("accuracy", ())


def sum_of(name: str, **params: Any) -> Sum:
    """Return the sum of this name with these parameters."""
    return name, tuple(params.items())


# The counts of each class or label: four rows of them, see `Tally`.
CONFUSION: Sum = sum_of("confusion")


class RowSums:
    """What the engine has summed over rows.

    Sums are lists of floats: an epoch has few of them, on which NumPy would take longer.

    Attributes
    ----------
    weight : float
        The sum of the rows' weights.
    unit : float
        Weights are in units of it, a power of two, so that those of any size can be summed.
    lists : mapping of Sum to list of float
    accuracy : float
        The weighted mean of the shares of right labels.
    """

    def __init__(
        self,
        weight: float,
        unit: float,
        lists: Mapping[Sum, list[float]],
        accuracy: float = math.nan,
    ) -> None:
        self.weight, self.unit, self.lists, self.accuracy = weight, unit, lists, accuracy
        self._tally: Tally | None = None

    def mean(self, which: Sum) -> list[float]:
        """Return sums divided by the weights."""
        return [each / self.weight for each in self.lists[which]]

    @property
    def tally(self) -> Tally:
        """The counts of the classes, which several metrics need."""
        if self._tally is None:
            numbers = self.lists[CONFUSION]
            k = len(numbers) // 4
            self._tally = Tally(*[numbers[at : at + k] for at in range(0, 4 * k, k)])
        return self._tally


class Kind(NamedTuple):
    """What the targets and predictions of a model are.

    Attributes
    ----------
    task : str
        "regression", "binary" or "multiclass", as in the row of the loss.
    columns : int
        Number of columns of the predictions.
    boundary : float
        A prediction of a binary task above it is a yes.
    probabilities : bool
        Whether the predictions of classes are probabilities.
    loss : str
        The class name of the loss, for messages.
    each : int
        Outputs for each target.
    """

    task: str
    columns: int
    boundary: float = 0.5
    probabilities: bool = True
    loss: str = "the loss"
    each: int = 1

    @classmethod
    def of_loss(cls, row: Mapping[str, Any], columns: int, each: int = 1) -> Kind:
        """Return the kind of a model with the loss of this registry row.

        each: outputs for each target, which may depend on the parameters of the loss.
        """
        task, other = row["task"], bool(row["predicts"])
        return cls(task, columns, 0.0 if other else 0.5, not other, row["class_name"], each)

    def truth(self, y: Array) -> Array:
        """Return the targets as numbers, as classes (n,), or as flags (n, columns)."""
        if self.task == "regression":
            return y
        if self.task == "multiclass":
            several = y.ndim == 2 and y.shape[1] > 1
            classes: Array = y.argmax(axis=1) if several else one_column(y).astype(np.int64)
            return classes
        return one_column(y > 0.5).astype(np.int64)

    def labels(self, p: Array) -> Array:
        """Return the classes or flags that are predicted."""
        found = p.argmax(axis=1) if self.task == "multiclass" else one_column(p > self.boundary)
        labels: Array = found.astype(np.int64)
        return labels


def kind_of_arrays(y: Array, p: Array) -> Kind:
    """Return the kind of arrays without a model: several columns with classes (n,) are classes."""
    columns = 1 if p.ndim == 1 else p.shape[1]
    if columns > 1 and one_column(y).ndim == 1:
        return Kind("multiclass", columns)
    return Kind("binary", columns)


class Metric:
    """Base of the metrics. An object describes one, with its parameters.

    Attributes
    ----------
    registry_name : str
        The name by which ``compile(metrics=[...])`` knows it with the defaults.
    larger_is_better : bool
    """

    registry_name: ClassVar[str] = ""
    larger_is_better: ClassVar[bool] = False
    tasks: ClassVar[tuple[str, ...]] = ("regression", "binary", "multiclass")

    @property
    def name(self) -> str:
        """The name in the logs."""
        return self.registry_name

    def params(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {}

    def expect(self, where: str, kind: Kind) -> None:
        """Refuse a loss for which the metric is not defined."""
        if kind.task in self.tasks:
            return
        if self.tasks == ("regression",):
            needs, is_for = "numbers", "classes"
        elif kind.task == "regression":
            needs, is_for = "classes", "regression"
        else:
            needs, is_for = "several classes", "yes and no"
        raise ValueError(
            f"[{where}] {self.name} needs a loss of {needs}; {kind.loss} is for {is_for}"
        )

    def names(self, kind: Kind) -> list[str]:
        """Return the names of the figures, of which most metrics have one."""
        return [self.name]

    def sums(self) -> tuple[Sum, ...]:
        """Return the sums over rows from which the figures follow, as the core calls them.

        Without any, as by default, the figures are computed from predictions.
        """
        return ()

    def of_sums(self, kind: Kind, sums: RowSums) -> float | list[float]:
        """Return the figure, or those of the classes, from sums over rows."""
        raise NotImplementedError

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> Any:
        """Return the figure, or the array of those of the classes."""
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Compute the metric of targets and predictions, as `predict` returns them.

        Parameters
        ----------
        y_true : array_like
            Classes (n,), flags (n, labels) or numbers (n,) or (n, outputs).
        y_pred : array_like of shape (n,) or (n, columns)
            Probabilities or scores for metrics of classes, and otherwise numbers. Above 0.5 is yes.
        sample_weight : array_like of shape (n,), optional

        Returns
        -------
        float or ndarray
        """
        truth, seen = same_rows(self.registry_name, y_true, y_pred)
        kind = kind_of_arrays(truth, seen)
        if self.tasks == ("regression",):
            kind = kind._replace(task="regression")
        weights = None if sample_weight is None else np.asarray(sample_weight)
        return self.compute(kind, truth, seen, weights)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _key(self) == _key(other)

    def __hash__(self) -> int:
        return hash((type(self), _key(self)))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.params().items())
        return f"{type(self).__name__}({given})"


def _key(metric: Metric) -> str:
    return repr(metric.params())  # NaN is equal to itself here


def per_class(name: str, kind: Kind) -> list[str]:
    """Return the names of the figures of all classes or labels."""
    count = 2 if kind.task == "binary" and kind.columns == 1 else kind.columns
    return [f"{name}_{c}" for c in range(count)]


class Own(Metric):
    """A function of one's own as a metric; it is called with the arrays of all rows at once.

    Parameters
    ----------
    function : callable
        ``f(y_true, y_pred)`` or ``f(y_true, y_pred, sample_weight)``, which returns a number.
    """

    registry_name = "function"

    def __init__(self, where: str, function: Callable[..., Any]) -> None:
        name = getattr(function, "__name__", None)
        if not isinstance(name, str) or name == "<lambda>":
            raise ValueError(
                f"[{where}] metrics has {shown(function)} without a name; expected a function "
                "made by def, whose name is that of the figure"
            )
        self.function = function
        self._name = name
        self._takes_weights = _takes_weights(function)

    @property
    def name(self) -> str:
        """The function's name."""
        return self._name

    def params(self) -> dict[str, Any]:
        """Return the function."""
        return {"function": self.function}

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> float:
        """Call the function; its result must be a number."""
        given = {"sample_weight": w} if self._takes_weights == "name" else {}
        more = (w,) if self._takes_weights == "position" else ()
        value = self.function(y, p, *more, **given)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"[metrics] {self.name} returned {shown(value)}; expected a number"
            ) from None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Call the function."""
        return self.compute(Kind("regression", 1), y_true, y_pred, sample_weight)


def _takes_weights(function: Callable[..., Any]) -> str:
    """Return "name" or "position" if the function takes the weights of the rows, otherwise ""."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some functions of C have no signature
        return ""
    if "sample_weight" in parameters:
        return "name"
    required = [
        p
        for p in parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return "position" if len(required) > 2 else ""
