# SPDX-License-Identifier: BSD-3-Clause
"""Dropout masks from counters: the same for any number of threads, and the same as in a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core, _validate

from ._arrays import Array, checked_out, filled, float_dtype
from ._draws import sizes_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def dropout_mask(
    shape: int | tuple[int, ...],
    p: float,
    seed: int,
    step: int = 0,
    *,
    layer: int = 0,
    draw: int = 0,
    dtype: DTypeLike = np.float32,
    out: Array | None = None,
) -> Array:
    """Draw a mask to multiply with: 0 with probability `p`, otherwise 1 / (1 - p).

    Parameters
    ----------
    shape : (batch, features) or (features,)
    p : float
        0 <= p < 1.
    seed : int
        From 0 to 2**64 - 1.
    step : int
        Number of the training step, from 0. Every step has other masks.
    layer : int
        Position of the Dropout layer in the model.
    draw : int
        Number of the training pass since the last update, from 0. Every pass has another mask.
    dtype : float32 or float64
    out : ndarray, optional
        Array of this shape and dtype for the result, which is returned.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, TypeError
        If `p` or the seed is out of range, a size is below 1, `step` or `draw` is negative, the
        dtype is another one, or `out` cannot take the result.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> mask = F.dropout_mask((128, 64), p=0.2, seed=3)
    >>> sorted(set(mask.ravel().tolist()))
    [0.0, 1.25]
    """
    where = "dropout_mask"
    if not 0 <= _validate.number(where, "p", p, "0 <= p < 1") < 1:
        raise ValueError(f"[{where}] p is {p}; expected 0 <= p < 1")
    sizes = sizes_of(where, shape)
    if len(sizes) not in (1, 2):
        raise ValueError(f"[{where}] shape is {shape}; expected (batch, features) or (features,)")
    rows = (sizes[0], sizes[1]) if len(sizes) == 2 else (1, sizes[0])
    layer, step, draw = (
        _validate.integer(where, what, value, 0)
        for what, value in (("layer", layer), ("step", step), ("draw", draw))
    )
    key, kind = _validate.seed(where, seed), float_dtype(where, dtype)
    target = checked_out(where, out, sizes, kind)
    mask = _core.dropout_mask(rows, float(p), key, layer, step, kind.name, draw)
    return filled(target, mask.reshape(sizes))
