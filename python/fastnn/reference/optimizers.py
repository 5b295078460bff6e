# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers with torch's rules; each is a function that updates one parameter `w` in place.

A new optimizer consists of a function and a row of OPTIMIZERS. The keyword arguments of the
function are its hyperparameters. `g` is the gradient, which is not changed; `state` is a list of
arrays of the shape of `w` that start as zeros; `t` counts steps from 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._optimizer import WITHOUT_FORMS, Optimizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn.reference._describe import Array

__all__ = ["OPTIMIZERS", "Optimizer", "optimizer_step"]


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
    form: str = "torch",
) -> None:
    """Gradient descent, with momentum along v, an exponentially weighted sum of gradients.

    Nesterov's form uses the gradient plus momentum times v. In scikit-learn's form, v is a sum of
    steps: the learning rate of a step is that of its time.
    """
    g = _with_penalties(g, w, weight_decay, l1)
    if momentum:
        rate = -lr if form == "sklearn" else 1.0
        v = state[0]
        v *= momentum
        v += rate * g if t == 1 else rate * (1 - dampening) * g
        g = rate * g + momentum * v if nesterov else v
        lr = -1.0 if form == "sklearn" else lr
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
    amsgrad: bool = False,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
    form: str = "torch",
) -> None:
    """Step along the running mean of gradients, divided by the root of their mean square.

    In scikit-learn's form, eps is added to that root before the bias of the mean is corrected.
    """
    g = _decayed(g, w, lr, weight_decay, l1, decoupled_weight_decay)
    if form == "sklearn":
        eps = max(eps, float(np.finfo(g.dtype).tiny)) / math.sqrt(1 - beta2**t)
    w -= lr * _adam_direction(g, state, t, beta1=beta1, beta2=beta2, eps=eps, amsgrad=amsgrad)


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
    amsgrad: bool = False,
    l1: float = 0.0,
) -> None:
    """Adam with weight decay applied to the parameter directly instead of to the gradient."""
    g = _decayed(g, w, lr, weight_decay, l1, decoupled=True)
    w -= lr * _adam_direction(g, state, t, beta1=beta1, beta2=beta2, eps=eps, amsgrad=amsgrad)


def _with_penalties(g: Array, w: Array, weight_decay: float, l1: float) -> Array:
    """Add the derivatives of l1 sum |w| and of weight_decay / 2 sum w^2 to the gradient."""
    if l1:
        g = g + l1 * np.sign(w)
    if weight_decay:
        g = g + weight_decay * w
    return g


def _decayed(
    g: Array, w: Array, lr: float, weight_decay: float, l1: float, decoupled: bool
) -> Array:
    """Add penalties to the gradient; decoupled weight decay shrinks `w` in place instead."""
    g = _with_penalties(g, w, 0.0 if decoupled else weight_decay, l1)
    if decoupled:
        w *= 1 - lr * weight_decay
    return g


def _positive(eps: float, g: Array) -> float:
    """`eps`, but not 0, so that a parameter whose gradients have all been 0 does not change."""
    return max(eps, float(np.finfo(g.dtype).tiny))


def _means(state: Sequence[Array], g: Array, beta1: float, beta2: float) -> tuple[Array, Array]:
    """Update the running means of g and of g^2, and return them."""
    m, v = state
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    return m, v


def _adam_direction(
    g: Array,
    state: Sequence[Array],
    t: int,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    amsgrad: bool,
) -> Array:
    m, v = _means(state[:2], g, beta1, beta2)
    if amsgrad:
        largest = state[2]
        v = np.maximum(largest, v, out=largest)
    m_hat = m / (1 - beta1**t)  # corrects the bias of means that started at 0
    v_hat = v / (1 - beta2**t)
    direction: Array = m_hat / (np.sqrt(v_hat) + _positive(eps, g))
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
    step = g / (np.sqrt(variance) + _positive(eps, g))
    if momentum:
        velocity = more[0]
        velocity *= momentum
        velocity += step
        step = velocity
    w -= lr * step


def _with_amsgrad(hyper: dict[str, Any]) -> int:
    return 2 + bool(hyper.get("amsgrad"))


def adagrad(
    w: Array,
    g: Array,
    state: Sequence[Array],
    t: int,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    l1: float = 0.0,
) -> None:
    """The gradient divided by the root of the sum of all its squares so far."""
    g = _with_penalties(g, w, weight_decay, l1)
    (total,) = state
    total += g * g
    if t == 1:
        total += initial_accumulator_value
    w -= lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(total) + _positive(eps, g))


