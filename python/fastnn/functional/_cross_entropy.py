# SPDX-License-Identifier: BSD-3-Clause
"""Cross-entropy, the loss of classes; value and gradient come together, as in `_losses`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _registry
from fastnn._describe import checked

from ._arrays import Array, common_dtype, converted, numbers, with_rank

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def cross_entropy(
    logits: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: str = "mean",
) -> tuple[float, Array]:
    """Cross-entropy of classes from raw scores: l = -log_softmax(logits)[y].

    Stable for any finite logits.

    Parameters
    ----------
    logits : (n, k) or (k,) array_like
        Scores before softmax.
    y : (n,) array_like of integers
        The right classes, 0 to k-1; one number for one row.
    sample_weight : (n,) array_like, optional
    reduction : "mean" or "sum"

    Returns
    -------
    loss : float
    dlogits : ndarray
        d loss / d logits, of logits' shape: (softmax(logits) - one_hot(y)) / n.

    Raises
    ------
    ValueError, TypeError
        A class out of range or not an integer, shapes that do not fit, an unknown reduction.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> loss, dlogits = F.cross_entropy([[0.0, 0.0]], [1])
    >>> print(round(loss, 6), dlogits)
    0.693147 [[ 0.5 -0.5]]
    """
    found = _core.plain_loss("cross_entropy", {"reduction": reduction}, logits, y, sample_weight)
    if found is not NotImplemented:
        return found
    where = "cross_entropy"
    scores = with_rank(where, "logits", logits, 1, 2)
    classes = numbers(where, "y", y)
    if classes.dtype.kind not in "iub":
        raise TypeError(
            f"[{where}] y has dtype {classes.dtype}; expected integer classes "
            "(for rows of 0 and 1 take bce_with_logits, or y.argmax(axis=1) here)"
        )
    rows = scores if scores.ndim == 2 else scores[None, :]
    n, k = rows.shape
    if classes.shape not in ((n,), (n, 1)) and not (scores.ndim == 1 and classes.ndim == 0):
        raise ValueError(f"[{where}] y has shape {classes.shape}; logits make it ({n},)")
    labels = classes.reshape(-1)
    bad = np.flatnonzero((labels < 0) | (labels >= k))
    if bad.size:
        raise ValueError(
            f"[{where}] y[{bad[0]}] is {labels[bad[0]]}; expected classes from 0 to {k - 1}"
        )
    loss, grad = _core.loss(
        "cross_entropy",
        loss_hyper(where, where, reduction),
        converted(rows, common_dtype(scores)),
        labels.astype(np.int64),
        row_weights(where, sample_weight, n),
        where,
    )
    return loss, grad.reshape(scores.shape)


def loss_hyper(where: str, name: str, reduction: str) -> dict[str, Any]:
    """The hyperparameters of the loss `name` for the core, checked."""
    row = _registry.row(where, "losses", name)
    return checked(where, row["params"], {"reduction": reduction})


def row_weights(where: str, sample_weight: ArrayLike | None, n: int) -> Array | None:
    """`sample_weight` as (n,); None stays None."""
    if sample_weight is None:
        return None
    weights = numbers(where, "sample_weight", sample_weight)
    if weights.shape != (n,):
        raise ValueError(f"[{where}] sample_weight has shape {weights.shape}; expected ({n},)")
    return weights
