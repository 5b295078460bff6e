# SPDX-License-Identifier: BSD-3-Clause
"""Layers, losses and optimizers as entries of a config, and back; `_config` has the whole.

An entry is a dictionary with the name of the member in its registry and the values of all its
parameters: ``{"layer": "dropout", "p": 0.5}``, ``{"loss": "huber", "reduction": "mean", ...}``.
What is read may come from anywhere: names are looked up in the registries alone, and numbers are
checked by the tables of the rows.
"""

from __future__ import annotations

import functools
import inspect
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _registry, _validate
from fastnn._fields import fields_of, joined
from fastnn._hints import shown
from fastnn._optimizer import LIMIT
from fastnn._optimizers import AVERAGES, OPTIMIZERS
from fastnn._schedule import SCHEDULES

from . import _containers, _inputs, _keys, _layers, _norms
from ._containers import Container, Residual
from ._function_loss import FunctionLoss
from ._initializers import INITIALIZERS
from ._layer import Activation, Layer, ModelLayer, ParameterLayer
from ._members import ACTIVATIONS, LOSSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fastnn._describe import Description, Members
    from fastnn._validate import Array
    from fastnn.metrics import Metric

__all__ = [
    "ESTIMATOR",
    "Entry",
    "LayerEntries",
    "LayerReader",
    "class_of",
    "description_entry",
    "description_of",
    "layer_entries",
    "metric_entries",
    "metrics_of",
]

Entry = dict[str, Any]

ESTIMATOR = "estimator"  # beside the entries of a model, in files of estimators
MOST_LAYERS = 100_000
MOST_NESTED = 64  # containers inside each other, as in cpp/graph/containers.h
MOST_GROUPS = 1000
# Parameters of losses and optimizers that files of earlier versions lack: they have the defaults.
_LATER = ("form", "decay_bias")

_CLASSES: dict[str, type[Layer]] = {
    value.registry_name: value
    for module in (_inputs, _layers, _norms, _containers)
    for value in map(vars(module).get, module.__all__)
    if isinstance(value, type) and issubclass(value, Layer) and value.registry_name
}
_MEMBERS: dict[str, Members[Any]] = {
    "optimizer": OPTIMIZERS,
    "loss": LOSSES,
    "schedule": SCHEDULES,
    "average": AVERAGES,
    "initializer": INITIALIZERS,
}


# Objects to entries.


class LayerEntries(NamedTuple):
    """The entries of layers, the arrays among their settings, and the layers of users' classes."""

    entries: list[Entry]
    arrays: dict[str, Array]
    foreign: dict[str, Layer]


def layer_entries(layers: Sequence[Layer]) -> LayerEntries:
    """Return the entries of `layers`."""
    found = LayerEntries([], {}, {})
    first: dict[int, str] = {}  # the key of each layer that may stand in several places
    found.entries.extend(_entries(_keys.named(layers), found, first))
    return found


def _entries(
    named: Iterable[tuple[str, Layer]], found: LayerEntries, first: dict[int, str]
) -> Iterator[Entry]:
    for key, layer in named:
        if isinstance(layer, ModelLayer) and first.setdefault(id(layer), key) != key:
            yield {"same_as": first[id(layer)]}
            continue
        kind = layer.registry_name
        if kind not in _registry_names() or type(layer) is not class_of(kind):
            found.foreign[key] = layer
        if layer.children:
            inside = list(_entries(_keys.inside(layer, key), found, first))
            shortcut = {_keys.SHORTCUT: inside.pop()} if layer.has_shortcut else {}
            yield {"layer": kind, "layers": inside, **shortcut}
            continue
        kind, settings = layer.spec()
        entry: Entry = {"layer": kind}
        for name, value in settings.items():
            if name in _initials(kind):
                initializer, hyper = value
                entry[name] = {"initializer": initializer, **hyper}
            elif isinstance(value, np.ndarray):
                found.arrays[f"{key}.{name}"] = value
                entry[name] = None
            else:
                entry[name] = _plain(value)
        yield entry


