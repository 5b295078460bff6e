# SPDX-License-Identifier: BSD-3-Clause
"""The twin itself: gradients against central differences, extreme values, and random streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from conftest import TOLERANCE
from fastnn import reference
from fastnn.reference import ACTIVATIONS, LAYERS, LOSSES, Network
from fastnn.reference.layers import make_layer

if TYPE_CHECKING:
    from collections.abc import Callable

DIFFERENCES = TOLERANCE["float64", "differences"]

ACTIVATION_CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ACTIVATIONS),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("gelu", {"approximate": "tanh"}),
]
LAYER_CASES: dict[str, dict[str, Any]] = {
    "rescale": {"scale": [0.5, 2.0, -1.0, 3.0, 1.0], "shift": 0.25},
    "flatten": {},
    "linear": {"in_features": 5, "out_features": 3},
    "dropout": {"p": 0.4},
    "batch_norm1d": {"num_features": 5},
}


def differences(f: Callable[[], float], x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """df/dx by central differences; f reads x, which is moved in place."""
    slopes = np.empty_like(x)
    for index in np.ndindex(x.shape):
        middle = x[index]
        x[index] = middle + eps
        above = f()
        x[index] = middle - eps
        below = f()
        x[index] = middle
        slopes[index] = (above - below) / (2 * eps)
    return slopes


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float = DIFFERENCES) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def away_from_kinks(x: np.ndarray) -> np.ndarray:
    return x + 0.01 * np.sign(x)


def targets(name: str, rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    if LOSSES[name].target == "class":
        return rng.integers(0, k, n)
    return rng.uniform(0, 1, (n, k))


# -- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "hyper"), ACTIVATION_CASES)
def test_activation(name: str, hyper: dict[str, Any], rng: np.random.Generator) -> None:
    row = ACTIVATIONS[name]
    assert set(hyper) <= set(row.hypers)
    z = away_from_kinks(3 * rng.standard_normal((7, 5)))
    dy = rng.standard_normal(z.shape)
    a = reference.activation(name, hyper, z)
    saved = {"input": z, "output": a}[row.needs]
    dz = reference.activation_backward(name, hyper, dy, saved)
    assert_close(dz, differences(lambda: float(np.sum(dy * row.f(z, **hyper))), z))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [2, 5])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str, k: int, weighted: bool, reduction: str, rng: np.random.Generator) -> None:
    out = rng.uniform(0.05, 0.95, (7, k))  # probabilities where the loss wants them
    target = targets(name, rng, 7, k)
    w = rng.uniform(0, 2, 7) if weighted else None
    hyper = {"reduction": reduction}
    _, dout = reference.loss(name, hyper, out, target, w)
    assert_close(dout, differences(lambda: reference.loss(name, hyper, out, target, w)[0], out))


def test_every_layer_has_a_case() -> None:
    assert set(LAYER_CASES) == set(LAYERS)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, training: bool, rng: np.random.Generator) -> None:
    layer = make_layer(name, LAYER_CASES[name])
    layer.build(np.float64, seed=1, position=2)
    x = rng.standard_normal((7, 5))
    for key, w in layer.params.items():
        layer.params[key] = w + rng.uniform(0.1, 0.5, w.shape)
    dy = rng.standard_normal(layer.forward(x, training, 3).shape)

    def projected() -> float:
        return float(np.sum(dy * layer.forward(x, training, 3)))

    expected = {key: differences(projected, w) for key, w in layer.params.items()}
    expected_dx = differences(projected, x)
    layer.forward(x, training, 3)
    dx = layer.backward(dy)
    assert dx is not None
    assert_close(dx, expected_dx)
    for key, slopes in expected.items():
        assert_close(layer.grads[key], slopes)


def deep_network(dtype: str = "float64", activation: str = "tanh") -> Network:
    layers: list[tuple[str, dict[str, Any]]] = [
        ("rescale", {"scale": 0.5, "shift": -0.1}),
        ("flatten", {}),
        ("linear", {"in_features": 6, "out_features": 7}),
        ("batch_norm1d", {"num_features": 7}),
        (activation, {}),
        ("dropout", {"p": 0.3}),
        ("linear", {"in_features": 7, "out_features": 4, "bias": False}),
        ("gelu", {}),
        ("linear", {"in_features": 4, "out_features": 3}),
    ]
    return Network(layers, dtype=dtype, seed=5)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "bce_with_logits"])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "leaky_relu"])
def test_whole_network(loss: str, activation: str, rng: np.random.Generator) -> None:
    network = deep_network(activation=activation)
    network.compile(loss, {}, "sgd", {})
    x = rng.standard_normal((9, 2, 3))
    y, w = targets(loss, rng, 9, 3), rng.uniform(0.5, 2, 9)

    def loss_of_the_first_draw() -> float:
        network.draw = 0
        return network.loss_and_grad(x, y, w)

    expected = [
        differences(loss_of_the_first_draw, p["array"])
        for p in network.parameters()
        if p["trainable"]
    ]
    expected_dx = differences(loss_of_the_first_draw, x)
    loss_of_the_first_draw()
    largest = max(np.abs(slopes).max() for slopes in expected)
    for gradient, slopes in zip(network.gradients(), expected, strict=True):
        # The bias below BatchNorm has no effect at all: compare with the largest gradient.
        np.testing.assert_allclose(gradient["array"], slopes, rtol=0, atol=DIFFERENCES * largest)
    dx = network.backward(network.loss.gradient(network.outputs, y, w), need_dx=True)
    assert dx is not None
    assert_close(dx, expected_dx)


# -- extreme values -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_ten_thousand(dtype: type) -> None:
    z = np.array([[1e4, -1e4, 0.0]], dtype=dtype)
    np.testing.assert_array_equal(reference.softmax(z), [[1, 0, 0]])
    np.testing.assert_array_equal(reference.log_softmax(z), [[0, -2e4, -1e4]])
    np.testing.assert_array_equal(reference.logistic(z), [[1, 0, 0.5]])
    value, dz = reference.loss("cross_entropy", {}, z, [1])
    assert value == 2e4
    np.testing.assert_array_equal(dz, [[1, -1, 0]])
    hyper = {"reduction": "sum"}
    value, dz = reference.loss("bce_with_logits", hyper, z, np.array([[0, 1, 1]]))
    assert value == pytest.approx(2e4 + np.log(2), rel=1e-7)
    np.testing.assert_array_equal(dz, [[1, -1, -0.5]])
    value, dp = reference.loss("bce", hyper, np.array([[0, 1]], dtype), np.array([[1, 0]]))
    assert value == 200
    np.testing.assert_allclose(dp, [[-1e12, 1e12]], rtol=1e-6)
    for name, row in ACTIVATIONS.items():
        for hyper in (
            ({"approximate": "none"}, {"approximate": "tanh"}) if name == "gelu" else ({},)
        ):
            a = row.f(z, **hyper)
            assert np.isfinite(a).all()
            assert np.isfinite(row.df(a if row.needs == "output" else z, **hyper)).all()
            assert a.dtype == dtype


def test_gelu_keeps_its_digits_in_the_tail() -> None:
    # z Phi(z) at z = -8 and -20, from tables of the normal distribution's tail
    a = reference.activation("gelu", {}, np.array([-8.0, -20.0]))
    np.testing.assert_allclose(a, [-8 * 6.220960574271786e-16, -20 * 2.7536241186062337e-89])


# -- random streams -------------------------------------------------------------------------------


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 from its definition (Salmon et al. 2011)."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = (p1 >> 64) ^ b ^ k0, p1 % 2**64, (p0 >> 64) ^ d ^ k1, p0 % 2**64
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % 2**64, (k1 + 0xBB67AE8584CAA73B) % 2**64
    return [a, b, c, d]


def test_words_are_philox() -> None:
    # the first of the known answers that Random123 publishes
    known = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox([0] * 4, [0, 0]) == known
    key = [2**64 - 1, 3]
    drawn = [*philox([1, 7, 11, 0], key), *philox([2, 7, 11, 0], key)]
    assert reference.words(*key, 6, row=7, step=11).tolist() == drawn[:6]


def test_dropout_mask() -> None:
    mask = reference.dropout_mask((5, 11), 0.25, seed=3, layer=2, step=4, dtype=np.float32)
    assert mask.dtype == np.float32
    for row in range(5):
        drawn = [*philox([1, row, 4, 0], [3, 2]), *philox([2, row, 4, 0], [3, 2])]
        lanes = [lane for word in drawn for lane in (word % 2**32, word >> 32)]
        kept = [lane >= 2**30 for lane in lanes[:11]]
        np.testing.assert_array_equal(mask[row], np.float32(1 / 0.75) * np.array(kept))
    assert not reference.dropout_mask((3, 3), 1.0, 0, 0, 0, np.float64).any()
    assert (reference.dropout_mask((3, 3), 0.0, 0, 0, 0, np.float64) == 1).all()


def test_initial_values() -> None:
    network = Network(
        [("rescale", {}), ("relu", {}), ("linear", {"in_features": 3, "out_features": 2})], seed=9
    )
    key = [9, 2**32 + 1]
    drawn = [*philox([1, 0, 0, 0], key), *philox([2, 0, 0, 0], key)]
    values = [(2 * ((word >> 11) * 2.0**-53) - 1) / np.sqrt(3) for word in drawn]
    weight, bias = (p["array"] for p in network.parameters())
    np.testing.assert_allclose(weight.ravel(), values[:6], rtol=1e-7)
    np.testing.assert_allclose(bias, values[6:8], rtol=1e-7)


def test_permutation() -> None:
    first, second = (reference.permutation(1000, seed=1, epoch=e) for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(1000))
    assert (first != second).any()
    drawn = philox([1, 0, 6, 0], [5, 2**33])
    order = [0, 1, 2]
    for word, i in zip(drawn, (2, 1), strict=False):
        j = word * (i + 1) // 2**64
        order[i], order[j] = order[j], order[i]
    assert reference.permutation(3, seed=5, epoch=6).tolist() == order
    assert reference.permutation(0, 0, 0).tolist() == []
