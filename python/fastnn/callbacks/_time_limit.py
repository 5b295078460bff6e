# SPDX-License-Identifier: BSD-3-Clause
"""An end of the training after some time, whatever the length of an epoch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from fastnn import _validate

from ._callback import Callback, entry

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TimeLimit"]


class TimeLimit(Callback):
    """End the training after so many seconds, also within an epoch.

    fit ends as by ``model.stop()``: the model has all steps up to then, an epoch that did not end
    is not part of the history, and ``on_train_end`` of the callbacks is called. Validation and
    the time in callbacks count; a callback that takes long is not interrupted.

    Parameters
    ----------
    seconds : float
        Above 0, counted from the beginning of fit. A training that goes on from a backup has what
        is left of them.

    Attributes
    ----------
    seconds : float
    spent : float
        Seconds since the training began, up to its end.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> limit = callbacks.TimeLimit(0.05)
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=10**9, callbacks=[limit])
    >>> limit.spent < 10
    True
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = _validate.positive(type(self).__name__, "seconds", seconds)
        self._began: float | None = None
        self._earlier = 0.0  # seconds of the processes whose backup this training goes on with
        self._end = 0.0

    @property
    def spent(self) -> float:
        """Seconds since the training began, up to its end."""
        if self._began is None:
            return self._end
        return self._earlier + time.monotonic() - self._began

    def on_train_begin(self) -> None:
        """Begin to count."""
        self._began, self._earlier = time.monotonic(), 0.0
        self.model.stop(after=self.seconds)

    def close(self) -> None:
        """Cease to count."""
        self._end, self._began = self.spent, None

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds that have passed."""
        return {"spent": self.spent}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with what such a state leaves of the time."""
        where = type(self).__name__
        self._earlier = _validate.not_negative(where, "spent", entry(where, state, "spent", float))
        self.model.stop(after=max(0.0, self.seconds - self._earlier))
