# SPDX-License-Identifier: BSD-3-Clause
"""fastnn.functional: losses and optimizer steps against the twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import _registry, reference
from fastnn.functional._functions import loss_name
from layouts import DTYPES, LAYOUTS, close, draws, read_only
from members import cases, outputs, paired, targets

if TYPE_CHECKING:
    from collections.abc import Callable

LOSSES = {name: getattr(F, loss_name(row)) for name, row in _registry.rows("losses").items()}


# -- losses ----------------------------------------------------------------------------------------


def outputs_and_targets(
    rng: np.random.Generator, name: str, shape: tuple[int, int], dtype: str
) -> tuple[Any, Any]:
    return outputs(rng, name, *shape, dtype), targets(rng, name, *shape, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), cases("losses"))
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (65, 10), (17, 33)], ids=str)
def test_losses(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], shape: tuple[int, int], dtype: str
) -> None:
    out, target = outputs_and_targets(rng, name, shape, dtype)
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


@pytest.mark.parametrize("name", [n for n in LOSSES if reference.LOSSES[n].target == "dense"])
def test_one_output_with_or_without_its_axis(rng: np.random.Generator, name: str) -> None:
    out, target = outputs_and_targets(rng, name, (6, 1), "float64")
    loss, grad = LOSSES[name](out, target)
    flat, flat_grad = LOSSES[name](out[:, 0], target[:, 0])
    assert loss == flat == LOSSES[name](out, target[:, 0])[0]
    assert flat_grad.shape == (6,)
    assert np.array_equal(grad[:, 0], flat_grad)


def test_losses_of_huge_logits() -> None:
    loss, grad = F.cross_entropy([[1e4, -1e4], [1e4, -1e4]], [0, 1])
    assert loss == 1e4
    assert grad.tolist() == [[0, 0], [0.5, -0.5]]
    loss, grad = F.bce_with_logits([1e4, -1e4, 1e4], [1.0, 0.0, 0.0])
    assert loss == pytest.approx(1e4 / 3, rel=1e-15)
    assert grad.tolist() == [0, 0, pytest.approx(1 / 3)]


def test_losses_refuse() -> None:
    scores = np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"\[cross_entropy\] target has 4 at row 1, column 0; exp"):
        F.cross_entropy(scores, [0, 4, 1])
    with pytest.raises(ValueError, match="target has -1 at row 0, column 0; expected class"):
        F.cross_entropy(scores, [-1, 0, 1])
    assert F.cross_entropy(scores, [0.0, 1.0, 2.0])[0] == F.cross_entropy(scores, [0, 1, 2])[0]
    with pytest.raises(ValueError, match=r"target has 0\.5 at row 0, column 0; expected class"):
        F.cross_entropy(scores, [0.5, 1.0, 2.0])
    with pytest.raises(ValueError, match="target has 2 rows, out has 3"):
        F.cross_entropy(scores, [0, 1])
    with pytest.raises(ValueError, match=r"\[mse_loss\] target has shape \(3,\)"):
        F.mse_loss(scores, [0, 1, 2])
    with pytest.raises(ValueError, match="sample_weight"):
        F.mse_loss(scores, scores, [1, 2])
    with pytest.raises(ValueError, match="mean"):
        F.mse_loss(scores, scores, reduction="median")


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


def test_optimizers_refuse_before_they_change_anything() -> None:
    w, v = np.ones(3), np.ones(2)
    state = F.adam_state([w, v])
    cases: list[tuple[type[Exception], str, Callable[[], None]]] = [
        (ValueError, r"grads\[1\] has shape \(3,\)", lambda: F.adam_step_([w, v], [w, w], state)),
        (ValueError, "grads has 1 arrays", lambda: F.adam_step_([w, v], [w], state)),
        (ValueError, "made for other parameters", lambda: F.adam_step_([v, w], [v, w], state)),
        (ValueError, "read-only", lambda: F.sgd_step_([v, read_only(w.copy())], [v, w], lr=1)),
        (
            TypeError,
            r"params\[1\] has dtype int64",
            lambda: F.sgd_step_([v, np.arange(3)], [v, w], lr=1),
        ),
        (TypeError, "expected a NumPy array", lambda: F.sgd_step_([[1.0]], [[1.0]], lr=1)),
        (
            ValueError,
            r"state is None; expected F.sgd_state\(params\): .* remembers momentum_buffer",
            lambda: F.sgd_step_(w, w, lr=1, momentum=0.9),
        ),
        (ValueError, "lr", lambda: F.sgd_step_(w, w, lr=-1)),
        (TypeError, "state is dict", lambda: F.adam_step_(w, w, {})),  # type: ignore[arg-type]
    ]
    for kind, text, call in cases:
        with pytest.raises(kind, match=text):
            call()
    assert (w.tolist(), v.tolist(), state.step) == ([1, 1, 1], [1, 1], 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_grad_norm(rng: np.random.Generator, dtype: str) -> None:
    grads = [draws(rng, (4, 3), dtype), draws(rng, 5, dtype), draws(rng, (300, 70), dtype)]
    grads.append(draws(rng, (20, 6), dtype)[::2, 1::2])
    twin = [g.astype(np.float64) for g in grads]
    factor, norm = reference.clip_factor(twin, 0.5)
    assert F.clip_grad_norm_(grads, 0.5) == pytest.approx(norm, rel=1e-14)
    for g, t in zip(grads, twin, strict=True):
        np.testing.assert_allclose(g, t * factor, rtol=1e-14 if dtype == "float64" else 1e-6)
    assert F.clip_grad_norm_(grads, 0.5) == pytest.approx(0.5, rel=1e-5)
    with pytest.raises(ValueError, match=r"grads\[0\] has a value that is not finite"):
        F.clip_grad_norm_([np.array([np.inf])], 1.0)
    with pytest.raises(ValueError, match="max_norm"):
        F.clip_grad_norm_(grads, 0)
