# SPDX-License-Identifier: BSD-3-Clause
"""The common part of callbacks that watch one figure in the logs: its best value so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _validate
from fastnn._hints import shown
from fastnn.metrics import larger_is_better

from ._callback import Callback, entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._callback import Logs

__all__ = ["Monitor", "expect_figure"]


def expect_figure(where: str, monitor: str, known: Sequence[str]) -> None:
    """Refuse the name of a figure that will not be in the logs, which have the `known` ones."""
    if monitor not in known:
        hint = ""
        if "val_loss" not in known:
            hint = "; give fit validation_data or validation_split (an estimator: X_val and y_val)"
        raise ValueError(
            f"[{where}] monitor is {monitor!r}; the logs have {', '.join(known)}{hint}"
        )


class Monitor(Callback):
    """Base of the callbacks that compare a figure with its best value.

    Attributes
    ----------
    monitor : str
        Name of the figure in the logs.
    min_delta : float
        A change counts as an improvement if it is larger than this.
    best : float
        The best value so far.
    best_epoch : int or None
        Number of the best epoch so far.
    """

    def __init__(self, monitor: str, min_delta: float, mode: str) -> None:
        where = type(self).__name__
        given: Any = mode
        if not isinstance(given, str) or given not in ("auto", "min", "max"):
            raise ValueError(f"[{where}] mode is {shown(mode)}; expected 'auto', 'min' or 'max'")
        if not isinstance(monitor, str):
            raise TypeError(f"[{where}] monitor is {shown(monitor)}; expected a name: 'val_loss'")
        self.monitor, self.mode = monitor, mode
        self.min_delta = _validate.not_negative(where, "min_delta", min_delta)
        largest = mode == "max" or (mode == "auto" and larger_is_better(monitor))
        self._sign = -1.0 if largest else 1.0
        self._forget()

    def _forget(self) -> None:
        """Begin without a best value."""
        self.best = float("inf") * self._sign
        self.best_epoch: int | None = None

    def _expect_figure(self) -> None:
        expect_figure(type(self).__name__, self.monitor, self.params["metrics"])

    def _improves(self, epoch: int, logs: Logs) -> bool:
        """Whether the figure of this epoch is the best so far, which it is from then on."""
        value = logs[self.monitor]
        gain = self._sign * (self.best - value)
        # Comparisons with NaN are false, so NaN is never an improvement.
        if gain > self.min_delta:
            self.best, self.best_epoch = value, epoch
            return True
        return False

    def state_dict(self) -> dict[str, Any]:
        """Return the name of the figure, its best value and the number of that epoch."""
        best = None if self.best_epoch is None else float(self.best)
        return {"monitor": self.monitor, "best": best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the best value of such a state, which must be of the same figure."""
        where = type(self).__name__
        if entry(where, state, "monitor", str) != self.monitor:
            raise ValueError(
                f"[{where}] monitor is {self.monitor!r}; the state is of {state['monitor']!r}"
            )
        self._forget()
        self.best_epoch = entry(where, state, "best_epoch", int, None)
        if self.best_epoch is not None:
            self.best = entry(where, state, "best", float)
