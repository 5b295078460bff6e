# SPDX-License-Identifier: BSD-3-Clause
"""The history of a call of fit: losses and metrics of each epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["History"]


@dataclass
class History:
    """The record of one call of ``Sequential.fit``.

    Attributes
    ----------
    history : dict of str to list of float
        ``"loss"`` is the loss of the rows of the epoch, sum(w l) / sum(w) with their weights (or
        sum(w l) for ``reduction="sum"``). The loss of each batch is computed before its update and
        without penalty terms; the same holds for metrics. ``"val_..."`` is computed after the
        epoch.
    epoch : list of int
        Numbers of the epochs that ended, from ``initial_epoch``.
    params : dict
        Arguments of fit: batch_size, epochs, initial_epoch, verbose; and steps per epoch.
    steps : int
        Number of optimizer steps.
    seconds : float
        Time that the core took.
    threads_used : int
        Number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), batch_size=4, epochs=3)
    >>> history.epoch, len(history.history["loss"]), history.steps
    ([0, 1, 2], 3, 6)
    """

    params: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    threads_used: int = 0

    def copy(self) -> History:
        """Return a copy, which has whole epochs even while another thread adds one."""
        epoch = list(self.epoch)
        curves = {name: curve[: len(epoch)] for name, curve in list(self.history.items())}
        return History(
            dict(self.params), curves, epoch, self.steps, self.seconds, self.threads_used
        )

    def add(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Append the figures of an epoch."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        self.epoch.append(epoch)  # last, because `copy` counts the epochs by this list

    def finish(self, result: Mapping[str, Any]) -> None:
        """Add the figures that the core returned at the end of fit."""
        self.steps = int(result["steps"])
        self.seconds = float(result["seconds"])
        self.threads_used = int(result["threads_used"])
        self.take(result)

    def take(self, curves: Mapping[str, Any]) -> None:
        """Replace the figures of all epochs by those that the core recorded."""
        if self.epoch:
            return
        self.history = {
            name: list(curve) for name, curve in curves.items() if isinstance(curve, list)
        }
        first = int(self.params.get("initial_epoch", 0))
        ended = max(map(len, self.history.values()), default=0)
        self.epoch = list(range(first, first + ended))

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={curve[-1]:.4g}" for name, curve in self.history.items() if curve)
        return f"History({len(self.epoch)} epochs{': ' if last else ''}{last})"
