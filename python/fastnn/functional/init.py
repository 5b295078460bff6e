# SPDX-License-Identifier: BSD-3-Clause
"""Initial weights of shape (in_features, out_features); equal seeds give equal bits.

Other draws of the same seed, such as a model's own initial values, come from other streams.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core
from fastnn._validate import integer

from ._arrays import float_dtype

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["kaiming_uniform", "uniform", "xavier_uniform"]

_STREAM = (
    2**34
)  # 0.. are dropout masks, 2^32.. initial values of a model's layers, 2^33 its shuffles


def uniform(
    shape: int | tuple[int, ...],
    low: float = 0.0,
    high: float = 1.0,
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """Even draws from [low, high).

    Parameters
    ----------
    shape : int or tuple of int
    low, high : float
    seed : int
        From 0.
    dtype : float32 or float64

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, TypeError
        A size below 1, high below low, a negative seed, another dtype.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> w = F.init.uniform((64, 10), -0.1, 0.1, seed=1)
    >>> w.shape, w.dtype, bool(abs(w).max() <= 0.1)
    ((64, 10), dtype('float32'), True)
    """
    where = "init.uniform"
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"[{where}] low is {low} and high {high}; expected finite, low <= high")
    sizes = _sizes(where, shape)
    draws = _core.uniform(math.prod(sizes), integer(where, "seed", seed, 0), _STREAM)
    values: NDArray[Any] = low + (high - low) * draws.reshape(sizes)
    return values.astype(float_dtype(where, dtype))


def xavier_uniform(
    shape: tuple[int, int], *, gain: float = 1.0, seed: int = 0, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """Even draws from +- gain sqrt(6 / (in + out)): for tanh and sigmoid layers.

    Parameters
    ----------
    shape : (in, out)
    gain : float
    seed : int
    dtype : float32 or float64

    Returns
    -------
    (in, out) ndarray

    Raises
    ------
    ValueError, TypeError
        As `uniform`; a shape that is not (in, out).

    Examples
    --------
    >>> import fastnn.functional as F
    >>> bool(abs(F.init.xavier_uniform((2, 4), seed=1)).max() <= 1)
    True
    """
    where = "init.xavier_uniform"
    fan_in, fan_out = _fans(where, shape)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    return uniform((fan_in, fan_out), -bound, bound, seed=seed, dtype=dtype)


def kaiming_uniform(
    shape: tuple[int, int], *, seed: int = 0, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """Even draws from +- sqrt(6 / in): for relu layers.

    Parameters
    ----------
    shape : (in, out)
    seed : int
    dtype : float32 or float64

    Returns
    -------
    (in, out) ndarray

    Raises
    ------
    ValueError, TypeError
        As `xavier_uniform`.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> bool(abs(F.init.kaiming_uniform((6, 4), seed=1)).max() <= 1)
    True
    """
    fan_in, fan_out = _fans("init.kaiming_uniform", shape)
    bound = math.sqrt(6 / fan_in)
    return uniform((fan_in, fan_out), -bound, bound, seed=seed, dtype=dtype)


def _sizes(where: str, shape: int | tuple[int, ...]) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(integer(where, f"shape[{i}]", size) for i, size in enumerate(sizes))


def _fans(where: str, shape: tuple[int, int]) -> tuple[int, int]:
    sizes = _sizes(where, shape)
    if len(sizes) != 2:
        raise ValueError(f"[{where}] shape is {shape}; expected (in, out)")
    return sizes[0], sizes[1]
