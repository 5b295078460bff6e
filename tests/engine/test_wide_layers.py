# SPDX-License-Identifier: BSD-3-Clause
"""Layers whose W exceeds a core's L2: the gradient of W reads x^T, with the bits of the product.

The product alone, `fastnn.functional.linear_backward`, gives the expected bits: it reads x.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import functional as F
from fastnn import nn, optim

INPUTS, OUTPUTS = 523, 300
# Of the batches that a model is given in turn: with few rows x is read as it is.
ROWS = (300, 9, 8, 97, 1, 128)


def numbers(rows: int, columns: int, dtype: str) -> Any:
    return np.random.default_rng(rows * columns).standard_normal((rows, columns)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_gradient_of_a_first_layer(threads: int, dtype: str) -> None:
    model = nn.Sequential(nn.Linear(INPUTS, OUTPUTS), dtype=dtype, seed=1)
    w = model.state_dict()["0.weight"].T
    for rows in ROWS:
        x, dy = numbers(rows, INPUTS, dtype), numbers(rows, OUTPUTS, dtype)
        model.forward(x, n_threads=threads)
        model.backward(dy, n_threads=threads)
        _, dw, _ = F.linear_backward(dy, x, w, need_dx=False)
        np.testing.assert_array_equal(model.gradients()["0.weight"], dw.T)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("frozen", [False, True])
def test_the_gradient_of_a_layer_inside(frozen: bool, dtype: str) -> None:
    """Its x are the outputs of the layer before it, whose W may be frozen."""
    model = nn.Sequential(
        nn.Linear(20, INPUTS), nn.Tanh(), nn.Linear(INPUTS, 2 * OUTPUTS), dtype=dtype, seed=1
    )
    if frozen:
        model[0].freeze()
    body = nn.Sequential(nn.Linear(20, INPUTS), nn.Tanh(), dtype=dtype)
    body.load_state_dict({k: v for k, v in model.state_dict().items() if k.startswith("0.")})
    w = model.state_dict()["2.weight"].T
    for rows in ROWS:
        x, dy = numbers(rows, 20, dtype), numbers(rows, 2 * OUTPUTS, dtype)
        model.forward(x, n_threads=2)
        model.backward(dy, n_threads=2)
        _, dw, _ = F.linear_backward(dy, body.forward(x), w, need_dx=False)
        np.testing.assert_array_equal(model.gradients()["2.weight"], dw.T)


def test_gradients_of_more_rows_than_between_two_looks() -> None:
    """Within a tile, a thread looks every 2^26 operations whether to stop, and goes on."""
    rows, outputs = 1400, 2 * OUTPUTS
    model = nn.Sequential(nn.Linear(INPUTS, outputs), seed=1)
    x, dy = numbers(rows, INPUTS, "float32"), numbers(rows, outputs, "float32")
    model.forward(x)
    model.backward(dy)
    _, dw, _ = F.linear_backward(dy, x, model.state_dict()["0.weight"].T, need_dx=False)
    np.testing.assert_array_equal(model.gradients()["0.weight"], dw.T)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_that_are_summed_by_halves_of_the_rows(threads: int) -> None:
    """Long batches of rows that outweigh W: each half reads its columns of x^T."""
    model = nn.Sequential(nn.Linear(INPUTS, OUTPUTS), seed=1)
    w = model.state_dict()["0.weight"].T
    x, dy = numbers(401, INPUTS, "float32"), numbers(401, OUTPUTS, "float32")
    model.forward(x, n_threads=threads)
    model.backward(dy, n_threads=threads)
    halves = [
        F.linear_backward(dy[rows], x[rows], w, need_dx=False)[1]
        for rows in (slice(200), slice(200, None))
    ]
    np.testing.assert_array_equal(model.gradients()["0.weight"], (halves[0] + halves[1]).T)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("max_grad_norm", [None, 0.1])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_fits_have_the_bits_of_one_thread(
    accumulate: int, max_grad_norm: float | None, dtype: str
) -> None:
    """Batches of 128, 128 and 8 rows: the last one is of few rows."""
    x, y = numbers(264, INPUTS, dtype), np.arange(264) % 3

    def fitted(threads: int) -> Any:
        model = nn.Sequential(
            nn.Linear(INPUTS, OUTPUTS), nn.ReLU(), nn.Linear(OUTPUTS, 3), dtype=dtype, seed=1
        )
        model.compile(
            optim.Adam(lr=0.01), "cross_entropy", max_grad_norm=max_grad_norm, accumulate=accumulate
        )
        model.fit(x, y, epochs=2, batch_size=128, n_threads=threads, verbose=0)
        return model.state_dict()

    alone = fitted(1)
    for threads in (2, 3, 8):
        for one, other in zip(alone.values(), fitted(threads).values(), strict=True):
            np.testing.assert_array_equal(np.array(one), np.array(other))
