# SPDX-License-Identifier: BSD-3-Clause
"""SHA-256 of bytes that are being read or written, computed by a second thread beside it."""

from __future__ import annotations

import hashlib
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Digest"]

# From so many bytes on, half a millisecond for a thread is little. hashlib and the calls that read
# and write release the GIL.
WORTH_A_THREAD = 8_000_000


class Digest:
    """A SHA-256 in a ``with`` statement; the result is that of ``hashlib.sha256``.

    Parameters
    ----------
    start : bytes
        What is hashed first.
    size : int
        Number of bytes that will follow.
    """

    def __init__(self, start: bytes, size: int) -> None:
        self._sha256 = hashlib.sha256(start)
        self._pieces: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if size >= WORTH_A_THREAD:
            with suppress(RuntimeError):  # no thread can be started: it works without one
                thread = threading.Thread(target=self._work, daemon=True)
                thread.start()
                self._thread = thread

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._sha256.update(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
            self._thread = None

    def update(self, piece: memoryview) -> None:
        """Append bytes, which must not change until the end of the ``with`` statement."""
        if self._thread is None:
            self._sha256.update(piece)
        else:
            self._pieces.put(piece)

    def hexdigest(self) -> str:
        """Return the result, to which nothing can be appended any more."""
        self.__exit__(None, None, None)
        return self._sha256.hexdigest()
