# SPDX-License-Identifier: BSD-3-Clause
"""compile(accumulate=k): k batches have one update, with the numbers of one batch of all rows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from layouts import DTYPES
from pairs import Pair

if TYPE_CHECKING:
    from pathlib import Path

ROWS, BATCH, GROUP = 61, 8, 3  # eight batches, of which the last has 5 rows: groups of 3, 3 and 2
LAYERS: Any = [
    ("linear", {"in_features": 5, "out_features": 7}),
    ("tanh", {}),
    ("linear", {"in_features": 7, "out_features": 3}),
]
CLASS_WEIGHTS = {"weight": [1.0, 3.0, 0.5]}


def model_of(dtype: str = "float64", *more: Any, optimizer: Any = None, **settings: Any) -> Any:
    layers = (nn.Linear(5, 7), nn.Tanh(), *more, nn.Linear(7, 3))
    model = nn.Sequential(*layers, dtype=dtype, seed=3)
    made = optimizer or optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.1)
    model.compile(made, settings.pop("loss", "cross_entropy"), **settings)
    return model


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weights = rng.uniform(0.1, 3, ROWS)
    weights[[0, 9]] = 0
    return rng.standard_normal((ROWS, 5)), rng.integers(0, 3, ROWS), weights


def same(one: nn.Sequential, other: nn.Sequential, rtol: float = 0.0) -> None:
    for key, value in one.state_dict().items():
        np.testing.assert_allclose(other.state_dict()[key], value, rtol=rtol, atol=rtol)


OPTIMIZERS = {
    "sgd": optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.1),
    "sklearn": optim.SGD(lr=0.1, momentum=0.9, weight_decay=0.1, form="sklearn"),
    "adam": optim.Adam(lr=0.01, l1=0.01),
}
LOSSES = {
    "mean": nn.CrossEntropyLoss(),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "classes": nn.CrossEntropyLoss(weight=[1.0, 3.0, 0.5]),
}


@pytest.mark.parametrize("limits", [{}, {"max_grad_norm": 0.1}, {"max_grad_value": 0.02}], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_numbers_are_those_of_one_large_batch(
    data: Any, name: str, loss: str, weighted: bool, limits: Any
) -> None:
    x, y, w = data
    w = w if weighted else None
    settings = {"optimizer": OPTIMIZERS[name], "loss": LOSSES[loss], **limits}
    for more in ({}, {"penalty_in_loss": True}):
        whole = model_of(**settings, **more)
        parts = model_of(**settings, **more, accumulate=GROUP)
        given = {"epochs": 3, "shuffle": False, "sample_weight": w}
        expected = whole.fit(x, y, BATCH * GROUP, **given)
        found = parts.fit(x, y, BATCH, **given)
        same(whole, parts, 1e-12)
        for key, curve in expected.history.items():
            np.testing.assert_allclose(found.history[key], curve, rtol=1e-12)
    assert parts._network.step == whole._network.step == 9
    assert (found.steps, expected.steps) == (24, 9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("loss_hyper", [{}, {"reduction": "sum"}, CLASS_WEIGHTS], ids=str)
def test_groups_are_those_of_the_twin(
    data: Any, loss_hyper: Any, optimizer: str, dtype: str
) -> None:
    x, y, w = data
    layers = [*LAYERS[:2], ("dropout", {"p": 0.4}), LAYERS[2]]
    pair = Pair(layers, dtype).compile(
        "cross_entropy",
        optimizer,
        {"lr": 0.01},
        loss_hyper=loss_hyper,
        accumulate=GROUP,
        max_grad_value=0.05,
    )
    for network in (pair.engine, pair.twin):
        network.fit(x, y, w, batch_size=BATCH, epochs=2, seed=4)
        for first in range(0, 40, BATCH):  # a group and two thirds of the next
            network.train_step(x[first : first + BATCH], y[first : first + BATCH])
    assert pair.engine.step == pair.twin.step == 7
    for ours, theirs in zip(pair.engine.parameters(), pair.twin.parameters(), strict=True):
        pair.close(ours["array"], theirs["array"], "training")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_do_not_depend_on_threads(data: Any, dtype: str) -> None:
    x, y, w = data
    states = []
    for threads in (1, 2, 3, 8):
        model = model_of(dtype, nn.Dropout(0.3), accumulate=GROUP, max_grad_norm=0.2)
        model.fit(x, y, BATCH, 3, sample_weight=w, n_threads=threads)
        states.append({key: value.copy() for key, value in model.state_dict().items()})
    for state in states[1:]:
        for key, value in states[0].items():
            np.testing.assert_array_equal(state[key], value)


def test_a_fit_is_a_loop_of_train_step(data: Any) -> None:
    x, y, _ = data
    fitted = model_of("float32", nn.Dropout(0.3), accumulate=GROUP)
    looped = model_of("float32", nn.Dropout(0.3), accumulate=GROUP)
    fitted.fit(x[:48], y[:48], BATCH, 2, shuffle=False)
    for _ in range(2):
        for first in range(0, 48, BATCH):
            looped.train_step(x[first : first + BATCH], y[first : first + BATCH])
    same(fitted, looped)


def test_every_batch_has_dropout_masks_of_its_own(data: Any) -> None:
    """The loss of the same rows differs within a group, and values do not change there."""
    x, y, _ = data
    model = model_of("float64", nn.Dropout(0.5), accumulate=GROUP)
    before = {key: value.copy() for key, value in model.state_dict().items()}
    losses = [model.train_step(x, y) for _ in range(GROUP - 1)]
    assert losses[0] != losses[1]
    for key, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
    model.train_step(x, y)
    assert (model[0].weight != before["0.weight"]).all()


def test_other_calls_leave_the_group_alone(data: Any) -> None:
    x, y, _ = data
    plain, other = model_of(accumulate=2), model_of(accumulate=2)
    for model in (plain, other):
        model.train_step(x[:8], y[:8])
        if model is other:
            model.loss_and_grad(x, y)
            model.evaluate(x, y)
            model.forward(x, training=True)
            with pytest.raises(ValueError, match="X has nan"):
                model.train_step(np.full_like(x, np.nan), y)
        model.train_step(x[8:20], y[8:20])
    same(plain, other)


def test_the_gradient_given_by_hand(data: Any) -> None:
    x, y, _ = data
    whole, parts = model_of(), model_of(accumulate=2)
    loss = nn.CrossEntropyLoss()
    whole.train_step(x, grad=loss(whole.forward(x), y)[1])
    for rows in (slice(0, 20), slice(20, ROWS)):
        parts.train_step(x[rows], grad=loss(parts.forward(x[rows]), y[rows])[1])
    same(whole, parts, 1e-13)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_save_in_the_middle_goes_on_to_the_same_bits(
    data: Any, tmp_path: Path, suffix: str
) -> None:
    x, y, w = data
    whole = model_of("float32", nn.Dropout(0.3), accumulate=4)
    for first in range(0, 48, BATCH):
        rows = slice(first, first + BATCH)
        whole.train_step(x[rows], y[rows], sample_weight=w[rows] * 1e-30)
    whole.save(tmp_path / f"m{suffix}")
    loaded, copied = fastnn.load(tmp_path / f"m{suffix}"), copy.deepcopy(whole)
    for model in (whole, loaded, copied):
        for first in range(0, 56, BATCH):
            model.train_step(x[first : first + BATCH], y[first : first + BATCH])
        model.save(tmp_path / f"{id(model)}{suffix}")
    same(whole, loaded)
    same(whole, copied)
    first, *others = [(tmp_path / f"{id(m)}{suffix}").read_bytes() for m in (whole, loaded, copied)]
    assert others == [first, first]


def test_a_fit_begins_a_group(data: Any) -> None:
    x, y, _ = data
    fresh, pending = model_of(accumulate=2), model_of(accumulate=2)
    pending.train_step(x[:8], y[:8])
    for model in (fresh, pending):
        model.fit(x, y, BATCH, 1, shuffle=False)
    same(fresh, pending)


def test_a_step_that_overflows_is_undone_and_its_group_is_left(data: Any) -> None:
    x, _, _ = data
    y = np.ones((ROWS, 3))
    model = model_of("float32", accumulate=2, optimizer=optim.SGD(lr=1), loss="mse")
    before = {key: value.copy() for key, value in model.state_dict().items()}
    model.train_step(x, y * 1e18)
    model.lr = 1e30
    with pytest.raises(fastnn.TrainingDivergedError):
        model.train_step(x, y)
    for key, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[key], value)
    model.lr = 1e-3
    model.train_step(x, y)  # the first of a group
    np.testing.assert_array_equal(model[0].weight, before["0.weight"])
    model.train_step(x, y)
    assert (model[0].weight != before["0.weight"]).any()


@pytest.mark.parametrize(
    ("value", "kind"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("all", TypeError)]
)
def test_a_wrong_number_is_refused(value: Any, kind: Any) -> None:
    with pytest.raises(kind, match="accumulate"):
        model_of(accumulate=value)
