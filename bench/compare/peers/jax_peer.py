# SPDX-License-Identifier: BSD-3-Clause
"""JAX: all epochs of a turn in one jitted call with a scan over the batches.

XLA takes its number of threads only from the processors that it may use, hence `PINNED`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jaxlib
from bench.compare.case import ADAM, WEIGHT_DECAY, Case, data, weights
from jax import lax
from jax import numpy as jnp

PINNED = True


def versions() -> dict[str, str]:
    """Return the versions of JAX and jaxlib."""
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}


class Model:
    """See `case.Peer`."""

    def __init__(self, case: Case, threads: int) -> None:
        jax.config.update("jax_enable_x64", case.dtype == "float64")
        self.case, self.threads = case, threads
        self.initial = weights(case)
        x, y = data(case)
        shape = (case.batches, case.batch)
        self.data = (
            jnp.asarray(x.reshape(*shape, -1)),
            jnp.asarray(y.reshape(*shape, *y.shape[1:])),
        )
        step = partial(_step, case)

        def many(state: Any, epochs: Any, batches: Any) -> Any:
            return lax.fori_loop(0, epochs, lambda _, s: lax.scan(step, s, batches)[0], state)

        self.many = jax.jit(many, donate_argnums=0)
        self.epoch = jax.jit(lambda state, batches: lax.scan(step, state, batches))

    def reset(self) -> None:
        parameters = jax.tree.map(jnp.asarray, self.initial)
        zeros = () if self.case.optimizer == "sgd" else (parameters, parameters)
        moments = jax.tree.map(jnp.zeros_like, zeros)
        self.state = (parameters, moments, jnp.zeros((), jnp.int32), jax.random.key(0))

    def run(self, epochs: int) -> None:
        self.state = jax.block_until_ready(self.many(self.state, epochs, self.data))

    def losses(self, epochs: int) -> list[float]:
        found = []
        for _ in range(epochs):
            self.state, losses = self.epoch(self.state, self.data)
            found.append(float(jnp.mean(losses)))
        return found

    def threads_used(self) -> int:
        return self.threads


def _forward(case: Case, parameters: Any, x: Any, key: Any) -> Any:
    last = len(parameters) - 1
    for layer, (w, b) in enumerate(parameters):
        x = x @ w + b
        if layer < last:
            x = jax.nn.relu(x) if case.activation == "relu" else jnp.tanh(x)
            if case.dropout:
                keep = 1 - case.dropout
                kept = jax.random.bernoulli(jax.random.fold_in(key, layer), keep, x.shape)
                x = jnp.where(kept, x / keep, 0)
    return x


def _loss(case: Case, parameters: Any, x: Any, y: Any, key: Any) -> Any:
    z = _forward(case, parameters, x, key)
    if case.loss == "mse":
        return jnp.mean((z - y) ** 2)
    if case.loss == "bce_with_logits":
        return jnp.mean(jax.nn.softplus(z) - y * z)
    logs = jax.nn.log_softmax(z)
    return -jnp.mean(jnp.take_along_axis(logs, y[:, None], axis=1))


def _step(case: Case, state: Any, batch: Any) -> Any:
    parameters, moments, count, key = state
    if case.dropout:
        key, drawn = jax.random.split(key)
    else:
        drawn = key
    loss, grads = jax.value_and_grad(partial(_loss, case))(parameters, *batch, drawn)
    count = count + 1
    lr = case.lr
    if case.optimizer == "sgd":
        return (jax.tree.map(lambda p, g: p - lr * g, parameters, grads), (), count, key), loss
    beta1, beta2, eps = ADAM
    m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, moments[0], grads)
    v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, moments[1], grads)
    time = count.astype(case.dtype)
    # 1 - beta**time, without the cancellation in float32 where beta**time is close to 1
    first, second = (-jnp.expm1(time * math.log(beta)) for beta in (beta1, beta2))
    rate, root = lr / first, second**-0.5
    keep = 1 - lr * WEIGHT_DECAY if case.optimizer == "adamw" else 1.0
    parameters = jax.tree.map(
        lambda p, m, v: keep * p - rate * m / (jnp.sqrt(v) * root + eps), parameters, m, v
    )
    return (parameters, (m, v), count, key), loss
