# SPDX-License-Identifier: BSD-3-Clause
"""The perceptron algorithm: a step unit whose weights change with each misclassified row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _validate

from ._arrays import Array, apart, checked_out, filled, numbers, with_rank

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_F64 = np.dtype(np.float64)


def perceptron_step(
    X: ArrayLike,
    y: ArrayLike,
    w: ArrayLike,
    b: float = 0.0,
    lr: float = 0.01,
    *,
    out: Array | None = None,
) -> tuple[Array, float, int]:
    """Make one pass over the rows, updating the weights with each misclassified row.

    A row x of label 1 that is classified as 0 adds lr x to w and lr to b; a row of label 0 that is
    classified as 1 subtracts them.

    Parameters
    ----------
    X : (n, d) array_like
    y : (n,) array_like of 0 and 1
    w : (d,) or (d, 1) array_like
        Weights; the array is not changed.
    b : float
    lr : float
        Learning rate.
    out : ndarray of float64, optional
        Array of w's shape for the new weights, which is returned; it may be `w` itself.

    Returns
    -------
    w : ndarray
        New weights, of w's shape.
    b : float
    n_err : int
        Number of rows that were misclassified in this pass.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, labels are not 0 and 1, or `out` cannot take the weights.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> F.perceptron_step([[1.0, 2.0]], [0], [0.0, 0.0], lr=0.5)
    (array([-0.5, -1. ]), -0.5, 1)
    """
    rows, labels = _checked("perceptron_step", X, y)
    given = numbers("perceptron_step", "w", w)
    if given.size != rows.shape[1]:
        raise ValueError(
            f"[perceptron_step] w has shape {given.shape}, but X has {rows.shape[1]} columns"
        )
    inputs = apart([out], (numbers("perceptron_step", "X", X), X), (given, w))
    target = checked_out("perceptron_step", out, given.shape, _F64, *inputs)
    bias, rate = (
        _validate.number("perceptron_step", what, value) for what, value in (("b", b), ("lr", lr))
    )
    weights, n_err = given.astype(np.float64).ravel(), 0
    for row, label in zip(rows, labels, strict=True):
        error = label - (1.0 if row @ weights + bias >= 0 else 0.0)
        if error:
            weights = weights + error * rate * row
            bias += float(error) * rate
            n_err += 1
    return filled(target, weights.reshape(given.shape)), bias, n_err


def perceptron(
    X: ArrayLike,
    y: ArrayLike,
    lr: float = 0.01,
    epochs: int = 25,
    *,
    out: Array | None = None,
) -> tuple[Array, float, int]:
    """Run the perceptron algorithm from zero weights; its prediction is step(X @ w + b).

    Parameters
    ----------
    X : (n, d) array_like
    y : (n,) array_like of 0 and 1
    lr : float
        Learning rate.
    epochs : int
        Largest number of passes over the rows; the algorithm ends after a pass without an error.
    out : (d,) ndarray of float64, optional
        Array for the weights, which is returned.

    Returns
    -------
    w : (d,) ndarray
    b : float
    n_err : int
        Number of rows that the result misclassifies; never 0 if no line separates the labels.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, labels are not 0 and 1, `epochs` is below 1, or `out` cannot take the
        weights.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> gate = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> w, b, n_err = F.perceptron(gate, [0, 1, 1, 1], lr=0.5)
    >>> print(F.step(F.linear(gate, w, b)), n_err)
    [0. 1. 1. 1.] 0
    """
    where = "perceptron"
    rows, labels = _checked(where, X, y)
    lr = _validate.number(where, "lr", lr)
    target = checked_out(where, out, rows.shape[1:], _F64, numbers(where, "X", X))
    w, b = np.zeros(rows.shape[1]), 0.0
    for _ in range(_validate.integer(where, "epochs", epochs)):
        w, b, errors = perceptron_step(rows, labels, w, b, lr)
        if errors == 0:
            break
    return filled(target, w), b, int(np.sum((rows @ w + b >= 0) != labels))


def _checked(where: str, X: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    rows = with_rank(where, "X", X, 2).astype(np.float64)
    labels = numbers(where, "y", y).astype(np.float64)
    if labels.shape not in ((rows.shape[0],), (rows.shape[0], 1)):
        raise ValueError(f"[{where}] y has shape {labels.shape}; X makes it ({rows.shape[0]},)")
    labels = labels.ravel()
    wrong = np.flatnonzero((labels != 0) & (labels != 1))
    if wrong.size:
        raise ValueError(f"[{where}] y[{wrong[0]}] is {labels[wrong[0]]}; expected 0 or 1")
    return rows, labels
