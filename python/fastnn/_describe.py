# SPDX-License-Identifier: BSD-3-Clause
"""What activations, losses and optimizers have in common: frozen descriptions of a registry row.

A description holds values and checks them; it computes nothing and owns no arrays.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from . import _registry
from ._assign import refusal
from ._hints import shown

__all__ = ["PAIRS", "Description", "HyperValue", "Optimizer", "checked", "described"]

HyperValue = float | bool | str

# The one place where Python's spelling differs from the registry's: torch has one pair where the
# core has two numbers. The generator makes one field of them, `spread` takes it apart again.
PAIRS: dict[str, tuple[str, ...]] = {"betas": ("beta1", "beta2")}


def spread(where: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with every pair taken apart into the registry's names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        parts = PAIRS.get(name)
        if parts is None:
            flat[name] = value
            continue
        given = value if isinstance(value, (tuple, list)) else (value,)
        if len(given) != len(parts):
            raise ValueError(f"[{where}] {name} is {shown(value)}; expected {len(parts)} numbers")
        flat.update(zip(parts, given, strict=True))
    return flat


def _spelled(name: str) -> str:
    """The name under which a user knows the registry's `name`: betas[0] for beta1."""
    for pair, parts in PAIRS.items():
        if name in parts:
            return f"{pair}[{parts.index(name)}]"
    return name


def _checked_value(where: str, hyper: Mapping[str, Any], value: Any) -> HyperValue:
    name = _spelled(hyper["name"])
    if hyper["kind"] == "choice":
        if isinstance(value, str) and value in hyper["choices"]:
            return value
        raise _registry.unknown(where, name, value, hyper["choices"])
    if hyper["kind"] == "flag":
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        raise TypeError(f"[{where}] {name} is {shown(value)}; expected True or False")
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"[{where}] {name} is {shown(value)}; expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    low, high = float(hyper["lowest"]), float(hyper["highest"])
    above = number > low if hyper["open_below"] else number >= low
    below = number < high if hyper["open_above"] else number <= high
    if math.isfinite(number) and above and below:
        return number
    raise ValueError(f"[{where}] {name} = {shown(value)}; expected {_range_text(hyper)}")


def _range_text(hyper: Mapping[str, Any]) -> str:
    """The numbers that a parameter may be, in words, with every digit that decides."""
    low, high = float(hyper["lowest"]), float(hyper["highest"])
    if math.isinf(low) and math.isinf(high):
        return "a finite number"
    first, last = (f"{x:g}" if float(f"{x:g}") == x else repr(x) for x in (low, high))
    if not math.isinf(high) and not hyper["open_below"] and not hyper["open_above"]:
        return f"{first} to {last}"
    text = f"{'above' if hyper['open_below'] else 'at least'} {first}"
    if math.isinf(high):
        return f"{text} and finite"
    return f"{text} and {'below' if hyper['open_above'] else 'at most'} {last}"


def checked(
    where: str, table: list[dict[str, Any]], values: Mapping[str, Any]
) -> dict[str, HyperValue]:
    """`values` in the registry's names and types; wrong ones raise and say what was expected."""
    hypers = {hyper["name"]: hyper for hyper in table}
    flat = spread(where, values)
    for name in flat:
        if name not in hypers:
            raise _registry.unknown(where, "parameter", name, hypers)
    return {name: _checked_value(where, hypers[name], value) for name, value in flat.items()}


@dataclass(repr=False, eq=False)
class Description:
    """Base of the generated classes: a room's row with values for its hyperparameters.

    The classes let dataclass write no __repr__, no __eq__ and nothing that freezes them: those of
    this base serve them all, refuse in words, and an import has less to compile.
    """

    room: ClassVar[str] = ""
    registry_name: ClassVar[str] = ""
    remedy: ClassVar[str] = (
        "it is fixed when the object is made. Make a new one, and compile the model with it"
    )

    def __setattr__(self, name: str, value: Any) -> None:
        # The constructor writes each field once.
        if name in vars(self) or name not in [f.name for f in fields(self)]:
            raise FrozenInstanceError(refusal(self, name, self.remedy))
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"[{type(self).__name__}] {name} cannot be deleted")

    def __post_init__(self) -> None:
        # A wrong value is refused where it is written, not at the first step.
        self.hyper()

    def __repr__(self) -> str:
        shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        # betas may be a list.
        values = (tuple(v) if isinstance(v, list) else v for v in self._values())
        return hash((type(self), *values))

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, f.name) for f in fields(self))

    @property
    def row(self) -> dict[str, Any]:
        """The registry's row that this object describes."""
        return _registry.row(type(self).__name__, self.room, self.registry_name)

    def hyper(self) -> dict[str, HyperValue]:
        """The hyperparameters under the registry's names, checked."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "per_layer"}
        return checked(type(self).__name__, self.row["params"], values)


class Overrides(Mapping[Any, Any]):
    """A private copy of a dictionary of dictionaries that nobody can change."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = {
            key: Overrides(value) if isinstance(value, Mapping) else copy.deepcopy(value)
            for key, value in values.items()
        }

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "[Optimizer] per_layer cannot be changed: make a new optimizer, and compile the model "
            "with it"
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values))


@dataclass(repr=False, eq=False)
class Optimizer(Description):
    """Base of the optimizers: plain frozen descriptions, never bound to arrays.

    `per_layer` overrides hyperparameters for single layers, keyed by the layer's number in
    ``state_dict``: ``{0: {"lr": 1e-4, "weight_decay": 0.0}}``.
    """

    room: ClassVar[str] = "optimizers"

    def __post_init__(self) -> None:
        super().__post_init__()
        # A dictionary changed later by its owner must not change the description.
        overrides = getattr(self, "per_layer", {})
        if not isinstance(overrides, Mapping):
            raise TypeError(
                f"[{type(self).__name__}] per_layer is {shown(overrides)}; expected a "
                'dictionary: {0: {"lr": 1e-4}}'
            )
        self.layer_hyper()  # before anything that may be in it is copied
        vars(self)["per_layer"] = Overrides(dict(overrides))

    def layer_hyper(self) -> dict[int, dict[str, float]]:
        """The overrides under the registry's names, checked."""
        where, overrides = type(self).__name__, {}
        for layer, values in getattr(self, "per_layer", {}).items():
            if isinstance(layer, bool) or not isinstance(layer, (int, np.integer)):
                raise TypeError(
                    f"[{where}] per_layer has the key {shown(layer)}; expected a layer's number"
                )
            if not isinstance(values, Mapping):
                raise TypeError(
                    f"[{where}] per_layer[{layer}] is {shown(values)}; expected a dictionary"
                )
            given = checked(f"{where}.per_layer[{layer}]", self.row["params"], values)
            overrides[int(layer)] = {name: float(value) for name, value in given.items()}
        return overrides


def described(
    where: str, what: str, value: Any, known: Mapping[str, type[Any]], base: type[Any]
) -> Any:
    """`value` if it is a description, or the one with default values that a string names."""
    if isinstance(value, base):
        return value
    if isinstance(value, str):
        if value not in known:
            raise _registry.unknown(where, what, value, known)
        return known[value]()
    if isinstance(value, type) and issubclass(value, base):
        raise TypeError(f"[{where}] {what} is the class {value.__name__}; write {value.__name__}()")
    raise TypeError(
        f"[{where}] {what} is {type(value).__name__}; expected an object or a name: "
        f"{', '.join(known)}"
    )
