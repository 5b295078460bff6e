# SPDX-License-Identifier: BSD-3-Clause
"""A model as plain values and arrays, and back. Files, pickles and copies consist of these.

`Saved.config` has values of JSON only: names of the registries' members, hyperparameters by name,
counters and the history; nothing in it names code, a type or a path. ::

    dtype, seed, step, draw, epochs
    layers    [{"layer": "linear", "in_features": 4, ...}, {"layer": "residual", "layers": [...]}]
    frozen    ["0"]                    keys of the layers that do not train
    compiled  {"optimizer": {"optimizer": "adam", "lr": 0.1, ..., "param_groups": [["*.bias", {}]]},
               "loss": {"loss": "mse", ...}, "metrics": [], "settings": {},
               "updates": {"0.weight": 9, "0.bias": 9}}  or null, with updates null without state;
              with a schedule, the optimizer has "schedule": {"schedule": "step_lr", ...}, and where
              there are updates there is "position": {"steps": 9, ...}; where compile has them,
              "average": {"average": "ema", ...}, "averaged": 9, and in the middle of accumulated
              batches "group": {"batches": 1, "rows": 32, ...}
    history   {"params": {}, "history": {"loss": [0.5]}, "epoch": [0], "steps": 9}

`Saved.arrays` has all arrays by keys: values as in torch's ``state_dict`` (``0.weight``), settings
of layers that are arrays, for which the config has null (``input.0.scale``), and the optimizer's
states (``optimizer.exp_avg.0.weight``). A layer without values that stands in several places is
described once; at the others the config has ``{"same_as": "1"}``.

Equal trainings give equal configs, so times and numbers of threads are not part of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from fastnn import _registry, _validate
from fastnn._hints import shown
from fastnn._refusals import Words

from . import _entries, _keys, _state
from ._compiled import Compiled
from ._entries import LayerReader, description_entry, description_of, layer_entries
from ._history import History
from ._layer import ParameterLayer
from ._progress import POSITION, group_of, position_of
from ._tree import Tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn import _core
    from fastnn._validate import Array

    from ._layer import Layer
    from ._run import Run

__all__ = ["Parts", "Saved", "everything", "made", "parts_of", "taken"]

_NAMES = (
    "dtype",
    "seed",
    "layers",
    "frozen",
    "epochs",
    "step",
    "draw",
    "compiled",
    "history",
)
_COMPILED_LATER = ("average", "averaged", "group")  # where compile has them
_COMPILED_NAMES = ("optimizer", "loss", "metrics", "settings", "updates")
_DTYPES = {name: np.dtype(name) for name in ("float32", "float64", "int64")}
_OF_MODELS = ("float32", "float64")
_OPTIMIZER = "optimizer."
_TRIES = 1000  # of a millisecond each

Foreign = dict[str, Any]  # objects of users' classes: layers by key, "optimizer", "loss", "history"
# Of each parameter the number of updates; how many are in the average; batches that wait for one.
_Progress = tuple[dict[str, int], int, dict[str, Any] | None]
_Expected = dict[str, tuple[str, tuple[int, ...]]]  # dtype and shape of each array


class Saved(NamedTuple):
    """A model without objects of its own: values of JSON, and arrays by key."""

    config: dict[str, Any]
    arrays: dict[str, Array]


class Parts(NamedTuple):
    """What a Sequential is made of."""

    tree: Tree
    compiled: Compiled | None
    epochs_seen: int
    history: Any  # a History, unless the user has assigned another object


class _Model(Protocol):
    """The attributes of a Sequential that are read here."""

    history: Any
    _tree: Tree
    _compiled: Compiled | None
    _run: Run | None
    _epochs_seen: int


class _Restorable(Protocol):
    def _use(self, parts: Parts) -> None: ...


M = TypeVar("M", bound=_Restorable)


def taken(where: str, model: _Model, *, optimizer: bool = True) -> Saved:
    """Return a model as values and arrays, all of one moment; in callbacks the end of the epoch.

    Parameters
    ----------
    where : str
        The public call, for messages.
    model : Sequential
    optimizer : bool, default True
        Whether to include the optimizer's states and counters. Without them the model is as if it
        had just been compiled.

    Raises
    ------
    TypeError
        If a layer, the loss or the optimizer is of a class that no registry knows, or the history
        has something other than numbers.
    ValueError
        If a value is not finite.
    ModelBusyError
        If another thread trains the model.
    """
    saved, foreign = everything(where, model, optimizer=optimizer)
    for place, value in foreign.items():
        if place == "history":
            raise TypeError(
                f"[{where}] the model's history is {shown(value)}; expected an nn.History with "
                "numbers alone: set model.history = None to leave it out"
            )
        named = place in ("optimizer", "loss", "average") or place.startswith("metric ")
        what = place if named else f"layer {place}"
        came = f"is of the class {type(value).__name__}, which is code"
        if place == "optimizer" and value.schedule is not None:
            came = f"has the schedule {type(value.schedule).__name__}, which is code"
        raise TypeError(
            f"[{where}] {what} {came}; "
            "expected one of fastnn's, because a file holds no code. Pickle the model, or store "
            "model.state_dict() alone"
        )
    for key, array in saved.arrays.items():  # what `made` would refuse
        _check_finite(where, key, array)
    return saved


def made(where: str, saved: Saved, kind: type[M]) -> M:
    """Return the model, of the class `kind`, that `saved` describes.

    Everything is checked before memory is taken for the model: names, types, ranges, the keys,
    dtypes and shapes of all arrays, and that the values are finite.

    Raises
    ------
    ValueError, TypeError
        If anything is missing, unknown or wrong; the message says what.
    """
    parts = parts_of(where, saved, {}, finite=True)
    model = kind.__new__(kind)
    model._use(parts)
    return model


def everything(where: str, model: _Model, *, optimizer: bool = True) -> tuple[Saved, Foreign]:
    """Return a model as values and arrays of one moment, and its objects of users' classes."""
    for _ in range(_TRIES):
        run, tree = model._run, model._tree
        with Words(where):
            snapshot = tree.snapshot()
        if _is_of(snapshot, run):
            found = _described(where, model, snapshot, optimizer)
            if model._run is run and model._tree is tree and _is_of(snapshot, run):
                return found
        # Another thread has ended an epoch, or a fit, and the history does not show it yet.
        if tree.network is not None:
            tree.network.expect_idle(where)
        time.sleep(1e-3)
    raise RuntimeError(f"[{where}] another thread has changed the model again and again")


