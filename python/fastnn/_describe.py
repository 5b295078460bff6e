# SPDX-License-Identifier: BSD-3-Clause
"""The common part of activations, losses, optimizers and schedules: descriptions of a registry row.

A description is immutable, has the values of the parameters and checks them; it has no arrays. Its
class is made from the row.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from . import _registry
from ._assign import refusal
from ._docstrings import docstring, parameters, sentence
from ._fields import Field, Value, argument_names, checked, fields_of
from ._hints import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._docstrings import Entry
    from ._registry import Row

__all__ = ["Description", "Members", "Overrides", "described", "fields_of_class"]


class Description:
    """Base of a room's classes: a row with values for its parameters.

    The classes are dataclasses with the __repr__, the __eq__ and the refusals of this base.

    Attributes
    ----------
    room : str
        The registry.
    registry_name : str
        The row.
    positional : int or None
        How many of the parameters may be given by position; None: all of them.
    more_fields : tuple of Field
        Further arguments of the classes of the room, besides the parameters of the row.
    """

    room: ClassVar[str] = ""
    registry_name: ClassVar[str] = ""
    remedy: ClassVar[str] = (
        "it is fixed when the object is made. Make a new one, and compile the model with it"
    )
    positional: ClassVar[int | None] = None
    more_fields: ClassVar[tuple[Field, ...]] = ()

    __dataclass_fields__: ClassVar[dict[str, Any]]  # of the classes; the base is none

    @classmethod
    def _own_fields(cls, row: Row) -> list[Field]:
        """The arguments for the parameters of the row."""
        return fields_of(row["params"])

    @classmethod
    def _documentation(cls, row: Row) -> tuple[str, Sequence[str], str]:
        """Summary, paragraphs and example of the docstring of a row's class; "": of its repr."""
        return sentence(row["formula"]), [], ""

    def __setattr__(self, name: str, value: Any) -> None:
        # The constructor writes each field once.
        if name in vars(self) or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(refusal(self, name, self.remedy))
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"[{type(self).__name__}] {name} cannot be deleted")

    def __post_init__(self) -> None:
        # A wrong value is refused here, not at the first step. A list that its owner changes later,
        # or an array, must not change the description.
        for name, value in self.hyper().items():
            if isinstance(value, list):
                vars(self)[name] = tuple(value)

    def __repr__(self) -> str:
        values = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))
        return f"{type(self).__qualname__}({values})"

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        found = vars(self).get(_HASH)
        if found is None:
            found = vars(self)[_HASH] = hash((type(self), *self._values()))
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in vars(self).items() if name != _HASH}

    def __setstate__(self, state: Any) -> None:
        where, names = type(self).__name__, [f.name for f in fields(self)]
        if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
            raise TypeError(f"[{where}] the state is {shown(state)}; expected a dictionary")
        if not set(names) <= state.keys():
            raise ValueError(f"[{where}] the state has not all of: {', '.join(names)}")
        made = object.__new__(type(self))
        vars(made).update(state)
        made.__post_init__()  # checks the values
        vars(self).update(vars(made))

    def _values(self) -> tuple[Any, ...]:
        """Return the values of all fields; a pair may be given as a list or as a tuple."""
        return tuple(_without_lists(getattr(self, f.name)) for f in fields(self))

    @property
    def row(self) -> dict[str, Any]:
        """Return the registry row of this object's member."""
        return _registry.row(type(self).__name__, self.room, self.registry_name)

    def hyper(self) -> dict[str, Value]:
        """Return the checked parameters under the names of the row."""
        params = self.row["params"]
        values = {name: getattr(self, name) for name in argument_names(params)}
        return checked(type(self).__name__, params, values)


_HASH = "_hash"  # kept, since descriptions do not change


def _plain(value: Any) -> Any:
    """Return `value` with dictionaries in the place of `Overrides`."""
    if isinstance(value, Overrides):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


def _without_lists(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, Overrides):
        return Overrides({key: _without_lists(entry) for key, entry in value.items()})
    return value


class Overrides(Mapping[Any, Any]):
    """An immutable copy of a dictionary of dictionaries."""

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = {
            key: Overrides(value) if isinstance(value, Mapping) else copy.deepcopy(value)
            for key, value in values.items()
        }

    def __getitem__(self, key: Any) -> Any:
        return self._values[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "[Optimizer] param_groups cannot be changed: make a new optimizer, and compile the "
            "model with it"
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values))


