# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of every kind for the tests of the bindings, and the form of error messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hypothesis.strategies import SearchStrategy

NUMERIC = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
FOREIGN = ["O", "S3", "U3", "F", "D", "G", "M8[s]", "m8[ms]", "f4,i4", "V5", "g"]

# Where, "[fit] ", then what was given, and one of the ways to say what was expected.
WHERE = re.compile(r"^\[[A-Za-z][A-Za-z0-9_, ]*\] ")
EXPECTED = re.compile(
    r"expected|expects|known: |needs |must |is outside \[|, [\w ]+ has \d|call \w+ first"
    r"|has no parameter"
)

# The examples are the same on every machine and in every run, so that failures can be reproduced.
EXAMPLES = settings(derandomize=True, database=None, deadline=None)


def assert_worded(error: BaseException) -> None:
    """Assert that the message says where, what was given and what was expected."""
    text = str(error)
    by_pybind11 = "incompatible function arguments" in text  # function, signature, arguments
    assert by_pybind11 or (WHERE.match(text) and EXPECTED.search(text)), text


class Given(NamedTuple):
    array: np.ndarray
    memory: bytearray  # the memory that the array is a view of


def _values(dtype: np.dtype, shape: Sequence[int], seed: int, lowest: float) -> np.ndarray:
    """Return numbers that all dtypes of the same kind represent exactly, including float16."""
    rng = np.random.default_rng(seed)
    if dtype.kind in "fF":
        lowest = max(lowest, -2.0)
        return rng.integers(int(4 * lowest), 8, shape) / 4
    return rng.integers(int(max(lowest, -1)) if dtype.kind == "i" else 0, 2, shape)


def lay_out(
    dtype: np.dtype, values: np.ndarray, order: Any, steps: Sequence[int], shift: int
) -> Given:
    """Return a view of new memory with strides steps[d], `shift` bytes away from alignment."""
    big = tuple(n * abs(step) for n, step in zip(values.shape, steps, strict=True))
    memory = bytearray(int(np.prod(big)) * dtype.itemsize + 16)
    base: np.ndarray = np.ndarray(big, dtype, buffer=memory, offset=shift, order=order)
    array = base[(..., *(slice(None, None, step) for step in steps))]
    array[...] = values
    return Given(array, memory)


class Plain(np.ndarray):
    """A subclass that changes nothing."""


WRAPPERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "array": lambda a: a,
    "subclass": lambda a: a.view(Plain),
    "memmap": lambda a: a.view(np.memmap),
    "matrix": lambda a: a.view(np.matrix) if a.ndim == 2 else a,
    "no mask": np.ma.masked_array,
    "mask of False": lambda a: np.ma.masked_array(a, mask=np.zeros(a.shape, bool)),
}


@st.composite
def numeric_arrays(
    draw: Any,
    shapes: Sequence[tuple[int, ...]],
    *,
    dtypes: Sequence[str] = NUMERIC,
    lowest: float = -2.0,
) -> Given:
    """Draw arrays of numbers with any dtype, byte order, layout, alignment and class."""
    dtype = np.dtype(draw(st.sampled_from(dtypes))).newbyteorder(draw(st.sampled_from("<>")))
    shape = draw(st.sampled_from(shapes))
    values = _values(dtype, shape, draw(st.integers(0, 99)), lowest)
    steps = [draw(st.sampled_from([1, 1, -1, 2, -3])) for _ in shape]
    given = lay_out(dtype, values, draw(st.sampled_from("CF")), steps, draw(st.integers(0, 7)))
    array = given.array
    repeated = draw(st.sampled_from([None, None, None, *range(len(shape))]))
    if repeated is not None and array.shape[repeated] > 0:
        first = tuple(slice(0, 1) if d == repeated else slice(None) for d in range(len(shape)))
        array = np.broadcast_to(array[first], shape)
    elif draw(st.booleans()):
        array.flags.writeable = False
    wrap = WRAPPERS[draw(st.sampled_from(["array", "array", *WRAPPERS]))]
    return Given(wrap(array), given.memory)


@st.composite
def foreign_arrays(draw: Any, shape: tuple[int, ...]) -> Given:
    """Draw arrays that every network refuses, because of a dtype that is no number or of a mask."""
    dtype = draw(st.sampled_from([*FOREIGN, "masked"]))
    if dtype == "masked":
        mask = np.zeros(shape, bool)
        mask.reshape(-1)[draw(st.integers(0, mask.size - 1))] = True
        return Given(np.ma.masked_array(np.ones(shape, np.float32), mask), bytearray())
    order = draw(st.sampled_from("CF"))
    return Given(np.zeros(shape, dtype, order=order), bytearray())


def any_arrays(
    shapes: Sequence[tuple[int, ...]], bad_shapes: Sequence[tuple[int, ...]], **kwargs: Any
) -> SearchStrategy[Given]:
    return st.one_of(
        numeric_arrays(shapes, **kwargs),
        numeric_arrays(shapes, **kwargs),
        numeric_arrays(bad_shapes, **kwargs),
        foreign_arrays(shapes[0]),
    )


def is_numbers(array: np.ndarray) -> bool:
    return array.dtype.str[1:] in {np.dtype(name).str[1:] for name in NUMERIC} and not (
        np.ma.is_masked(array)
    )


NOT_ARRAYS: list[Any] = [
    1,
    1.5,
    "a.csv",
    b"abcd",
    [[1.0, 2.0, 3.0]],
    (1, 2),
    {},
    {1.0},
    range(3),
    object(),
    np.float32(1),
    np.str_("a"),
    memoryview(b"abcd"),
    bytearray(12),
    np.ndarray,
    Ellipsis,
    NotImplemented,
    lambda: None,
    (n for n in range(3)),
]
