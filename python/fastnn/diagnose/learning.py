# SPDX-License-Identifier: BSD-3-Clause
"""Whether a model can learn a few rows by heart, and whether its learning rate suits it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._report import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["by_heart", "rate"]

_ENOUGH = 0.9
_GROWN = 1.5  # how many times the first loss is too much
_SLOW = 1000.0  # how many times smaller than the suggestion a rate takes too long


def by_heart(score: float | None, rows: int, steps: int, what_it_is: str) -> list[Finding]:
    """Look whether a model has learned a batch by heart with Adam, without dropout and noise.

    Parameters
    ----------
    score : float or None
        Accuracy or R2 on the batch; None if neither is defined.
    rows, steps : int
        Size of the batch, and number of training steps on it.
    what_it_is : str
        The name of the score.

    Examples
    --------
    >>> from fastnn.diagnose import learning
    >>> [f.name for f in learning.by_heart(0.4, 32, 300, "accuracy")]
    ['cannot_overfit']
    """
    if score is None or score >= _ENOUGH:
        return []
    what = (
        f"After {steps} steps of Adam on the same {rows} rows, without dropout and noise, the "
        f"{what_it_is} on them is {score:.3f}."
    )
    advice = (
        "A model that cannot learn a few rows by heart will not learn many. Is y in the order of "
        "X, and are equal rows given different targets? Are layers frozen, units dead, inputs "
        "unscaled? Otherwise take a wider or deeper model."
    )
    return [Finding("cannot_overfit", "model", what, advice, {what_it_is: score})]


def rate(
    lr: float, rates: Sequence[float], losses: Sequence[float], suggestion: float | None
) -> list[Finding]:
    """Look where a learning rate is among those of ``lr_find``.

    Parameters
    ----------
    lr : float
        The rate to judge.
    rates, losses : sequence of float
        Rates that grow, up to the step with which the loss diverged, and the smoothed losses.
    suggestion : float or None
        The rate at which the loss falls most steeply; None if it does not fall.

    Examples
    --------
    >>> from fastnn.diagnose import learning
    >>> rates, losses = [1e-4, 1e-3, 1e-2, 1e-1], [1.0, 0.9, 0.5, 1.8]
    >>> [f.name for f in learning.rate(0.1, rates, losses, 1e-3)]
    ['rate_too_large']
    >>> [f.name for f in learning.rate(1e-8, rates, losses, 1e-3)]
    ['rate_too_small']
    >>> learning.rate(2e-3, rates, losses, 1e-3)
    []
    """
    if not len(rates):
        return []
    figures = {"lr": lr, "suggestion": suggestion}
    near = min(range(len(rates)), key=lambda at: abs(math.log(rates[at] / max(lr, rates[0]))))
    if lr > rates[-1] or losses[near] > losses[0] + (_GROWN - 1) * abs(losses[0]):
        came = (
            f"it diverges above {rates[-1]:.2g}"
            if lr > rates[-1]
            else f"it is {losses[near]:.4g} with lr={rates[near]:.2g}, and was {losses[0]:.4g}"
        )
        what = f"lr={lr:g}; where the rate grows from step to step, the loss grows, too: {came}."
        advice = f"Take {_shown(suggestion)}; max_grad_norm=1.0 limits single steps."
        return [Finding("rate_too_large", "optimizer", what, advice, figures)]
    if suggestion is None or lr >= suggestion / _SLOW:
        return []
    what = f"lr={lr:g}; the loss falls most steeply with {suggestion:.2g}."
    advice = f"Take {_shown(suggestion)}, or look at the curve of model.lr_find(X, y)."
    return [Finding("rate_too_small", "optimizer", what, advice, figures)]


def _shown(suggestion: float | None) -> str:
    return "a tenth of it, or less" if suggestion is None else f"lr={suggestion:.2g}"
