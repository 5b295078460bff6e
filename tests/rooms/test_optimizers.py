# SPDX-License-Identifier: BSD-3-Clause
"""Every optimizer takes the steps of the twin and of torch: rules, states, groups, corner cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import in_torch
from conftest import AWKWARD_SHAPES
from fastnn import _core, reference
from layouts import DTYPES, close, draws
from members import Layers, cases, hyper_cases, linear, names, other_values, row_of

ROWS = reference.OPTIMIZERS
SHAPES = [(n, k) for n, _, k in AWKWARD_SHAPES] + [(17,), (1,)]
every_case = pytest.mark.parametrize(("name", "hyper"), cases("optimizers"))
every_optimizer = pytest.mark.parametrize("name", names("optimizers"))
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def zeros_like(params: list[Any], name: str, hyper: dict[str, Any]) -> dict[str, list[Any]]:
    """Return state arrays as the core takes them: of all parameters, by the name of the state."""
    states = _core.states_of(name, hyper)
    assert len(states) == ROWS[name].states(hyper)
    return {state: [np.zeros_like(p) for p in params] for state in states}


def stepped(name: str, hyper: dict[str, Any], steps: int = 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((5, 3))
    states = zeros_like([w], name, hyper)
    for t in range(1, steps + 1):
        _core.optimizer_step(name, hyper, t, [w], [rng.standard_normal((5, 3))], states)
    return w


@both_dtypes
@every_case
def test_steps(rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str) -> None:
    ours = [draws(rng, shape, dtype) for shape in SHAPES]
    theirs = [p.copy() for p in ours]
    our_states, their_states = (zeros_like(ours, name, hyper) for _ in range(2))
    for t in range(1, 8):
        grads = [draws(rng, shape, dtype) for shape in SHAPES]
        kept = [g.copy() for g in grads]
        _core.optimizer_step(name, hyper, t, ours, grads, our_states)
        by_parameter = list(zip(*their_states.values(), strict=True)) or [()] * len(theirs)
        reference.optimizer_step(name, hyper, t, theirs, grads, by_parameter)
        for g, was in zip(grads, kept, strict=True):
            np.testing.assert_array_equal(g, was)
        # All parameters together: a single number may cancel to anything.
        for mine, other in zip(
            [ours, *our_states.values()], [theirs, *their_states.values()], strict=True
        ):
            flat = [np.concatenate([a.ravel() for a in arrays]) for arrays in (mine, other)]
            close(*flat, dtype, "optimizer", ROWS[name].tolerance)


@both_dtypes
@every_optimizer
def test_late_steps(rng: np.random.Generator, name: str, dtype: str) -> None:
    """The corrections of Adam's bias have died out by then, and may not overflow."""
    hyper = hyper_cases("optimizers", name)[-1]
    for t in (1000, 10**6, 2**33):
        ours = draws(rng, (7, 9), dtype)
        theirs, g = ours.copy(), draws(rng, (7, 9), dtype)
        states = {s: np.abs(draws(rng, (7, 9), dtype)) for s in _core.states_of(name, hyper)}
        copies = {s: [array.copy()] for s, array in states.items()}
        _core.optimizer_step(name, hyper, t, [ours], [g], copies)
        reference.optimizer_step(name, hyper, t, [theirs], [g], [list(states.values())])
        close(ours, theirs, dtype, "optimizer", ROWS[name].tolerance)


@every_optimizer
def test_every_hyperparameter_matters(name: str) -> None:
    others = other_values("optimizers", name)
    with_all = stepped(name, others)
    for parameter in others:
        without = {key: value for key, value in others.items() if key != parameter}
        assert (stepped(name, without) != with_all).any(), parameter


@both_dtypes
@every_optimizer
def test_no_gradient_no_step(name: str, dtype: str) -> None:
    """This holds without eps, where 0 / 0 threatens, and after a step that had a gradient, too."""
    rows = {p["name"]: p for p in row_of("optimizers", name)["params"]}
    hyper = {key: 0.0 for key in ("eps", "weight_decay") if key in rows}
    hyper = {key: value for key, value in hyper.items() if not rows[key]["open_below"]}
    w = np.array([2.0, -3.0], dtype)
    states = zeros_like([w], name, hyper)
    _core.optimizer_step(name, hyper, 1, [w], [np.array([0, 1], dtype)], states)
    assert w[0] == 2
    assert np.isfinite(w[1])
    assert w[1] < -3
    assert all(np.isfinite(s).all() and s[0] == 0 for (s,) in states.values())


@every_optimizer
def test_penalties(name: str) -> None:
    """l1 pulls towards zero and leaves zero alone; so does weight_decay."""
    without = {key: 0.0 for key in ("l1", "weight_decay") if key in ROWS[name].hypers}
    for penalty in without:
        w = np.array([2.0, -2.0, 0.0])
        hyper = {"lr": 0.01} | without | {penalty: 0.5}
        states = zeros_like([w], name, hyper)
        _core.optimizer_step(name, hyper, 1, [w], [np.zeros(3)], states)
        assert 0 < w[0] < 2
        assert w[1] == -w[0]
        assert w[2] == 0


