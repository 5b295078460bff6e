# SPDX-License-Identifier: BSD-3-Clause
"""The rows of one call: X, dense or sparse, with targets and weights, and the parts of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Rows", "blocks", "readable"]

# Rows of a block in passes over all rows; a block of sparse rows is dense for its time.
_BLOCK = 8192
_LARGEST_SPARSE_BLOCK = 2**22  # numbers


def readable(x: Any) -> Any:
    """Return X as the core or `Rows` read it: as it is, or CSR instead of other sparse formats.

    Dtypes that the core does not read become float64.
    """
    if issparse(x):
        return x.tocsr()
    if x.dtype.kind in "biuf" and x.dtype.itemsize <= 8:
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
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

    @property
    def is_sparse(self) -> bool:
        """Whether X is a sparse array."""
        return bool(issparse(self.x))

    def taken(self, rows: Any) -> Rows:
        """Return the rows with these numbers, or those of a slice; X becomes dense."""
        x = self.x[rows]
        x = x.toarray() if self.is_sparse else x
        return Rows(x, self.y[rows], None if self.w is None else self.w[rows])

    def kept(self, rows: Any) -> Rows:
        """Return the rows with these numbers; X stays sparse."""
        return Rows(self.x[rows], self.y[rows], None if self.w is None else self.w[rows])

    def in_blocks(self) -> Iterator[Rows]:
        """Return all rows, in blocks that are dense."""
        for block in blocks(self.x):
            yield self.taken(block)


def blocks(x: Any) -> Iterator[slice]:
    """Return slices of the rows of X, which are dense in little memory."""
    n, columns = x.shape
    size = min(_BLOCK, max(1, _LARGEST_SPARSE_BLOCK // columns)) if issparse(x) else _BLOCK
    for first in range(0, n, size):
        yield slice(first, first + size)
