# SPDX-License-Identifier: BSD-3-Clause
"""States of callbacks as values of JSON and arrays, and back.

None, bools, texts, finite numbers and lists stand for themselves. All else is a dictionary with
one entry that says what it is: ``{"dict": {...}}``, ``{"float": "inf"}``, or ``{"array": key}``
with the key of an array beside the JSON.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._hints import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn._validate import Array

__all__ = ["packed", "unpacked"]

_SPELLED = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_KINDS = "biuf"  # of arrays: bool, integers, floats


def packed(where: str, value: Any, prefix: str, arrays: dict[str, Array]) -> Any:
    """Return `value` as values of JSON; its arrays are added to `arrays`, under keys with `prefix`.

    Raises
    ------
    TypeError
        If something in it cannot be stored.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (np.bool_, np.number)):
        value = value.item()
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, (list, tuple)):
        return [packed(where, each, prefix, arrays) for each in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: packed(where, each, prefix, arrays) for key, each in value.items()}}
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS and value.dtype.itemsize <= 8:
        key = f"{prefix}{len(arrays)}"
        arrays[key] = np.asarray(value)
        return {"array": key}
    raise TypeError(
        f"[{where}] the state has {shown(value)}; expected None, bool, int, float, str, NumPy "
        "arrays of numbers, and lists and dictionaries of these by strings"
    )


def unpacked(where: str, value: Any, arrays: Mapping[str, Array]) -> Any:
    """Return the state that `packed` made `value` of.

    Raises
    ------
    ValueError
        If it is none, which an altered file may have.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [unpacked(where, each, arrays) for each in value]
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inside),) = value.items()
        if kind == "dict" and isinstance(inside, dict):
            return {key: unpacked(where, each, arrays) for key, each in inside.items()}
        if kind == "array" and isinstance(inside, str) and inside in arrays:
            return arrays[inside]
        if kind == "float" and isinstance(inside, str) and inside in _SPELLED:
            return _SPELLED[inside]
    raise ValueError(f"[{where}] a state of a callback has {shown(value)}, which says nothing")
