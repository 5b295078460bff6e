# SPDX-License-Identifier: BSD-3-Clause
"""What may happen between epochs: stopping early, progress, functions of one's own.

Whole epochs run in C++, so the hooks are those of epochs and of the training as a whole; there are
no hooks for single batches in this version (a loop of ``train_step`` has its own place for them).
Hooks run on the thread that called fit. The model may predict, evaluate and be copied there; its
values can be changed again after ``on_train_end``.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _validate

if TYPE_CHECKING:
    from ._validate import Array
    from .nn import Sequential

__all__ = ["Callback", "EarlyStopping", "LambdaCallback", "ProgressBar"]

Logs = Mapping[str, float]


class Callback:
    """Base of the callbacks; override what is needed.

    Attributes
    ----------
    model : Sequential
        The model in training; ``model.stop_training = True`` ends it after the present epoch.
    params : dict
        epochs, initial_epoch, steps, batch_size, verbose, and ``metrics``: the names in the logs.
    """

    model: Sequential
    params: dict[str, Any]

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before each epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After each epoch, with its ``loss``, metrics, ``val_loss``; the model is up to date."""

    def on_train_end(self) -> None:
        """After the last epoch, also if training stopped early; not if it raised."""

    def close(self) -> None:
        """At the very end, whatever happened: let go of what the callback holds open."""


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_train_begin, on_train_end : callable, optional
        Without arguments.
    on_epoch_begin : callable, optional
        Of the epoch's number.
    on_epoch_end : callable, optional
        Of the epoch's number and the logs.
    """

    def __init__(
        self,
        on_train_begin: Callable[[], Any] | None = None,
        on_epoch_begin: Callable[[int], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_train_end: Callable[[], Any] | None = None,
    ) -> None:
        self._given = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
        }
        for name, function in self._given.items():
            if function is not None and not callable(function):
                raise TypeError(f"[LambdaCallback] {name} is {function!r}; expected a function")

    def _call(self, name: str, *args: Any) -> None:
        function: Callable[..., Any] | None = self._given[name]
        if function is not None:
            function(*args)

    def on_train_begin(self) -> None:
        """Call the function given for it."""
        self._call("on_train_begin")

    def on_epoch_begin(self, epoch: int) -> None:
        """Call the function given for it."""
        self._call("on_epoch_begin", epoch)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Call the function given for it."""
        self._call("on_epoch_end", epoch, logs)

    def on_train_end(self) -> None:
        """Call the function given for it."""
        self._call("on_train_end")


class EarlyStopping(Callback):
    """Stop when a figure has not improved for `patience` epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name in the logs.
    min_delta : float, default 0
        What counts as an improvement: more than this.
    patience : int, default 0
        Epochs without improvement after which training stops; 0 is the same as 1.
    mode : {"auto", "min", "max"}, default "auto"
        "auto" wants accuracies large and everything else small.
    restore_best_weights : bool, default True
        Bring back the values of the best epoch at the end (Keras' default is False). The
        optimizer's state stays that of the last epoch.
    start_from_epoch : int, default 0
        Earlier epochs are not looked at.

    Attributes
    ----------
    best : float
        The best value so far.
    best_epoch : int or None
    stopped_epoch : int or None
        The epoch that ended the training; None if it ran to its end.
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
        where = "EarlyStopping"
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"[{where}] mode is {mode!r}; expected 'auto', 'min' or 'max'")
        if not min_delta >= 0:
            raise ValueError(f"[{where}] min_delta is {min_delta!r}; expected at least 0")
        self.monitor = monitor
        self.min_delta = float(min_delta)
        self.patience = _validate.integer(where, "patience", patience, 0)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = _validate.integer(where, "start_from_epoch", start_from_epoch, 0)
        largest = mode == "max" or (mode == "auto" and monitor.endswith("accuracy"))
        self._sign = -1.0 if largest else 1.0
        self._reset()

    def _reset(self) -> None:
        self.best = float("inf") * self._sign
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._values: dict[str, Array] | None = None

    def on_train_begin(self) -> None:
        """Forget the last training; refuse a name that will not be in the logs."""
        self._reset()
        known = self.params["metrics"]
        if self.monitor not in known:
            hint = (
                "; give fit validation_data or validation_split" if "val_loss" not in known else ""
            )
            raise ValueError(
                f"[EarlyStopping] monitor is {self.monitor!r}; the logs have "
                f"{', '.join(known)}{hint}"
            )

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Keep the best values, or count the wait and stop."""
        if epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        gain = self._sign * (self.best - value)
        # NaN compares false: it is never an improvement.
        if gain > self.min_delta:
            self.best, self.best_epoch, self._waited = value, epoch, 0
            if self.restore_best_weights:
                self._values = {k: np.array(v) for k, v in self.model.state_dict().items()}
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self) -> None:
        """Bring back the best epoch's values."""
        if self._values is not None:
            self.model.load_state_dict(self._values)
            self._values = None


class ProgressBar(Callback):
    """A bar over the epochs with tqdm where it is installed, otherwise one line an epoch.

    Parameters
    ----------
    bar : bool, optional
        False: lines even if tqdm is installed. Both go to ``sys.stdout``.
    """

    def __init__(self, bar: bool | None = None) -> None:
        self.bar = bar
        self._tqdm: Any = None
        self._began = 0.0

    def on_train_begin(self) -> None:
        """Open the bar."""
        self._tqdm = None
        if self.bar is not False:
            self._tqdm = _open_bar(self.params["epochs"], self.params["initial_epoch"])

    def on_epoch_begin(self, epoch: int) -> None:
        """Take the time."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Show the figures."""
        if self._tqdm is not None:
            self._tqdm.set_postfix(
                {name: f"{value:.4g}" for name, value in logs.items()}, refresh=False
            )
            self._tqdm.update()
            return
        figures = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        seconds = time.perf_counter() - self._began
        sys.stdout.write(f"epoch {epoch + 1}/{self.params['epochs']}  {figures}  {seconds:.2f} s\n")
        sys.stdout.flush()

    def on_train_end(self) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Close the bar, also after a training that raised."""
        if self._tqdm is not None:
            self._tqdm.close()
            self._tqdm = None


def _open_bar(epochs: int, first: int) -> Any:
    try:
        with warnings.catch_warnings():
            # tqdm warns in notebooks without ipywidgets; its text bar is fine there.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=epochs, initial=first, unit="epoch", file=sys.stdout)
