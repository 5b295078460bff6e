# SPDX-License-Identifier: BSD-3-Clause
"""The engine against torch, where it is installed: training, losses, activations and layers.

Everything in float64. Rows of the registries that torch does not have under their class names
(other than half the squared error) are left out.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from fastnn import _core
from pairs import REGISTRIES, cases, hyper_cases, linear, names, outputs, targets

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

STEPS = 50
ROWS = {row["name"]: row for rows in REGISTRIES.values() for row in rows}
# Half the squared error is the courses'; torch has it as half of MSELoss.
LOSSES = {name: (ROWS[name]["class_name"], 1.0) for name in names("losses")}
LOSSES["half_mse"] = ("MSELoss", 0.5)
LOSSES = {name: c for name, c in LOSSES.items() if hasattr(torch.nn, c[0])}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Batches this small only wait for a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# -- optimizers ------------------------------------------------------------------------------------


def torch_options(hyper: dict[str, Any]) -> dict[str, Any]:
    """In torch's words: betas is a pair, of which the other half has its default."""
    options = {key: v for key, v in hyper.items() if key not in {"beta1", "beta2"}}
    if len(options) < len(hyper):
        options["betas"] = (hyper.get("beta1", 0.9), hyper.get("beta2", 0.999))
    return options


def optimizer_cases() -> list[Any]:
    """Each option alone and all together; what torch lacks (l1) or forbids is left out."""
    found = []
    for name in names("optimizers"):
        known = getattr(torch.optim, ROWS[name]["class_name"], None)
        if known is None:
            continue
        accepted = {*inspect.signature(known).parameters, "beta1", "beta2"}
        for hyper in hyper_cases(ROWS[name]):
            given = {"lr": 0.05 if name == "sgd" else 0.01}
            given |= {key: v for key, v in hyper.items() if key in accepted and key != "lr"}
            if given.get("nesterov"):
                given = given | {"momentum": 0.9, "dampening": 0.0}
            if given not in [case.values[1] for case in found if case.values[0] == name]:
                found.append(pytest.param(name, given, id=f"{name}-{len(found)}"))
        if "momentum" in accepted:
            damped = {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}
            found.append(pytest.param(name, damped, id=f"{name}-damped"))
    return found


def torch_optimizer(name: str, hyper: dict[str, Any], parameters: Any) -> Any:
    return getattr(torch.optim, ROWS[name]["class_name"])(parameters, **torch_options(hyper))


def networks() -> tuple[Any, Any]:
    """The same network twice, with the same weights, in the engine and in torch.

    No bias stands below BatchNorm, which cancels it: its gradient is rounding noise, and Adam
    divides noise by the root of its mean square.
    """
    layers = [
        linear(5, 17, bias=False),
        ("batch_norm1d", {"num_features": 17}),
        ("tanh", {}),
        linear(17, 9, bias=False),
        ("gelu", {}),
        linear(9, 3),
    ]
    nn = torch.nn
    other = nn.Sequential(
        nn.Linear(5, 17, bias=False),
        nn.BatchNorm1d(17),
        nn.Tanh(),
        nn.Linear(17, 9, bias=False),
        nn.GELU(),
        nn.Linear(9, 3),
    ).to(torch.float64)
    engine = _core.Network(layers, "float64", 4)
    with torch.no_grad():
        state = other.state_dict()
        for p in engine.parameters():
            state[f"{p['layer']}.{p['name']}"].copy_(torch.from_numpy(p["array"].T.copy()))
    return engine, other


def train_both(engine: Any, other: Any, optimizer: Any, max_grad_norm: float = 0.0) -> None:
    """50 steps on batches of unequal sizes; then the same parameters and running statistics."""
    rng = np.random.default_rng(20240229)
    start = [p["array"].copy() for p in engine.parameters()]
    for size in rng.integers(2, 65, STEPS):
        x, y = rng.standard_normal((size, 5)), rng.integers(0, 3, size)
        loss = engine.train_step(x, y)
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
        np.abs(p["array"] - w).max() for p, w in zip(engine.parameters(), start, strict=True)
    )
    for p in engine.parameters():
        theirs = state[f"{p['layer']}.{p['name']}"].numpy().T
        np.testing.assert_allclose(p["array"], theirs, rtol=0, atol=1e-12 * moved)
    assert engine.num_batches == int(other[1].num_batches_tracked) == STEPS


@pytest.mark.parametrize("max_grad_norm", [0.0, 0.2])
@pytest.mark.parametrize(("name", "hyper"), optimizer_cases())
def test_fifty_steps(name: str, hyper: dict[str, Any], max_grad_norm: float) -> None:
    engine, other = networks()
    engine.compile("cross_entropy", {}, name, hyper, max_grad_norm=max_grad_norm)
    train_both(engine, other, torch_optimizer(name, hyper, other.parameters()), max_grad_norm)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_layers_of_their_own(name: str) -> None:
    """per_layer is torch's parameter groups, freezing is requires_grad."""
    engine, other = networks()
    groups = [
        {"params": other[1].parameters(), "lr": 0.001, "weight_decay": 0.3},
        {"params": other[3].parameters()},
        {"params": other[5].parameters(), "lr": 0.02},
    ]
    hyper = {"lr": 0.005, "weight_decay": 0.1}
    overrides = {1: {"lr": 0.001, "weight_decay": 0.3}, 5: {"lr": 0.02}}
    engine.compile("cross_entropy", {}, name, hyper, per_layer=overrides)
    engine.set_frozen(0, True)
    other[0].weight.requires_grad_(False)
    train_both(engine, other, torch_optimizer(name, hyper, groups))


