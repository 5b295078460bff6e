# SPDX-License-Identifier: BSD-3-Clause
"""Every layer has the values and gradients of the twin and of torch.

Products, random streams, statistics and preparation are tested one by one, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import in_torch
from conftest import AWKWARD_SIZES
from differences import assert_slopes, differences
from fastnn import _core, reference
from layouts import DTYPES, close, draws
from members import cases, linear, network_with
from pairs import Pair

every_case = pytest.mark.parametrize(("name", "hyper"), cases("inputs") + cases("layers"))
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.mark.parametrize("training", [True, False])
@both_dtypes
@every_case
def test_inside_a_network(
    rng: np.random.Generator,
    awkward_shape: tuple[int, int, int],
    name: str,
    hyper: dict[str, Any],
    dtype: str,
    training: bool,
) -> None:
    n, n_in, width = awkward_shape
    pair = Pair(network_with(name, hyper, n_in, width, 3), dtype)
    pair.shift_parameters(rng)
    for _ in range(2):  # running statistics move from one to the next
        x, dy = draws(rng, (n, n_in), dtype), draws(rng, (n, 3), dtype)
        ours, theirs = (net.forward(x, training) for net in (pair.engine, pair.twin))
        pair.close(ours, theirs, "layer")
        our_dx, their_dx = (net.backward(dy, True) for net in (pair.engine, pair.twin))
        if n > 2:  # two rows of BatchNorm are +1 and -1 whatever they were: dx is rounding noise
            pair.close(our_dx, their_dx, "layer")
            pair.same_gradients("layer")
        for mine, other in zip(pair.engine.parameters(), pair.twin.parameters(), strict=True):
            pair.close(mine["array"], other["array"], "layer")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("name", "hyper"), in_torch.torch_cases("inputs") + in_torch.torch_cases("layers")
)
def test_in_torch(
    rng: np.random.Generator, torch: Any, name: str, hyper: dict[str, Any], training: bool
) -> None:
    row = (reference.INPUTS | reference.LAYERS)[name]
    layers = network_with(name, hyper, 5, 17, 3)
    engine = _core.Network(layers, "float64", 4)
    other = in_torch.network(torch, layers, engine)
    if not row.random:
        for size in (17, 2, 129):  # running statistics that differ from 0 and 1
            x = 3 * rng.standard_normal((size, 5)) + 2
            engine.forward(x, training=True)
            other(torch.from_numpy(x))
    training = training and not row.random
    other.train(training)
    x, dy = 3 * rng.standard_normal((129, 5)) + 2, rng.standard_normal((129, 3))
    leaf = torch.tensor(x, requires_grad=True)
    expected = other(leaf)
    expected.backward(torch.tensor(dy))
    limit = 1e-13 * row.tolerance
    ours = engine.forward(x, training)
    np.testing.assert_allclose(ours, expected.detach().numpy(), rtol=0, atol=limit)
    np.testing.assert_allclose(engine.backward(dy, True), leaf.grad.numpy(), rtol=0, atol=limit)
    gradients, values = in_torch.gradients(other), in_torch.values(other)
    for g in engine.gradients():
        theirs = gradients[g["key"]]
        np.testing.assert_allclose(g["array"], theirs, rtol=0, atol=10 * limit)
    for p in engine.parameters():
        theirs = values[p["key"]]
        np.testing.assert_allclose(p["array"], theirs, rtol=limit, atol=limit / 10)


# -- linear ----------------------------------------------------------------------------------------


@both_dtypes
def test_products(
    rng: np.random.Generator, awkward_shape: tuple[int, int, int], dtype: str
) -> None:
    n, n_in, n_out = awkward_shape
    shapes = ((n, n_in), (n_in, n_out), n_out, (n, n_out))
    x, w, b, dy = (draws(rng, s, dtype) for s in shapes)
    wide = [a.astype(np.float64) for a in (x, w, b, dy)]
    close(_core.linear(x, w, b), reference.linear(*wide[:3]), dtype, "linear")
    close(_core.linear(x, w), reference.linear(*wide[:2]), dtype, "linear")
    expected = reference.linear_backward(wide[3], *wide[:2])
    for mine, other in zip(_core.linear_backward(dy, x, w), expected, strict=True):
        close(mine, other, dtype, "linear")


def test_slopes_of_products(rng: np.random.Generator) -> None:
    x, w, b, dy = (rng.standard_normal(s) for s in ((9, 5), (5, 3), 3, (9, 3)))
    gradients = _core.linear_backward(dy, x, w)

    def projected() -> float:
        return float(np.sum(dy * _core.linear(x, w, b)))

    for gradient, argument in zip(gradients, (x, w, b), strict=True):
        assert_slopes(gradient, differences(projected, argument))


@both_dtypes
@pytest.mark.parametrize("shape", [(5, 300, 517), (130, 1025, 9), (257, 64, 300), (1, 2049, 2)])
def test_large_products(rng: np.random.Generator, shape: tuple[int, int, int], dtype: str) -> None:
    """Products of these shapes are computed in blocks, whose operands stay in caches."""
    n, n_in, n_out = shape
    x, w, dy = (draws(rng, s, dtype) for s in ((n, n_in), (n_in, n_out), (n, n_out)))
    wide = [a.astype(np.float64) for a in (dy, x, w)]
    close(_core.linear(x, w), wide[1] @ wide[2], dtype, "linear")
    expected = reference.linear_backward(*wide)
    for mine, other in zip(_core.linear_backward(dy, x, w), expected, strict=True):
        close(mine, other, dtype, "linear")


@both_dtypes
@pytest.mark.parametrize("bias", [True, False])
def test_initial_values_are_the_twins(dtype: str, bias: bool) -> None:
    for seed in (0, 1, 2**63 + 5):
        layers = [("rescale", {"scale": 2.0}), ("flatten", {}), linear(7, 5, bias), ("tanh", {})]
        pair = Pair([*layers, linear(5, 3)], dtype, seed)
        for mine, other in zip(pair.engine.parameters(), pair.twin.parameters(), strict=True):
            np.testing.assert_array_equal(mine["array"], other["array"])


# -- dropout ---------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_dropout_masks_are_the_twins(p: float, dtype: str) -> None:
    for n, k in zip(AWKWARD_SIZES, reversed(AWKWARD_SIZES), strict=True):
        drawn = {"seed": 2**63 + 1, "layer": 4, "step": 2**31 + 7}
        mask = _core.dropout_mask((n, k), p, **drawn, dtype=dtype)
        np.testing.assert_array_equal(mask, reference.dropout_mask((n, k), p, **drawn, dtype=dtype))


@both_dtypes
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_dropout_of_nothing_and_of_everything(
    rng: np.random.Generator, p: float, dtype: str
) -> None:
    pair = Pair(network_with("dropout", {"p": p}, 5, 7, 3), dtype)
    x = draws(rng, (9, 5), dtype)
    close(pair.engine.forward(x, True), pair.twin.forward(x, True), dtype, "layer")
    _, dx = pair.engine.forward(x, True), pair.engine.backward(np.ones((9, 3), dtype), True)
    assert (dx != 0).any() == (p == 0)


@both_dtypes
@pytest.mark.parametrize("width", [127, 128, 131, 264, 400])
def test_dropout_of_wide_rows(rng: np.random.Generator, width: int, dtype: str) -> None:
    # Where vectors are long, many blocks of a row are drawn at a time, and what is left singly.
    made = _core.Network([linear(3, width), ("dropout", {"p": 0.4})], dtype, 9)
    made.set_progress(3, 0)
    x = draws(rng, (5, 3), dtype)
    mask = reference.dropout_mask((5, width), 0.4, 9, 1, 3, np.dtype(dtype))
    np.testing.assert_array_equal(made.forward(x, True), made.forward(x, False) * mask)


def test_dropout_changes_with_step_layer_and_seed() -> None:
    masks = [
        _core.dropout_mask((8, 8), 0.5, seed=s, layer=layer, step=t)
        for s, layer, t in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    for i, mask in enumerate(masks):
        assert not any((mask == other).all() for other in masks[:i])
    kept = np.mean(_core.dropout_mask((500, 400), 0.3, seed=3) > 0)
    assert abs(kept - 0.7) < 5 * np.sqrt(0.21 / 200_000)


def test_uniform_is_the_twins() -> None:
    for n in (0, 1, 4, 1001):
        np.testing.assert_array_equal(_core.uniform(n, 5, 3), reference.uniform(n, 5, 3))


# -- batch norm ------------------------------------------------------------------------------------


@both_dtypes
def test_batch_norm_of_hard_columns(rng: np.random.Generator, dtype: str) -> None:
    """One column is constant, one far from zero, one tiny and one huge; then a row comes alone."""
    layers = [linear(4, 4, bias=False), ("batch_norm1d", {"num_features": 4})]
    pair = Pair(layers, dtype)
    for network in (pair.engine, pair.twin):
        network.parameters()[0]["array"][...] = np.eye(4)
    x = draws(rng, (65, 4), dtype) * np.array([0, 1, 1e-3, 1e3], dtype)
    x += np.array([3, 1e3, 0, 0], dtype)
    for rows in (x, x[:1]):
        ours, theirs = (net.forward(rows, training=True) for net in (pair.engine, pair.twin))
        assert np.isfinite(ours).all()
        close(ours, theirs, dtype, "layer")
        dy = draws(rng, (len(rows), 4), dtype)
        close(pair.engine.backward(dy, True), pair.twin.backward(dy, True), dtype, "layer")
        for mine, other in zip(pair.engine.parameters(), pair.twin.parameters(), strict=True):
            for column in range(4):
                got, expected = (e["array"][..., column] for e in (mine, other))
                close(got, expected, dtype, "layer")


def test_batch_norm_normalises(rng: np.random.Generator) -> None:
    network = Pair([linear(5, 8, False), ("batch_norm1d", {"num_features": 8, "eps": 0})]).engine
    y = network.forward(rng.standard_normal((129, 5)) + 3, training=True)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-13)


def test_frozen_batch_norm_keeps_its_statistics(rng: np.random.Generator) -> None:
    pair = Pair(network_with("batch_norm1d", {}, 5, 6, 3)).compile()
    pair.freeze("1")
    before = [p["array"].copy() for p in pair.engine.parameters()]
    x, y = rng.standard_normal((17, 5)), rng.standard_normal((17, 3))
    close(*(net.train_step(x, y) for net in (pair.engine, pair.twin)), "float64", "layer")
    for p, was in zip(pair.engine.parameters(), before, strict=True):
        assert (p["array"] == was).all() == (p["layer"] == "1")
    pair.same_values()


# -- preparation of the input ----------------------------------------------------------------------


@both_dtypes
def test_rescale_is_arithmetic_done_before(rng: np.random.Generator, dtype: str) -> None:
    scale, shift = rng.uniform(0.5, 2, 6), rng.standard_normal(6)
    rescale = ("rescale", {"scale": scale, "shift": shift})
    with_it, without = (Pair([*first, linear(6, 4)], dtype).engine for first in ([rescale], []))
    for source in (np.uint8, np.int16, np.float32, np.float64):
        x = (20 * rng.random((9, 6))).astype(source)
        prepared = (x.astype(dtype) * scale.astype(dtype)) + shift.astype(dtype)
        if not np.can_cast(source, dtype):  # in double, and rounded once
            prepared = (x * scale + shift).astype(dtype)
        close(with_it.predict(x), without.predict(prepared), dtype, "layer")
        dy = draws(rng, (9, 4), dtype)
        with_it.forward(x, training=True)
        without.forward(prepared, training=True)
        close(
            with_it.backward(dy, need_dx=True),
            without.backward(dy, need_dx=True) * scale.astype(dtype),
            dtype,
            "layer",
        )


@both_dtypes
def test_flatten_takes_images(rng: np.random.Generator, dtype: str) -> None:
    layers = [("rescale", {"scale": 1 / 255}), ("flatten", {}), linear(24, 5)]
    pair = Pair(layers, dtype)
    images = rng.integers(0, 256, (7, 2, 3, 4)).astype(np.uint8)
    ours, theirs = (net.forward(images, training=True) for net in (pair.engine, pair.twin))
    close(ours, theirs, dtype, "layer")
    np.testing.assert_array_equal(pair.engine.predict(images.reshape(7, 24)), ours)
    dy = draws(rng, (7, 5), dtype)
    their_dx = pair.twin.backward(dy, True)
    close(pair.engine.backward(dy, True), their_dx.reshape(7, 24), dtype, "layer")
