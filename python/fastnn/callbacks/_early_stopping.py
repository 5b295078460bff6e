# SPDX-License-Identifier: BSD-3-Clause
"""Early stopping: the end of a training whose validation figure no longer improves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _validate

from ._callback import entry
from ._monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn._validate import Array

    from ._callback import Logs

__all__ = ["EarlyStopping"]


class EarlyStopping(Monitor):
    """Stop training when a figure has not improved for `patience` epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the figure in the logs.
    min_delta : float, default 0
        A change counts as an improvement if it is larger than this.
    patience : int, default 0
        Number of epochs without improvement after which training stops; 0 is the same as 1.
    mode : {"auto", "min", "max"}, default "auto"
        Whether the figure should become small or large. "auto" knows the metrics of
        `fastnn.metrics` by their names, and means small for all others but accuracies.
    restore_best_weights : bool, default True
        Whether to restore the values of the best epoch at the end, however the training ends: also
        after the last epoch, ``model.stop()``, Ctrl-C or another exception. (Keras' default is
        False.) The optimizer's state remains that of the last epoch.
    start_from_epoch : int, default 0
        Earlier epochs are ignored.

    Attributes
    ----------
    best : float
        The best value so far.
    best_epoch : int or None
        Number of the best epoch so far.
    stopped_epoch : int or None
        Number of the epoch after which training was stopped; None if it was not.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn, optim
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile(optim.SGD(lr=0.0), "mse")
    >>> stop = callbacks.EarlyStopping(monitor="loss", patience=3)
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=100, callbacks=[stop])
    >>> stop.best_epoch, stop.stopped_epoch, len(history.epoch)
    (0, 3, 4)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        mode: str = "auto",
        *,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, min_delta, mode)
        where = type(self).__name__
        self.patience = _validate.integer(where, "patience", patience, 0)
        self.restore_best_weights = _validate.flag(
            where, "restore_best_weights", restore_best_weights
        )
        self.start_from_epoch = _validate.integer(where, "start_from_epoch", start_from_epoch, 0)

    def _forget(self) -> None:
        super()._forget()
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._values: dict[str, Array] | None = None

    def on_train_begin(self) -> None:
        """Reset the callback, and refuse a name that will not be in the logs."""
        self._forget()
        self._expect_figure()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Copy the values if they are the best; otherwise count the epoch and maybe stop."""
        if epoch < self.start_from_epoch:
            return
        if self._improves(epoch, logs):
            self._waited = 0
            if self.restore_best_weights:
                self._values = {k: np.array(v) for k, v in self.model.state_dict().items()}
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self) -> None:
        """Restore the values of the best epoch."""
        self.close()

    def close(self) -> None:
        """Restore the values of the best epoch after a training that raised, too."""
        if self._values is not None:
            self.model.load_state_dict(self._values)
            self._values = None

    def state_dict(self) -> dict[str, Any]:
        """Return what is known of the best epoch, with its values, and how long it is ago."""
        return {
            **super().state_dict(),
            "stopped_epoch": self.stopped_epoch,
            "waited": self._waited,
            "values": self._values,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with such a state; the values must be those of a model like this one."""
        super().load_state_dict(state)
        where = type(self).__name__
        self.stopped_epoch = entry(where, state, "stopped_epoch", int, None)
        self._waited = entry(where, state, "waited", int)
        values = entry(where, state, "values", dict, None)
        if not self.restore_best_weights or self.best_epoch is None:
            return
        if values is None:
            raise ValueError(
                f"[{where}] the state has no values of the best epoch; expected one that was taken "
                "with restore_best_weights=True"
            )
        own = {key: array.shape for key, array in self.model.state_dict().items()}
        if {key: np.shape(array) for key, array in values.items()} != own:
            raise ValueError(
                f"[{where}] the values of the best epoch are {', '.join(values)}; expected "
                f"arrays in the shapes of {', '.join(own)}"
            )
        self._values = values
