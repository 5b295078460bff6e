# SPDX-License-Identifier: BSD-3-Clause
"""What ONNX computes for each layer, activation and link: one table, the operators of opset 18.

An entry takes a graph, the name of its input and what it needs to know, and returns the name of its
output. Numbers are constants in the dtype of the model instead of attributes, which are float32 in
ONNX, and only operators are used that ONNX Runtime has in float64, too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn.reference.activations import SELU_ALPHA, SELU_SCALE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._validate import Array

    from ._model import LayerData

__all__ = ["ACTIVATIONS", "LAYERS", "LINKS"]


class Graph(Protocol):
    """A graph that is being built."""

    dtype: str

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""

    def constant(self, value: Any, name: str = "") -> str:
        """Return the name of a constant in the dtype of the model."""

    def indices(self, *values: int) -> str:
        """Return the name of a constant of integers, such as axes."""

    def chain(self, x: str, layers: tuple[LayerData, ...]) -> str:
        """Append layers one after the other and return the name of the last output."""


# -- activations: (graph, name of z, parameters) -> name of f(z) -----------------------------------


def _identity(_g: Graph, z: str) -> str:
    return z


def _relu(g: Graph, z: str) -> str:
    return g.node("Relu", z)


def _leaky_relu(g: Graph, z: str, negative_slope: float) -> str:
    return g.node("PRelu", z, g.constant(negative_slope))  # whose slope has the dtype of z


def _elu(g: Graph, z: str, alpha: float) -> str:
    e = g.node("Elu", z)
    if alpha == 1:
        return e
    below = g.node("Mul", e, g.constant(alpha))
    return g.node("Where", g.node("Greater", z, g.constant(0)), z, below)


def _selu(g: Graph, z: str) -> str:
    return g.node("Mul", _elu(g, z, SELU_ALPHA), g.constant(SELU_SCALE))


def _celu(g: Graph, z: str, alpha: float) -> str:
    below = g.node("Mul", g.node("Elu", g.node("Div", z, g.constant(alpha))), g.constant(alpha))
    return g.node("Where", g.node("Greater", z, g.constant(0)), z, below)


def _tanh(g: Graph, z: str) -> str:
    return g.node("Tanh", z)


def _sigmoid(g: Graph, z: str) -> str:
    return g.node("Sigmoid", z)


def _softplus(g: Graph, z: str, beta: float, threshold: float) -> str:
    u = g.node("Mul", z, g.constant(beta))
    soft = g.node("Div", g.node("Softplus", u), g.constant(beta))
    return g.node("Where", g.node("Greater", u, g.constant(threshold)), z, soft)


def _gelu(g: Graph, z: str, approximate: str) -> str:
    if approximate == "tanh":
        cube = g.node("Mul", g.node("Mul", z, z), z)
        inner = g.node("Add", z, g.node("Mul", cube, g.constant(0.044715)))
        t = g.node("Tanh", g.node("Mul", inner, g.constant(math.sqrt(2 / math.pi))))
        return g.node("Mul", g.node("Mul", z, g.constant(0.5)), g.node("Add", t, g.constant(1)))
    return g.node("Mul", z, _normal_cdf(g, z))


def _normal_cdf(g: Graph, z: str) -> str:
    """Phi(z), the distribution function of the normal distribution.

    In float64 it is erfc(|z| / sqrt 2) / 2 or 1 minus that, because ONNX Runtime has no Erf in
    float64. erfc is the midpoint rule with step h for an integral over a function that decreases
    like exp(-t^2), plus the residue of its poles (Matta and Reichel 1971); with h = 1/2 and 13
    terms the error is below 1e-16:

        erfc(a) = 2 h a / pi exp(-a^2) sum_k exp(-t_k^2) / (a^2 + t_k^2) + 2 / (1 + exp(2 pi a / h))

    where t_k = (k - 1/2) h, and a is at least 0.
    """
    one = g.constant(1)
    u = g.node("Mul", z, g.constant(math.sqrt(0.5)))
    if g.dtype == "float32":
        return g.node("Mul", g.node("Add", g.node("Erf", u), one), g.constant(0.5))
    h = 0.5
    t = (np.arange(13) + 0.5) * h
    a = g.node("Abs", u)
    square = g.node("Mul", a, a)
    terms = g.node(
        "Div",
        g.constant(np.exp(-t * t)),
        g.node("Add", g.node("Unsqueeze", square, g.indices(-1)), g.constant(t * t)),
    )
    total = g.node("ReduceSum", terms, g.indices(-1), keepdims=0)
    bell = g.node("Mul", a, g.node("Exp", g.node("Neg", square)))
    # Half of both terms; 1 / (1 + exp(v)) is sigmoid(-v), which cannot overflow.
    midpoint = g.node("Mul", g.node("Mul", bell, total), g.constant(h / math.pi))
    poles = g.node("Sigmoid", g.node("Mul", a, g.constant(-2 * math.pi / h)))
    tail = g.node("Add", midpoint, poles)
    below = g.node("Less", z, g.constant(0))
    return g.node("Where", below, tail, g.node("Sub", one, tail))


def _silu(g: Graph, z: str) -> str:
    return g.node("Mul", z, g.node("Sigmoid", z))


def _mish(g: Graph, z: str) -> str:
    return g.node("Mul", z, g.node("Tanh", g.node("Softplus", z)))


def _hardtanh(g: Graph, z: str, min_val: float, max_val: float) -> str:
    return g.node("Clip", z, g.constant(min_val), g.constant(max_val))


def _relu6(g: Graph, z: str) -> str:
    return _hardtanh(g, z, 0, 6)


def _hardsigmoid(g: Graph, z: str) -> str:
    return g.node("Div", _relu6(g, g.node("Add", z, g.constant(3))), g.constant(6))


def _hardswish(g: Graph, z: str) -> str:
    return g.node("Mul", z, _hardsigmoid(g, z))


def _softsign(g: Graph, z: str) -> str:
    return g.node("Softsign", z)


def _log_sigmoid(g: Graph, z: str) -> str:
    """min(z, 0) - softplus(-|z|), in which no exp overflows."""
    far = g.node("Softplus", g.node("Neg", g.node("Abs", z)))
    return g.node("Sub", g.node("Min", z, g.constant(0)), far)


def _exp(g: Graph, z: str) -> str:
    return g.node("Exp", z)


def _step(g: Graph, z: str) -> str:
    return g.node("Where", g.node("Less", z, g.constant(0)), g.constant(0), g.constant(1))


def _softmax(g: Graph, z: str) -> str:
    return g.node("Softmax", z, axis=-1)


def _log_softmax(g: Graph, z: str) -> str:
    return g.node("LogSoftmax", z, axis=-1)


ACTIVATIONS: dict[str, Callable[..., str]] = {
    "identity": _identity,
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "softsign": _softsign,
    "log_sigmoid": _log_sigmoid,
    "exp": _exp,
    "step": _step,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
}


# -- layers: (graph, name of x, layer) -> name of y ------------------------------------------------


def _values(g: Graph, layer: LayerData, *names: str) -> list[str]:
    """Return the names of those values that the layer has, which are its keys in state_dict."""
    return [
        g.constant(layer.values[name], f"{layer.key}.{name}")
        for name in names
        if name in layer.values
    ]


def _linear(g: Graph, x: str, layer: LayerData) -> str:
    return g.node("Gemm", x, *_values(g, layer, "weight", "bias"), transB=1)


def _in_prediction(_g: Graph, x: str, _layer: LayerData) -> str:
    """Dropout and noise do nothing in prediction, and a graph of ONNX has flattened rows."""
    return x


def _batch_norm(g: Graph, x: str, layer: LayerData) -> str:
    factor, shift, mean = _values(g, layer, "weight", "bias", "running_mean")
    # The attribute epsilon is float32, so eps is part of the variance.
    wide: Array = layer.values["running_var"].astype(np.float64) + layer.hyper["eps"]
    var = g.constant(wide, f"{layer.key}.running_var_plus_eps")
    return g.node(
        "BatchNormalization",
        x,
        factor,
        shift,
        mean,
        var,
        epsilon=0.0,
        momentum=1 - layer.hyper["momentum"],
    )


def _layer_norm(g: Graph, x: str, layer: LayerData) -> str:
    """LayerNormalization is float32 inside, whatever the dtype of its input is."""
    axis = g.indices(-1)
    centred = g.node("Sub", x, g.node("ReduceMean", x, axis))
    var = g.node("ReduceMean", g.node("Mul", centred, centred), axis)
    std = g.node("Sqrt", g.node("Add", var, g.constant(layer.hyper["eps"])))
    y = g.node("Div", centred, std)
    for operator, value in zip(("Mul", "Add"), _values(g, layer, "weight", "bias"), strict=False):
        y = g.node(operator, y, value)
    return y


def _rms_norm(g: Graph, x: str, layer: LayerData) -> str:
    """The operator RMSNormalization came with opset 23, and is float32 inside."""
    eps = layer.hyper["eps"]
    if eps is None:
        eps = float(np.finfo(g.dtype).eps)
    square = g.node("ReduceMean", g.node("Mul", x, x), g.indices(-1))
    y = g.node("Div", x, g.node("Sqrt", g.node("Add", square, g.constant(eps))))
    for value in _values(g, layer, "weight"):
        y = g.node("Mul", y, value)
    return y


def _prelu(g: Graph, x: str, layer: LayerData) -> str:
    return g.node("PRelu", x, *_values(g, layer, "weight"))


def _rescale(g: Graph, x: str, layer: LayerData) -> str:
    scale, shift = (g.constant(layer.hyper[what]) for what in ("scale", "shift"))
    return g.node("Add", g.node("Mul", x, scale), shift)


def _standardize(g: Graph, x: str, layer: LayerData) -> str:
    mean = g.constant(layer.hyper["mean"])
    inverse = g.constant(1 / np.asarray(layer.hyper["scale"], np.float64))
    return g.node("Mul", g.node("Sub", x, mean), inverse)


def _sequential(g: Graph, x: str, layer: LayerData) -> str:
    return g.chain(x, layer.layers)


def _residual(g: Graph, x: str, layer: LayerData) -> str:
    layers, past = layer.layers, x
    if layers[-1].key.endswith(".shortcut"):
        layers, past = layers[:-1], g.chain(x, layers[-1:])
    return g.node("Add", g.chain(x, layers), past)


LAYERS: dict[str, Callable[[Graph, str, LayerData], str]] = {
    "linear": _linear,
    "dropout": _in_prediction,
    "batch_norm1d": _batch_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "prelu": _prelu,
    "gaussian_noise": _in_prediction,
    "rescale": _rescale,
    "standardize": _standardize,
    "flatten": _in_prediction,
    "sequential": _sequential,
    "residual": _residual,
}


# -- links: (graph, name of the outputs, their number, parameters of the loss) -> predictions ------


def _as_it_is(_g: Graph, out: str, _columns: int, **_hyper: Any) -> str:
    return out


def _probabilities(g: Graph, out: str, _columns: int, **_hyper: Any) -> str:
    return _softmax(g, out)


def _probabilities_of_yes(g: Graph, out: str, _columns: int, **_hyper: Any) -> str:
    return _sigmoid(g, out)


def _exponential(g: Graph, out: str, _columns: int, **_hyper: Any) -> str:
    return _exp(g, out)


def _poisson_rates(g: Graph, out: str, _columns: int, log_input: bool = True, **_hyper: Any) -> str:
    return _exp(g, out) if log_input else out


def _gaussian_moments(g: Graph, out: str, columns: int, log_variance: bool, **_hyper: Any) -> str:
    if not log_variance:
        return out
    start, middle, end, axis = (g.indices(n) for n in (0, columns // 2, columns, 1))
    mean = g.node("Slice", out, start, middle, axis)
    spread = g.node("Slice", out, middle, end, axis)
    return g.node("Concat", mean, _exp(g, spread), axis=1)


# By the name of the function in the twin's row of the loss.
LINKS: dict[str, Callable[..., str]] = {
    "_no_link": _as_it_is,
    "probabilities": _probabilities,
    "probabilities_of_yes": _probabilities_of_yes,
    "exponential": _exponential,
    "poisson_rates": _poisson_rates,
    "gaussian_moments": _gaussian_moments,
}
