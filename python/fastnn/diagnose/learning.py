# SPDX-License-Identifier: BSD-3-Clause
"""Whether a model can learn a few rows by heart, and whether the compiled optimizer can do so."""

from __future__ import annotations

import math

from ._report import Finding

__all__ = ["by_heart", "compiled_optimizer"]

_ENOUGH = 0.9


def by_heart(score: float | None, rows: int, steps: int, what_it_is: str) -> list[Finding]:
    """Look whether the model has learned a batch by heart with Adam, without dropout.

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
        f"After {steps} steps of Adam on the same {rows} rows, without dropout, the {what_it_is} "
        f"on them is {score:.3f}."
    )
    advice = (
        "A model that cannot learn a few rows by heart will not learn many. Is y in the order of "
        "X, and are equal rows given different targets? Are layers frozen, units dead, inputs "
        "unscaled? Otherwise take a wider or deeper model."
    )
    return [Finding("cannot_overfit", "model", what, advice, {what_it_is: score})]


def compiled_optimizer(first: float, last: float, steps: int, lr: float) -> list[Finding]:
    """Look whether the compiled optimizer lowers the loss of one batch.

    Parameters
    ----------
    first, last : float
        The loss before and after; `last` is not finite if training diverged.
    steps : int
    lr : float
        The learning rate.

    Examples
    --------
    >>> from fastnn.diagnose import learning
    >>> [f.name for f in learning.compiled_optimizer(1.0, float("nan"), 300, 10.0)]
    ['rate_too_large']
    >>> [f.name for f in learning.compiled_optimizer(1.0, 0.9999, 300, 1e-9)]
    ['rate_too_small']
    """
    figures = {"first": first, "last": last, "lr": lr}
    if not math.isfinite(last) or last > first:
        came = f"grew from {first:.4g} to {last:.4g}" if math.isfinite(last) else "diverged"
        what = f"With lr={lr:g}, the loss of one batch {came} in {steps} steps."
        advice = (
            "Take a tenth of the learning rate, or less; max_grad_norm=1.0 limits single steps."
        )
        return [Finding("rate_too_large", "optimizer", what, advice, figures)]
    if first - last > 0.05 * abs(first):
        return []
    what = (
        f"With lr={lr:g}, {steps} steps on one batch changed its loss from {first:.4g} to "
        f"{last:.4g}."
    )
    advice = "Take ten times the learning rate, or Adam with 1e-3; look for frozen layers."
    return [Finding("rate_too_small", "optimizer", what, advice, figures)]
