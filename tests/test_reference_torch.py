# SPDX-License-Identifier: BSD-3-Clause
"""The twin against torch, where it is installed: all rooms, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import reference
from fastnn.reference import ACTIVATIONS, LOSSES, OPTIMIZERS, Network

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

# Half the squared error is the courses'; torch has it as half of MSELoss.
HALF = {"half_mse": ("MSELoss", 0.5)}

# Ours, as names of hyperparameters; torch calls beta1, beta2 betas, and has no l1.
OPTIMIZER_CASES: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {"lr": 0.1}),
    ("sgd", {"lr": 0.05, "momentum": 0.9}),
    ("sgd", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("sgd", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("adam", {"lr": 0.01}),
    ("adam", {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.1}),
    ("adamw", {"lr": 0.01}),
    ("adamw", {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.3}),
]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Batches this small only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def torch_optimizer(name: str, hyper: dict[str, Any], parameters: Any) -> Any:
    options = dict(hyper)
    if "beta1" in options:
        options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    return getattr(torch.optim, OPTIMIZERS[name].class_name)(parameters, **options)


def twins(dtype: str = "float64") -> tuple[Network, Any]:
    """The same network twice, with the same weights.

    No bias stands below BatchNorm, which cancels it: its gradient is rounding noise, and Adam
    divides noise by the root of its mean square.
    """
    network = Network(
        [
            ("linear", {"in_features": 5, "out_features": 11, "bias": False}),
            ("batch_norm1d", {"num_features": 11}),
            ("tanh", {}),
            ("linear", {"in_features": 11, "out_features": 7, "bias": False}),
            ("gelu", {}),
            ("linear", {"in_features": 7, "out_features": 3}),
        ],
        dtype=dtype,
        seed=4,
    )
    nn = torch.nn
    other = nn.Sequential(
        nn.Linear(5, 11, bias=False),
        nn.BatchNorm1d(11),
        nn.Tanh(),
        nn.Linear(11, 7, bias=False),
        nn.GELU(),
        nn.Linear(7, 3),
    ).to(getattr(torch, dtype))
    with torch.no_grad():
        state = other.state_dict()
        for p in network.parameters():
            state[f"{p['layer']}.{p['name']}"].copy_(torch.from_numpy(p["array"].T.copy()))
    return network, other


def test_every_optimizer_is_compared() -> None:
    assert {name for name, _ in OPTIMIZER_CASES} == set(OPTIMIZERS)


@pytest.mark.parametrize("max_grad_norm", [0.0, 0.2])
@pytest.mark.parametrize(("name", "hyper"), OPTIMIZER_CASES)
def test_fifty_steps(
    name: str, hyper: dict[str, Any], max_grad_norm: float, rng: np.random.Generator
) -> None:
    network, other = twins()
    network.compile("cross_entropy", {}, name, hyper, max_grad_norm=max_grad_norm)
    optimizer = torch_optimizer(name, hyper, other.parameters())
    start = [p["array"].copy() for p in network.parameters()]
    for size in rng.integers(2, 33, 50):
        x, y = rng.standard_normal((size, 5)), rng.integers(0, 3, size)
        loss = network.train_step(x, y)
        optimizer.zero_grad()
        expected = torch.nn.functional.cross_entropy(
            other(torch.from_numpy(x)), torch.from_numpy(y)
        )
        expected.backward()
        if max_grad_norm:
            torch.nn.utils.clip_grad_norm_(other.parameters(), max_grad_norm)
        optimizer.step()
        assert loss == pytest.approx(expected.item(), rel=1e-12)
    state = other.state_dict()
    moved = max(
        np.abs(p["array"] - w).max() for p, w in zip(network.parameters(), start, strict=True)
    )
    for p in network.parameters():
        ours, theirs = p["array"], state[f"{p['layer']}.{p['name']}"].numpy().T
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * moved)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("k", [2, 6])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, k: int, reduction: str, rng: np.random.Generator) -> None:
    row = LOSSES[name]
    class_name, factor = HALF.get(name, (row.class_name, 1.0))
    out = rng.uniform(0, 1, (9, k)) if name == "bce" else 3 * rng.standard_normal((9, k))
    if name == "bce":
        out[0, 0], out[1, 0] = 0, 1
    y = rng.integers(0, k, 9) if row.target == "class" else rng.uniform(0, 1, (9, k))
    value, dout = reference.loss(name, {"reduction": reduction}, out, y)
    leaf = torch.tensor(out, requires_grad=True)
    expected = factor * getattr(torch.nn, class_name)(reduction=reduction)(leaf, torch.tensor(y))
    expected.backward()
    assert value == pytest.approx(expected.item(), rel=1e-14)
    grad = leaf.grad.numpy()
    if name == "bce":  # at p = 0 and 1 torch divides by the float32 nearest to 1e-12
        np.testing.assert_allclose(dout[:2, 0], grad[:2, 0], rtol=1e-8)
        dout, grad = dout[2:], grad[2:]
    np.testing.assert_allclose(dout, grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        *((name, {}) for name in ACTIVATIONS),
        ("leaky_relu", {"negative_slope": 0.3}),
        ("gelu", {"approximate": "tanh"}),
    ],
)
def test_activations(name: str, hyper: dict[str, Any], rng: np.random.Generator) -> None:
    row = ACTIVATIONS[name]
    z, dy = 3 * rng.standard_normal((9, 7)), rng.standard_normal((9, 7))
    z[0, 0] = 0
    a = reference.activation(name, hyper, z)
    dz = reference.activation_backward(name, hyper, dy, z if row.needs == "input" else a)
    leaf = torch.tensor(z, requires_grad=True)
    expected = getattr(torch.nn, row.class_name)(**hyper)(leaf)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(a, expected.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(dz, leaf.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(training: bool, rng: np.random.Generator) -> None:
    network, other = twins()
    for _ in range(3):  # running statistics that differ from 0 and 1
        x = rng.standard_normal((17, 5)) + 2
        network.forward(x, training=True)
        other(torch.from_numpy(x))
    other.train(training)
    leaf = torch.tensor(x, requires_grad=True)
    expected, dy = other(leaf), rng.standard_normal((17, 3))
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(
        network.forward(x, training), expected.detach().numpy(), rtol=0, atol=1e-14
    )
    dx = network.backward(dy, need_dx=True)
    np.testing.assert_allclose(dx, leaf.grad.numpy(), rtol=0, atol=1e-13)
    theirs = dict(other.named_parameters())
    for g in network.gradients():
        grad = theirs[f"{g['layer']}.{g['name']}"].grad.numpy().T
        np.testing.assert_allclose(g["array"], grad, rtol=0, atol=1e-12)
    assert network.num_batches == other[1].num_batches_tracked
