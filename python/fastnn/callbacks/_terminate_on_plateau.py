# SPDX-License-Identifier: BSD-3-Clause
"""The end of a training whose loss no longer goes down, by scikit-learn's rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _validate

from ._callback import entry
from ._monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._callback import Logs

__all__ = ["TerminateOnPlateau"]


class TerminateOnPlateau(Monitor):
    """Stop when the training loss has not improved by `tol` in too many epochs in a row.

    This is the rule of ``MLPClassifier`` and ``MLPRegressor`` of scikit-learn: an epoch counts if
    its loss is above the smallest loss so far minus `tol`, any other epoch begins the count anew,
    and training stops when more than `n_iter_no_change` epochs in a row have counted.
    `EarlyStopping` differs: there, the best value only changes by improvements of more than
    ``min_delta``, and the values of the best epoch come back.

    Parameters
    ----------
    tol : float, default 1e-4
    n_iter_no_change : int, default 10
    monitor : str, default "loss"
        Name of the figure in the logs.
    mode : {"auto", "min", "max"}, default "auto"
        Whether the figure should become small or large. "auto" means large for accuracies and small
        for all others.

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
    >>> stop = callbacks.TerminateOnPlateau(n_iter_no_change=3)
    >>> model.fit(np.ones((8, 2)), np.ones(8), epochs=100, callbacks=[stop]).epoch
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        monitor: str = "loss",
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, 0.0, mode)
        where = type(self).__name__
        self.tol = _validate.not_negative(where, "tol", tol)
        self.n_iter_no_change = _validate.integer(where, "n_iter_no_change", n_iter_no_change)

    def _forget(self) -> None:
        super()._forget()
        self.stopped_epoch: int | None = None
        self._waited = 0

    def on_train_begin(self) -> None:
        """Reset the callback, and refuse a name that will not be in the logs."""
        self._forget()
        self._expect_figure()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Count the epoch or begin the count anew, and maybe stop."""
        value = self._sign * logs[self.monitor]
        # As scikit-learn computes it, so that rounding decides alike; NaN begins the count anew.
        self._waited = self._waited + 1 if value > self._sign * self.best - self.tol else 0
        self._improves(epoch, logs)
        if self._waited > self.n_iter_no_change:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def state_dict(self) -> dict[str, Any]:
        """Return what is known of the best epoch, and how many epochs have counted."""
        return {
            **super().state_dict(),
            "stopped_epoch": self.stopped_epoch,
            "waited": self._waited,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with such a state."""
        super().load_state_dict(state)
        where = type(self).__name__
        self.stopped_epoch = entry(where, state, "stopped_epoch", int, None)
        self._waited = entry(where, state, "waited", int)
