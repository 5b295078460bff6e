# SPDX-License-Identifier: BSD-3-Clause
"""Schedules of the learning rate as plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _validate
from fastnn._schedule import Schedule, rate_of

from ._arrays import Array, checked_out, filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._schedule import LearningRate


def schedule(
    rate: LearningRate,
    n: int,
    lr: float | None = None,
    *,
    steps_per_epoch: int = 1,
    batch_size: int = 1,
    losses: Sequence[float] = (),
    out: Array | None = None,
) -> Array:
    """Return the learning rates of n steps, as an optimizer with this rate has them in a fit.

    Parameters
    ----------
    rate : float, Schedule, sequence of float or callable
        What an optimizer takes as ``lr``.
    n : int
    lr : float, optional
        The rate that a schedule changes, where it has none of its own, or another one.
    steps_per_epoch : int, default 1
    batch_size : int, default 1
        Rows of a step, for schedules that count rows.
    losses : sequence of float, optional
        The training loss of each epoch, for schedules that read it.
    out : ndarray of float64, shape (n,), optional
        Array for the result, which is returned.

    Returns
    -------
    ndarray of float64, shape (n,)
        A schedule that lasts a fit lasts these steps.

    Raises
    ------
    ValueError, TypeError
        A number out of its range, something that is no learning rate, or an `out` that cannot take
        the result.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> from fastnn.optim import lr_scheduler
    >>> F.schedule(lr_scheduler.CosineAnnealingLR(0.4, T_max=4), 5).round(3).tolist()
    [0.4, 0.341, 0.2, 0.059, 0.0]
    >>> F.schedule(lambda epoch: 0.5**epoch, 4, steps_per_epoch=2).tolist()
    [1.0, 1.0, 0.5, 0.5]
    """
    where = "schedule"
    given = rate_of(where, "rate", rate)
    target = checked_out(where, out, (_validate.integer(where, "n", n, 0),), np.dtype(np.float64))
    if isinstance(given, Schedule):
        rates = given.rates(
            n, lr, steps_per_epoch=steps_per_epoch, batch_size=batch_size, losses=losses
        )
    else:
        rates = np.full(n, _validate.not_negative(where, "rate", given))
    return filled(target, rates)
