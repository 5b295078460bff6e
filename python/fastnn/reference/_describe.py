# SPDX-License-Identifier: BSD-3-Clause
"""What the tables of all rooms share: the array type, and hyperparameters read off a function."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Array", "hypers_of"]

# float32 or float64; integers where it holds classes
Array: TypeAlias = npt.NDArray[Any]


def hypers_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return names and defaults of the keyword-only arguments of `function`, in order."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
