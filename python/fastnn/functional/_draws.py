# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of random numbers: uniform ones, and those that an initializer draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _registry, _validate
from fastnn._fields import checked

from ._arrays import Array, checked_out, filled, float_dtype

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["initial_values", "sizes_of", "uniform"]

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
    out: Array | None = None,
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
    out : ndarray, optional
        Array of this shape and dtype for the result, which is returned.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError, TypeError
        If a size is below 1, `high` is below `low`, the seed is out of range, the dtype is another
        one, or `out` cannot take the result.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> w = F.init.uniform((64, 10), -0.1, 0.1, seed=1)
    >>> w.shape, w.dtype, bool(abs(w).max() <= 0.1)
    ((64, 10), dtype('float32'), True)
    """
    where = "init.uniform"
    kind = float_dtype(where, dtype)
    low, high = _end(where, "low", low, kind), _end(where, "high", high, kind)
    if not low <= high:
        raise ValueError(f"[{where}] low is {low} and high {high}; expected finite, low <= high")
    sizes = sizes_of(where, shape)
    target = checked_out(where, out, sizes, kind)
    draws = _core.uniform(math.prod(sizes), _validate.seed(where, seed), _STREAM).reshape(sizes)
    # The difference of the two ends may overflow; half of it does not.
    half = 1.0 if math.isfinite(high - low) else 0.5
    values: NDArray[Any] = (low * half + (high * half - low * half) * draws) / half
    # Rounding may give a number outside of the interval.
    first, last = kind.type(low), kind.type(high)
    last = max(first, np.nextafter(last, first))
    return filled(target, np.clip(values.astype(kind), first, last))


def initial_values(
    name: str, values: dict[str, Any], shape: Any, seed: int, dtype: DTypeLike, out: Array | None
) -> NDArray[Any]:
    """Return an array that the initializer `name` draws; a matrix is (in, out)."""
    where, row = f"init.{name}", _registry.rows("initializers")[name]
    given, kind = checked(where, row["params"], values), float_dtype(where, dtype)
    key, sizes = _validate.seed(where, seed), sizes_of(where, shape)
    if row["needs_fans"] or not row["for_vectors"]:
        if len(sizes) != 2:
            raise ValueError(f"[{where}] shape is {shape}; expected (in, out)")
        rows, columns = sizes
    else:
        rows, columns = 1, math.prod(sizes)
    target = checked_out(where, out, sizes, kind)
    drawn = _core.initial_values(name, given, (rows, columns), key, _STREAM, kind.name)
    return filled(target, drawn.reshape(sizes))


def _end(where: str, what: str, value: float, kind: np.dtype[Any]) -> float:
    """Return an end of the interval, a finite number of dtype `kind`."""
    given = _validate.number(where, what, value)
    if abs(given) > float(np.finfo(kind).max):
        raise ValueError(f"[{where}] {what} is {value!r}; expected a number that {kind} holds")
    return given


def sizes_of(where: str, shape: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape as a tuple of sizes of at least 1."""
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(_validate.integer(where, f"shape[{i}]", size) for i, size in enumerate(sizes))
