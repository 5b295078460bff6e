# SPDX-License-Identifier: BSD-3-Clause
"""Every layer has the values and gradients of the twin and of torch.

Products and initial values are tested one by one, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import in_torch
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
        narrowest = getattr(reference.LAYERS.get(name), "narrowest", 1)
        # Two rows of BatchNorm are +1 and -1 whatever they were: dx is rounding noise.
        if n > 2 and width >= narrowest:
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


@both_dtypes
def test_noise_has_the_twins_bits(dtype: str) -> None:
    """Normal numbers are made of operations that NumPy rounds as the engine does."""
    pair = Pair([linear(2, 300, False), ("gaussian_noise", {"std": 1.0})], dtype)
    zeros = np.zeros((400, 2), dtype)
    ours, theirs = (net.forward(zeros, True) for net in (pair.engine, pair.twin))
    np.testing.assert_array_equal(ours, theirs)
    assert abs(ours).max() > 4  # both tails of the distribution occur
    assert abs(ours.mean()) < 0.02


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


def test_uniform_is_the_twins() -> None:
    for n in (0, 1, 4, 1001):
        np.testing.assert_array_equal(_core.uniform(n, 5, 3), reference.uniform(n, 5, 3))
