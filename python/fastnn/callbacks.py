# SPDX-License-Identifier: BSD-3-Clause
"""Callbacks of fit: early stopping, progress display, and the user's own.

Whole epochs run in C++, so there are hooks at the beginning and end of an epoch and of the
training, but none for single batches (use a loop of ``train_step`` for those). Hooks run on the
thread that called fit. In them the model may predict, evaluate and be copied; its values can be
changed only in ``on_train_end``. A callback with a hook of an unknown name is refused when fit
begins.
"""

from __future__ import annotations

import inspect
import re
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _validate
from ._hints import shown

if TYPE_CHECKING:
    from ._protocols import ModelInTraining
    from ._validate import Array

__all__ = ["Callback", "EarlyStopping", "LambdaCallback", "ProgressBar"]

Logs = Mapping[str, float]


class Callback:
    """Base of the callbacks; override the hooks that you need.

    Attributes
    ----------
    model : Sequential
        The model in training; ``model.stop_training = True`` ends fit after the present epoch.
    params : dict
        epochs, initial_epoch, steps, batch_size, verbose, and ``metrics``, the names in the logs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn
    >>> class Report(callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print("epoch", epoch, sorted(logs))
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=2, callbacks=[Report()])
    epoch 0 ['loss']
    epoch 1 ['loss']
    """

    model: ModelInTraining
    params: dict[str, Any]

    def on_train_begin(self) -> None:
        """Called before the first epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Called before each epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after each epoch with its ``loss``, metrics and ``val_loss``."""

    def on_train_end(self) -> None:
        """Called after the last epoch, also if training stopped early, but not if it raised."""

    def close(self) -> None:
        """Called at the end in any case, also after Ctrl-C and other exceptions.

        It is meant for closing files and the like; the model may be changed again.
        """


def check_hooks(where: str, callback: Callback) -> None:
    """Refuse hooks with unknown names, and hooks that do not take the arguments of fit."""
    name = type(callback).__name__
    known = [hook for hook in vars(Callback) if not hook.startswith("_")]
    for hook in known:
        function = getattr(callback, hook)
        if not callable(function):
            raise TypeError(f"[{where}] {name}.{hook} is {function!r}; expected a method")
        wanted = inspect.signature(getattr(Callback, hook)).parameters
        try:
            inspect.signature(function).bind(*list(wanted)[1:])
        except TypeError as error:
            words = ", ".join(wanted)
            raise TypeError(
                f"[{where}] {name}.{hook} cannot be called: {error}; expected {hook}({words})"
            ) from None
        except ValueError:  # a C function without a signature
            pass
    import difflib  # imported only when it is needed

    for attribute in dir(callback):
        if attribute in known or attribute.startswith("_"):
            continue
        if not callable(inspect.getattr_static(callback, attribute)):  # does not call properties
            continue
        near = difflib.get_close_matches(attribute.lower(), known, n=1, cutoff=0.85)
        foreign = re.match(r"on(_|[A-Z])", attribute) or (near and near[0].startswith("on_"))
        if foreign:
            if near:
                hint = f". Did you mean {near[0]!r}?"
            elif re.search("batch|step", attribute):
                hint = "; there are no hooks for single batches: write a loop of train_step"
            else:
                hint = "; a method of your own may begin with an underscore"
            raise ValueError(
                f"[{where}] {name} has {attribute!r}, which is no hook; known: "
                f"{', '.join(known)}{hint}"
            )


