# SPDX-License-Identifier: BSD-3-Clause
"""Models of Keras 3 to models: its layers one after the other, its conventions in torch's words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._hints import shown
from fastnn._registry import rows

from ._model import LayerData, ModelData, needed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._validate import Array

__all__ = ["read"]

# Activations whose name here is another than in Keras; all others have the registry's name.
_SPELLED = {
    "linear": "identity",
    "exponential": "exp",
    "hard_sigmoid": "hardsigmoid",
    "hard_silu": "hardswish",
    "hard_tanh": "hardtanh",
}
# Parameters with which an activation is Keras' function of that name, where the defaults differ.
# Keras defines softplus as log(1 + exp(z)) everywhere; from z = 50 on, that is z in float64.
_AS_IN_KERAS = {"leaky_relu": {"negative_slope": 0.2}, "softplus": {"threshold": 50.0}}


_ENDS = ("inputs", "outputs")


def read(where: str, model: Any, dtype: str | None) -> ModelData:
    """Return the model that `model` is; what has no counterpart is refused by its name."""
    keras = needed(where, "keras")
    if int(keras.__version__.split(".")[0]) < 3:
        raise ImportError(f"[{where}] keras is {keras.__version__}; expected version 3 or later")
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"[{where}] got {shown(model)}; expected a keras.Model or a layer of Keras")
    if not model.built:
        raise ValueError(
            f"[{where}] {model.name!r} is not built and has no values; expected a keras.Input "
            "before its first layer, or a call of build"
        )
    reader = _Reader(where, keras, _input_shape(model))
    reader.take(model)
    loss = None
    if reader.layers and reader.layers[-1].name == "softmax":
        reader.layers.pop()  # it is the link of this loss
        loss = "cross_entropy"
    reader.refuse_unknown()
    return ModelData(tuple(reader.layers), dtype or reader.dtype(model), loss)


def _input_shape(model: Any) -> tuple[int | None, ...] | None:
    """Return the shape of a row; None if it is not known."""
    given = (model.get_build_config() or {}).get("input_shape")
    if getattr(model, "inputs", None):
        given = model.inputs[0].shape
    return None if given is None else tuple(given)[1:]


class _Reader:
    """The layers that were read so far, and the shape of a row behind them.

    Attributes
    ----------
    layers : list of LayerData
    shape : tuple or None
        None if it is not known, which it is only for a single layer.
    """

    def __init__(self, where: str, keras: Any, shape: tuple[int | None, ...] | None) -> None:
        self.where, self.keras, self.shape = where, keras, shape
        self.layers: list[LayerData] = []
        self._seen: set[int] = set()

    def take(self, layer: Any) -> None:
        """Append what `layer` computes; a model is taken apart."""
        if isinstance(layer, self.keras.Model):
            for inner in self._chain(layer):
                self.take(inner)
            return
        known: Any = next((c for c in type(layer).__mro__ if c.__name__ in _LAYERS), None)
        if known is None or type(layer).call is not known.call:
            raise self.error(layer, f"is a {type(layer).__name__}; expected one of {_known()}")
        if layer.weights and id(layer) in self._seen:
            raise self.error(
                layer, "is in two places; expected one each, since tied weights do not exist here"
            )
        if getattr(layer, "quantization_mode", None):
            raise self.error(layer, f"is quantized to {layer.quantization_mode}; expected floats")
        self._seen.add(id(layer))
        _LAYERS[known.__name__](self, layer)

    def _chain(self, model: Any) -> list[Any]:
        """Return the layers of a model, each of which has to read the one before it."""
        if isinstance(model, self.keras.Sequential):
            return list(model.layers)
        ends: list[list[Any]] = [getattr(model, what, None) or [] for what in _ENDS]
        if not all(ends):
            raise self.error(
                model,
                f"is a {type(model).__name__}, whose call cannot be read; expected a "
                "keras.Sequential or a model made of keras.Input and outputs",
            )
        if [len(tensors) for tensors in ends] != [1, 1]:
            raise self.error(
                model, f"has {len(ends[0])} inputs and {len(ends[1])} outputs; expected one each"
            )
        found, tensor = [], ends[1][0]
        while tensor is not ends[0][0]:
            layer, node_index, _ = tensor._keras_history
            inputs = layer._inbound_nodes[node_index].input_tensors
            if len(inputs) != 1:
                raise self.error(
                    layer,
                    f"is a {type(layer).__name__} of {len(inputs)} tensors; expected a "
                    "chain, in which each layer reads the one before it",
                )
            if not isinstance(layer, self.keras.layers.Layer):
                raise self.error(
                    layer, f"is the operation {type(layer).__name__}; expected layers alone"
                )
            found.append(layer)
            tensor = inputs[0]
        return found[::-1]

    def error(self, layer: Any, text: str) -> ValueError:
        """Return the error that says this of a layer."""
        return ValueError(f"[{self.where}] layer {layer.name!r} {text}")

    def refuse(self, layer: Any, **expected: Any) -> None:
        """Refuse other values of attributes than the expected ones, which have no counterpart."""
        for name, value in expected.items():
            given = getattr(layer, name, value)
            if given != value:
                kind = type(layer).__name__
                raise self.error(
                    layer,
                    f"({kind}) has {name}={shown(given)}; expected {value!r}, the only choice here",
                )

    def add(self, layer: Any, name: str, hyper: Any = None, values: Any = None) -> None:
        """Append a layer."""
        found = {key: self.array(v) for key, v in (values or {}).items() if v is not None}
        frozen = bool(found) and not layer.trainable
        self.layers.append(LayerData(name, hyper or {}, layer.name, found, frozen))

    def activation(self, layer: Any, function: Any) -> None:
        """Append an activation that is an argument: a function of Keras, or a layer."""
        if isinstance(function, self.keras.layers.Layer):
            self.take(function)
            return
        name = getattr(function, "__name__", "")
        if name not in dir(self.keras.activations) or (
            getattr(self.keras.activations, name) is not function
        ):
            raise self.error(
                layer,
                f"has the activation {shown(function)}; expected a function of keras.activations",
            )
        name = _SPELLED.get(name, name)
        if name != "identity":
            self.add(layer, name, _AS_IN_KERAS.get(name))

    def columns(self, layer: Any) -> None:
        """Refuse a layer whose rows are not one-dimensional."""
        if self.shape is not None and len(self.shape) != 1:
            raise self.error(
                layer, f"gets rows of shape {self.shape}; expected (columns,): a Flatten before it"
            )

    def last_axis(self, layer: Any) -> None:
        """Refuse another axis than that of the columns."""
        self.columns(layer)
        axis = layer.axis
        given = list(axis) if isinstance(axis, (list, tuple)) else [axis]
        if given not in ([-1], [1]):
            raise self.error(layer, f"has axis={shown(axis)}; expected -1, the columns")

    def by_column(self, value: Any) -> float | Array:
        """Return a factor as one number, or as one for each column of the flattened rows."""
        numbers = self.array(value)
        if numbers.size == 1:
            return float(numbers.reshape(()))
        shape = tuple(n for n in self.shape or () if n is not None)
        if shape != self.shape:  # not all of it is known
            return numbers.reshape(-1)
        own = numbers.shape[-len(shape) :]  # without the axis of the rows
        return np.broadcast_to(numbers.reshape(own), shape).ravel()

    def array(self, value: Any) -> Array:
        """Return a variable, a tensor or a number in float64, which holds every other dtype."""
        tensor = self.keras.ops.cast(value, "float64")
        if hasattr(tensor, "detach"):  # of torch, whose conversion by Keras warns with NumPy 2
            tensor = tensor.detach().cpu()
        return np.asarray(tensor, np.float64)

    def dtype(self, model: Any) -> str:
        """Return the dtype of all weights, or that of the model if there are none."""
        floats = {str(w.dtype) for w in model.weights if "float" in str(w.dtype)}
        found = sorted(floats or {str(model.compute_dtype)})
        if found in (["float32"], ["float64"]):
            return found[0]
        raise ValueError(
            f"[{self.where}] the weights are {' and '.join(found)}; expected float32 or float64 "
            "alone, or dtype='float32', to which they are converted"
        )

    def refuse_unknown(self) -> None:
        """Refuse activations of Keras that are in no registry here."""
        known = {name for room in ("inputs", "layers", "activations") for name in rows(room)}
        for layer in self.layers:
            if layer.name in known:
                continue
            raise ValueError(
                f"[{self.where}] layer {layer.key!r} has the activation {layer.name!r}, which does "
                f"not exist here; known: {', '.join(rows('activations'))}"
            )


# -- layers: what each appends ---------------------------------------------------------------------


def _nothing(reader: _Reader, layer: Any) -> None:
    pass


def _dense(reader: _Reader, layer: Any) -> None:
    reader.columns(layer)
    n_in, n_out = layer.kernel.shape
    values = {"weight": reader.array(layer.kernel).T, "bias": layer.bias}
    sizes = {"in_features": n_in, "out_features": n_out, "bias": layer.bias is not None}
    reader.add(layer, "linear", sizes, values)
    reader.shape = (n_out,)
    reader.activation(layer, layer.activation)


def _activation(reader: _Reader, layer: Any) -> None:
    reader.activation(layer, layer.activation)


def _relu(reader: _Reader, layer: Any) -> None:
    reader.refuse(layer, threshold=0)
    slope, highest = float(layer.negative_slope), layer.max_value
    if highest is None:
        hyper = {"negative_slope": slope} if slope else {}
        reader.add(layer, "leaky_relu" if slope else "relu", hyper)
        return
    reader.refuse(layer, negative_slope=0)
    reader.add(layer, "hardtanh", {"min_val": 0.0, "max_val": float(highest)})


def _leaky_relu(reader: _Reader, layer: Any) -> None:
    reader.add(layer, "leaky_relu", {"negative_slope": float(layer.negative_slope)})


def _elu(reader: _Reader, layer: Any) -> None:
    reader.add(layer, "elu", {"alpha": float(layer.alpha)})


def _softmax(reader: _Reader, layer: Any) -> None:
    reader.last_axis(layer)
    reader.add(layer, "softmax")


def _dropout(reader: _Reader, layer: Any) -> None:
    reader.refuse(layer, noise_shape=None)
    reader.add(layer, "dropout", {"p": float(layer.rate)})


def _batch_norm(reader: _Reader, layer: Any) -> None:
    reader.last_axis(layer)
    reader.refuse(layer, center=True, scale=True, renorm=False)
    (columns,) = layer.gamma.shape
    hyper = {
        "num_features": columns,
        "eps": float(layer.epsilon),
        "momentum": round(1 - float(layer.momentum), 15),  # Keras: weight of the old statistics
    }
    values = {
        "weight": layer.gamma,
        "bias": layer.beta,
        "running_mean": layer.moving_mean,
        "running_var": layer.moving_variance,
    }
    reader.add(layer, "batch_norm1d", hyper, values)


def _layer_norm(reader: _Reader, layer: Any) -> None:
    reader.last_axis(layer)
    reader.refuse(layer, rms_scaling=False)
    if not layer.scale:
        reader.refuse(layer, center=False)  # a shift without a factor
    shape = reader.shape or layer.gamma.shape
    hyper = {
        "normalized_shape": shape[0],
        "eps": float(layer.epsilon),
        "elementwise_affine": bool(layer.scale),
        "bias": bool(layer.center),
    }
    values = {"weight": layer.gamma, "bias": layer.beta}
    reader.add(layer, "layer_norm", hyper, values)


def _rms_norm(reader: _Reader, layer: Any) -> None:
    reader.last_axis(layer)
    (columns,) = layer.scale.shape
    hyper = {"normalized_shape": columns, "eps": float(layer.epsilon)}
    reader.add(layer, "rms_norm", hyper, {"weight": layer.scale})


def _prelu(reader: _Reader, layer: Any) -> None:
    reader.columns(layer)
    (count,) = layer.alpha.shape
    reader.add(layer, "prelu", {"num_parameters": count}, {"weight": layer.alpha})


def _gaussian_noise(reader: _Reader, layer: Any) -> None:
    reader.add(layer, "gaussian_noise", {"std": float(layer.stddev)})


def _flatten(reader: _Reader, layer: Any) -> None:
    if reader.shape is not None and len(reader.shape) == 1:
        return  # one-dimensional rows stay as they are
    reader.refuse(layer, data_format="channels_last")
    reader.add(layer, "flatten")
    if reader.shape is not None and None not in reader.shape:
        reader.shape = (math.prod(n for n in reader.shape if n is not None),)
    else:
        reader.shape = (None,)


def _rescaling(reader: _Reader, layer: Any) -> None:
    factors = {"scale": layer.scale, "shift": layer.offset}
    reader.add(layer, "rescale", {k: reader.by_column(v) for k, v in factors.items()})


def _normalization(reader: _Reader, layer: Any) -> None:
    """(x - mean) / max(std, epsilon), or with invert x std + mean, by column."""
    if getattr(layer, "mean", None) is None:
        raise reader.error(layer, "has no mean; expected a call of adapt before")
    mean = np.asarray(reader.by_column(layer.mean))
    std = np.sqrt(np.asarray(reader.by_column(layer.variance)))
    std = np.maximum(std, reader.keras.config.epsilon())
    if layer.invert:
        reader.add(layer, "rescale", {"scale": std, "shift": mean})
    elif mean.ndim == 0:
        reader.add(layer, "rescale", {"scale": 1 / std, "shift": -mean / std})
    else:
        reader.add(layer, "standardize", {"mean": mean, "scale": std})


_LAYERS: dict[str, Callable[[_Reader, Any], None]] = {
    "InputLayer": _nothing,
    "Identity": _nothing,
    "Dense": _dense,
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "Softmax": _softmax,
    "Dropout": _dropout,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "PReLU": _prelu,
    "GaussianNoise": _gaussian_noise,
    "Flatten": _flatten,
    "Rescaling": _rescaling,
    "Normalization": _normalization,
}


def _known() -> str:
    return ", ".join(sorted(_LAYERS))
