# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the compiled metrics: from sums over rows that the core takes, or predictions.

A metric whose figures follow from sums over rows has them of training rows as well. All others
need the predictions of all rows, which the core stores in the same pass as it computes the loss.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn import _core

from ._function_loss import FunctionLoss

if TYPE_CHECKING:
    from fastnn._validate import Array
    from fastnn.metrics import Metric
    from fastnn.metrics._metric import Kind, Sum

    from ._loss import Loss

__all__ = ["Figures", "FiguresOfOutputs"]

# Targets, predictions and weights of all rows.
Predicted: TypeAlias = "tuple[Array, Array, Array | None]"


class Figures:
    """The metrics of one call of compile, with its loss. Modules of metrics are imported late."""

    def __init__(self, metrics: tuple[Metric, ...], loss: Loss) -> None:
        self.metrics, self.loss = metrics, loss
        self._of: dict[int, FiguresOfOutputs] = {}

    def of_outputs(self, k: int) -> FiguresOfOutputs:
        """Return the figures of a model with k outputs."""
        if k not in self._of:
            self._of[k] = FiguresOfOutputs(self, k)
        return self._of[k]

    def kind(self, k: int) -> Kind:
        """Return what the predictions are, which have k columns."""
        from fastnn.metrics._metric import Kind

        return Kind.of_loss(self.loss.row, k, self._outputs_per_target())

    def _outputs_per_target(self) -> int:
        if isinstance(self.loss, FunctionLoss):
            return 1
        return _core.outputs_per_target(self.loss.registry_name, self.loss.hyper())

    def check(self, where: str, k: int) -> None:
        """Refuse metrics that are not defined for this loss on k outputs."""
        if self.metrics:
            kind = self.kind(k)
            for metric in self.metrics:
                metric.expect(where, kind)

    @cached_property
    def summed(self) -> tuple[Metric, ...]:
        """The metrics whose sums over rows the core takes; none if a function is the loss."""
        if not self.metrics or isinstance(self.loss, FunctionLoss):
            return ()
        from fastnn.metrics._chosen import is_own

        return tuple(each for each in self.metrics if each.sums() and not is_own(each))

    @cached_property
    def predicted(self) -> tuple[Metric, ...]:
        """The metrics that are computed from predictions."""
        return tuple(metric for metric in self.metrics if metric not in self.summed)

    @cached_property
    def wants_accuracy(self) -> bool:
        """Whether the core sums the accuracy."""
        return any(name == "accuracy" for metric in self.summed for name, _ in metric.sums())

    def reads_epochs(self, validates: bool) -> bool:
        """Whether there are figures of an epoch that the core does not return as they are.

        validates: whether there are validation rows.
        """
        if validates and self.predicted:
            return True
        return any(metric.registry_name != "accuracy" for metric in self.summed)

    @cached_property
    def sums(self) -> tuple[Sum, ...]:
        """The different sums, in the order in which the core has them."""
        found = {each: None for metric in self.summed for each in metric.sums()}
        return tuple(each for each in found if each[0] != "accuracy")

    def core_sums(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the sums as the core's compile takes them."""
        return [(name, dict(params)) for name, params in self.sums]

    def room(self, network: _core.Network, x: Array) -> Array | None:
        """Return an array for the predictions of the rows of x, if a metric needs them."""
        if not self.predicted or isinstance(self.loss, FunctionLoss):
            return None
        return np.empty((*x.shape[:1], network.n_outputs), network.dtype)


class FiguresOfOutputs:
    """The figures of a model with k outputs: what is the same in every epoch is decided once."""

    def __init__(self, figures: Figures, k: int) -> None:
        self._sums = figures.sums
        self._named: list[tuple[Metric, bool, list[str]]] = []
        if figures.metrics:
            from fastnn.metrics._metric import RowSums

            self._row_sums, self._kind = RowSums, figures.kind(k)
            kind = self._kind
            summed = figures.summed
            self._named = [(each, each in summed, each.names(kind)) for each in figures.metrics]

    def names(self) -> tuple[list[str], list[str]]:
        """Return the names of the figures of training rows, and of those of other rows."""
        of_rows = [name for _, sums, names in self._named if sums for name in names]
        return of_rows, [name for _, _, names in self._named for name in names]

    def add(
        self,
        found: dict[str, float],
        accuracy: float | None,
        sums: Any,
        predicted: Predicted | None = None,
        prefix: str = "",
    ) -> None:
        """Add the figures of rows to `found`, in the order of the metrics.

        accuracy, sums : what the core has summed, as far as metrics need it
        predicted : for metrics that need predictions; None: they have no figures
        prefix : of the names
        """
        if not self._named:
            return
        weight, unit, arrays = (math.nan, 1.0, ()) if sums is None else sums
        lists = {which: array.tolist() for which, array in zip(self._sums, arrays, strict=True)}
        taken = self._row_sums(weight, unit, lists, math.nan if accuracy is None else accuracy)
        for metric, is_summed, names in self._named:
            if is_summed:
                figures = metric.of_sums(self._kind, taken)
                values = figures if isinstance(figures, list) else [figures]
            elif predicted is not None:
                computed = np.atleast_1d(metric.compute(self._kind, *predicted))
                values = computed.astype(np.float64).tolist()
            else:
                continue
            found.update(zip([prefix + name for name in names], values, strict=True))
