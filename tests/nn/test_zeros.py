# SPDX-License-Identifier: BSD-3-Clause
"""Dense rows many of whose numbers are zero: fit skips zeros, and trains the same bits.

Training steps of the same batches are the expected values: they skip nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import TrainingDivergedError, nn, optim

# Shares of numbers that are not zero with which zeros are skipped in both products, and in the
# forward pass alone.
EVERYWHERE, FORWARD = 0.1, 0.3


def thinned(rows: int, columns: int, share: float) -> Any:
    """Return rows with empty and full ones and columns, and with zeros of both signs."""
    rng = np.random.default_rng(rows + columns)
    x = np.where(rng.random((rows, columns)) < share, rng.standard_normal((rows, columns)), 0)
    x[3 % rows], x[rows // 2] = 0, rng.standard_normal(columns)
    x[:, columns // 3], x[:, columns // 2] = 0, rng.standard_normal(rows)
    x[:, ::2] *= -1
    return x


def classes(rows: int) -> Any:
    return np.random.default_rng(rows).integers(0, 3, rows)


def numbers(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape)


def made(columns: int, units: int, dtype: str, **settings: Any) -> nn.Sequential:
    model = nn.Sequential(
        nn.Linear(columns, units), nn.Tanh(), nn.Linear(units, 3), dtype=dtype, seed=4
    )
    model.compile(optim.Adam(lr=0.01), "cross_entropy", **settings)
    return model


def by_steps(model: nn.Sequential, x: Any, y: Any, batch_size: int, epochs: int = 1) -> None:
    for _ in range(epochs):
        for first in range(0, len(x), batch_size):
            model.train_step(x[first : first + batch_size], y[first : first + batch_size])


def same(a: nn.Sequential, b: nn.Sequential) -> None:
    for one, other in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(other))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [EVERYWHERE, FORWARD])
@pytest.mark.parametrize("units", [64, 72, 100, 113])
@pytest.mark.parametrize("columns", [1, 17, 64, 130, 1100])
def test_every_size(columns: int, units: int, share: float, dtype: str) -> None:
    """Batches of one row, of few and of many with a rest, whose parts end within words of bits."""
    x, y = thinned(151, columns, share), classes(151)
    for batch_size in (1, 7, 64, 151):
        a, b = (made(columns, units, dtype) for _ in range(2))
        by_steps(a, x, y, batch_size)
        b.fit(x, y, epochs=1, batch_size=batch_size, shuffle=False)
        same(a, b)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [300, 1030])
@pytest.mark.parametrize("columns", [40, 700])
def test_long_batches_and_wide_layers(columns: int, rows: int, dtype: str) -> None:
    """W is read from packed panels in the long batches, and dW is summed in several blocks."""
    x, y = thinned(rows, columns, EVERYWHERE), classes(rows)
    a, b = (made(columns, 600, dtype) for _ in range(2))
    by_steps(a, x, y, rows, epochs=2)
    b.fit(x, y, epochs=2, batch_size=rows, shuffle=False)
    same(a, b)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("max_grad_norm", [None, 0.01])
def test_the_bits_do_not_depend_on_threads(max_grad_norm: Any, threads: int) -> None:
    x, y = thinned(302, 100, EVERYWHERE), classes(302)
    a, b = (made(100, 70, "float64", max_grad_norm=max_grad_norm) for _ in range(2))
    by_steps(a, x, y, 151, epochs=2)
    b.fit(x, y, epochs=2, batch_size=151, shuffle=False, n_threads=threads)
    same(a, b)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_options(accumulate: int) -> None:
    x, y = thinned(120, 90, EVERYWHERE), classes(120)
    a, b = (made(90, 80, "float32", accumulate=accumulate, penalty_in_loss=True) for _ in range(2))
    by_steps(a, x, y, 30, epochs=2)
    b.fit(x, y, epochs=2, batch_size=30, shuffle=False)
    same(a, b)


def test_a_loss_of_ones_own() -> None:
    def squares(out: Any, target: Any) -> tuple[float, Any]:
        error = out - target[:, None]
        return float((error**2).sum()), 2 * error

    x, y = thinned(90, 50, EVERYWHERE), numbers(90)
    a, b = (made(50, 64, "float64") for _ in range(2))
    for model in (a, b):
        model.compile(optim.SGD(lr=1e-3), squares)
    by_steps(a, x, y, 40)
    b.fit(x, y, epochs=1, batch_size=40, shuffle=False)
    same(a, b)


def test_parts_of_a_stream() -> None:
    """The first part decides; the second has no zeros."""
    parts = [thinned(60, 80, EVERYWHERE), numbers(60, 80)]
    y = classes(60)
    a, b = (made(80, 64, "float64") for _ in range(2))
    for x in parts:
        by_steps(a, x, y, 20)
    b.fit_stream(lambda: ((x, y) for x in parts), epochs=1, batch_size=20)
    same(a, b)


FIRST = {
    "scale": lambda: nn.Rescale(0.5),
    "shift": lambda: nn.Standardize(np.ones(70), np.full(70, 2.0)),
    "flatten": nn.Flatten,
    "dropout": lambda: nn.Dropout(0.3),
}


@pytest.mark.parametrize("first", FIRST)
def test_what_comes_before_the_first_linear(first: str) -> None:
    x, y = thinned(90, 70, EVERYWHERE), classes(90)
    models = []
    for _ in range(2):
        model = nn.Sequential(
            FIRST[first](), nn.Linear(70, 64), nn.ReLU(), nn.Linear(64, 3), seed=3
        )
        model.compile(optim.Adam(lr=0.01), "cross_entropy")
        models.append(model)
    by_steps(models[0], x, y, 30)
    models[1].fit(x, y, epochs=1, batch_size=30, shuffle=False)
    same(*models)


@pytest.mark.parametrize("kind", ["uint8", "int32", "float32", "float64"])
def test_every_dtype(kind: str) -> None:
    x = np.abs(thinned(90, 70, EVERYWHERE) * 9).astype(kind)
    y = classes(90)
    for dtype in ("float32", "float64"):
        a, b = (made(70, 64, dtype) for _ in range(2))
        by_steps(a, x, y, 30)
        b.fit(x, y, epochs=1, batch_size=30, shuffle=False)
        same(a, b)


def test_a_frozen_first_layer_trains_the_others() -> None:
    x, y = thinned(90, 70, EVERYWHERE), classes(90)
    a, b = (made(70, 64, "float64") for _ in range(2))
    for model in (a, b):
        model[0].freeze()
    by_steps(a, x, y, 30)
    b.fit(x, y, epochs=1, batch_size=30, shuffle=False)
    same(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 77])
def test_numbers_that_are_not_finite_are_refused(row: int, bad: float) -> None:
    x, y = thinned(90, 70, EVERYWHERE), classes(90)
    x[row, 3] = bad
    with pytest.raises(ValueError, match=f"X has {bad} at row {row}"):
        made(70, 64, "float32").fit(x, y, epochs=1, batch_size=30, shuffle=False)


def test_a_training_that_diverges() -> None:
    x, y = thinned(90, 70, EVERYWHERE), numbers(90, 2)
    model = nn.Sequential(nn.Linear(70, 64), nn.Linear(64, 2), dtype="float32", seed=0)
    model.compile(optim.SGD(lr=1e9), "mse")
    with pytest.raises(TrainingDivergedError):
        model.fit(x, y, epochs=9, batch_size=30)
