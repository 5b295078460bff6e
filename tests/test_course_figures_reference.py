# SPDX-License-Identifier: BSD-3-Clause
"""Figures printed in introductory courses, reproduced with the twin, to the last printed digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fastnn import reference
from fastnn.reference import Network
from figures import GRADIENT_DESCENT

if TYPE_CHECKING:
    from pathlib import Path


def set_weights(network: Network, weights: list[np.ndarray]) -> None:
    for parameter, value in zip(network.parameters(), weights, strict=True):
        parameter["array"][...] = value


def linear(n_in: int, n_out: int, bias: bool) -> tuple[str, dict[str, object]]:
    return ("linear", {"in_features": n_in, "out_features": n_out, "bias": bias})


def test_softmax_of_a_list() -> None:
    printed = [0.09003057, 0.24472847, 0.66524096]
    np.testing.assert_allclose(reference.softmax([0, 1, 2]), printed, rtol=0, atol=5e-9)


@pytest.mark.parametrize(
    ("labels", "printed"), [([1, 1, 0], 0.68517901091076849), ([0, 0, 1], 5.1159958097540823)]
)
def test_cross_entropy_of_probabilities(labels: list[int], printed: float) -> None:
    p = np.array([[0.8], [0.7], [0.1]])
    value, _ = reference.loss("bce", {"reduction": "sum"}, p, labels)
    assert value == pytest.approx(printed, rel=1e-15)


@pytest.mark.parametrize(
    ("w", "b", "printed"), [([2, 6], -2, 0.91682730350607766), ([3, 5], -2.2, 0.88079707797788231)]
)
def test_two_models_combined(w: list[float], b: float, printed: float) -> None:
    combined = reference.logistic(reference.linear([0.4, 0.6], w, b))
    assert float(combined) == pytest.approx(printed, rel=1e-15)


def test_dot() -> None:
    assert reference.linear([1, 2], [3, 4]) == 11


@pytest.mark.parametrize(
    ("w", "b", "truth"),
    [([1, 1], -1.5, [0, 0, 0, 1]), ([1, 1], -0.5, [0, 1, 1, 1])],
    ids=["and", "or"],
)
def test_logic_gates(w: list[float], b: float, truth: list[int]) -> None:
    gate = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert reference.step(reference.linear(gate, w, b)).tolist() == truth
    learnt_w, learnt_b, n_errors = reference.perceptron(gate, truth, lr=0.1, epochs=20)
    assert n_errors[-1] == 0
    assert reference.step(reference.linear(gate, learnt_w, learnt_b)).tolist() == truth


@pytest.mark.data
@pytest.mark.parametrize("loss", ["bce_with_logits", "bce"])
def test_gradient_descent_notebook(data_dir: Path, loss: str) -> None:
    data = np.loadtxt(data_dir / "udacity" / "gradient-descent-data.csv", delimiter=",")
    x, y = data[:, :2], data[:, 2]
    unit = [linear(2, 1, bias=True)] + ([("sigmoid", {})] if loss == "bce" else [])
    network = Network(unit, dtype="float64")
    start = np.random.RandomState(44).normal(scale=1 / np.sqrt(2), size=2)
    set_weights(network, [start[:, None], np.zeros(1)])
    network.compile(loss, {}, "sgd", {"lr": 0.01})
    history = network.fit(
        x, y, batch_size=1, epochs=100, shuffle=False, validation=(x, y, None), metrics=True
    )
    printed_loss, printed_accuracy = np.transpose(GRADIENT_DESCENT)
    np.testing.assert_allclose(history["val_loss"][::10], printed_loss, rtol=1e-12)
    np.testing.assert_allclose(history["val_accuracy"][::10], printed_accuracy, rtol=1e-12)


def test_one_step_of_backpropagation() -> None:
    network = Network(
        [linear(3, 2, bias=False), ("sigmoid", {}), linear(2, 1, bias=False), ("sigmoid", {})],
        dtype="float64",
    )
    w1 = np.array([[0.5, -0.6], [0.1, -0.2], [0.1, 0.7]])
    w2 = np.array([[0.1], [-0.3]])
    set_weights(network, [w1, w2])
    network.compile("half_mse", {}, "sgd", {"lr": 0.5})
    network.train_step([[0.5, 0.1, -0.2]], [0.6])
    new_w1, new_w2 = (p["array"] for p in network.parameters())
    printed_dw1 = [
        [1.77005547e-04, -5.11178506e-04],
        [3.54011093e-05, -1.02235701e-04],
        [-7.08022187e-05, 2.04471402e-04],
    ]
    np.testing.assert_allclose((new_w2 - w2).ravel(), [0.00804047, 0.00555918], atol=5e-9)
    np.testing.assert_allclose(new_w1 - w1, printed_dw1, rtol=0, atol=5e-13)


def test_bike_sharing_unit_test() -> None:
    network = Network(
        [linear(3, 2, bias=False), ("sigmoid", {}), linear(2, 1, bias=False)], dtype="float64"
    )
    w1 = np.array([[0.1, -0.2], [0.4, 0.5], [-0.3, 0.2]])
    set_weights(network, [w1, np.array([[0.3], [-0.1]])])
    network.compile("half_mse", {}, "sgd", {"lr": 0.5})
    x = [[0.5, -0.2, 0.1]]
    assert network.predict(x)[0, 0] == pytest.approx(0.09998924, abs=5e-9)
    network.train_step(x, [0.4])
    new_w1, new_w2 = (p["array"] for p in network.parameters())
    printed_w1 = [[0.10562014, -0.20185996], [0.39775194, 0.50074398], [-0.29887597, 0.19962801]]
    np.testing.assert_allclose(new_w2.ravel(), [0.37275328, -0.03172939], rtol=0, atol=5e-9)
    np.testing.assert_allclose(new_w1, printed_w1, rtol=0, atol=5e-9)
