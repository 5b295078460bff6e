# SPDX-License-Identifier: BSD-3-Clause
"""Initializers: what draws the initial values of a weight (in, out), or of a bias.

Each is a function of a stream of random words, the shape, and the columns that the layer takes and
gives. Numbers are drawn in double, row by row, and rounded once. A new one is a function and a row
of INITIALIZERS; its keyword-only arguments are its parameters.
"""

# All initializers take the same arguments.
# ruff: noqa: ARG001

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference.normal import normal_quantile
from fastnn.reference.random import words

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn.reference._describe import Array

__all__ = ["INITIALIZERS", "Initializer", "WordStream", "initial_values", "orthonormalize"]

Shape = tuple[int, ...]
Fans = tuple[int, int]


class WordStream:
    """The 64-bit words of one stream, in order."""

    def __init__(self, seed: int, stream: int) -> None:
        self.seed, self.stream, self.used = seed, stream, 0

    def take(self, n: int) -> Array:
        """Return the next `n` words."""
        self.used += n
        return words(self.seed, self.stream, self.used)[self.used - n :]

    def uniform(self, shape: Shape) -> Array:
        """Return numbers from [0, 1): the upper 53 bits of each word."""
        drawn: Array = (self.take(math.prod(shape)) >> np.uint64(11)) * 2.0**-53
        return drawn.reshape(shape)

    def normal(self, shape: Shape, inside: float = 1.0) -> Array:
        """Return normal numbers from the upper 52 bits of each word.

        `inside` is the probability of the middle of the distribution, from which all of them are.
        """
        k = (self.take(math.prod(shape)) >> np.uint64(12)).astype(np.float64)
        q = inside * ((2 * k + 1) * 2.0**-53 - 0.5)
        return normal_quantile(q, 0.5 - np.abs(q)).reshape(shape)


def _between(s: WordStream, shape: Shape, low: float, high: float, dtype: Any) -> Array:
    half = 1.0 if math.isfinite(high - low) else 0.5
    values = (low * half + (high * half - low * half) * s.uniform(shape)) / half
    first, last = np.dtype(dtype).type(low), np.dtype(dtype).type(high)
    drawn: Array = np.clip(values.astype(dtype), first, max(first, np.nextafter(last, first)))
    return drawn


def _within(s: WordStream, shape: Shape, bound: float, dtype: Any) -> Array:
    return _between(s, shape, -bound, bound, dtype)


def _default(s: WordStream, shape: Shape, fans: Fans, dtype: Any) -> Array:
    drawn: Array = (1.0 / math.sqrt(fans[0]) * (2.0 * s.uniform(shape) - 1.0)).astype(dtype)
    return drawn


def _uniform(
    s: WordStream, shape: Shape, fans: Fans, dtype: Any, *, a: float = 0.0, b: float = 1.0
) -> Array:
    return _between(s, shape, a, b, dtype)


def _sklearn(
    s: WordStream, shape: Shape, fans: Fans, dtype: Any, *, activation: str = "relu"
) -> Array:
    factor = 2.0 if activation == "logistic" else 6.0
    return _within(s, shape, math.sqrt(factor / sum(fans)), dtype)


def _lecun_uniform(s: WordStream, shape: Shape, fans: Fans, dtype: Any) -> Array:
    return _within(s, shape, math.sqrt(3 / fans[0]), dtype)


def _lecun_normal(s: WordStream, shape: Shape, fans: Fans, dtype: Any) -> Array:
    std = math.sqrt(1 / fans[0]) / 0.87962566103423978  # of a distribution cut off at +-2
    drawn: Array = (std * s.normal(shape, 0.95449973610364158)).astype(dtype)
    return drawn


def _xavier_uniform(
    s: WordStream, shape: Shape, fans: Fans, dtype: Any, *, gain: float = 1.0
) -> Array:
    return _within(s, shape, gain * math.sqrt(6 / sum(fans)), dtype)


def _xavier_normal(
    s: WordStream, shape: Shape, fans: Fans, dtype: Any, *, gain: float = 1.0
) -> Array:
    drawn: Array = (gain * math.sqrt(2 / sum(fans)) * s.normal(shape)).astype(dtype)
    return drawn


def _variance(fans: Fans, a: float, mode: str, nonlinearity: str) -> float:
    squares = {"tanh": 25 / 9, "relu": 2.0, "leaky_relu": 2 / (1 + a * a), "selu": 9 / 16}
    return squares.get(nonlinearity, 1.0) / fans[mode == "fan_out"]


