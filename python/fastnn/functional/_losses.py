# SPDX-License-Identifier: BSD-3-Clause
"""Loss functions of arrays that have to be converted or refused first.

With `sample_weight` w the value is sum(w l) / sum(w), so only the ratios of weights matter. The
elementwise losses also divide by the number of outputs. With reduction="sum" nothing is divided.
Targets and outputs outside the range of a loss are refused, and the message names the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _registry
from fastnn._fields import checked

from ._arrays import Array, common_dtype, converted, numbers, with_rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

__all__ = ["loss"]


def loss(
    where: str,
    name: str,
    values: Mapping[str, Any],
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None,
) -> tuple[float, Array]:
    """Return value and gradient of the loss `name`; `where` is the function in messages."""
    row = _registry.row(where, "losses", name)
    outputs = with_rank(where, "out", out, 1, 2)
    if row["target"] == "dense":
        rows = outputs if outputs.ndim == 2 else outputs[:, None]
        goal = _dense(where, outputs, rows, target)
    else:  # a vector is one row of scores
        rows = outputs if outputs.ndim == 2 else outputs[None, :]
        goal = _classes(where, outputs, rows, target)
    value, grad = _core.loss(
        name,
        checked(where, row["params"], values),
        converted(rows, common_dtype(outputs)),
        goal,
        _row_weights(where, sample_weight, len(rows)),
        where,
    )
    return value, grad.reshape(outputs.shape)


def _dense(where: str, outputs: Array, rows: Array, target: ArrayLike) -> Array:
    """Return targets of the shape of `rows`."""
    given = with_rank(where, "target", target, 1, 2)
    goal = given if given.ndim == 2 else given[:, None]
    if rows.shape != goal.shape:
        raise ValueError(f"[{where}] target has shape {given.shape}, but out has {outputs.shape}")
    return goal


def _classes(where: str, outputs: Array, rows: Array, target: ArrayLike) -> Array:
    """Return class indices, one for each of `rows`."""
    classes, (n, k) = numbers(where, "target", target), rows.shape
    if classes.dtype.kind not in "iub":
        raise TypeError(
            f"[{where}] target has dtype {classes.dtype}; expected integer classes "
            "(for rows of 0 and 1 take bce_with_logits, or target.argmax(axis=1) here)"
        )
    if classes.shape not in ((n,), (n, 1)) and not (outputs.ndim == 1 and classes.ndim == 0):
        raise ValueError(f"[{where}] target has shape {classes.shape}; out makes it ({n},)")
    labels = classes.reshape(-1)
    bad = np.flatnonzero((labels < 0) | (labels >= k))
    if bad.size:
        raise ValueError(
            f"[{where}] target[{bad[0]}] is {labels[bad[0]]}; expected classes from 0 to {k - 1}"
        )
    return labels.astype(np.int64)


def _row_weights(where: str, sample_weight: ArrayLike | None, n: int) -> Array | None:
    """Return `sample_weight` as (n,), or None if it is None."""
    if sample_weight is None:
        return None
    weights = numbers(where, "sample_weight", sample_weight)
    if weights.shape != (n,):
        raise ValueError(f"[{where}] sample_weight has shape {weights.shape}; expected ({n},)")
    return weights
