# SPDX-License-Identifier: BSD-3-Clause
"""Random restarts: several trainings from other initial values, of which the best is kept."""

from __future__ import annotations

import copy
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ._training import DIVERGED, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keep_best", "seeds"]


def seeds(random_state: np.random.RandomState, n: int) -> list[int]:
    """Return the seeds of n further trainings.

    They are drawn from a copy, so that the first training is the same as without them. Each
    training has a generator of its own, because what it draws depends on the number of rows.
    """
    if n == 0:
        return []
    found: list[int] = copy.deepcopy(random_state).randint(np.iinfo(np.int32).max, size=n).tolist()
    return found


def keep_best(estimator: Any, states: list[Any], train: Callable[[Any, bool], bool]) -> None:
    """Train once with each random state and leave the attributes of the best training.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Initialized for the first training.
    states : list of RandomState or int
    train : callable
        Is told the random state, and whether other initial values are to be drawn. Returns whether
        the training was interrupted, after which no other one begins. Neither does one after
        Ctrl-C between two trainings.

    Raises
    ------
    ValueError
        If all trainings diverge.
    KeyboardInterrupt
        If Ctrl-C comes before a training has ended.
    """
    n = len(states)
    best: dict[str, Any] | None = None
    highest = -math.inf
    try:
        for k, state in enumerate(states):
            try:
                interrupted = train(state, k > 0)
            except ValueError as error:
                if str(error) != DIVERGED or (k == n - 1 and best is None):
                    raise
                continue
            quality = _quality(estimator)
            if best is None or quality > highest:
                best, highest = dict(estimator.__dict__), quality
            if interrupted:
                break
    except KeyboardInterrupt:  # between two trainings; each catches those within itself
        if best is None:
            raise
        warnings.warn(INTERRUPTED, stacklevel=5)
    assert best is not None
    if n > 1:
        estimator.__dict__.clear()
        estimator.__dict__.update(best)


def _quality(estimator: Any) -> float:
    """Return the score of the validation rows, or minus their loss, or minus that of training."""
    figures = vars(estimator)
    score = figures.get("best_validation_score_")
    if score is not None:
        return float(score)
    losses = figures.get("validation_loss_curve_")
    loss = losses[-1] if losses else figures.get("loss_", math.nan)
    return -math.inf if math.isnan(loss) else -float(loss)
