# SPDX-License-Identifier: BSD-3-Clause
"""Batches of a few rows, whose gradients are computed without W^T, in consecutive steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fastnn import nn, optim

WIDTHS = [1, 3, 8, 17, 64, 130]
TOLERANCE = {"float32": 2e-6, "float64": 2e-15}


def _model(widths: list[int], dtype: str, optimizer: Any = None) -> nn.Sequential:
    layers: list[Any] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.Tanh()]
    model = nn.Sequential(*layers[:-1], dtype=dtype, seed=3)
    model.compile(optimizer or optim.SGD(lr=0.05), nn.MSELoss())
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 8, 9])
@pytest.mark.parametrize("outputs", WIDTHS)
@pytest.mark.parametrize("inputs", WIDTHS)
def test_gradient_of_the_input(inputs: int, outputs: int, rows: int, dtype: str) -> None:
    rng = np.random.default_rng(0)
    model = _model([inputs, outputs], dtype)
    x, dy = rng.normal(size=(rows, inputs)), rng.normal(size=(rows, outputs))
    model.forward(x.astype(dtype), training=True)
    dx = model.backward(dy.astype(dtype), need_dx=True)
    weight = model.state_dict()["0.weight"].astype("float64")
    expected = dy.astype(dtype).astype("float64") @ weight
    size = np.abs(dy) @ np.abs(weight)
    np.testing.assert_array_less(np.abs(dx - expected), TOLERANCE[dtype] * (size + 1))


@pytest.mark.parametrize("optimizer", [optim.SGD(lr=0.1, momentum=0.9), optim.Adam(lr=0.01)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches_of_many_and_few_rows_follow_one_another(threads: int, optimizer: Any) -> None:
    # 23 rows in batches of 16, 10 and 5: ragged batches of 7 and 3 rows go without W^T, the next
    # epoch's first batch with it.
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(23, 6)), rng.normal(size=(23, 3))
    fitted, stepped = (_model([6, 20, 11, 3], "float64", optimizer) for _ in range(2))
    for batch in (16, 10, 5):
        fitted.fit(x, y, batch_size=batch, epochs=2, shuffle=False, n_threads=threads)
        for _ in range(2):
            for first in range(0, 23, batch):
                stepped.train_step(x[first : first + batch], y[first : first + batch], n_threads=1)
    for name, value in fitted.state_dict().items():
        np.testing.assert_array_equal(value, stepped.state_dict()[name], err_msg=name)
