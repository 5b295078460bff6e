# SPDX-License-Identifier: BSD-3-Clause
"""Reading and writing a network's values under torch's keys and in torch's layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _core, _validate
from fastnn.errors import ModelBusyError

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = [
    "IncompatibleKeys",
    "load",
    "optimizer_state",
    "restore_optimizer",
    "torch_keys",
    "write",
]

COUNTER = "num_batches_tracked"


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict(strict=False)`` left out, as in torch."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def torch_keys(network: _core.Network) -> dict[str, Array]:
    """Views of all values by torch's keys, (out, in); the counters of BatchNorm are copies."""
    found: dict[str, Array] = {}
    locked = network.busy
    for entry in network.parameters():
        view = entry["array"].T
        view.flags.writeable = not locked
        found[f"{entry['layer']}.{entry['name']}"] = view
        if entry["name"] == "running_var":
            found[f"{entry['layer']}.{COUNTER}"] = np.array(network.num_batches, np.int64)
    return found


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
    if network.busy:
        raise ModelBusyError(
            f"[{where}] the model is being trained; values can be loaded afterwards"
        )
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


def optimizer_state(network: _core.Network) -> dict[str, Any]:
    """Copies of the optimizer's step number and state arrays."""
    state = network.optimizer_state()
    arrays = [[np.array(entry["array"]) for entry in entries] for entries in state["state"]]
    return {"step": int(state["step"]), "state": arrays}


def restore_optimizer(network: _core.Network, saved: Mapping[str, Any]) -> None:
    """Write back what `optimizer_state` gave, into a network compiled with the same settings."""
    for entries, arrays in zip(network.optimizer_state()["state"], saved["state"], strict=True):
        for entry, array in zip(entries, arrays, strict=True):
            entry["array"][...] = array
    network.set_progress(int(saved["step"]), network.num_batches)
