# SPDX-License-Identifier: BSD-3-Clause
"""Models to save, and what two models have in common that go on to the same bits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import members
from fastnn import nn
from fastnn.nn._config import Saved, made, taken

ROWS, F, WIDTH, K = 40, 5, 6, 3


def through_json(saved: Saved) -> Saved:
    """The same as a file would have it: text of strict JSON, and arrays that are copies."""
    text = json.dumps(saved.config, allow_nan=False)
    return Saved(json.loads(text), {key: np.array(a, order="C") for key, a in saved.arrays.items()})


def again(model: nn.Sequential, **options: Any) -> nn.Sequential:
    return made("load", through_json(taken("save", model, **options)), nn.Sequential)


def rows(
    loss: str = "cross_entropy",
    k: int = K,
    dtype: str = "float64",
    hyper: dict[str, Any] | None = None,
) -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((ROWS, F)).astype(dtype)
    return x, members.targets(rng, loss, ROWS, k, hyper=hyper)


def same_state(a: nn.Sequential, b: nn.Sequential) -> None:
    first, second = taken("a", a), taken("b", b)
    assert first.config == second.config
    assert first.arrays.keys() == second.arrays.keys()
    for key, array in first.arrays.items():
        assert array.dtype == second.arrays[key].dtype, key
        assert array.tobytes() == second.arrays[key].tobytes(), key


def goes_on_alike(model: nn.Sequential, other: nn.Sequential, x: Any, y: Any) -> None:
    same_state(model, other)
    assert repr(model) == repr(other)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))
    for each in (model, other):
        each.fit(x, y, batch_size=7, epochs=2)
        each.train_step(x, y)
    same_state(model, other)


def mixed(dtype: str) -> nn.Sequential:
    return nn.Sequential(
        nn.Rescale(np.linspace(0.5, 2, F), 0.25),
        nn.Linear(F, WIDTH, bias=False),
        nn.BatchNorm1d(WIDTH, momentum=0.3),
        nn.Residual(nn.LayerNorm(WIDTH), nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU())),
        nn.Dropout(0.3),
        nn.Linear(WIDTH, WIDTH).freeze(),
        nn.LeakyReLU(0.3),
        nn.Linear(WIDTH, K),
        dtype=dtype,
        seed=7,
    )
