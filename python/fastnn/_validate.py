# SPDX-License-Identifier: BSD-3-Clause
"""Words, shapes and dtypes of what users hand in, and the texts of refusals.

Every message says where, what came, what was expected. No ndarray is ever copied here, and no row
is computed on; values (class indices, non-finite numbers) are checked in C++ while they are read.
"""

from __future__ import annotations

import math
import operator
import sys
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core, _registry
from ._hints import not_numbers, shown

__all__ = [
    "Array",
    "as_array",
    "dtype_name",
    "features",
    "flag",
    "integer",
    "is_masked_array",
    "metrics",
    "not_negative",
    "number",
    "positive",
    "same_rows",
    "seed",
    "targets",
    "thread_count",
    "weights",
]

Array = NDArray[Any]

_READABLE = "bool, integers, float16, float32 or float64"


def is_masked_array(value: object) -> bool:
    """Whether `value` is a masked array.

    NumPy imports numpy.ma when it is first named, for some 20 ms: who has not imported it has no
    masked array.
    """
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    return masked is not None and isinstance(value, masked)


def as_array(where: str, what: str, value: Any) -> Array:
    """`value` as a plain array of numbers that the core can read; an ndarray comes back as it is.

    The one place where subclasses of ndarray lose what they add: a matrix its way of staying
    two-dimensional, a masked array a mask that hides nothing.
    """
    if type(value) is np.ndarray:
        return _readable(where, what, value, value)
    if is_masked_array(value):
        if np.ma.is_masked(value):
            raise ValueError(
                f"[{where}] {what} has masked cells; expected an array without them: "
                f"fill them first, for example {what}.filled(0)"
            )
        value = value.data
    try:
        array: Array = np.asarray(value)  # a subclass becomes a plain view
    except Exception as error:  # whatever the __array__ of another library raises
        kind = ValueError if isinstance(error, ValueError) else TypeError
        given = "no rectangular array of numbers"
        if not isinstance(value, (list, tuple)):
            given = f"a {_type_name(value)} that NumPy cannot read"
        raise kind(f"[{where}] {what} is {given} ({error}); expected {_READABLE}") from None
    return _readable(where, what, value, array)


def _readable(where: str, what: str, value: Any, array: Array) -> Array:
    """`array`, which was made of `value`, if the core can read it."""
    if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        return array
    hint = not_numbers(what, value, array)
    raise TypeError(f"[{where}] {what} has dtype {array.dtype}; expected {_READABLE}{hint}")


def _type_name(value: object) -> str:
    kind = type(value)
    return f"{kind.__module__.split('.')[0]} {kind.__name__}"


def _plain(what: str, value: object) -> str:
    """How the code of a hint names `value`: lists, frames and matrices need np.asarray first."""
    return what if type(value) is np.ndarray else f"np.asarray({what})"


def features(where: str, x: Any, n_features: int, flatten: bool = False, what: str = "X") -> Array:
    """X as (n, n_features); with `flatten` also (n, ...) with n_features numbers a row."""
    array = as_array(where, what, x)
    if flatten and array.ndim > 2:
        columns = math.prod(array.shape[1:])
        if columns != n_features:
            raise ValueError(
                f"[{where}] {what} of shape {array.shape} has {columns} numbers a row, "
                f"the model expects {n_features}"
            )
        return array
    if array.ndim != 2:
        hint = ""
        if array.ndim == 1 and array.size == n_features:
            hint = f"; one row is {_plain(what, x)}.reshape(1, -1)"
        elif array.ndim == 1 and n_features == 1:
            hint = f"; one column is {_plain(what, x)}.reshape(-1, 1)"
        elif array.ndim > 2:
            hint = "; put nn.Flatten() first in the model"
        raise ValueError(
            f"[{where}] {what} has shape {array.shape}; expected (n, {n_features}){hint}"
        )
    if array.shape[1] != n_features:
        raise ValueError(
            f"[{where}] {what} has {array.shape[1]} columns, the model expects {n_features}"
        )
    return array


