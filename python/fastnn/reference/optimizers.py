# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers with torch's rules; each is a function that updates one parameter `w` in place.

A new optimizer consists of a function and a row of OPTIMIZERS. The keyword arguments of the
function are its hyperparameters. `g` is the gradient, which is not changed; `state` is a list of
arrays of the shape of `w` that start as zeros; `t` counts steps from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import Array, Torch, hypers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["OPTIMIZERS", "Optimizer", "clip_factor", "optimizer_step"]


_WITHOUT_L1 = Torch(lacks=("l1",))


@dataclass(frozen=True)
class Optimizer:
    """A row of OPTIMIZERS: the update rule, and how many state arrays it needs with given values.

    Parameters
    ----------
    beside : {hyperparameter: values of others without which it has no effect, or is refused}
    torch : its name in torch; None if torch does not have it
    tolerance : factor on the tolerance of all optimizers, in tests
    """

    class_name: str
    update: Callable[..., None]
    states: Callable[[dict[str, Any]], int]
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    torch: Torch | None = _WITHOUT_L1
    tolerance: float = 1.0

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of the hyperparameters."""
        return hypers_of(self.update)


def sgd(
    w: Array,
    g: Array,
    state: Sequence[Array],
    t: int,
    *,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    l1: float = 0.0,
) -> None:
    """Gradient descent, with momentum along v, an exponentially weighted sum of gradients.

    Nesterov's form uses the gradient plus momentum times v.
    """
    g = _with_penalties(g, w, weight_decay, l1)
    if momentum:
        v = state[0]
        v *= momentum
        v += g if t == 1 else (1 - dampening) * g
        g = g + momentum * v if nesterov else v
    w -= lr * g


def adam(
    w: Array,
    g: Array,
    state: Sequence[Array],
    t: int,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """Step along the running mean of gradients, divided by the root of their mean square."""
    g = _with_penalties(g, w, weight_decay, l1)
    w -= lr * _adam_direction(g, state, t, beta1=beta1, beta2=beta2, eps=eps)


def adamw(
    w: Array,
    g: Array,
    state: Sequence[Array],
    t: int,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    l1: float = 0.0,
) -> None:
    """Adam with weight decay applied to the parameter directly instead of to the gradient."""
    g = _with_penalties(g, w, 0.0, l1)
    w *= 1 - lr * weight_decay
    w -= lr * _adam_direction(g, state, t, beta1=beta1, beta2=beta2, eps=eps)


def _with_penalties(g: Array, w: Array, weight_decay: float, l1: float) -> Array:
    """Add the derivatives of l1 sum |w| and of weight_decay / 2 sum w^2 to the gradient."""
    if l1:
        g = g + l1 * np.sign(w)
    if weight_decay:
        g = g + weight_decay * w
    return g


def _adam_direction(
    g: Array, state: Sequence[Array], t: int, *, beta1: float, beta2: float, eps: float
) -> Array:
    m, v = state  # running means of g and of g^2
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)  # corrects the bias of means that started at 0
    v_hat = v / (1 - beta2**t)
    # With eps = 0, too, a parameter whose gradients have all been 0 does not change.
    direction: Array = m_hat / (np.sqrt(v_hat) + max(eps, float(np.finfo(g.dtype).tiny)))
    return direction


def rmsprop(
    w: Array,
    g: Array,
    state: Sequence[Array],
    _t: int,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    l1: float = 0.0,
) -> None:
    """The gradient divided by the root of its mean square, or of its variance."""
    g = _with_penalties(g, w, weight_decay, l1)
    square, *more = state
    square *= alpha
    square += (1 - alpha) * g * g
    variance = square
    if centered:
        mean = more.pop(0)
        mean += (1 - alpha) * (g - mean)
        variance = np.maximum(square - mean * mean, 0)
    step = g / (np.sqrt(variance) + max(eps, float(np.finfo(g.dtype).tiny)))
    if momentum:
        velocity = more[0]
        velocity *= momentum
        velocity += step
        step = velocity
    w -= lr * step


OPTIMIZERS = {
    "sgd": Optimizer(
        "SGD",
        sgd,
        states=lambda hyper: 1 if hyper.get("momentum", 0) else 0,
        beside={
            "dampening": {"momentum": 0.9},
            "nesterov": {"momentum": 0.9, "dampening": 0.0},
        },
    ),
    "adam": Optimizer("Adam", adam, states=lambda _: 2),
    "adamw": Optimizer("AdamW", adamw, states=lambda _: 2),
    "rmsprop": Optimizer(
        "RMSprop",
        rmsprop,
        states=lambda hyper: 1 + bool(hyper.get("centered")) + bool(hyper.get("momentum")),
        tolerance=100,  # centered: the difference of two means cancels digits
    ),
}


def optimizer_step(
    name: str,
    hyper: dict[str, Any],
    t: int,
    params: Sequence[Array],
    grads: Sequence[Array],
    states: Sequence[Sequence[Array]],
) -> None:
    """Update every parameter in place; states[i] has the state arrays of params[i]."""
    for w, g, state in zip(params, grads, states, strict=True):
        OPTIMIZERS[name].update(w, g, state, t, **hyper)


def clip_factor(grads: Sequence[Array], max_norm: float) -> tuple[float, float]:
    """Return (factor, norm): `factor` times the gradients have a global norm up to `max_norm`."""
    norm = math.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in grads))
    return min(1.0, max_norm / (norm + 1e-6)), norm
