# SPDX-License-Identifier: BSD-3-Clause
"""Figures of courses come out to the last digit, by nn.Sequential and by fastnn.functional."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn, optim
from figures import ADMISSIONS, GRADIENT_DESCENT

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"
# "Implementing backpropagation": every ninetieth epoch. The lesson compares the output for the
# last training row alone with all targets.
ADMISSIONS_HIDDEN = [
    0.251357252426,
    0.249965407188,
    0.248620052189,
    0.247319932172,
    0.246063804656,
    0.244850441793,
    0.243678632019,
    0.242547181518,
    0.241454915502,
    0.240400679325,
]
# One step of backpropagation on one row, of two layers without biases: weights, and their changes.
BACKPROPAGATION = np.array([[0.5, -0.6], [0.1, -0.2], [0.1, 0.7]]), np.array([[0.1], [-0.3]])
BACKPROPAGATION_STEP = (
    [
        [1.77005547e-04, -5.11178506e-04],
        [3.54011093e-05, -1.02235701e-04],
        [-7.08022187e-05, 2.04471402e-04],
    ],
    [[0.00804047], [0.00555918]],
)
# The unit test of the bike-sharing project: weights before a step, and after it.
BIKES = np.array([[0.1, -0.2], [0.4, 0.5], [-0.3, 0.2]]), np.array([[0.3], [-0.1]])
BIKES_AFTER = (
    [[0.10562014, -0.20185996], [0.39775194, 0.50074398], [-0.29887597, 0.19962801]],
    [[0.37275328], [-0.03172939]],
)


def with_weights(model: nn.Sequential, *weights: Any) -> nn.Sequential:
    """Set all parameters in the order of the layers; weights come as (in, out)."""
    keys = model.state_dict().keys()
    arrays = (np.asarray(w, dtype=np.float64).T for w in weights)
    model.load_state_dict(dict(zip(keys, arrays, strict=True)))
    return model


@pytest.mark.parametrize("link", ["in the loss", "as a layer"])
def test_gradient_descent_notebook(link: str) -> None:
    data = np.loadtxt(EXAMPLES / "gradient-descent-data.csv", delimiter=",")
    x, y = data[:, :2], data[:, 2]
    unit = [nn.Linear(2, 1)] + ([nn.Sigmoid()] if link == "as a layer" else [])
    start = np.random.RandomState(44).normal(scale=1 / np.sqrt(2), size=2)
    model = with_weights(nn.Sequential(*unit, dtype=np.float64), start[:, None], [0])
    loss = nn.BCELoss() if link == "as a layer" else nn.BCEWithLogitsLoss()
    model.compile(optim.SGD(lr=0.01), loss, metrics=["accuracy"])
    history = model.fit(x, y, batch_size=1, epochs=100, shuffle=False, validation_data=(x, y))
    losses, accuracies = np.transpose(GRADIENT_DESCENT)
    np.testing.assert_allclose(history.history["val_loss"][::10], losses, rtol=1e-12)
    np.testing.assert_allclose(history.history["val_accuracy"][::10], accuracies, rtol=1e-12)


def test_one_step_of_backpropagation() -> None:
    first, second = nn.Linear(3, 2, bias=False), nn.Linear(2, 1, bias=False)
    model = nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid(), dtype=np.float64)
    with_weights(model, *BACKPROPAGATION).compile(optim.SGD(lr=0.5), nn.HalfMSELoss())
    model.train_step(np.array([[0.5, 0.1, -0.2]]), np.array([0.6]))
    moved = (layer.weight.T - w for layer, w in zip((first, second), BACKPROPAGATION, strict=True))
    for change, printed, digits in zip(moved, BACKPROPAGATION_STEP, (5e-13, 5e-9), strict=True):
        np.testing.assert_allclose(change, printed, rtol=0, atol=digits)


def test_bike_sharing_unit_test() -> None:
    first, second = nn.Linear(3, 2, bias=False), nn.Linear(2, 1, bias=False)
    model = nn.Sequential(first, nn.Sigmoid(), second, dtype=np.float64)
    with_weights(model, *BIKES).compile(optim.SGD(lr=0.5), nn.HalfMSELoss())
    x = np.array([[0.5, -0.2, 0.1]])
    assert model.predict(x)[0, 0] == pytest.approx(0.09998924, abs=5e-9)
    model.train_step(x, np.array([0.4]))
    for layer, printed in zip((first, second), BIKES_AFTER, strict=True):
        np.testing.assert_allclose(layer.weight.T, printed, rtol=0, atol=5e-9)


# -- admissions ------------------------------------------------------------------------------------


def admissions(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Any]:
    """Return (x, y, x_test, y_test) as the lessons split them, and their generator, seeded anew."""
    table = np.loadtxt(EXAMPLES / "student_data.csv", delimiter=",", skiprows=1)
    grades, rank = table[:, 1:3], table[:, 3].astype(int)
    grades = (grades - grades.mean(axis=0)) / grades.std(axis=0, ddof=1)
    x, y = np.hstack([grades, np.eye(4)[rank - 1]]), table[:, 0]
    train = np.random.RandomState(seed).choice(400, size=360, replace=False)
    test = np.setdiff1d(np.arange(400), train)
    return x[train], y[train], x[test], y[test], np.random.RandomState(seed)


def right_share(model: nn.Sequential, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((model.predict(x)[:, 0] > 0.5) == (y > 0.5)))


def test_admissions_by_gradient_descent() -> None:
    x, y, x_test, y_test, drawn = admissions(42)
    unit = nn.Sequential(nn.Linear(6, 1, bias=False), nn.Sigmoid(), dtype=np.float64)
    with_weights(unit, drawn.normal(scale=1 / np.sqrt(6), size=(6, 1)))
    unit.compile(optim.SGD(lr=0.5), nn.HalfMSELoss())
    history = unit.fit(x, y, batch_size=360, epochs=1000, shuffle=False, validation_data=(x, y))
    losses = 2 * np.array(history.history["val_loss"][::100])  # of the whole squares
    np.testing.assert_allclose(losses, ADMISSIONS, rtol=1e-12)
    assert right_share(unit, x_test, y_test) == 0.725


def test_admissions_by_backpropagation() -> None:
    x, y, x_test, y_test, drawn = admissions(21)
    first, second = (nn.Linear(*sizes, bias=False) for sizes in ((6, 2), (2, 1)))
    model = nn.Sequential(first, nn.Sigmoid(), second, nn.Sigmoid(), dtype=np.float64)
    scale = 1 / np.sqrt(6)
    with_weights(
        model, drawn.normal(scale=scale, size=(6, 2)), drawn.normal(scale=scale, size=(2, 1))
    )
    model.compile(optim.SGD(lr=0.005), nn.HalfMSELoss())
    losses, true_losses = [], []
    for epoch in range(900):
        model.train_step(x, y)
        if epoch % 90 == 0:
            out = model.predict(x)[:, 0]
            losses.append(np.mean((out[-1] - y) ** 2))
            true_losses.append(np.mean((out - y) ** 2))
    np.testing.assert_allclose(losses, ADMISSIONS_HIDDEN, rtol=0, atol=5e-13)
    true = [0.268560154404101, 0.25441361543077645]
    np.testing.assert_allclose([true_losses[0], true_losses[-1]], true, rtol=1e-12)
    assert right_share(model, x_test, y_test) == 0.725


# -- MNIST -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mnist(data_dir: Path) -> tuple[np.ndarray, ...]:
    """Return (x, y, x_test, y_test), with images of shape (n, 784) and dtype uint8."""
    arrays = []
    for part in ("train", "t10k"):
        for what, offset in (("images-idx3", 16), ("labels-idx1", 8)):
            with gzip.open(data_dir / "mnist" / f"{part}-{what}-ubyte.gz") as file:
                arrays.append(np.frombuffer(file.read(), np.uint8, offset=offset))
    x, y, x_test, y_test = arrays
    return x.reshape(-1, 784), y, x_test.reshape(-1, 784), y_test


@pytest.mark.data
def test_mnist(mnist: tuple[np.ndarray, ...]) -> None:
    """A network 784-128-10 learns from uint8 in five epochs.

    The recipe was chosen by the accuracy on the last 10,000 training rows (0.981, mean of three
    seeds); with one batch size and inputs in 0..1 Adam and SGD stay around 0.975 there.
    """
    x, y, x_test, y_test = mnist
    mean, std = 0.1307, 0.3081  # of the training pixels, in 0..1
    model = nn.Sequential(
        nn.Rescale(1 / (255 * std), -mean / std), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)
    )
    sgd = optim.SGD(lr=0.02, momentum=0.9, nesterov=True)
    model.compile(sgd, nn.CrossEntropyLoss(), metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=3)
    model.fit(x, y, batch_size=256, epochs=5, initial_epoch=3)  # larger batches: less noise
    assert model.evaluate(x_test, y_test)["accuracy"] >= 0.975


@pytest.mark.data
def test_threes_and_sevens(mnist: tuple[np.ndarray, ...]) -> None:
    """fast.ai's simple_net, 784-30-1, has as its loss the mean of 1 - p at the right class."""
    x, y, x_test, y_test = mnist
    chosen, chosen_test = (np.isin(labels, (3, 7)) for labels in (y, y_test))
    model = nn.Sequential(
        nn.Rescale(1 / 255), nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 1), nn.Sigmoid()
    )
    model.compile(optim.SGD(lr=0.1), nn.L1Loss())
    model.fit(x[chosen], y[chosen] == 3, batch_size=256, epochs=40)
    assert right_share(model, x_test[chosen_test], y_test[chosen_test] == 3) >= 0.975


