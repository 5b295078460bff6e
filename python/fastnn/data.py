# SPDX-License-Identifier: BSD-3-Clause
"""Batches of rows for one's own training loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, _sparse, _validate
from ._refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Batches", "batches"]


class Batches:
    """The result of `batches`: every loop over it is one pass over the rows.

    With shuffle each pass has another order: the first pass that of `epoch`, the next that of
    ``epoch + 1``, and so on, as in ``fit``. ``len()`` is the number of batches.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import data
    >>> rows = data.batches(np.arange(5), np.arange(5) ** 2, batch_size=2)
    >>> len(rows), [(x.tolist(), y.tolist()) for x, y in rows]
    (3, [([0, 1], [0, 1]), ([2, 3], [4, 9]), ([4], [16])])
    """

    def __init__(self, x: Any, y: Any, size: int, seed: int | None, epoch: int, rows: int) -> None:
        self._x, self._y, self._size, self._seed = x, y, size, seed
        self._epoch, self._rows = epoch, rows  # of the next pass; of each pass

    def __len__(self) -> int:
        whole, rest = divmod(self._rows, self._size)
        return whole + (rest > 0)

    def __iter__(self) -> Iterator[Any]:
        epoch, self._epoch = self._epoch, self._epoch + 1
        order = (
            None if self._seed is None else _core.permutation(self._x.shape[0], self._seed, epoch)
        )
        return self._pass(order)

    def _pass(self, order: Any) -> Iterator[Any]:
        for first in range(0, self._rows, self._size):
            rows = slice(first, min(first + self._size, self._rows))
            chosen = rows if order is None else order[rows]
            yield self._x[chosen] if self._y is None else (self._x[chosen], self._y[chosen])

    def __repr__(self) -> str:
        return f"<Batches: {len(self)} of up to {self._size} rows>"


def batches(
    x: Any,
    y: Any = None,
    batch_size: int = 32,
    shuffle: bool = False,
    seed: int = 0,
    *,
    epoch: int = 0,
    drop_last: bool = False,
) -> Batches:
    """Split rows into batches; each loop over the result is one pass over the rows.

    Parameters
    ----------
    x : array_like of shape (n, ...), or sparse matrix of SciPy
    y : array_like of shape (n, ...), optional
    batch_size : int, default 32
    shuffle : bool, default False
        Whether to shuffle the rows. The order depends on `seed` and `epoch` and is the one in which
        ``fit(shuffle=True)`` of a model with that seed takes the rows in that epoch. A further loop
        over the same object has the order of the next epoch; a new call begins again with `epoch`.
    seed : int, default 0
        From 0 to 2**64 - 1.
    epoch : int, default 0
        Number of the first epoch.
    drop_last : bool, default False
        Whether to leave out a last batch with fewer rows.

    Returns
    -------
    Batches
        An iterable of ``(x_batch, y_batch)``, or of ``x_batch`` alone if there is no y. The batches
        are views of the rows, or copies if they are shuffled.

    Examples
    --------
    >>> import numpy as np
    >>> rows = batches(np.arange(70), batch_size=32, shuffle=True)
    >>> [len(xb) for xb in rows]
    [32, 32, 6]
    >>> first, second = (np.concatenate(list(rows)) for _ in range(2))
    >>> bool((first == second).all()), bool((np.sort(first) == np.sort(second)).all())
    (False, True)
    """
    # The arguments are checked here, not when the first batch is taken.
    xs = _sparse.as_csr("batches", "x", x) if _sparse.is_sparse(x) else None
    if xs is None:
        xs = _validate.numbers("batches", "x", x)
    ys = None if y is None else _validate.numbers("batches", "y", y)
    if xs.ndim == 0 or (ys is not None and ys.ndim == 0):
        raise ValueError("[batches] got a number; expected arrays with rows")
    rows = xs.shape[0]
    if ys is not None and len(ys) != rows:
        raise refused("rows", "y", shape=ys.shape, rows=rows, of="X").worded("batches")
    size = _validate.integer("batches", "batch_size", batch_size)
    key = _validate.seed("batches", seed)
    number = _validate.integer("batches", "epoch", epoch, 0)
    shuffled = _validate.flag("batches", "shuffle", shuffle)
    if _validate.flag("batches", "drop_last", drop_last):
        rows -= rows % size
    return Batches(xs, ys, size, key if shuffled else None, number, rows)
