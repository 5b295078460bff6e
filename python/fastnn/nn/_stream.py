# SPDX-License-Identifier: BSD-3-Clause
"""What fit_stream trains on: parts of any length, which the core gets as pieces of whole batches.

The rows at the end of a part that do not fill a batch are copied, and joined with the first rows
of the next part, so that the batches are those of the concatenation. The last batch of the rows so
far always waits for the next part, because the core has to know with which batch the epoch ends.
With a batch size of 4, parts of 10 and 7 rows become these pieces::

    part 0    0 0 0 0 0 0 0 0            two batches, read in place
    joined    0 0 1 1                    one batch, copied
    part 1    1 1 1 1 | 1                the last two batches, copied
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from fastnn._refusals import Refused
from fastnn._sparse import is_sparse, stacked

from ._rows import Rows, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fastnn._validate import Array

    from ._arguments import Call
    from ._parts import Parts

__all__ = ["Piece", "Stream", "pieces"]


class Piece(NamedTuple):
    """Rows that the core trains on in one go: whole batches, or the last rows of an epoch."""

    rows: Rows
    places: tuple[tuple[int, int, int], ...]  # of rows of one part: the first, the part, its row
    last: bool


class Stream:
    """The rows of a call of fit_stream, as `Run` and the core use them.

    In its ``with`` block a refusal of a cell becomes the error that the user sees, with the number
    of the part and the row in it.

    Parameters
    ----------
    call : Call
    parts : Parts
    settings : mapping
        All settings of the core's row "fit".
    """

    def __init__(self, call: Call, parts: Parts, settings: Mapping[str, Any]) -> None:
        self._call, self._parts, self._settings = call, parts, settings
        self._pieces: Iterator[Piece] = iter(())
        self._piece: Piece | None = None
        self._epoch = 0

    @property
    def n(self) -> int | None:
        """The number of rows of an epoch, where it is known before."""
        return self._parts.n

    @property
    def y(self) -> Array:
        """The targets of the present piece."""
        assert self._piece is not None
        return self._piece.rows.y

    @property
    def w(self) -> Array | None:
        """The weights of the present piece."""
        assert self._piece is not None
        return self._piece.rows.w

    def steps(self) -> int:
        """Return the number of batches of the epoch that has ended."""
        return steps_of(self._call.where, self._parts.seen, self._settings)

    def for_core(self, *, targets: bool) -> dict[str, Any]:
        """Return the arguments of the core's fit; without `targets`, y is read by a function."""

        def piece(epoch: int, first: bool) -> tuple[Any, ...]:
            now = self._next(epoch, first)
            x, y, w = now.rows
            return x, y if targets else None, w, now.last

        return {"pieces": piece, "rows": self.n or 0}

    def _next(self, epoch: int, first: bool) -> Piece:
        self._piece = None  # its memory may be needed for the next part
        if first:
            self._epoch = epoch
            size, drop_last = self._settings["batch_size"], self._settings["drop_last"]
            self._pieces = pieces(self._parts.of_epoch(epoch), size, drop_last=drop_last)
        self._piece = next(self._pieces)
        return self._piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        piece, self._piece = self._piece, None
        self._pieces = iter(())  # closes the generators, and ends the thread that makes parts ahead
        if isinstance(error, Refused) and piece is not None:
            raise self._located(error, piece) from None

    def _located(self, refusal: Refused, piece: Piece) -> ValueError | TypeError:
        """Return the error for a refusal, of a row of the piece unless it is of another array."""
        where = self._call.where
        if refusal.row < 0 or refusal.argument.startswith("validation "):
            return refusal.worded(where, self._call.given)
        first, number, row = [each for each in piece.places if each[0] <= refusal.row][-1]
        refusal.row += row - first
        error = refusal.worded(where, self._call.given)
        text = str(error).removeprefix(f"[{where}] ")
        return type(error)(f"[{where}] part {number} of epoch {self._epoch}: {text}")


def pieces(
    parts: Iterator[tuple[int, Rows]], size: int, *, drop_last: bool = False
) -> Iterator[Piece]:
    """Cut the rows of the parts, each of which has a number, into pieces for batches of `size`.

    With `drop_last` rows that do not fill a last batch are left out.
    """
    kept = size if drop_last else 1  # so many rows at least belong to the last batch, or are left
    tail = _Tail()
    while (part := next(parts, None)) is not None:
        number, rows = part
        del part
        ready = max(0, (tail.n + rows.n - kept) // size * size)
        begin = joined = 0
        if ready and tail.n:
            joined = min(-(-tail.n // size) * size, ready)
            begin = max(0, joined - tail.n)
            tail.add(number, 0, _at(rows, slice(begin)))
            yield Piece(*tail.taken(joined), last=False)
        end = begin + ready - joined
        if end > begin:
            yield Piece(_at(rows, slice(begin, end)), ((0, number, begin),), last=False)
        # A copy, because the caller may read the next part into the same memory.
        x, y, w = _at(rows, slice(end, None))
        x = x.copy() if is_sparse(x) else np.array(x)
        tail.add(number, end, Rows(x, np.array(y), None if w is None else np.array(w)))
        del rows, x, y, w
    yield Piece(*tail.taken(tail.n - tail.n % size if drop_last else tail.n), last=True)


class _Tail:
    """The rows that wait for those of the next part.

    Attributes
    ----------
    n : int
        Their number.
    """

    def __init__(self) -> None:
        self.n = 0
        self._chunks: deque[tuple[int, int, Rows]] = deque()  # part, first row of it, rows

    def add(self, number: int, first: int, rows: Rows) -> None:
        """Append the rows of part `number` from row `first` on."""
        if rows.n > 0:
            self._chunks.append((number, first, rows))
            self.n += rows.n

    def taken(self, count: int) -> tuple[Rows, tuple[tuple[int, int, int], ...]]:
        """Remove the first rows and return them, and where they are from."""
        found: list[Rows] = []
        places: list[tuple[int, int, int]] = []
        at = 0
        while at < count:
            number, first, rows = self._chunks.popleft()
            n = min(rows.n, count - at)
            if n < rows.n:
                self._chunks.appendleft((number, first + n, _at(rows, slice(n, None))))
            found.append(_at(rows, slice(n)))
            places.append((at, number, first))
            at += n
        self.n -= count
        return _joined(found), tuple(places)


def _at(rows: Rows, which: slice) -> Rows:
    return Rows(rows.x[which], rows.y[which], None if rows.w is None else rows.w[which])


def _joined(chunks: Sequence[Rows]) -> Rows:
    if len(chunks) == 1:
        return chunks[0]
    x, y, w = zip(*chunks, strict=True)
    rows = stacked(x) if any(map(is_sparse, x)) else np.concatenate(x)
    return Rows(rows, np.concatenate(y), None if w[0] is None else np.concatenate(w))
