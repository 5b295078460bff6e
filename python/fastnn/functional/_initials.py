# SPDX-License-Identifier: BSD-3-Clause
"""The functions of the initializers, each made from its row when first used.

`uniform` is not among them, because it takes its ends by position, as numpy.random does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn import _registry
from fastnn._docstrings import docstring, parameters, sentence
from fastnn._fields import fields_of

from ._draws import initial_values
from ._source import Source

if TYPE_CHECKING:
    from fastnn._registry import Row

__all__ = [name for name in _registry.rows("initializers") if name != "uniform"]


def source(name: str) -> Source:
    """Return the source of the function of the initializer `name`."""
    row = _registry.rows("initializers")[name]
    fields = fields_of(row["params"])
    matrix = row["needs_fans"] or not row["for_vectors"]
    arguments = [
        "shape: tuple[int, int]" if matrix else "shape: int | tuple[int, ...]",
        "*",
        *fields,
        "seed: int = 0",
        "dtype: DTypeLike = np.float32",
        "out: NDArray[Any] | None = None",
    ]
    body = [f'return initial_values("{name}", values, shape, seed, dtype, out)']
    return Source(name, arguments, "NDArray[Any]", body, _doc(row, matrix))


def _doc(row: Row, matrix: bool) -> str:
    shape = ("shape : (in, out)", "") if matrix else ("shape : int or tuple of int", "")
    sections = {
        "Parameters": [
            shape,
            *parameters(fields_of(row["params"])),
            ("seed : int, default 0", "From 0 to 2**64 - 1."),
            ("dtype : float32 or float64", ""),
            (
                "out : ndarray, optional",
                "Array of this shape and dtype for the result, which is returned.",
            ),
        ],
        "Returns": [("ndarray", "")],
        "Raises": [
            (
                "ValueError, TypeError",
                "If shape, seed or dtype is another one, a value out of range, or `out` unfit.",
            )
        ],
    }
    example = f"""
        >>> import fastnn.functional as F
        >>> F.init.{row["name"]}((64, 10), seed=1).shape
        (64, 10)
        """
    text = f"Draw {row['formula']}" if matrix else f"Fill with {row['formula']}"
    return docstring(sentence(text), [], sections, example)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return source(name).made("fastnn.functional.init", {"initial_values": initial_values, "np": np})
