# SPDX-License-Identifier: BSD-3-Clause
"""Checks and conversion of the arguments of this package, beyond those of `fastnn._validate`.

Functions compute in float32 if all floating-point arguments are float16 or float32, and in float64
otherwise. Arrays of the other byte order are converted; any strides and alignment are accepted.

A function that returns one array takes `out`, an array for it. One that returns more takes an array
for each by the name of the result: dx, dw, db. A loss, whose outputs are called `out`, takes dout.
All are checked by `checked_out` and filled by `filled`, unless the core writes to them itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastnn import _validate
from fastnn._refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Array = NDArray[Any]

_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)


def numbers(where: str, what: str, value: ArrayLike) -> Array:
    """Return `value` as an array of real numbers in the byte order of this machine."""
    if isinstance(value, np.ndarray) and not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    return _validate.numbers(where, what, value)


def with_rank(where: str, what: str, value: ArrayLike, *ranks: int) -> Array:
    """Return `numbers` of `value`, which must have one of the numbers of dimensions in `ranks`."""
    array = numbers(where, what, value)
    if array.ndim not in ranks:
        expected = " or ".join(f"{rank}-d" for rank in ranks)
        raise ValueError(
            f"[{where}] {what} is {array.ndim}-d with shape {array.shape}; expected {expected}"
        )
    return array


def common_dtype(*arrays: Array) -> np.dtype[Any]:
    """Return float32 if there are floating-point arrays and none is wider, otherwise float64."""
    sizes = [array.dtype.itemsize for array in arrays if array.dtype.kind == "f"]
    return _F32 if sizes and max(sizes) <= 4 else _F64


def converted(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` itself if it has this dtype, otherwise a converted copy."""
    return array if array.dtype == dtype else array.astype(dtype)


def float_dtype(where: str, dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as np.dtype, which must be float32 or float64."""
    return np.dtype(_validate.dtype_name(where, dtype))


def writable(where: str, what: str, array: object) -> Array:
    """Return `array`, which must be a writable ndarray of float32 or float64."""
    if not isinstance(array, np.ndarray) or _validate.is_masked_array(array):
        raise TypeError(
            f"[{where}] {what} is {type(array).__name__}; expected a NumPy array to change in place"
        )
    if array.dtype not in (_F32, _F64):
        came = {"came": str(array.dtype), "dtype": "float32 or float64"}
        raise refused("dtype", what, **came).worded(where)
    if not array.flags.writeable:
        raise refused("read_only", what).worded(where)
    return array


def checked_out(
    where: str,
    out: object,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *inputs: Array,
    what: str = "out",
) -> Array | None:
    """Return `out`, which must have `shape` and `dtype` and share no memory with `inputs`."""
    if out is None:
        return None
    array = writable(where, what, out)
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"[{where}] {what} is {array.dtype} with shape {array.shape}; "
            f"expected {dtype} with shape {shape}"
        )
    if any(np.shares_memory(array, other) for other in inputs):
        raise refused("shared", what, of="an input").worded(where)
    return array


def apart(outs: Iterable[object], *inputs: tuple[Array, object]) -> list[Array]:
    """Return the inputs, each an array and what the caller gave, that are none of `outs` itself."""
    return [array for array, given in inputs if all(given is not out for out in outs)]


def checked_outs(
    where: str,
    outs: Mapping[str, object],
    shapes: Iterable[tuple[int, ...]],
    dtype: np.dtype[Any],
    *inputs: Array,
) -> dict[str, Array | None]:
    """Return the arrays for several results, by name; they share no memory with each other."""
    found: dict[str, Array | None] = {}
    for (what, out), shape in zip(outs.items(), shapes, strict=True):
        array = checked_out(where, out, shape, dtype, *inputs, what=what)
        for name, other in found.items():
            if array is not None and other is not None and np.shares_memory(array, other):
                raise refused("shared", what, of=name).worded(where)
        found[what] = array
    return found


def filled(target: Array | None, result: Array) -> Array:
    """Return `target` with the values of `result`, or `result` itself if there is no target."""
    if target is None:
        return result
    np.copyto(target, result)
    return target
