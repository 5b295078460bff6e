# SPDX-License-Identifier: BSD-3-Clause
"""One-hot rows of class numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _validate
from fastnn._refusals import refused

from ._arrays import Array, checked_out, float_dtype, numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


def one_hot(
    y: ArrayLike,
    n_classes: int | None = None,
    *,
    dtype: DTypeLike = np.float32,
    out: Array | None = None,
) -> Array:
    """Return rows that are 1 in the column of their class and 0 elsewhere.

    Parameters
    ----------
    y : (n,) array_like of integers
        Class numbers, from 0.
    n_classes : int, optional
        Number of columns; by default the largest class + 1.
    dtype : float32 or float64
    out : (n, n_classes) ndarray, optional
        Array of this dtype for the result, which is returned.

    Returns
    -------
    (n, n_classes) ndarray

    Raises
    ------
    ValueError, TypeError
        If classes are not integers in [0, n_classes), there are neither rows nor `n_classes`, or
        `out` cannot take the result.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> print(F.one_hot([2, 0]))
    [[0. 0. 1.]
     [1. 0. 0.]]
    """
    where = "one_hot"
    classes = numbers(where, "y", y)
    if classes.dtype.kind not in "iub":
        raise TypeError(f"[{where}] y has dtype {classes.dtype}; expected integers")
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if classes.ndim != 1:
        raise ValueError(f"[{where}] y has shape {classes.shape}; expected (n,)")
    if n_classes is None:
        if classes.size == 0:
            raise ValueError(f"[{where}] y is empty; n_classes is needed then")
        n_classes = max(0, int(classes.max())) + 1
    else:
        n_classes = _validate.integer(where, "n_classes", n_classes)
    bad = np.flatnonzero((classes < 0) | (classes >= n_classes))
    if bad.size:
        first = int(bad[0])
        facts = {"row": first, "column": 0, "value": float(classes[first])}
        raise refused("class", "y", highest=float(n_classes - 1), **facts).worded(where)
    shape, kind = (classes.size, n_classes), float_dtype(where, dtype)
    rows = checked_out(where, out, shape, kind, classes)
    if rows is None:
        rows = np.zeros(shape, kind)
    else:
        rows.fill(0)
    rows[np.arange(classes.size), classes.astype(np.intp)] = 1
    return rows
