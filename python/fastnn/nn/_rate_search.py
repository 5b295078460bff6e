# SPDX-License-Identifier: BSD-3-Clause
"""The search for a learning rate: steps of a copy of the model with a rate that grows."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _validate
from fastnn._schedule import SCHEDULES
from fastnn.errors import TrainingDivergedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn._validate import Array

    from ._arguments import Call
    from ._rows import Rows

__all__ = ["RateSearch", "search"]


@dataclass(frozen=True, eq=False)
class RateSearch:
    """What ``model.lr_find`` returns: the loss of each step beside its learning rate.

    Attributes
    ----------
    rates : ndarray of shape (k,)
        The learning rates, growing, up to the step with which the loss diverged.
    losses : ndarray of shape (k,)
        The loss of each batch before its step.
    smoothed : ndarray of shape (k,)
        A moving average of the losses.
    suggestion : float or None
        The rate at which the losses fall most steeply over the logarithm of the rate, by lines
        through those of one decade; None if they do not fall.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> x = np.random.default_rng(0).standard_normal((200, 4))
    >>> model = nn.Sequential(nn.Linear(4, 1))
    >>> model.compile("sgd", "mse")
    >>> found = model.lr_find(x, x.sum(axis=1), steps=50)
    >>> len(found.rates) == len(found.losses) == len(found.smoothed)
    True
    >>> 1e-3 < found.suggestion < 1
    True
    """

    rates: Array
    losses: Array
    smoothed: Array
    suggestion: float | None

    def __repr__(self) -> str:
        found = "none" if self.suggestion is None else f"{self.suggestion:.3g}"
        return f"<RateSearch of {len(self.rates)} steps: suggestion {found}>"


def search(
    call: Call,
    model: Any,
    rows: Rows,
    *,
    lr_min: Any,
    lr_max: Any,
    steps: Any,
    batch_size: Any,
    smoothing: Any,
    divergence: Any,
) -> RateSearch:
    """Train a copy of the model, and return its losses."""
    where = call.where
    low, high = (
        _validate.number(where, *each) for each in (("lr_min", lr_min), ("lr_max", lr_max))
    )
    if not 0 < low < high:
        raise ValueError(
            f"[{where}] lr_min is {low} and lr_max {high}; expected 0 < lr_min < lr_max"
        )
    n_steps = _validate.integer(where, "steps", steps, 2)
    size = min(_validate.integer(where, "batch_size", batch_size), rows.n)
    share = _validate.not_negative(where, "smoothing", smoothing)
    if share >= 1:
        raise ValueError(f"[{where}] smoothing is {share}; expected a number below 1")
    limit = _validate.number(where, "divergence", divergence)
    if limit <= 1:
        raise ValueError(f"[{where}] divergence is {limit}; expected a number above 1")
    trial = copy.deepcopy(model)
    trial._tree.learn(where, rows.x, call.threads)
    rates = np.geomspace(low, high, n_steps)
    array: Any = SCHEDULES["array_lr"]
    base = float(trial.optimizer.hyper()["lr"])
    # The rates of groups keep their ratio to the others'.
    trial.lr = array(rates / base, lr=base) if base > 0 else array(rates)
    batches = int(call.compiled.settings.get("accumulate", 1))
    losses, smoothed = _losses(trial, rows, n_steps, size, batches, share, limit, call.threads)
    rates = rates[: len(losses)]
    return RateSearch(rates, losses, smoothed, _steepest(rates, losses, smoothed))


def _losses(
    trial: Any,
    rows: Rows,
    steps: int,
    size: int,
    batches: int,
    share: float,
    limit: float,
    threads: int,
) -> tuple[Array, Array]:
    """Return the losses of steps of so many batches until they diverge, and their averages.

    The average is that of Adam's moments, with the correction of its bias.
    """
    found: list[tuple[float, float]] = []
    average, best = 0.0, math.inf
    drawn = _batches(rows.n, size, trial.seed)
    for step in range(steps):
        try:
            loss = sum(
                trial.train_step(
                    rows.x[at],
                    rows.y[at],
                    sample_weight=None if rows.w is None else rows.w[at],
                    n_threads=threads or None,
                )
                for at in itertools.islice(drawn, batches)
            )
        except TrainingDivergedError:
            break
        loss /= batches
        average = share * average + (1 - share) * loss
        now = average / (1 - share ** (step + 1))
        if now > best + (limit - 1) * abs(best):
            break
        best = min(best, now)
        found.append((loss, now))
    both = np.array(found, np.float64).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def _batches(n: int, size: int, seed: int) -> Iterator[Array]:
    """Yield the rows of full batches; when all rows have been used, they are shuffled anew."""
    for epoch in itertools.count():
        order = _core.permutation(n, seed, epoch)
        for first in range(0, n // size * size, size):
            yield order[first : first + size]


def _steepest(rates: Array, losses: Array, smoothed: Array) -> float | None:
    """Return the rate, before the smallest loss, at which the loss falls most steeply.

    Single losses are those of few rows, so the slope is that of the line of least squares through
    the losses of one decade of rates.
    """
    n = int(np.argmin(smoothed)) + 1 if len(smoothed) else 0
    if n < 3:
        return None
    places = np.log10(rates[:n])
    half = min(math.ceil(0.5 / (places[1] - places[0])), (n - 1) // 2)
    near = np.lib.stride_tricks.sliding_window_view(losses[:n], 2 * half + 1)
    offsets = np.arange(-half, half + 1)
    slopes = near @ offsets
    at = int(np.argmin(slopes))
    return float(rates[at + half]) if slopes[at] < 0 else None
