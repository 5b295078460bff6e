# SPDX-License-Identifier: BSD-3-Clause
"""Values and optimizer state of a core network, under torch's keys and in torch's layout.

They are read as views or as a snapshot, and written. Only this module names layers to the core.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _core, _validate

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = [
    "IncompatibleKeys",
    "Snapshot",
    "change_layer",
    "copied_values",
    "gradients",
    "is_buffer",
    "layer_values",
    "load",
    "restore",
    "set_frozen",
    "snapshot",
    "statistics",
    "torch_keys",
    "trained",
    "write",
]

# A layer with a running variance also has the number of the batches that went into it.
VARIANCE = "running_var"
COUNTER = "num_batches_tracked"
_STATISTICS = "running_"


def is_buffer(name: str) -> bool:
    """Whether a value called `name` is a running statistic, which no optimizer changes."""
    return name.startswith(_STATISTICS)


class IncompatibleKeys(NamedTuple):
    """The keys that ``load_state_dict(strict=False)`` ignored, as in torch."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Snapshot(NamedTuple):
    """Copies of everything that training changes, taken at one moment."""

    values: dict[str, dict[str, Array]]  # by the layer's key and the parameter's name, (out, in)
    states: list[dict[str, Array]]  # of the optimizer, each by the parameter's key, (out, in)
    updates: dict[str, int]  # of each parameter
    step: int
    draw: int
    epochs: int  # that fits have ended so far
    schedule: dict[str, Any] | None = None  # its position; None without a schedule
    averaged: int = 0  # updates in the average of the parameters
    group: dict[str, Any] | None = None  # batches whose gradients wait for an update


def change_layer(
    network: _core.Network, keys: tuple[str, ...], kind: str, settings: Mapping[str, Any]
) -> None:
    """Change the settings of the layer with these keys, with effect from the next step on."""
    network.change_layer(list(keys), kind, settings)


def set_frozen(network: _core.Network, key: str, frozen: bool) -> None:
    """Set whether training changes the parameters of the layer."""
    network.set_frozen(key, frozen)


def _by_layer(taken: Mapping[str, Any]) -> dict[str, dict[str, Array]]:
    found: dict[str, dict[str, Array]] = {}
    for key, array in taken["values"].items():
        layer, _, name = key.rpartition(".")
        values = found.setdefault(layer, {})
        values[name] = array
    return _with_counters(found, taken["num_batches"])


def _with_counters(
    found: dict[str, dict[str, Array]], batches: Mapping[str, int]
) -> dict[str, dict[str, Array]]:
    """Add to the values of layers from how many batches they have taken statistics."""
    for layer, values in found.items():
        if layer in batches:
            values[COUNTER] = np.array(batches[layer], np.int64)
    return found


def snapshot(network: _core.Network) -> Snapshot:
    """Return a copy of the network's state; in callbacks of fit that of the end of the epoch.

    Raises ModelBusyError while another thread trains the model.
    """
    taken = network.snapshot()
    counters = {name: taken[name] for name in ("step", "draw", "epochs", "averaged", "group")}
    position = taken["schedule"]
    return Snapshot(_by_layer(taken), taken["state"], taken["steps"], **counters, schedule=position)


def copied_values(network: _core.Network, keys: list[str] | None) -> dict[str, dict[str, Array]]:
    """Return copies of the values of some layers, or with None of all."""
    return _by_layer(network.snapshot(keys))


def _values(network: _core.Network, key: str | None = None) -> dict[str, dict[str, Array]]:
    """Return parameters and buffers of all layers, or of one, in torch's layout.

    They are views, but read-only copies while fit runs.
    """
    if network.busy:
        found = copied_values(network, None if key is None else [key])
        for layer in found.values():
            for array in layer.values():
                array.flags.writeable = False
        return found
    found = network.views(key)
    if any(VARIANCE in values for values in found.values()):
        _with_counters(found, network.num_batches(key))
    return found


def layer_values(network: _core.Network, key: str) -> dict[str, Array]:
    """Return the values of a layer by name: views, but read-only copies while fit runs."""
    return _values(network, key).get(key, {})


def torch_keys(network: _core.Network) -> dict[str, Array]:
    """Return all values under torch's keys, in the form of `layer_values`."""
    return {
        f"{key}.{name}": array
        for key, layer in _values(network).items()
        for name, array in layer.items()
    }


def trained(network: _core.Network) -> list[tuple[str, int]]:
    """Return key and number of dimensions of each parameter that training changes."""
    entries = network.parameters()
    return [(entry["key"], entry["array"].ndim) for entry in entries if entry["trainable"]]


