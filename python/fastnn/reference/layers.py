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

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import Torch
from fastnn.reference._inputs import INPUTS, Flatten, Rescale, Standardize
from fastnn.reference._layer import Layer
from fastnn.reference._norms import BatchNorm1d, LayerNorm, RMSNorm
from fastnn.reference.activations import ACTIVATIONS, activation_backward
from fastnn.reference.functional import linear, linear_backward
from fastnn.reference.initializers import WordStream, initial_values
from fastnn.reference.random import INIT, dropout_mask, normal_noise

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
    "GaussianNoise",
    "Layer",
    "LayerNorm",
    "Linear",
    "PReLU",
    "RMSNorm",
    "Rescale",
    "Residual",
    "Sequential",
    "Standardize",
    "backward_through",
    "leaves",
    "make_layer",
]
Chosen = tuple[str, dict[str, Any]]  # name and parameters of an initializer


class Linear(Layer):
    """y = x w + b with x (B, I), w (I, O), b (O,)."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        init: str | Chosen = "default",
        bias_init: str | Chosen = "default",
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = in_features, out_features, bias
        self.init, self.bias_init = init, bias_init

    def build(self, dtype: Any, seed: int, number: int) -> None:
        shape, stream = (self.in_features, self.out_features), WordStream(seed, INIT + number)
        self.params = {"weight": initial_values(self.init, stream, shape, shape, dtype)}
        if self.bias:
            own = initial_values(self.bias_init, stream, shape[1:], shape, dtype)
            self.params["bias"] = own

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
    silent = {"p": 0.0}  # noqa: RUF012

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


class GaussianNoise(Layer):
    """In training, normal numbers of the standard deviation `std` are added; dx is dy."""

    torch = None
    random = True
    silent = {"std": 0.0}  # noqa: RUF012

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        self.std = std

    def build(self, dtype: Any, seed: int, number: int) -> None:
        self.seed, self.number = seed, number

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        if not training:
            return x
        n_rows, n_columns = x.shape
        noise = normal_noise((n_rows, n_columns), self.seed, self.number, step, x.dtype, draw)
        y: Array = x + x.dtype.type(self.std) * noise
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        return dy


def _one_for_each(columns: int) -> int:
    return columns


class PReLU(Layer):
    """y = x where x > 0, and weight x elsewhere, with one weight or one for each column."""

    torch = Torch(by_row=False)
    tries = ({"num_parameters": _one_for_each},)

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init

    def build(self, dtype: Any, seed: int, number: int) -> None:
        self.params = {"weight": np.full(self.num_parameters, self.init, dtype)}

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        self.x = x
        y: Array = np.where(x > 0, x, x * self.params["weight"])
        return y

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        each = (dy.astype(np.float64) * np.minimum(self.x, 0)).sum(axis=0)
        total = each if self.num_parameters > 1 else each.sum(keepdims=True)
        self.grads = {"weight": total.astype(dy.dtype)}
        dx: Array = np.where(self.x > 0, dy, dy * self.params["weight"])
        return dx


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
    """y = f(x) + s(x), f the layers one after the other, s the shortcut or, without one, x itself.

    The gradient reaches x on both ways.
    """

    torch = None

    def __init__(
        self,
        layers: Sequence[tuple[str, dict[str, Any]]],
        shortcut: tuple[str, dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(layers)
        self.shortcut = None if shortcut is None else make_layer(*shortcut)

    @property
    def has_parameters(self) -> bool:
        return super().has_parameters or (
            self.shortcut is not None and self.shortcut.has_parameters
        )

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        through = super().forward(x, training, step, draw)
        if self.shortcut is not None:
            x = self.shortcut.forward(x, training, step, draw)
        return through + x

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        through = super().backward(dy, need_dx)
        past = dy if self.shortcut is None else self.shortcut.backward(dy, need_dx)
        return None if through is None or past is None else through + past


LAYERS: dict[str, type[Layer]] = {
    "linear": Linear,
    "dropout": Dropout,
    "batch_norm1d": BatchNorm1d,
    "layer_norm": LayerNorm,
    "rms_norm": RMSNorm,
    "prelu": PReLU,
    "gaussian_noise": GaussianNoise,
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
            if isinstance(layer, Residual) and layer.shortcut is not None:
                own = f"{prefix}{number}.shortcut"
                inner = [("", layer.shortcut)]
                if isinstance(layer.shortcut, Sequential):
                    inner = [(f".{k}", each) for k, each in leaves(layer.shortcut.layers)]
                yield from ((own + k, each) for k, each in inner)
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
