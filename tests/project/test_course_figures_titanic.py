# SPDX-License-Identifier: BSD-3-Clause
"""fast.ai's "Linear model and neural net from scratch" on the Titanic, to the printed digits.

It is done by hand with fastnn.functional in float32: full batches, mean absolute error, and one
scalar bias a layer, as the lesson writes it. The loss of an epoch is that before its update.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn.functional as F

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.data

# learning rate, printed losses ("0.195*7": seven times), accuracy
LINEAR = """
    0.536 0.502 0.477 0.454 0.431 0.409 0.388 0.367 0.349 0.336 0.330 0.326 0.329 0.304 0.314
    0.296 0.300 0.289"""
SIGMOID = "0.510 0.327 0.294 0.207 0.201 0.199 0.198 0.197 0.196*3 0.195*7 0.194*12"
SIGMOID_MAT = "0.512 0.323 0.290 0.205 0.200 0.198 0.197*2 0.196*3 0.195*6 0.194*13"
HIDDEN_SLOW = """
    0.543 0.532 0.520 0.505 0.487 0.466 0.439 0.407 0.373 0.343 0.319 0.301 0.286 0.274 0.264
    0.256 0.250 0.245 0.240 0.237 0.234 0.231 0.229 0.227 0.226 0.224 0.223 0.222 0.221 0.220"""
HIDDEN_FAST = "0.543 0.400 0.260 0.390 0.221 0.211 0.197 0.195 0.193*9 0.192*13"
DEEP = """
    0.521 0.483 0.427 0.379*4 0.378*9 0.377 0.376 0.371 0.333 0.239 0.224 0.208 0.204 0.203*2
    0.207 0.197 0.196 0.195"""
MODELS: dict[str, tuple[float, str, float]] = {
    "linear_mae": (0.2, LINEAR, 0.7865),
    "sigmoid": (100, SIGMOID, 0.8258),
    "sigmoid_mat": (100, SIGMOID_MAT, 0.8258),
    "nn20_lr1.4": (1.4, HIDDEN_SLOW, 0.7921),
    "nn20_lr20": (20, HIDDEN_FAST, 0.8258),
    "deep_10_10_lr4": (4, DEEP, 0.8258),
}


def printed_losses(text: str) -> list[float]:
    return [
        float(value)
        for word in text.split()
        for value in [word.split("*")[0]] * int((word + "*1").split("*")[1])
    ]


@pytest.fixture(scope="module")
def passengers(data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the lesson's twelve inputs, each divided by its maximum, and who survived."""
    with (data_dir / "titanic" / "train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    def numbers(name: str, missing: str = "") -> np.ndarray:
        return np.array([float(row[name] or missing) for row in rows], np.float32)

    def is_(name: str, value: str, missing: str = "") -> np.ndarray:
        return np.array([(row[name] or missing) == value for row in rows], np.float32)

    columns = [
        numbers("Age", missing="24"),
        numbers("SibSp"),
        numbers("Parch"),
        np.log(numbers("Fare") + 1),
        *(is_("Sex", sex) for sex in ("male", "female")),
        *(is_("Pclass", number) for number in "123"),
        *(is_("Embarked", port, missing="S") for port in "CQS"),
    ]
    x = np.stack(columns, axis=1)
    return x / x.max(axis=0), numbers("Survived")


class Lesson:
    """Layers of ReLU units, the last one a sigmoid if `squash`; biases[i] is a scalar or None."""

    def __init__(self, weights: list[Any], biases: list[Any], squash: bool) -> None:
        self.weights = [w.reshape(w.shape[0], -1).copy() for w in weights]
        self.biases = [None if b is None else b.reshape(1).copy() for b in biases]
        self.squash = squash

    def forward(self, x: Any) -> Any:
        self.inputs = []
        last = len(self.weights) - 1
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            self.inputs.append(x)
            x = F.linear(x, w, None if b is None else np.repeat(b, w.shape[1]))
            if i < last:
                x = F.relu(x)
        return F.sigmoid(x) if self.squash else x

    def step(self, x: Any, y: Any, lr: float) -> float:
        out = self.forward(x)
        loss, dx = F.l1_loss(out, y)
        if self.squash:
            dx = F.sigmoid_backward(dx, out)
        for i in reversed(range(len(self.weights))):
            layer_input, w, b = self.inputs[i], self.weights[i], self.biases[i]
            dy = dx
            dx, dw, db = F.linear_backward(dy, layer_input, w)
            if i > 0:
                dx = F.relu_backward(dx, layer_input)
            F.sgd_step_(w, dw, lr=lr)
            if b is not None:
                F.sgd_step_(b, np.array([db.sum()]), lr=lr)
        return loss


@pytest.mark.parametrize("name", MODELS)
def test_lesson(name: str, data_dir: Path, passengers: tuple[np.ndarray, np.ndarray]) -> None:
    lr, printed, accuracy = MODELS[name]
    x, y = passengers
    with np.load(data_dir / "titanic" / "fastai_reference_init.npz") as saved:
        train, valid = saved["train_idx"], saved["valid_idx"]
        start = [saved[key] for key in saved if key.startswith(f"{name}_init")]
    weights = [a for a in start if a.ndim]
    biases = [a for a in start if not a.ndim]
    biases = [None] * (len(weights) - len(biases)) + biases
    lesson = Lesson(weights, biases, squash=name != "linear_mae")
    losses = [lesson.step(x[train], y[train], lr) for _ in printed_losses(printed)]
    np.testing.assert_allclose(losses, printed_losses(printed), rtol=0, atol=5.01e-4)
    right = (lesson.forward(x[valid])[:, 0] > 0.5) == (y[valid] > 0.5)
    assert right.mean() == pytest.approx(accuracy, abs=5e-5)
