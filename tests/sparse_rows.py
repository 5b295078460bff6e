# SPDX-License-Identifier: BSD-3-Clause
"""Rows as sparse matrices of SciPy, and a model for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

sparse = pytest.importorskip("scipy.sparse")

N, COLUMNS = 60, 23
RNG = np.random.default_rng(5)


def thinned(share: float) -> Any:
    rows = np.where(RNG.random((N, COLUMNS)) < share, RNG.standard_normal((N, COLUMNS)) * 4, 0)
    rows[7] = rows[11] = rows[-1] = 0  # empty rows
    return rows


# With so few cells the first layer costs by them; with so many the core makes batches dense.
DENSE, FULLER = thinned(0.07), thinned(0.4)
Y = RNG.integers(0, 3, N)
WEIGHTS = RNG.uniform(0.2, 2, N)
FORMATS = ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"]


def sparse_of(dense: Any, kind: str = "csr", wide: bool = False) -> Any:
    """Return a csr_array with indices of int32 or int64, or another format."""
    rows = sparse.csr_array(dense)
    if wide:
        rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    return rows.asformat(kind)


def made(dtype: str = "float64", *, first: tuple[Any, ...] = (), **settings: Any) -> nn.Sequential:
    model = nn.Sequential(
        *first, nn.Linear(COLUMNS, 9), nn.ReLU(), nn.Linear(9, 3), dtype=dtype, seed=4
    )
    model.compile(optim.Adam(lr=0.01), "cross_entropy", metrics=["accuracy"], **settings)
    return model


def values(model: nn.Sequential) -> list[Any]:
    return [np.array(value) for value in model.state_dict().values()]


def same(a: nn.Sequential, b: nn.Sequential) -> None:
    for one, other in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(one, other)


FIRST: dict[str, Callable[[], tuple[Any, ...]]] = {
    "flatten": lambda: (nn.Flatten(),),
    "scale": lambda: (nn.Rescale(0.5),),
    "scale and shift": lambda: (nn.Rescale(0.5, np.linspace(-1, 1, COLUMNS)),),
    "standardize": lambda: (nn.Standardize(),),
    "dropout": lambda: (nn.Dropout(0.3),),
    "batch norm": lambda: (nn.BatchNorm1d(COLUMNS),),
    "residual": lambda: (nn.Residual(nn.Linear(COLUMNS, COLUMNS)),),
}
