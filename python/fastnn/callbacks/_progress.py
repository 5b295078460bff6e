# SPDX-License-Identifier: BSD-3-Clause
"""The progress display of fit: a bar, or one line per epoch."""

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
        self._out = Output()
        self._tqdm: Any = None
        self._began = 0.0

    def on_train_begin(self) -> None:
        """Open the bar."""
        self._tqdm, self._out = None, Output()
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


def _open_bar(epochs: int, first: int, out: Output) -> Any:
    try:
        with warnings.catch_warnings():
            # In notebooks without ipywidgets tqdm warns and shows a text bar, which is sufficient.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

            return tqdm(total=epochs, initial=first, unit="epoch", file=out, dynamic_ncols=True)
    except Exception:  # tqdm is not installed or does not work here, so lines are printed
        return None
