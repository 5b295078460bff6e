# SPDX-License-Identifier: BSD-3-Clause
"""The model inside an estimator: how it is made, and shown as coefs_ and intercepts_."""

from __future__ import annotations

import copy
import functools
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import joblib
import numpy as np

from fastnn import _core, _registry, nn
from fastnn._hints import shown
from fastnn.nn import _state
from fastnn.nn._layer import Activation, Layer
from fastnn.nn._tree import Outline

from ._parameters import ACTIVATIONS, NORMALIZATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Layout",
    "build",
    "copied_values",
    "fits",
    "gradients",
    "layout",
    "load",
    "thread_count",
    "views",
]


def thread_count(n_jobs: int | None) -> int:
    """Return the number of threads for the core, where 0 means the automatic choice.

    Negative numbers count from the number of processors, as joblib's do: -1 is all of them.
    """
    if n_jobs is None:
        return 0
    threads = int(n_jobs) if n_jobs > 0 else max(1, joblib.cpu_count() + 1 + int(n_jobs))
    return min(threads, _core.max_threads)


def _activations(where: str, given: Any, hidden: int) -> list[Activation]:
    """Return the activation of each hidden layer; `given` is one for all, or one for each."""
    return [_activation(where, one) for one in _each(where, "activation", given, hidden)]


def _each(where: str, name: str, given: Any, hidden: int) -> list[Any]:
    """Return a parameter of each hidden layer; `given` is one for all, or one for each."""
    each = list(given) if isinstance(given, (list, tuple)) else [given] * hidden
    if len(each) != hidden:
        raise ValueError(
            f"[{where}] {name} has {len(each)} entries; expected one for each of {hidden} hidden "
            "layers, or a single one for all"
        )
    return each


def _activation(where: str, given: Any) -> Activation:
    if isinstance(given, Activation):
        return copy.copy(given)
    if not isinstance(given, str) or given not in ACTIVATIONS:
        raise _registry.unknown(where, "activation", given, ACTIVATIONS)
    return _activation_called(given)


@functools.cache
def _activation_called(name: str) -> Activation:
    made: Any = getattr(nn, _registry.rows("activations")[ACTIVATIONS[name]]["class_name"])
    return made()  # type: ignore[no-any-return]


def _dropouts(where: str, given: Any, hidden: int) -> list[float]:
    """Return the probability of each hidden layer; `given` is one for all, or one for each."""
    each = _each(where, "dropout", given, hidden)
    for p in each:
        if isinstance(p, (bool, np.bool_)) or not isinstance(p, (int, float, np.number)):
            raise TypeError(f"[{where}] dropout has {shown(p)}; expected numbers")
        if not 0 <= p < 1:
            raise ValueError(f"[{where}] dropout has {shown(p)}; expected at least 0 and below 1")
    return [float(p) for p in each]


class Layout(NamedTuple):
    """The layers that the parameters of an estimator stand for.

    Attributes
    ----------
    units : tuple of int
        Number of columns of X, sizes of the hidden layers, number of outputs.
    functions : tuple of Activation
        Of each hidden layer.
    shares : tuple of float
        Its probability of dropout.
    normalization : str or None
    """

    units: tuple[int, ...]
    functions: tuple[Activation, ...]
    shares: tuple[float, ...]
    normalization: str | None


def layout(where: str, units: Sequence[int], parameters: Any) -> Layout:
    """Return the layers of an estimator with these parameters; `where` is for messages."""
    hidden = len(units) - 2
    return Layout(
        tuple(map(int, units)),
        tuple(_activations(where, parameters.activation, hidden)),
        tuple(_dropouts(where, parameters.dropout, hidden)),
        parameters.normalization,
    )


def build(layers: Layout, dtype: Any, n_jobs: int | None, seed: int = 0) -> nn.Sequential:
    """Return a model with these layers.

    Behind the linear part of a hidden layer come its normalization, its activation and its dropout.

    Parameters
    ----------
    layers : Layout
    dtype : float32 or float64
    n_jobs : int or None
    seed : int
        What dropout is drawn from.
    """
    threads = thread_count(n_jobs)
    if layers.normalization is None:  # scikit-learn's draws take the place of all values
        kind: Literal["float32", "float64"] = "float32" if dtype == np.float32 else "float64"
        return nn.Sequential._of_outline(_outline(layers, kind), seed, threads)
    return nn.Sequential(*_made(layers), dtype=dtype, seed=seed, n_threads=threads or None)


@functools.lru_cache(maxsize=64)
def _outline(layers: Layout, dtype: Literal["float32", "float64"]) -> Outline:
    """Return the outline of such layers; the fits of a search have few different ones."""
    return Outline("Sequential", _made(layers), dtype)


def _made(layers: Layout) -> tuple[Layer, ...]:
    units, functions, shares, normalization = layers
    found: list[Layer] = []
    for (fan_in, fan_out), function, share in zip(
        pairwise(units[:-1]), functions, shares, strict=True
    ):
        found.append(nn.Linear(fan_in, fan_out))
        if normalization is not None:
            row = _registry.rows("layers")[NORMALIZATIONS[normalization]]
            found.append(getattr(nn, row["class_name"])(fan_out))
        found.append(function)
        if share:
            found.append(nn.Dropout(share))
    return (*found, nn.Linear(units[-2], units[-1]))


def views(model: nn.Sequential) -> tuple[list[Any], list[Any]]:
    """Return the weights (in, out) and biases (out) of the layers, as views of the model's."""
    found, keys = _state.torch_keys(model._tree.need_network("state_dict")), _keys(model)
    return [found[f"{k}.weight"].T for k in keys], [found[f"{k}.bias"] for k in keys]


def _keys(model: nn.Sequential) -> list[int]:
    """Return the keys of the layers with weights and biases that are shown."""
    return [k for k, layer in enumerate(model) if isinstance(layer, nn.Linear)]


def gradients(model: nn.Sequential) -> list[Any]:
    """Return the gradients of all weights, (in, out), and then of all biases, as views.

    They stay the model's: those of a later call of ``loss_and_grad`` are seen in them.
    """
    found = model.gradients()
    keys = _keys(model)
    return [found[f"{k}.weight"].T for k in keys] + [found[f"{k}.bias"] for k in keys]


def copied_values(model: nn.Sequential) -> dict[str, Any]:
    """Return copies of all values, those of normalizations and their statistics included."""
    return {key: np.array(value) for key, value in model.state_dict().items()}


def fits(model: nn.Sequential, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
    """Whether the model can hold these values as they are."""
    weights, biases = views(model)
    given, held = [*coefs, *intercepts], [*weights, *biases]
    return len(coefs) == len(weights) and [(a.shape, a.dtype) for a in given] == [
        (a.shape, a.dtype) for a in held
    ]


def load(held: Sequence[Any], values: Sequence[Any]) -> None:
    """Copy values into a model, of which `held` are the views."""
    for target, value in zip(held, values, strict=True):
        target[...] = value
