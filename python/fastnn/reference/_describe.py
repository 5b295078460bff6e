# SPDX-License-Identifier: BSD-3-Clause
"""What the tables of all rooms share: arrays, parameters read off a function, names in torch."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SAME", "Array", "Torch", "hypers_of"]

# float32 or float64; integers where it holds classes
Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Torch:
    """What a member is in torch, for the exchange of models and for tests that compare the two.

    Parameters
    ----------
    name : class of torch.nn or torch.optim; empty: the row's class name
    factor : a loss is `factor` times torch's
    names : {parameter: what torch calls it}, where the names differ
    lacks : parameters that torch does not have
    gradients : relative difference of gradients where torch computes them with constants of float32
    at_extremes : relative difference of gradients where torch's own formula is cut off; None:
        there it is not finite
    options : further arguments that torch needs
    call : (torch's object, out, target, `own` parameters) -> loss, where it is called otherwise
    by_row : whether torch.func.vmap, which takes one row at a time, goes through it
    own : parameters for `call`, which torch's class does not have
    """

    name: str = ""
    factor: float = 1.0
    names: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    gradients: float = 1e-12
    at_extremes: float | None = 1e-12
    options: Mapping[str, Any] = field(default_factory=dict)
    call: Callable[..., Any] | None = None
    own: tuple[str, ...] = ()
    by_row: bool = True


SAME = Torch()  # the row's class name and parameters are torch's


def hypers_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return names and defaults of the keyword-only arguments of `function`, in order."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