def _kaiming_uniform(
    s: WordStream,
    shape: Shape,
    fans: Fans,
    dtype: Any,
    *,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Array:
    return _within(s, shape, math.sqrt(3 * _variance(fans, a, mode, nonlinearity)), dtype)


def _kaiming_normal(
    s: WordStream,
    shape: Shape,
    fans: Fans,
    dtype: Any,
    *,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
) -> Array:
    std = math.sqrt(_variance(fans, a, mode, nonlinearity))
    drawn: Array = (std * s.normal(shape)).astype(dtype)
    return drawn


def _normal(
    s: WordStream, shape: Shape, fans: Fans, dtype: Any, *, mean: float = 0.0, std: float = 1.0
) -> Array:
    drawn: Array = (mean + std * s.normal(shape)).astype(dtype)
    return drawn


def _orthogonal(s: WordStream, shape: Shape, fans: Fans, dtype: Any, *, gain: float = 1.0) -> Array:
    q = gain * orthonormalize(s.normal((min(shape), max(shape)))).T
    return (q if shape[0] >= shape[1] else q.T).astype(dtype)


def _zeros(s: WordStream, shape: Shape, fans: Fans, dtype: Any) -> Array:
    return np.zeros(shape, dtype)


def _ones(s: WordStream, shape: Shape, fans: Fans, dtype: Any) -> Array:
    return np.ones(shape, dtype)


def _constant(s: WordStream, shape: Shape, fans: Fans, dtype: Any, *, val: float = 0.0) -> Array:
    return np.full(shape, val, dtype)


def _dot(a: Array, b: Array) -> float:
    """The sum of a b, over eight partial sums as in the engine."""
    products = a * b
    whole = len(products) // 8 * 8
    part = np.zeros(8)
    for start in range(0, whole, 8):
        part += products[start : start + 8]
    part[: len(products) - whole] += products[whole:]
    even, odd = (part[0] + part[4]) + (part[2] + part[6]), (part[1] + part[5]) + (part[3] + part[7])
    return float(even + odd)


def _reflect(vectors: Array, v: Array, square: float) -> None:
    """Reflect each vector at the hyperplane orthogonal to v."""
    for k in range(len(vectors)):
        vectors[k] -= 2 * _dot(v, vectors[k]) / square * v


def orthonormalize(vectors: Array) -> Array:
    """Return Q^T of A = Q R with a positive diagonal of R; the vectors are the columns of A."""
    count, length = vectors.shape
    a, q = vectors.copy(), np.zeros((count, length))
    signs, squares = np.ones(count), np.zeros(count)
    for k in range(
        count
    ):  # Householder's reflections, whose vectors take the places of the columns
        v = a[k, k:]
        signs[k] = 1.0 if v[0] < 0 else -1.0
        v[0] -= signs[k] * math.sqrt(_dot(v, v))
        squares[k] = _dot(v, v)
        _reflect(a[k + 1 :, k:], v, squares[k])
    for k in reversed(range(count)):
        q[k, k] = 1.0
        _reflect(q[k:, k:], a[k, k:], squares[k])
    found: Array = q * signs[:, None]
    return found


@dataclass(frozen=True)
class Initializer:
    """A row of INITIALIZERS.

    Parameters
    ----------
    class_name : its class in fastnn.nn.init
    draw : (stream, shape, (in, out), dtype, parameters) -> values
    for_vectors : whether it may draw a bias
    """

    class_name: str
    draw: Callable[..., Array]
    for_vectors: bool = True


INITIALIZERS = {
    "default": Initializer("Default", _default),
    "xavier_uniform": Initializer("XavierUniform", _xavier_uniform, for_vectors=False),
    "xavier_normal": Initializer("XavierNormal", _xavier_normal, for_vectors=False),
    "kaiming_uniform": Initializer("KaimingUniform", _kaiming_uniform, for_vectors=False),
    "kaiming_normal": Initializer("KaimingNormal", _kaiming_normal, for_vectors=False),
    "lecun_uniform": Initializer("LecunUniform", _lecun_uniform, for_vectors=False),
    "lecun_normal": Initializer("LecunNormal", _lecun_normal, for_vectors=False),
    "sklearn": Initializer("Sklearn", _sklearn),
    "orthogonal": Initializer("Orthogonal", _orthogonal, for_vectors=False),
    "normal": Initializer("Normal", _normal),
    "uniform": Initializer("Uniform", _uniform),
    "zeros": Initializer("Zeros", _zeros),
    "ones": Initializer("Ones", _ones),
    "constant": Initializer("Constant", _constant),
}


def initial_values(
    chosen: str | tuple[str, dict[str, Any]],
    stream: WordStream,
    shape: Shape,
    fans: Fans,
    dtype: Any,
) -> Array:
    """Draw values by an initializer: its name, or (name, parameters)."""
    name, hyper = (chosen, {}) if isinstance(chosen, str) else chosen
    return INITIALIZERS[name].draw(stream, shape, fans, dtype, **hyper)
