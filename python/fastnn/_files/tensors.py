# SPDX-License-Identifier: BSD-3-Clause
"""The arrays of a file: names, dtypes, order, and their bytes in pieces."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from .digest import Digest
    from .source import Source

__all__ = [
    "DTYPES",
    "Entry",
    "described",
    "entry",
    "name_error",
    "ordered",
    "pieces",
    "table",
    "values",
]

# The names of safetensors, and NumPy's.
DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}

PIECE = 1 << 20  # bytes that are written, or read, and hashed while they are in cache
MAX_NAME, MAX_DIMENSIONS, MAX_BYTES = 1000, 32, 1 << 62


class Entry(NamedTuple):
    """Where in a file an array is, and what it is."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


def name_error(name: str) -> str | None:
    """Return what is wrong with the name of an array, or None."""
    if not 0 < len(name) <= MAX_NAME:
        return f"the name of an array has {len(name)} characters; expected 1 to {MAX_NAME}"
    if not name.isprintable() or "/" in name or "\\" in name:
        return f"the name {name[:80]!a} of an array has a slash, or a character that is not printed"
    return None


def entry(name: str, dtype: Any, shape: Any, offset: int) -> Entry:
    """Return the entry of an array as a file describes it; ValueError if that cannot be."""
    wrong = name_error(name)
    if wrong is not None:
        raise ValueError(wrong)
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"'{name}' has the dtype {dtype!a:.60}; expected {', '.join(DTYPES)}")
    sizes = isinstance(shape, list | tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not sizes or len(shape) > MAX_DIMENSIONS:
        raise ValueError(
            f"'{name}' has the shape {shape!a:.60}; expected up to {MAX_DIMENSIONS} sizes"
        )
    # An array without elements may have one size of zero and others that overflow.
    if math.prod(n or 1 for n in shape) > MAX_BYTES // DTYPES[dtype].itemsize:
        raise ValueError(f"'{name}' has the shape {shape!a:.60}, which no memory can hold")
    return Entry(dtype, tuple(shape), offset)


def described(where: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Entry]:
    """Return the entries of arrays that are to be written, in their order, from offset 0 on."""
    found, offset = {}, 0
    for name in ordered({name: array.dtype.itemsize for name, array in arrays.items()}):
        array = arrays[name]
        wrong = name_error(name)
        if wrong is not None:
            raise ValueError(f"[{where}] {wrong}")
        dtype = _NAMES.get(array.dtype.newbyteorder("<"))
        if dtype is None:
            raise TypeError(f"[{where}] '{name}' has the dtype {array.dtype}; expected numbers")
        found[name] = Entry(dtype, array.shape, offset)
        offset += array.nbytes
    return found


def ordered(sizes: Mapping[str, int]) -> list[str]:
    """Return names in the order of files: by the size of an element, descending, then by name.

    Then every array is aligned to its elements, whatever stands before it.
    """
    return sorted(sizes, key=lambda name: (-sizes[name], name))


def pieces(array: NDArray[Any]) -> Iterator[memoryview]:
    """Yield the bytes of an array in C order, little-endian, without copying it as a whole."""
    array = np.atleast_1d(array)
    if array.size == 0:
        return
    rows = max(1, PIECE * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        part = np.ascontiguousarray(part, part.dtype.newbyteorder("<"))
        yield from _cut(_bytes(part))


def _bytes(array: NDArray[Any]) -> memoryview:
    """Return the bytes of a contiguous array."""
    return memoryview(array.reshape(-1).view(np.uint8).data)


def _cut(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), PIECE):
        yield view[start : start + PIECE]


def values(
    source: Source, entries: Mapping[str, Entry], digest: Digest | None = None
) -> dict[str, NDArray[Any]]:
    """Read all arrays in their order, and add their bytes to the digest, if there is one."""
    found = {}
    sizes = {name: DTYPES[entry.dtype].itemsize for name, entry in entries.items()}
    for name in ordered(sizes):
        dtype, shape, offset = entries[name]
        array = np.empty(shape, DTYPES[dtype])
        for piece in _cut(_bytes(array)):
            source.fill(offset, piece)
            if digest is not None:
                digest.update(piece)
            offset += len(piece)
        if dtype == "BOOL" and array.size and array.view(np.uint8).max() > 1:
            raise source.wrong(f"'{name}' has bytes that are neither true nor false")
        found[name] = array
    return found


def table(entries: Mapping[str, Entry]) -> list[list[Any]]:
    """Return names, dtypes and shapes for the digest."""
    sizes = {name: DTYPES[entry.dtype].itemsize for name, entry in entries.items()}
    return [[name, entries[name].dtype, list(entries[name].shape)] for name in ordered(sizes)]
