# SPDX-License-Identifier: BSD-3-Clause
"""Softmax and its logarithm over the last axis, the step function, and one-hot rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core, _validate
from fastnn._refusals import Words, refused
from fastnn._validate import as_array

from ._arrays import Array, checked_out, common_dtype, converted, float_dtype, numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


def softmax(x: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute exp(x_j) / sum_k exp(x_k) over the last axis, stable for any finite x.

    Parameters
    ----------
    x : (..., k) array_like
        Scores; a list of numbers is one row.
    out : ndarray, optional
        Array for the result, which is returned.

    Returns
    -------
    ndarray
        Shape of `x`; the values along the last axis sum to 1.

    Raises
    ------
    ValueError, TypeError
        If `x` is a single number or empty, dtypes are not real numbers, or `out` cannot take the
        result.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> print(F.softmax([0, 1, 2]))
    [0.09003057 0.24472847 0.66524096]
    """
    return _over_last_axis("softmax", x, out)


def log_softmax(x: ArrayLike, *, out: Array | None = None) -> Array:
    """Compute x_j - log(sum_k exp(x_k)) over the last axis, stable for any finite x.

    Parameters
    ----------
    x : (..., k) array_like
    out : ndarray, optional
        Array for the result, which is returned.

    Returns
    -------
    ndarray
        Shape of `x`.

    Raises
    ------
    ValueError, TypeError
        As in `softmax`.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> print(F.log_softmax([0.0, 0.0]))
    [-0.69314718 -0.69314718]
    """
    return _over_last_axis("log_softmax", x, out)


def step(x: ArrayLike) -> Array:
    """Return 1 where x >= 0 and 0 elsewhere: the activation of the perceptron, without a gradient.

    Parameters
    ----------
    x : array_like
        Any shape.

    Returns
    -------
    ndarray
        Shape of `x`, float32 or float64; NaN stays NaN.

    Raises
    ------
    TypeError
        If the dtype is not one of real numbers.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> print(F.step([-1.5, 0.0, 0.5]))
    [0. 1. 1.]
    """
    array = numbers("step", "x", x)
    values = converted(array, common_dtype(array))
    return np.asarray(np.heaviside(values, values.dtype.type(1)))


def one_hot(y: ArrayLike, n_classes: int | None = None, *, dtype: DTypeLike = np.float32) -> Array:
    """Return rows that are 1 in the column of their class and 0 elsewhere.

    Parameters
    ----------
    y : (n,) array_like of integers
        Class numbers, from 0.
    n_classes : int, optional
        Number of columns; by default the largest class + 1.
    dtype : float32 or float64

    Returns
    -------
    (n, n_classes) ndarray

    Raises
    ------
    ValueError, TypeError
        If classes are not integers in [0, n_classes), or there are neither rows nor `n_classes`.

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
    rows = np.zeros((classes.size, n_classes), float_dtype(where, dtype))
    rows[np.arange(classes.size), classes.astype(np.intp)] = 1
    return rows


def _over_last_axis(name: str, x: ArrayLike, out: Array | None) -> Array:
    result = _core.plain_softmax(x, out, name == "log_softmax")
    if result is not NotImplemented:
        return result
    where = name
    array = as_array(where, "x", x)
    if array.ndim > 0 and array.shape[-1] == 0:
        raise ValueError(
            f"[{where}] x has shape {array.shape}; expected (..., k) with k of at least 1"
        )
    target = checked_out(where, out, array.shape, common_dtype(array))
    rows = array if array.ndim == 0 else array.reshape(-1, array.shape[-1])
    with Words(where, {"x": x}):
        result = (_core.softmax if name == "softmax" else _core.log_softmax)(rows)
    result = result.reshape(array.shape)
    if target is None:
        return result
    target[...] = result
    return target
