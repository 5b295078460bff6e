# SPDX-License-Identifier: BSD-3-Clause
"""Hints in error messages: how a value is shown, and what to do with data that are not numbers.

They are made only after a value was refused. Data frames, sparse matrices and the like are
recognised by their attributes, so that no other library is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["not_numbers", "shown"]


def shown(value: object) -> str:
    """Return `value` for a message: its repr, or if that is long its type, and an array's shape."""
    try:
        text = repr(value)
    except Exception:  # the repr of a user's class may fail
        text = ""
    if 0 < len(text) <= 60 and "\n" not in text:
        return text
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiouAEIO" else f"a {kind}"


def not_numbers(what: str, value: Any, array: NDArray[Any]) -> str:
    """Return the end of a message about `value`, which NumPy converted to `array`, from ";" on."""
    if value is None:
        return f"; {what} is None"
    if isinstance(value, (str, bytes, os.PathLike)):
        return f"; {what} is a {type(value).__name__}: read the file first, e.g. with np.loadtxt"
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        return f"; {what} is sparse: {what}.toarray()"
    if hasattr(value, "columns") and hasattr(value, "dtypes"):
        return _of_frame(what, value)
    if array.ndim == 0 and array.dtype == object:
        return _of_object(what, value)
    return _of_cells(what, value, array)


def _of_object(what: str, value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, Mapping):
        return f"; {what} is a {kind}: np.column_stack(list({what}.values())) has its columns"
    if isinstance(value, Iterable):
        return f"; {what} is a {kind}: np.array(list({what}))"
    return f"; {what} is a {kind}"


def _of_frame(what: str, value: Any) -> str:
    held: dict[str, str] = {}
    for k, name in enumerate(value.columns):
        column = value.iloc[:, k] if hasattr(value, "iloc") else value[name]
        cells = np.asarray(column)
        if cells.dtype.kind not in "biuf":
            held[str(name)] = _content(cells)
    convert = f"{what}.astype('float32')" if hasattr(value, "astype") else f"{what}.cast(float)"
    if not held:
        return f"; its columns have several dtypes, which NumPy joins to objects: {convert}"
    name, content = next(iter(held.items()))
    more = f" (and {len(held) - 1} more)" if len(held) > 1 else ""
    advice = {
        "text": f"{convert} if it is numbers in words, otherwise encode it or leave it out",
        "dates": "make numbers of them, or leave it out",
        "missing cells": "fill them, or leave it out",
    }.get(content, convert)
    return f"; column {name!r} holds {content}{more}: {advice}"


def _of_cells(what: str, value: Any, array: NDArray[Any]) -> str:
    plain = what if type(value) is np.ndarray else f"np.asarray({what})"
    if array.dtype.kind == "c":
        return f"; it is complex: {plain}.real, or real and imaginary parts as columns"
    if array.dtype.kind == "f":
        return f": {plain}.astype('float64')"
    content = _content(array)
    advice = {
        "text": f"{plain}.astype('float32') if it is numbers in words",
        "dates": "make numbers of them",
        "missing cells": "fill them",
        "objects": f"{plain}.astype('float32') if they are numbers",
    }
    if content == "text" and (array.ndim == 1 or array.shape[-1] == 1):
        advice[content] += f", np.unique({what}, return_inverse=True)[1] if it is names of classes"
    return f"; it holds {content}: {advice[content]}" if content in advice else ""


_BY_KIND = {"U": "text", "S": "text", "M": "dates", "m": "dates", "O": ""}


def _content(cells: NDArray[Any]) -> str:
    """Return what an array that is not numeric contains."""
    kind = _BY_KIND.get(cells.dtype.kind, "fields")
    if kind:
        return kind
    found = "objects"
    for cell in cells.flat:
        if isinstance(cell, (str, bytes)):
            return "text"
        if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
            found = "missing cells"
        elif hasattr(cell, "isoformat") and found == "objects":
            found = "dates"
    return found
