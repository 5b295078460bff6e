# SPDX-License-Identifier: BSD-3-Clause
"""Reading and writing a network's values under torch's keys and in torch's layout."""

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
    "copied_values",
    "layer_values",
    "load",
    "restore_optimizer",
    "snapshot",
    "torch_keys",
    "write",
]

COUNTER = "num_batches_tracked"


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict(strict=False)`` left out, as in torch."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Snapshot(NamedTuple):
    """Copies of all that training changes, taken at one moment."""

    values: dict[int, dict[str, Array]]  # by the layer's number and the parameter's name, (out, in)
    optimizer: dict[str, Any]
    draw: int


def _by_layer(taken: Mapping[str, Any]) -> dict[int, dict[str, Array]]:
    found: dict[int, dict[str, Array]] = {}
    for key, array in taken["values"].items():
        number, _, name = key.partition(".")
        values = found.setdefault(int(number), {})
        values[name] = array.T
        if name == "running_var":
            values[COUNTER] = np.array(taken["num_batches"], np.int64)
    return found


def snapshot(network: _core.Network) -> Snapshot:
    """A copy of the network's state: in callbacks of fit that of the epoch's end.

    Raises ModelBusyError while another thread trains the model.
    """
    taken = network.snapshot()
    optimizer = {name: taken[name] for name in ("step", "steps", "state")}
    return Snapshot(_by_layer(taken), optimizer, taken["draw"])


def copied_values(network: _core.Network, numbers: list[int] | None) -> dict[int, dict[str, Array]]:
    """The values of some layers in such a snapshot; None: of all."""
    return _by_layer(network.snapshot(numbers))


def _values(network: _core.Network, number: int | None = None) -> dict[int, dict[str, Array]]:
    """Parameters and buffers of all layers, or of one, in torch's layout.

    Views, and while fit runs copies: read-only, as the views are that were taken before.
    """
    if network.busy:
        found = copied_values(network, None if number is None else [number])
        for layer in found.values():
            for array in layer.values():
                array.flags.writeable = False
        return found
    found = {}
    for entry in network.parameters(number):
        values = found.setdefault(entry["layer"], {})
        values[entry["name"]] = view = entry["array"].T
        network.lend(view)
        if entry["name"] == "running_var":
            values[COUNTER] = np.array(network.num_batches, np.int64)
    return found


def layer_values(network: _core.Network, number: int) -> dict[str, Array]:
    """A layer's values by their names: views, and while fit runs read-only copies."""
    return _values(network, number).get(number, {})


def torch_keys(network: _core.Network) -> dict[str, Array]:
    """All values by torch's keys, as `layer_values` gives them for a layer."""
    return {
        f"{number}.{name}": array
        for number, layer in _values(network).items()
        for name, array in layer.items()
    }


def _as_value(where: str, key: str, value: Any, own: Array) -> Array:
    """`value` in the shape and dtype of `own`, checked after it was converted."""
    # Anything with __array__ will do, a torch tensor among them.
    array = _validate.as_array(where, f"'{key}'", value)
    if array.shape != own.shape:
        raise ValueError(
            f"[{where}] '{key}' has shape {array.shape}; the model expects {own.shape}"
        )
    if key.endswith(COUNTER):
        count = array.item()
        if not (0 <= count < 2**63 and count == int(count)):
            raise ValueError(f"[{where}] '{key}' is {count}; expected a whole number of at least 0")
        return np.array(int(count), own.dtype)
    with np.errstate(over="ignore"):  # what overflows is refused in words
        converted = array.astype(own.dtype, copy=False)
    looks: list[tuple[Array, str, str]] = [
        (~np.isfinite(converted), "values that are not finite: ", f"finite {own.dtype}")
    ]
    if key.endswith("running_var"):
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
    # Files of torch before 0.4.1 have no counters, and estimators' coefficients neither.
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
    write(network, given)
    return IncompatibleKeys(missing, unexpected)


def write(network: _core.Network, values: Mapping[str, Array]) -> None:
    """Copy checked `values` in, of the network's dtype: all of them, or none if it is in use."""
    batches = network.num_batches
    found: list[Array | None] = []
    for entry in network.parameters():
        value = values.get(f"{entry['layer']}.{entry['name']}")
        # The core has (in, out). A copy: the values given may be views of this very model.
        dtype = entry["array"].dtype
        found.append(None if value is None else np.array(value.T, dtype, order="C"))
        if entry["name"] == "running_var":
            batches = int(values.get(f"{entry['layer']}.{COUNTER}", batches))
    network.load(found, batches)


def restore_optimizer(network: _core.Network, saved: Mapping[str, Any]) -> None:
    """Write back a snapshot's optimizer state, into a network compiled with the same settings."""
    for entries, arrays in zip(network.optimizer_state()["state"], saved["state"], strict=True):
        for entry in entries:
            entry["array"][...] = arrays[f"{entry['layer']}.{entry['name']}"]
    network.set_progress(int(saved["step"]), network.num_batches)
    network.set_optimizer_steps(saved["steps"])
