# SPDX-License-Identifier: BSD-3-Clause
"""Checks of scalar arguments and names, and the conversion of lists, frames and the like to arrays.

Every message says where, what came, what was expected. Arrays are checked by the core, which
refuses what it cannot read (`fastnn._refusals`).
"""

from __future__ import annotations

import math
import operator
import sys
from contextlib import contextmanager
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, _sparse
from ._hints import shown
from ._refusals import READABLE, refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "as_array",
    "as_rows",
    "dictionary",
    "dtype_name",
    "flag",
    "headed",
    "integer",
    "is_masked_array",
    "names",
    "not_negative",
    "number",
    "numbers",
    "positive",
    "seed",
    "thread_count",
]

if TYPE_CHECKING:  # numpy.typing takes a millisecond to import
    from numpy.typing import NDArray

    Array = NDArray[Any]


def as_array(where: str, what: str, value: Any) -> Array:
    """Return `value` as an array; an ndarray is returned as it is.

    The contents of the array are checked by the core.
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(value)
    except Exception as error:  # the __array__ of other libraries may raise anything
        kind = ValueError if isinstance(error, ValueError) else TypeError
        given = "no rectangular array of numbers"
        if not isinstance(value, (list, tuple)):
            given = f"a {_type_name(value)} that NumPy cannot read"
        raise kind(f"[{where}] {what} is {given} ({error}); expected {READABLE}") from None


def as_rows(where: str, what: str, value: Any) -> Any:
    """Return X, `value`, as the core reads it: an array, or a sparse matrix of SciPy as CSR."""
    if isinstance(value, np.ndarray) or not _sparse.is_sparse(value):
        return as_array(where, what, value)
    return _sparse.as_csr(where, what, value)


def numbers(where: str, what: str, value: Any) -> Array:
    """Return `value` as a plain array of real numbers, for computations outside of the core."""
    array = as_array(where, what, value)
    if is_masked_array(array) and np.ma.is_masked(array):
        raise refused("masked", what).worded(where)
    array = np.asarray(array)  # a subclass loses what it adds
    if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        return array
    raise refused("dtype", what, came=str(array.dtype)).worded(where, {what: value})


def is_masked_array(value: object) -> bool:
    """Whether `value` is a masked array.

    numpy.ma is imported only when it is first used, which takes 20 ms; as long as it has not been
    imported, there is no masked array.
    """
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return masked is not None and isinstance(value, masked)


def _type_name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__.split('.')[0]} {kind.__name__}"


_LARGEST = 2**63 - 1  # the largest size or counter of the core


def integer(where: str, what: str, value: Any, lowest: int = 1, highest: int = _LARGEST) -> int:
    """Return `value` as an int from `lowest` to `highest`; it must not be bool, float or str."""
    bound = f"of at least {lowest}" + (f" and at most {highest}" if highest != _LARGEST else "")
    if not isinstance(value, (bool, np.bool_)):
        try:
            number = operator.index(value)
        except TypeError:
            number = None
        if number is not None and lowest <= number <= highest:
            return number
        if number is not None:
            if number > _LARGEST == highest:
                bound = f"of at most {highest}"
            raise ValueError(f"[{where}] {what} is {number}; expected an integer {bound}")
    raise TypeError(f"[{where}] {what} is {shown(value)}; expected an integer {bound}")


def seed(where: str, value: Any) -> int:
    """Return a seed, an integer from 0 to 2**64 - 1."""
    return integer(where, "seed", value, 0, 2**64 - 1)


def flag(where: str, what: str, value: Any) -> bool:
    """Return `value`, which must be a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"[{where}] {what} is {shown(value)}; expected True or False")
    return bool(value)


def number(where: str, what: str, value: Any, expected: str = "a finite number") -> float:
    """Return `value` as a finite float; it must not be bool or str."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"[{where}] {what} is {shown(value)}; expected {expected}")
    try:
        given = float(value)
    except OverflowError:
        given = math.inf
    if not math.isfinite(given):
        raise ValueError(f"[{where}] {what} is {shown(value)}; expected {expected}")
    return given


def positive(where: str, what: str, value: Any) -> float:
    """Return `value` as a finite float above zero."""
    expected = "a finite number above 0"
    given = number(where, what, value, expected)
    if not given > 0:
        raise ValueError(f"[{where}] {what} is {value!r}; expected {expected}")
    return given


def not_negative(where: str, what: str, value: Any) -> float:
    """Return `value` as a finite float that is at least zero."""
    expected = "a finite number of at least 0"
    given = number(where, what, value, expected)
    if given < 0:
        raise ValueError(f"[{where}] {what} is {value!r}; expected {expected}")
    return given


def thread_count(where: str, n_threads: Any) -> int:
    """Return n_threads for the core, where 0 stands for None, the automatic choice."""
    if n_threads is None:
        return 0
    return integer(where, "n_threads", n_threads, 1, _core.max_threads)


def dtype_name(where: str, dtype: Any) -> str:
    """Return the dtype of a model: "float32" or "float64"."""
    try:
        name = str(np.dtype(dtype).name)
    except Exception:  # NumPy raises different exceptions for different invalid dtypes
        name = ""
    if dtype is None or name not in ("float32", "float64"):
        raise ValueError(f"[{where}] dtype is {shown(dtype)}; expected float32 or float64")
    return name


@contextmanager
def headed(where: str, what: str) -> Iterator[None]:
    """Name the call and a part of its argument in the errors of the block."""
    try:
        yield
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        text = str(error).removeprefix(f"[{where}] ")
        raise kind(f"[{where}] {what}: {text}") from None


def dictionary(
    where: str, what: str, value: Any, names: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, Any]:
    """Return `value`, which must be a dictionary with these keys and no others.

    Those of them that are `optional` may be missing.
    """
    if not isinstance(value, dict):
        raise TypeError(f"[{where}] {what} is {shown(value)}; expected {', '.join(names)}")
    if value.keys() | set(optional) != set(names):
        missing = [name for name in names if name not in value and name not in optional]
        unknown = [shown(name) for name in value if name not in names]
        found = f"lacks {', '.join(missing) or 'nothing'} and has the unknown {', '.join(unknown)}"
        if not unknown:
            found = f"lacks {', '.join(missing)}"
        raise ValueError(f"[{where}] {what} {found}; expected {', '.join(names) or 'nothing'}")
    return value


def names(where: str, what: str, value: Any) -> dict[str, Any]:
    """Return `value`, which must be a dictionary with texts as keys."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"[{where}] {what} is {shown(value)}; expected a dictionary with names")
    return value