def description_entry(what: str, value: Description) -> tuple[Entry, bool]:
    """Return the entry of a description, and whether its class is one of fastnn's."""
    entry: Entry = {what: value.registry_name, **value.hyper()}
    groups = getattr(value, "group_hyper", None)
    if groups is not None:
        # A list, because the last pattern counts where several name a value.
        entry["param_groups"] = [[pattern, values] for pattern, values in groups().items()]
        entry["decay_bias"] = value.decay_bias  # type: ignore[attr-defined]
    known = type(value) is _MEMBERS[what].get(value.registry_name)
    schedule = getattr(value, "schedule", None)
    if schedule is not None:
        its, has_no_code = description_entry("schedule", schedule)
        if has_no_code:
            entry["schedule"] = its
        known = known and has_no_code
    return entry, known


def _plain(value: Any) -> Any:
    """Return `value` as a value of JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    return int(value) if isinstance(value, Integral) else float(value)


# Entries to objects.


def _scalar(where: str, what: str, value: Any) -> Any:
    if value is None or not isinstance(value, (bool, str, Real)):
        raise TypeError(f"[{where}] {what} is {shown(value)}; expected a number, a flag or a name")
    return value


@functools.cache
def _registry_names() -> dict[str, object]:
    """Return the names that an entry of a layer may have."""
    return {**_CLASSES, **dict.fromkeys(ACTIVATIONS)}


def class_of(kind: str) -> type[Layer]:
    """Return the class of a layer, activation or container by its registry name."""
    found = _CLASSES.get(kind)
    return ACTIVATIONS[kind] if found is None else found


@functools.cache
def _setting_names(kind: str) -> tuple[str, ...]:
    """Return the names of the settings in an entry of the layers called `kind`."""
    cls = class_of(kind)
    if issubclass(cls, Activation):
        return tuple(
            param["name"] for param in _registry.rows(cls.room)[cls.registry_name]["params"]
        )
    if issubclass(cls, Container):
        return ("layers",)
    names = inspect.signature(cls).parameters
    left_out = (*_initials(kind), *cls.learned)
    return tuple(name for name in names if name not in left_out)


def _initials(kind: str) -> list[str]:
    """Return the arguments of a layer that are initializers; an entry has those that were given."""
    row = _registry.rows("layers").get(kind)
    return row["initials"] if row else []


def _may_be_none(cls: type[Layer], name: str) -> bool:
    """Whether None is a value of the setting, and not the sign of an array."""
    return inspect.signature(cls).parameters[name].default is None


class LayerReader:
    """Makes layers of entries; numbers and depth are limited before anything is made.

    Parameters
    ----------
    where : str
        The public call, for messages.
    arrays : mapping of str to ndarray
        All arrays of the model.
    foreign : mapping
        Layers of users' classes, by their keys. They must have the settings of the entry.

    Attributes
    ----------
    settings : set of str
        The keys of the arrays that were settings.
    """

    def __init__(self, where: str, arrays: Mapping[str, Array], foreign: Mapping[str, Any]) -> None:
        self._where, self._arrays, self._foreign = where, arrays, foreign
        self._made: dict[str, Layer] = {}
        self._count = 0
        self.settings: set[str] = set()

    def layers(
        self, what: str, entries: Any, prefix: str = "", depth: int = 0
    ) -> tuple[Layer, ...]:
        """Return the layers of a list of entries."""
        if not isinstance(entries, list):
            raise TypeError(
                f"[{self._where}] {what} is {shown(entries)}; expected a list of layers"
            )
        if depth > MOST_NESTED:
            raise ValueError(
                f"[{self._where}] more than {MOST_NESTED} containers stand inside each other"
            )
        self._count += len(entries)
        if self._count > MOST_LAYERS:
            raise ValueError(
                f"[{self._where}] there are {self._count} layers; expected at most {MOST_LAYERS}"
            )
        # Lazily, since a layer may refer to one before it.
        classes: Any = (self._class(f"{what}[{n}]", entry) for n, entry in enumerate(entries))
        named = _keys.named(classes, prefix)
        return tuple(
            self._keep(key, self._layer(key, cls, entry, depth))
            for entry, (key, cls) in zip(entries, named, strict=True)
        )

    def _keep(self, key: str, layer: Layer) -> Layer:
        self._made[key] = layer
        return layer

    def _shortcut(self, key: str, entry: Any, depth: int) -> Layer:
        """Return the shortcut of the container `key`."""
        if depth > MOST_NESTED:
            raise ValueError(
                f"[{self._where}] more than {MOST_NESTED} containers stand inside each other"
            )
        own = f"{key}.{_keys.SHORTCUT}"
        return self._keep(own, self._layer(own, self._class(f"layer {own}", entry), entry, depth))

    def _class(self, what: str, entry: Any) -> type[Layer]:
        where = self._where
        if isinstance(entry, dict) and "same_as" in entry:
            first = _validate.dictionary(where, what, entry, ("same_as",))["same_as"]
            layer = self._made.get(first) if isinstance(first, str) else None
            if not isinstance(layer, ModelLayer) or isinstance(layer, ParameterLayer):
                raise ValueError(
                    f"[{where}] {what} is the same as {shown(first)}; expected the key of a layer "
                    "before it that has settings and no values"
                )
            return type(layer)
        kind = entry.get("layer") if isinstance(entry, dict) else None
        if not isinstance(kind, str):
            raise TypeError(
                f"[{where}] {what} has no name of a layer; expected {{'layer': 'relu'}}"
            )
        known = _registry_names()
        if kind not in known:
            raise _registry.unknown(where, "layer", kind[:80], known)
        return class_of(kind)

    def _layer(self, key: str, cls: type[Layer], entry: Entry, depth: int) -> Layer:
        where = f"layer {key}"
        if "same_as" in entry:
            return self._made[entry["same_as"]]
        names = _setting_names(cls.registry_name)
        initials = [name for name in _initials(cls.registry_name) if name in entry]
        if any(name in entry for name in cls.learned):
            names = (*names, *cls.learned)
        if issubclass(cls, Residual) and _keys.SHORTCUT in entry:
            names = (*names, _keys.SHORTCUT)
        given = _validate.dictionary(self._where, where, entry, ("layer", *names, *initials))
        if issubclass(cls, Container):
            inside = self.layers(f"{where}.layers", given["layers"], f"{key}.", depth + 1)
            more: dict[str, Any] = {}
            if _keys.SHORTCUT in given:
                more[_keys.SHORTCUT] = self._shortcut(key, given[_keys.SHORTCUT], depth + 1)
            with _validate.headed(self._where, where):
                plain: Layer = cls(*inside, **more)
                return self._of_user(key, plain, (*inside, *more.values()))
        settings = {name: self._setting(key, cls, name, given[name]) for name in names}
        for name in initials:
            settings[name] = description_of(self._where, "initializer", given[name], {})
        if issubclass(cls, Activation):
            settings = joined(_registry.rows(cls.room)[cls.registry_name]["params"], settings)
        with _validate.headed(self._where, where):
            return self._of_user(key, cls(**settings), ())

    def _setting(self, key: str, cls: type[Layer], name: str, value: Any) -> Any:
        if value is not None:
            return _scalar(self._where, f"layer {key}: {name}", value)
        found = self._arrays.get(f"{key}.{name}")
        if found is None and _may_be_none(cls, name) and name not in cls.learned:
            return None
        if found is None or found.dtype != np.float64 or found.ndim != 1:
            raise ValueError(
                f"[{self._where}] layer {key}: {name} is none; expected a number, or the array "
                f"'{key}.{name}' of float64 with one dimension"
            )
        self.settings.add(f"{key}.{name}")
        return found

    def _of_user(self, key: str, plain: Layer, inside: tuple[Layer, ...]) -> Layer:
        """Return the layer of a user's class in the place of `plain`, or `plain` itself."""
        given = self._foreign.get(key)
        if given is None:
            return plain
        if not isinstance(given, Layer):
            raise TypeError(f"it is {shown(given)}; expected a layer")
        kinds = (Container, ParameterLayer)
        layer = given
        same = all(isinstance(given, kind) == isinstance(plain, kind) for kind in kinds)
        if same and inside:
            layer = given._with(inside)
        if not same or not _same(layer.spec(), plain.spec()):
            raise ValueError(f"the {type(given).__name__} in its place has other settings")
        return layer


