# SPDX-License-Identifier: BSD-3-Clause
"""Layers: forward, and backward right below it.

backward(dy) turns dloss/dy into dloss/dx and leaves the gradients of the layer's own parameters in
`grads`; forward keeps whatever that needs. Shapes: B batch rows, I inputs, O outputs of a layer.
A new layer is one class and one row of LAYERS; the arguments of __init__ are its hyperparameters.
INPUTS prepare the input and stand before all layers; CONTAINERS are layers made of layers.
"""
# Methods are described once, in Layer, and all layers take the same arguments.
# ruff: noqa: D102

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn.reference._describe import SAME, Torch
from fastnn.reference.activations import ACTIVATIONS, activation_backward
from fastnn.reference.functional import linear, linear_backward
from fastnn.reference.random import dropout_mask, init_linear

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastnn.reference._describe import Array

__all__ = [
    "CONTAINERS",
    "INPUTS",
    "LAYERS",
    "ActivationLayer",
    "BatchNorm1d",
    "Dropout",
    "Flatten",
    "Layer",
    "LayerNorm",
    "Linear",
    "Rescale",
    "Residual",
    "Sequential",
    "backward_through",
    "leaves",
    "make_layer",
]


class Layer:
    """What all layers have: parameters that train, statistics that do not, gradients.

    The class says what tests have to know: what torch calls it (None if torch does not have it),
    whether training draws random numbers, whether a bias right below has no effect, a factor on the
    tolerance of all layers, and arguments to try besides those of the registry's row, where a
    function makes the value for an input of so many columns.
    """

    numbered = True  # whether it counts in the numbering of layers ("0.weight")
    torch: ClassVar[Torch | None] = SAME
    random: ClassVar[bool] = False
    cancels_bias: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1.0
    tries: ClassVar[tuple[dict[str, Any], ...]] = ()

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.statistics: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.frozen = False

    def build(self, dtype: Any, seed: int, number: int) -> None:
        """Make the parameters; `number` keys the layer's random streams."""

    @property
    def has_parameters(self) -> bool:
        """Whether anything in it could be trained."""
        return bool(self.params)

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        """Return y; `step` counts the optimizer's steps, `draw` training passes since the last."""
        raise NotImplementedError

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        """Return dx, or None where it is not needed and costs something."""
        raise NotImplementedError


def _one_a_column(columns: int) -> Array:
    numbers: Array = np.linspace(-1.5, 2.0, columns)
    return numbers


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


class Linear(Layer):
    """y = x w + b with x (B, I), w (I, O), b (O,)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = in_features, out_features, bias

    def build(self, dtype: Any, seed: int, number: int) -> None:
        shape = (self.in_features, self.out_features)
        weight, bias = init_linear(shape, self.bias, seed, number, dtype)
        self.params = {"weight": weight, "bias": bias} if self.bias else {"weight": weight}

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        self.x = x
        return linear(x, self.params["weight"], self.params.get("bias"))

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        dx, dw, db = linear_backward(dy, self.x, self.params["weight"], need_dx)
        self.grads = {"weight": dw, "bias": db} if self.bias else {"weight": dw}
        return dx


class ActivationLayer(Layer):
    """y = f(x), with a row of ACTIVATIONS."""

    def __init__(self, name: str, **hyper: Any) -> None:
        super().__init__()
        self.name, self.activation, self.hyper = name, ACTIVATIONS[name], hyper

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        y = self.activation.f(x, **self.hyper)
        self.saved = x if self.activation.needs == "input" else y
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        return activation_backward(self.name, self.hyper, dy, self.saved)


class Dropout(Layer):
    """In training each value is dropped with probability p, and the others grow by 1 / (1 - p).

    Every training pass draws a new mask; backward takes that of its forward.
    """

    random = True

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def build(self, dtype: Any, seed: int, number: int) -> None:
        self.seed, self.number = seed, number

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        self.mask: Array | None = None
        if not training or self.p == 0:
            return x
        n_rows, n_columns = x.shape
        self.mask = dropout_mask(
            (n_rows, n_columns), self.p, self.seed, self.number, step, x.dtype, draw
        )
        return x * self.mask

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        return dy if self.mask is None else dy * self.mask


class BatchNorm1d(Layer):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, column by column.

    Training takes mean and variance from the batch, and moves the running ones towards them by
    `momentum`; otherwise the running ones are used. As in torch the batch is normalised by the
    biased variance (1/B), while the running variance collects the unbiased one (1/(B - 1)).
    A row alone has no variance: it is normalised by the running statistics, which stay as they are.
    All this is computed in double: float32 sums down a long column would lose digits.
    """

    cancels_bias = True

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.num_batches = 0  # from which the running statistics have been taken

    def build(self, dtype: Any, seed: int, number: int) -> None:
        n = self.num_features
        self.params = {"weight": np.ones(n, dtype), "bias": np.zeros(n, dtype)}
        self.statistics = {"running_mean": np.zeros(n, dtype), "running_var": np.ones(n, dtype)}

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        self.own_statistics = training and len(x) > 1
        wide = x.astype(np.float64)
        if self.own_statistics:
            mean, var = wide.mean(axis=0), wide.var(axis=0)
            if not self.frozen:
                self._update_statistics(mean, var, len(x))
        else:
            mean, var = self.statistics["running_mean"], self.statistics["running_var"]
        self.inverse_std = 1 / np.sqrt(var.astype(np.float64) + self.eps)
        self.normalised = (wide - mean) * self.inverse_std
        y: Array = self.normalised * self.params["weight"] + self.params["bias"]
        return y.astype(x.dtype)

    def _update_statistics(self, mean: Array, var: Array, n_rows: int) -> None:
        self.num_batches += 1
        unbiased = var * n_rows / (n_rows - 1)
        for name, new in (("running_mean", mean), ("running_var", unbiased)):
            running = self.statistics[name]
            running[:] = (1 - self.momentum) * running.astype(np.float64) + self.momentum * new

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        dtype, dy = dy.dtype, dy.astype(np.float64)
        dweight, dbias = (dy * self.normalised).sum(axis=0), dy.sum(axis=0)
        self.grads = {"weight": dweight.astype(dtype), "bias": dbias.astype(dtype)}
        dx = dy
        if self.own_statistics:  # mean and variance depend on x too: take out their parts of dy
            dx = dy - dy.mean(axis=0) - self.normalised * (dy * self.normalised).mean(axis=0)
        result: Array = dx * self.inverse_std * self.params["weight"]
        return result.astype(dtype)


