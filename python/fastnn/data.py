# SPDX-License-Identifier: BSD-3-Clause
"""Batches for loops of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, _validate

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["batches"]


def batches(
    x: Any,
    y: Any = None,
    batch_size: int = 32,
    shuffle: bool = False,
    seed: int = 0,
    *,
    epoch: int = 0,
) -> Iterator[Any]:
    """Go through the rows once, batch by batch.

    Parameters
    ----------
    x : array_like of shape (n, ...)
    y : array_like of shape (n, ...), optional
    batch_size : int, default 32
        The last batch may be smaller.
    shuffle : bool, default False
        Draw the order from `seed` and `epoch`: the one in which ``fit(shuffle=True)`` of a model
        with that seed goes through its epoch of that number.
    seed, epoch : int, default 0

    Yields
    ------
    ndarray or pair of ndarray
        ``(x_batch, y_batch)``, or ``x_batch`` alone if there is no y. Views unless shuffled.

    Examples
    --------
    >>> import numpy as np
    >>> [len(xb) for xb in batches(np.zeros((70, 2)), batch_size=32)]
    [32, 32, 6]
    """
    # Checked at the call, not at the first batch.
    xs = _validate.as_array("batches", "x", x)
    ys = None if y is None else _validate.as_array("batches", "y", y)
    if xs.ndim == 0 or (ys is not None and ys.ndim == 0):
        raise ValueError("[batches] got a number; expected arrays with rows")
    if ys is not None:
        _validate.same_rows("batches", len(xs), "y", ys)
    size = _validate.integer("batches", "batch_size", batch_size)
    key = _validate.integer("batches", "seed", seed, 0, 2**64 - 1)
    number = _validate.integer("batches", "epoch", epoch, 0)
    return _batches(xs, ys, size, _core.permutation(len(xs), key, number) if shuffle else None)


def _batches(x: Any, y: Any, size: int, order: Any) -> Iterator[Any]:
    for first in range(0, len(x), size):
        rows = slice(first, first + size) if order is None else order[first : first + size]
        yield x[rows] if y is None else (x[rows], y[rows])
