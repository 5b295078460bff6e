# SPDX-License-Identifier: BSD-3-Clause
"""The rules of the twin's training loop, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn.reference import OPTIMIZERS, Network, optimizer_step


def small_network(dtype: str = "float64", loss: str = "cross_entropy", **kwargs: Any) -> Network:
    layers: list[tuple[str, dict[str, Any]]] = [
        ("linear", {"in_features": 4, "out_features": 6}),
        ("batch_norm1d", {"num_features": 6}),
        ("relu", {}),
        ("dropout", {"p": 0.2}),
        ("linear", {"in_features": 6, "out_features": 3}),
    ]
    network = Network(layers, dtype=dtype, seed=2)
    options = {"optimizer": "adamw", "optimizer_hyper": {"lr": 0.01}} | kwargs
    network.compile(loss, {}, **options)
    return network


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rng.standard_normal((50, 4)), rng.integers(0, 3, 50), rng.uniform(0, 2, 50)


def values(network: Network) -> list[np.ndarray]:
    return [p["array"].copy() for p in network.parameters()]


def test_fit_is_a_loop_of_train_step(data: Any) -> None:
    x, y, w = data
    fitted, looped = small_network(), small_network()
    history = fitted.fit(x, y, w, batch_size=16, epochs=2, shuffle=False)
    for epoch in range(2):
        batches = [slice(i, i + 16) for i in range(0, 50, 16)]
        losses = [looped.train_step(x[rows], y[rows], w[rows]) for rows in batches]
        in_batch = [w[rows].sum() for rows in batches]
        expected = np.average(losses, weights=in_batch)
        assert history["loss"][epoch] == pytest.approx(expected, rel=1e-14)
    for a, b in zip(values(fitted), values(looped), strict=True):
        np.testing.assert_array_equal(a, b)
    assert fitted.step == fitted.num_batches == 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arithmetic_stays_in_the_dtype(dtype: str, data: Any) -> None:
    network = small_network(dtype, max_grad_norm=1.0)
    network.fit(*data, batch_size=8, epochs=1)
    state = network.optimizer_state()["state"]
    arrays = [*network.parameters(), *network.gradients(), *state[0], *state[1]]
    assert {a["array"].dtype for a in arrays} == {np.dtype(dtype)}
    assert network.predict(data[0]).dtype == dtype


def test_training_learns_and_reports(data: Any) -> None:
    x, _, _ = data
    y = x[:, :3].argmax(axis=1)
    seen = []

    def on_epoch(epoch: int, logs: dict[str, float]) -> bool:
        seen.append(epoch)
        return logs["val_accuracy"] < 0.9

    network = small_network()
    history = network.fit(
        x, y, batch_size=10, epochs=300, first_epoch=3, validation=(x, y, None), metrics=True,
        on_epoch=on_epoch,
    )  # fmt: skip
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history["val_accuracy"][-1] >= 0.9
    assert seen == list(range(3, 3 + len(history["loss"])))
    assert len(seen) < 300
    results = network.evaluate(x, y)
    assert results == {k: history[f"val_{k}"][-1] for k in ("loss", "accuracy")}
    np.testing.assert_allclose(network.predict(x).sum(axis=1), 1)


def test_orders(data: Any) -> None:
    x, y, w = data
    reversed_rows = np.arange(50)[::-1]
    a, b = small_network(), small_network()
    a.fit(x, y, w, batch_size=7, epochs=1, orders=lambda _: reversed_rows)
    b.fit(x[::-1], y[::-1], w[::-1], batch_size=7, epochs=1, shuffle=False)
    for left, right in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(left, right)


def test_frozen_layers_and_own_learning_rates(data: Any) -> None:
    network = small_network(per_layer={4: {"lr": 0.0, "weight_decay": 0.0}})
    network.set_frozen(0, True)
    assert network.frozen(0)
    before = values(network)
    network.train_step(*data)
    moved = [bool((a != b).any()) for a, b in zip(before, values(network), strict=True)]
    names = [(p["layer"], p["name"]) for p in network.parameters()]
    assert names[:2] == [(0, "weight"), (0, "bias")]
    assert names[-2:] == [(4, "weight"), (4, "bias")]
    assert moved == [False, False, True, True, True, True, False, False]


def test_frozen_batch_norm_keeps_its_statistics(data: Any) -> None:
    network = small_network()
    network.set_frozen(1, True)
    before = values(network)
    network.train_step(*data)
    moved = [bool((a != b).any()) for a, b in zip(before, values(network), strict=True)]
    assert moved == [True, True, False, False, False, False, True, True]


def test_one_row_leaves_the_running_statistics_alone(data: Any) -> None:
    x, y, _ = data
    network = small_network()
    network.train_step(x[:1], y[:1])
    network.fit(x[:3], y[:3], batch_size=1, epochs=2)
    mean, var = network.parameters()[4:6]
    assert (mean["name"], var["name"]) == ("running_mean", "running_var")
    assert (mean["array"] == 0).all()
    assert (var["array"] == 1).all()
    assert network.num_batches == 0


def test_clipping_limits_the_global_norm(data: Any) -> None:
    network = small_network()
    network.loss_and_grad(*data)
    norm = network.clip_grad_norm(1e-3)
    after = np.sqrt(sum(np.sum(g["array"] ** 2) for g in network.gradients()))
    assert norm > 1e-3
    assert after == pytest.approx(1e-3 * norm / (norm + 1e-6), rel=1e-12)
    assert network.clip_grad_norm(1.0) == pytest.approx(after)


def test_a_gradient_made_elsewhere(data: Any) -> None:
    x, y, w = data
    a, b = small_network(), small_network()
    a.train_step(x, y, w)
    b.train_step_grad(x, b.loss.gradient(b.forward(x, training=True), y, w))
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        if p["trainable"]:  # b went forward twice: its running statistics moved twice
            np.testing.assert_array_equal(p["array"], q["array"])


def test_rows_that_weigh_nothing(data: Any) -> None:
    x, y, _ = data
    network = small_network()
    assert network.loss_and_grad(x, y, np.zeros(50)) == 0
    assert all((g["array"] == 0).all() for g in network.gradients())
    assert network.evaluate(x, y, np.zeros(50)) == {"loss": 0, "accuracy": 0}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_leaves_gradients_and_takes_any_stride(
    name: str, rng: np.random.Generator
) -> None:
    hyper = {"lr": 0.1, "weight_decay": 0.1, "l1": 0.01}
    w, g = rng.standard_normal((8, 6)), rng.standard_normal((4, 3))
    view, copy, kept = w[::2, ::2], w[::2, ::2].copy(), g.copy()
    n_states = OPTIMIZERS[name].states(hyper)
    for t in (1, 2):
        for array in (view, copy):
            states = [np.zeros((4, 3)) for _ in range(n_states)]
            optimizer_step(name, hyper, t, [array], [g], [states])
    np.testing.assert_array_equal(view, copy)
    np.testing.assert_array_equal(g, kept)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_no_gradient_no_step_even_without_eps(name: str) -> None:
    w = np.array([2.0])
    hyper = {"eps": 0.0, "weight_decay": 0.0}
    optimizer_step(name, hyper, 1, [w], [np.zeros(1)], [[np.zeros(1), np.zeros(1)]])
    assert w.tolist() == [2.0]


def test_l1_pulls_towards_zero() -> None:
    w = np.array([2.0, -2.0, 0.0])
    optimizer_step("sgd", {"lr": 0.5, "l1": 1.0}, 1, [w], [np.zeros(3)], [[]])
    assert w.tolist() == [1.5, -1.5, 0.0]


def test_unknown_layer_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown layer 'dense'; known: .*linear.*relu"):
        Network([("dense", {})])
