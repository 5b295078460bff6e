# SPDX-License-Identifier: BSD-3-Clause
"""The same array in every memory layout of NumPy, and comparison by the table of tolerances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conftest import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = ("float32", "float64")


def close(got: Any, expected: Any, dtype: str, kind: str, factor: float = 1.0) -> None:
    """Assert equality within `factor` times the tolerance, relative to the largest expected."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    scale = max(float(np.max(np.abs(expected), initial=0.0)), 1e-30)
    worst = float(np.max(np.abs(got - expected), initial=0.0)) / scale
    assert worst <= factor * TOLERANCE[dtype, kind]


def draws(rng: np.random.Generator, shape: Any, dtype: str) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def read_only(a: np.ndarray) -> np.ndarray:
    a.flags.writeable = False
    return a


def misaligned(a: np.ndarray) -> np.ndarray:
    memory = np.empty(a.nbytes + 1, np.uint8)
    moved = memory[1:].view(a.dtype).reshape(a.shape)
    moved[...] = a
    assert not moved.flags.aligned
    return moved


# Functions that return the same array in another memory layout.
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "F order": np.asfortranarray,
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "every other column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "read-only": lambda a: read_only(a.copy()),
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "misaligned": misaligned,
}
