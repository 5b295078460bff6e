# SPDX-License-Identifier: BSD-3-Clause
"""SciPy's sparse matrices as the rows of X.

SciPy is never imported here: as long as nobody has, there is no sparse matrix.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from . import _core
from ._refusals import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_csr", "is_sparse", "stacked"]


def is_sparse(value: object) -> bool:
    """Whether `value` is a sparse matrix or array of SciPy, of any format."""
    scipy_sparse = sys.modules.get("scipy.sparse")
    return scipy_sparse is not None and bool(scipy_sparse.issparse(value))


def as_csr(where: str, what: str, value: Any) -> Any:
    """Return a sparse matrix as the core reads it: CSR, each row by increasing columns.

    A matrix of that kind is returned as it is. All others are converted without ever being dense;
    cells that are stored several times are added, as SciPy does.
    """
    if value.format == "csr" and _core.has_sorted_rows(where, what, value):
        return value
    _check_places(what, value)
    try:
        rows = value.copy() if value.format == "csr" else value.tocsr()
    except ValueError as error:
        raise refused("sparse", what, came=str(error)) from None
    if not _core.has_sorted_rows(where, what, rows):
        rows.has_sorted_indices = rows.has_canonical_format = False
        rows.sum_duplicates()
    return rows


def stacked(parts: Sequence[Any]) -> Any:
    """Return rows of sparse matrices, and of arrays among them, one below the other, as CSR."""
    scipy_sparse = sys.modules["scipy.sparse"]
    return scipy_sparse.vstack([scipy_sparse.csr_array(part) for part in parts], format="csr")


def _check_places(what: str, value: Any) -> None:
    """Refuse places outside of the matrix, where SciPy's conversions would read and write."""
    if value.format == "csr":
        _check_starts(what, value, value.shape[0])
        places, sizes = [value.indices], [value.shape[1]]
    elif value.format == "csc":
        _check_starts(what, value, value.shape[1])
        places, sizes = [value.indices], [value.shape[0]]
    elif value.format == "bsr":
        height, width = value.blocksize
        _check_starts(what, value, value.shape[0] // height)
        places, sizes = [value.indices], [value.shape[1] // width]
    elif value.format == "coo":
        if value.ndim > 2:
            raise refused("sparse", what, came=f"it has {value.ndim} dimensions")
        places, sizes = value.coords, value.shape
    else:
        return
    for numbers, size in zip(places, sizes, strict=True):
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= size):
            worst = numbers.min() if numbers.min() < 0 else numbers.max()
            came = f"it has a cell at {worst} of {size} rows or columns"
            raise refused("sparse", what, came=came)


def _check_starts(what: str, value: Any, count: int) -> None:
    """Refuse rows, columns or rows of blocks that are not stored one after another."""
    starts, stored = value.indptr, min(len(value.indices), len(value.data))
    if len(starts) != count + 1 or starts[0] != 0 or starts[-1] > stored:
        came = f"indptr does not divide {stored} stored cells or blocks into {count} parts"
        raise refused("sparse", what, came=came)
    if (starts[1:] < starts[:-1]).any():
        raise refused("sparse", what, came="indptr decreases")
