# SPDX-License-Identifier: BSD-3-Clause
"""Losses: each returns its value and the gradient with respect to its first argument together.

With `sample_weight` w the value is sum(w l) / sum(w), so that only the ratios of weights count, and
the elementwise losses also divide by the number of outputs; reduction="sum" leaves both divisions
out. Targets, or probabilities, outside the range of a loss are refused by row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _core

from ._arrays import Array, common_dtype, converted, with_rank
from ._cross_entropy import loss_hyper, row_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def mse_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> tuple[float, Array]:
    """Mean squared error over all elements: mean((out - target)^2).

    Parameters
    ----------
    out, target : (n, k) or (n,) array_like
        (n,) and (n, 1) are the same.
    sample_weight : (n,) array_like, optional
    reduction : "mean" or "sum"

    Returns
    -------
    loss : float
    dout : ndarray
        2 (out - target) / (n k), of `out`'s shape.

    Raises
    ------
    ValueError, TypeError
        Shapes that do not fit, dtypes that are not real, an unknown reduction.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> loss, dout = F.mse_loss([1.0, 2.0], [0.0, 4.0])
    >>> print(loss, dout)
    2.5 [ 1. -2.]
    """
    return _elementwise(("mse", "mse_loss"), out, target, sample_weight, reduction)


def half_mse_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> tuple[float, Array]:
    """Half the mean squared error, as courses derive it: mean((out - target)^2) / 2.

    Parameters
    ----------
    out, target : (n, k) or (n,) array_like
    sample_weight : (n,) array_like, optional
    reduction : "mean" or "sum"

    Returns
    -------
    loss : float
    dout : ndarray
        (out - target) / (n k), of `out`'s shape.

    Raises
    ------
    ValueError, TypeError
        As `mse_loss`.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> loss, dout = F.half_mse_loss([1.0, 2.0], [0.0, 4.0])
    >>> print(loss, dout)
    1.25 [ 0.5 -1. ]
    """
    return _elementwise(("half_mse", "half_mse_loss"), out, target, sample_weight, reduction)


def l1_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> tuple[float, Array]:
    """Mean absolute error over all elements: mean(|out - target|).

    Parameters
    ----------
    out, target : (n, k) or (n,) array_like
    sample_weight : (n,) array_like, optional
    reduction : "mean" or "sum"

    Returns
    -------
    loss : float
    dout : ndarray
        sign(out - target) / (n k), 0 where they are equal; of `out`'s shape.

    Raises
    ------
    ValueError, TypeError
        As `mse_loss`.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> loss, dout = F.l1_loss([1.0, 2.0], [0.0, 4.0])
    >>> print(loss, dout)
    1.5 [ 0.5 -0.5]
    """
    return _elementwise(("l1", "l1_loss"), out, target, sample_weight, reduction)


def bce_with_logits(
    logits: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> tuple[float, Array]:
    """Binary cross-entropy from raw scores, mean over all elements, stable for any finite logits.

    l = max(z, 0) - z t + log(1 + exp(-|z|)): the same as -(t log s + (1 - t) log(1 - s)) with
    s = sigmoid(z).

    Parameters
    ----------
    logits, target : (n, k) or (n,) array_like
        Targets in [0, 1]; several columns are several yes/no questions (multi-label).
    sample_weight : (n,) array_like, optional
    reduction : "mean" or "sum"

    Returns
    -------
    loss : float
    dlogits : ndarray
        (sigmoid(z) - t) / (n k), of logits' shape.

    Raises
    ------
    ValueError, TypeError
        As `mse_loss`; targets outside [0, 1].

    Examples
    --------
    >>> import fastnn.functional as F
    >>> loss, dlogits = F.bce_with_logits([0.0], [1.0])
    >>> print(round(loss, 6), dlogits)
    0.693147 [-0.5]
    """
    names = ("bce_with_logits", "bce_with_logits")
    return _elementwise(names, logits, target, sample_weight, reduction)


def bce_loss(
    p: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> tuple[float, Array]:
    """Binary cross-entropy of probabilities, mean over all elements: -(t log p + (1-t) log(1-p)).

    The courses' form after a sigmoid; logarithms count as -100 at least. `bce_with_logits` does
    both in one and stays exact at the ends.

    Parameters
    ----------
    p, target : (n, k) or (n,) array_like
        Both in [0, 1].
    sample_weight : (n,) array_like, optional
    reduction : "mean" or "sum"

    Returns
    -------
    loss : float
    dp : ndarray
        (p - t) / max(p (1 - p), 1e-12) / (n k), of `p`'s shape.

    Raises
    ------
    ValueError, TypeError
        As `mse_loss`; `p` or targets outside [0, 1].

    Examples
    --------
    >>> import fastnn.functional as F
    >>> print(round(F.bce_loss([0.8, 0.7, 0.1], [1, 1, 0], reduction="sum")[0], 8))
    0.68517901
    """
    return _elementwise(("bce", "bce_loss"), p, target, sample_weight, reduction)


def _elementwise(
    names: tuple[str, str],
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None,
    reduction: str,
) -> tuple[float, Array]:
    name, where = names  # the registry's, and the function's for messages
    found = _core.plain_loss(name, {"reduction": reduction}, out, target, sample_weight)
    if found is not NotImplemented:
        return found
    outputs = with_rank(where, "the first argument", out, 1, 2)
    targets = with_rank(where, "target", target, 1, 2)
    rows = outputs if outputs.ndim == 2 else outputs[:, None]
    goal = targets if targets.ndim == 2 else targets[:, None]
    if rows.shape != goal.shape:
        raise ValueError(
            f"[{where}] target has shape {targets.shape}, but the first argument {outputs.shape}"
        )
    loss, grad = _core.loss(
        name,
        loss_hyper(where, name, reduction),
        converted(rows, common_dtype(outputs)),
        goal,
        row_weights(where, sample_weight, rows.shape[0]),
        where,
    )
    return loss, grad.reshape(outputs.shape)
