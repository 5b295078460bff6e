# SPDX-License-Identifier: BSD-3-Clause
"""Figures printed in course notes, reproduced by hand with fastnn.functional."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastnn.functional as F

DATA = Path(__file__).parents[1] / "examples" / "data"


def test_softmax_of_a_plain_list() -> None:
    assert str(F.softmax([0, 1, 2])) == "[0.09003057 0.24472847 0.66524096]"


@pytest.mark.parametrize(
    ("labels", "printed"), [([1, 1, 0], 0.68517901091076849), ([0, 0, 1], 5.1159958097540823)]
)
def test_cross_entropy_of_probabilities(labels: list[int], printed: float) -> None:
    loss, _ = F.bce_loss([0.8, 0.7, 0.1], labels, reduction="sum")
    assert loss == pytest.approx(printed, rel=1e-15)


@pytest.mark.parametrize(
    ("w1", "w2", "b", "printed"),
    [(2, 6, -2, 0.91682730350607766), (3, 5, -2.2, 0.88079707797788231)],
)
def test_two_models_combined(w1: float, w2: float, b: float, printed: float) -> None:
    combined = F.sigmoid(F.linear([0.4, 0.6], [w1, w2], b))
    assert float(combined) == pytest.approx(printed, rel=1e-15)


def test_dot() -> None:
    assert F.matmul([1, 2], [3, 4]) == 11


def test_logic_gates_of_step_units() -> None:
    gate = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    AND = F.step(F.linear(gate, np.array([[1.0], [1.0]]), np.array([-1.5])))
    OR = F.step(F.linear(gate, np.array([[1.0], [1.0]]), np.array([-0.5])))
    NAND = F.step(F.linear(gate, np.array([[-1.0], [-1.0]]), np.array([1.5])))
    XOR = F.step(F.linear(np.hstack([NAND, OR]), np.array([[1.0], [1.0]]), np.array([-1.5])))
    assert AND.ravel().tolist() == [0, 0, 0, 1]
    assert OR.ravel().tolist() == [0, 1, 1, 1]
    assert XOR.ravel().tolist() == [0, 1, 1, 0]


def test_one_step_of_backpropagation() -> None:
    x, target = np.array([[0.5, 0.1, -0.2]]), np.array([[0.6]])
    w1 = np.array([[0.5, -0.6], [0.1, -0.2], [0.1, 0.7]])
    w2 = np.array([[0.1], [-0.3]])
    hidden = F.sigmoid(F.matmul(x, w1))
    out = F.sigmoid(F.matmul(hidden, w2))
    _, dout = F.half_mse_loss(out, target)
    dhidden, dw2, _ = F.linear_backward(F.sigmoid_backward(dout, out), hidden, w2)
    assert dhidden is not None
    _, dw1, _ = F.linear_backward(F.sigmoid_backward(dhidden, hidden), x, w1, need_dx=False)
    new_w1, new_w2 = w1.copy(), w2.copy()
    F.sgd_step_([new_w1, new_w2], [dw1, dw2], lr=0.5)
    printed = [
        [1.77005547e-04, -5.11178506e-04],
        [3.54011093e-05, -1.02235701e-04],
        [-7.08022187e-05, 2.04471402e-04],
    ]
    np.testing.assert_allclose((new_w2 - w2).ravel(), [0.00804047, 0.00555918], atol=5e-9)
    np.testing.assert_allclose(new_w1 - w1, printed, rtol=0, atol=5e-13)


def test_bike_sharing_unit_test() -> None:
    x, target = np.array([[0.5, -0.2, 0.1]]), np.array([[0.4]])
    w1 = np.array([[0.1, -0.2], [0.4, 0.5], [-0.3, 0.2]])
    w2 = np.array([[0.3], [-0.1]])
    hidden = F.sigmoid(F.matmul(x, w1))
    out = F.matmul(hidden, w2)
    assert float(out[0, 0]) == pytest.approx(0.09998924, abs=5e-9)
    _, dout = F.half_mse_loss(out, target)
    dhidden, dw2, _ = F.linear_backward(dout, hidden, w2)
    assert dhidden is not None
    _, dw1, _ = F.linear_backward(F.sigmoid_backward(dhidden, hidden), x, w1, need_dx=False)
    F.sgd_step_([w1, w2], [dw1, dw2], lr=0.5)
    printed = [[0.10562014, -0.20185996], [0.39775194, 0.50074398], [-0.29887597, 0.19962801]]
    np.testing.assert_allclose(w2.ravel(), [0.37275328, -0.03172939], atol=5e-9)
    np.testing.assert_allclose(w1, printed, atol=5e-9)


def test_the_gradient_descent_notebook_by_hand() -> None:
    data = np.loadtxt(DATA / "gradient-descent-data.csv", delimiter=",")
    X, y = data[:, :2], data[:, 2]
    np.random.seed(44)
    w, b = np.random.normal(scale=1 / 2**0.5, size=2), np.zeros(1)
    printed = [0.7135845195381634, 0.6225835210454962, 0.5548744083669508, 0.501606141872473]
    losses = []
    for _ in range(31):
        for row, label in zip(X, y, strict=True):
            _, dz = F.bce_with_logits(F.linear(row, w[:, None], b), [label])
            _, dw, db = F.linear_backward(dz, row, w[:, None], need_dx=False)
            F.sgd_step_([w, b], [dw[:, 0], db], lr=0.01)
        losses.append(F.bce_loss(F.sigmoid(F.linear(X, w, b)), y)[0])
    np.testing.assert_allclose(losses[::10], printed, rtol=0, atol=1e-12)
