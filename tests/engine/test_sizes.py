# SPDX-License-Identifier: BSD-3-Clause
"""Sizes at which the work is done in another way give the right results.

These are a few rows, so many rows that a gradient is summed in pieces, layers so wide that they
take phases of their own, and rows with more columns than float32 can count.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fastnn import _core, nn, optim, reference
from layouts import DTYPES
from members import Layers, linear, names, row_of
from pairs import Pair

# -- a few rows -----------------------------------------------------------------------------------

WIDTHS = [1, 3, 8, 17, 64, 130]
PRODUCTS = {"float32": 2e-6, "float64": 2e-15}


def model_of(widths: list[int], dtype: str, optimizer: Any = None) -> nn.Sequential:
    layers: list[Any] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.Tanh()]
    model = nn.Sequential(*layers[:-1], dtype=dtype, seed=3)
    model.compile(optimizer or optim.SGD(lr=0.05), nn.MSELoss())
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 8, 9])
@pytest.mark.parametrize("outputs", WIDTHS)
@pytest.mark.parametrize("inputs", WIDTHS)
def test_gradient_of_the_input(inputs: int, outputs: int, rows: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    model = model_of([inputs, outputs], dtype)
    x, dy = rng.normal(size=(rows, inputs)), rng.normal(size=(rows, outputs))
    model.forward(x.astype(dtype), training=True)
    dx = model.backward(dy.astype(dtype), need_dx=True)
    weight = model.state_dict()["0.weight"].astype("float64")
    expected = dy.astype(dtype).astype("float64") @ weight
    size = np.abs(dy) @ np.abs(weight)
    np.testing.assert_array_less(np.abs(dx - expected), PRODUCTS[dtype] * (size + 1))


@pytest.mark.parametrize("optimizer", [optim.SGD(lr=0.1, momentum=0.9), optim.Adam(lr=0.01)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches_of_many_and_few_rows_follow_one_another(threads: int, optimizer: Any) -> None:
    # 23 rows in batches of 16, 10 and 5: ragged batches of 7 and 3 rows go without W^T, the next
    # epoch's first batch with it.
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(23, 6)), rng.normal(size=(23, 3))
    fitted, stepped = (model_of([6, 20, 11, 3], "float64", optimizer) for _ in range(2))
    for batch in (16, 10, 5):
        fitted.fit(x, y, batch_size=batch, epochs=2, shuffle=False, n_threads=threads)
        for _ in range(2):
            for first in range(0, 23, batch):
                stepped.train_step(x[first : first + batch], y[first : first + batch], n_threads=1)
    for name, value in fitted.state_dict().items():
        np.testing.assert_array_equal(value, stepped.state_dict()[name], err_msg=name)


# -- many rows, wide layers -----------------------------------------------------------------------

# After 2^26 operations a tile polls for signals, and then continues its sums: with tiles of wide
# layers in float32 after 1,820 rows, with other tiles in float64 after 10,922, with a bias after
# 524,288. Numbers are small integers, so that every order of a sum gives the same, exact result.
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
    """The batch has more than 2^19 rows, which are views of one number and take no memory."""
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
    outs, dxs = [], []
    for network in (engine, twin):
        outs.append(network.forward(x, training=True))
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


# -- long rows ------------------------------------------------------------------------------------

COLUMNS = 2**24 + 1
SUMS = {"float32": 1e-5, "float64": 1e-10}  # sums of 2**24 numbers


def long_row(dtype: str) -> np.ndarray:
    """Return one row of numbers that repeat, with other numbers in its last columns."""
    row = np.resize(np.linspace(-2, 2, 101), COLUMNS)
    row[-3:] = (-3.0, 4.0, 20.0)
    return row.astype(dtype)[None, :]


@pytest.mark.parametrize("dtype", SUMS)
@pytest.mark.parametrize("name", names("activations"))
def test_activations_reach_the_last_column(name: str, dtype: str) -> None:
    x = long_row(dtype)
    if row_of("activations", name)["whole_rows"]:
        pytest.skip("its last columns depend on all others: the next test has them")
    whole = _core.activation(name, {}, x)
    ends = _core.activation(name, {}, np.ascontiguousarray(x[:, -50:]))
    np.testing.assert_array_equal(whole[:, -50:], ends)


@pytest.mark.parametrize("dtype", SUMS)
def test_softmax_reaches_the_last_column(dtype: str) -> None:
    x = long_row(dtype)
    e = np.exp(x.astype(np.float64) - 20)
    total = e.sum()
    got = _core.activation("softmax", {}, x)[0, -3:]
    np.testing.assert_allclose(got, e[0, -3:] / total, rtol=SUMS[dtype])
    got = _core.activation("log_softmax", {}, x)[0, -3:]
    np.testing.assert_allclose(got, x[0, -3:] - 20.0 - np.log(total), rtol=SUMS[dtype])


def without_a_loss(name: str) -> tuple[float, float]:
    """Return an output and a target whose loss is negligible, even 2**24 times."""
    for out, target in itertools.product((0.0, -100.0, 100.0), (0.0, 1.0)):
        if reference.LOSSES[name].f(np.array([[out]]), np.array([[target]])) < 1e-40:
            return out, target
    raise AssertionError(f"{name}: none was found")


@pytest.mark.parametrize("dtype", SUMS)
@pytest.mark.parametrize("name", names("losses"))
def test_losses_count_the_last_column(name: str, dtype: str) -> None:
    """Only the last column is wrong, so it alone has a loss."""
    summed = {"reduction": "sum"}
    if reference.LOSSES[name].outputs_per_target() > 1:
        pytest.skip("its outputs come in blocks, of which none ends in the last column alone")
    if reference.LOSSES[name].target == "class":
        if name != "cross_entropy":
            pytest.skip("it reads the column of the label alone")
        out = np.zeros((1, COLUMNS), dtype)
        out[0, -1] = 30
        loss, grad = _core.loss(name, summed, out, np.array([COLUMNS - 1]), None)
        rest = (COLUMNS - 1) * np.exp(-30)
        assert loss == pytest.approx(np.log1p(rest), rel=SUMS[dtype])
        assert grad[0, -1] == pytest.approx(-rest / (1 + rest), rel=SUMS[dtype])
        return
    out, target = (np.full((1, COLUMNS), value, dtype) for value in without_a_loss(name))
    out[0, -1], target[0, -1] = 0.5, 1 - target[0, 0]
    small, slope = _core.loss(name, summed, out[:, -1:].copy(), target[:, -1:].copy(), None)
    loss, grad = _core.loss(name, summed, out, target, None)
    assert loss == pytest.approx(small, rel=SUMS[dtype])
    assert grad[0, -1] == slope[0, 0] != 0


def test_messages_show_long_numbers_whole() -> None:
    out = np.zeros((1, COLUMNS), np.float32)
    with pytest.raises(ValueError, match=rf"target has {COLUMNS} at row 0.* 0 to {COLUMNS - 1}$"):
        _core.loss("cross_entropy", {}, out, np.array([float(COLUMNS)]), None)
