# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of users for the parameters of a row: names, types, ranges and checks.

An argument stands for one parameter of the row, or for two neighbouring ones that torch has under
one name: ``betas`` for ``beta1`` and ``beta2``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from . import _registry, _validate
from ._hints import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._registry import Parameter

__all__ = [
    "Field",
    "Value",
    "argument_names",
    "checked",
    "default_values",
    "fields_of",
    "joined",
    "meaning_and_range",
    "spread",
]

Value = float | bool | str | list[float] | None

_TYPES = {"real": float, "count": int, "flag": bool}


class Field:
    """An argument of a user.

    Attributes
    ----------
    name : str
    default : object
        If it is a dictionary, each use gets a new empty one.
    annotation, default_text : str
        Type and default as Python source, for signatures and stubs.
    type : object
        The type.
    doc_type, doc : str
        Type and meaning for NumPy-style docstrings.
    """

    def __init__(
        self, name: str, default: Any, annotation: str, type_: Any, doc_type: str, doc: str
    ) -> None:
        self.name = name
        self.default = default
        self.annotation = annotation
        self.type = type_
        self.doc_type = doc_type
        self.doc = doc

    @property
    def default_text(self) -> str:
        """The default as Python source."""
        if isinstance(self.default, tuple):
            last = "," if len(self.default) == 1 else ""
            return f"({', '.join(map(_literal, self.default))}{last})"
        return _literal(self.default)

    @classmethod
    def of(cls, name: str, params: Sequence[Parameter]) -> Field:
        """Return the argument that stands for `params`."""
        first, defaults = params[0], tuple(param["default"] for param in params)
        doc = "; ".join(", ".join(filter(None, [p["doc"], _range_text(p)])) for p in params)
        if len(params) > 1:
            text = f"({', '.join(['float'] * len(params))})"
            pair = tuple[float, float]
            return cls(name, defaults, f"tuple[{text[1:-1]}]", pair, text, doc)
        if first["kind"] == "choice":
            words = ", ".join(map(_literal, first["choices"]))
            kind = Literal[tuple(first["choices"])]  # type: ignore[valid-type]
            return cls(name, defaults[0], f"Literal[{words}]", kind, f"{{{words}}}", doc)
        if first["kind"] == "reals":
            text = "Sequence[float] | None" if first["default"] is None else "Sequence[float]"
            numbers: Any = Sequence[float]
            numbers = numbers | None if first["default"] is None else numbers
            words = "sequence of float" + (", one for each output" if first["per_output"] else "")
            return cls(name, first["default"], text, numbers, words, doc)
        plain: Any = _TYPES[first["kind"]]
        word = plain.__name__
        if _may_be_none(first):
            return cls(name, None, f"{word} | None", plain | None, f"{word}, optional", doc)
        return cls(name, defaults[0], word, plain, word, doc)


def _may_be_none(param: Parameter) -> bool:
    """Whether None, the default, is a value of the parameter: a number that is not limited."""
    return param["default"] is None and not param["required"]


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


class _Table(NamedTuple):
    """The parameters of a row in the forms in which they are looked up."""

    params: Sequence[Parameter]
    groups: dict[str, list[Parameter]]  # by the name of their argument, in the order of the row
    known: dict[str, Parameter]  # by name
    spelled: dict[str, str]  # how the user writes a parameter: "betas[0]" for beta1
    defaults: dict[str, Value]  # by name
    paired: set[str]  # the arguments that are two parameters
    bounded: list[Parameter]  # those that have to be above another one


_tables: dict[int, _Table] = {}  # by the id of the parameters, which the table keeps alive


def _table(params: Sequence[Parameter]) -> _Table:
    """Return the table of a row's parameters, which is made once, since rows do not change."""
    found = _tables.get(id(params))
    if found is None:
        groups: dict[str, list[Parameter]] = {}
        for param in params:
            groups.setdefault(param["pair"] or param["name"], []).append(param)
        spelled = {
            part["name"]: name if len(parts) == 1 else f"{name}[{at}]"
            for name, parts in groups.items()
            for at, part in enumerate(parts)
        }
        known = {param["name"]: param for param in params}
        found = _Table(
            params,
            groups,
            known,
            spelled,
            {param["name"]: param["default"] for param in params},
            {name for name, parts in groups.items() if len(parts) > 1},
            [param for param in params if param["above"]],
        )
        _tables[id(params)] = found
    return found


def fields_of(params: Sequence[Parameter]) -> list[Field]:
    """Return the arguments for the parameters of a row, in the order of the row."""
    return [Field.of(name, group) for name, group in _table(params).groups.items()]


def argument_names(params: Sequence[Parameter]) -> list[str]:
    """Return the names of the arguments for the parameters of a row, in the order of the row."""
    return list(_table(params).groups)


def meaning_and_range(params: Sequence[Parameter], name: str) -> tuple[str, str]:
    """Return as text what the argument `name` means and which numbers are permitted."""
    group = _table(params).groups[name]
    ranges = dict.fromkeys(filter(None, map(_range_text, group)))
    return "; ".join(param["doc"] for param in group), "; ".join(ranges)


def default_values(params: Sequence[Parameter]) -> dict[str, Value]:
    """Return the defaults under the names of the row."""
    return dict(_table(params).defaults)


