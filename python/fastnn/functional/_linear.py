# SPDX-License-Identifier: BSD-3-Clause
"""The products of a linear layer. Weights are (in_features, out_features), as in y = x @ w + b.

Each function first passes its arguments to the core, which handles arrays that need no conversion.
Only if the core declines are they converted or refused here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core
from fastnn._refusals import Words
from fastnn._validate import as_array, flag, thread_count

from ._arrays import Array, checked_out, checked_outs, common_dtype, filled

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def linear(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    out: Array | None = None,
    n_threads: int | None = None,
) -> Array:
    """Compute the linear layer y = x @ w + b.

    Parameters
    ----------
    x : (batch, in) or (in,) array_like
        Any real dtype, strides and byte order.
    w : (in, out) or (in,) array_like
        A single column of weights may be a vector; the result then has no axis of outputs.
    b : (out,) array_like, optional
        Bias; a number if `w` is a vector.
    out : (batch, out) ndarray, optional
        Array for the result, which is returned. It has the dtype and shape of the result, is
        writable and shares no memory with the inputs.
    n_threads : int, optional
        Number of threads, chosen automatically by default. The result does not depend on it.

    Returns
    -------
    (batch, out) ndarray
        float32 if no floating-point argument is wider than float32, otherwise float64.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, dtypes are not real numbers, or `out` cannot take the result.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> F.linear([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [1.0, 2.0]], [0.5, -0.5])
    array([[3.5, 3.5],
           [7.5, 7.5]])
    """
    y = _core.plain_linear(x, w, b, out, n_threads)
    if y is NotImplemented:
        return _product("linear", x, w, b, out=out, n_threads=n_threads)
    return y


def matmul(
    x: ArrayLike, w: ArrayLike, *, out: Array | None = None, n_threads: int | None = None
) -> Array:
    """Compute the product y = x @ w, which is `linear` without a bias.

    Parameters
    ----------
    x : (batch, in) or (in,) array_like
    w : (in, out) or (in,) array_like
    out : ndarray, optional
        As in `linear`.
    n_threads : int, optional
        As in `linear`.

    Returns
    -------
    ndarray
        (batch, out), without the axes that `x` or `w` do not have.

    Raises
    ------
    ValueError, TypeError
        As in `linear`.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> print(F.matmul([1, 2], [3, 4]))
    11.0
    """
    y = _core.plain_linear(x, w, None, out, n_threads)
    if y is NotImplemented:
        return _product("matmul", x, w, None, out=out, n_threads=n_threads)
    return y


def linear_backward(
    dy: ArrayLike,
    x: ArrayLike,
    w: ArrayLike,
    need_dx: bool = True,
    *,
    n_threads: int | None = None,
    dx: Array | None = None,
    dw: Array | None = None,
    db: Array | None = None,
) -> tuple[Array | None, Array, Array]:
    """Compute the gradients of y = x @ w + b: dx = dy @ w.T, dw = x.T @ dy, db = dy.sum(axis=0).

    Parameters
    ----------
    dy : (batch, out) array_like
        Gradient with respect to y; it has the shape of y.
    x : (batch, in) or (in,) array_like
    w : (in, out) or (in,) array_like
    need_dx : bool
        Whether to compute dx. It is not needed if x is the data, and takes a product.
    n_threads : int, optional
        As in `linear`.
    dx, dw, db : ndarray, optional
        Arrays for the results, which are returned. Each has the dtype and shape of its result, is
        writable and shares no memory with the inputs and the others.

    Returns
    -------
    dx : ndarray or None
        Shape of `x`.
    dw : ndarray
        Shape of `w`.
    db : ndarray
        (out,); 0-d if `w` is a vector.

    Raises
    ------
    ValueError, TypeError
        As in `linear`.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> dx, dw, db = F.linear_backward([[1.0]], [[2.0, 3.0]], [[4.0], [5.0]])
    >>> dx, dw.ravel(), db
    (array([[4., 5.]]), array([2., 3.]), array([1.]))
    """
    gradients = _core.plain_linear_backward(dy, x, w, need_dx, n_threads, dx, dw, db)
    if gradients is not NotImplemented:
        return gradients
    where, given = "linear_backward", {"dy": dy, "x": x, "w": w}
    wanted, n = flag(where, "need_dx", need_dx), thread_count(where, n_threads)
    if dx is not None and not wanted:
        raise ValueError(f"[{where}] dx is given with need_dx=False; expected need_dx=True")
    arrays = [as_array(where, what, value) for what, value in given.items()]
    dy_, x_, w_ = arrays
    outs, shapes = {"dx": dx, "dw": dw, "db": db}, (x_.shape, w_.shape, w_.shape[1:])
    targets = checked_outs(where, outs, shapes, common_dtype(*arrays), *arrays)
    if w_.ndim == 1:  # no axis of outputs
        dy_ = dy_[..., None]
    if x_.ndim == 1:  # no axis of rows
        dy_ = dy_[None]
    with Words(where, given):
        found = _core.linear_backward(dy_, _as_rows(x_), _as_columns(w_), wanted, n)
    of_x, of_w, of_b = found
    return (
        None if of_x is None else filled(targets["dx"], of_x.reshape(x_.shape)),
        filled(targets["dw"], of_w.reshape(w_.shape)),
        filled(targets["db"], of_b.reshape(w_.shape[1:])),
    )


def _product(
    where: str,
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None,
    *,
    out: Array | None,
    n_threads: int | None,
) -> Array:
    given = {"x": x, "w": w} if b is None else {"x": x, "w": w, "b": b}
    arrays = [as_array(where, what, value) for what, value in given.items()]
    x_, w_, n = arrays[0], arrays[1], thread_count(where, n_threads)
    bias = None if b is None else np.atleast_1d(arrays[2])
    shape = x_.shape[:-1] + w_.shape[1:]
    target = checked_out(where, out, shape, common_dtype(*arrays), *arrays)
    in_place = target is not None and target.ndim == 2 and target.flags.c_contiguous
    with Words(where, given):
        y = _core.linear(_as_rows(x_), _as_columns(w_), bias, target if in_place else None, n)
    if target is None:
        return y.reshape(shape)
    if not in_place:
        target[...] = y.reshape(shape)
    return target


def _as_rows(x: Array) -> Array:
    return x[None] if x.ndim == 1 else x


def _as_columns(w: Array) -> Array:
    return w[:, None] if w.ndim == 1 else w
