# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of single rows are those of float64 central differences and of torch.func.

Every activation, layer, preparation and loss is inside a network of which they are taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import in_torch
from differences import assert_slopes, network
from members import (
    TWINS,
    Hyper,
    Layers,
    cases,
    ending,
    everything,
    fitted,
    linear,
    network_with,
    off_kinks,
    targets,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn import _core

# There are more rows than a chunk has, and columns that no vector width divides.
N, N_IN, WIDTH, N_OUT = 27, 5, 7, 3


def shift_vectors(made: _core.Network, rng: np.random.Generator) -> None:
    """Move biases, scales and statistics away from their initial zeros and ones."""
    for p in made.parameters():
        if p["array"].ndim == 1:
            p["array"][...] += rng.uniform(0.1, 0.5, p["array"].shape)


def slopes_by_column(f: Callable[[Any], Any], x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    """Return the differences of f(x) by each column of x, whose rows f takes one by one."""
    found = []
    for j in range(x.shape[1]):
        step = np.zeros(x.shape[1])
        step[j] = eps
        found.append((f(x + step) - f(x - step)) / (2 * eps))
    return np.stack(found, axis=-1)


def losses_of_rows(made: _core.Network, y: np.ndarray, factors: np.ndarray) -> Callable[..., Any]:
    """Return the function of X that gives the loss of each row alone."""

    def losses(x: np.ndarray) -> np.ndarray:
        parts = [made.evaluate(x[r : r + 1], y[r : r + 1])["loss"] for r in range(len(x))]
        return factors * np.array(parts)

    return losses


def check(made: _core.Network, x: np.ndarray, y: np.ndarray, factors: Any = 1.0) -> None:
    """Compare all gradients of rows. `factors`: weights that the loss itself has for the rows."""
    factors = np.broadcast_to(factors, len(x))
    for link in (False, True):
        slopes = slopes_by_column(lambda x, link=link: made.predict(x, link=link), x)
        assert_slopes(made.jacobian(x, link=link), slopes)
    assert_slopes(made.input_gradient(x, y), slopes_by_column(losses_of_rows(made, y, factors), x))
    taken = made.per_sample_gradients(x, y)
    assert list(taken) == [p["key"] for p in made.parameters() if p["trainable"]]
    for r in range(len(x)):
        made.loss_and_grad(x[r : r + 1], y[r : r + 1], training=False)
        largest = max(np.abs(p["array"]).max() for p in made.gradients()) * factors[r]
        for p in made.gradients():
            expected = factors[r] * p["array"]
            np.testing.assert_allclose(taken[p["key"]][r], expected, rtol=0, atol=1e-13 * largest)


@pytest.mark.parametrize(("name", "hyper"), cases("activations"))
def test_activations(rng: np.random.Generator, name: str, hyper: Hyper) -> None:
    made = network([linear(N_IN, N_IN), (name, hyper), linear(N_IN, N_OUT)])
    p = {p["key"]: p["array"] for p in made.parameters()}
    # x is made so that the inputs of the activation are off its kinks.
    z = off_kinks(name, hyper, rng.standard_normal((N, N_IN)))
    x = (z - p["0.bias"]) @ np.linalg.inv(p["0.weight"])
    check(made, x, rng.standard_normal((N, N_OUT)))


@pytest.mark.parametrize(("name", "hyper"), cases("inputs") + cases("layers"))
def test_layers(rng: np.random.Generator, name: str, hyper: Hyper) -> None:
    made = network(network_with(name, hyper, N_IN, WIDTH, N_OUT))
    shift_vectors(made, rng)
    check(made, rng.standard_normal((N, N_IN)), rng.standard_normal((N, N_OUT)))


@pytest.mark.parametrize(("name", "hyper"), cases("losses"))
def test_losses(rng: np.random.Generator, name: str, hyper: Hyper) -> None:
    layers = [linear(N_IN, WIDTH), ("tanh", {}), linear(WIDTH, N_OUT)]
    hyper, k = fitted(name, hyper, N_OUT)
    made = network(layers + ending(name, N_OUT, hyper), name, **hyper)
    y = targets(rng, name, N, k, hyper=hyper)
    factors = np.ones(N)
    if hyper.get("weight") is not None and hyper.get("reduction", "mean") == "mean":
        factors = np.array(hyper["weight"])[y]  # in a batch of one row they cancel
    check(made, rng.standard_normal((N, N_IN)), y, factors)


@pytest.mark.parametrize("n", [1, 8, 9, 130])
def test_a_network_of_everything(rng: np.random.Generator, n: int) -> None:
    """Up to 8 rows there are no transposed weights; 130 rows are eight chunks and more."""
    made = network(everything(4, 6, 6, smooth=True))
    shift_vectors(made, rng)
    y = rng.standard_normal((n, 6))
    check(made, rng.standard_normal((n, 4)), y)


@pytest.mark.parametrize("n", [7, 100, 530])
def test_wide_layers(rng: np.random.Generator, n: int) -> None:
    """Their weights are packed for many rows, and their gradients made tile by tile."""
    made = network([linear(700, 300), ("tanh", {}), linear(300, 2)])
    p = {p["key"]: p["array"] for p in made.parameters()}
    x, y = rng.standard_normal((n, 700)), rng.standard_normal((n, 2))
    a = np.tanh(x @ p["0.weight"] + p["0.bias"])
    jacobian = np.einsum("ih,nh,ho->noi", p["0.weight"], 1 - a**2, p["2.weight"])
    np.testing.assert_allclose(made.jacobian(x), jacobian, rtol=0, atol=1e-12)
    if n < 100:
        dz = (a @ p["2.weight"] + p["2.bias"] - y) @ p["2.weight"].T * (1 - a**2)
        taken = made.per_sample_gradients(x, y)["0.weight"]
        np.testing.assert_allclose(taken, x[:, :, None] * dz[:, None, :], rtol=0, atol=1e-12)


# -- torch.func ------------------------------------------------------------------------------------


def check_torch(
    torch: Any, made: _core.Network, layers: Layers, x: Any, y: Any, exact: float
) -> None:
    """Compare with torch.func, up to `exact` times the largest number of an array."""
    module = in_torch.network(torch, layers, made).eval()
    func = torch.func
    values = {key: p.detach() for key, p in module.named_parameters()}
    fixed = dict(module.named_buffers())

    def outputs(row: Any, values: Any = values) -> Any:
        return func.functional_call(module, (values, fixed), (row[None],))[0]

    def loss(values: Any, row: Any, target: Any) -> Any:
        return torch.nn.functional.mse_loss(outputs(row, values), target)

    def close(ours: np.ndarray, theirs: Any) -> None:
        expected = theirs.detach().numpy()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=exact * np.abs(expected).max())

    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    close(made.jacobian(x), func.vmap(func.jacrev(outputs))(tx))
    of_row = func.vmap(func.grad(loss, argnums=(0, 1)), in_dims=(None, 0, 0))
    by_values, by_input = of_row(values, tx, ty)
    close(made.input_gradient(x, y), by_input)
    taken = made.per_sample_gradients(x, y)
    assert set(taken) == set(by_values)
    for key, expected in by_values.items():
        close(taken[key].swapaxes(1, -1), expected)


@pytest.mark.parametrize(
    ("name", "hyper"), in_torch.torch_cases("layers") + in_torch.torch_cases("activations")
)
def test_in_torch(rng: np.random.Generator, torch: Any, name: str, hyper: Hyper) -> None:
    layers = network_with(name, hyper, N_IN, WIDTH, N_OUT)
    made = network(layers)
    shift_vectors(made, rng)
    x, y = rng.standard_normal((N, N_IN)), rng.standard_normal((N, N_OUT))
    room = "layers" if name in TWINS["layers"] else "activations"
    if not TWINS[room][name].torch.by_row:
        pytest.skip("torch.func.vmap does not go through it")
    theirs = getattr(TWINS[room][name].torch, "gradients", 0)
    check_torch(torch, made, layers, x, y, max(theirs, 1e-10))