class LambdaCallback(Callback):
    """A callback that calls the given functions.

    Parameters
    ----------
    on_train_begin, on_train_end : callable, optional
        Functions without arguments.
    on_epoch_begin : callable, optional
        Function of the number of the epoch.
    on_epoch_end : callable, optional
        Function of the number of the epoch and the logs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn
    >>> losses = []
    >>> keep = callbacks.LambdaCallback(
    ...     on_epoch_end=lambda epoch, logs: losses.append(logs["loss"])
    ... )
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=3, callbacks=[keep])
    >>> losses == history.history["loss"]
    True
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
        Whether the figure should become small or large. "auto" means large for accuracies and small
        for all others.
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
        where = "EarlyStopping"
        given: Any = mode
        if not isinstance(given, str) or given not in ("auto", "min", "max"):
            raise ValueError(f"[{where}] mode is {shown(mode)}; expected 'auto', 'min' or 'max'")
        if not isinstance(monitor, str):
            raise TypeError(f"[{where}] monitor is {shown(monitor)}; expected a name: 'val_loss'")
        self.monitor = monitor
        self.min_delta = _validate.not_negative(where, "min_delta", min_delta)
        self.patience = _validate.integer(where, "patience", patience, 0)
        self.restore_best_weights = _validate.flag(
            where, "restore_best_weights", restore_best_weights
        )
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
        """Reset the callback, and refuse a name that will not be in the logs."""
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
        """Copy the values if they are the best; otherwise count the epoch and maybe stop."""
        if epoch < self.start_from_epoch:
            return
        value = logs[self.monitor]
        gain = self._sign * (self.best - value)
        # Comparisons with NaN are false, so NaN is never an improvement.
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
        """Restore the values of the best epoch."""
        self.close()

    def close(self) -> None:
        """Restore the values of the best epoch after a training that raised, too."""
        if self._values is not None:
            self.model.load_state_dict(self._values)
            self._values = None


class ProgressBar(Callback):
    """A progress bar of tqdm if it is installed, otherwise one line per epoch.

    Parameters
    ----------
    bar : bool, optional
        False shows lines even if tqdm is installed. Both are written to ``sys.stdout``; if that is
        missing, closed or broken, nothing is shown and the training continues.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn, optim
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile(optim.SGD(lr=0.1), "mse")
    >>> lines = callbacks.ProgressBar(bar=False)
    >>> history = model.fit(
    ...     np.ones((8, 2)), np.ones(8), epochs=2, callbacks=[lines]
    ... )  # doctest: +ELLIPSIS
    epoch 1/2  loss ...
    epoch 2/2  loss ...
    """

    def __init__(self, bar: bool | None = None) -> None:
        self.bar = bar if bar is None else _validate.flag("ProgressBar", "bar", bar)
        self._out = _Output()
        self._tqdm: Any = None
        self._began = 0.0

    def on_train_begin(self) -> None:
        """Open the bar."""
        self._tqdm, self._out = None, _Output()
        if self.bar is not False:
            first = self.params["initial_epoch"]
            self._tqdm = _open_bar(self.params["epochs"], first, self._out)

    def on_epoch_begin(self, epoch: int) -> None:
        """Record the start time of the epoch."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Show the figures of the epoch."""
        if self._tqdm is not None:
            shown = {name: f"{value:.4g}" for name, value in logs.items()}
            self._out.attempt(self._tqdm.set_postfix, shown, refresh=False)
            self._out.attempt(self._tqdm.update)
            return
        figures = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        seconds = time.perf_counter() - self._began
        self._out.write(f"epoch {epoch + 1}/{self.params['epochs']}  {figures}  {seconds:.2f} s\n")
        self._out.flush()

    def on_train_end(self) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Close the bar, also after a training that raised."""
        if self._tqdm is not None:
            bar, self._tqdm = self._tqdm, None
            self._out.attempt(bar.close)


class _Output:
    """sys.stdout until its first failure, after which nothing is written."""

    def __init__(self) -> None:
        self._works = True

    def attempt(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return the result of the function, or None if there is no output or it fails."""
        if not self._works:
            return None
        try:
            return function(*args, **kwargs)
        except Exception:  # streams and notebook widgets may raise anything
            self._works = False
            return None

    def _on_stdout(self, name: str, *args: Any) -> Any:
        method = getattr(sys.stdout, name, None)  # a stream of the user may have only write()
        return None if method is None else self.attempt(method, *args)

    def write(self, text: str) -> None:
        """As a stream's."""
        self._on_stdout("write", text)

    def flush(self) -> None:
        """As a stream's."""
        self._on_stdout("flush")

    def isatty(self) -> bool:
        """As a stream's."""
        return bool(self._on_stdout("isatty"))

    def fileno(self) -> int:
        """As a stream's; tqdm uses it to find the width of the terminal."""
        return int(sys.stdout.fileno())

    @property
    def encoding(self) -> str:
        """As a stream's; tqdm chooses its characters by it."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"


def _open_bar(epochs: int, first: int, out: _Output) -> Any:
    try:
        with warnings.catch_warnings():
            # In notebooks without ipywidgets tqdm warns and shows a text bar, which is sufficient.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

            return tqdm(total=epochs, initial=first, unit="epoch", file=out, dynamic_ncols=True)
    except Exception:  # tqdm is not installed or does not work here, so lines are printed
        return None