def adadelta(
    w: Array,
    g: Array,
    state: Sequence[Array],
    _t: int,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """The gradient times the ratio of the root mean squares of earlier steps and of gradients."""
    g = _with_penalties(g, w, weight_decay, l1)
    square, steps = state
    square *= rho
    square += (1 - rho) * g * g
    step = np.sqrt(steps + eps) / np.sqrt(square + eps) * g
    steps *= rho
    steps += (1 - rho) * step * step
    w -= lr * step


def adamax(
    w: Array,
    g: Array,
    state: Sequence[Array],
    t: int,
    *,
    lr: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """Adam with the largest |g|, which decays by beta2, in the place of the root mean square."""
    g = _with_penalties(g, w, weight_decay, l1)
    m, largest = state
    m *= beta1
    m += (1 - beta1) * g
    largest[...] = np.maximum(beta2 * largest, np.abs(g) + eps)
    w -= lr / (1 - beta1**t) * m / np.maximum(largest, _positive(0.0, g))


def nadam(
    w: Array,
    g: Array,
    state: Sequence[Array],
    t: int,
    *,
    lr: float = 2e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
) -> None:
    """Adam with Nesterov's look-ahead: part of the step is along the gradient of this update."""
    g = _decayed(g, w, lr, weight_decay, l1, decoupled_weight_decay)
    m, v = _means(state, g, beta1, beta2)
    # Factors beyond the first ten thousand are beta1, and their product has long been 0.
    i = np.arange(1, min(t, 10_000) + 1)
    product = float(np.prod(beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay))))
    now, then = (beta1 * (1 - 0.5 * 0.96 ** (s * momentum_decay)) for s in (t, t + 1))
    step = (1 - now) / (1 - product) * g + then / (1 - product * then) * m
    w -= lr * step / (np.sqrt(v / (1 - beta2**t)) + _positive(eps, g))


def radam(
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
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
) -> None:
    """Adam whose steps are shorter while the mean square has few terms."""
    g = _decayed(g, w, lr, weight_decay, l1, decoupled_weight_decay)
    m, v = _means(state, g, beta1, beta2)
    step = m / (1 - beta1**t)
    limit = 2 / (1 - beta2) - 1
    rho = limit - 2 * t * beta2**t / (1 - beta2**t)
    if rho > 5:
        rectify = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        step = step * np.sqrt(rectify * (1 - beta2**t)) / (np.sqrt(v) + _positive(eps, g))
    w -= lr * step


def lion(
    w: Array,
    g: Array,
    state: Sequence[Array],
    _t: int,
    *,
    lr: float = 1e-4,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """Steps of one size in all elements, with the sign of a mean of gradients."""
    g = _decayed(g, w, lr, weight_decay, l1, decoupled=True)
    (m,) = state
    direction = np.sign(m + (1 - beta1) * (g - m))
    m += (1 - beta2) * (g - m)
    w -= lr * direction


OPTIMIZERS = {
    "sgd": Optimizer(
        "SGD",
        sgd,
        states=lambda hyper: 1 if hyper.get("momentum", 0) else 0,
        beside={
            "dampening": {"momentum": 0.9},
            "form": {"momentum": 0.9},
            "nesterov": {"momentum": 0.9, "dampening": 0.0},
        },
        torch=WITHOUT_FORMS,
    ),
    "adam": Optimizer(
        "Adam",
        adam,
        states=_with_amsgrad,
        beside={"decoupled_weight_decay": {"weight_decay": 0.3}},
        torch=WITHOUT_FORMS,
    ),
    "adamw": Optimizer("AdamW", adamw, states=_with_amsgrad, decoupled=True),
    "rmsprop": Optimizer(
        "RMSprop",
        rmsprop,
        states=lambda hyper: 1 + bool(hyper.get("centered")) + bool(hyper.get("momentum")),
        tolerance=100,  # centered: the difference of two means cancels digits
    ),
    "adagrad": Optimizer("Adagrad", adagrad, states=lambda _: 1),
    "adadelta": Optimizer(
        "Adadelta",
        adadelta,
        states=lambda _: 2,
        tolerance=10,  # a step is made of two roots, a quotient and the mean square of such steps
    ),
    "adamax": Optimizer(
        "Adamax",
        adamax,
        states=lambda _: 2,
        tolerance=10,  # it divides by single gradients, whose rounding errors do not average out
    ),
    "nadam": Optimizer(
        "NAdam",
        nadam,
        states=lambda _: 2,
        beside={"decoupled_weight_decay": {"weight_decay": 0.3}},
    ),
    "radam": Optimizer(
        "RAdam",
        radam,
        states=lambda _: 2,
        beside={"decoupled_weight_decay": {"weight_decay": 0.3}},
        tolerance=100,  # rho: the difference of two numbers near 2 / (1 - beta2) cancels digits
    ),
    "lion": Optimizer("Lion", lion, states=lambda _: 1, decoupled=True, torch=None),
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
