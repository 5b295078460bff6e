# SPDX-License-Identifier: BSD-3-Clause
"""Layers of a model as plain data and back, for the libraries with which models are exchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fastnn import _registry, _validate
from fastnn._refusals import Words, refused

from . import _keys, _state
from ._entries import class_of
from ._layer import Layer, ParameterLayer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastnn.exchange._model import LayerData, ModelData

    from ._loss import Loss
    from ._tree import Tree

__all__ = ["Pairs", "layers_of", "taken"]

Pairs = list[tuple[ParameterLayer, "LayerData"]]


def taken(where: str, tree: Tree, loss: Loss | None = None) -> ModelData:
    """Return the model with copies of its values, which are of one moment, for the call `where`."""
    from fastnn.exchange._model import LayerData, ModelData

    with Words(where):
        values = {} if tree.network is None else _state.copied_values(tree.network, None)

    def described(named: Iterable[tuple[str, Layer]]) -> Iterator[LayerData]:
        for key, layer in named:
            name, hyper = layer.spec()
            if any(word not in hyper for word in layer.learned):
                raise refused("not_adapted").worded(where)
            yield LayerData(
                name,
                {word: value for word, value in hyper.items() if word not in _apart(name)},
                key,
                values.get(key, {}),
                isinstance(layer, ParameterLayer) and layer.frozen,
                tuple(described(_keys.inside(layer, key))),
            )

    made = ModelData(tuple(described(_keys.named(tree.layers))), tree.dtype)
    if tree.network is not None:
        made = replace(made, columns=tree.network.n_features, outputs=tree.network.n_outputs)
    if loss is not None and loss.registry_name:  # a Python function has no link
        made = replace(made, loss=loss.registry_name, loss_hyper=loss.hyper())
    return made


def _apart(name: str) -> list[str]:
    """Return the words of a layer's spec that say nothing about what it computes."""
    row = _registry.rows("layers").get(name)
    return ["layers", _keys.SHORTCUT, *(row["initials"] if row else [])]


def layers_of(where: str, data: Iterable[LayerData], pairs: Pairs) -> list[Layer]:
    """Return new layers without values; a wrong parameter is refused with the place of its layer.

    Those that will have values are appended to `pairs`, each with its data.
    """
    made: list[Layer] = []
    for each in data:
        inner = layers_of(where, each.layers, pairs)
        more: dict[str, Any] = {}
        if each.layers and _keys.is_shortcut(each.layers[-1].key):
            more[_keys.SHORTCUT] = inner.pop()
        cls: Any = class_of(each.name)
        with _validate.headed(where, f"layer {each.key!r}" if each.key else "the layer"):
            layer = cls(*inner, **each.hyper, **more)
        if isinstance(layer, ParameterLayer):
            pairs.append((layer, each))
            if each.frozen:
                layer.freeze()
        made.append(layer)
    return made
