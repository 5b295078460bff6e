# SPDX-License-Identifier: BSD-3-Clause
"""The layers of a model: their keys, the core network made from them, and copies.

The layers form a tree, since a layer may contain layers. Such a layer

- returns them as `children`, and a copy of itself that contains others from `_with(children)`;
- includes them in its `spec`: ``"residual", {"layers": [c.spec() for c in children]}``;
- has no values of its own, and its `width` follows from theirs (`flops` does not include theirs).

Everything else uses the walk over the tree (`_keys.walk`): keys such as "2.0.weight", values,
frozen layers, copies, and layers that come from another model. This module does not train.
"""

from __future__ import annotations

import operator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn._refusals import Words

from . import _keys, _state
from ._containers import as_layer, listing
from ._inputs import Flatten, Standardize
from ._layer import Layer, ModelLayer, ParameterLayer, check_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn._validate import Array

__all__ = ["Outline", "Tree"]

_Copies = dict[int, Any]  # by the id of the original
_Values = dict[str, dict[str, "Array"]]  # by the layer's key and the parameter's name


class Tree:
    """A chain of layers, and the network that holds their values; it is immutable.

    Attributes
    ----------
    layers : tuple of Layer
        The outermost layers.
    dtype : "float32" or "float64"
    seed : int
    network : _core.Network or None
        None if no layer has parameters.
    flattens : bool
        Whether rows of more than one dimension are flattened.
    learns : bool
        Whether there is a layer that may have to learn statistics of the input.
    outline : Outline or None
        What it was made of, if it was made of an outline.
    """

    __slots__ = ("dtype", "flattens", "layers", "learns", "network", "outline", "seed")

    def __init__(self, dtype: str, seed: int) -> None:
        self.dtype, self.seed = dtype, seed
        self.layers: tuple[Layer, ...] = ()
        self.network: _core.Network | None = None
        self.flattens = self.learns = False
        self.outline: Outline | None = None

    def having(
        self,
        where: str,
        layers: tuple[Any, ...],
        values: _Values | None = None,
    ) -> Tree:
        """Return a tree of `layers`; if they do not fit together, nothing changes.

        Layers that belong to another tree are copied with their values, settings and freeze flags.
        Layers of this tree move to the new one with their values. `values`, by key, are for layers
        that have no values yet. Without them, the network draws initial values.
        """
        layers = tuple(map(as_layer, layers))
        _check(where, layers)
        entries = list(_keys.walk(layers))
        with Words(where):
            taken = _values_of_all(entries)
        copies = {
            id(layer): layer._copy(_values_in(taken, layer))
            for _, layer in entries
            if isinstance(layer, ModelLayer) and layer._network not in (None, self.network)
        }
        made = Tree(self.dtype, self.seed)
        made.layers = layers
        if copies:
            made.layers = tuple(_with_copies(layer, copies) for layer in layers)
            entries = list(_keys.walk(made.layers))
        made.flattens = any(isinstance(layer, Flatten) for layer in made.layers)
        made.learns = any(isinstance(layer, Standardize) for layer in made.layers)
        columns: int | None = None
        for position, layer in enumerate(made.layers):
            columns = layer.width(f"{where}: layer {position}", columns)
        named = [(k, layer) for k, layer in entries if isinstance(layer, ModelLayer)]
        with_values = [(key, layer) for key, layer in named if isinstance(layer, ParameterLayer)]
        if not with_values:
            return made
        by_layer = {
            key: (values or {}).get(key) or _values_in(taken, layer) or layer.values()
            for key, layer in with_values
        }
        # A new layer has the values that the network draws.
        made.network = network = _core.Network(
            [layer.spec() for layer in made.layers],
            self.dtype,
            self.seed,
            initialize=not all(
                by_layer[key].keys() >= layer.shapes().keys() for key, layer in with_values
            ),
        )
        known = {
            f"{key}.{name}": value for key, own in by_layer.items() for name, value in own.items()
        }
        if known:
            _check_range(where, known, self.dtype)
            _state.write(network, known)
        for key, layer in with_values:
            if layer.frozen:
                _state.set_frozen(network, key, True)
        places: dict[int, tuple[str, ...]] = {}
        for key, layer in named:
            places[id(layer)] = (*places.get(id(layer), ()), key)
        for _, layer in named:  # nothing of this can fail halfway
            layer._bind(network, places[id(layer)])
        return made

    @classmethod
    def of_outline(cls, outline: Outline, seed: int) -> Tree:
        """Return a tree of such layers whose values are zeros, for a caller that writes them."""
        made = cls(outline.dtype, seed)
        made.outline = outline
        made.layers = tuple([layer._bare() for layer in outline.layers])
        made.network = _core.Network(outline.specs, outline.dtype, seed, initialize=False)
        for layer, key in zip(made.layers, outline.keys, strict=True):
            if isinstance(layer, ModelLayer):
                layer._bind(made.network, (key,))
        return made

    def at(self, index: Any) -> Layer:
        """Return the outermost layer with this number, counted from the end if negative."""
        try:
            return self.layers[operator.index(index)]
        except IndexError:
            raise IndexError(
                f"[Sequential] no layer {index}; the model has {len(self.layers)}"
            ) from None
        except TypeError:
            raise TypeError(
                f"[Sequential] the index is {index!r}; expected a layer's number or a slice"
            ) from None

    def with_layer_at(self, index: Any, layer: Any) -> Tree:
        """Return a tree in which `layer` replaces layer `index`."""
        if isinstance(index, slice):
            raise TypeError("[Sequential] the index is a slice; expected one layer's number")
        self.expect_idle("Sequential.__setitem__")
        self.at(index)  # refuses numbers of no layer
        layers: list[Any] = list(self.layers)
        layers[operator.index(index)] = layer
        return self.having(f"Sequential[{index}]", tuple(layers))

    def need_network(self, call: str) -> _core.Network:
        """Return the network; a model without one is refused."""
        if self.network is None:
            raise ValueError(
                f"[Sequential.{call}] no layer of the model has parameters; expected an nn.Linear"
            )
        return self.network

    def expect_idle(self, where: str) -> None:
        """Refuse a call that would change a model in training."""
        if self.network is not None:
            self.network.expect_idle(where)

    def learn(self, where: str, x: Array, threads: int) -> list[Standardize]:
        """Let layers that prepare the input and lack statistics measure `x`; return them."""
        found = [k for k in self.layers if isinstance(k, Standardize) and k.mean is None]
        for layer in found:
            layer._learn(where, [("X", x)], threads)
        return found

    @contextmanager
    def learning(self, where: str, x: Array, threads: int) -> Iterator[None]:
        """Learn from `x` for the block, which trains.

        If it fails before the first update, another fit will find the layers as they were.
        """
        found = self.learn(where, x, threads)
        step = 0 if self.network is None else self.network.step
        try:
            yield
        except BaseException:
            if self.network is not None and self.network.step == step:
                for layer in found:
                    layer._forget()
            raise

    def snapshot(self) -> _state.Snapshot:
        """Return copies of everything that training changes, taken at one moment."""
        if self.network is None:
            return _state.Snapshot({}, [], {}, 0, 0, 0)
        return _state.snapshot(self.network)

    def __str__(self) -> str:
        named = ((_keys.in_state_dict(key) or "-", each) for key, each in _keys.named(self.layers))
        return listing(named)


