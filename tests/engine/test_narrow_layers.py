# SPDX-License-Identifier: BSD-3-Clause
"""Layers with few outputs have the bits of the same columns of a wide layer."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import nn


def gradients(inputs: int, outputs: int, rows: int, dtype: str, wide: int) -> list[np.ndarray]:
    """Return the gradients of weight (outputs, inputs) and bias, of a layer with `wide` outputs."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(rows, inputs)).astype(dtype)
    grad = np.zeros((rows, wide), dtype)
    grad[:, :outputs] = rng.normal(size=(rows, outputs))
    model = nn.Sequential(nn.Linear(inputs, wide), dtype=dtype, seed=0)
    model.compile("sgd", "mse")
    model.forward(x, training=True)
    model.backward(grad)
    found = model.gradients()
    return [found["0.weight"][:outputs].copy(), found["0.bias"][:outputs].copy()]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [9, 40, 131, 300])
@pytest.mark.parametrize("outputs", [1, 2, 3, 6, 10, 16])
@pytest.mark.parametrize("inputs", [7, 16, 50, 100, 193])
def test_narrow_layers_have_the_bits_of_wide_ones(inputs, outputs, rows, dtype):
    narrow = gradients(inputs, outputs, rows, dtype, outputs)
    wide = gradients(inputs, outputs, rows, dtype, 80)
    for ours, expected in zip(narrow, wide, strict=True):
        assert (ours == expected).all()


@pytest.mark.parametrize("outputs", [1, 3, 10])
def test_several_blocks_of_a_large_batch(outputs):
    """An item looks for a stop after 2^26 operations: the sums of later rows continue in c."""
    rows = 60_000
    narrow = gradients(100, outputs, rows, "float64", outputs)
    wide = gradients(100, outputs, rows, "float64", 80)
    assert all((a == b).all() for a, b in zip(narrow, wide, strict=True))


def test_padding_behind_narrow_outputs_stays_zero():
    """The optimizer updates whole lines: padding that is not zero would reach the next product."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 50)), rng.normal(size=(64, 1))
    model = nn.Sequential(
        nn.Linear(50, 1), nn.Linear(1, 9), nn.Linear(9, 1), dtype="float64", seed=0
    )
    model.compile("adam", "mse")
    first = model.evaluate(x, y)["loss"]
    model.fit(x, y, epochs=30, batch_size=32, verbose=0)
    assert np.isfinite(model.evaluate(x, y)["loss"])
    assert model.evaluate(x, y)["loss"] < first


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 8, 16, 25, 131])
@pytest.mark.parametrize("inputs", [3, 8, 16, 50, 100, 300])
def test_one_output_has_the_bits_of_a_column(inputs, rows, bias, dtype):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(rows, inputs)).astype(dtype)
    weight = rng.normal(size=(40, inputs)).astype(dtype)
    offsets = rng.normal(size=40).astype(dtype)
    found = []
    for outputs in (1, 40):
        model = nn.Sequential(nn.Linear(inputs, outputs, bias=bias), dtype=dtype, seed=0)
        values = {"0.weight": weight[:outputs]}
        if bias:
            values["0.bias"] = offsets[:outputs]
        model.load_state_dict(values)
        found.append((model.predict(x)[:, 0], model.forward(x, training=True)[:, 0]))
    for ours, expected in zip(*found, strict=True):
        assert (ours == expected).all()