def targets(where: str, y: Any, n: int, loss: Any, k: int, *, what: str = "y") -> Array:
    """Targets of n rows as the loss wants them: class indices (n,), or numbers (n, k)."""
    name = type(loss).__name__
    array = as_array(where, what, y)
    if loss.row["target"] == "class":
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            hint = _row_hint(what, y, array, n)
            if not hint and array.ndim == 2 and len(array) == n:
                hint = f"; from one-hot rows take {_plain(what, y)}.argmax(axis=1)"
            raise ValueError(
                f"[{where}] {what} has shape {array.shape}; {name} expects class indices of shape "
                f"({n},){hint}"
            )
    elif not ((array.ndim == 1 and k == 1) or (array.ndim == 2 and array.shape[1] == k)):
        expected = f"({n},) or ({n}, 1)" if k == 1 else f"({n}, {k})"
        hint = _row_hint(what, y, array, n) if k == 1 else ""
        if k > 1 and array.size == n and array.dtype.kind in "iub":
            hint = f"; from class indices take F.one_hot({_plain(what, y)}, {k})"
        raise ValueError(
            f"[{where}] {what} has shape {array.shape}; {name} on {k} output{'s' * (k > 1)} "
            f"expects {expected}{hint}"
        )
    same_rows(where, n, what, array)
    return array


def _row_hint(what: str, value: object, array: Array, n: int) -> str:
    """What to do with n values that came as one row, as those of a matrix do."""
    return (
        f"; it is one row: {_plain(what, value)}.ravel()" if array.shape == (1, n) != (1, 1) else ""
    )


def same_rows(where: str, n: int, what: str, array: Array) -> None:
    """Refuses an array that has not one entry for each of the n rows of X."""
    if len(array) != n:
        raise ValueError(f"[{where}] {what} has {len(array)} rows, X has {n}")


def weights(where: str, w: Any, n: int, what: str = "sample_weight") -> Array:
    """Row weights (n,): finite, not negative, not all zero."""
    array = as_array(where, what, w)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        hint = _row_hint(what, w, array, n)
        raise ValueError(f"[{where}] {what} has shape {array.shape}; expected ({n},){hint}")
    same_rows(where, n, what, array)
    wrong = ~np.isfinite(array) | (array < 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"[{where}] {what}[{at}] is {array[at]}; expected a finite number of at least 0"
        )
    if n and not array.any():
        raise ValueError(f"[{where}] {what} is zero for all rows; expected a positive one")
    return array


_LARGEST = 2**63 - 1  # what the core's sizes and counters hold


def integer(where: str, what: str, value: Any, lowest: int = 1, highest: int = _LARGEST) -> int:
    """`value` as an int from `lowest` to `highest`; no bool, no float, no string."""
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
    """A seed: 64 bits without a sign, everywhere."""
    return integer(where, "seed", value, 0, 2**64 - 1)


def flag(where: str, what: str, value: Any) -> bool:
    """`value` as a bool; nothing else counts as one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"[{where}] {what} is {shown(value)}; expected True or False")
    return bool(value)


def number(where: str, what: str, value: Any, expected: str = "a finite number") -> float:
    """`value` as a finite float; no bool, no string."""
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
    """`value` as a finite float above zero."""
    expected = "a finite number above 0"
    given = number(where, what, value, expected)
    if not given > 0:
        raise ValueError(f"[{where}] {what} is {value!r}; expected {expected}")
    return given


def not_negative(where: str, what: str, value: Any) -> float:
    """`value` as a finite float of at least zero."""
    expected = "a finite number of at least 0"
    given = number(where, what, value, expected)
    if given < 0:
        raise ValueError(f"[{where}] {what} is {value!r}; expected {expected}")
    return given


def thread_count(where: str, n_threads: Any) -> int:
    """n_threads as the core takes it: 0 stands for None, the automatic choice."""
    if n_threads is None:
        return 0
    return integer(where, "n_threads", n_threads, 1, _core.max_threads)


def dtype_name(where: str, dtype: Any) -> str:
    """The dtype of a model: "float32" or "float64"."""
    try:
        name = str(np.dtype(dtype).name)
    except Exception:  # NumPy has one for each way of being wrong
        name = ""
    if dtype is None or name not in ("float32", "float64"):
        raise ValueError(f"[{where}] dtype is {shown(dtype)}; expected float32 or float64")
    return name


def metrics(where: str, names: Any, loss: Any) -> tuple[str, ...]:
    """Names of the metrics that evaluate and fit report beside the loss."""
    if names is None:
        return ()
    try:
        given = None if isinstance(names, str) else tuple(names)
    except TypeError:
        given = None
    if given is None:
        raise TypeError(
            f"[{where}] metrics is {shown(names)}; expected a list of names: ['accuracy']"
        )
    for name in given:
        if not isinstance(name, str) or name != "accuracy":
            raise _registry.unknown(where, "metric", name, ["accuracy"])
        if loss.row["task"] == "regression":
            raise ValueError(
                f"[{where}] accuracy needs a loss of classes; {type(loss).__name__} is for "
                "regression"
            )
    return given
