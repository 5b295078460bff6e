# SPDX-License-Identifier: BSD-3-Clause
"""The functions of layers, forward and backward, made from the rows of the registry.

Linear, whose weight is a matrix, has its own functions. A function takes the layer's parameters as
arrays, its settings but for sizes and flags, and, if they make a difference, `training` and where
the random numbers come from.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _registry
from fastnn._docstrings import Entry, docstring, parameters
from fastnn._fields import Field, fields_of

from . import _linear
from ._layers import parameters_of, sizes
from ._source import Source

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._registry import Row

__all__ = ["layer_name", "makers"]

_IMPORTS = ">>> import numpy as np, fastnn.functional as F"
_PLACE = ("seed", "step", "layer", "draw")


def layer_name(row: Row) -> str:
    """Return the name of the layer's function: torch's, which has no dimension."""
    name: str = row["name"].removesuffix("1d")
    return name


def _output(row: Row, **mode: Any) -> Any:
    x = np.linspace(-1, 1, 64).reshape(4, 16)
    return _core.layer(row["name"], dict.fromkeys(_required(row), 16), x, {}, **mode)[0]


def _required(row: Row) -> list[str]:
    return [param["name"] for param in row["params"] if param["required"]]


class _Parts:
    """What the functions of a layer take."""

    def __init__(self, row: Row) -> None:
        left_out = [p["name"] for p in row["params"] if p["kind"] == "flag"] + sizes(row)
        self.fields: list[Field] = [f for f in fields_of(row["params"]) if f.name not in left_out]
        self.arrays = [name for name, _, _ in parameters_of(row, 16)]
        self.trained = [name for name, _, trained in parameters_of(row, 16) if trained]
        plain, training = _output(row), _output(row, training=True)
        self.trains = not np.array_equal(plain, training)
        self.draws = not np.array_equal(training, _output(row, training=True, seed=1))
        mode = [f"training: bool = {self.draws}"] if self.trains else []
        if self.draws:
            mode += [f"{name}: int = 0" for name in _PLACE]
        self.arguments: list[str | Field] = [
            "*",
            *(f"{name}: ArrayLike | None = None" for name in self.arrays),
            *self.fields,
            *mode,
        ]
        keys = (["training"] if self.trains else []) + (list(_PLACE) if self.draws else [])
        self.given = "{" + ", ".join(f'"{name}": {name}' for name in self.arrays) + "}"
        self.mode = "{" + ", ".join(f'"{name}": {name}' for name in keys) + "}"

    def entries(self) -> list[Entry]:
        found = [
            (f"{name} : array_like of shape (k,), optional", "By default its initial value.")
            for name in self.arrays
        ]
        found += parameters(self.fields)
        if self.trains:
            moves = any(name.startswith("running_") for name in self.arrays)
            said = "Statistics of the batch; the running ones move, in place." if moves else ""
            found.append((f"training : bool, default {self.draws}", said))
        if self.draws:
            said = "Where the random numbers come from, as in a model; each pass has another draw."
            found.append((f"{', '.join(_PLACE)} : int, default 0", said))
        return found


_REFUSED = "If shapes do not fit, dtypes are not real numbers, or a value is out of its range."


def _forward(row: Row) -> Source:
    name, parts = layer_name(row), _Parts(row)
    names = f'"{row["name"]}", "{name}"'
    return Source(
        name,
        ["x: ArrayLike", *parts.arguments, "out: Array | None = None"],
        "Array",
        [f"return layer_forward({names}, values, x, {parts.given}, {parts.mode}, out)"],
        docstring(
            f"Compute {row['formula']}.",
            [row["note"]] if row["note"] else [],
            {
                "Parameters": [
                    ("x : array_like of shape (..., k)", "Each row is along the last axis."),
                    *parts.entries(),
                    (
                        "out : ndarray, optional",
                        "Array for the result, which is returned; it may be `x` itself.",
                    ),
                ],
                "Returns": [
                    (
                        "ndarray",
                        "Shape of `x`; float32 if `x` is not wider, otherwise float64.",
                    )
                ],
                "Raises": [("ValueError, TypeError", _REFUSED)],
            },
            f"""
            {_IMPORTS}
            >>> x = np.linspace(-1, 1, 6).reshape(2, 3)
            >>> F.{name}(x).shape
            (2, 3)
            """,
        ),
    )


def _backward(row: Row) -> Source:
    name, parts = layer_name(row), _Parts(row)
    where = f"{name}_backward"
    result = ["dx", *(f"d{each}" for each in parts.trained)]
    several = len(result) > 1
    outs = {each: each for each in result} if several else {"out": "out"}
    kept = "{" + ", ".join(f'"{key}": {each}' for key, each in outs.items()) + "}"
    call = f'layer_backward("{row["name"]}", "{where}", values, dy, x'
    shapes = "(2, 3)" if not several else str([(2, 3), *[(n,) for n in _sizes(row)]])
    shown = "dx.shape" if not several else "[each.shape for each in gradients]"
    return Source(
        where,
        [
            "dy: ArrayLike",
            "x: ArrayLike",
            *parts.arguments,
            *(f"{each}: Array | None = None" for each in outs),
        ],
        f"tuple[{', '.join(['Array'] * len(result))}]" if several else "Array",
        [f"return {call}, {parts.given}, {parts.mode}, {kept})"],
        docstring(
            f"Compute the gradients of y = {name}(x), by {', '.join(['x', *parts.trained])}.",
            ["The other arguments are those of the forward call."],
            {
                "Parameters": [
                    ("dy : array_like", "Gradient with respect to y."),
                    ("x : array_like of shape (..., k)", "The input of the forward call."),
                    *parts.entries(),
                    (
                        f"{', '.join(outs)} : ndarray, optional",
                        "Arrays for the results, which are returned; dx may be `dy` or `x` itself."
                        if several
                        else "Array for dx, which is returned; it may be `dy` or `x` itself.",
                    ),
                ],
                "Returns": [(f"{', '.join(result)} : ndarray", "")],
                "Raises": [("ValueError, TypeError", _REFUSED)],
            },
            f"""
            {_IMPORTS}
            >>> x = np.linspace(-1, 1, 6).reshape(2, 3)
            >>> {"gradients" if several else "dx"} = F.{where}(np.ones((2, 3)), x)
            >>> {shown}
            {shapes}
            """,
        ),
    )


def _sizes(row: Row) -> list[int]:
    settings = dict.fromkeys(_required(row), 3)
    return [n for _, n, trained in _core.layer_parameters(row["name"], settings, 3) if trained]


def makers() -> dict[str, Callable[[], Source]]:
    """Return for the name of each function a function that returns its source."""
    found: dict[str, Callable[[], Source]] = {}
    for name, row in _registry.rows("layers").items():
        if not hasattr(_linear, name):
            found[layer_name(row)] = partial(_forward, row)
            found[f"{layer_name(row)}_backward"] = partial(_backward, row)
    return found