class LayerNorm(Layer):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of each row.

    Like BatchNorm1d, but along the other axis: a row needs no others, so there are no running
    statistics, and training and prediction do the same. Computed in double as well.
    """

    def __init__(
        self,
        normalized_shape: int,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = normalized_shape, eps
        self.elementwise_affine, self.bias = elementwise_affine, bias

    def build(self, dtype: Any, seed: int, number: int) -> None:
        n = self.normalized_shape
        self.params = {}
        if self.elementwise_affine:
            self.params["weight"] = np.ones(n, dtype)
            if self.bias:
                self.params["bias"] = np.zeros(n, dtype)

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        wide = x.astype(np.float64)
        mean, var = wide.mean(axis=1, keepdims=True), wide.var(axis=1, keepdims=True)
        self.inverse_std = 1 / np.sqrt(var + self.eps)
        self.normalised = (wide - mean) * self.inverse_std
        y: Array = self.normalised * self.params.get("weight", 1) + self.params.get("bias", 0)
        return y.astype(x.dtype)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        dtype, dy = dy.dtype, dy.astype(np.float64)
        grads = {"weight": (dy * self.normalised).sum(axis=0), "bias": dy.sum(axis=0)}
        self.grads = {name: grads[name].astype(dtype) for name in self.params}
        # Mean and variance depend on the row's x too: take out their parts.
        g = dy * self.params.get("weight", 1)
        cross = (g * self.normalised).mean(axis=1, keepdims=True)
        dx: Array = (g - g.mean(axis=1, keepdims=True) - self.normalised * cross) * self.inverse_std
        return dx.astype(dtype)


class Sequential(Layer):
    """Layers one after the other, as one layer."""

    def __init__(self, layers: Sequence[tuple[str, dict[str, Any]]]) -> None:
        super().__init__()
        self.layers = [make_layer(name, hyper) for name, hyper in layers]

    @property
    def has_parameters(self) -> bool:
        return any(layer.has_parameters for layer in self.layers)

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        for layer in self.layers:
            x = layer.forward(x, training, step, draw)
        return x

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        return backward_through(self.layers, dy, need_dx)


class Residual(Sequential):
    """y = f(x) + x, f the layers one after the other: the gradient reaches x on both ways."""

    torch = None

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        return super().forward(x, training, step, draw) + x

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        through = super().backward(dy, need_dx)
        return None if through is None else through + dy


INPUTS: dict[str, type[Layer]] = {"rescale": Rescale, "flatten": Flatten}

LAYERS: dict[str, type[Layer]] = {
    "linear": Linear,
    "dropout": Dropout,
    "batch_norm1d": BatchNorm1d,
    "layer_norm": LayerNorm,
}

CONTAINERS: dict[str, type[Layer]] = {"sequential": Sequential, "residual": Residual}


def make_layer(name: str, hyper: dict[str, Any]) -> Layer:
    """Return the layer or activation called `name`."""
    if name in ACTIVATIONS:
        return ActivationLayer(name, **hyper)
    rows = INPUTS | LAYERS | CONTAINERS
    if name not in rows:
        known = ", ".join([*rows, *ACTIVATIONS])
        raise ValueError(f"unknown layer '{name}'; known: {known}")
    return rows[name](**hyper)


def leaves(layers: Sequence[Layer], prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Give key and layer of all layers that are no containers, depth first: "0", "1.0", "1.1"."""
    for number, layer in enumerate(layers):
        if isinstance(layer, Sequential):
            yield from leaves(layer.layers, f"{prefix}{number}.")
        else:
            yield f"{prefix}{number}", layer


def backward_through(layers: Sequence[Layer], dy: Array, need_dx: bool) -> Array | None:
    """Go backward through layers that were run one after the other.

    Below the first one with parameters only the gradient of the input itself is left to find, which
    is returned if asked for.
    """
    with_parameters = [i for i, layer in enumerate(layers) if layer.has_parameters]
    first = 0 if need_dx else min(with_parameters, default=len(layers))
    dx: Array | None = dy
    for i in range(len(layers) - 1, first - 1, -1):
        if dx is not None:
            dx = layers[i].backward(dx, need_dx=need_dx or i > first)
    return dx if need_dx else None
