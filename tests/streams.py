# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of fit_stream share: rows, parts of them, and a model with everything in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import nn, optim

ROWS = 53


def given(dtype: str = "float32") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X of six columns, three classes and weights, some of them zero."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((ROWS, 6)).astype(dtype)
    return x, rng.integers(0, 3, ROWS), rng.integers(0, 4, ROWS) / 2.0


def cut(rows: Any, counts: list[int]) -> list[tuple[Any, ...]]:
    """Return parts with so many rows each."""
    ends = np.cumsum(counts)
    return [
        tuple(each[end - n : end] for each in rows if each is not None)
        for n, end in zip(counts, ends, strict=True)
    ]


def model(
    *, dtype: str = "float32", norm: bool = True, optimizer: Any = None, **settings: Any
) -> nn.Sequential:
    """Return a network with layers that take statistics and draws."""
    layers = [nn.Linear(6, 16), nn.BatchNorm1d(16)] if norm else [nn.Linear(6, 16)]
    made = nn.Sequential(*layers, nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3), dtype=dtype, seed=2)
    loss = settings.pop("loss", "cross_entropy")
    made.compile(optim.Adam(lr=0.01) if optimizer is None else optimizer, loss, **settings)
    return made


def state(made: nn.Sequential) -> dict[str, bytes]:
    """Return what training has changed, without the history."""
    kept = made.__getstate__()
    arrays = {key: np.asarray(value).tobytes() for key, value in kept["arrays"].items()}
    config = {k: v for k, v in kept["config"].items() if k != "history"}
    return arrays | {"config": repr(config).encode()}