def spread(where: str, params: Sequence[Parameter], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with each pair split into the two parameters of the row."""
    table = _table(params)
    if table.paired.isdisjoint(values):
        return dict(values)
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name not in table.paired:
            flat[name] = value
            continue
        parts = table.groups[name]
        given = value if isinstance(value, (tuple, list)) else (value,)
        if len(given) != len(parts):
            raise ValueError(f"[{where}] {name} is {shown(value)}; expected {len(parts)} numbers")
        flat.update(zip((part["name"] for part in parts), given, strict=True))
    return flat


def joined(params: Sequence[Parameter], values: Mapping[str, Value]) -> dict[str, Any]:
    """Return `values`, which have the names of the row, under the names of the arguments.

    It is the inverse of `spread`; half of a pair and unknown names stay as they are.
    """
    found: dict[str, Any] = dict(values)
    for name, parts in _table(params).groups.items():
        halves = [part["name"] for part in parts]
        if len(halves) > 1 and set(halves) <= set(values):
            found[name] = tuple(found.pop(half) for half in halves)
    return found


def checked(where: str, params: Sequence[Parameter], values: Mapping[str, Any]) -> dict[str, Value]:
    """Return `values` under the row's names and in its types; wrong ones raise an error."""
    if not values:
        return {}
    table, found = _table(params), {}
    for name, value in spread(where, params, values).items():
        param = table.known.get(name)
        if param is None:
            raise _registry.unknown(where, "parameter", name, table.known)
        # Most values that functions pass on are defaults, which need no check.
        kind = param["kind"]
        is_default = value is param["default"] and not param["required"] and kind != "reals"
        within = kind == "real" and type(value) is float
        if is_default or (within and param["lowest"] < value < param["highest"]):
            found[name] = value
        else:
            found[name] = _checked_value(where, table.spelled[name], param, value)
    for param in table.bounded:
        _check_above(where, param["name"], param, table.defaults | found)
    return found


def _check_above(where: str, name: str, param: Parameter, values: Mapping[str, Any]) -> None:
    """Refuse a value that is not above that of the parameter which its row names."""
    other = param["above"]
    if not values[name] > values[other]:
        raise ValueError(
            f"[{where}] {name} = {shown(values[name])}; expected above {other}, which is "
            f"{shown(values[other])}"
        )


def _checked_value(where: str, name: str, param: Parameter, value: Any) -> Value:
    no_limit = value is None and param["default"] is None and param["kind"] == "real"
    if no_limit or (isinstance(value, str) and value in param["choices"]):
        return value  # type: ignore[no-any-return]
    if param["kind"] == "choice":
        raise _registry.unknown(where, name, value, param["choices"])
    if param["kind"] == "reals":
        return _checked_list(where, name, param, value)
    if param["kind"] == "flag":
        return _validate.flag(where, name, value)
    if param["kind"] == "count":
        if type(value) is int and param["lowest"] <= value <= param["highest"]:
            return value
        return _validate.integer(where, name, value, *_ends(param))
    is_none = value is None and _may_be_none(param)
    return None if is_none else _checked_number(where, name, param, value)


def _checked_number(where: str, name: str, param: Parameter, value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"[{where}] {name} is {shown(value)}; expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isfinite(number) and _permits(param, number):
        return number
    raise ValueError(f"[{where}] {name} = {shown(value)}; expected {_range_text(param, True)}")


def _ends(param: Parameter) -> tuple[int, ...]:
    """Return the smallest count that is permitted, and the largest if there is one."""
    return tuple(int(end) for end in (param["lowest"], param["highest"]) if math.isfinite(end))


def _checked_list(where: str, name: str, param: Parameter, value: Any) -> list[float] | None:
    """Return the numbers of a list, a tuple or an array of one axis; None if it is permitted."""
    if value is None and param["default"] is None:
        return None
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"[{where}] {name} is {shown(value)}; expected a list of numbers")
    if not value:
        raise ValueError(f"[{where}] {name} is empty; expected numbers")
    one = {**param, "kind": "real"}
    return [_checked_number(where, f"{name}[{at}]", one, number) for at, number in enumerate(value)]


def _permits(param: Parameter, number: float) -> bool:
    low, high = float(param["lowest"]), float(param["highest"])
    above = number > low if param["open_below"] else number >= low
    return above and (number < high if param["open_above"] else number <= high)


def _range_text(param: Parameter, also_all: bool = False) -> str:
    """Return the permitted numbers as text with all digits, like ``Interval::text`` in cpp/core.

    Without limits it is empty, unless `also_all` is set.
    """
    if param["kind"] not in ("real", "count", "reals"):
        return ""
    low, high = (float(param[end]) for end in ("lowest", "highest"))
    first, last = (f"{x:g}" if float(f"{x:g}") == x else repr(x) for x in (low, high))
    if math.isinf(low) and math.isinf(high):
        return "a finite number" if also_all else ""
    below = f"{'above' if param['open_below'] else 'at least'} {first}"
    if math.isinf(high):
        return below + (" and finite" if also_all else "")
    above = f"{'below' if param['open_above'] else 'at most'} {last}"
    if math.isinf(low):
        return above
    if param["open_below"] or param["open_above"]:
        return f"{below} and {above}"
    return f"{first} to {last}"
