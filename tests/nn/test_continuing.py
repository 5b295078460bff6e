# SPDX-License-Identifier: BSD-3-Clause
"""25 steps, a file and 25 more steps have the bits of 50 steps, for every optimizer and dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from members import hyper_cases, names, paired, row_of

if TYPE_CHECKING:
    from pathlib import Path

STEPS, ROWS, FEATURES, CLASSES = 50, 12, 5, 3
RULES = [
    pytest.param(name, hyper_cases("optimizers", name)[case], id=f"{name}-{which}")
    for name in names("optimizers")
    for case, which in ((0, "defaults"), (-1, "all parameters"))
]
every_rule = pytest.mark.parametrize(("rule", "hyper"), RULES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
KINDS = ["npz", "safetensors"]

rng = np.random.default_rng(25)
X = rng.standard_normal((STEPS, ROWS, FEATURES))
Y = rng.integers(0, CLASSES, (STEPS, ROWS))


def compiled(rule: str, hyper: dict[str, Any], dtype: str) -> nn.Sequential:
    model = nn.Sequential(
        nn.Rescale(0.5),
        nn.Linear(FEATURES, 9),
        nn.BatchNorm1d(9),
        nn.GELU(),
        nn.Residual(nn.Linear(9, 9), nn.Dropout(0.2), nn.LayerNorm(9)),
        nn.Linear(9, CLASSES),
        dtype=dtype,
        seed=2**63,
    )
    model[1].freeze()
    made = getattr(optim, row_of("optimizers", rule)["class_name"])
    groups = {"*.bias": {"lr": 0.002}}
    model.compile(made(**paired("optimizers", rule, hyper), param_groups=groups), "cross_entropy")
    return model


def again(model: nn.Sequential, folder: Path, kind: str) -> nn.Sequential:
    """The model that another process would load."""
    model.save(folder / f"model.{kind}")
    return fastnn.load(folder / f"model.{kind}")


def content(model: nn.Sequential, folder: Path) -> bytes:
    """All that a file has: values, states and counts, running statistics, positions, history."""
    model.save(folder / "end.npz")
    return (folder / "end.npz").read_bytes()


@every_rule
@both_dtypes
def test_train_step(rule, hyper, dtype, tmp_path):
    whole, first = (compiled(rule, hyper, dtype) for _ in range(2))
    for step in range(STEPS):
        whole.train_step(X[step], Y[step])
        if step < STEPS // 2:
            first.train_step(X[step], Y[step])
    second = again(first, tmp_path, KINDS[dtype == "float64"])
    for step in range(STEPS // 2, STEPS):
        second.train_step(X[step], Y[step])
    assert content(second, tmp_path) == content(whole, tmp_path)
    assert content(second, tmp_path) != content(first, tmp_path)


@every_rule
@both_dtypes
def test_fit(rule, hyper, dtype, tmp_path):
    """5 + 5 epochs of 5 steps: shuffling goes on as well."""
    x, y = X[0].repeat(5, axis=0) + np.linspace(-1, 1, 60)[:, None], Y[0].repeat(5)
    whole, first = (compiled(rule, hyper, dtype) for _ in range(2))
    history = whole.fit(x, y, batch_size=12, epochs=10).history
    first.fit(x, y, batch_size=12, epochs=5)
    second = again(first, tmp_path, KINDS[dtype == "float32"])
    assert second.fit(x, y, batch_size=12, epochs=10, initial_epoch=5).history == {
        "loss": history["loss"][5:]
    }
    whole.history = second.history = None  # one of them is of half of the epochs
    assert content(second, tmp_path) == content(whole, tmp_path)


def test_layers_that_are_frozen_in_between(tmp_path):
    """A file has the counts of updates of each parameter, and which layers are frozen."""
    whole, second = (compiled("adam", {}, "float32") for _ in range(2))
    for step in range(STEPS):
        if step == 30:
            second = again(second, tmp_path, "npz")
        for model in (whole, second):
            if step == 20:
                model[1].unfreeze()
                model[5].freeze()
            if step == 40:
                model[5].unfreeze()
            model.train_step(X[step], Y[step])
    assert content(second, tmp_path) == content(whole, tmp_path)


def test_dropout_between_updates(tmp_path):
    """Passes in training mode without an update draw masks, too, and a file has their number."""
    whole, second = (compiled("sgd", {}, "float32") for _ in range(2))
    for step in range(10):
        if step == 5:
            second = again(second, tmp_path, "npz")
        outputs = [model.forward(X[step], training=True) for model in (whole, second)]
        np.testing.assert_array_equal(*outputs)
        if step % 3 == 0:
            for model in (whole, second):
                model.train_step(X[step], Y[step])
    assert content(second, tmp_path) == content(whole, tmp_path)