def _same(a: Any, b: Any) -> bool:
    """Whether two specifications of layers are equal."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    return bool(a == b)


def description_of(where: str, what: str, entry: Any, foreign: Mapping[str, Any]) -> Any:
    """Return the loss or the optimizer of an entry, or the one of a user's class in its place."""
    known = _MEMBERS[what]
    kind = entry.get(what) if isinstance(entry, dict) else None
    if kind == "" and isinstance(foreign.get(what), FunctionLoss):
        return foreign[what]
    if not isinstance(kind, str):
        raise TypeError(f"[{where}] the {what} has no name; expected one of {', '.join(known)}")
    if kind not in known:
        raise _registry.unknown(where, what, kind[:80], known)
    cls = known[kind]
    params = _registry.rows(cls.room)[kind]["params"]
    more = [field.name for field in cls.more_fields]
    names = [param["name"] for param in params]
    later = [name for name in _LATER if name in (*names, *more)]
    keys = (what, *names, *more)
    if what == "optimizer":
        keys, later = (*keys, "schedule"), [*later, "schedule"]
    given = _validate.dictionary(where, f"the {what}", entry, keys, later)
    given = {f.name: f.default for f in (*cls.more_fields, *fields_of(params))} | given
    values = {  # the class checks lists of numbers
        p["name"]: given[p["name"]]
        if p["kind"] == "reals" or (p["default"] is None and given[p["name"]] is None)
        else _scalar(where, f"{what}: {p['name']}", given[p["name"]])
        for p in params
    }
    arguments = joined(params, values)
    if "decay_bias" in more:
        arguments["decay_bias"] = given["decay_bias"]
    if "param_groups" in more:
        groups = _groups_of(where, given["param_groups"])
        arguments["param_groups"] = {
            pattern: joined(params, own) for pattern, own in groups.items()
        }
    if what == "optimizer" and given.get("schedule") is not None:
        arguments["lr"] = description_of(where, "schedule", given["schedule"], {})
    with _validate.headed(where, what):
        plain = cls(**arguments)
        if plain.hyper() != values:
            raise ValueError(f"{values} do not belong to {plain!r}")
        given_by_user = foreign.get(what, plain)
        if not (isinstance(given_by_user, cls) and given_by_user.hyper() == plain.hyper()):
            raise ValueError(f"{shown(given_by_user)} does not describe {plain!r}")
    return given_by_user


