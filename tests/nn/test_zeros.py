# SPDX-License-Identifier: BSD-3-Clause
"""Factors many of whose numbers are zero: Linear skips their terms, with the bits of all terms.

Such are the outputs of ReLU, the gradients that go back through it, and many kinds of rows. The
functions `fastnn.functional.linear` and `linear_backward`, which skip nothing, give the expected
bits.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fastnn import TrainingDivergedError, _core, nn, optim
from fastnn import functional as F

DTYPES = ["float32", "float64"]
# From 128 rows on, gradients may be sums over the two halves of a batch; HALVED are so.
ROWS, HALVED = (16, 33, 97, 127), 401


def thinned(rows: int, columns: int, share: float, dtype: str = "float64") -> Any:
    """Return rows with empty and full ones and columns, and with zeros of both signs."""
    rng = np.random.default_rng(rows + columns)
    x = np.where(rng.random((rows, columns)) < share, rng.standard_normal((rows, columns)), 0)
    x[3 % rows], x[rows // 2 - 1] = 0, rng.standard_normal(columns)
    x[:, columns // 3], x[:, columns // 2] = 0, rng.standard_normal(rows)
    x[:, ::2] *= -1
    return x.astype(dtype)


def numbers(rows: int, columns: int, dtype: str = "float64") -> Any:
    return np.random.default_rng(rows * columns).standard_normal((rows, columns)).astype(dtype)


def classes(rows: int) -> Any:
    return np.random.default_rng(rows).integers(0, 3, rows)


def has_many_zeros(factor: Any) -> bool:
    """Do products skip the zeros of this factor?"""
    return bool(_core.testing.has_many_zeros(np.ascontiguousarray(factor)))


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.array(found), expected)


def by_layers(model: nn.Sequential, x: Any, dy: Any, halves: bool) -> dict[str, Any]:
    """Return the outputs, gradients of all parameters and the input of Linear-ReLU layers.

    Asserts that zeros of all factors between the layers are worth skipping.
    """
    state = {k: np.ascontiguousarray(v.T) for k, v in model.state_dict().items()}
    numbers_of = range(0, len(model), 2)
    inputs, out = [], x
    for k in numbers_of:
        inputs.append(out if k == 0 else np.maximum(out, 0))
        out = F.linear(inputs[-1], state[f"{k}.weight"], state[f"{k}.bias"])
    found, grad = {"out": out}, dy
    for k, layer_x in zip(reversed(numbers_of), reversed(inputs), strict=True):
        w = state[f"{k}.weight"]
        if k > 0:
            assert has_many_zeros(layer_x)
        half = len(x) // 2
        parts = (slice(half), slice(half, None)) if halves else (slice(None),)
        sums = [F.linear_backward(grad[rows], layer_x[rows], w) for rows in parts]
        found[f"{k}.weight"] = sum(dw for _, dw, _ in sums).T
        found[f"{k}.bias"] = sum(db for _, _, db in sums)
        dx = F.linear_backward(grad, layer_x, w)[0]
        grad = np.where(layer_x > 0, dx, 0).astype(dx.dtype) if k > 0 else dx
        if k > 0:
            assert has_many_zeros(grad)
    return found | {"dx": grad}


def has_the_bits(
    model: nn.Sequential, x: Any, dy: Any, threads: int, *, halves: bool = False
) -> None:
    expected = by_layers(model, x, dy, halves)
    out = expected.pop("out")
    same(model.forward(x, n_threads=threads), out)
    same(model.predict(x), out)
    same(model.backward(dy, need_dx=True, n_threads=threads), expected.pop("dx"))
    for name, gradient in model.gradients().items():
        same(gradient, expected.pop(name))
    assert not expected


def network(*widths: int, dtype: str, seed: int = 4) -> nn.Sequential:
    """Return Linear-ReLU layers of these widths, without a ReLU at the end."""
    layers: list[Any] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1], dtype=dtype, seed=seed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("units", [24, 48, 64, 71, 100, 129, 200])
def test_layers_inside(units: int, threads: int, dtype: str) -> None:
    """All widths of panels, and all numbers of rows that are left over of several at once."""
    model = network(70, units, units + 3, 80, dtype=dtype)
    for rows in ROWS:
        dy = thinned(rows, 80, 0.3, dtype)
        has_the_bits(model, thinned(rows, 70, 0.3, dtype), dy, threads)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [0.02, 0.3])
@pytest.mark.parametrize("columns", [16, 17, 63, 64, 65, 130, 1100])
def test_rows_of_the_caller(columns: int, share: float, dtype: str) -> None:
    model = nn.Sequential(nn.Linear(columns, 96), dtype=dtype, seed=1)
    for rows in ROWS:
        x = thinned(rows, columns, share, dtype)
        assert has_many_zeros(x)
        has_the_bits(model, x, numbers(rows, 96, dtype), 2)
        # predict reads rows where they are, at any address and with any stride
        memory = np.zeros(x.size + rows + 1, dtype)
        apart = memory[1:].reshape(rows, columns + 1)[:, :columns]
        apart[...] = x
        same(model.predict(apart), model.forward(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [16, 100, 530])
def test_wide_layers(rows: int, threads: int, dtype: str) -> None:
    """W^T and x^T of all threads, rows of W on pages of their own, W in panels from 512 rows on."""
    model = network(64, 1024, 720, 64, dtype=dtype)
    has_the_bits(model, thinned(rows, 64, 0.3, dtype), thinned(rows, 64, 0.3, dtype), threads)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_halves_of_the_rows(threads: int, dtype: str) -> None:
    model = network(64, 96, 64, dtype=dtype)
    x, dy = thinned(HALVED, 64, 0.3, dtype), thinned(HALVED, 64, 0.3, dtype)
    has_the_bits(model, x, dy, threads, halves=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("widths", [(64, 96, 80, 64), (64, 1024, 720, 64)])
@pytest.mark.parametrize("settings", [{}, {"accumulate": 2}, {"max_grad_norm": 0.01}])
def test_updates_at_once(settings: Any, widths: Any, dtype: str) -> None:
    """Tiles that are updated at once, with their memory prefetched if it is large."""
    x, target = thinned(120, 64, 0.3, dtype), numbers(120, 64, dtype)
    weights = []
    for threads in (1, 2, 3):
        model = network(*widths, dtype=dtype)
        model.compile(optim.Adam(lr=0.01), "mse", **settings)
        model.fit(x, target, epochs=2, batch_size=60, shuffle=False, n_threads=threads)
        weights.append(model.state_dict())
    apart = network(*widths, dtype=dtype)
    apart.compile(optim.Adam(lr=0.01), "mse", **settings)
    for rows in (slice(60), slice(60, None)) * 2:
        apart.loss_and_grad(x[rows], target[rows])
        apart.apply_gradients()
    for state in weights[1:] + ([apart.state_dict()] if not settings else []):
        for name, value in state.items():
            same(value, weights[0][name])


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_rows_in_one_chunk(dtype: str) -> None:
    model = network(64, 96, 64, dtype=dtype)
    x = thinned(401, 64, 0.3, dtype)
    expected = by_layers(model, x, thinned(401, 64, 0.3, dtype), False)["out"]
    _core.testing.inject_split(1)
    try:
        same(model.forward(x), expected)
    finally:
        _core.testing.inject_split(0)


def test_a_bias_alone() -> None:
    """Rows without any number other than zero."""
    model = nn.Sequential(nn.Linear(64, 64), dtype="float64", seed=0)
    b = model.state_dict()["0.bias"]
    same(model.predict(np.zeros((20, 64))), np.tile(b, (20, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("units", [64, 128, 200, 1024])
def test_few_rows(units: int, dtype: str) -> None:
    """They read W as it is, at any stride, or take the dense product."""
    model = network(70, units, 720, dtype=dtype)
    x = thinned(40, 70, 0.3, dtype)
    whole = by_layers(model, x, numbers(40, 720, dtype), False)["out"]
    for rows in (1, 2, 3, 5, 8, 15, 23, 24, 25):
        same(model.predict(x[:rows]), whole[:rows])


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_are_many_zeros(dtype: str) -> None:
    """At least two fifths of the numbers in four of the rows; NaN is none."""
    for others, expected in ((59, True), (61, False)):
        x = np.zeros((40, 100), dtype)
        x[:, 100 - others :] = -1
        assert has_many_zeros(x) is expected
        assert has_many_zeros(x[:1]) is expected
    x[:] = np.nan
    assert not has_many_zeros(x)
    x[[5, 15, 25, 35]] = 0
    assert has_many_zeros(x)
    assert has_many_zeros(np.zeros((3, 7), dtype))


FIRST = {
    "scale": lambda: nn.Rescale(0.5),
    "shift": lambda: nn.Standardize(np.ones(70), np.full(70, 2.0)),
    "flatten": nn.Flatten,
    "dropout": lambda: nn.Dropout(0.3),
}


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("kind", ["uint8", "int32", "float32", "float64"])
def test_fit_trains_as_steps_do(kind: str, first: str) -> None:
    x, y = np.abs(thinned(90, 70, 0.1) * 9).astype(kind), classes(90)
    models = []
    for _ in range(2):
        model = nn.Sequential(
            FIRST[first](), nn.Linear(70, 64), nn.ReLU(), nn.Linear(64, 3), seed=3
        )
        model.compile(optim.Adam(lr=0.01), "cross_entropy")
        models.append(model)
    for rows in (slice(30), slice(30, 60), slice(60, 90)):
        models[0].train_step(x[rows], y[rows])
    models[1].fit(x, y, epochs=1, batch_size=30, shuffle=False)
    for one, other in zip(*(m.state_dict().values() for m in models), strict=True):
        same(one, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 77])
def test_numbers_that_are_not_finite_are_refused(row: int, bad: float) -> None:
    x, y = thinned(90, 70, 0.1), classes(90)
    x[row, 3] = bad
    model = network(70, 64, 3, dtype="float32")
    model.compile(optim.SGD(lr=0.1), "cross_entropy")
    with pytest.raises(ValueError, match=f"X has {bad} at row {row}"):
        model.fit(x, y, epochs=1, batch_size=30, shuffle=False)
    with pytest.raises(ValueError, match=f"X has {bad} at row {row}"):
        model.predict(x)


def test_a_training_that_diverges() -> None:
    x, y = thinned(90, 70, 0.1), numbers(90, 2)
    model = network(70, 64, 2, dtype="float32")
    model.compile(optim.SGD(lr=1e9), "mse")
    with pytest.raises(TrainingDivergedError):
        model.fit(x, y, epochs=9, batch_size=30)
