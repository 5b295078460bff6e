# SPDX-License-Identifier: BSD-3-Clause
"""Optimizer steps of arrays that have to be converted or refused first; states and clipping.

Parameters are writable float32 or float64 arrays with any strides; gradients have the same shapes.
Everything is checked before anything changes. A single array stands for a list of one array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _registry, _validate
from fastnn._fields import checked
from fastnn._hints import shown

from ._arrays import Array, converted, numbers, writable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Arrays", "OptimizerState", "clip_grad_norm_", "state", "step"]

Arrays = Array | Sequence[Array]


@dataclass
class OptimizerState:
    """The state of an optimizer between steps.

    Attributes
    ----------
    step : int
        Number of steps so far.
    arrays : list of list of ndarray
        For every state (Adam has a first and a second moment) one array per parameter.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> F.sgd_state([np.ones(2)])
    OptimizerState(step=0, arrays=[[array([0., 0.])]])
    """

    step: int = 0
    arrays: list[list[Array]] = field(default_factory=list)


def state(where: str, name: str, params: Arrays) -> OptimizerState:
    """Return a state of zeros of the optimizer `name` for `params`."""
    arrays = _listed(where, "params", params)
    kinds = _registry.row(where, "optimizers", name)["states"]
    return OptimizerState(0, [[np.zeros(a.shape, a.dtype) for a in arrays] for _ in kinds])


def step(
    name: str,
    values: Mapping[str, Any],
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    memory: OptimizerState | None,
) -> None:
    """Do one step of the optimizer `name` in place."""
    where = f"{name}_step_"
    row = _registry.row(where, "optimizers", name)
    settings = checked(where, row["params"], values)
    kept = _core.states_of(name, settings)
    if memory is None and kept:
        raise ValueError(
            f"[{where}] state is None; expected F.{name}_state(params): with these values it "
            f"remembers {' and '.join(kept)}"
        )
    arrays = _listed(where, "params", params)
    gradients = _gradients(where, arrays, [grads] if isinstance(params, np.ndarray) else grads)
    if memory is None:
        memory = OptimizerState()
    elif not isinstance(memory, OptimizerState):
        raise TypeError(f"[{where}] state is {type(memory).__name__}; expected an OptimizerState")
    states = _states(where, row["states"], kept, memory, arrays)
    _core.optimizer_step(name, settings, memory.step + 1, arrays, gradients, states)
    memory.step += 1


def _gradients(where: str, arrays: list[Array], grads: Any) -> list[Array]:
    """Return a gradient for each of `arrays`, of its shape and dtype."""
    try:
        given = list(grads)
    except TypeError:
        raise TypeError(
            f"[{where}] grads is {shown(grads)}; expected one array a parameter"
        ) from None
    if len(given) != len(arrays):
        raise ValueError(f"[{where}] grads has {len(given)} arrays, but params {len(arrays)}")
    gradients = []
    for i, (array, grad) in enumerate(zip(arrays, given, strict=True)):
        gradient = numbers(where, f"grads[{i}]", grad)
        if gradient.shape != array.shape:
            raise ValueError(
                f"[{where}] grads[{i}] has shape {gradient.shape}, but its parameter {array.shape}"
            )
        gradients.append(converted(gradient, array.dtype))
    return gradients


def _states(
    where: str,
    names: Sequence[str],
    kept: Sequence[str],
    memory: OptimizerState,
    arrays: list[Array],
) -> list[list[Array]]:
    """Return those arrays of the state, which has `names`, that are `kept`."""
    like = [(array.shape, array.dtype) for array in arrays]
    if kept and (
        len(memory.arrays) != len(names)
        or any([(a.shape, a.dtype) for a in kind] != like for kind in memory.arrays)
    ):
        raise ValueError(f"[{where}] state was made for other parameters or another optimizer")
    return [memory.arrays[names.index(name)] for name in kept]


def clip_grad_norm_(grads: Arrays, max_norm: float) -> float:
    """Scale gradients in place by min(1, max_norm / (norm + 1e-6)) with their global norm.

    Parameters
    ----------
    grads : ndarray or sequence of ndarray
        Changed in place.
    max_norm : float
        Positive.

    Returns
    -------
    float
        The global norm before.

    Raises
    ------
    ValueError, TypeError
        If a gradient is not finite or not writable, or `max_norm` is not positive.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> g = [np.array([3.0]), np.array([4.0])]
    >>> F.clip_grad_norm_(g, 1.0)
    5.0
    >>> print(np.concatenate(g).round(4))
    [0.6 0.8]
    """
    where = "clip_grad_norm_"
    given: Any = max_norm
    if not (isinstance(given, Real) and given == math.inf):  # infinity: only compute the norm
        max_norm = _validate.positive(where, "max_norm", max_norm)
    arrays = _listed(where, "grads", grads)
    squares = 0.0
    for i, grad in enumerate(arrays):
        square = _sum_of_squares(np.asarray(grad).reshape(-1))
        if not math.isfinite(square):
            raise ValueError(f"[{where}] grads[{i}] has a value that is not finite")
        squares += square
    norm = math.sqrt(squares)
    factor = min(1.0, max_norm / (norm + 1e-6))
    if factor < 1:
        for grad in arrays:
            np.multiply(grad, grad.dtype.type(factor), out=grad)
    return norm


def _sum_of_squares(flat: Array) -> float:
    """Return the sum of squares in double; float32 is converted in pieces, to save memory."""
    if flat.dtype == np.float64:
        return float(flat @ flat)
    pieces = (flat[at : at + 2**13].astype(np.float64) for at in range(0, flat.size, 2**13))
    return sum(float(piece @ piece) for piece in pieces)


def _listed(where: str, name: str, arrays: Arrays) -> list[Array]:
    """Return an array, or a sequence of arrays, as a list of writable arrays."""
    if isinstance(arrays, np.ndarray):
        return [writable(where, f"{name}", arrays)]
    try:
        each = list(arrays)
    except TypeError:
        raise TypeError(
            f"[{where}] {name} is {shown(arrays)}; expected arrays to change in place"
        ) from None
    return [writable(where, f"{name}[{i}]", array) for i, array in enumerate(each)]
