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
from fastnn.reference.functional import log_softmax, logistic, softmax, step

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ACTIVATIONS", "Activation", "activation", "activation_backward"]


def _smooth(**_hyper: Any) -> tuple[float, ...]:
    return ()


def _at_zero(**_hyper: Any) -> tuple[float, ...]:
    return (0.0,)


def _at_six(**_hyper: Any) -> tuple[float, ...]:
    return (0.0, 6.0)


def _at_three(**_hyper: Any) -> tuple[float, ...]:
    return (-3.0, 3.0)


def _everywhere(z: Array, **_hyper: Any) -> Array:
    return np.ones(z.shape, bool)


@dataclass(frozen=True)
class Activation:
    """A row of ACTIVATIONS: a = f(z) and da/dz = df(saved); `needs` says whether saved is z or a.

    Parameters
    ----------
    df : saved -> da/dz; None where the outputs depend on the whole row
    backward : (dy, saved) -> dloss/dz, where the outputs depend on the whole row; otherwise dy df
    kinks : hyperparameters -> every z at which the derivative is discontinuous
    keeps_digits : (z, hyperparameters) -> where f(z) has a small relative error; elsewhere the
        formula subtracts nearly equal numbers
    torch : its name in torch; None if torch does not have it
    tolerance : factor on the tolerance of all activations, in tests
    """

    class_name: str
    f: Callable[..., Array]
    df: Callable[..., Array] | None
    needs: str
    backward: Callable[..., Array] | None = None
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


def elu(z: Array, *, alpha: float = 1.0) -> Array:
    """Return z where it is positive, and alpha (exp(z) - 1) elsewhere."""
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))


def elu_df(z: Array, *, alpha: float = 1.0) -> Array:
    """Return 1 where z is positive, and alpha exp(z) elsewhere."""
    return np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0))).astype(z.dtype)


def _elu_kinks(*, alpha: float = 1.0) -> tuple[float, ...]:
    return () if alpha == 1 else (0.0,)


# With these two, activations of mean 0 and variance 1 keep them from layer to layer.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(z: Array) -> Array:
    """Return scale elu(z), with the alpha and the scale of the self-normalising networks."""
    scaled: Array = SELU_SCALE * elu(z, alpha=SELU_ALPHA)
    return scaled


def selu_df(z: Array) -> Array:
    """Return scale times the derivative of elu."""
    scaled: Array = SELU_SCALE * elu_df(z, alpha=SELU_ALPHA)
    return scaled


def celu(z: Array, *, alpha: float = 1.0) -> Array:
    """Return z where it is positive, and alpha (exp(z / alpha) - 1) elsewhere."""
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0) / alpha))


def celu_df(z: Array, *, alpha: float = 1.0) -> Array:
    """Return 1 where z is positive, and exp(z / alpha) elsewhere."""
    return np.where(z > 0, 1, np.exp(np.minimum(z, 0) / alpha)).astype(z.dtype)


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


def silu(z: Array) -> Array:
    """Return z logistic(z), also called swish."""
    result: Array = z * logistic(z)
    return result


def silu_df(z: Array) -> Array:
    """Return s + z s (1 - s) for s = logistic(z); 1 - s is logistic(-z)."""
    s = logistic(z)
    df: Array = s + z * s * logistic(-z)
    return df


def mish(z: Array) -> Array:
    """Return z tanh(softplus(z))."""
    result: Array = z * np.tanh(np.logaddexp(0, z))
    return result


def mish_df(z: Array) -> Array:
    """Return t + z (1 - t^2) logistic(z) for t = tanh(softplus(z)); 1 - t^2 is 1 / cosh^2."""
    soft = np.logaddexp(0, z)
    with np.errstate(over="ignore"):  # 1 / inf is the right 0
        square = np.cosh(soft) ** -2.0
    result: Array = np.tanh(soft) + z * square * logistic(z)
    return result


def hardtanh(z: Array, *, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """Return z, limited to [min_val, max_val]."""
    result: Array = np.clip(z, min_val, max_val)
    return result


def hardtanh_df(a: Array, *, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """Return 1 where z is between the limits, and 0 elsewhere, as in torch."""
    df: Array = ((a > min_val) & (a < max_val)).astype(a.dtype)
    return df


def _hardtanh_kinks(*, min_val: float = -1.0, max_val: float = 1.0) -> tuple[float, ...]:
    return (min_val, max_val)


def relu6(z: Array) -> Array:
    """Return z, limited to [0, 6]."""
    return hardtanh(z, min_val=0.0, max_val=6.0)


def relu6_df(a: Array) -> Array:
    """Return 1 where z is between 0 and 6, and 0 elsewhere."""
    return hardtanh_df(a, min_val=0.0, max_val=6.0)


def hardsigmoid(z: Array) -> Array:
    """Return a straight line through the sigmoid's middle: (z + 3) / 6, limited to [0, 1]."""
    result: Array = np.clip(z + 3, 0, 6) / 6
    return result


def hardsigmoid_df(z: Array) -> Array:
    """Return 1/6 where z is between -3 and 3, and 0 elsewhere."""
    df: Array = (np.abs(z) < 3) / z.dtype.type(6)
    return df


def hardswish(z: Array) -> Array:
    """Return z hardsigmoid(z)."""
    result: Array = z * hardsigmoid(z)
    return result


def hardswish_df(z: Array) -> Array:
    """Return z/3 + 1/2 where z is between -3 and 3, 0 below and 1 above."""
    return np.where(np.abs(z) < 3, z / 3 + 0.5, z > 0).astype(z.dtype)


def softsign(z: Array) -> Array:
    """Return z / (1 + |z|)."""
    result: Array = z / (1 + np.abs(z))
    return result


def softsign_df(z: Array) -> Array:
    """Return 1 / (1 + |z|)^2."""
    df: Array = (1 + np.abs(z)) ** -2.0
    return df


def log_sigmoid(z: Array) -> Array:
    """Return log(logistic(z))."""
    result: Array = np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))
    return result


