# SPDX-License-Identifier: BSD-3-Clause
"""The formulas of an introductory course as functions, without layers or networks.

`x` is (batch, features), a weight is (in, out).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastnn.reference._describe import Array

__all__ = [
    "linear",
    "linear_backward",
    "log_softmax",
    "logistic",
    "one_hot",
    "perceptron",
    "softmax",
    "step",
]


def _floating(x: Any) -> Array:
    array: Array = np.asarray(x)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def logistic(z: Any) -> Array:
    """Return 1 / (1 + exp(-z)), also called sigmoid.

    exp is computed of -|z| only, so it cannot overflow: for negative z, exp(z) / (exp(z) + 1) is
    the same number.
    """
    z = _floating(z)
    e = np.exp(-np.abs(z))
    result: Array = np.where(z >= 0, 1 / (1 + e), e / (1 + e))
    return result


def softmax(z: Any) -> Array:
    """Return exp(z_i) / sum_j exp(z_j) over the last axis.

    Subtracting the largest entry does not change the quotient, and exp is then at most 1.

    Examples
    --------
    >>> softmax([0, 1, 2]).round(8).tolist()
    [0.09003057, 0.24472847, 0.66524096]
    """
    z = _floating(z)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    result: Array = e / e.sum(axis=-1, keepdims=True)
    return result


def log_softmax(z: Any) -> Array:
    """Return log(softmax(z)), computed without taking the logarithm of 0."""
    z = _floating(z)
    shifted = z - z.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def one_hot(labels: Any, n_classes: int | None = None, dtype: Any = np.float64) -> Array:
    """Return (n, n_classes): a 1 in the column of each label, 0 elsewhere."""
    labels = np.asarray(labels)
    if n_classes is None:
        n_classes = int(labels.max()) + 1
    hot: Array = (labels[:, None] == np.arange(n_classes)).astype(dtype)
    return hot


def linear(x: Any, w: Any, b: Any = None) -> Array:
    """Return x w + b for x (B, I), w (I, O), b (O,)."""
    y: Array = np.asarray(x) @ np.asarray(w)
    return y if b is None else y + b


def linear_backward(
    dy: Any, x: Any, w: Any, need_dx: bool = True
) -> tuple[Array | None, Array, Array]:
    """Return (dx, dw, db) of y = x w + b, given dy = dloss/dy.

    y_bo = sum_i x_bi w_io + b_o, so each gradient is a sum over the index that it does not have.
    """
    dy, x, w = np.asarray(dy), np.asarray(x), np.asarray(w)
    dx = dy @ w.T if need_dx else None
    return dx, x.T @ dy, dy.sum(axis=0)


def step(z: Any) -> Array:
    """Return 1 where z >= 0 and 0 below: the unit of the perceptron and of logic gates.

    Examples
    --------
    >>> gate = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> step(linear(gate, [1, 1], -1.5)).tolist()  # AND
    [0.0, 0.0, 0.0, 1.0]
    """
    z = _floating(z)
    fires: Array = np.heaviside(z, z.dtype.type(1))
    return fires


def perceptron(
    x: Any, y: Any, lr: float = 0.01, epochs: int = 25
) -> tuple[Array, float, list[int]]:
    """Find a separating line with the perceptron algorithm, from zero weights.

    Each misclassified row changes the weights: if y - y_hat = +1, lr x is added; if -1, subtracted.

    Parameters
    ----------
    x : array (n, features)
    y : array (n,) of 0 and 1
    lr, epochs : learning rate, and the largest number of passes over the rows

    Returns
    -------
    w, b, n_errors : the line, and the number of misclassified rows of each pass. A pass without
        errors ends the algorithm.
    """
    x, y = _floating(x), np.asarray(y)
    w, b = np.zeros(x.shape[1]), 0.0
    n_errors: list[int] = []
    for _ in range(epochs):
        n_errors.append(0)
        for row, label in zip(x, y, strict=True):
            error = int(label) - int(step(row @ w + b))
            w += lr * error * row
            b += lr * error
            n_errors[-1] += abs(error)
        if n_errors[-1] == 0:
            break
    return w, b, n_errors
