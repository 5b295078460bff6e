# SPDX-License-Identifier: BSD-3-Clause
"""The parts that fit_stream is given: pulled one after another, and checked as the rows of fit.

No module but the caller's holds a part longer than it is trained on, so that data may be larger
than the memory.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fastnn import _validate
from fastnn._hints import shown
from fastnn._refusals import Refused

from ._rows import check_statistics, steps_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._arguments import Call
    from ._layer import Layer
    from ._rows import Rows

__all__ = ["Parts"]

_NAMES = ("X", "y", "sample_weight")
_EXPECTED = "an iterable of parts (X, y) or (X, y, sample_weight), or a function that returns one"


class Parts:
    """The argument `parts` of a call of fit_stream.

    Parameters
    ----------
    call : Call
    parts : iterable or callable
    settings : mapping
        All settings of the core's row "fit".
    rows : int or None
        The number of rows of an epoch, where the caller knows it.
    prefetch : int
        How many parts are made ahead, by a thread.
    layers : tuple of Layer
        Those of the model, which may need several rows.

    Attributes
    ----------
    n : int or None
        The number of rows of an epoch, where it is known before.
    seen : int
        The number of rows of the present epoch so far.
    """

    def __init__(
        self,
        call: Call,
        parts: Any,
        settings: Mapping[str, Any],
        rows: Any,
        prefetch: Any,
        layers: tuple[Layer, ...],
    ) -> None:
        where = call.where
        self._call, self._given, self._settings = call, parts, settings
        self._layers = layers
        check_statistics(where, layers, settings["batch_size"], 2)
        self._prefetch = _validate.integer(where, "prefetch", prefetch, 0)
        self._expect_parts(settings["epochs"] - settings["initial_epoch"])
        self.n = _rows_of(parts) if rows is None else _validate.integer(where, "rows", rows)
        if self.n is not None:
            steps_of(where, self.n, settings)
        self.seen = 0
        self._before: Any = None  # what the function returned in the epoch before
        self._like: list[tuple[Any, ...] | None] | None = None  # of the first part

    def _expect_parts(self, epochs: int) -> None:
        """Refuse what cannot be gone through, or not in so many epochs."""
        where, parts = self._call.where, self._given
        if isinstance(parts, Iterator):
            if epochs > 1:
                raise ValueError(
                    f"[{where}] parts is {shown(parts)}, which can be gone through once, for "
                    f"{epochs} epochs; expected a list, or a function that returns the parts anew"
                )
            return
        if hasattr(type(parts), "__iter__"):
            return
        if not callable(parts):
            raise TypeError(f"[{where}] parts is {shown(parts)}; expected {_EXPECTED}")
        try:
            inspect.signature(parts).bind()
        except TypeError as error:
            raise TypeError(
                f"[{where}] parts is {shown(parts)}, which cannot be called without arguments: "
                f"{error}; expected {_EXPECTED}"
            ) from None
        except ValueError:  # a built-in function without a signature
            pass

    def of_epoch(self, epoch: int) -> Iterator[tuple[int, Rows]]:
        """Yield number and rows of the parts of an epoch that have rows."""
        self.seen = 0
        items = self._opened(epoch)
        ahead = _Ahead(items, self._prefetch) if self._prefetch else None
        try:
            number = 0
            for given in items if ahead is None else ahead:
                rows = self._checked(f"part {number} of epoch {epoch}", given)
                del given  # not held while the next part is made
                if rows.n > 0:
                    yield number, rows
                del rows
                number += 1  # noqa: SIM113 - enumerate holds an item while the next one is made
        finally:
            if ahead is not None:
                ahead.close()
        self._ended(epoch)

    def _opened(self, epoch: int) -> Iterator[Any]:
        where, made = self._call.where, self._given
        if isinstance(made, Iterator):
            return made
        if not hasattr(type(made), "__iter__"):
            made = self._given()
            if not hasattr(type(made), "__iter__"):
                raise TypeError(
                    f"[{where}] the function parts returned {shown(made)}; expected an iterable of "
                    "parts (X, y) or (X, y, sample_weight)"
                )
            if isinstance(made, Iterator) and made is self._before:
                raise ValueError(
                    f"[{where}] the function parts returned the same {type(made).__name__} in "
                    f"epoch {epoch} as before; expected a new one, as it can be gone through once"
                )
            self._before = made
        try:
            return iter(made)
        except TypeError as error:  # an array without dimensions
            raise TypeError(
                f"[{where}] parts is {shown(made)}, which cannot be gone through: {error}; "
                f"expected {_EXPECTED}"
            ) from error

    def _checked(self, name: str, given: Any) -> Rows:
        """Return a part as arrays, which have been checked but for their numbers."""
        call = self._call
        with _validate.headed(call.where, name):
            if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
                hint = "; a list of one part is [(X, y)]" if type(self._given) is tuple else ""
                raise TypeError(
                    f"it is {shown(given)}; expected (X, y) or (X, y, sample_weight){hint}"
                )
            try:
                rows = call.rows(given[0], given[1], given[2] if len(given) == 3 else None)
                call.check(rows, part=True)
            except Refused as refusal:
                raise refusal.worded(call.where, call.given) from None
            finally:
                for argument in _NAMES:
                    call.given.pop(argument, None)
            self._compare(rows)
            self.seen += rows.n
            if self.n is not None and self.seen > self.n:
                raise ValueError(f"the parts have at least {self.seen} rows; expected {self.n}")
        return rows

    def _compare(self, rows: Rows) -> None:
        """Refuse a part whose arrays are of another kind than those of the first one."""
        kinds = [None if each is None else (each.dtype, each.shape[1:]) for each in rows]
        if self._like is None:
            self._like = kinds
        for name, kind, first in zip(_NAMES, kinds, self._like, strict=True):
            if kind == first:
                continue
            if kind is None or first is None:
                came, before = ("is missing", "has it") if kind is None else ("came", "has none")
                raise ValueError(f"{name} {came}; the first part {before}")
            came, before = (f"{each[0]} and rows of shape {each[1]}" for each in (kind, first))
            raise ValueError(f"{name} has {came}; expected {before}, as in the first part")

    def _ended(self, epoch: int) -> None:
        """Refuse an epoch that has too few rows; none of them has been trained on."""
        where, n = self._call.where, self.seen
        if n == 0:
            raise ValueError(
                f"[{where}] the parts of epoch {epoch} have no rows; expected at least one"
            )
        if self.n is not None and n != self.n:
            raise ValueError(
                f"[{where}] the parts of epoch {epoch} have {n} rows; expected {self.n}"
            )
        steps_of(where, n, self._settings)
        check_statistics(where, self._layers, self._settings["batch_size"], n)


def _rows_of(parts: Any) -> int | None:
    """Return the number of rows of parts that are all in memory."""
    if not isinstance(parts, (list, tuple)):
        return None
    try:  # sparse matrices have no len()
        xs = [part[0] for part in parts]
        return sum(x.shape[0] if hasattr(x, "shape") else len(x) for x in xs) or None
    except (TypeError, IndexError, KeyError):  # such parts are refused when it is their turn
        return None


class _Ahead:
    """An iterator whose items are made by a thread, up to `count` of them ahead."""

    _END = object()

    def __init__(self, items: Iterator[Any], count: int) -> None:
        from concurrent.futures import ThreadPoolExecutor  # imported only when it is needed

        self._items = items
        self._pool = ThreadPoolExecutor(1, "fastnn-prefetch")
        self._futures = deque(self._next() for _ in range(count))

    def _next(self) -> Any:
        return self._pool.submit(next, self._items, self._END)

    def __iter__(self) -> _Ahead:
        return self

    def __next__(self) -> Any:
        item = self._futures.popleft().result()
        if item is self._END:
            raise StopIteration
        self._futures.append(self._next())
        return item

    def close(self) -> None:
        """End the thread, after the item that it makes."""
        self._futures.clear()
        self._pool.shutdown(cancel_futures=True)
