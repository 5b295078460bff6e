# SPDX-License-Identifier: BSD-3-Clause
"""Every loss has the value and gradient of the twin, of central differences and of torch.

Extremes are among the arguments; link and accuracy are the twin's, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import in_torch
from conftest import AWKWARD_SIZES, TOLERANCE
from differences import assert_slopes, differences
from fastnn import _core, reference
from layouts import DTYPES, close
from members import (
    Layers,
    cases,
    ending,
    fitted,
    linear,
    names,
    outputs,
    targets,
    without_reduction,
)
from pairs import Pair

ROWS = reference.LOSSES
every_case = pytest.mark.parametrize(("name", "hyper"), cases("losses"))
every_loss = pytest.mark.parametrize("name", names("losses"))
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def network_of(name: str, n_in: int, k: int, hyper: dict[str, Any] | None = None) -> Layers:
    return [linear(n_in, k), *ending(name, k, hyper)]


@pytest.mark.parametrize("weighted", [False, True])
@both_dtypes
@every_case
def test_kernels(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str, weighted: bool
) -> None:
    given = hyper
    for n, wished in zip(AWKWARD_SIZES, reversed(AWKWARD_SIZES), strict=True):
        hyper, k = fitted(name, given, wished)
        out, y = outputs(rng, name, n, k, dtype, hyper), targets(rng, name, n, k, dtype, hyper)
        w = rng.uniform(0, 2, n).astype(dtype) if weighted else None
        value, dout = _core.loss(name, hyper, out, y, w)
        # The twin computes in float64, at the very same points.
        expected, expected_dout = reference.loss(name, hyper, out.astype(np.float64), y, w)
        assert isinstance(value, float)
        assert dout.dtype == dtype
        close(value, expected, dtype, "loss", ROWS[name].tolerance)
        close(dout, expected_dout, dtype, "loss", ROWS[name].tolerance)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [2, 9])
@every_case
def test_slopes(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], k: int, weighted: bool
) -> None:
    hyper, k = fitted(name, hyper, k)
    out, y = outputs(rng, name, 7, k, hyper=hyper), targets(rng, name, 7, k, hyper=hyper)
    out = ROWS[name].smooth(out, **without_reduction(hyper))
    w = rng.uniform(0, 2, 7) if weighted else None
    _, dout = _core.loss(name, hyper, out, y, w)
    assert_slopes(dout, differences(lambda: _core.loss(name, hyper, out, y, w)[0], out))


@pytest.mark.parametrize("k", [2, 17])
@pytest.mark.parametrize(("name", "hyper"), in_torch.torch_cases("losses"))
def test_in_torch(
    rng: np.random.Generator, torch: Any, name: str, hyper: dict[str, Any], k: int
) -> None:
    hyper, k = fitted(name, hyper, k)
    out, y = outputs(rng, name, 33, k, hyper=hyper), targets(rng, name, 33, k, hyper=hyper)
    value, dout = _core.loss(name, hyper, out, y)
    expected, gradient = in_torch.loss(torch, name, hyper, out, y)
    assert value == pytest.approx(expected, rel=1e-13 * ROWS[name].tolerance)
    np.testing.assert_allclose(dout, gradient, rtol=1e-12 * ROWS[name].tolerance, atol=1e-15)


@pytest.mark.parametrize(("name", "hyper"), in_torch.torch_cases("losses"))
def test_extremes_in_torch(torch: Any, name: str, hyper: dict[str, Any]) -> None:
    if ROWS[name].torch.at_extremes is None:
        pytest.skip("torch's own formula is not finite there")
    hyper, _ = fitted(name, hyper, 2)
    far = [1e4, -1e4, 0.0, 40.0, -40.0]
    allowed = ROWS[name].output_range(**without_reduction(hyper))
    out = np.clip([[a, b] for a in far for b in far], *allowed)
    for ends_with, parameters in ending(name, 2, hyper) if ROWS[name].ends else ():
        out = reference.activation(ends_with, parameters, out)
    for side in (0, 1):
        labels = np.full(len(out), side)
        y = labels if ROWS[name].target == "class" else np.full(out.shape, float(side))
        value, dout = _core.loss(name, hyper, out, y)
        expected, gradient = in_torch.loss(torch, name, hyper, out, y)
        assert value == pytest.approx(expected, rel=1e-13 * ROWS[name].tolerance)
        rtol = ROWS[name].torch.at_extremes
        np.testing.assert_allclose(dout, gradient, rtol=rtol, atol=1e-15)


@pytest.mark.parametrize("weighted", [False, True])
@both_dtypes
@every_case
def test_inside_a_network(
    rng: np.random.Generator,
    awkward_shape: tuple[int, int, int],
    name: str,
    hyper: dict[str, Any],
    dtype: str,
    weighted: bool,
) -> None:
    n, n_in, k = awkward_shape
    k = max(k, 2) if ROWS[name].target == "class" else k  # one class is no choice
    hyper, k = fitted(name, hyper, k)
    pair = Pair(network_of(name, n_in, k, hyper), dtype).compile(name, loss_hyper=hyper)
    x = rng.standard_normal((n, n_in)).astype(dtype)
    y = targets(rng, name, n, k, dtype, hyper)
    w = rng.uniform(0.1, 2, n) if weighted else None
    values = [net.loss_and_grad(x, y, w) for net in (pair.engine, pair.twin)]
    pair.close(*values, "linear")
    pair.same_gradients("linear")
    for metrics in (False, True):
        ours, theirs = (net.evaluate(x, y, w, metrics=metrics) for net in (pair.engine, pair.twin))
        pair.close(ours["loss"], theirs["loss"], "linear")
        assert ("accuracy" in ours) == metrics
        if "accuracy" in theirs:
            pair.close(ours["accuracy"], theirs["accuracy"], "linear")
    for link in (False, True):
        ours, theirs = (net.predict(x, link=link) for net in (pair.engine, pair.twin))
        pair.close(ours, theirs, "linear")


@both_dtypes
@pytest.mark.parametrize("k", [2, 5, 40])
def test_of_equal_outputs_the_first_is_the_answer(dtype: str, k: int) -> None:
    """evaluate and the accuracy of a fit take the first of them, as argmax does."""
    network = _core.Network([linear(1, k)], dtype, 0)
    network.compile("cross_entropy", {}, "sgd", {"lr": 0.0})
    weight, bias = (p["array"] for p in network.parameters())
    weight[...] = 0
    x = np.ones((k, 1), dtype)
    below = [-3.0] + [-2.0] * (k - 1)
    for outputs_of_all in ([0.0] * k, [-1.0] + [2.0] * (k - 1), [0.0] * (k - 1) + [-1.0], below):
        bias[...] = outputs_of_all
        answer = np.argmax(outputs_of_all)
        for labels in (np.arange(k), np.full(k, answer)):
            expected = float(np.mean(labels == answer))
            assert network.evaluate(x, labels, metrics=True)["accuracy"] == expected
            report = network.fit(x, labels, batch_size=k, epochs=1, metrics=True, shuffle=False)
            assert report["accuracy"] == [expected]


@both_dtypes
@pytest.mark.parametrize(("loss", "boundary"), [("bce_with_logits", 0.0), ("bce", 0.5)])
def test_an_output_on_the_boundary_says_no(dtype: str, loss: str, boundary: float) -> None:
    """It takes more than one half to say yes; targets of one half count as no."""
    layers = [linear(1, 1), *([("sigmoid", {})] if loss == "bce" else [])]
    network = _core.Network(layers, dtype, 0)
    network.compile(loss, {}, "sgd", {"lr": 0.0})
    for p in network.parameters():
        p["array"][...] = 0
    x = np.zeros((4, 1), dtype)
    assert network.predict(x).tolist() == [[0.5]] * 4
    for target, share in ((0.0, 1.0), (0.5, 1.0), (1.0, 0.0)):
        y = np.full((4, 1), target, dtype)
        assert network.evaluate(x, y, metrics=True)["accuracy"] == share


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_logits_of_ten_thousand(dtype: str, reduction: str) -> None:
    """The expected numbers were worked out by hand."""
    hyper, share = {"reduction": reduction}, 0.25 if reduction == "mean" else 1.0
    z = np.array([[1e4, -1e4], [1e4, -1e4], [-1e4, 1e4], [0, 1e4]], dtype)
    value, dz = _core.loss("cross_entropy", hyper, z, np.array([0, 1, 0, 0]))
    assert value == share * (0 + 2e4 + 2e4 + 1e4)
    np.testing.assert_array_equal(dz, share * np.array([[0, 0], [1, -1], [-1, 1], [-1, 1]]))

    z = np.array([[1e4], [-1e4], [1e4], [-1e4]], dtype)
    y = np.array([[1], [0], [0], [1]], dtype)
    value, dz = _core.loss("bce_with_logits", hyper, z, y)
    assert value == share * 2e4
    np.testing.assert_array_equal(dz, share * np.array([[0], [0], [1], [-1]]))

    p = np.array([[1], [0], [0], [1]], dtype)
    value, dp = _core.loss("bce", hyper, p, np.array([[1], [0], [1], [0]], dtype))
    assert value == share * 200  # torch's limit of the logarithm, -100
    np.testing.assert_allclose(dp, share * np.array([[0], [0], [-1e12], [1e12]]), rtol=1e-6)


@both_dtypes
@every_case
def test_extremes(name: str, hyper: dict[str, Any], dtype: str) -> None:
    """Outputs and targets that overflow a careless formula give what the twin gives."""
    far = np.array([-1e4, -1e3, -89, -1, 0, 1, 89, 1e3, 1e4])
    hyper, k = fitted(name, hyper, 2)
    grid = np.meshgrid(*[far] * k)
    out = np.stack(grid, axis=-1).reshape(-1, k).astype(dtype)
    row = ROWS[name]
    for ends_with, parameters in ending(name, k, hyper):
        out = reference.activation(ends_with, parameters, out)
        out[out < np.finfo(dtype).smallest_normal] = 0  # as the engine has them: docs/numerics.md
    for side in (0, 1):
        columns = k // row.outputs_per_target(**without_reduction(hyper))
        dense = np.full((len(out), columns), side, dtype)
        y = np.full(len(out), side) if row.target == "class" else dense
        value, dout = _core.loss(name, hyper, out, y)
        with np.errstate(over="ignore"):
            expected, expected_dout = reference.loss(name, hyper, out, y)
        assert np.isfinite(value) == np.isfinite(expected)
        assert np.array_equal(np.isfinite(dout), np.isfinite(expected_dout))
        rtol = TOLERANCE[dtype, "loss"] * row.tolerance
        np.testing.assert_allclose(value, expected, rtol=rtol)
        np.testing.assert_allclose(dout, expected_dout, rtol=rtol, atol=1e-30 + rtol / len(out))


@both_dtypes
def test_a_confident_row_keeps_its_small_loss(dtype: str) -> None:
    z = np.array([[20.0], [30.0]])
    small = np.log1p(np.exp(-z))  # 2e-9 and 9e-14: 1 + 2e-9 is 1 in float32
    rtol = 4 * TOLERANCE[dtype, "loss"]
    hyper = {"reduction": "sum"}
    value, dz = _core.loss("bce_with_logits", hyper, -z.astype(dtype), np.zeros((2, 1), dtype))
    assert value == pytest.approx(small.sum(), rel=rtol)
    np.testing.assert_allclose(dz, reference.logistic(-z), rtol=rtol)


@both_dtypes
@pytest.mark.parametrize("k", [3, 40])
@pytest.mark.parametrize("rows", [1, 9])
def test_a_confident_row_keeps_its_small_gradient(rows: int, k: int, dtype: str) -> None:
    """Softmax - 1 at the label is 1e-6 or less, where 1 - 1e-6 has one digit of it in float32."""
    z = np.zeros((rows, k))
    z[:, 1] = 15
    _, dz = _core.loss("cross_entropy", {"reduction": "sum"}, z.astype(dtype), np.ones(rows, int))
    others = np.exp(-15.0) / (1 + (k - 1) * np.exp(-15.0))
    expected = np.full((rows, k), others)
    expected[:, 1] = -(k - 1) * others
    rtol = {"float32": 1e-6, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(dz, expected, rtol=rtol)


@every_loss
def test_weights_are_repetitions(rng: np.random.Generator, name: str) -> None:
    _, k = fitted(name, {}, 3)
    out, y = outputs(rng, name, 5, k), targets(rng, name, 5, k)
    times = np.array([1, 3, 0, 2, 1])
    value, dout = _core.loss(name, {}, out, y, times.astype(float))
    again, dagain = _core.loss(name, {}, out.repeat(times, axis=0), y.repeat(times, axis=0))
    assert value == pytest.approx(again, rel=1e-14)
    summed = np.zeros_like(dout)
    np.add.at(summed, np.arange(5).repeat(times), dagain)
    np.testing.assert_allclose(dout, summed, rtol=1e-12, atol=1e-15)


@every_loss
def test_rows_that_weigh_nothing(rng: np.random.Generator, name: str) -> None:
    _, k = fitted(name, {}, 3)
    pair = Pair(network_of(name, 4, k)).compile(name)
    x, y, w = rng.standard_normal((6, 4)), targets(rng, name, 6, k), np.zeros(6)
    before = [p["array"].copy() for p in pair.engine.parameters()]
    assert pair.engine.train_step(x, y, w) == 0
    for p, was in zip(pair.engine.parameters(), before, strict=True):
        np.testing.assert_array_equal(p["array"], was)
    with pytest.raises(ValueError, match=r"sample_weight is zero for all rows; expected"):
        pair.engine.evaluate(x, y, w, metrics=True)


@every_loss
def test_targets_of_any_dtype(rng: np.random.Generator, name: str) -> None:
    """Rows are gathered from the caller's array, and a column may come without its axis."""
    _, k = fitted(name, {}, 3 if ROWS[name].target == "class" else 1)
    network = Pair(network_of(name, 4, k)).compile(name).engine
    x, y = rng.standard_normal((9, 4)), rng.integers(0, 2, 9)
    expected = network.loss_and_grad(x, y)
    for dtype in ("bool", "uint8", "int16", "int32", "uint64"):
        assert network.loss_and_grad(x, y.astype(dtype)) == expected
        assert network.loss_and_grad(x, y.astype(dtype)[:, None]) == expected
