# SPDX-License-Identifier: BSD-3-Clause
"""What compile settled: optimizer, loss, metrics and clipping, as frozen descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _validate
from fastnn._describe import Optimizer, described
from fastnn._optimizers import OPTIMIZERS

from ._loss import Loss
from ._members import LOSSES

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastnn._validate import Array

__all__ = ["Compiled"]


@dataclass(frozen=True)
class Compiled:
    """The settings of one call of compile."""

    optimizer: Optimizer
    loss: Loss
    metrics: tuple[str, ...]
    max_grad_norm: float | None

    @classmethod
    def of(
        cls, where: str, optimizer: Any, loss: Any, metrics: Any, max_grad_norm: Any
    ) -> Compiled:
        """Strings and objects made into descriptions; wrong ones are refused."""
        chosen: Loss = described(where, "loss", loss, LOSSES, Loss)
        return cls(
            optimizer=described(where, "optimizer", optimizer, OPTIMIZERS, Optimizer),
            loss=chosen,
            metrics=_validate.metrics(where, metrics, chosen),
            max_grad_norm=(
                None
                if max_grad_norm is None
                else _validate.positive(where, "max_grad_norm", max_grad_norm)
            ),
        )

    def check_outputs(self, where: str, k: int) -> None:
        """Refuse a loss that makes no sense on k outputs."""
        if self.loss.row["task"] == "multiclass" and k < 2:
            raise ValueError(
                f"[{where}] {type(self.loss).__name__} on 1 output; expected one output a class "
                "(BCEWithLogitsLoss is for one output)"
            )

    def need_classes(self, where: str) -> None:
        """Refuse a loss without classes."""
        if self.loss.row["task"] == "regression":
            raise ValueError(
                f"[{where}] {type(self.loss).__name__} is for regression; expected a loss of "
                "classes"
            )

    def probabilities(self, where: str, p: Array) -> Array:
        """Probabilities of the classes, a column each, of what the model predicts."""
        row = self.loss.row
        if row["outputs"]:  # without a link, and so whatever the last layer gives
            wrong = (p < 0) | (p > 1)
            if wrong.any():
                r, column = np.argwhere(wrong)[0]
                raise ValueError(
                    f"[{where}] the outputs have {p[r, column]:g} at row {r}; "
                    f"{type(self.loss).__name__} expects {row['outputs']}: {row['outputs_remedy']}"
                )
        return np.hstack([1 - p, p]) if row["task"] == "binary" and p.shape[1] == 1 else p

    def apply(self, where: str, network: _core.Network, keys: Collection[str]) -> None:
        """Compile the network; `keys` are those of the layers that per_layer may name."""
        per_layer = self.optimizer.layer_hyper()
        for number in per_layer:
            if str(number) not in keys:
                known = ", ".join(keys)
                raise ValueError(
                    f"[{where}] per_layer names layer {number}; layers with parameters: {known}"
                )
        network.compile(
            self.loss.registry_name,
            self.loss.hyper(),
            self.optimizer.registry_name,
            self.optimizer.hyper(),
            {str(number): hyper for number, hyper in per_layer.items()},
            self.max_grad_norm or 0.0,
        )
