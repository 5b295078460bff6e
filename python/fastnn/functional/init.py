# SPDX-License-Identifier: BSD-3-Clause
"""Initial weights of shape (in_features, out_features); equal seeds give equal bits.

The numbers come from a stream of their own, so they differ from those that a model draws with the
same seed, such as its initial values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _validate

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
    """Draw uniformly distributed numbers from [low, high), after rounding both ends to `dtype`.

    Parameters
    ----------
    shape : int or tuple of int
    low, high : float
        Finite numbers in `dtype`, however far apart. No number equals `high`, unless `low` does,
        too: then all numbers do.
    seed : int
        From 0 to 2**64 - 1.
    dtype : float32 or float64

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, TypeError
        If a size is below 1, `high` is below `low`, the seed is out of range, or the dtype is
        another one.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> w = F.init.uniform((64, 10), -0.1, 0.1, seed=1)
    >>> w.shape, w.dtype, bool(abs(w).max() <= 0.1)
    ((64, 10), dtype('float32'), True)
    """
    return _drawn("init.uniform", shape, low, high, seed, dtype)


def xavier_uniform(
    shape: tuple[int, int], *, gain: float = 1.0, seed: int = 0, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """Draw uniformly from +- gain sqrt(6 / (in + out)), for layers followed by tanh or sigmoid.

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
        As in `uniform`, or if the shape is not (in, out).

    Examples
    --------
    >>> import fastnn.functional as F
    >>> bool(abs(F.init.xavier_uniform((2, 4), seed=1)).max() <= 1)
    True
    """
    where = "init.xavier_uniform"
    fan_in, fan_out = _fans(where, shape)
    bound = _validate.not_negative(where, "gain", gain) * math.sqrt(6 / (fan_in + fan_out))
    return _drawn(where, (fan_in, fan_out), -bound, bound, seed, dtype)


def kaiming_uniform(
    shape: tuple[int, int], *, seed: int = 0, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """Draw uniformly from +- sqrt(6 / in), for layers followed by relu.

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
        As in `xavier_uniform`.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> bool(abs(F.init.kaiming_uniform((6, 4), seed=1)).max() <= 1)
    True
    """
    where = "init.kaiming_uniform"
    fan_in, fan_out = _fans(where, shape)
    bound = math.sqrt(6 / fan_in)
    return _drawn(where, (fan_in, fan_out), -bound, bound, seed, dtype)


def _drawn(
    where: str, shape: int | tuple[int, ...], low: float, high: float, seed: int, dtype: DTypeLike
) -> NDArray[Any]:
    kind = float_dtype(where, dtype)
    low, high = _end(where, "low", low, kind), _end(where, "high", high, kind)
    if not low <= high:
        raise ValueError(f"[{where}] low is {low} and high {high}; expected finite, low <= high")
    sizes = _sizes(where, shape)
    draws = _core.uniform(math.prod(sizes), _validate.seed(where, seed), _STREAM).reshape(sizes)
    # The difference of the two ends may overflow; half of it does not.
    half = 1.0 if math.isfinite(high - low) else 0.5
    values: NDArray[Any] = (low * half + (high * half - low * half) * draws) / half
    # Rounding may give a number outside of the interval.
    first, last = kind.type(low), kind.type(high)
    last = max(first, np.nextafter(last, first))
    drawn: NDArray[Any] = np.clip(values.astype(kind), first, last)
    return drawn


def _end(where: str, what: str, value: float, kind: np.dtype[Any]) -> float:
    """Return an end of the interval, a finite number of dtype `kind`."""
    given = _validate.number(where, what, value)
    if abs(given) > float(np.finfo(kind).max):
        raise ValueError(f"[{where}] {what} is {value!r}; expected a number that {kind} holds")
    return given


def _sizes(where: str, shape: int | tuple[int, ...]) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(_validate.integer(where, f"shape[{i}]", size) for i, size in enumerate(sizes))


def _fans(where: str, shape: tuple[int, int]) -> tuple[int, int]:
    sizes = _sizes(where, shape)
    if len(sizes) != 2:
        raise ValueError(f"[{where}] shape is {shape}; expected (in, out)")
    return sizes[0], sizes[1]