def fields_of_class(base: type[Description], row: Row) -> list[tuple[Field, bool]]:
    """Return the fields of a registry row's class, and whether each is keyword-only."""
    own = base._own_fields(row)
    positional = len(own) if base.positional is None else base.positional
    return [(f, at >= positional) for at, f in enumerate([*own, *base.more_fields])]


def _class_of(base: type[Description], row: Row, module: str) -> type[Any]:
    """Return the class of the member that the registry row describes."""
    given = fields_of_class(base, row)
    summary, notes, example = base._documentation(row)
    if not example:
        values = ", ".join(f"{f.name}={f.default!r}" for f, _ in given)
        package, _, name = module.rpartition(".")
        made = f"{row['class_name']}({values})"
        example = f"""
            >>> from {package} import {name}
            >>> {name}.{row["class_name"]}()
            {made}
            """
    refusals: list[Entry] = [
        ("ValueError, TypeError", "A value out of its range, or of another type.")
    ]
    sections = {
        "Parameters": parameters(f for f, _ in given),
        "Raises": refusals if given else [],
    }
    namespace: dict[str, Any] = {
        "__module__": module,
        "__qualname__": row["class_name"],
        "__doc__": docstring(summary, notes, sections, example),
        "__annotations__": {f.name: f.type for f, _ in given},
        "registry_name": row["name"],
    }
    for f, by_name in given:
        default = {"default_factory": dict} if f.default == {} else {"default": f.default}
        namespace[f.name] = field(**default, kw_only=by_name)
    return dataclass(repr=False, eq=False)(type(row["class_name"], (base,), namespace))


D = TypeVar("D", bound=Description)


class Members(Mapping[str, type[D]], Generic[D]):
    """The classes of a room by the registry's names, each made when it is first used.

    So the time of an import does not grow with the number of members.

    Parameters
    ----------
    base : type
        The base of the classes, which has the name of the room.
    module : str
        The public module from which users import them.
    """

    def __init__(self, base: type[D], module: str) -> None:
        self.base, self._module = base, module
        self._made: dict[str, type[D]] = {}
        self._plain: dict[str, D] = {}

    def __getitem__(self, name: str) -> type[D]:
        if name not in self._made:
            row = _registry.rows(self.base.room)[name]
            # If two threads come here at the same time, both get the class that was made first.
            self._made.setdefault(name, _class_of(self.base, row, self._module))
        return self._made[name]

    def with_defaults(self, name: str) -> D:
        """Return the description of a row with its default values: the same object every time."""
        if name not in self._plain:
            self._plain.setdefault(name, self[name]())
        return self._plain[name]

    def __contains__(self, name: object) -> bool:
        return name in _registry.rows(self.base.room)

    def __iter__(self) -> Iterator[str]:
        return iter(_registry.rows(self.base.room))

    def __len__(self) -> int:
        return len(_registry.rows(self.base.room))

    def class_names(self) -> list[str]:
        """Return the names of the classes, sorted."""
        return sorted(row["class_name"] for row in _registry.rows(self.base.room).values())

    def named(self, class_name: str) -> type[D]:
        """Return the class of this name; raise AttributeError if there is none."""
        for name, row in _registry.rows(self.base.room).items():
            if row["class_name"] == class_name:
                return self[name]
        raise AttributeError(f"module {self._module!r} has no attribute {class_name!r}")


def described(
    where: str, what: str, value: Any, known: Mapping[str, type[Any]], base: type[Any]
) -> Any:
    """Return `value` if it is a description; for a name, the description with default values."""
    if isinstance(value, base):
        return value
    if isinstance(value, str):
        if value not in known:
            raise _registry.unknown(where, what, value, known)
        return known.with_defaults(value) if isinstance(known, Members) else known[value]()
    if isinstance(value, type) and issubclass(value, base):
        raise TypeError(f"[{where}] {what} is the class {value.__name__}; write {value.__name__}()")
    raise TypeError(
        f"[{where}] {what} is {shown(value)}; expected an object or a name: {', '.join(known)}"
    )
