# SPDX-License-Identifier: BSD-3-Clause
"""Slices of a subclass are plain models, copies keep the class, and no constructor is called.

What a model does with its layers takes time in proportion to their number.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import pytest

from fastnn import nn, optim
from models import COPIES


class Classifier(nn.Sequential):
    """A subclass with a constructor of its own and names for a layer and something else."""

    made = 0

    def __init__(self, hidden: int, *, classes: int) -> None:
        type(self).made += 1
        self.head = nn.Linear(hidden, classes)
        super().__init__(nn.Linear(4, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), self.head)
        self.names = ["a", "b"]


def trained(rng: np.random.Generator) -> Classifier:
    model = Classifier(6, classes=3)
    model.compile(optim.Adam(0.01), "cross_entropy")
    model.fit(rng.standard_normal((40, 4)), rng.integers(0, 3, 40), epochs=2)
    return model


def test_a_slice_is_a_plain_sequential(rng: np.random.Generator) -> None:
    model = trained(rng)
    made = Classifier.made
    for part in (model[:2], model[::2][:1], model[1:1], model[-1:]):
        assert type(part) is nn.Sequential
    assert Classifier.made == made
    body = model[:3]
    assert (body.dtype, body.seed, len(body)) == (model.dtype, model.seed, 3)
    x = rng.standard_normal((5, 4))
    np.testing.assert_array_equal(nn.Sequential(*body, *model[3:]).forward(x), model.forward(x))
    with pytest.raises(TypeError, match=r"^\[Sequential\] the index is '0'; expected a layer's"):
        model["0"]  # type: ignore[call-overload]


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_keeps_the_class(how: str, rng: np.random.Generator) -> None:
    model = trained(rng)
    made = Classifier.made
    twin = COPIES[how](model)
    assert type(twin) is Classifier
    assert Classifier.made == made
    assert twin.names == ["a", "b"]
    x, y = rng.standard_normal((20, 4)), rng.integers(0, 3, 20)
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))
    assert twin.train_step(x, y) == model.train_step(x, y)
    np.testing.assert_array_equal(twin.predict(x), model.predict(x))


@pytest.mark.parametrize("how", COPIES)
def test_a_layer_with_a_name_stays_a_layer_of_its_model(how: str, rng: np.random.Generator) -> None:
    model = trained(rng)
    kept = model.head.weight.copy()
    twin = COPIES[how](model)
    assert twin.head is twin[-1]
    twin.head.weight[...] = 0
    assert not twin[-1].weight.any()
    np.testing.assert_array_equal(model.head.weight, kept)


def test_repr_names_the_class() -> None:
    assert repr(Classifier(2, classes=2)).startswith("Classifier(\n  (0): Linear(")


def deep(n: int) -> nn.Sequential:
    layers = [nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 3)] * (n // 4)
    model = nn.Sequential(*map(copy.copy, layers))
    model.compile("adam", "mse")
    return model


def appended(model: nn.Sequential) -> None:
    model.append(nn.Linear(3, 3))


OPERATIONS = {
    "Sequential(*layers)": lambda m: nn.Sequential(*m),
    "slice": lambda m: m[1:],
    **COPIES,
    "append": appended,
    "repr": repr,
    "freeze": lambda m: m.freeze().unfreeze(),
    "state_dict": lambda m: m.load_state_dict(m.state_dict()),
    "values of each layer": lambda m: [getattr(layer, "weight", None) for layer in m],
    "summary": lambda m: m.summary(None),
    "compile": lambda m: m.compile(optim.Adam(param_groups={"0.*": {"lr": 0.1}}), "mse"),
}


def seconds(operation: Any, model: nn.Sequential) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        operation(model)
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.parametrize("name", OPERATIONS)
def test_time_grows_with_the_depth_and_not_with_its_square(name: str) -> None:
    """Eight times the layers would take 64 times as long if time grew with the square."""
    ratios = []
    for _ in range(3):  # another process may have had its turn in between
        ratios.append(seconds(OPERATIONS[name], deep(800)) / seconds(OPERATIONS[name], deep(100)))
        if ratios[-1] < 20:
            return
    pytest.fail(f"800 layers took {ratios} times as long as 100")
