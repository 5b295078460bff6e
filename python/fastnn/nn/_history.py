# SPDX-License-Identifier: BSD-3-Clause
"""The history of a call of fit: losses and metrics of each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from fastnn import _validate
from fastnn._hints import shown
from fastnn.metrics import larger_is_better

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LR", "History"]

LR = "lr"  # the figure that is the learning rate of an epoch's last step


@dataclass
class History:
    """The record of one call of ``Sequential.fit``.

    Attributes
    ----------
    history : dict of str to list of float
        ``"loss"`` is the loss of the rows of the epoch, sum(w l) / sum(w) with their weights (or
        sum(w l) for ``reduction="sum"``). The loss of each batch is computed before its update and
        without penalty terms; the same holds for metrics. ``"val_..."`` is computed after the
        epoch.
    epoch : list of int
        Numbers of the epochs that ended, from ``initial_epoch``.
    params : dict
        Arguments of fit: batch_size, epochs, initial_epoch, verbose; and steps per epoch, of
        ``fit_stream`` those of the last one.
    steps : int
        Number of optimizer steps.
    seconds : float
        Time that the core took.
    threads_used : int
        Number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), batch_size=4, epochs=3)
    >>> history.epoch, len(history.history["loss"]), history.steps
    ([0, 1, 2], 3, 6)
    """

    params: dict[str, Any] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    threads_used: int = 0

    def copy(self) -> History:
        """Return a copy, which has whole epochs even while another thread adds one."""
        epoch = list(self.epoch)
        curves = {name: curve[: len(epoch)] for name, curve in list(self.history.items())}
        return History(
            dict(self.params), curves, epoch, self.steps, self.seconds, self.threads_used
        )

    def add(self, epoch: int, logs: Mapping[str, float], steps: int) -> None:
        """Append the figures of an epoch, which had so many steps."""
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        self.steps += steps
        self.epoch.append(epoch)  # last, because `copy` counts the epochs by this list

    @property
    def best_epoch(self) -> int | None:
        """The number of the epoch with the smallest ``val_loss``, or ``loss`` without validation.

        Of equal losses the first counts; None without an epoch whose loss is a number.

        Examples
        --------
        >>> from fastnn import nn
        >>> nn.History(history={"val_loss": [0.7, 0.5, 0.6]}, epoch=[0, 1, 2]).best_epoch
        1
        """
        return self.best("val_loss" if "val_loss" in self.history else "loss", "min")

    def best(self, monitor: str, mode: str = "auto") -> int | None:
        """Return the number of the epoch in which the figure `monitor` was the best.

        Parameters
        ----------
        monitor : str
            A name in `history`.
        mode : {"auto", "min", "max"}, default "auto"
            Whether small or large is good. "auto" knows it of fastnn's metrics, by their names.

        Returns
        -------
        int or None
            The first of equal ones; None if no epoch has a number.

        Raises
        ------
        ValueError
            If there is no such figure, or the mode is another one.

        Examples
        --------
        >>> from fastnn import nn
        >>> record = nn.History(history={"val_accuracy": [0.7, 0.9, 0.8]}, epoch=[3, 4, 5])
        >>> record.best("val_accuracy")
        4
        """
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"[History.best] mode is {mode!r}; expected 'auto', 'min' or 'max'")
        if not self.epoch:
            return None
        if monitor not in self.history:
            raise ValueError(
                f"[History.best] monitor is {monitor!r}; the history has {', '.join(self.history)}"
            )
        large = mode == "max" or (mode == "auto" and larger_is_better(monitor))
        curve = [value if large else -value for value in self.history[monitor]]
        best = max((value for value in curve if not math.isnan(value)), default=None)
        return None if best is None else self.epoch[curve.index(best)]

    def begin_with(self, other: History) -> None:
        """Take over the epochs of another record, before any of its own."""
        copied = other.copy()
        self.history, self.epoch, self.steps = copied.history, copied.epoch, copied.steps

    def finish(self, result: Mapping[str, Any], steps: int) -> None:
        """Add the figures that the core returned at the end of fit, after `steps` earlier steps."""
        self.take(result)
        self.steps = steps + int(result["steps"])
        self.seconds = float(result["seconds"])
        self.threads_used = int(result["threads_used"])

    def take(self, curves: Mapping[str, Any]) -> None:
        """Replace the figures of all epochs by those that the core recorded."""
        if self.epoch:
            return
        self.history = {
            name: list(curve) for name, curve in curves.items() if isinstance(curve, list)
        }
        first = int(self.params.get("initial_epoch", 0))
        ended = max(map(len, self.history.values()), default=0)
        self.epoch = list(range(first, first + ended))
        self.steps = ended * (self.params.get("steps") or 0)

    def as_config(self, where: str) -> dict[str, Any]:
        """Return the record as values of JSON, without times and numbers of threads."""
        copied = self.copy()
        return {
            "params": {_text(where, n): _plain(where, n, v) for n, v in copied.params.items()},
            "history": {
                _text(where, name): [_as_json(where, name, value) for value in curve]
                for name, curve in copied.history.items()
            },
            "epoch": [_validate.integer(where, "an epoch of history", n, 0) for n in copied.epoch],
            "steps": _validate.integer(where, "history.steps", copied.steps, 0),
        }

    @classmethod
    def of_config(cls, where: str, config: Any) -> History:
        """Return the record of such values; wrong ones raise an error."""
        names = ("params", "history", "epoch", "steps")
        if not isinstance(config, dict) or config.keys() != set(names):
            raise ValueError(f"[{where}] history is not a record of {', '.join(names)}")
        params, curves, epoch = config["params"], config["history"], config["epoch"]
        if not isinstance(params, dict) or not isinstance(curves, dict):
            raise TypeError(f"[{where}] history has no dictionaries of params and curves")
        if not isinstance(epoch, list) or not all(isinstance(c, list) for c in curves.values()):
            raise TypeError(f"[{where}] history has no lists of numbers")
        return cls(
            {_text(where, name): _plain(where, name, value) for name, value in params.items()},
            {
                _text(where, name): [_of_json(where, name, value) for value in curve]
                for name, curve in curves.items()
            },
            [_validate.integer(where, "an epoch of history", number, 0) for number in epoch],
            _validate.integer(where, "history.steps", config["steps"], 0),
        )

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={curve[-1]:.4g}" for name, curve in self.history.items() if curve)
        return f"History({len(self.epoch)} epochs{': ' if last else ''}{last})"


_SPELLED = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}  # JSON has no numbers for them


def _text(where: str, name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"[{where}] history has the name {shown(name)}; expected a text")
    return name


def _plain(where: str, name: str, value: Any) -> Any:
    """Return an argument of fit as a value of JSON."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    return _as_json(where, name, value)


def _as_json(where: str, name: str, value: Any) -> float | str:
    """Return a figure as a number, or as a text if it is not finite."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"[{where}] history has {shown(value)} in {name!r}; expected numbers")
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _of_json(where: str, name: str, value: Any) -> float:
    """Return the figure that `_as_json` made `value` of."""
    if isinstance(value, str) and value in _SPELLED:
        return _SPELLED[value]
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise TypeError(f"[{where}] history has {shown(value)} in {shown(name)}; expected numbers")
