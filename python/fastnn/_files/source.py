# SPDX-License-Identifier: BSD-3-Clause
"""A file that is read: opened once, its size known, every read within it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastnn.errors import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Source", "opened"]


class Source:
    """An open file, and the words for what is wrong in it."""

    def __init__(self, where: str, path: str, handle: int, size: int) -> None:
        self.where, self.path, self.size = where, path, size
        self._handle = handle

    def wrong(self, what: str) -> ModelFileError:
        """Return the error that says `what` is wrong in this file."""
        return ModelFileError(f"[{self.where}] {self.path}: {what}")

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes."""
        if not 0 <= length <= self.size - offset:
            raise self._too_short(offset + length)
        data = os.pread(self._handle, length, offset)
        if len(data) < length:  # a read of more than 2 GB, or the file has become shorter
            into = bytearray(length)
            self.fill(offset, into)
            return bytes(into)
        return data

    def fill(self, offset: int, into: Any) -> None:
        """Read as many bytes as `into` has."""
        view = memoryview(into)
        if len(view) > self.size - offset:
            raise self._too_short(offset + len(view))
        done = 0
        while done < len(view):
            count = os.preadv(self._handle, [view[done:]], offset + done)
            if count == 0:
                raise self.wrong("the file became shorter while it was read")
            done += count

    def _too_short(self, end: int) -> ModelFileError:
        return self.wrong(f"the file is truncated: it has {self.size} bytes, expected {end}")


@contextmanager
def opened(where: str, path: str) -> Iterator[Source]:
    """Open a file for reading."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            if stat.S_ISDIR(found.st_mode):
                raise OSError(errno.EISDIR, "this is a directory; expected a model file")
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "this is a device or a pipe; expected a model file")
            yield Source(where, path, handle, found.st_size)
        finally:
            os.close(handle)
    except OSError as error:
        raise OSError(error.errno, f"[{where}] {error.strerror}", path) from error
