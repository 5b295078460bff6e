# SPDX-License-Identifier: BSD-3-Clause
"""SGD and Adam with form="sklearn" train as scikit-learn's networks; losses with penalties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core, functional, nn, optim, reference
from layouts import DTYPES

ROWS, N_IN, HIDDEN, ALPHA, BATCH, EPOCHS = 67, 5, 7, 0.3, 16, 5  # the last batch has 3 rows


@pytest.fixture
def neural_network() -> Any:
    return pytest.importorskip("sklearn.neural_network")


OPTIMIZERS = {
    "sgd": {"momentum": 0.0, "nesterovs_momentum": False},
    "sgd-momentum": {"momentum": 0.9, "nesterovs_momentum": False},
    "sgd-nesterov": {"momentum": 0.8, "nesterovs_momentum": True},
    "adam": {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3},
}


def ours(solver: str) -> Any:
    theirs = OPTIMIZERS[solver]
    if solver == "adam":
        betas, eps = (theirs["beta_1"], theirs["beta_2"]), theirs["epsilon"]
        return optim.Adam(0.01, betas=betas, eps=eps, weight_decay=ALPHA, form="sklearn")
    values = {"momentum": theirs["momentum"], "nesterov": theirs["nesterovs_momentum"]}
    return optim.SGD(0.05, **values, weight_decay=ALPHA, form="sklearn")


def model_of(solver: str, outputs: int, dtype: str = "float64") -> nn.Sequential:
    layers = (nn.Linear(N_IN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, outputs))
    model = nn.Sequential(*layers, dtype=dtype, seed=3)
    loss = "half_mse" if outputs == 1 else "cross_entropy"
    model.compile(ours(solver), loss, penalty_in_loss=True)
    return model


def data(outputs: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((ROWS, N_IN))
    y = rng.standard_normal(ROWS) if outputs == 1 else rng.integers(0, outputs, ROWS)
    return x, y


def weights_of_rows() -> np.ndarray:
    weights = np.random.default_rng(8).uniform(0.1, 3, ROWS)
    weights[[3, 20, 66]] = 0
    return weights


def coefficients(model: nn.Sequential) -> tuple[list[np.ndarray], list[np.ndarray]]:
    layers = (model[0], model[2])
    return [v.weight.T.copy() for v in layers], [v.bias.copy() for v in layers]


def fitted_in_sklearn(
    neural_network: Any, model: nn.Sequential, solver: str, outputs: int, weights: Any
) -> Any:
    kind = neural_network.MLPRegressor if outputs == 1 else neural_network.MLPClassifier
    start = zip(*coefficients(model), strict=True)

    class Started(kind):  # type: ignore[misc, valid-type]
        def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> Any:
            return next(start)

    mlp = Started(
        hidden_layer_sizes=(HIDDEN,),
        activation="tanh",
        solver=solver.partition("-")[0],
        alpha=ALPHA,
        batch_size=BATCH,
        learning_rate_init=0.01 if solver == "adam" else 0.05,
        max_iter=EPOCHS,
        shuffle=False,
        tol=0,
        n_iter_no_change=EPOCHS,
        **OPTIMIZERS[solver],
    )
    return mlp.fit(*data(outputs), sample_weight=weights)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_five_epochs_are_those_of_scikit_learn(
    neural_network: Any, solver: str, outputs: int, weighted: bool
) -> None:
    model = model_of(solver, outputs)
    weights = weights_of_rows() if weighted else None
    mlp = fitted_in_sklearn(neural_network, model, solver, outputs, weights)
    history = model.fit(*data(outputs), BATCH, EPOCHS, shuffle=False, sample_weight=weights).history
    for own, other in zip(coefficients(model), (mlp.coefs_, mlp.intercepts_), strict=True):
        for a, b in zip(own, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())
    np.testing.assert_allclose(history["loss"], mlp.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_five_epochs_replayed_in_numpy(solver: str) -> None:
    """The formulas written down once more, without either library."""
    model, (x, y), weights = model_of(solver, 1), data(1), weights_of_rows()
    (w1, w2), (b1, b2) = coefficients(model)
    params = [w1, w2, b1, b2]
    means, squares = ([np.zeros_like(p) for p in params] for _ in range(2))
    options, t, curve = OPTIMIZERS[solver], 0, []
    for _ in range(EPOCHS):
        total = 0.0
        for first in range(0, ROWS, BATCH):
            rows = slice(first, first + BATCH)
            n, w = weights[rows].sum(), weights[rows, None]
            hidden = np.tanh(x[rows] @ w1 + b1)
            error = hidden @ w2 + b2 - y[rows, None]
            penalty = ALPHA / 2 * ((w1**2).sum() + (w2**2).sum()) / n
            total += len(error) * (float((w * error**2).sum() / 2 / n) + penalty)
            dz = (w * error) @ w2.T * (1 - hidden**2)
            grads = [(x[rows].T @ dz + ALPHA * w1) / n, (hidden.T @ (w * error) + ALPHA * w2) / n]
            grads += [dz.sum(0) / n, (w * error).sum(0) / n]
            t += 1
            for k, g in enumerate(grads):
                if solver == "adam":
                    one, two = options["beta_1"], options["beta_2"]
                    means[k] = one * means[k] + (1 - one) * g
                    squares[k] = two * squares[k] + (1 - two) * g**2
                    rate = 0.01 * np.sqrt(1 - two**t) / (1 - one**t)
                    params[k] -= rate * means[k] / (np.sqrt(squares[k]) + options["epsilon"])
                    continue
                means[k] = step = options["momentum"] * means[k] - 0.05 * g
                if options["nesterovs_momentum"]:
                    step = options["momentum"] * step - 0.05 * g
                params[k] += step
        curve.append(total / ROWS)
    history = model.fit(x, y, BATCH, EPOCHS, shuffle=False, sample_weight=weights).history
    weights_after, biases_after = coefficients(model)
    for a, b in zip([*weights_after, *biases_after], params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())
    np.testing.assert_allclose(history["loss"], curve, rtol=1e-9)


LAYERS = [
    ("linear", {"in_features": N_IN, "out_features": HIDDEN}),
    ("relu", {}),
    ("linear", {"in_features": HIDDEN, "out_features": 3}),
]


@pytest.mark.parametrize("clip", [{}, {"max_grad_norm": 0.5}])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("sgd", {"weight_decay": 0.4, "l1": 0.1}),
        ("sgd", {"weight_decay": 0.4, "l1": 0.1, "form": "sklearn", "momentum": 0.5}),
        ("adam", {"weight_decay": 0.4, "decoupled_weight_decay": True, "l1": 0.1}),
        ("adamw", {"l1": 0.1}),
    ],
    ids=str,
)
def test_losses_with_penalties_are_those_of_the_twin(
    name: str, hyper: Any, dtype: str, reduction: str, clip: Any
) -> None:
    x, y = data(3)
    weights = weights_of_rows()
    networks = [kind(LAYERS, dtype, 2) for kind in (_core.Network, reference.Network)]
    for p, q in zip(*(network.parameters() for network in networks), strict=True):
        q["array"][...] = p["array"]
    logs = []
    for network in networks:
        network.compile(
            "cross_entropy",
            {"reduction": reduction},
            name,
            {"lr": 1e-3} | hyper,
            {"0.bias": {"l1": 0.0}},
            penalty_in_loss=True,
            **clip,
        )
        network.set_frozen("2", True)
        found = network.fit(x, y, weights, batch_size=BATCH, epochs=2, shuffle=False)
        losses = [network.train_step(x, y, weights), network.train_step(x[:9], y[:9])]
        logs.append([*found["loss"], *found["penalty"], *losses])
    rtol = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(*logs, rtol=rtol)


def test_a_batch_without_weight_has_no_penalty() -> None:
    model = model_of("sgd", 1)
    before = model[0].weight.copy()
    assert model.train_step(*data(1), sample_weight=np.zeros(ROWS)) == 0
    np.testing.assert_array_equal(model[0].weight, before)


@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_parts_of_a_step_know_the_weight_of_their_batch(solver: str) -> None:
    whole, parts, by_hand = (model_of(solver, 1) for _ in range(3))
    x, y = data(1)
    weights = weights_of_rows()
    for _ in range(2):
        whole.train_step(x, y, sample_weight=weights)
        parts.loss_and_grad(x, y, weights)
        parts.forward(x[:3])  # another pass without gradients
        parts.apply_gradients()
    for key, value in whole.state_dict().items():
        np.testing.assert_array_equal(parts.state_dict()[key], value)
    whole = model_of(solver, 1)
    whole.train_step(x, y)
    _, dout = nn.HalfMSELoss()(by_hand.forward(x, training=True), y[:, None])
    by_hand.backward(dout)
    by_hand.apply_gradients()
    for key, value in whole.state_dict().items():
        np.testing.assert_allclose(by_hand.state_dict()[key], value, rtol=1e-13)


def test_the_loss_has_the_same_bits_on_any_threads() -> None:
    x, y = data(3)
    curves = []
    for threads in (1, 2, 3, 8):
        model = model_of("adam", 3, "float32")
        history = model.fit(x, y, BATCH, 3, n_threads=threads, validation_data=(x, y)).history
        assert list(history) == ["loss", "penalty", "val_loss"]
        curves.append(history)
    assert all(curve == curves[0] for curve in curves)


def test_functions_take_the_quotient() -> None:
    """A function knows no batch: its weight_decay is alpha over the weight."""
    w, g = np.array([2.0, -1.0]), np.array([0.5, 0.25])
    state = functional.sgd_state([w])
    values = {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.3 / 10, "form": "sklearn"}
    functional.sgd_step_([w], [g], state, **values)
    functional.sgd_step_([w], [g], state, **(values | {"lr": 0.0}))
    v = -0.1 * (g + 0.03 * np.array([2.0, -1.0]))
    np.testing.assert_allclose(w, np.array([2.0, -1.0]) + v + 0.5 * v, rtol=1e-15)
