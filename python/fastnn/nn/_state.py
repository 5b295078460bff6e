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


def _as_value(where: str, key: str, value: Any, shape: tuple[int, ...]) -> Array:
    # Anything with __array__ will do, a torch tensor among them.
    array = _validate.as_array(where, f"'{key}'", value)
    if array.shape != shape:
        raise ValueError(f"[{where}] '{key}' has shape {array.shape}; the model expects {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"[{where}] '{key}' has values that are not finite")
    return array


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
        key: _as_value(where, key, values[key], array.shape)
        for key, array in own.items()
        if key in values
    }
    write(network, given)
    return IncompatibleKeys(missing, unexpected)


def write(network: _core.Network, values: Mapping[str, Array]) -> None:
    """Copy checked `values` in; converts to the network's dtype."""
    own = torch_keys(network)
    for key, array in values.items():
        if key.endswith(COUNTER):
            network.set_progress(network.step, int(array), network.draw)
        else:
            own[key][...] = array


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