# -- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("k", [2, 17])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, k: int, reduction: str, rng: np.random.Generator) -> None:
    class_name, factor = LOSSES[name]
    out, y = outputs(rng, name, 33, k), targets(rng, name, 33, k)
    value, dout = _core.loss(name, {"reduction": reduction}, out, y)
    leaf = torch.tensor(out, requires_grad=True)
    expected = factor * getattr(torch.nn, class_name)(reduction=reduction)(leaf, torch.tensor(y))
    expected.backward()
    assert value == pytest.approx(expected.item(), rel=1e-13)
    np.testing.assert_allclose(dout, leaf.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["cross_entropy", "bce_with_logits", "bce"])
def test_losses_at_the_edges(name: str) -> None:
    far = [1e4, -1e4, 0.0, 40.0, -40.0]
    out = np.array([[a, b] for a in far for b in far])
    if name == "bce":
        out = np.clip(out, 0, 1)
    for side in (0, 1):
        y = np.full(len(out), side) if name == "cross_entropy" else np.full(out.shape, float(side))
        value, dout = _core.loss(name, {}, out, y)
        leaf = torch.tensor(out, requires_grad=True)
        expected = getattr(torch.nn, ROWS[name]["class_name"])()(leaf, torch.tensor(y))
        expected.backward()
        assert value == pytest.approx(expected.item(), rel=1e-13)
        # At p = 0 and 1 torch divides by the float32 nearest to 1e-12.
        rtol = 1e-8 if name == "bce" else 1e-12
        np.testing.assert_allclose(dout, leaf.grad.numpy(), rtol=rtol, atol=1e-15)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name: str, rng: np.random.Generator) -> None:
    z = 9 * rng.standard_normal((17, 33))
    z[0] *= 1000
    expected = getattr(torch, name)(torch.from_numpy(z), dim=1).numpy()
    np.testing.assert_allclose(getattr(_core, name)(z), expected, rtol=1e-12, atol=1e-15)


# -- activations and layers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hyper"),
    [c for c in cases("activations") if hasattr(torch.nn, ROWS[c.values[0]]["class_name"])],
)
def test_activations(name: str, hyper: dict[str, Any], rng: np.random.Generator) -> None:
    z, dy = 3 * rng.standard_normal((33, 17)), rng.standard_normal((33, 17))
    z[0, 0] = 0
    a = _core.activation(name, hyper, z)
    saved = z if ROWS[name]["needs"] == "input" else a
    dz = _core.activation_backward(name, hyper, dy, saved)
    leaf = torch.tensor(z, requires_grad=True)
    expected = getattr(torch.nn, ROWS[name]["class_name"])(**hyper)(leaf)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(a, expected.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(dz, leaf.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias: bool, awkward_shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    n, n_in, n_out = awkward_shape
    engine = _core.Network([linear(n_in, n_out, bias)], "float64", 2)
    other = torch.nn.Linear(n_in, n_out, bias=bias, dtype=torch.float64)
    with torch.no_grad():
        for p in engine.parameters():
            getattr(other, p["name"]).copy_(torch.from_numpy(p["array"].T.copy()))
    x, dy = rng.standard_normal((n, n_in)), rng.standard_normal((n, n_out))
    leaf = torch.tensor(x, requires_grad=True)
    expected = other(leaf)
    expected.backward(torch.tensor(dy))
    y = engine.forward(x, training=True)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(engine.backward(dy, True), leaf.grad.numpy(), rtol=0, atol=1e-12)
    for g in engine.gradients():
        theirs = getattr(other, g["name"]).grad.numpy().T
        np.testing.assert_allclose(g["array"], theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("hyper", hyper_cases(ROWS["batch_norm1d"]), ids=str)
def test_batch_norm(hyper: dict[str, Any], training: bool, rng: np.random.Generator) -> None:
    engine, other = networks()
    layers = [linear(5, 17, False), ("batch_norm1d", {"num_features": 17} | hyper), linear(17, 3)]
    engine = _core.Network(layers, "float64", 4)
    norm = torch.nn.BatchNorm1d(17, **hyper)
    other = torch.nn.Sequential(other[0], norm, torch.nn.Linear(17, 3)).to(torch.float64)
    state = other.state_dict()
    with torch.no_grad():
        for p in engine.parameters():
            p["array"][...] = state[f"{p['layer']}.{p['name']}"].numpy().T
    for size in (17, 2, 129):  # running statistics that differ from 0 and 1
        x = 3 * rng.standard_normal((size, 5)) + 2
        engine.forward(x, training=True)
        other(torch.from_numpy(x))
    other.train(training)
    leaf, dy = torch.tensor(x, requires_grad=True), rng.standard_normal((129, 3))
    expected = other(leaf)
    expected.backward(torch.tensor(dy))
    ours = engine.forward(x, training)
    np.testing.assert_allclose(ours, expected.detach().numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(engine.backward(dy, True), leaf.grad.numpy(), rtol=0, atol=1e-13)
    theirs, state = dict(other.named_parameters()), other.state_dict()
    for g in engine.gradients():
        grad = theirs[f"{g['layer']}.{g['name']}"].grad.numpy().T
        np.testing.assert_allclose(g["array"], grad, rtol=0, atol=1e-12)
    for p in engine.parameters():
        value = state[f"{p['layer']}.{p['name']}"].numpy().T
        np.testing.assert_allclose(p["array"], value, rtol=1e-13, atol=1e-14)
