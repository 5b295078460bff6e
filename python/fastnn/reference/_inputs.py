# SPDX-License-Identifier: BSD-3-Clause
"""Preparation of the input."""
# Methods are described once, in Layer, and all layers take the same arguments.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn.reference._layer import Layer

if TYPE_CHECKING:
    from fastnn.reference._describe import Array

__all__ = ["INPUTS", "Flatten", "Rescale", "Standardize", "column_statistics"]


def _one_a_column(columns: int) -> Array:
    numbers: Array = np.linspace(-1.5, 2.0, columns)
    return numbers


def _positive(columns: int) -> Array:
    numbers: Array = np.linspace(0.5, 3.0, columns)
    return numbers


def column_statistics(x: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of each column in two passes; of equal values it is 0."""
    wide = x.reshape(len(x), -1).astype(np.float64)
    mean = wide.mean(axis=0)
    std: Array = np.where(np.ptp(wide, axis=0) > 0, np.sqrt(((wide - mean) ** 2).mean(axis=0)), 0)
    return mean, std


class Rescale(Layer):
    """y = x scale + shift, each a number or one number per column: preparation of the input.

    Values that the network's dtype would round (float64, integers of 32 and 64 bits, for a network
    in float32) are scaled in double and rounded afterwards.
    """

    numbered = False
    torch = None
    tries = ({"scale": 0.25, "shift": -0.5}, {"scale": _one_a_column, "shift": _one_a_column})

    def __init__(self, scale: Any = 1.0, shift: Any = 0.0) -> None:
        super().__init__()
        self.scale, self.shift = scale, shift

    def build(self, dtype: Any, seed: int, number: int) -> None:
        self.dtype = np.dtype(dtype)
        self.exact = [np.asarray(a, np.float64) for a in (self.scale, self.shift)]
        self.scale, self.shift = (a.astype(dtype) for a in self.exact)

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        columns = x.reshape(len(x), -1)  # an image counts as one row of columns
        if np.can_cast(x.dtype, self.dtype, "safe"):
            y: Array = columns.astype(self.dtype) * self.scale + self.shift
        else:
            y = (columns.astype(np.float64) * self.exact[0] + self.exact[1]).astype(self.dtype)
        return y.reshape(x.shape)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        dx: Array = dy.reshape(len(dy), -1) * self.scale
        return dx.reshape(dy.shape)


class Flatten(Layer):
    """(B, ...) becomes (B, I)."""

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        return dy.reshape(self.shape)


class Standardize(Layer):
    """y = (x - mean) / scale by column; rounded as Rescale rounds.

    `column_statistics` gives mean and scale.
    """

    numbered = False
    torch = None
    learned: ClassVar[dict[str, Any]] = {"mean": _one_a_column, "scale": _positive}

    def __init__(self, mean: Any = None, scale: Any = None) -> None:
        super().__init__()
        self.mean, self.scale = mean, scale

    def build(self, dtype: Any, seed: int, number: int) -> None:
        self.dtype = np.dtype(dtype)
        self.exact = [np.asarray(self.mean, np.float64), 1 / np.asarray(self.scale, np.float64)]
        self.center, self.inverse = (a.astype(dtype) for a in self.exact)

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        columns = x.reshape(len(x), -1)
        if np.can_cast(x.dtype, self.dtype, "safe"):
            y: Array = (columns.astype(self.dtype) - self.center) * self.inverse
        else:
            wide = (columns.astype(np.float64) - self.exact[0]) * self.exact[1]
            y = wide.astype(self.dtype)
        return y.reshape(x.shape)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        dx: Array = dy.reshape(len(dy), -1) * self.inverse
        return dx.reshape(dy.shape)


INPUTS: dict[str, type[Layer]] = {
    "rescale": Rescale,
    "standardize": Standardize,
    "flatten": Flatten,
}
