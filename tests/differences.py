# SPDX-License-Identifier: BSD-3-Clause
"""Derivatives by central differences in float64, and the comparison of gradients with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from conftest import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = TOLERANCE["float64", "differences"]


def differences(f: Callable[[], float], x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """Return df/dx by central differences; f reads x, which is changed in place."""
    slopes = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        middle = x[index]
        x[index] = middle + eps
        above = f()
        x[index] = middle - eps
        below = f()
        x[index] = middle
        slopes[index] = (above - below) / (2 * eps)
    return slopes


def assert_slopes(got: np.ndarray, slopes: np.ndarray, largest: float | None = None) -> None:
    """Assert equality relative to the largest slope, or to `largest` if it is given."""
    scale = np.abs(slopes).max() if largest is None else largest
    np.testing.assert_allclose(got, slopes, rtol=0, atol=LIMIT * scale)
