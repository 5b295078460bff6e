# SPDX-License-Identifier: BSD-3-Clause
"""The rows of one call: X, dense or sparse, with targets and weights, and the parts of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from fastnn._refusals import Words
from fastnn._sparse import as_csr

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Rows", "blocks", "readable"]

# Rows of a block in passes over all rows. Sparse rows become dense in the core only if more than a
# tenth of their cells are stored, and then a block has at most so many numbers.
_BLOCK = 8192
_DENSE_NUMBERS = 2**22


def readable(where: str, x: Any) -> Any:
    """Return X as the core reads it: as it is, or CSR instead of other sparse formats.

    Dtypes that the core does not read become float64.
    """
    if type(x) is not np.ndarray and issparse(x):
        with Words(where, {"X": x}):
            return as_csr(where, "X", x)
    if x.dtype.kind in "biuf" and x.dtype.itemsize <= 8:
        return x
    return x.astype(np.float64)


class Rows(NamedTuple):
    """X (n, n_features), its targets, and the weights of the rows or None."""

    x: Any
    y: Any
    w: Any

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.x.shape[0])

    def taken(self, rows: Any) -> Rows:
        """Return the rows with these numbers, or those of a slice."""
        return Rows(self.x[rows], self.y[rows], None if self.w is None else self.w[rows])

    def in_blocks(self) -> Iterator[Rows]:
        """Return all rows, in blocks."""
        for block in blocks(self.x):
            yield self.taken(block)


def blocks(x: Any) -> Iterator[slice]:
    """Return slices of the rows of X, which take little memory if they become dense."""
    n, size = x.shape[0], _BLOCK
    if issparse(x):
        size = min(size, max(1, _DENSE_NUMBERS * n // (10 * max(1, x.nnz))))
    for first in range(0, n, size):
        yield slice(first, first + size)