def log_sigmoid_df(z: Array) -> Array:
    """Return logistic(-z)."""
    return logistic(-z)


def exponential(z: Array) -> Array:
    """Return e^z."""
    with np.errstate(over="ignore"):
        result: Array = np.exp(z)
    return result


def exponential_df(a: Array) -> Array:
    """Return e^z, which is the output."""
    return a


def step_df(a: Array) -> Array:
    """Return 0: a step says nothing about the direction in which it lies."""
    return np.zeros_like(a)


def softmax_backward(dy: Array, a: Array) -> Array:
    """Return a (dy - sum(dy a)): with da_j/dz_k = a_j (1[j = k] - a_k) the sum over j of dy_j."""
    result: Array = a * (dy - (dy * a).sum(axis=-1, keepdims=True))
    return result


def log_softmax_backward(dy: Array, a: Array) -> Array:
    """Return dy - p sum(dy): with da_j/dz_k = 1[j = k] - p_k for the probabilities p = exp(a)."""
    result: Array = dy - np.exp(a) * dy.sum(axis=-1, keepdims=True)
    return result


ACTIVATIONS = {
    "identity": Activation("Identity", f=identity, df=identity_df, needs="output"),
    "relu": Activation("ReLU", f=relu, df=relu_df, needs="output", kinks=_at_zero),
    "leaky_relu": Activation(
        "LeakyReLU", f=leaky_relu, df=leaky_relu_df, needs="input", kinks=_at_zero
    ),
    "elu": Activation("ELU", f=elu, df=elu_df, needs="input", kinks=_elu_kinks),
    "selu": Activation("SELU", f=selu, df=selu_df, needs="input", kinks=_at_zero),
    "celu": Activation(
        "CELU",
        f=celu,
        df=celu_df,
        needs="input",
        torch=Torch(gradients=2e-6),  # its 1 / alpha is a float32
    ),
    "tanh": Activation("Tanh", f=tanh, df=tanh_df, needs="output"),
    "sigmoid": Activation("Sigmoid", f=logistic, df=sigmoid_df, needs="output"),
    "softplus": Activation(
        "Softplus", f=softplus, df=softplus_df, needs="input", kinks=_softplus_kinks
    ),
    "gelu": Activation("GELU", f=gelu, df=gelu_df, needs="input", keeps_digits=_gelu_keeps_digits),
    "silu": Activation("SiLU", f=silu, df=silu_df, needs="input"),
    "mish": Activation("Mish", f=mish, df=mish_df, needs="input"),
    "relu6": Activation("ReLU6", f=relu6, df=relu6_df, needs="output", kinks=_at_six),
    "hardtanh": Activation(
        "Hardtanh", f=hardtanh, df=hardtanh_df, needs="output", kinks=_hardtanh_kinks
    ),
    "hardsigmoid": Activation(
        "Hardsigmoid",
        f=hardsigmoid,
        df=hardsigmoid_df,
        needs="input",
        kinks=_at_three,
        torch=Torch(gradients=1e-7),  # its 1 / 6 is a float32
    ),
    "hardswish": Activation(
        "Hardswish", f=hardswish, df=hardswish_df, needs="input", kinks=_at_three
    ),
    "softsign": Activation("Softsign", f=softsign, df=softsign_df, needs="input"),
    "log_sigmoid": Activation("LogSigmoid", f=log_sigmoid, df=log_sigmoid_df, needs="input"),
    "exp": Activation("Exp", f=exponential, df=exponential_df, needs="output", torch=None),
    "step": Activation("Step", f=step, df=step_df, needs="output", kinks=_at_zero, torch=None),
    "softmax": Activation(
        "Softmax",
        f=softmax,
        df=None,
        needs="output",
        backward=softmax_backward,
        torch=Torch(options={"dim": -1}),
    ),
    "log_softmax": Activation(
        "LogSoftmax",
        f=log_softmax,
        df=None,
        needs="output",
        backward=log_softmax_backward,
        torch=Torch(options={"dim": -1}),
    ),
}


def activation(name: str, hyper: dict[str, Any], z: Array) -> Array:
    """Return f(z) of the activation called `name`."""
    return ACTIVATIONS[name].f(z, **hyper)


def activation_backward(name: str, hyper: dict[str, Any], dy: Array, saved: Array) -> Array:
    """Return dloss/dz from dy = dloss/df(z); the row's `needs` says if `saved` is z or f(z)."""
    row = ACTIVATIONS[name]
    if row.backward is not None:
        return row.backward(dy, saved, **hyper)
    assert row.df is not None
    return dy * row.df(saved, **hyper)
