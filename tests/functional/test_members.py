# SPDX-License-Identifier: BSD-3-Clause
"""The functions of activations, losses and optimizers: each is the twin's, and keeps to its memory.

Every row of the registries has them, so the cases are made from the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import _core, _registry, reference
from fastnn.functional._functions import loss_name
from guard_pages import at_the_end
from layouts import DTYPES, LAYOUTS, close, draws
from members import cases, fitted, hyper_cases, names, outputs, paired, targets

LOSSES = {name: getattr(F, loss_name(row)) for name, row in _registry.rows("losses").items()}
RULES = [
    (name, hyper_cases("optimizers", name)[k]) for name in names("optimizers") for k in (0, -1)
]


# -- activations and softmax -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), cases("activations"))
def test_activations(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str
) -> None:
    function, backward = getattr(F, name), getattr(F, f"{name}_backward")
    row = reference.ACTIVATIONS[name]
    for shape in ((1, 1), (3, 17), (64, 33), (5,)):
        z, dy = draws(rng, shape, dtype), draws(rng, shape, dtype)
        a = function(z, **hyper)
        expected = reference.activation(name, hyper, z)
        close(a, expected, dtype, "activation", row.tolerance)
        saved = z if row.needs == "input" else a
        dz = backward(dy, saved, **hyper)
        expected = reference.activation_backward(name, hyper, dy, saved)
        close(dz, expected, dtype, "activation", row.tolerance)
        out = np.empty_like(z)
        assert function(z, **hyper, out=out) is out
        assert np.array_equal(out, a)
        assert backward(dy, saved, **hyper, out=out) is out
        assert np.array_equal(out, dz)


@pytest.mark.parametrize("name", names("activations"))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_activations_take_any_layout(rng: np.random.Generator, name: str, layout: str) -> None:
    z = draws(rng, (9, 13), "float32")
    function = getattr(F, name)
    assert np.array_equal(function(LAYOUTS[layout](z)), function(z))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 7, 8, 15, 16, 17, 1023, 1024, 1025, 40_000])
def test_elementwise_functions_stay_inside_the_callers_memory(rng, size, dtype) -> None:
    z, dy = draws(rng, size, dtype), draws(rng, size, dtype)
    for name in names("activations"):
        forward, backward = getattr(F, name), getattr(F, f"{name}_backward")
        a, dz = forward(z), backward(dy, z)
        rows = np.pad(z[None], ((0, 1), (0, 64)))[:1, :size]  # one row of a wider matrix
        np.testing.assert_array_equal(forward(rows)[0], a)
        gz, gdy, out = map(at_the_end, (z, dy, np.full_like(z, np.nan)))
        assert forward(gz, out=out) is out
        np.testing.assert_array_equal(out, a)
        assert backward(gdy, gz, out=out) is out
        np.testing.assert_array_equal(out, dz)
        for target in (gz, gdy):  # either input may take the result
            given_dy, given_z = gdy.copy(), gz.copy()
            other = (given_dy, target) if target is gz else (target, given_z)
            assert backward(*other, out=target) is target
            np.testing.assert_array_equal(target, dz)
            gz[...], gdy[...] = z, dy
        forward(gz, out=gz)
        np.testing.assert_array_equal(gz, a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax(rng: np.random.Generator, dtype: str) -> None:
    for shape in ((1, 1), (5,), (7, 10), (33, 17), (2, 3, 4)):
        x = draws(rng, shape, dtype)
        close(F.softmax(x), reference.softmax(x), dtype, "activation")
        close(F.log_softmax(x), reference.log_softmax(x), dtype, "activation")
    huge = np.array([[1e4, -1e4, 0.0]], dtype)
    assert F.softmax(huge).tolist() == [[1, 0, 0]]
    assert F.log_softmax(huge).tolist() == [[0, -2e4, -1e4]]
    for layout, change in LAYOUTS.items():
        x = draws(rng, (5, 6), dtype)
        assert np.array_equal(F.softmax(change(x)), F.softmax(x)), layout


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 3, 16, 33, 100, 5000])
def test_softmax_stays_inside_the_callers_memory(rng, columns, dtype) -> None:
    z = draws(rng, (9, columns), dtype)
    for function in (F.softmax, F.log_softmax):
        expected = np.vstack([function(row[None]) for row in z])
        out = at_the_end(np.full_like(z, np.nan))
        assert function(at_the_end(z), out=out) is out
        np.testing.assert_array_equal(out, expected)
        out[...] = z
        np.testing.assert_array_equal(function(out, out=out), expected)
        np.testing.assert_array_equal(function(np.asfortranarray(z)), expected)


def test_step() -> None:
    assert F.step([-1, 0, 2]).tolist() == [0, 1, 1]
    assert np.isnan(F.step([np.nan])[0])
    assert F.step(np.float32(3)).dtype == np.float32


# -- losses ----------------------------------------------------------------------------------------


def outputs_and_targets(
    rng: np.random.Generator,
    name: str,
    shape: tuple[int, int],
    dtype: str,
    hyper: dict[str, Any] | None = None,
) -> tuple[Any, Any]:
    """Of at least this shape: as many outputs as the loss needs."""
    _, k = fitted(name, hyper or {}, shape[1])
    given = (shape[0], k, dtype, hyper)
    return outputs(rng, name, *given), targets(rng, name, *given)


def takes_one_output(name: str) -> bool:
    row = reference.LOSSES[name]
    return row.target == "dense" and row.outputs_per_target() == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), cases("losses"))
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (65, 10), (17, 33)], ids=str)
def test_losses(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], shape: tuple[int, int], dtype: str
) -> None:
    hyper, _ = fitted(name, hyper, shape[1])
    out, target = outputs_and_targets(rng, name, shape, dtype, hyper)
    weights, factor = rng.uniform(0.1, 2, shape[0]), reference.LOSSES[name].tolerance
    for w in (None, weights.astype(dtype)):
        loss, grad = LOSSES[name](out, target, w, **hyper)
        expected = reference.loss(name, hyper, out, target, w)
        assert isinstance(loss, float)
        assert grad.dtype == dtype
        close(loss, expected[0], dtype, "loss", factor)
        close(grad, expected[1], dtype, "loss", factor)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_losses_take_any_layout(rng: np.random.Generator, name: str, layout: str) -> None:
    out, target = outputs_and_targets(rng, name, (9, 5), "float32")
    loss, grad = LOSSES[name](out, target)
    changed = LAYOUTS[layout](target) if target.ndim == 2 else target.astype(np.uint8)[:, None]
    again, same = LOSSES[name](LAYOUTS[layout](out), changed)
    assert again == loss
    assert np.array_equal(same, grad)


@pytest.mark.parametrize("name", [n for n in LOSSES if takes_one_output(n)])
def test_one_output_with_or_without_its_axis(rng: np.random.Generator, name: str) -> None:
    out, target = outputs_and_targets(rng, name, (6, 1), "float64")
    loss, grad = LOSSES[name](out, target)
    flat, flat_grad = LOSSES[name](out[:, 0], target[:, 0])
    assert loss == flat == LOSSES[name](out, target[:, 0])[0]
    assert flat_grad.shape == (6,)
    assert np.array_equal(grad[:, 0], flat_grad)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (9, 1), (5, 3), (40, 10), (3, 16), (300, 33), (2, 5000)])
def test_losses_stay_inside_the_callers_memory(rng, shape, dtype) -> None:
    """Value and gradient do not depend on whether rows are adjacent, with weights or without."""
    n = shape[0]
    for name, loss in LOSSES.items():
        out, target = outputs_and_targets(rng, name, shape, dtype)
        for weights in (None, rng.uniform(0.5, 2, n)):
            for reduction in ("mean", "sum"):
                plain = loss(out, target, weights, reduction=reduction)
                wide = np.pad(out, ((0, 1), (3, 5)))[:n, 3 : 3 + out.shape[1]]
                long_way = loss(wide, target.tolist(), weights, reduction=reduction)
                given = at_the_end(out), at_the_end(target)
                other = loss(
                    *given, None if weights is None else at_the_end(weights), reduction=reduction
                )
                np.testing.assert_array_equal(other[1], plain[1])
                np.testing.assert_array_equal(long_way[1], plain[1])
                assert other[0] == plain[0]
                assert long_way[0] == pytest.approx(plain[0], rel=1e-14)


def test_losses_of_huge_logits() -> None:
    loss, grad = F.cross_entropy([[1e4, -1e4], [1e4, -1e4]], [0, 1])
    assert loss == 1e4
    assert grad.tolist() == [[0, 0], [0.5, -0.5]]
    loss, grad = F.bce_with_logits([1e4, -1e4, 1e4], [1.0, 0.0, 0.0])
    assert loss == pytest.approx(1e4 / 3, rel=1e-15)
    assert grad.tolist() == [0, 0, pytest.approx(1 / 3)]


# -- optimizers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), cases("optimizers"))
@pytest.mark.parametrize("strided", [False, True])
def test_optimizers(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str, strided: bool
) -> None:
    shapes = [(7, 5), (5,), (17, 33)]
    mine = [draws(rng, shape, dtype) for shape in shapes]
    if strided:  # of memory whose other half must stay as it is
        mine = [np.repeat(p, 2, axis=-1)[..., ::2] for p in mine]
    twin = [p.copy() for p in mine]
    before = [p.base[..., 1::2].copy() for p in mine] if strided else []
    row = reference.OPTIMIZERS[name]
    states = [[np.zeros_like(p) for _ in range(row.states(hyper))] for p in twin]
    make = getattr(F, f"{name}_state", None)  # of rules that keep nothing there is none
    state = make(mine) if make else None
    function = getattr(F, f"{name}_step_")
    for t in range(1, 6):
        grads = [draws(rng, shape, dtype) for shape in shapes]
        function(mine, grads, state, **paired("optimizers", name, hyper))
        for p, g, s in zip(twin, grads, states, strict=True):
            row.update(p, g, s, t, **hyper)
    assert state is None or state.step == 5
    for got, expected in zip(mine, twin, strict=True):
        close(got, expected, dtype, "optimizer", row.tolerance)
    for p, other in zip(mine, before, strict=False):
        assert np.array_equal(p.base[..., 1::2], other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 15, 16, 17, 257, 70_001])
def test_steps_stay_inside_the_callers_memory(rng, size, dtype) -> None:
    w, g, m = draws(rng, size, dtype), draws(rng, size, dtype), draws(rng, size, dtype)
    for name, hyper in RULES:
        step, memory = getattr(F, f"{name}_step_"), _core.states_of(name, hyper)
        results = []
        for lay in (np.copy, at_the_end, lambda a: np.repeat(a, 2)[::2]):
            param, grad = lay(w), lay(g)
            kept = {state: [lay(m * m)] for state in memory}
            state = F.OptimizerState(3, kept) if memory else None
            step(param, grad, state, **paired("optimizers", name, hyper))
            assert state is None or state.step == 4
            results.append([param.copy(), *(a.copy() for (a,) in kept.values())])
            np.testing.assert_array_equal(grad, g)
        for other in results[1:]:
            for mine, theirs in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("name", "hyper"), cases("optimizers"))
def test_a_state_has_what_its_steps_need(rng, name: str, hyper: dict[str, Any]) -> None:
    """What only other values need comes with the first step that has them; then steps are plain."""
    if not hasattr(F, f"{name}_state"):
        assert not _core.states_of(name, hyper)
        return
    params, grads = ([draws(rng, shape, "float32") for shape in ((3, 4), (5,))] for _ in range(2))
    state = getattr(F, f"{name}_state")(params)
    assert list(state.arrays) == _core.states_of(name, {})
    before = set(state.arrays)
    getattr(F, f"{name}_step_")(params, grads, state, **paired("optimizers", name, hyper))
    assert set(state.arrays) == before | set(_core.states_of(name, hyper))
    for arrays in state.arrays.values():
        assert [(a.shape, a.dtype) for a in arrays] == [(p.shape, p.dtype) for p in params]
    assert _core.plain_step(name, hyper, 2, params, grads, state.arrays)


def test_a_state_of_another_optimizer() -> None:
    w = np.ones(3)
    with pytest.raises(ValueError, match=r"'exp_avg', which rmsprop does not remember; expected F"):
        F.rmsprop_step_(w, w, F.adam_state(w))


def test_a_step_may_share_its_arrays() -> None:
    """The gradient may be the parameter; arrays that overlap otherwise are read first."""
    w = np.arange(1.0, 41.0)
    F.sgd_step_(w, w, lr=0.5)
    np.testing.assert_array_equal(w, np.arange(1.0, 41.0) / 2)
    memory = np.arange(1.0, 42.0)
    F.sgd_step_(memory[1:], memory[:-1].copy(), lr=1.0)
    other = np.arange(1.0, 42.0)
    F.sgd_step_(other[1:], other[:-1], lr=1.0)
    np.testing.assert_array_equal(other, memory)
