# SPDX-License-Identifier: BSD-3-Clause
"""Whole networks have the gradients of float64 central differences.

Every loss, layer and activation is inside one, and any two that write over each other's memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from differences import check_dx, check_network, network
from members import cases, ending, everything, fitted, linear, names, network_with, targets

if TYPE_CHECKING:
    import numpy as np

# There are more rows than a chunk has, and columns that no vector width divides.
N, N_IN, WIDTH, N_OUT = 27, 5, 7, 3


@pytest.mark.parametrize(("name", "hyper"), cases("activations"))
def test_activations(rng: np.random.Generator, name: str, hyper: dict[str, Any]) -> None:
    made = network(network_with(name, hyper, N_IN, WIDTH, N_OUT))
    x, y = rng.standard_normal((N, N_IN)), rng.standard_normal((N, N_OUT))
    check_network(made, x, y)
    check_dx(made, x)


@pytest.mark.parametrize("second", [*names("activations"), "dropout"])
@pytest.mark.parametrize("first", [*names("activations"), "dropout"])
def test_one_elementwise_layer_after_the_other(
    rng: np.random.Generator, first: str, second: str
) -> None:
    """No layer writes over what the one before it reads in its backward pass."""
    made = network([linear(N_IN, WIDTH), (first, {}), (second, {}), linear(WIDTH, N_OUT)])
    check_network(made, rng.standard_normal((N, N_IN)), rng.standard_normal((N, N_OUT)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "hyper"), cases("losses"))
def test_losses(rng: np.random.Generator, name: str, hyper: dict[str, Any], weighted: bool) -> None:
    layers = [linear(N_IN, WIDTH), ("tanh", {}), linear(WIDTH, N_OUT)]
    hyper, k = fitted(name, hyper, N_OUT)
    made = network(layers + ending(name, N_OUT, hyper), name, **hyper)
    w = rng.uniform(0.5, 2, N) if weighted else None
    y = targets(rng, name, N, k, hyper=hyper)
    check_network(made, rng.standard_normal((N, N_IN)), y, w)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "hyper"), cases("inputs") + cases("layers"))
def test_layers(rng: np.random.Generator, name: str, hyper: dict[str, Any], training: bool) -> None:
    made = network(network_with(name, hyper, N_IN, WIDTH, N_OUT))
    for p in made.parameters():
        if p["array"].ndim == 1:  # off the initial zeros and ones
            p["array"][...] += rng.uniform(0.1, 0.5, p["array"].shape)
    made.set_progress(11)  # dropout's mask of some later step
    x, y = rng.standard_normal((N, N_IN)), rng.standard_normal((N, N_OUT))
    before = [p["array"].copy() for p in made.parameters()]
    check_network(made, x, y, training=training)
    for p, value in zip(made.parameters(), before, strict=True):
        p["array"][...] = value  # the statistics have moved with every pass
    check_dx(made, x, training)


@pytest.mark.parametrize("n", [1, 3, 130])
def test_a_network_of_everything(rng: np.random.Generator, n: int) -> None:
    """130 rows are eight chunks and more."""
    made = network(everything(4, 6, 6, smooth=True))
    x, y = rng.standard_normal((n, 2, 2)), rng.standard_normal((n, 6))
    check_network(made, x, y)
    if n != 130:
        check_dx(made, x)
