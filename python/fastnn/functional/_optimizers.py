# SPDX-License-Identifier: BSD-3-Clause
"""What all optimizer steps share: their memory, arrays to be converted or refused, and clipping.

Parameters are float32 or float64 arrays of any writable strides; gradients have the same shapes.
Everything is checked before anything changes. A single array may stand for a list of one.
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

__all__ = ["Arrays", "OptimizerState", "clip_grad_norm_", "done", "state", "step"]

Arrays = Array | Sequence[Array]


@dataclass
class OptimizerState:
    """What an optimizer remembers between steps.

    Attributes
    ----------
    step : int
        Steps done so far.
    arrays : list of list of ndarray
        For every kind of memory (Adam: first moment, second moment) one array a parameter.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> F.sgd_state([np.ones(2)])
    OptimizerState(step=0, arrays=[[array([0., 0.])]])
    """

    step: int = 0
    arrays: list[list[Array]] = field(default_factory=list)


def state(where: str, name: str, params: Arrays) -> OptimizerState:
    """Zeros for all that the optimizer `name` may remember of `params`."""
    arrays = _listed(where, "params", params)
    kinds = _registry.row(where, "optimizers", name)["states"]
    return OptimizerState(0, [[np.zeros(a.shape, a.dtype) for a in arrays] for _ in kinds])


def done(
    name: str, values: Mapping[str, Any], params: Any, grads: Any, memory: OptimizerState | None
) -> bool:
    """Whether the core took the step on arrays as they lie: nothing to convert or to word."""
    if memory is None:
        return _core.plain_step(name, values, 1, params, grads, [])
    if type(memory) is not OptimizerState:
        return False
    t = memory.step + 1
    taken = _core.plain_step(name, values, t, params, grads, memory.arrays)
    if taken:
        memory.step = t
    return taken


def step(
    name: str,
    values: Mapping[str, Any],
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    memory: OptimizerState | None,
) -> None:
    """One step of the optimizer `name` in place."""
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
    """One gradient for each of `arrays`, of its shape and dtype."""
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
    """Of the memory, which has `names`, the arrays that are `kept`."""
    like = [(array.shape, array.dtype) for array in arrays]
    if kept and (
        len(memory.arrays) != len(names)
        or any([(a.shape, a.dtype) for a in kind] != like for kind in memory.arrays)
    ):
        raise ValueError(f"[{where}] state was made for other parameters or another optimizer")
    return [memory.arrays[names.index(name)] for name in kept]


def clip_grad_norm_(grads: Arrays, max_norm: float) -> float:
    """Scale gradients in place by min(1, max_norm / (norm + 1e-6)); norm is that of all together.

    Parameters
    ----------
    grads : ndarray or sequence of ndarray
        Changed in place.
    max_norm : float
        Positive.

    Returns
    -------
    float
        The norm before.

    Raises
    ------
    ValueError, TypeError
        A gradient that is not finite or not writable, a `max_norm` that is not positive.

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
    if not (isinstance(given, Real) and given == math.inf):  # infinity only measures
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
    """In double; single precision is converted piece by piece, as a copy of it all costs memory."""
    if flat.dtype == np.float64:
        return float(flat @ flat)
    pieces = (flat[at : at + 2**15].astype(np.float64) for at in range(0, flat.size, 2**15))
    return sum(float(piece @ piece) for piece in pieces)


def _listed(where: str, name: str, arrays: Arrays) -> list[Array]:
    """One array or a sequence of them as a list of writable arrays."""
    if isinstance(arrays, np.ndarray):
        return [writable(where, f"{name}", arrays)]
    try:
        each = list(arrays)
    except TypeError:
        raise TypeError(
            f"[{where}] {name} is {shown(arrays)}; expected arrays to change in place"
        ) from None
    return [writable(where, f"{name}[{i}]", array) for i, array in enumerate(each)]
