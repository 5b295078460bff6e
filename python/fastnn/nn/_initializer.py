# SPDX-License-Identifier: BSD-3-Clause
"""Initializers in Python: frozen descriptions of what draws the initial values of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _validate
from fastnn._describe import Description, described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn._validate import Array

__all__ = ["DEFAULT", "Initializer", "chosen", "given_values"]

DEFAULT = "default"  # registry name of torch's default


class Initializer(Description):
    """Base of the initializers, whose classes are made from the rows of the registry.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.init.XavierUniform(gain=2.0)
    XavierUniform(gain=2.0)
    >>> isinstance(nn.init.Zeros(), nn.init.Initializer)
    True
    """

    room: ClassVar[str] = "initializers"

    def spec(self) -> tuple[str, dict[str, Any]]:
        """Return the initializer as the core takes it: name and parameters."""
        return self.registry_name, dict(self.hyper())


def chosen(
    where: str, what: str, value: Any, known: Mapping[str, type[Initializer]], *, vector: bool
) -> Initializer:
    """Return the initializer of the argument `what`: an object, a name, or what `spec` returns."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        name, hyper = value
        found: Initializer = type(described(where, what, name, known, Initializer))(**hyper)
    else:
        found = described(where, what, value, known, Initializer)
    if vector and not found.row["for_vectors"]:
        names = [name for name, cls in known.items() if cls().row["for_vectors"]]
        raise ValueError(
            f"[{where}] {what} is {found!r}, which draws a matrix; expected an array or one of "
            f"{', '.join(names)}"
        )
    return found


def given_values(where: str, what: str, value: Any, shape: tuple[int, ...]) -> Array | None:
    """Return a copy of the array that is given as the values themselves, or None if none is."""
    if isinstance(value, (str, type, Initializer)) or (
        isinstance(value, tuple) and value and isinstance(value[0], str)
    ):
        return None
    array = np.array(_validate.numbers(where, what, value))
    if array.shape != shape:
        raise ValueError(f"[{where}] {what} has shape {array.shape}; expected {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"[{where}] {what} has a value that is not finite")
    return array
