# SPDX-License-Identifier: BSD-3-Clause
"""Activations: f, its derivative, and what the backward pass needs: z ("input") or f(z) ("output").

A new activation consists of two functions and a row of ACTIVATIONS. The keyword arguments of f are
its hyperparameters. The row also has the facts that the tests need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import SAME, Array, Torch, hypers_of
from fastnn.reference.functional import logistic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ACTIVATIONS", "Activation", "activation", "activation_backward"]


def _smooth(**_hyper: Any) -> tuple[float, ...]:
    return ()


def _at_zero(**_hyper: Any) -> tuple[float, ...]:
    return (0.0,)


def _everywhere(z: Array, **_hyper: Any) -> Array:
    return np.ones(z.shape, bool)


@dataclass(frozen=True)
class Activation:
    """A row of ACTIVATIONS: a = f(z) and da/dz = df(saved); `needs` says whether saved is z or a.

    Parameters
    ----------
    kinks : hyperparameters -> every z at which the derivative is discontinuous
    keeps_digits : (z, hyperparameters) -> where f(z) has a small relative error; elsewhere the
        formula subtracts nearly equal numbers
    torch : its name in torch; None if torch does not have it
    tolerance : factor on the tolerance of all activations, in tests
    """

    class_name: str
    f: Callable[..., Array]
    df: Callable[..., Array]
    needs: str
    kinks: Callable[..., tuple[float, ...]] = _smooth
    keeps_digits: Callable[..., Array] = _everywhere
    torch: Torch | None = SAME
    tolerance: float = 1.0

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of the hyperparameters."""
        return hypers_of(self.f)


def identity(z: Array) -> Array:
    """Return z."""
    return z


def identity_df(a: Array) -> Array:
    """Return 1."""
    return np.ones_like(a)


def relu(z: Array) -> Array:
    """Return max(z, 0)."""
    return np.maximum(z, 0)


def relu_df(a: Array) -> Array:
    """Return 1 where z (and so a) is positive, and 0 elsewhere; at 0 it is 0, as in torch."""
    df: Array = (a > 0).astype(a.dtype)
    return df


def leaky_relu(z: Array, *, negative_slope: float = 0.01) -> Array:
    """Return z where it is positive, and negative_slope z elsewhere."""
    return np.where(z > 0, z, negative_slope * z)


def leaky_relu_df(z: Array, *, negative_slope: float = 0.01) -> Array:
    """Return 1 where z is positive, and negative_slope elsewhere."""
    return np.where(z > 0, 1, negative_slope).astype(z.dtype)


def tanh(z: Array) -> Array:
    """Return (e^z - e^-z) / (e^z + e^-z)."""
    result: Array = np.tanh(z)
    return result


def tanh_df(a: Array) -> Array:
    """Return 1 - tanh(z)^2."""
    df: Array = 1 - a * a
    return df


def sigmoid_df(a: Array) -> Array:
    """Return p (1 - p) for p = logistic(z)."""
    df: Array = a * (1 - a)
    return df


# erfc is accurate in both tails, whereas 1 + erf has cancellation; it is computed in double.
_erfc = np.vectorize(math.erfc, otypes=[np.float64])
_CUBIC = 0.044715


def _normal_cdf(z: Array) -> Array:
    cdf: Array = (0.5 * _erfc(-z.astype(np.float64) / math.sqrt(2.0))).astype(z.dtype)
    return cdf


def _gelu_tanh(z: Array) -> Array:
    result: Array = np.tanh(math.sqrt(2.0 / math.pi) * (z + _CUBIC * z * z * z))
    return result


def gelu(z: Array, *, approximate: str = "none") -> Array:
    """Return z Phi(z), Phi of the normal distribution; or the older approximation with tanh."""
    if approximate == "tanh":
        a: Array = 0.5 * z * (1 + _gelu_tanh(z))
    else:
        a = z * _normal_cdf(z)
    return a


def gelu_df(z: Array, *, approximate: str = "none") -> Array:
    """Return Phi(z) + z phi(z), with phi = Phi'; or the derivative of the approximation."""
    if approximate == "tanh":
        t = _gelu_tanh(z)
        inner = math.sqrt(2.0 / math.pi) * (1 + 3 * _CUBIC * z * z)
        df: Array = 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * inner
    else:
        density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        df = _normal_cdf(z) + z * density
    return df


def _gelu_keeps_digits(z: Array, *, approximate: str = "none") -> Array:
    """Return where the approximation has no cancellation: far below 0, 1 + tanh has."""
    kept: Array = (z > -2) | (approximate == "none")
    return kept


def softplus(z: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Return log(1 + exp(beta z)) / beta, and z where beta z > threshold."""
    u = beta * z
    soft = (np.maximum(u, 0) + np.log1p(np.exp(-np.abs(u)))) / beta
    return np.where(u > threshold, z, soft)


def softplus_df(z: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Return logistic(beta z), and 1 where beta z > threshold."""
    return np.where(beta * z > threshold, 1, logistic(beta * z)).astype(z.dtype)


def _softplus_kinks(*, beta: float = 1.0, threshold: float = 20.0) -> tuple[float, ...]:
    return (threshold / beta,)


ACTIVATIONS = {
    "identity": Activation("Identity", f=identity, df=identity_df, needs="output"),
    "relu": Activation("ReLU", f=relu, df=relu_df, needs="output", kinks=_at_zero),
    "leaky_relu": Activation(
        "LeakyReLU", f=leaky_relu, df=leaky_relu_df, needs="input", kinks=_at_zero
    ),
    "tanh": Activation("Tanh", f=tanh, df=tanh_df, needs="output"),
    "sigmoid": Activation("Sigmoid", f=logistic, df=sigmoid_df, needs="output"),
    "softplus": Activation(
        "Softplus", f=softplus, df=softplus_df, needs="input", kinks=_softplus_kinks
    ),
    "gelu": Activation("GELU", f=gelu, df=gelu_df, needs="input", keeps_digits=_gelu_keeps_digits),
}


def activation(name: str, hyper: dict[str, Any], z: Array) -> Array:
    """Return f(z) of the activation called `name`."""
    return ACTIVATIONS[name].f(z, **hyper)


def activation_backward(name: str, hyper: dict[str, Any], dy: Array, saved: Array) -> Array:
    """Return dloss/dz from dy = dloss/df(z); the row's `needs` says if `saved` is z or f(z)."""
    return dy * ACTIVATIONS[name].df(saved, **hyper)
