# SPDX-License-Identifier: BSD-3-Clause
"""The progress display of fit: a bar, or lines, of epochs or of the batches in each."""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

from fastnn import _validate

from ._callback import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._callback import Logs

__all__ = ["ProgressBar"]

_SECONDS = 10.0  # between two lines about batches


class ProgressBar(Callback):
    """A progress bar of tqdm if it is installed, otherwise one line per epoch.

    Parameters
    ----------
    bar : bool, optional
        False shows lines even if tqdm is installed. Both are written to ``sys.stdout``; if that is
        missing, closed or broken, nothing is shown and the training continues.
    batches : bool, default False
        Whether to show the batches of each epoch, for epochs that take long: a bar for each epoch,
        or a line every ten seconds. It costs a call of Python after each batch; without it, the
        display costs nothing within an epoch.

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

    def __init__(self, bar: bool | None = None, batches: bool = False) -> None:
        self.bar = bar if bar is None else _validate.flag("ProgressBar", "bar", bar)
        self.batches = _validate.flag("ProgressBar", "batches", batches)
        self._sees_batches = self.batches
        self._out = Output()
        self._tqdm: Any = None
        self._epoch = self._batches = 0  # the present epoch, and its batches so far
        self._began = self._shown = 0.0  # when the epoch began, and when its batches were shown
        self._steps: int | None = None  # batches of an epoch

    def on_train_begin(self) -> None:
        """Open the bar of the epochs."""
        self._tqdm, self._out = None, Output()
        self._steps = self.params["steps"]
        if self.bar is not False and not self.batches:
            first, epochs = self.params["initial_epoch"], self.params["epochs"]
            self._tqdm = _open_bar(self._out, total=epochs, initial=first, unit="epoch")

    def on_epoch_begin(self, epoch: int) -> None:
        """Record the start time of the epoch, or open its bar."""
        self._epoch = epoch
        self._began = self._shown = time.perf_counter()
        if self.bar is not False and self.batches:
            name = self._name()
            self._tqdm = _open_bar(self._out, total=self._steps, desc=name, unit="batch")

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Show the batch, if it is time to; only called with `batches`."""
        self._batches = batch + 1
        if self._steps is not None and batch >= self._steps:
            self._steps = None  # this epoch has more batches than the one before
        if self._tqdm is not None:
            if self._out.attempt(self._tqdm.update):  # True if the bar was drawn
                self._out.attempt(self._tqdm.set_postfix, _texts(logs), refresh=False)
        elif time.perf_counter() - self._shown > _SECONDS:
            self._shown = time.perf_counter()
            of = "" if self._steps is None else f"/{self._steps}"
            self._write(f"{self._name()}  batch {batch + 1}{of}", logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Show the figures of the epoch."""
        if self.batches:
            self._steps = self._batches
        if self._tqdm is None:
            self._write(self._name(), logs)
            return
        self._out.attempt(self._tqdm.set_postfix, _texts(logs), refresh=False)
        if self.batches:
            self.close()
        else:
            self._out.attempt(self._tqdm.update)

    def _name(self) -> str:
        return f"epoch {self._epoch + 1}/{self.params['epochs']}"

    def _write(self, name: str, logs: Logs) -> None:
        figures = "  ".join(f"{figure} {text}" for figure, text in _texts(logs).items())
        seconds = time.perf_counter() - self._began
        self._out.write(f"{name}  {figures}  {seconds:.2f} s\n")
        self._out.flush()

    def on_train_end(self) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Close the bar, also after a training that raised."""
        if self._tqdm is not None:
            bar, self._tqdm = self._tqdm, None
            self._out.attempt(bar.close)


class Output:
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


def _texts(logs: Logs) -> dict[str, str]:
    return {name: f"{value:.4g}" for name, value in logs.items()}


def _open_bar(out: Output, **given: Any) -> Any:
    """Return a bar of tqdm; `given` are arguments of it."""
    try:
        with warnings.catch_warnings():
            # In notebooks without ipywidgets tqdm warns and shows a text bar, which is sufficient.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

            return tqdm(**given, file=out, dynamic_ncols=True)
    except Exception:  # tqdm is not installed or does not work here, so lines are printed
        return None
