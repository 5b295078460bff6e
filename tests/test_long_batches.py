# SPDX-License-Identifier: BSD-3-Clause
"""Batches so long that a tile's gradient is summed in pieces, and layers so wide that they take
phases of their own.

A tile stops for a look at the clock after 2^26 operations and goes on adding onto what it has: at
1,820 rows (tiles of wide layers, float32) to 10,922 (other tiles, float64), for a bias at 524,288.
Numbers are small integers, so that every order of a sum gives the same, exact result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core
from guises import DTYPES
from members import Layers, linear
from pairs import Pair

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
# (inputs, outputs, rows): tiles of 96 x 256 bytes, and of wide layers 192 x 384 bytes
LONG = {
    "float32": [(100, 70, 5461 + 300), (100, 70, 2 * 5461 + 1), (600, 256, 1820 + 40)],
    "float64": [(100, 70, 10922 + 300), (600, 256, 3640 + 1)],
}
CASES = [(dtype, *shape) for dtype, shapes in LONG.items() for shape in shapes]


def integers(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> np.ndarray:
    return rng.integers(-2, 3, shape).astype(dtype)


def single(n_in: int, n_out: int, dtype: str, clip: float | None = None) -> Any:
    network = _core.Network([linear(n_in, n_out)], dtype, 1)
    network.compile("mse", {}, "sgd", {"lr": 1.0}, max_grad_norm=clip)
    return network


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(("dtype", "n_in", "n_out", "rows"), CASES)
def test_gradients_of_long_batches(
    rng: np.random.Generator, dtype: str, n_in: int, n_out: int, rows: int, n_threads: int
) -> None:
    x, dy = integers(rng, (rows, n_in), dtype), integers(rng, (rows, n_out), dtype)
    expected = [(x.T @ dy).astype(dtype), dy.sum(axis=0)]
    assert max(np.abs(e).max() for e in expected) < 2**24
    for clip in (None, 1e30):  # updated tile by tile; gradients first
        network = single(n_in, n_out, dtype, clip)
        before = [p["array"].copy() for p in network.parameters()]
        network.train_step_grad(x, dy, n_threads)
        for now, then, gradient in zip(network.parameters(), before, expected, strict=True):
            np.testing.assert_array_equal(now["array"], then - gradient)
    network = single(n_in, n_out, dtype)
    network.forward(x, True, n_threads)
    network.backward(dy, n_threads=n_threads)
    for got, gradient in zip(network.gradients(), expected, strict=True):
        np.testing.assert_array_equal(got["array"], gradient)


@both_dtypes
def test_functions_of_long_batches(rng: np.random.Generator, dtype: str) -> None:
    rows, n_in, n_out = 12_000, 100, 40
    x, dy = integers(rng, (rows, n_in), dtype), integers(rng, (rows, n_out), dtype)
    w = integers(rng, (n_in, n_out), dtype)
    dx, dw, db = _core.linear_backward(dy, x, w)
    np.testing.assert_array_equal(dx, dy @ w.T)
    np.testing.assert_array_equal(dw, x.T @ dy)
    np.testing.assert_array_equal(db, dy.sum(axis=0))


def test_bias_of_a_very_long_batch() -> None:
    """More than 2^19 rows; they take no memory of ours."""
    rows, n_out = 2**19 + 100, 64
    column = 2.0 ** (np.arange(n_out) % 5)  # sums of a power of two are exact
    x = np.broadcast_to(np.float32(1), (rows, 1))
    network = single(1, n_out, "float32")
    before = [p["array"].copy() for p in network.parameters()]
    network.train_step_grad(x, np.broadcast_to(column.astype(np.float32), (rows, n_out)))
    for now, then in zip(network.parameters(), before, strict=True):
        gradient = (rows * column).astype(np.float32).reshape(then.shape)
        np.testing.assert_array_equal(now["array"], then - gradient)


WIDE: dict[str, Layers] = {
    "first": [linear(784, 512), ("relu", {}), linear(512, 10)],
    "alone": [linear(784, 512)],
    "behind scaling": [("rescale", {"scale": 0.5, "shift": 0.25}), linear(784, 512), ("tanh", {})],
    "behind an activation": [("gelu", {}), linear(784, 512), ("relu", {}), linear(512, 10)],
    "behind normalised columns": [
        ("batch_norm1d", {"num_features": 784}),
        linear(784, 512),
        ("relu", {}),
        linear(512, 10),
    ],
    "two": [linear(30, 600), ("tanh", {}), linear(600, 512), ("relu", {}), linear(512, 300)],
}


@both_dtypes
@pytest.mark.parametrize("rows", [1, 20, 130, 600])
@pytest.mark.parametrize("layers", WIDE.values(), ids=WIDE)
def test_gradient_of_the_input_below_wide_layers(
    rng: np.random.Generator, layers: Layers, rows: int, dtype: str
) -> None:
    pair = Pair(layers, dtype).compile()
    engine, twin = pair.engine, pair.twin
    x = rng.standard_normal((rows, engine.n_features)).astype(dtype)
    dy = rng.standard_normal((rows, engine.n_outputs)).astype(dtype)
    # BatchNorm of one row divides by nothing but eps: with running statistics the numbers are tame.
    training = rows > 1
    outs, dxs = [], []
    for network in (engine, twin):
        outs.append(network.forward(x, training=training))
        dxs.append(network.backward(dy, need_dx=True))
    limit = {"float32": 2e-5, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(outs[0], outs[1], rtol=0, atol=limit * np.abs(outs[1]).max())
    np.testing.assert_allclose(dxs[0], dxs[1], rtol=0, atol=limit * np.abs(dxs[1]).max())
    pair.same_gradients("training")


@both_dtypes
@pytest.mark.parametrize("lowest", [0, 2])
def test_wide_layers_above_frozen_ones(rng: np.random.Generator, lowest: int, dtype: str) -> None:
    """Gradients go down to the lowest layer that trains, through the activations on the way."""
    layers = WIDE["two"]
    pair = Pair(layers, dtype).compile()
    for k in range(0, lowest, 2):
        pair.freeze(str(k))
    x = rng.standard_normal((140, 30)).astype(dtype)
    y = rng.standard_normal((140, 300)).astype(dtype)
    for network in (pair.engine, pair.twin):
        network.train_step(x, y)
    pair.same_values()


@pytest.mark.parametrize("rows", [1, 100, 5000])
@pytest.mark.parametrize("inputs", [11_000, 30_000, 150_000])
def test_no_item_of_a_wide_layer_is_long(inputs: int, rows: int) -> None:
    """A stop waits for the item in progress: 2^28 operations are some ten milliseconds."""
    for shape in ([(inputs, 128), (128, 4)], [(3, inputs), (inputs, 200)]):
        for kind, items, flops in _core.testing.phase_items(shape, rows):
            assert kind != "blocks" or items * flops > 0
            assert kind != "blocks" or flops <= 2**28, (kind, items, flops)