class Outline:
    """What models of equal layers have in common, so that the layers are checked only once.

    Parameters
    ----------
    where : str
        Name of the call, for messages.
    layers : tuple of Layer
        Layers that compute, at least one of them with parameters, and none with layers in it.
    dtype : "float32" or "float64"

    Attributes
    ----------
    layers : tuple of Layer
        They belong to no model; each model gets copies of them.
    dtype : "float32" or "float64"
    keys : list of str
        The key of each layer.
    specs : _core.LayerSpecs
        The layers as the core takes them.
    parameters : list of (str, int)
        Key and number of dimensions of each parameter, all of which train.
    n_outputs : int
    """

    __slots__ = ("dtype", "keys", "layers", "n_outputs", "parameters", "specs")

    def __init__(self, where: str, layers: tuple[Layer, ...], dtype: str) -> None:
        network = Tree(dtype, 0).having(where, layers).need_network(where)
        self.dtype, self.layers = dtype, tuple(layer._bare() for layer in layers)
        self.specs = _core.LayerSpecs([layer.spec() for layer in layers])
        self.keys = [key for key, _ in _keys.walk(layers)]
        self.parameters = _state.trained(network)
        self.n_outputs = network.n_outputs


def _check_range(where: str, values: dict[str, Array], dtype: str) -> None:
    """Refuse values that a user gave to a layer if they are infinite in the model's dtype."""
    for key, value in values.items():
        if value.dtype.kind == "f" and value.dtype.itemsize > np.dtype(dtype).itemsize:
            largest = np.abs(value, where=np.isfinite(value), out=np.zeros(value.shape)).max()
            if largest > np.finfo(dtype).max:
                raise ValueError(f"[{where}] {key!r} has {largest:g}, which is infinite as {dtype}")


def _with_copies(layer: Layer, copies: _Copies) -> Layer:
    """Return the copy of `layer`, which is made here if only layers inside of it have one."""
    if id(layer) in copies:
        known: Layer = copies[id(layer)]
        return known
    children = tuple(_with_copies(child, copies) for child in layer.children)
    if all(a is b for a, b in zip(children, layer.children, strict=True)):
        return layer
    made = copies[id(layer)] = layer._with(children)
    return made


def _values_of_all(entries: list[tuple[str, Layer]]) -> dict[int, _Values]:
    """Return copies of the values of every network that these layers belong to, as snapshots."""
    networks: dict[int, tuple[_core.Network, list[str]]] = {}
    for _, layer in entries:
        if isinstance(layer, ParameterLayer) and layer._network is not None:
            _, keys = networks.setdefault(id(layer._network), (layer._network, []))
            keys.append(layer._key)
    return {key: _state.copied_values(network, keys) for key, (network, keys) in networks.items()}


def _values_in(taken: dict[int, _Values], layer: ModelLayer) -> dict[str, Array] | None:
    """Return the layer's values in such copies; None if it has no model or no values."""
    values = taken.get(id(layer._network))
    return values.get(layer._key) if values and isinstance(layer, ParameterLayer) else None


def _check(where: str, layers: tuple[Any, ...]) -> None:
    """Refuse objects that are no layers, layers with values in two places, and misplaced ones."""
    for position, layer in enumerate(layers):
        check_kind(where, position, layer)
    computes = False  # whether a layer before this one does more than prepare the input
    for position, layer in enumerate(layers):
        if layer.prepares and computes:
            raise ValueError(
                f"[{where}] layer {position} ({layer!r}) prepares the input; expected before all "
                "other layers"
            )
        computes = computes or not layer.prepares
    first: dict[int, int] = {}  # position of each object
    for position, layer in _keys.positions(layers):
        if isinstance(layer, ParameterLayer) and id(layer) in first:
            raise ValueError(
                f"[{where}] layer {position} is the same object as layer {first[id(layer)]}; "
                f"expected one {type(layer).__name__} each, since tied weights do not exist here"
            )
        first[id(layer)] = position