def _is_of(snapshot: _state.Snapshot, run: Run | None) -> bool:
    """Whether the history of a fit that is under way has the epochs of the snapshot."""
    return run is None or run.epochs_ended == snapshot.epochs


def _described(
    where: str, model: _Model, snapshot: _state.Snapshot, optimizer: bool
) -> tuple[Saved, Foreign]:
    tree, compiled = model._tree, model._compiled
    layers, arrays, layers_of_users = layer_entries(tree.layers)
    foreign: Foreign = dict(layers_of_users)
    for layer, values in snapshot.values.items():
        arrays.update({f"{layer}.{name}": array for name, array in values.items()})
    settled = None
    if compiled is not None:
        settled = _compiled_entry(compiled, foreign)
        if optimizer:
            if tree.network is not None and tree.network.averaged:
                raise ValueError(
                    f"[{where}] the model has its averaged values, from which training could not "
                    "go on; expected include_optimizer=False, or a call after the block of "
                    "model.averaged()"
                )
            if compiled.average is not None:
                settled["averaged"] = snapshot.averaged
            if snapshot.group is not None:
                settled["group"] = snapshot.group
            settled["updates"] = dict(snapshot.updates)
            if snapshot.schedule is not None:
                settled["position"] = dict(snapshot.schedule)
            names = compiled.states(where, list(snapshot.updates))
            for name, state in zip(names, snapshot.states, strict=True):
                arrays.update({f"{_OPTIMIZER}{name}.{key}": value for key, value in state.items()})
    history = None
    if model.history is not None:
        try:
            history = model.history.as_config(where)
        except (AttributeError, TypeError, ValueError):  # the user has put something else there
            foreign["history"] = model.history
    config: dict[str, Any] = {
        "dtype": tree.dtype,
        "seed": tree.seed,
        "layers": layers,
        "frozen": [key for key, layer in _with_values(tree.layers) if layer.frozen],
        "epochs": model._epochs_seen if model._run is None else model._run.epochs_seen,
        "step": snapshot.step if optimizer else 0,
        "draw": snapshot.draw if optimizer else 0,
        "compiled": settled,
        "history": history,
    }
    return Saved(config, arrays), foreign


def _with_values(layers: tuple[Layer, ...]) -> list[tuple[str, ParameterLayer]]:
    return [(key, layer) for key, layer in _keys.walk(layers) if isinstance(layer, ParameterLayer)]


