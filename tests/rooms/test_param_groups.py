# SPDX-License-Identifier: BSD-3-Clause
"""Hyperparameters may differ by parameter and change between steps: param_groups and lr."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import callbacks, nn, optim


def model_of(optimizer: Any, seed: int = 3) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), dtype="float64", seed=seed)
    model.compile(optimizer, "cross_entropy")
    return model


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((60, 5)), rng.integers(0, 3, 60)


GROUPS = {"*": {"eps": 1e-6}, "*.bias": {"weight_decay": 0.0}, "0.*": {"lr": 0.002, "eps": 1e-7}}


def test_groups_are_those_of_torch(torch: Any, data: Any) -> None:
    """The last pattern that matches decides, for each hyperparameter by itself."""
    x, y = data
    model = model_of(optim.AdamW(lr=0.01, weight_decay=0.1, param_groups=GROUPS))
    other = torch.nn.Sequential(
        torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)
    ).double()
    other.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in model.state_dict().items()})
    first, last = other[0], other[2]
    groups = [
        {"params": [first.weight], "lr": 0.002, "eps": 1e-7},
        {"params": [first.bias], "lr": 0.002, "eps": 1e-7, "weight_decay": 0.0},
        {"params": [last.weight], "eps": 1e-6},
        {"params": [last.bias], "eps": 1e-6, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1)
    for step in range(20):
        if step == 10:  # of the parameters without an lr of their own
            model.lr = 0.05
            for group in optimizer.param_groups[2:]:
                group["lr"] = 0.05
        model.train_step(x, y)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(other(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        optimizer.step()
    for key, value in other.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=0, atol=1e-12)


NORMED = [nn.Linear(5, 7), nn.LayerNorm(7), nn.Tanh(), nn.Linear(7, 3)]


@pytest.mark.parametrize(
    "values",
    [
        {"decay_bias": False},
        {"param_groups": {key: {"weight_decay": 0.0} for key in ("*.bias", "1.weight")}},
        {"form": "sklearn", "weight_decay": 0.2 * 60},
    ],
    ids=str,
)
def test_no_decay_of_biases_and_norms_in_one_word(torch: Any, data: Any, values: Any) -> None:
    x, y = data
    model = nn.Sequential(*NORMED, dtype="float64", seed=1)
    model.compile(optim.SGD(**({"lr": 0.1, "weight_decay": 0.2} | values)), "cross_entropy")
    other = model.to_torch()
    weights = [other[0].weight, other[3].weight]
    rest = [other[0].bias, *other[1].parameters(), other[3].bias]
    groups = [{"params": weights, "weight_decay": 0.2}, {"params": rest}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for _ in range(10):
        model.train_step(x, y)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(
            other(torch.from_numpy(x)), torch.from_numpy(y)
        ).backward()
        optimizer.step()
    for key, value in other.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=0, atol=1e-13)


def test_a_group_counts_more_than_decay_bias(data: Any) -> None:
    plain = nn.Sequential(*NORMED, dtype="float64", seed=1)
    decayed = nn.Sequential(*NORMED, dtype="float64", seed=1)
    groups = {"*.bias": {"weight_decay": 0.3}, "1.weight": {"weight_decay": 0.3}}
    plain.compile(optim.AdamW(weight_decay=0.3), "cross_entropy")
    decayed.compile(
        optim.AdamW(weight_decay=0.3, decay_bias=False, param_groups=groups), "cross_entropy"
    )
    for model in (plain, decayed):
        model.lr = 0.01  # which keeps the groups
        model.fit(*data, batch_size=16, epochs=2)
    for key, value in plain.state_dict().items():
        np.testing.assert_array_equal(decayed.state_dict()[key], value)
    with pytest.raises(TypeError, match="decay_bias is 'no'"):
        optim.AdamW(decay_bias="no")


def test_the_learning_rate_changes_between_steps(data: Any) -> None:
    """States and counts go on: a training whose lr is set back is one whose lr never changed."""
    x, y = data
    whole, halves = model_of(optim.Adam(lr=0.01)), model_of(optim.Adam(lr=0.01))
    for step in range(10):
        whole.train_step(x, y)
        if step == 5:
            halves.lr = 0.5
            assert halves.lr == halves.optimizer.lr == 0.5
            halves.lr = 0.01
        halves.train_step(x, y)
    for key, value in whole.state_dict().items():
        np.testing.assert_array_equal(halves.state_dict()[key], value)
    before = halves.state_dict()["0.weight"].copy()
    halves.lr = 0
    halves.train_step(x, y)
    np.testing.assert_array_equal(halves.state_dict()["0.weight"], before)


def test_the_learning_rate_changes_in_callbacks(data: Any) -> None:
    class Decay(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.lr *= 0.5

    x, y = data
    fitted, looped = (
        model_of(optim.SGD(lr=0.5, momentum=0.9)),
        model_of(optim.SGD(0.5, momentum=0.9)),
    )
    fitted.fit(x, y, batch_size=20, epochs=4, shuffle=False, callbacks=[Decay()])
    for _ in range(4):
        for first in range(0, 60, 20):
            looped.train_step(x[first : first + 20], y[first : first + 20])
        looped.lr /= 2
    assert fitted.lr == looped.lr == 0.5 / 16
    for key, value in looped.state_dict().items():
        np.testing.assert_array_equal(fitted.state_dict()[key], value)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [(-1, ValueError, "lr = -1; expected at least 0"), ("fast", TypeError, "lr is 'fast'")],
)
def test_a_wrong_learning_rate_changes_nothing(value: Any, kind: Any, text: str) -> None:
    model = model_of(optim.Adam(lr=0.25))
    with pytest.raises(kind, match=text):
        model.lr = value
    assert model.lr == 0.25
    model = nn.Sequential(nn.Linear(2, 1))
    with pytest.raises(ValueError, match="the model is not compiled"):
        model.lr = 0.5
