# SPDX-License-Identifier: BSD-3-Clause
"""Models made from those of other libraries; the translation is in `fastnn.exchange`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _validate

from . import _state
from ._layer_data import layers_of
from ._sequential import Sequential

if TYPE_CHECKING:
    from fastnn.exchange._model import ModelData

    from ._layer_data import Pairs

__all__ = ["from_keras", "from_torch"]


def from_torch(torch_module: Any, *, dtype: Any = None, seed: int = 0) -> Sequential:
    """Make a model from a module of torch, with copies of its values.

    Parameters
    ----------
    torch_module : torch.nn.Sequential, or one of its layers
        The layers and activations of torch that have a class of the same name here, nested
        Sequentials, and the modules that `Sequential.to_torch` makes. Parameters with
        ``requires_grad=False`` are frozen. Tied weights, hooks and parametrizations are refused.
    dtype : float32 or float64, optional
        By default that of the parameters.
    seed : int, default 0
        Seed of dropout and of shuffling.

    Returns
    -------
    Sequential
        It is not compiled: optimizer and loss are no part of a module.

    Raises
    ------
    ValueError, TypeError
        A module or an argument of one that does not exist here; the message says which, and where.
    ImportError
        If torch is not installed.

    Examples
    --------
    >>> import torch
    >>> from fastnn import nn
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> model = nn.from_torch(module)
    >>> model
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=2, bias=True)
    )
    >>> bool((model[0].weight == module[0].weight.detach().numpy()).all())
    True
    """
    from fastnn.exchange import _torch

    where = "from_torch"
    chosen = None if dtype is None else _validate.dtype_name(where, dtype)
    return _made(where, _torch.read(where, torch_module, chosen), seed)


def from_keras(keras_model: Any, *, dtype: Any = None, seed: int = 0) -> Sequential:
    """Make a model from one of Keras 3, with copies of its values.

    Keras' conventions are translated: kernels are transposed, the activation of a Dense becomes a
    layer, and BatchNorm1d's momentum is 1 minus that of Keras. Models inside the model are taken
    apart. A softmax at the end becomes the link of the loss: the model is compiled with ``"sgd"``
    and ``"cross_entropy"``, so that `Sequential.predict` gives probabilities; compile it again to
    train it otherwise.

    Parameters
    ----------
    keras_model : keras.Sequential, functional keras.Model, or a built layer
        A chain of Dense, activations, Dropout, BatchNormalization, LayerNormalization, Flatten,
        Rescaling and Normalization. Layers with ``trainable=False`` are frozen. Optimizer, loss,
        regularizers and constraints are not taken over.
    dtype : float32 or float64, optional
        By default that of the weights.
    seed : int, default 0
        Seed of dropout and of shuffling.

    Returns
    -------
    Sequential

    Raises
    ------
    ValueError, TypeError
        A layer or an argument of one that does not exist here; the message says which, and where.
    ImportError
        If Keras is not installed.

    Examples
    --------
    >>> import keras
    >>> from fastnn import nn
    >>> layers = [keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)]
    >>> nn.from_keras(keras.Sequential(layers))
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=3, bias=True)
    )
    """
    from fastnn.exchange import _keras

    where = "from_keras"
    chosen = None if dtype is None else _validate.dtype_name(where, dtype)
    return _made(where, _keras.read(where, keras_model, chosen), seed)


def _made(where: str, data: ModelData, seed: int) -> Sequential:
    """Return a new model of these layers with these values."""
    seed = _validate.seed(where, seed)
    pairs: Pairs = []
    model = Sequential(*layers_of(where, data.layers, pairs), dtype=data.dtype, seed=seed)
    if model._network is not None:
        values = {
            f"{layer._key}.{name}": value
            for layer, each in pairs
            for name, value in each.values.items()
        }
        _state.load(where, model._network, values, True)
    if data.loss is not None:
        model.compile("sgd", data.loss)
    return model