def _compiled_entry(compiled: Compiled, foreign: Foreign) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for what, value in (("optimizer", compiled.optimizer), ("loss", compiled.loss)):
        entry[what], known = description_entry(what, value)
        if not known:
            foreign[what] = value
    settings: dict[str, Any] = {"metrics": [], "settings": dict(compiled.settings)}
    if compiled.metrics:
        settings["metrics"], own = _entries.metric_entries(compiled.metrics)
        foreign.update(own)
    if compiled.average is not None:
        settings["average"], known = description_entry("average", compiled.average)
        if not known:
            foreign["average"] = compiled.average
    return {**entry, **settings, "updates": None}


def parts_of(where: str, saved: Saved, foreign: Mapping[str, Any], *, finite: bool) -> Parts:
    """Return the parts of the model that `saved` describes; wrong ones raise an error.

    Parameters
    ----------
    where : str
    saved : Saved
    foreign : mapping
        Objects of users' classes that take the places of those which the config describes.
    finite : bool
        Whether values that are not finite are refused.
    """
    config = _validate.dictionary(where, "the config", saved.config, _NAMES)
    arrays = _checked_arrays(where, saved.arrays)
    dtype = config["dtype"]
    if not isinstance(dtype, str) or dtype not in _OF_MODELS:
        raise ValueError(f"[{where}] dtype is {shown(dtype)}; expected {' or '.join(_OF_MODELS)}")
    reader = LayerReader(where, arrays, foreign)
    layers = reader.layers("layers", config["layers"])
    counters = {
        name: _validate.integer(where, name, config[name], 0) for name in ("epochs", "step", "draw")
    }
    epochs = counters.pop("epochs")
    owners = dict(_with_values(layers))
    values = _expected_values(dtype, owners)
    trained = [key for key in values if not _state.is_buffer(key.rpartition(".")[2])]
    compiled, progress, names = _compiled_of(where, config["compiled"], trained, foreign)
    position = position_of(where, compiled, config["compiled"])
    states = {f"{_OPTIMIZER}{name}.{key}": values[key] for name in names for key in trained}
    batches: _Expected = {
        f"{key}.{_state.COUNTER}": ("int64", ())
        for key, layer in owners.items()
        if f"{key}.{_state.VARIANCE}" in values
    }
    _compare(where, arrays, {**values, **batches, **states}, reader.settings)
    for key in batches:
        _validate.integer(where, f"'{key}'", arrays[key][()], 0)
    if finite:
        for key in (*values, *states):
            _check_finite(where, key, arrays[key])
    history = foreign.get("history")
    if config["history"] is not None:
        history = History.of_config(where, config["history"])
    _freeze(where, owners, config["frozen"])
    by_layer: dict[str, dict[str, Array]] = {}
    for key in (*values, *batches):
        layer, _, name = key.rpartition(".")
        by_layer.setdefault(layer, {})[name] = arrays[key]
    tree = Tree(dtype, _validate.seed(where, config["seed"])).having(where, layers, by_layer)
    own = [{key: arrays[f"{_OPTIMIZER}{name}.{key}"] for key in trained} for name in names]
    updates, averaged, group = progress or ({}, 0, None)
    step, draw = counters["step"], counters["draw"]
    snapshot = _state.Snapshot({}, own, updates, step, draw, 0, position, averaged, group)
    _restore(where, tree.network, compiled, snapshot, optimizer=progress is not None)
    return Parts(tree, compiled, epochs, history)


def _restore(
    where: str,
    network: _core.Network | None,
    compiled: Compiled | None,
    snapshot: _state.Snapshot,
    *,
    optimizer: bool,
) -> None:
    """Compile the network as before, and restore states and counters."""
    if network is None:
        if compiled is not None:
            raise ValueError(f"[{where}] the model is compiled, but no layer has parameters")
        return
    with Words(where):
        if compiled is not None:
            compiled.check_outputs(where, network.n_outputs)
            compiled.apply(where, network)
        _state.restore(network, snapshot, optimizer=optimizer)
        if compiled is not None:
            compiled.follow(where, network, 0)


def _checked_arrays(where: str, arrays: Any) -> dict[str, Array]:
    if not isinstance(arrays, dict):
        raise TypeError(f"[{where}] the arrays are {shown(arrays)}; expected a dictionary")
    for key, array in arrays.items():
        if not isinstance(key, str) or not isinstance(array, np.ndarray):
            raise TypeError(f"[{where}] {shown(key)} is {shown(array)}; expected an array by a key")
    return {key: np.asarray(array) for key, array in arrays.items()}  # without subclasses


