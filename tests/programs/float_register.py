# SPDX-License-Identifier: BSD-3-Clause
"""Reads and sets the floating-point control register of the calling thread, by the C library."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

STICKY = 0x3F  # exceptions that were met
USUAL = 0x1F80
FLUSH_TO_ZERO = 1 << 15
DENORMALS_ARE_ZERO = 1 << 6
UPWARDS = 2 << 13  # rounding
MXCSR = slice(28, 32)  # in glibc's fenv_t

needs_register = pytest.mark.skipif(
    not hasattr(os, "uname") or os.uname().machine != "x86_64" or os.uname().sysname != "Linux",
    reason="reads MXCSR through glibc",
)


def _libm() -> ctypes.CDLL:
    return ctypes.CDLL("libm.so.6")


def read() -> int:
    """Return MXCSR without its sticky flags: rounding, masks, flush-to-zero, denormals-are-zero."""
    memory = ctypes.create_string_buffer(64)
    _libm().fegetenv(memory)
    return int.from_bytes(memory[MXCSR], "little") & ~STICKY


def write(value: int) -> None:
    memory = ctypes.create_string_buffer(64)
    _libm().fegetenv(memory)
    memory[MXCSR] = value.to_bytes(4, "little")
    _libm().fesetenv(memory)


@contextmanager
def mode(*bits: int) -> Iterator[None]:
    """Set these bits in addition to the usual ones for the calling thread."""
    before = read()
    write(USUAL | sum(bits))
    try:
        yield
    finally:
        write(before)