def gradients(network: _core.Network) -> dict[str, Array]:
    """Return the gradients of all parameters under torch's keys, as views."""
    found = {}
    for entry in network.gradients():
        found[entry["key"]] = view = entry["array"].T
        network.lend(view)
    return found


def _as_value(where: str, key: str, value: Any, own: Array) -> Array:
    """Return `value` in the shape and dtype of `own`, checked after the conversion."""
    # Objects with __array__ are accepted, such as tensors of torch.
    array = _validate.numbers(where, f"'{key}'", value)
    if array.shape != own.shape:
        raise ValueError(
            f"[{where}] '{key}' has shape {array.shape}; the model expects {own.shape}"
        )
    if key.endswith(COUNTER):
        count = array.item()
        if not (0 <= count < 2**63 and count == int(count)):
            raise ValueError(f"[{where}] '{key}' is {count}; expected a whole number of at least 0")
        return np.array(int(count), own.dtype)
    with np.errstate(over="ignore"):  # overflow is refused below, with a message
        converted = array.astype(own.dtype, copy=False)
    looks: list[tuple[Array, str, str]] = [
        (~np.isfinite(converted), "values that are not finite: ", f"finite {own.dtype}")
    ]
    if key.endswith(VARIANCE):
        looks.append((array < 0, "", "at least 0"))
    for wrong, kind, expected in looks:
        if wrong.any():
            at = tuple(map(int, np.argwhere(wrong)[0]))
            found = f"{kind}{array[at]} at [{', '.join(map(str, at))}]"
            raise ValueError(f"[{where}] '{key}' has {found}; expected {expected}")
    return converted


def load(
    where: str, network: _core.Network, values: Mapping[str, Any], strict: bool
) -> IncompatibleKeys:
    """Copy `values` into the network: all of them, or none if one of them is wrong."""
    if not isinstance(values, Mapping):
        raise TypeError(f"[{where}] got {type(values).__name__}; expected a dictionary of arrays")
    network.expect_idle(where)
    own = torch_keys(network)
    # Files of torch before 0.4.1 have no counters, nor have the coefficients of estimators.
    missing = [key for key in own if key not in values and not key.endswith(COUNTER)]
    unexpected = [str(key) for key in values if key not in own]
    if strict and (missing or unexpected):
        absent, extra = (", ".join(keys) or "none" for keys in (missing, unexpected))
        found = f"missing: {absent}; unexpected: {extra}"
        raise ValueError(f"[{where}] the keys do not fit: {found}; the model has: {', '.join(own)}")
    given = {
        key: _as_value(where, key, values[key], array)
        for key, array in own.items()
        if key in values
    }
    # Copies, because the given values may be views of this model.
    write(network, {key: np.array(value, order="C") for key, value in given.items()})
    return IncompatibleKeys(missing, unexpected)


def statistics(network: _core.Network) -> dict[str, Array]:
    """Return copies of all running statistics and their counters, as `write` takes them."""
    found = {
        entry["key"]: np.array(entry["array"])
        for entry in network.parameters()
        if is_buffer(entry["name"])
    }
    counts = {f"{key}.{COUNTER}": np.array(n) for key, n in network.num_batches().items()}
    return found | counts


def write(network: _core.Network, values: Mapping[str, Array]) -> None:
    """Write checked `values` of the network's dtype: all of them, or none if it is in use.

    None of them may be a view of this network.
    """
    counters = {key: values.get(f"{key}.{COUNTER}") for key in network.num_batches()}
    batches = {key: int(count) for key, count in counters.items() if count is not None}
    found: list[Array | None] = []
    for entry in network.parameters():
        key = entry["layer"]
        value = values.get(f"{key}.{entry['name']}")
        dtype = entry["array"].dtype
        found.append(None if value is None else np.ascontiguousarray(value, dtype))
    network.load(found, batches)


def restore(network: _core.Network, taken: Snapshot, *, optimizer: bool) -> None:
    """Restore the parts of a snapshot other than the values.

    `optimizer`: whether the network was compiled as the one of the snapshot, and gets its states.
    """
    if optimizer:
        for number, state in enumerate(taken.states):
            contiguous = {key: np.ascontiguousarray(array) for key, array in state.items()}
            network.load_state(number, contiguous)
        network.set_optimizer_steps(taken.updates)
        if taken.schedule is not None:
            network.set_schedule_position(taken.schedule)
    network.set_progress(taken.step, taken.draw, taken.averaged, taken.group)
