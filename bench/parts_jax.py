# SPDX-License-Identifier: BSD-3-Clause
"""The steps of `bench.parts` in JAX: the layers of a model as jnp expressions, rules of optax.

JAX has no layers, so each is written here as its users write it. A step is one jitted function that
gets parameters, moments and running statistics as donated arguments; an epoch is one jitted scan
over its batches, which is the fastest form of a loop there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.parts_metrics import figures, jax_sums

from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["jax_steps"]

# A layer: its parameters, its state, and apply(parameters, state, x, key) -> (y, state).
Layer = tuple[Any, Any, "Callable[..., Any]"]
PLAIN_LOSSES = {
    "cross_entropy": "softmax_cross_entropy_with_integer_labels",
    "mse": "squared_error",
    "bce_with_logits": "sigmoid_binary_cross_entropy",
}


def named(home: Any, name: str) -> Any:
    """Return what a module of JAX has under a name, whatever its underscores; None if nothing."""
    plain = name.replace("_", "")
    found = {key.replace("_", "").removesuffix("loss"): key for key in dir(home)}
    return getattr(home, found[plain]) if plain in found else None


VALUES = ("weight", "bias", "running_mean", "running_var")


class LackingError(LookupError):
    """JAX has no such part."""


def layer_of(jax: Any, layer: Any) -> Layer:
    """Return a layer of a model as a function of arrays."""
    jnp = jax.numpy
    there = {name: getattr(layer, name, None) for name in VALUES}
    values = {name: jnp.asarray(np.array(a)) for name, a in there.items() if a is not None}
    if isinstance(layer, nn.Linear):
        values["weight"] = values["weight"].T
        return values, (), lambda p, s, x, _: (x @ p["weight"] + p["bias"], s)
    if isinstance(layer, nn.BatchNorm1d):
        return batch_norm(jax, layer, values)
    if isinstance(layer, (nn.LayerNorm, nn.RMSNorm)):
        return values, (), norm_of_rows(jax, layer)
    if isinstance(layer, nn.Container):
        parts = [layer_of(jax, inner) for inner in layer]
        adds = isinstance(layer, nn.Residual)

        def inside(p: Any, s: Any, x: Any, key: Any) -> Any:
            y, states = x, []
            for (_, _, apply), own, kept in zip(parts, p, s, strict=True):
                y, new = apply(own, kept, y, key)
                states.append(new)
            return x + y if adds else y, states

        return [part[0] for part in parts], [part[1] for part in parts], inside
    return values, (), without_state(jax, layer)


def without_state(jax: Any, layer: Any) -> Callable[..., Any]:
    jnp = jax.numpy
    if isinstance(layer, nn.PReLU):
        return lambda p, s, x, _: (jnp.where(x > 0, x, p["weight"] * x), s)
    if isinstance(layer, nn.Dropout):
        keep = 1 - layer.p
        return lambda _p, s, x, key: (
            jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0),
            s,
        )
    if isinstance(layer, nn.GaussianNoise):
        return lambda _p, s, x, key: (x + layer.std * jax.random.normal(key, x.shape), s)
    prepares: dict[type, Callable[[Any], Any]] = {
        nn.Rescale: lambda x: x * layer.scale + layer.shift,
        nn.Standardize: lambda x: (x - layer.mean) / layer.scale,
        nn.Flatten: lambda x: x.reshape(x.shape[0], -1),
    }
    if type(layer) in prepares:
        prepare = prepares[type(layer)]
        return lambda _p, s, x, _: (prepare(x), s)
    name = getattr(layer, "registry_name", "")
    function = named(jax.nn, name) or named(jnp, name)
    if function is None:
        raise LackingError(name)
    if name == "gelu":  # JAX approximates it with tanh unless it is told not to
        function = partial(function, approximate=False)
    return lambda _p, s, x, _: (function(x), s)


def norm_of_rows(jax: Any, layer: Any) -> Callable[..., Any]:
    jnp = jax.numpy
    eps = np.finfo(np.float32).eps if layer.eps is None else layer.eps
    centred = isinstance(layer, nn.LayerNorm)

    def apply(p: Any, s: Any, x: Any, _: Any) -> Any:
        x = x - x.mean(axis=1, keepdims=True) if centred else x
        y = x * jax.lax.rsqrt((x * x).mean(axis=1, keepdims=True) + eps)
        return y * p["weight"] + p.get("bias", jnp.zeros(())), s

    return apply


def batch_norm(jax: Any, layer: Any, values: dict[str, Any]) -> Layer:
    running = {key: values.pop(key) for key in ("running_mean", "running_var")}
    share = layer.momentum

    def apply(p: Any, s: Any, x: Any, _: Any) -> Any:
        mean, var = x.mean(axis=0), x.var(axis=0)
        unbiased = var * (len(x) / max(len(x) - 1, 1))
        new = {"running_mean": mean, "running_var": unbiased}
        moved = {k: (1 - share) * s[k] + share * jax.lax.stop_gradient(new[k]) for k in s}
        y = (x - mean) * jax.lax.rsqrt(var + layer.eps)
        return y * p["weight"] + p["bias"], moved

    return values, running, apply


def rate_of(optax: Any, name: str | None, rate: float, steps: int) -> Any:
    """Return optax's schedule for a class of ours with its defaults, or the rate itself."""
    if name is None:
        return rate
    lr_scheduler: Any = optim.lr_scheduler  # type: ignore[attr-defined, unused-ignore]
    ours = getattr(lr_scheduler, name)().hyper()
    far = 10**9
    makers: dict[str, Callable[[], Any]] = {
        "ConstantLR": lambda: optax.piecewise_constant_schedule(
            rate * ours["factor"], {ours["total_iters"]: 1 / ours["factor"]}
        ),
        "StepLR": lambda: optax.exponential_decay(
            rate, ours["step_size"], ours["gamma"], staircase=True
        ),
        "MultiStepLR": lambda: optax.piecewise_constant_schedule(
            rate, {int(at): ours["gamma"] for at in ours["milestones"]}
        ),
        "ExponentialLR": lambda: optax.exponential_decay(rate, 1, ours["gamma"]),
        "LinearLR": lambda: optax.linear_schedule(
            rate * ours["start_factor"], rate * ours["end_factor"], ours["total_iters"]
        ),
        "PolynomialLR": lambda: optax.polynomial_schedule(rate, 0.0, ours["power"], far),
        "CosineAnnealingLR": lambda: optax.cosine_decay_schedule(rate, far),
        "CosineAnnealingWarmRestarts": lambda: optax.sgdr_schedule(
            [{"init_value": 0.0, "peak_value": rate, "decay_steps": ours["T_0"], "warmup_steps": 0}]
            * -(-steps // ours["T_0"])
        ),
        "OneCycleLR": lambda: optax.cosine_onecycle_schedule(far, rate),
    }
    if name not in makers:
        raise LackingError(name)
    return makers[name]()


def jax_steps(
    peers: dict[str, Any], part: Any, model: nn.Sequential, x: Any, y: Any, batch: int, rate: float
) -> Callable[[], object] | None:
    """Return a call of the step, or with `in_fit` of an epoch; None where JAX lacks the part."""
    jax, optax = peers["jax"], peers["optax"]
    rule = named(optax, part.optimizer)
    measure = named(optax.losses, PLAIN_LOSSES.get(part.loss, part.loss))
    if rule is None or measure is None or part.hyper or not ends_in_linear(model):
        return None
    try:
        layers = [layer_of(jax, layer) for layer in model]
        rule = rule(rate_of(optax, part.schedule, rate, len(x) // batch))
    except LackingError:
        return None
    batch_of_epoch = batch if part.in_fit else None
    return running(jax, optax, layers, rule, measure, part.metrics, x, y, batch_of_epoch)


def ends_in_linear(model: nn.Sequential) -> bool:
    """Whether the network ends with a Linear, and nothing else, for its loss."""
    return isinstance(list(model)[-1], nn.Linear)


def running(
    jax: Any,
    optax: Any,
    layers: list[Layer],
    rule: Any,
    measure: Any,
    metrics: tuple[str, ...],
    x: Any,
    y: Any,
    batch: Any,
) -> Callable[[], object]:
    """Return a call of one jitted step, or of a scan over batches of so many rows.

    The scan returns the loss of each batch and the figures of the metrics over all of them.
    """
    jnp, sums = jax.numpy, jax_sums(jax, metrics)

    def loss_of(weights: Any, states: Any, key: Any, x: Any, y: Any) -> Any:
        kept = []
        for number, (_, _, apply) in enumerate(layers):
            own = jax.random.fold_in(key, number)
            x, state = apply(weights[number], states[number], x, own)
            kept.append(state)
        return jnp.mean(measure(x, y)), (kept, sums(x, y))

    def step(carry: Any, rows: Any) -> Any:
        weights, moments, states, key = carry
        key, own = jax.random.split(key)
        grads = jax.value_and_grad(loss_of, has_aux=True)
        (value, (states, seen)), gradients = grads(weights, states, own, *rows)
        changes, moments = rule.update(gradients, moments, weights)
        return (optax.apply_updates(weights, changes), moments, states, key), (value, seen)

    def epoch(carry: Any, rows: Any) -> Any:
        carry, (values, seen) = jax.lax.scan(step, carry, rows)
        totals = jax.tree.map(lambda each: each.sum(0), seen)
        return carry, (values, figures(metrics, totals, len(x)))

    weights = [layer[0] for layer in layers]
    state = [(weights, rule.init(weights), [layer[1] for layer in layers], jax.random.key(0))]
    compiled = jax.jit(epoch if batch else step, donate_argnums=(0,))
    rows = tuple(jnp.asarray(a.reshape(-1, batch, *a.shape[1:]) if batch else a) for a in (x, y))

    def once() -> None:
        state[0], found = compiled(state[0], rows)
        jax.block_until_ready(found)
        if batch:
            jax.tree.map(lambda each: each.tolist(), found[1])

    return once
