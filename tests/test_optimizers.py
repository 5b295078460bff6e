# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers of the engine against the twin: rules, states, corner cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conftest import AWKWARD_SHAPES
from fastnn import _core, reference
from guises import DTYPES, close, draws
from pairs import REGISTRIES, cases, hyper_cases, names, other_value

ROWS = {row["name"]: row for row in REGISTRIES["optimizers"]}
SHAPES = [(n, k) for n, _, k in AWKWARD_SHAPES] + [(17,), (1,)]
every_case = pytest.mark.parametrize(("name", "hyper"), cases("optimizers"))
every_optimizer = pytest.mark.parametrize("name", names("optimizers"))
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def zeros_like(params: list[Any], n_states: int) -> list[list[Any]]:
    """State arrays as the engine lists them: every kind of state, for all parameters."""
    return [[np.zeros_like(p) for p in params] for _ in range(n_states)]


def stepped(name: str, hyper: dict[str, Any], steps: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((5, 3))
    states = zeros_like([w], ROWS[name]["max_states"])
    for t in range(1, steps + 1):
        _core.optimizer_step(name, hyper, t, [w], [rng.standard_normal((5, 3))], states)
    return w


@both_dtypes
@every_case
def test_steps(rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str) -> None:
    ours = [draws(rng, shape, dtype) for shape in SHAPES]
    theirs = [p.copy() for p in ours]
    our_states, their_states = (
        zeros_like(ours, reference.OPTIMIZERS[name].states(hyper)) for _ in range(2)
    )
    for t in range(1, 8):
        grads = [draws(rng, shape, dtype) for shape in SHAPES]
        kept = [g.copy() for g in grads]
        _core.optimizer_step(name, hyper, t, ours, grads, our_states)
        by_parameter = list(zip(*their_states, strict=True)) or [()] * len(theirs)
        reference.optimizer_step(name, hyper, t, theirs, grads, by_parameter)
        for g, was in zip(grads, kept, strict=True):
            np.testing.assert_array_equal(g, was)
        # All parameters together: a single number may cancel to anything.
        for mine, other in zip([ours, *our_states], [theirs, *their_states], strict=True):
            flat = [np.concatenate([a.ravel() for a in arrays]) for arrays in (mine, other)]
            close(*flat, dtype, "optimizer")


@both_dtypes
@every_optimizer
def test_late_steps(rng: np.random.Generator, name: str, dtype: str) -> None:
    """The corrections of Adam's bias have died out by then, and may not overflow."""
    hyper = hyper_cases(ROWS[name])[-1]
    for t in (1000, 10**6, 2**33):
        ours = draws(rng, (7, 9), dtype)
        theirs, g = ours.copy(), draws(rng, (7, 9), dtype)
        n_states = reference.OPTIMIZERS[name].states(hyper)
        states = [np.abs(draws(rng, (7, 9), dtype)) for _ in range(n_states)]
        _core.optimizer_step(name, hyper, t, [ours], [g], [[s.copy()] for s in states])
        reference.optimizer_step(name, hyper, t, [theirs], [g], [states])
        close(ours, theirs, dtype, "optimizer")


@every_optimizer
def test_every_hyperparameter_matters(name: str) -> None:
    others = {h["name"]: other_value(h) for h in ROWS[name]["hypers"]}
    with_all = stepped(name, others)
    for hyper in ROWS[name]["hypers"]:
        without = {key: value for key, value in others.items() if key != hyper["name"]}
        assert (stepped(name, without) != with_all).any(), hyper["name"]


@both_dtypes
@every_optimizer
def test_no_gradient_no_step(name: str, dtype: str) -> None:
    """Also without eps, where 0 / 0 threatens, and also after a step that had a gradient."""
    names_of = {h["name"] for h in ROWS[name]["hypers"]}
    hyper = {key: 0.0 for key in ("eps", "weight_decay") if key in names_of}
    w = np.array([2.0, -3.0], dtype)
    states = zeros_like([w], ROWS[name]["max_states"])
    _core.optimizer_step(name, hyper, 1, [w], [np.array([0, 1], dtype)], states)
    assert w[0] == 2
    assert -3.1 < w[1] < -3
    assert all(np.isfinite(s).all() and s[0] == 0 for (s,) in states)


@every_optimizer
def test_penalties(name: str) -> None:
    """l1 pulls towards zero and leaves zero alone; so does weight_decay."""
    for penalty in ("l1", "weight_decay"):
        w = np.array([2.0, -2.0, 0.0])
        hyper = {"lr": 0.25, "weight_decay": 0.0} | {penalty: 0.5}
        states = zeros_like([w], ROWS[name]["max_states"])
        _core.optimizer_step(name, hyper, 1, [w], [np.zeros(3)], states)
        assert 0 < w[0] < 2
        assert w[1] == -w[0]
        assert w[2] == 0


def test_by_hand() -> None:
    """The first steps on one number, worked out with a pencil."""
    w, v = np.array([1.0]), np.array([0.0])
    hyper = {"lr": 0.5, "momentum": 0.5, "dampening": 0.5}
    for t, expected in ((1, 0.0), (2, -1.0)):  # v = 2, then 1 + 1
        _core.optimizer_step("sgd", hyper, t, [w], [np.array([2.0])], [[v]])
        assert w[0] == expected
    assert v[0] == 2

    w, v = np.array([1.0]), np.array([0.0])
    hyper = {"lr": 0.5, "momentum": 0.5, "nesterov": True, "weight_decay": 1.0}
    _core.optimizer_step("sgd", hyper, 1, [w], [np.array([1.0])], [[v]])
    assert w[0] == 1 - 0.5 * (2 + 0.5 * 2)

    w, states = np.array([1.0]), [[np.array([0.0])], [np.array([0.0])]]
    _core.optimizer_step("adam", {"lr": 0.5, "eps": 0}, 1, [w], [np.array([-7.0])], states)
    assert w[0] == pytest.approx(1.5, rel=1e-15)  # the first step of Adam is lr, whatever g is
    assert [s[0] for (s,) in states] == [pytest.approx(-0.7), pytest.approx(0.049)]

    w, states = np.array([1.0]), [[np.array([0.0])], [np.array([0.0])]]
    hyper = {"lr": 0.5, "eps": 0, "weight_decay": 0.5}
    _core.optimizer_step("adamw", hyper, 1, [w], [np.array([-7.0])], states)
    assert w[0] == pytest.approx(0.75 + 0.5, rel=1e-15)