def _groups_of(where: str, entries: Any) -> dict[str, Entry]:
    """Return the param_groups of a list of pairs."""
    text = f"[{where}] optimizer: param_groups is not a list of [pattern, values]"
    if not isinstance(entries, list):
        raise TypeError(text)
    if len(entries) > MOST_GROUPS:
        raise ValueError(f"{text} of at most {MOST_GROUPS} entries")
    found: dict[str, Entry] = {}
    for pair in entries:
        if not (isinstance(pair, list) and len(pair) == 2):
            raise TypeError(text)
        pattern, values = pair
        if not isinstance(pattern, str) or not isinstance(values, dict) or pattern in found:
            raise TypeError(f"{text}, each with a pattern of its own and a dictionary")
        for name, value in values.items():
            if not (name == LIMIT and value is None):
                _scalar(where, f"optimizer: param_groups: {shown(name)}", value)
        found[pattern] = values
    return found


# Metrics: only a model that has some imports them.


def metric_entries(metrics: Sequence[Metric]) -> tuple[list[Any], dict[str, Any]]:
    """Return the entries of metrics, and those of users' classes and functions by their places."""
    from fastnn.metrics import _chosen

    own = {
        _place_of(metric.name): metric.params().get("function", metric)
        for metric in metrics
        if _chosen.is_own(metric)
    }
    return [_chosen.described(metric) for metric in metrics], own


def metrics_of(where: str, entries: list[Any], foreign: Mapping[str, Any]) -> list[Any]:
    """Return the metrics of a list of entries, as compile takes them."""
    if not entries:
        return []
    from fastnn.metrics import _chosen

    found = []
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        own = foreign.get(_place_of(name)) if isinstance(name, str) else None
        found.append(_chosen.of_description(where, entry) if own is None else own)
    return found


def _place_of(name: str) -> str:
    """Return the place among the objects of users' classes of the metric with this name."""
    return f"metric {name}"
