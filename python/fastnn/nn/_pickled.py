# SPDX-License-Identifier: BSD-3-Clause
"""The state of a model for pickles and copies: its config and arrays, and what a subclass adds.

A subclass may have attributes that refer to layers of the model, also in lists and dictionaries. In
the state a `LayerAt` stands for such a layer, so that in a copy it is a layer of the copy.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _validate
from fastnn._assign import is_free

from . import _config, _keys
from ._history import History
from ._layer import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LayerAt", "deeply_copied", "restore", "state_of"]

_SAVED = ("config", "arrays")
_NAMES = (*_SAVED, "foreign", "fit", "n_threads", "attributes")
_OWN = ("_tree", "_compiled", "_epochs_seen", "_run", "_threads", "history")


class LayerAt(NamedTuple):
    """The layer with this key, in the attributes of a subclass."""

    key: str


def state_of(model: Any) -> dict[str, Any]:
    """Return the state of a Sequential, which shares nothing with it but a subclass's own."""
    saved, foreign = _config.everything(f"copy of {type(model).__name__}", model)
    history = model.history
    known = isinstance(history, History)
    places = {id(layer): LayerAt(key) for key, layer in reversed(list(_walk(model)))}
    attributes = {name: value for name, value in vars(model).items() if name not in _OWN}
    return {
        "config": saved.config,
        "arrays": saved.arrays,
        "foreign": {
            key: value._bare() if isinstance(value, Layer) else value
            for key, value in foreign.items()
        },
        "fit": [history.seconds, history.threads_used] if known else None,
        "n_threads": model._threads,
        "attributes": _replaced(attributes, lambda value: places.get(id(value)), {}),
    }


def deeply_copied(state: Any, memo: dict[int, Any]) -> Any:
    """Return a deep copy of a state, whose config and arrays already belong to nobody else."""
    if not isinstance(state, dict):  # a subclass may have another
        return copy.deepcopy(state, memo)
    return {
        name: value if name in _SAVED else copy.deepcopy(value, memo)
        for name, value in state.items()
    }


def restore(model: Any, state: Any) -> None:
    """Make `model` the one of `state`; if anything in it is wrong, it stays as it was."""
    where = type(model).__name__
    with _validate.headed(where, "the state"):
        given = _validate.dictionary(where, "the state", state, _NAMES)
        threads = given["n_threads"]
        if threads != 0:
            threads = _validate.thread_count(where, threads)
        attributes = _own_attributes(where, model, given["attributes"])
        foreign = _validate.names(where, "foreign", given["foreign"])
        saved = _config.Saved(given["config"], given["arrays"])
        parts = _config.parts_of(where, saved, foreign, finite=False)
        if isinstance(parts.history, History) and given["fit"] is not None:
            _restore_fit(where, parts.history, given["fit"])
        layers = dict(_keys.walk(parts.tree.layers))

        def layer_of(value: Any) -> Any:
            return layers[value.key] if isinstance(value, LayerAt) else None

        try:
            attributes = _replaced(attributes, layer_of, {})
        except (KeyError, TypeError):
            raise ValueError("an attribute refers to a layer that is not there") from None
    vars(model).update(attributes)
    model._use(parts)
    vars(model)["_threads"] = threads


def _walk(model: Any) -> Any:
    return _keys.walk(model._tree.layers)


def _own_attributes(where: str, model: Any, given: Any) -> dict[str, Any]:
    """Return the attributes of a subclass, refusing those that belong to the model itself."""
    attributes = _validate.names(where, "attributes", given)
    for name in attributes:
        if name in _OWN or not (name == "stop_training" or is_free(model, name)):
            raise ValueError(f"{name[:80]!r} is no attribute that a {where} may have")
    return attributes


def _restore_fit(where: str, history: History, given: Any) -> None:
    if not (isinstance(given, list) and len(given) == 2):
        raise TypeError("fit is no pair of seconds and threads")
    history.seconds = _validate.number(where, "seconds", given[0])
    history.threads_used = _validate.integer(where, "threads_used", given[1], 0)


def _replaced(value: Any, instead: Callable[[Any], Any], done: dict[int, Any]) -> Any:
    """Return `value` with other objects in it: itself, or a new container if anything changes.

    Looks into dictionaries, lists and tuples. `instead` returns what replaces an object, or None;
    `done` has the results by the ids of the containers, of which one may contain itself.
    """
    new = instead(value)
    if new is not None:
        return new
    if type(value) not in (dict, list, tuple):
        return value
    if id(value) in done:
        return done[id(value)]
    done[id(value)] = value
    entries = list(value.values()) if type(value) is dict else list(value)
    replaced = [_replaced(entry, instead, done) for entry in entries]
    if not all(a is b for a, b in zip(replaced, entries, strict=True)):
        made = (
            dict(zip(value, replaced, strict=True))
            if type(value) is dict
            else type(value)(replaced)
        )
        done[id(value)] = made
    return done[id(value)]
