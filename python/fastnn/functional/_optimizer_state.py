# SPDX-License-Identifier: BSD-3-Clause
"""What optimizer steps need beside themselves: their memory, and clipping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from fastnn import _validate
from fastnn._hints import shown

from ._arrays import Array, writable

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
    """

    step: int = 0
    arrays: list[list[Array]] = field(default_factory=list)


def sgd_state(params: Arrays) -> OptimizerState:
    """State for `sgd_step_` with momentum: a velocity of zeros for each parameter.

    Parameters
    ----------
    params : ndarray or sequence of ndarray

    Returns
    -------
    OptimizerState

    Raises
    ------
    ValueError, TypeError
        A parameter that is not a writable float32 or float64 array.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> F.sgd_state([np.ones(2)])
    OptimizerState(step=0, arrays=[[array([0., 0.])]])
    """
    return _zeros("sgd_state", params, 1)


def adam_state(params: Arrays) -> OptimizerState:
    """State for `adam_step_` and `adamw_step_`: two moments of zeros for each parameter.

    Parameters
    ----------
    params : ndarray or sequence of ndarray

    Returns
    -------
    OptimizerState

    Raises
    ------
    ValueError, TypeError
        A parameter that is not a writable float32 or float64 array.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> len(F.adam_state([np.ones(2)]).arrays)
    2
    """
    return _zeros("adam_state", params, 2)


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
    arrays = as_list(where, "grads", grads)
    norms = []
    for i, grad in enumerate(arrays):
        norms.append(float(np.linalg.norm(grad.astype(np.float64).ravel())))
        if not np.isfinite(norms[-1]):
            raise ValueError(f"[{where}] grads[{i}] has a value that is not finite")
    norm = float(np.linalg.norm(norms))
    factor = min(1.0, max_norm / (norm + 1e-6))
    if factor < 1:
        for grad in arrays:
            np.multiply(grad, grad.dtype.type(factor), out=grad)
    return norm


def as_list(where: str, name: str, arrays: Arrays) -> list[Array]:
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


def _zeros(where: str, params: Arrays, kinds: int) -> OptimizerState:
    arrays = as_list(where, "params", params)
    return OptimizerState(0, [[np.zeros(a.shape, a.dtype) for a in arrays] for _ in range(kinds)])