def test_by_hand() -> None:
    """The first steps on one number were worked out by hand."""
    w, v = np.array([1.0]), np.array([0.0])
    hyper = {"lr": 0.5, "momentum": 0.5, "dampening": 0.5}
    for t, expected in ((1, 0.0), (2, -1.0)):  # v = 2, then 1 + 1
        _core.optimizer_step("sgd", hyper, t, [w], [np.array([2.0])], {"momentum_buffer": [v]})
        assert w[0] == expected
    assert v[0] == 2

    w, v = np.array([1.0]), np.array([0.0])
    hyper = {"lr": 0.5, "momentum": 0.5, "nesterov": True, "weight_decay": 1.0}
    _core.optimizer_step("sgd", hyper, 1, [w], [np.array([1.0])], {"momentum_buffer": [v]})
    assert w[0] == 1 - 0.5 * (2 + 0.5 * 2)

    w = np.array([1.0])
    states = zeros_like([w], "adam", {})
    _core.optimizer_step("adam", {"lr": 0.5, "eps": 0}, 1, [w], [np.array([-7.0])], states)
    assert w[0] == pytest.approx(1.5, rel=1e-15)  # the first step of Adam is lr, whatever g is
    assert [s[0] for (s,) in states.values()] == [pytest.approx(-0.7), pytest.approx(0.049)]

    w = np.array([1.0])
    states = zeros_like([w], "adam", {})
    hyper = {"lr": 0.5, "eps": 0, "weight_decay": 0.5}
    _core.optimizer_step("adamw", hyper, 1, [w], [np.array([-7.0])], states)
    assert w[0] == pytest.approx(0.75 + 0.5, rel=1e-15)


# -- torch -----------------------------------------------------------------------------------------

# No bias stands below BatchNorm, which cancels it: its gradient is rounding noise, and some rules
# divide noise by the root of its mean square.
NETWORK: Layers = [
    linear(5, 17, bias=False),
    ("batch_norm1d", {"num_features": 17}),
    ("tanh", {}),
    linear(17, 9, bias=False),
    ("gelu", {}),
    linear(9, 3),
]


def fifty_steps(
    torch: Any, engine: Any, other: Any, name: str, optimizer: Any, **settings: float
) -> None:
    """Train both on batches of unequal sizes, and compare parameters and running statistics."""
    rng = np.random.default_rng(20240229)
    start = [p["array"].copy() for p in engine.parameters()]
    for size in rng.integers(2, 65, 50):
        x, y = rng.standard_normal((size, 5)), rng.integers(0, 3, size)
        loss = engine.train_step(x, y)
        optimizer.zero_grad()
        expected = torch.nn.functional.cross_entropy(
            other(torch.from_numpy(x)), torch.from_numpy(y)
        )
        expected.backward()
        for setting, limit in settings.items():
            clip = setting.replace("max", "clip") + "_"
            getattr(torch.nn.utils, clip)(other.parameters(), limit)
        optimizer.step()
        assert loss == pytest.approx(expected.item(), rel=1e-12 * ROWS[name].tolerance)
    values = in_torch.values(other)
    moved = max(
        np.abs(p["array"] - w).max() for p, w in zip(engine.parameters(), start, strict=True)
    )
    for p in engine.parameters():
        atol = 1e-12 * moved * ROWS[name].tolerance
        np.testing.assert_allclose(p["array"], values[p["key"]], rtol=0, atol=atol)
    assert engine.num_batches() == {"1": int(other[1].num_batches_tracked)} == {"1": 50}


@pytest.mark.usefixtures("exact_scalars")
@pytest.mark.parametrize(
    "settings", [{}, {"max_grad_norm": 0.2}, {"max_grad_value": 0.02}], ids=str
)
@pytest.mark.parametrize(("name", "hyper"), in_torch.torch_cases("optimizers"))
def test_fifty_steps_in_torch(
    torch: Any, name: str, hyper: dict[str, Any], settings: dict[str, float]
) -> None:
    engine = _core.Network(NETWORK, "float64", 4)
    other = in_torch.network(torch, NETWORK, engine)
    hyper = hyper | {"lr": 0.01}
    engine.compile("cross_entropy", {}, name, hyper, **settings)
    optimizer = in_torch.optimizer(torch, name, hyper, other.parameters())
    fifty_steps(torch, engine, other, name, optimizer, **settings)


@pytest.mark.usefixtures("exact_scalars")
@pytest.mark.parametrize("name", in_torch.torch_names("optimizers"))
def test_layers_of_their_own_in_torch(torch: Any, name: str) -> None:
    """Groups of parameters are those of torch, and freezing is its requires_grad."""
    engine = _core.Network(NETWORK, "float64", 4)
    other = in_torch.network(torch, NETWORK, engine)
    decays = "weight_decay" in ROWS[name].hypers
    hyper = {"lr": 0.005} | ({"weight_decay": 0.1} if decays else {})
    first = {"lr": 0.001} | ({"weight_decay": 0.3} if decays else {})
    groups = [
        {"params": [other[1].weight], **first},
        {"params": [other[1].bias], "lr": 0.0},
        {"params": other[3].parameters()},
        {"params": other[5].parameters(), "lr": 0.02},
    ]
    own = {"1.weight": first, "1.bias": {"lr": 0.0}}
    own |= {"5.weight": {"lr": 0.02}, "5.bias": {"lr": 0.02}}
    engine.compile("cross_entropy", {}, name, hyper, own)
    engine.set_frozen("0", True)
    other[0].weight.requires_grad_(False)
    fifty_steps(torch, engine, other, name, in_torch.optimizer(torch, name, hyper, groups))
