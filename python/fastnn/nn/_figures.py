# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the compiled metrics: from sums over rows that the core takes, or predictions.

A metric whose figures follow from sums over rows has them of training rows as well. All others
need the predictions of all rows, which the core stores in the same pass as it computes the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _core

from ._function_loss import FunctionLoss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn._validate import Array
    from fastnn.metrics import Metric
    from fastnn.metrics._metric import Kind, Sum

    from ._loss import Loss

__all__ = ["Figures"]


class Figures(NamedTuple):
    """The metrics of one call of compile, with its loss. Modules of metrics are imported late."""

    metrics: tuple[Metric, ...]
    loss: Loss

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

    @property
    def summed(self) -> tuple[Metric, ...]:
        """The metrics whose sums over rows the core takes; none if a function is the loss."""
        if not self.metrics or isinstance(self.loss, FunctionLoss):
            return ()
        from fastnn.metrics._chosen import is_own

        return tuple(each for each in self.metrics if each.sums() and not is_own(each))

    @property
    def predicted(self) -> tuple[Metric, ...]:
        """The metrics that are computed from predictions."""
        summed = self.summed
        return tuple(metric for metric in self.metrics if metric not in summed)

    @property
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

    def _sums(self) -> list[Sum]:
        """Return the different sums, in the order in which the core has them."""
        found = {each: None for metric in self.summed for each in metric.sums()}
        return [each for each in found if each[0] != "accuracy"]

    def core_sums(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the sums as the core's compile takes them."""
        return [(name, dict(params)) for name, params in self._sums()]

    def names(self, k: int) -> tuple[list[str], list[str]]:
        """Return the names of the figures of training rows, and of those of other rows."""
        if not self.metrics:
            return [], []
        kind, summed = self.kind(k), self.summed
        named = [(metric in summed, name) for metric in self.metrics for name in metric.names(kind)]
        return [name for sums, name in named if sums], [name for _, name in named]

    def of_sums(self, k: int, logs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the core has computed, with figures in the place of the sums."""
        replaced = {f"{prefix}{name}" for prefix in ("", "val_") for name in ("accuracy", "sums")}
        found = {name: value for name, value in logs.items() if name not in replaced}
        for prefix in ("", "val_"):
            if f"{prefix}loss" in logs:
                own = self._of_rows(k, logs.get(f"{prefix}accuracy"), logs.get(f"{prefix}sums"))
                found.update({f"{prefix}{name}": value for name, value in own.items()})
        return found

    def _of_rows(self, k: int, accuracy: Any, sums: Any) -> dict[str, float]:
        if accuracy is None and sums is None:
            return {}
        from fastnn.metrics._metric import RowSums

        weight, unit, arrays = (np.nan, 1.0, []) if sums is None else sums
        taken = RowSums(weight, unit, dict(zip(self._sums(), arrays, strict=True)), accuracy)
        kind, found = self.kind(k), {}
        for metric in self.summed:
            found.update(metric.named(kind, metric.of_sums(kind, taken)))
        return found

    def of_predictions(self, y: Array, p: Array, w: Array | None) -> dict[str, float]:
        """Return the figures that need the predictions p of all rows, with targets y."""
        kind, found = self.kind(p.shape[1]), {}
        for metric in self.predicted:
            found.update(metric.named(kind, metric.compute(kind, y, p, w)))
        return found

    def room(self, network: _core.Network, x: Array) -> Array | None:
        """Return an array for the predictions of the rows of x, if a metric needs them."""
        if not self.predicted or isinstance(self.loss, FunctionLoss):
            return None
        return np.empty((*x.shape[:1], network.n_outputs), network.dtype)