def _expected_values(dtype: str, owners: Mapping[str, ParameterLayer]) -> _Expected:
    return {
        f"{key}.{name}": (dtype, shape)
        for key, layer in owners.items()
        for name, shape in layer.shapes().items()
    }


def _compiled_of(
    where: str, entry: Any, keys: list[str], foreign: Mapping[str, Any]
) -> tuple[Compiled | None, _Progress | None, list[str]]:
    """Return what was compiled, what was counted since then, and the names of the states."""
    if entry is None:
        return None, None, []
    optional = (POSITION, *_COMPILED_LATER)
    names = (*_COMPILED_NAMES, *optional)
    given = _validate.dictionary(where, "compiled", entry, names, optional)
    settings, metrics, updates = given["settings"], given["metrics"], given["updates"]
    known = {param["name"] for param in _registry.row(where, "settings", "compile")["params"]}
    if not isinstance(settings, dict) or not settings.keys() <= known:
        raise ValueError(
            f"[{where}] compiled.settings is {shown(settings)}; expected a dictionary of "
            f"{', '.join(sorted(known))}"
        )
    if not isinstance(metrics, list):
        raise TypeError(f"[{where}] compiled.metrics is {shown(metrics)}; expected a list of names")
    optimizer = description_of(where, "optimizer", given["optimizer"], foreign)
    loss = description_of(where, "loss", given["loss"], foreign)
    chosen = _entries.metrics_of(where, metrics, foreign)
    average = given.get("average")
    if average is not None:
        average = description_of(where, "average", average, foreign)
    compiled = Compiled.of(where, optimizer, loss, chosen, average, **settings)
    if updates is None:
        return compiled, None, []
    _validate.dictionary(where, "compiled.updates", updates, keys)
    counts = {
        key: _validate.integer(where, f"compiled.updates[{key!r}]", updates[key], 0) for key in keys
    }
    averaged = _validate.integer(where, "compiled.averaged", given.get("averaged", 0), 0)
    group = group_of(where, given["group"]) if "group" in given else None
    return compiled, (counts, averaged, group), compiled.states(where, keys)


def _compare(
    where: str, arrays: Mapping[str, Array], expected: _Expected, settings: set[str]
) -> None:
    """Refuse arrays with other keys, dtypes or shapes than the layers and the optimizer have."""
    missing = [key for key in expected if key not in arrays]
    unexpected = [key for key in arrays if key not in expected and key not in settings]
    if missing or unexpected:
        absent, extra = (_listed(keys) for keys in (missing, unexpected))
        raise ValueError(f"[{where}] the arrays do not fit: missing: {absent}; unexpected: {extra}")
    for key, (dtype, shape) in expected.items():
        array = arrays[key]
        if array.dtype != _DTYPES[dtype] or array.shape != shape:
            raise ValueError(
                f"[{where}] '{key}' is {array.dtype} of shape {array.shape}; expected {dtype} of "
                f"shape {shape}"
            )


def _listed(keys: list[str]) -> str:
    shown_keys = [key[:80] for key in keys[:5]]
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return (", ".join(shown_keys) or "none") + more


def _check_finite(where: str, key: str, array: Array) -> None:
    """Refuse values that training cannot have left behind."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = array.sum()
    # One pass without an array of flags. The sum of finite values may overflow; they are looked at.
    if np.isfinite(total) and not key.endswith(".running_var"):
        return
    if key.startswith(_OPTIMIZER):  # a mean of squares may overflow: the steps become zero
        if np.isnan(array).any():
            raise ValueError(f"[{where}] '{key}' has NaN; expected numbers")
    elif not np.isfinite(array).all():
        raise ValueError(f"[{where}] '{key}' has values that are not finite; expected finite ones")
    elif key.endswith(".running_var") and (array < 0).any():
        raise ValueError(f"[{where}] '{key}' has values below 0; expected at least 0")


def _freeze(where: str, known: Mapping[str, ParameterLayer], keys: Any) -> None:
    """Freeze the layers with these keys."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise TypeError(f"[{where}] frozen is {shown(keys)}; expected a list of layers' keys")
    for key in keys:
        if key not in known:
            raise ValueError(
                f"[{where}] frozen has {key[:80]!r}; expected keys of layers with values: "
                f"{_listed(list(known))}"
            )
    frozen = set(keys)
    for key, layer in known.items():
        layer._set_frozen(where, key in frozen)
