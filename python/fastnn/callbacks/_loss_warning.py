# SPDX-License-Identifier: BSD-3-Clause
"""The report of a course's training loop: loss and accuracy, with a warning if the loss went up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _validate
from fastnn._hints import shown

from ._callback import Callback, entry
from ._monitor import expect_figure
from ._progress import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._callback import Logs

__all__ = ["LossWarning"]

_SIDES = {"loss": "Train", "val_loss": "Validation"}


class LossWarning(Callback):
    """Print the loss now and then, with "WARNING - Loss Increasing" if it went up.

    The text is that of the gradient descent notebook in Udacity's deep learning course, which
    compares with the loss that was printed before. The loss of an epoch is measured while it
    trains; with the training rows as ``validation_data`` and ``monitor="val_loss"`` it is that
    after the epoch, as in the notebook.

    Parameters
    ----------
    every : int, optional
        Print after the first epoch and each `every` further ones; by default ten times in all.
    monitor : str, default "loss"
        Name of the figure in the logs. With "loss" and "val_loss", the accuracy of the same rows is
        printed, too, if it is measured.

    Attributes
    ----------
    epochs : list of int
        Numbers of the epochs with a warning.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn, optim
    >>> model = nn.Sequential(nn.Linear(1, 1, bias=False))
    >>> model[0].weight[:] = 0
    >>> model.compile(optim.SGD(lr=1.5), "mse")
    >>> report = callbacks.LossWarning()
    >>> history = model.fit([[1]], [1], epochs=2, callbacks=[report])
    <BLANKLINE>
    ========== Epoch 0 ==========
    Train loss:  1.0
    <BLANKLINE>
    ========== Epoch 1 ==========
    Train loss:  4.0   WARNING - Loss Increasing
    """

    def __init__(self, every: int | None = None, monitor: str = "loss") -> None:
        where = type(self).__name__
        if not isinstance(monitor, str):
            raise TypeError(f"[{where}] monitor is {shown(monitor)}; expected a name: 'val_loss'")
        self.monitor = monitor
        self.every = None if every is None else _validate.integer(where, "every", every)
        self._forget()

    def _forget(self) -> None:
        self.epochs: list[int] = []
        self._last: float | None = None

    def on_train_begin(self) -> None:
        """Reset the callback, and refuse a name that will not be in the logs."""
        self._forget()
        expect_figure(type(self).__name__, self.monitor, self.params["metrics"])
        self._out = Output()
        self._first = self.params["initial_epoch"]
        self._every = self.every or max(1, (self.params["epochs"] - self._first) // 10)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Print the figures if it is the turn of this epoch."""
        if (epoch - self._first) % self._every:
            return
        loss = float(logs[self.monitor])
        warning = ""
        if self._last is not None and self._last < loss:
            warning = "   WARNING - Loss Increasing"
            self.epochs.append(epoch)
        self._last = loss
        side = _SIDES.get(self.monitor)
        name = self.monitor if side is None else f"{side} loss"
        lines = ["", f"========== Epoch {epoch} ==========", f"{name}:  {loss}{warning}"]
        accuracy = logs.get(self.monitor.replace("loss", "accuracy")) if side else None
        if accuracy is not None:
            lines.append(f"Accuracy:  {accuracy}")
        self._out.write("\n".join(lines) + "\n")
        self._out.flush()

    def state_dict(self) -> dict[str, Any]:
        """Return the loss that was printed last, and the epochs with a warning."""
        return {
            "last": self._last,
            "epochs": list(self.epochs),
            "first": self._first,
            "every": self._every,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with such a state."""
        where = type(self).__name__
        self._last = entry(where, state, "last", float, None)
        self._first = entry(where, state, "first", int)
        self._every = _validate.integer(where, "every", entry(where, state, "every", int))
        epochs = entry(where, state, "epochs", list)
        if not all(isinstance(epoch, int) for epoch in epochs):
            raise ValueError(f"[{where}] epochs in the state is {shown(epochs)}; expected numbers")
        self.epochs = epochs
