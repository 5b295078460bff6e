# SPDX-License-Identifier: BSD-3-Clause
"""Arrays next to guard pages: an access beyond their first or last byte ends the process."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)


def between_guard_pages(size: int) -> tuple[memoryview, int]:
    """Map pages for `size` bytes between two inaccessible pages; return them and their size."""
    inner = max(1, -(-size // PAGE)) * PAGE
    memory = mmap.mmap(-1, inner + 2 * PAGE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for at in (first, first + PAGE + inner):
        if LIBC.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(PAGE), 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    return memoryview(memory)[PAGE : PAGE + inner], inner


def at_the_end(a: np.ndarray) -> np.ndarray:
    """Return a copy whose last byte is the last one before a guard page."""
    memory, size = between_guard_pages(a.nbytes)
    moved: np.ndarray = np.ndarray(a.shape, a.dtype, buffer=memory[size - a.nbytes :])
    moved[...] = a
    return moved


def at_the_start(a: np.ndarray) -> np.ndarray:
    """Return a copy whose first byte is the first one after a guard page."""
    memory, _ = between_guard_pages(a.nbytes)
    moved: np.ndarray = np.ndarray(a.shape, a.dtype, buffer=memory)
    moved[...] = a
    return moved