# -- by hand ---------------------------------------------------------------------------------------


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


def test_one_step_of_backpropagation_by_hand() -> None:
    x, target = np.array([[0.5, 0.1, -0.2]]), np.array([[0.6]])
    w1, w2 = (w.copy() for w in BACKPROPAGATION)
    hidden = F.sigmoid(F.matmul(x, w1))
    out = F.sigmoid(F.matmul(hidden, w2))
    _, dout = F.half_mse_loss(out, target)
    dhidden, dw2, _ = F.linear_backward(F.sigmoid_backward(dout, out), hidden, w2)
    assert dhidden is not None
    _, dw1, _ = F.linear_backward(F.sigmoid_backward(dhidden, hidden), x, w1, need_dx=False)
    F.sgd_step_([w1, w2], [dw1, dw2], lr=0.5)
    moved = (now - w for now, w in zip((w1, w2), BACKPROPAGATION, strict=True))
    for change, printed, digits in zip(moved, BACKPROPAGATION_STEP, (5e-13, 5e-9), strict=True):
        np.testing.assert_allclose(change, printed, rtol=0, atol=digits)


def test_bike_sharing_unit_test_by_hand() -> None:
    x, target = np.array([[0.5, -0.2, 0.1]]), np.array([[0.4]])
    w1, w2 = (w.copy() for w in BIKES)
    hidden = F.sigmoid(F.matmul(x, w1))
    out = F.matmul(hidden, w2)
    assert float(out[0, 0]) == pytest.approx(0.09998924, abs=5e-9)
    _, dout = F.half_mse_loss(out, target)
    dhidden, dw2, _ = F.linear_backward(dout, hidden, w2)
    assert dhidden is not None
    _, dw1, _ = F.linear_backward(F.sigmoid_backward(dhidden, hidden), x, w1, need_dx=False)
    F.sgd_step_([w1, w2], [dw1, dw2], lr=0.5)
    for w, printed in zip((w1, w2), BIKES_AFTER, strict=True):
        np.testing.assert_allclose(w, printed, rtol=0, atol=5e-9)


def test_gradient_descent_notebook_by_hand() -> None:
    data = np.loadtxt(EXAMPLES / "gradient-descent-data.csv", delimiter=",")
    X, y = data[:, :2], data[:, 2]
    np.random.seed(44)
    w, b = np.random.normal(scale=1 / 2**0.5, size=2), np.zeros(1)
    losses = []
    for _ in range(31):
        for row, label in zip(X, y, strict=True):
            _, dz = F.bce_with_logits(F.linear(row, w[:, None], b), [label])
            _, dw, db = F.linear_backward(dz, row, w[:, None], need_dx=False)
            F.sgd_step_([w, b], [dw[:, 0], db], lr=0.01)
        losses.append(F.bce_loss(F.sigmoid(F.linear(X, w, b)), y)[0])
    printed = [loss for loss, _ in GRADIENT_DESCENT[:4]]
    np.testing.assert_allclose(losses[::10], printed, rtol=0, atol=1e-12)
