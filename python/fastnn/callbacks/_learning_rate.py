# SPDX-License-Identifier: BSD-3-Clause
"""Callbacks that change the learning rate: when a figure stops to improve, and by epoch."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from fastnn import _validate
from fastnn._hints import shown

from ._callback import Callback, entry
from ._monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._callback import Logs

__all__ = ["LearningRateScheduler", "ReduceLROnPlateau"]


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by a factor when a figure has not improved for some epochs.

    The parameters are Keras'. All rates are multiplied, those of ``param_groups`` too. The rate
    has to be a number; with a schedule, the training is refused. The history has ``lr``.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name of the figure in the logs.
    factor : float, default 0.1
        Below 1.
    patience : int, default 10
        Number of epochs without improvement after which the rate is reduced.
    mode : {"auto", "min", "max"}, default "auto"
        Whether the figure should become small or large. "auto" means large for accuracies and small
        for all others.
    min_delta : float, default 1e-4
        A change counts as an improvement if it is larger than this.
    cooldown : int, default 0
        Number of epochs after a reduction that are not counted.
    min_lr : float, default 0
        The rate does not become smaller than this.

    Attributes
    ----------
    best : float
        The best value so far.
    best_epoch : int or None
        Number of the best epoch so far.

    Raises
    ------
    ValueError, TypeError
        A number out of its range; when fit begins, a figure that will not be in the logs, or a
        learning rate that is a schedule.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn, optim
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile(optim.SGD(lr=0.0625), "mse", max_grad_value=1e-9)  # hardly learns
    >>> reduce = callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=2)
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=6, callbacks=[reduce])
    >>> history.history["lr"]
    [0.0625, 0.0625, 0.0625, 0.03125, 0.03125, 0.015625]
    """

    _changes_lr = True

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, min_delta, mode)
        where = type(self).__name__
        self.factor = _validate.not_negative(where, "factor", factor)
        if self.factor >= 1:
            raise ValueError(f"[{where}] factor is {shown(factor)}; expected a number below 1")
        self.patience = _validate.integer(where, "patience", patience, 0)
        self.cooldown = _validate.integer(where, "cooldown", cooldown, 0)
        self.min_lr = _validate.not_negative(where, "min_lr", min_lr)

    def _forget(self) -> None:
        super()._forget()
        self._waited = self._resting = 0

    def on_train_begin(self) -> None:
        """Reset the callback, and refuse a figure or a learning rate that it cannot use."""
        self._forget()
        self._expect_figure()
        schedule = self.model.optimizer.schedule
        if schedule is not None:
            raise ValueError(
                f"[{type(self).__name__}] the learning rate is {schedule!r}; expected a number"
            )

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Count the epoch, and reduce the rate if it is the last one of too many."""
        if self._resting > 0:
            self._resting -= 1
            self._waited = 0
        if self._improves(epoch, logs):
            self._waited = 0
            return
        if self._resting > 0:
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.model._scale_lr(type(self).__name__, self.factor, self.min_lr)
            self._waited, self._resting = 0, self.cooldown

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, and how many epochs have been waited and are still to rest."""
        return {**super().state_dict(), "waited": self._waited, "resting": self._resting}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with such a state."""
        super().load_state_dict(state)
        where = type(self).__name__
        self._waited = entry(where, state, "waited", int)
        self._resting = entry(where, state, "resting", int)


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch to what a function returns, as Keras does.

    A rate that follows from the epoch alone is a schedule as well, ``optim.SGD(lr=function)``; this
    callback is for functions that look at the present rate, or at anything else. Parameters whose
    group in ``param_groups`` has a learning rate keep that one. The history has ``lr``.

    Parameters
    ----------
    schedule : callable
        Function of the number of the epoch, from 0, and the present learning rate; a function of
        the epoch alone will do.

    Raises
    ------
    TypeError
        If `schedule` is no function of one or two arguments, or returns no number.
    ValueError
        If it returns a number that is not finite or below 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn, optim
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile(optim.SGD(lr=0.1), "mse")
    >>> halve = callbacks.LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch > 1 else lr)
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=4, callbacks=[halve])
    >>> history.history["lr"]
    [0.1, 0.1, 0.05, 0.025]
    """

    _changes_lr = True

    def __init__(self, schedule: Callable[..., float]) -> None:
        where, given = type(self).__name__, schedule
        if not callable(given):
            raise TypeError(
                f"[{where}] schedule is {shown(given)}; expected a function of epoch and lr"
            )
        self.schedule = given
        self._takes_rate = _binds(given, 0, 0.0)
        if not self._takes_rate and not _binds(given, 0):
            raise TypeError(
                f"[{where}] schedule cannot be called with the epoch and the learning rate; "
                "expected a function of epoch and lr"
            )

    def on_epoch_begin(self, epoch: int) -> None:
        """Set the rate."""
        given = (epoch, self.model.lr) if self._takes_rate else (epoch,)
        where, what = type(self).__name__, f"what schedule returned for epoch {epoch}"
        self.model.lr = _validate.not_negative(where, what, self.schedule(*given))


def _binds(function: Callable[..., Any], *args: Any) -> bool:
    """Whether the function takes these arguments, as far as its signature tells."""
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        return False
    except ValueError:  # a C function without a signature
        return True
    return True
