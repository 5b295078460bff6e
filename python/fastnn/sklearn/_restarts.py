# SPDX-License-Identifier: BSD-3-Clause
"""Random restarts: several trainings from other initial values, of which the best is kept."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ._training import DIVERGED

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keep_best"]


def keep_best(
    estimator: Any, n: int, initialize: Callable[[], None], train: Callable[[], bool]
) -> None:
    """Train n times and leave the attributes of the best one.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Initialized for the first training.
    n : int
    initialize : callable
        Draws other initial values.
    train : callable
        Returns whether it was interrupted, after which no other training begins.

    Raises
    ------
    ValueError
        If all trainings diverge.
    """
    best: dict[str, Any] | None = None
    highest = -math.inf
    for k in range(n):
        if k:
            initialize()
        try:
            interrupted = train()
        except ValueError as error:
            if str(error) != DIVERGED or (k == n - 1 and best is None):
                raise
            continue
        quality = _quality(estimator)
        if best is None or quality > highest:
            best, highest = dict(estimator.__dict__), quality
        if interrupted:
            break
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
