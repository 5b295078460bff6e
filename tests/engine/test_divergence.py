# SPDX-License-Identifier: BSD-3-Clause
"""Steps that leave the finite numbers are reported at once, and the model is whole afterwards."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

from fastnn import _core
from fastnn.errors import TrainingDivergedError
from layouts import DTYPES
from members import ending, linear, names, targets
from pairs import snapshot

N, F, K, BATCH = 60, 5, 3, 16
RATES = [10.0, 1e5, 1e30]
# States that overflow in different ways: none, a sum of gradients, means of squares.
KINDS: dict[str, tuple[str, dict[str, float]]] = {
    "sgd": ("sgd", {}),
    "momentum": ("sgd", {"momentum": 0.9, "nesterov": True}),
    "adam": ("adam", {}),
    "adamw": ("adamw", {"weight_decay": 0.1}),
}
OPTIMIZERS = {name: (name, {}) for name in names("optimizers")} | KINDS
CASES = [(loss, kind) for loss in names("losses") for kind in KINDS]
CASES += [("mse", name) for name in names("optimizers") if name not in KINDS]
WAYS = ["fit", "fit, clipped", "train_step", "own loop"]


def network(dtype: str, loss: str, optimizer: str, clip: float | None, **hyper: float) -> Any:
    name, more = OPTIMIZERS[optimizer]
    layers = [linear(F, 8), ("batch_norm1d", {"num_features": 8}), ("relu", {}), linear(8, K)]
    net = _core.Network(layers + ending(loss, K), dtype, 1)
    net.compile(loss, {}, name, {**more, **hyper}, max_grad_norm=clip)
    return net


def data(loss: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    x = rng.standard_normal((N, F)).astype(dtype)
    return x, targets(rng, loss, N, K, dtype)


def weights(net: Any) -> list[np.ndarray]:
    return [row["array"].copy() for row in net.parameters()]


def assert_kept(net: Any, before: list[np.ndarray]) -> None:
    for now, then in zip(weights(net), before, strict=True):
        np.testing.assert_array_equal(now, then)


def assert_said(error: BaseException, start: str) -> None:
    text = str(error)
    assert text.startswith(start)
    assert "Try a smaller learning rate" in text


def assert_whole(net: Any, x: np.ndarray) -> None:
    assert all(np.isfinite(array).all() for array in weights(net))
    assert not net.busy
    assert net.predict(x).shape == (len(x), net.n_outputs)


def by_fit(net: Any, x: np.ndarray, y: np.ndarray) -> list[float]:
    losses: list[float] = []

    def on_epoch(_: int, logs: dict[str, float]) -> bool:
        losses.append(logs["loss"])
        assert all(np.isfinite(array).all() for array in weights(net))
        return True

    try:
        logs = net.fit(x, y, batch_size=BATCH, epochs=8, on_epoch=on_epoch, n_threads=1)
    except TrainingDivergedError as error:
        assert_said(error, f"[fit] training diverged in epoch {len(losses)}, batch ")
        return losses
    assert logs["loss"] == losses
    return losses


def by_step(net: Any, x: np.ndarray, y: np.ndarray) -> list[float]:
    losses = []
    for step in range(32):
        rows = slice(step % 3 * BATCH, step % 3 * BATCH + BATCH)
        before, done = weights(net), net.step
        try:
            losses.append(net.train_step(x[rows], y[rows]))
        except TrainingDivergedError as error:
            assert_said(error, "[train_step] training diverged: ")
            assert_kept(net, before)
            assert net.step == done
            break
    return losses


def by_own_loop(net: Any, x: np.ndarray, y: np.ndarray) -> list[float]:
    losses = []
    for _ in range(12):
        before = weights(net)
        try:
            losses.append(net.loss_and_grad(x, y))
            before = weights(net)  # BatchNorm's statistics moved
            net.apply_gradients()
        except TrainingDivergedError as error:
            assert_said(error, "[")
            assert_kept(net, before)
            break
    return losses


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("loss", "optimizer"), CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_learning_rate_that_is_too_large(dtype, loss, optimizer, way):
    x, y = data(loss, dtype)
    for lr in RATES:
        net = network(dtype, loss, optimizer, 1.0 if way == "fit, clipped" else None, lr=lr)
        run = {"train_step": by_step, "own loop": by_own_loop}.get(way, by_fit)
        losses = run(net, x, y)
        assert np.isfinite(losses).all()
        assert_whole(net, x)


@pytest.mark.parametrize("lr", [1e-3, 0.5, 1.0])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_that_overflows(dtype, optimizer, lr):
    """If a gradient is infinite, no learning rate is small enough."""
    largest = float(np.finfo(dtype).max)
    layers = [linear(1, 1)]
    x, grad = np.full((4, 1), 100, dtype), np.full((4, 1), largest, dtype)
    for clip in (None, 1.0):
        net = _core.Network(layers, dtype, 1)
        name, more = OPTIMIZERS[optimizer]
        net.compile("mse", {}, name, {**more, "lr": lr}, max_grad_norm=clip)
        before = weights(net)
        with pytest.raises(TrainingDivergedError, match=r"^\[train_step\] training diverged"):
            net.train_step_grad(x, grad)
        assert_kept(net, before)
        net.forward(x, True)
        net.backward(grad)
        with pytest.raises(TrainingDivergedError, match="training diverged"):
            net.apply_gradients()
        assert_kept(net, before)


@pytest.mark.parametrize("clip", [None, 1e300])
@pytest.mark.parametrize("optimizer", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_state_that_overflows(dtype, optimizer, clip):
    """If Adam's mean square overflowed while its weights stay finite, nothing would move again."""
    largest = float(np.finfo(dtype).max)
    name, more = OPTIMIZERS[optimizer]
    adam = name != "sgd"
    hyper = {**more, "lr": 1e-3 if adam else 0.5}
    # Adam squares the gradient. Momentum adds 0.9 and 0.81 times the gradient to it, while the
    # weight stays far smaller.
    size = float(np.sqrt(largest)) * 100 if adam else largest / 2
    x, grad = np.ones((1, 1), dtype), np.full((1, 1), size, dtype)

    def made() -> Any:
        net = _core.Network([linear(1, 1)], dtype, 1)
        net.compile("mse", {}, name, hyper, max_grad_norm=clip)
        return net

    net = made()
    for _ in range(5):
        before = snapshot(net)
        try:
            net.train_step_grad(x, grad)
        except TrainingDivergedError:
            break
    else:
        pytest.fail("five steps without an overflow")
    for now, then in zip(snapshot(net), before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert all(np.isfinite(array).all() for array in snapshot(net))

    net = made()
    before = snapshot(net)
    with pytest.raises(TrainingDivergedError):
        net.fit(x, np.full((1, 1), -size, dtype), batch_size=1, epochs=5)
    assert all(np.isfinite(array).all() for array in snapshot(net))
    if adam:
        net = made()
        net.forward(x, True)
        net.backward(grad)
        with pytest.raises(TrainingDivergedError):
            net.apply_gradients()
        for now, then in zip(snapshot(net), before, strict=True):
            np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("large", ["x", "grad"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_may_be_large_because_of_either_factor(dtype, large):
    """To read x and dy costs less than to copy these weights; the squares of x or dy overflow."""
    size = 1e25 if dtype == "float32" else 1e200
    net = _core.Network([linear(64, 64)], dtype, 1)
    net.compile("mse", {}, "adam", {})
    x = np.full((2, 64), size if large == "x" else 1.0, dtype)
    grad = np.full((2, 64), size if large == "grad" else 1.0, dtype)
    before = snapshot(net)
    with pytest.raises(TrainingDivergedError, match="weights that are not finite"):
        net.train_step_grad(x, grad)
    for now, then in zip(snapshot(net), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("momentum", [0.1, 1.0])
@pytest.mark.parametrize("rows", [2, 3, 20])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_variance_that_overflows_when_it_is_made_unbiased(dtype, rows, momentum):
    """The batch's own variance is finite, but n / (n - 1) times as much is not, and would stay."""
    hyper = {"num_features": 2, "momentum": momentum}
    net = _core.Network([("batch_norm1d", hyper), linear(2, 1)], dtype, 1)
    net.compile("mse", {}, "sgd", {"lr": 1e-3})
    variance = float(np.finfo(dtype).max) * (1 - 0.5 / rows)
    x = np.ones((rows, 2), dtype)
    # mean square deviation: of two groups of unequal size, share (1 - share) gap^2
    share = rows // 2 / rows
    x[: rows // 2, 0] = 0
    x[rows // 2 :, 0] = np.sqrt(variance) / np.sqrt(share * (1 - share))
    assert np.isfinite(x[:, 0].astype(np.longdouble).var().astype(dtype))
    before = weights(net)
    with pytest.raises(TrainingDivergedError, match="batch statistics are not finite"):
        net.train_step(x, np.ones((rows, 1), dtype))
    assert_kept(net, before)


@pytest.mark.parametrize("layer", [0, 2, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_learning_rate_of_any_layer_may_be_the_one_that_is_too_large(dtype, layer):
    """To read gradients of two rows costs less than to copy the weights, which is not done."""
    far = 1e30 if dtype == "float32" else 1e300
    layers = [linear(64, 64), ("tanh", {}), linear(64, 64), ("tanh", {}), linear(64, 64)]
    net = _core.Network(layers, dtype, 1)
    net.compile("mse", {}, "sgd", {"lr": 1e-3}, {f"{layer}.weight": {"lr": far}})
    x, grad = np.full((2, 64), 0.5, dtype), np.full((2, 64), 1e12, dtype)
    before = weights(net)
    with pytest.raises(TrainingDivergedError, match="weights that are not finite"):
        net.train_step_grad(x, grad)
    assert_kept(net, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_inputs_whose_products_overflow(dtype):
    largest = float(np.finfo(dtype).max)
    for scale in (1e-1, 1e-3, 1e-10):
        for loss in ("l1", "cross_entropy", "mse"):
            x, y = data(loss, dtype)
            x[:] = np.sign(x) * largest * scale
            for normalised in (False, True):
                middle = [("batch_norm1d", {"num_features": F})] if normalised else []
                net = _core.Network([*middle, linear(F, K)], dtype, 1)
                net.compile(loss, {"reduction": "sum"}, "sgd", {"lr": 1e-3})
                with contextlib.suppress(TrainingDivergedError):
                    assert np.isfinite(net.train_step(x, y))
                assert all(np.isfinite(array).all() for array in weights(net))
                with contextlib.suppress(TrainingDivergedError):
                    logs = net.fit(x, y, batch_size=BATCH, epochs=2)
                    assert np.isfinite(logs["loss"]).all()
                assert all(np.isfinite(array).all() for array in weights(net))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_the_model_of_the_last_finite_epoch_comes_back(optimizer):
    """Weights, optimizer states and the count of steps are those of an epoch after the first."""
    x, y = data("mse", "float32")
    net = _core.Network([linear(F, K)], "float32", 1)
    name, more = OPTIMIZERS[optimizer]
    net.compile("mse", {}, name, {**more, "lr": 5.0})
    seen = [snapshot(net)]

    def on_epoch(*_: Any) -> bool:
        seen.append(snapshot(net))
        return True

    with pytest.raises(TrainingDivergedError, match="last finite epoch"):
        net.fit(x, y, batch_size=BATCH, epochs=500, on_epoch=on_epoch)
    assert len(seen) > 4
    for now, then in zip(snapshot(net), seen[-1], strict=True):
        np.testing.assert_array_equal(now, then)
    assert net.step == 4 * (len(seen) - 1)
