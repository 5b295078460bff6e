# SPDX-License-Identifier: BSD-3-Clause
"""Optimizer steps of arrays that have to be converted or refused first; states and clipping.

Parameters are writable float32 or float64 arrays with any strides; gradients have the same shapes.
The core checks the arrays of a step, all of them before it changes the first. A single array stands
for a list of one array.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _registry, _validate
from fastnn._fields import checked
from fastnn._hints import shown
from fastnn._refusals import Words

from ._arrays import Array, numbers, writable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Arrays", "OptimizerState", "average", "clip_grad_norm_", "state", "step"]

Arrays = Array | Sequence[Array]


@dataclass
class OptimizerState:
    """The state of an optimizer between steps.

    Attributes
    ----------
    step : int
        Number of steps so far.
    arrays : dict of str to list of ndarray
        One array per parameter for every state that has been needed, under torch's names, such as
        ``"exp_avg"``.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> F.rmsprop_state([np.ones(2)])
    OptimizerState(step=0, arrays={'square_avg': [array([0., 0.])]})
    """

    step: int = 0
    arrays: dict[str, list[Array]] = field(default_factory=dict)


def state(where: str, name: str, params: Arrays) -> OptimizerState:
    """Return the state of the optimizer `name` for `params`, as its default values need it."""
    return OptimizerState(0, _zeros(_core.states_of(name, {}), _listed(where, "params", params)))


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
    needed = _core.states_of(name, settings)
    if memory is None and needed:
        raise ValueError(
            f"[{where}] state is None; expected F.{name}_state(params): with these values it "
            f"remembers {' and '.join(needed)}"
        )
    if memory is None:
        memory = OptimizerState()
    elif not isinstance(memory, OptimizerState):
        raise TypeError(f"[{where}] state is {type(memory).__name__}; expected an OptimizerState")
    foreign = [key for key in memory.arrays if key not in row["states"]]
    if foreign:
        raise ValueError(
            f"[{where}] state has {foreign[0]!r}, which {name} does not remember; expected "
            f"F.{name}_state(params)"
        )
    one = isinstance(params, np.ndarray)
    arrays: list[Any] = [params] if one else _list(where, "params", params)
    new = _zeros([key for key in needed if key not in memory.arrays], arrays)
    with Words(where):
        _core.optimizer_step(
            name,
            settings,
            memory.step + 1,
            arrays[0] if one else arrays,
            _read(where, "grads", grads, one),
            {**memory.arrays, **new},
        )
    memory.arrays.update(new)
    memory.step += 1


def average(
    name: str,
    values: Mapping[str, Any],
    averages: Arrays,
    params: ArrayLike | Sequence[ArrayLike],
    n: Any,
) -> None:
    """Add parameters to their averages of the kind `name`, in place."""
    where = f"{name}_"
    settings = checked(where, _registry.row(where, "averages", name)["params"], values)
    count = _validate.integer(where, "n", n)
    one = isinstance(averages, np.ndarray)
    arrays: Any = averages if one else _list(where, "averages", averages)
    with Words(where):
        read = _read(where, "params", params, one)
        _core.add_to_averages(name, settings, count, arrays, read)


def _zeros(states: Iterable[str], params: list[Array]) -> dict[str, list[Array]]:
    """Return zeros for each of `states` and each parameter."""
    return {key: [np.zeros_like(array, subok=False) for array in params] for key in states}


def _read(where: str, name: str, arrays: Any, one: bool) -> Array | list[Array]:
    """Return the array that belongs to one parameter, or a list of them, as arrays of numbers."""
    if one:
        return numbers(where, name, arrays)
    given = _list(where, name, arrays, "one array a parameter")
    return [numbers(where, f"{name}[{i}]", array) for i, array in enumerate(given)]


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
    each = _list(where, name, arrays)
    return [writable(where, f"{name}[{i}]", array) for i, array in enumerate(each)]


def _list(
    where: str, name: str, arrays: Any, expected: str = "arrays to change in place"
) -> list[Any]:
    """Return a sequence as a list."""
    try:
        return list(arrays)
    except TypeError:
        raise TypeError(f"[{where}] {name} is {shown(arrays)}; expected {expected}") from None
