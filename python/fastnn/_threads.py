# SPDX-License-Identifier: BSD-3-Clause
"""A limit for the number of threads that holds inside a `with` block."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import _core, _validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = ["threads"]


def threads(n: int) -> AbstractContextManager[None]:
    """Limit the number of threads inside a ``with`` block.

    The limit is for calls that are not told a number, by themselves or by their model: with
    ``n_threads=None`` they use at most `n` threads, and at most as many as the other limits allow
    (docs/threads.md). It holds on the thread that entered the block, and no other; of nested blocks
    the innermost counts. Results do not depend on it.

    Parameters
    ----------
    n : int
        From 1 to 256.

    Returns
    -------
    context manager

    Raises
    ------
    ValueError, TypeError
        If `n` is not such an integer.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> model = fastnn.nn.Sequential(fastnn.nn.Linear(4, 2))
    >>> with fastnn.threads(1):
    ...     y = model.predict(np.ones((3, 4)))
    ...     fastnn.build_info()["threads"]
    1
    """
    return _limited(_validate.integer("threads", "n", n, 1, _core.max_threads))


@contextmanager
def _limited(n: int) -> Iterator[None]:
    before = _core.limit_this_thread(n)
    try:
        yield
    finally:
        _core.limit_this_thread(before)
