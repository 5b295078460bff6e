# SPDX-License-Identifier: BSD-3-Clause
"""Derivatives by central differences in float64, and the comparison of gradients with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conftest import TOLERANCE
from fastnn import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from members import Layers

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


# -- whole networks --------------------------------------------------------------------------------


def network(layers: Layers, loss: str = "mse", **options: Any) -> Any:
    made = _core.Network(layers, "float64", 3)
    made.compile(loss, options, "sgd", {})
    return made


def draw_again(made: Any) -> None:
    """Let the next training pass draw the dropout masks of the first one since the last update."""
    made.set_progress(made.step)


def check_network(made: Any, x: Any, y: Any, w: Any = None, training: bool = True) -> None:
    """Compare the gradient of every parameter, for the loss of one batch."""

    def loss() -> float:
        draw_again(made)
        return made.loss_and_grad(x, y, w, training=training)

    expected = [differences(loss, p["array"]) for p in made.parameters() if p["trainable"]]
    loss()
    largest = max(np.abs(slopes).max() for slopes in expected)
    for gradient, slopes in zip(made.gradients(), expected, strict=True):
        assert_slopes(gradient["array"], slopes, largest)


def check_dx(made: Any, x: Any, training: bool = True) -> None:
    """Compare the gradients of the input and of every parameter, from forward and backward."""
    dy = np.random.default_rng(1).standard_normal((len(x), made.n_outputs))

    def projected() -> float:
        draw_again(made)
        return float(np.sum(dy * made.forward(x, training)))

    expected_dx = differences(projected, x)
    expected = [differences(projected, p["array"]) for p in made.parameters() if p["trainable"]]
    projected()
    dx = made.backward(dy, need_dx=True)
    assert_slopes(dx.reshape(x.shape), expected_dx)
    largest = max(np.abs(slopes).max() for slopes in expected)
    for gradient, slopes in zip(made.gradients(), expected, strict=True):
        assert_slopes(gradient["array"], slopes, largest)
