# SPDX-License-Identifier: BSD-3-Clause
"""Every activation has the values and derivatives of the twin, of central differences and of torch.

Tails, kinks and extremes are among the arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import in_torch
from conftest import AWKWARD_SIZES, TOLERANCE
from differences import assert_slopes, differences
from fastnn import _core, nn, reference
from fastnn import functional as F
from layouts import DTYPES, close, draws
from members import cases, network_with, off_kinks, row_of
from pairs import Pair

ROWS = reference.ACTIVATIONS
every_case = pytest.mark.parametrize(("name", "hyper"), cases("activations"))
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def value_and_gradient(name: str, hyper: dict[str, Any], z: Any, dy: Any) -> tuple[Any, Any]:
    a = _core.activation(name, hyper, z)
    saved = z if ROWS[name].needs == "input" else a
    return a, _core.activation_backward(name, hyper, dy, saved)


def expected_of(name: str, hyper: dict[str, Any], z: Any, dy: Any) -> tuple[Any, Any]:
    """Return what the twin gives in float64, at the very same points."""
    z, dy = z.astype(np.float64), dy.astype(np.float64)
    a = reference.activation(name, hyper, z)
    saved = z if ROWS[name].needs == "input" else a
    return a, reference.activation_backward(name, hyper, dy, saved)


@both_dtypes
@every_case
def test_kernels(rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str) -> None:
    for n, k in zip(AWKWARD_SIZES, reversed(AWKWARD_SIZES), strict=True):
        z, dy = 3 * draws(rng, (n, k), dtype), draws(rng, (n, k), dtype)
        for mine, other in zip(
            value_and_gradient(name, hyper, z, dy), expected_of(name, hyper, z, dy), strict=True
        ):
            assert mine.dtype == dtype
            close(mine, other, dtype, "activation", ROWS[name].tolerance)


@every_case
def test_slopes(rng: np.random.Generator, name: str, hyper: dict[str, Any]) -> None:
    z = off_kinks(name, hyper, 3 * rng.standard_normal((9, 7)))
    dy = rng.standard_normal(z.shape)
    _, dz = value_and_gradient(name, hyper, z, dy)
    assert_slopes(dz, differences(lambda: float(np.sum(dy * _core.activation(name, hyper, z))), z))


@every_case
def test_kinks_are_where_the_row_has_them(name: str, hyper: dict[str, Any]) -> None:
    """Tests by differences keep away from them; anywhere else the derivative is continuous."""
    row, step = ROWS[name], 1e-4
    if row.df is None:
        pytest.skip("it is smooth, and has no derivative of one number by one number")
    z = np.arange(-12, 12, step) + step / 3
    df = row.df(z if row.needs == "input" else row.f(z, **hyper), **hyper)
    jumps = z[:-1][np.abs(np.diff(df)) > 100 * step * np.maximum(1, np.abs(df[1:]))] + step / 2
    kinks = np.array(row.kinks(**hyper))
    assert all(np.abs(kinks - jump).min(initial=np.inf) < step for jump in jumps)


@pytest.mark.parametrize(("name", "hyper"), in_torch.torch_cases("activations"))
def test_in_torch(rng: np.random.Generator, torch: Any, name: str, hyper: dict[str, Any]) -> None:
    z, dy = 3 * rng.standard_normal((33, 17)), rng.standard_normal((33, 17))
    for k, kink in enumerate((0.0, *ROWS[name].kinks(**hyper))):
        z[0, k] = kink
    a, dz = value_and_gradient(name, hyper, z, dy)
    leaf = torch.tensor(z, requires_grad=True)
    expected = in_torch.module(torch, name, hyper)(leaf)
    expected.backward(torch.tensor(dy))
    rtol = 1e-12 * ROWS[name].tolerance
    np.testing.assert_allclose(a, expected.detach().numpy(), rtol=rtol, atol=1e-15)
    rtol = ROWS[name].torch.gradients * ROWS[name].tolerance
    np.testing.assert_allclose(dz, leaf.grad.numpy(), rtol=rtol, atol=1e-14)


@both_dtypes
@every_case
def test_every_value_keeps_its_digits(name: str, hyper: dict[str, Any], dtype: str) -> None:
    """Errors are relative to each value by itself, in the tails too, not to the largest of all."""
    z = np.concatenate([np.linspace(-12, 12, 1201), 10.0 ** np.arange(-30, 2)])
    z = np.concatenate([z, -(10.0 ** np.arange(-30, 1))])[:, None].astype(dtype)
    a = _core.activation(name, hyper, z)
    truth = reference.activation(name, hyper, z.astype(np.float64))
    kept = ROWS[name].keeps_digits(z, **hyper)
    rtol = 4 * TOLERANCE[dtype, "activation"] * ROWS[name].tolerance
    a, truth = a[kept], truth[kept]
    np.testing.assert_allclose(a, truth, rtol=rtol, atol=np.finfo(dtype).tiny)


@both_dtypes
@every_case
def test_inside_a_network(
    rng: np.random.Generator,
    awkward_shape: tuple[int, int, int],
    name: str,
    hyper: dict[str, Any],
    dtype: str,
) -> None:
    n, n_in, width = awkward_shape
    pair = Pair(network_with(name, hyper, n_in, width, 3), dtype)
    x, dy = draws(rng, (n, n_in), dtype), draws(rng, (n, 3), dtype)
    ours, theirs = (net.forward(x, training=True) for net in (pair.engine, pair.twin))
    pair.close(ours, theirs, "linear")
    pair.close(pair.engine.backward(dy, need_dx=True), pair.twin.backward(dy, True), "linear")
    pair.same_gradients("linear")


@both_dtypes
@every_case
def test_at_ten_thousand(name: str, hyper: dict[str, Any], dtype: str) -> None:
    z = np.array([[1e4, -1e4, 0.0, 1e3, -1e3, 89.0, -89.0, 710.0, -710.0]], dtype)
    a, dz = value_and_gradient(name, hyper, z, np.ones_like(z))
    for mine, other in zip((a, dz), expected_of(name, hyper, z, np.ones_like(z)), strict=True):
        with np.errstate(over="ignore"):  # exp(1e4) is infinite in either dtype
            expected = other.astype(dtype)
        assert np.array_equal(np.isfinite(mine), np.isfinite(expected))
        rtol = TOLERANCE[dtype, "activation"] * ROWS[name].tolerance
        np.testing.assert_allclose(mine, expected, rtol=rtol, atol=1e-30)


@both_dtypes
def test_sigmoid_and_tanh_saturate(dtype: str) -> None:
    z = np.array([[1e4, -1e4, 0.0]], dtype)
    a, dz = value_and_gradient("sigmoid", {}, z, np.ones_like(z))
    assert (a.tolist(), dz.tolist()) == ([[1, 0, 0.5]], [[0, 0, 0.25]])
    a, dz = value_and_gradient("tanh", {}, z, np.ones_like(z))
    assert (a.tolist(), dz.tolist()) == ([[1, -1, 0]], [[0, 0, 1]])


@every_case
def test_not_a_number_stays_one(name: str, hyper: dict[str, Any]) -> None:
    for dtype in DTYPES:
        z = np.array([[1.0, np.nan, -1.0]], dtype)
        a, dz = value_and_gradient(name, hyper, z, z)
        spreads = row_of("activations", name)["whole_rows"]
        expected = [[True] * 3] if spreads else [[False, True, False]]
        assert np.isnan(a).tolist() == np.isnan(dz).tolist() == expected


@both_dtypes
def test_softmax(rng: np.random.Generator, dtype: str) -> None:
    for n, k in zip(AWKWARD_SIZES, reversed(AWKWARD_SIZES), strict=True):
        z = 5 * draws(rng, (n, k), dtype)
        for name in ("softmax", "log_softmax"):
            close(_core.activation(name, {}, z), getattr(reference, name)(z), dtype, "activation")
        close(_core.activation("softmax", {}, z).sum(axis=1), np.ones(n), dtype, "activation")


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_in_torch(rng: np.random.Generator, torch: Any, name: str) -> None:
    z = 9 * rng.standard_normal((17, 33))
    z[0] *= 1000
    expected = getattr(torch, name)(torch.from_numpy(z), dim=1).numpy()
    np.testing.assert_allclose(_core.activation(name, {}, z), expected, rtol=1e-12, atol=1e-15)


@both_dtypes
def test_softmax_at_ten_thousand(dtype: str) -> None:
    z = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], dtype)
    p = _core.activation("softmax", {}, z)
    close(p, [[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]], dtype, "activation")
    log_p = _core.activation("log_softmax", {}, z)
    expected = [[0, -2e4, -1e4], [-np.log(3)] * 3, [-np.log(2), -np.log(2), -2e4 - np.log(2)]]
    rtol = TOLERANCE[dtype, "activation"]
    np.testing.assert_allclose(log_p, np.array(expected).astype(dtype), rtol=rtol)


def test_limits_have_an_order() -> None:
    """Of two parameters whose row says that one is above the other, by class, function and core."""
    text = r"max_val = -?1\.0; expected above min_val, which is (-1|2)\.0"
    for call in (
        lambda: nn.Hardtanh(2.0),
        lambda: nn.Hardtanh(max_val=-1.0),
        lambda: F.hardtanh(np.ones(3), 2.0),
        lambda: F.hardtanh_backward(np.ones(3), np.ones(3), max_val=-1.0),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    for hyper in ({"min_val": 2.0}, {"max_val": -1.0}):
        with pytest.raises(ValueError, match=r"\[hardtanh\] max_val = -?1; expected above min_val"):
            _core.activation("hardtanh", hyper, np.ones((2, 2)))
        with pytest.raises(ValueError, match=r"max_val = -?1; expected above min_val, which is"):
            _core.Network([("linear", {"in_features": 2, "out_features": 2}), ("hardtanh", hyper)])
    assert F.hardtanh([-5.0, 0.5, 5.0], 0.0, 3.0).tolist() == [0, 0.5, 3]


def test_a_step_says_that_it_does_not_learn() -> None:
    """And the layers behind it do."""
    for documented in (nn.Step, F.step):
        assert "do not learn" in " ".join((documented.__doc__ or "").split())
    model = nn.Sequential(nn.Linear(2, 3), nn.Step(), nn.Linear(3, 1), dtype="float64")
    model.compile("sgd", "mse")
    first, last = model[0].weight.copy(), model[2].weight.copy()
    model.train_step(np.ones((4, 2)), np.ones(4))
    assert np.array_equal(model[0].weight, first)
    assert not np.array_equal(model[2].weight, last)
