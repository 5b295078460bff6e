# SPDX-License-Identifier: BSD-3-Clause
"""Sparse matrices of SciPy as X: the numbers of the dense rows, whatever the format."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import callbacks, data, nn, optim
from fastnn.errors import TrainingDivergedError
from sparse_rows import (
    COLUMNS,
    DENSE,
    FIRST,
    FORMATS,
    FULLER,
    WEIGHTS,
    N,
    Y,
    made,
    same,
    sparse,
    sparse_of,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def of_model(x: Any, dtype: str = "float64") -> list[Any]:
    """Return the results of all calls that take X."""
    model = made(dtype)
    history = model.fit(
        x, Y, epochs=2, batch_size=16, sample_weight=WEIGHTS, validation_split=0.2
    ).history
    results: list[Any] = [history[name] for name in sorted(history)]
    results += [model.train_step(x, Y), *model.evaluate(x, Y, WEIGHTS).values()]
    results += [model.predict(x), model.predict_proba(x), model.forward(x)]
    loss, gradients = model.loss_and_grad(x, Y)
    results += [loss, *map(np.array, gradients.values()), model.input_gradient(x, Y)]
    results += [model.jacobian(x), *model.per_sample_gradients(x, Y).values()]
    return results + values(model)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_has_the_numbers_of_the_dense_rows(kind: str, dtype: str) -> None:
    for rows in (DENSE, FULLER):
        for expected, found in zip(
            of_model(rows, dtype), of_model(sparse_of(rows, kind), dtype), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("max_grad_norm", [None, 0.01])
def test_gradients_that_are_summed_by_parts_of_the_rows(max_grad_norm: Any, threads: int) -> None:
    """The halves of 151 rows end within chunks, into which cells are sorted."""
    rng = np.random.default_rng(5)
    x = sparse.random_array((302, 40), density=0.05, rng=rng, format="csr")
    y = rng.integers(0, 3, 302)

    def trained(rows: Any) -> nn.Sequential:
        model = nn.Sequential(nn.Linear(40, 16), nn.ReLU(), nn.Linear(16, 3), seed=0)
        model.compile("adam", "cross_entropy", max_grad_norm=max_grad_norm)
        model.fit(rows, y, epochs=2, batch_size=151, n_threads=threads)
        return model

    same(trained(x), trained(x.toarray()))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "numbers", ["bool", "int8", "uint8", "int16", "int32", "int64", "uint64", "float32", "float64"]
)
def test_every_dtype_of_numbers_and_indices(numbers: str, wide: bool) -> None:
    dense = np.abs(np.round(DENSE)).astype(numbers)
    for dtype in ("float32", "float64"):
        rows = sparse_of(dense, wide=wide)
        assert rows.indices.dtype == (np.int64 if wide else np.int32)
        a, b = made(dtype), made(dtype)
        a.fit(dense, Y, epochs=2, batch_size=16)
        b.fit(rows, Y, epochs=2, batch_size=16)
        same(a, b)
        np.testing.assert_array_equal(a.predict(dense), b.predict(rows))


@pytest.mark.parametrize("numbers", ["bool", "int8", "float32", "float64"])
def test_cells_in_any_order_that_come_several_times_are_added_as_scipy_does(numbers: str) -> None:
    columns = np.array([4, 1, 4, 0, 2, 2, 1], np.int32)
    rows = sparse.csr_matrix(
        (np.array([1, 1, 1, 0, 100, 100, 1], numbers), columns, np.array([0, 3, 3, 7])),
        shape=(3, COLUMNS),
    )
    held = [part.copy() for part in (rows.data, rows.indices, rows.indptr)]
    expected = rows.toarray()
    model = made()
    np.testing.assert_array_equal(model.forward(rows), model.forward(expected))
    assert [*map(len, held)] == [len(rows.data), len(rows.indices), len(rows.indptr)]
    for before, now in zip(held, (rows.data, rows.indices, rows.indptr), strict=True):
        np.testing.assert_array_equal(before, now)
    assert expected[0, 4] == np.array([1, 1], numbers).sum(dtype=numbers)


def test_rows_without_cells_and_zeros_that_are_stored() -> None:
    stored = sparse_of(DENSE)
    stored.data[::3] = 0
    dense = stored.toarray()
    empty = sparse.csr_array((4, COLUMNS))
    for expected, found in zip(of_model(dense), of_model(stored), strict=True):
        np.testing.assert_array_equal(found, expected)
    model = made()
    np.testing.assert_array_equal(model.predict(empty), model.predict(np.zeros((4, COLUMNS))))
    assert model.predict(sparse.csr_array((0, COLUMNS))).shape == (0, 3)


def test_arrays_with_gaps() -> None:
    rows = sparse_of(DENSE)
    twice = np.repeat(rows.data, 2)
    rows.data = twice[::2]
    model = made()
    np.testing.assert_array_equal(model.predict(rows), model.predict(DENSE))


@pytest.mark.parametrize(
    "settings",
    [
        {"accumulate": 3},
        {"max_grad_norm": 0.1},
        {"max_grad_value": 0.01},
        {"penalty_in_loss": True},
    ],
    ids=lambda s: next(iter(s)),
)
def test_training_with_options_is_that_of_dense_rows(settings: dict[str, Any]) -> None:
    seen: list[list[Any]] = []
    for x in (DENSE, sparse_of(DENSE)):
        model, losses = made(**settings), []
        each = callbacks.Callback()
        each.on_train_batch_end = lambda _k, logs, into=losses: into.append(logs["loss"])  # type: ignore[method-assign]
        model.fit(
            x,
            Y,
            epochs=3,
            batch_size=16,
            class_weight={0: 2.0},
            validation_data=(x[:20], Y[:20]),
            callbacks=[each],
        )
        seen.append([*losses, *values(model)])
    for expected, found in zip(*seen, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("first", FIRST)
def test_layers_before_the_first_linear(first: str, dtype: str) -> None:
    a, b = (made(dtype, first=FIRST[first]()) for _ in range(2))
    a.fit(DENSE, Y, epochs=2, batch_size=16)
    b.fit(sparse_of(DENSE), Y, epochs=2, batch_size=16)
    same(a, b)
    np.testing.assert_array_equal(a.predict(DENSE), b.predict(sparse_of(DENSE)))


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_the_bits_do_not_depend_on_threads(n_threads: int) -> None:
    one, more = made("float32"), made("float32")
    x = sparse_of(DENSE)
    one.fit(x, Y, epochs=2, batch_size=50, n_threads=1)
    more.fit(x, Y, epochs=2, batch_size=50, n_threads=n_threads)
    same(one, more)


def test_a_loss_of_ones_own() -> None:
    def squares(out: Any, target: Any) -> tuple[float, Any]:
        error = out - target[:, None]
        return float((error**2).sum()), 2 * error

    models = [made(), made()]
    for model, x in zip(models, (DENSE, sparse_of(DENSE)), strict=True):
        model.compile(optim.SGD(lr=1e-3), squares)
        model.fit(x, Y.astype(float), epochs=2, batch_size=16)
        model.train_step(x, Y.astype(float))
    same(*models)


def test_other_calls_take_sparse_rows() -> None:
    x = sparse_of(DENSE)
    batches = [(xb.toarray(), yb) for xb, yb in data.batches(x, Y, 16, shuffle=True)]
    for (a, b), (c, d) in zip(batches, data.batches(DENSE, Y, 16, shuffle=True), strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    model = made(first=(nn.BatchNorm1d(COLUMNS),))
    twin = made(first=(nn.BatchNorm1d(COLUMNS),))
    model.update_batch_norm(x)
    twin.update_batch_norm(DENSE)
    same(model, twin)
    found, expected = (m.lr_find(rows, Y, steps=5) for m, rows in ((model, x), (twin, DENSE)))
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert str(model.diagnose(x, Y)) == str(twin.diagnose(DENSE, Y))


def test_standardize_measures_sparse_rows_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.nn import _inputs

    monkeypatch.setattr(_inputs, "_DENSE", 4 * COLUMNS)
    dense, blocks = nn.Standardize(), nn.Standardize()
    dense.adapt(DENSE)
    blocks.adapt(sparse_of(DENSE))
    np.testing.assert_allclose(blocks.mean, dense.mean, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(blocks.scale, dense.scale, rtol=1e-13)
    x = sparse_of(DENSE)
    x.data[-1] = np.nan
    with pytest.raises(ValueError, match=f"X has nan at row {x.nonzero()[0][-1]}, column"):
        blocks.adapt(x)


@pytest.mark.parametrize("rows", [None, N])
@pytest.mark.parametrize("later", ["csr", "fuller", "dense"])
def test_a_stream_of_sparse_parts_has_the_numbers_of_dense_ones(
    later: str, rows: int | None
) -> None:
    """The core cannot prepare for sparse rows by the first part: others may store more, or all."""
    dense = DENSE.copy()
    if later == "fuller":
        dense[30:] = FULLER[30:]

    def parts(sparse_until: int) -> Callable[[], Any]:
        def part(a: int, b: int) -> tuple[Any, Any]:
            return sparse_of(dense[a:b]) if b <= sparse_until else dense[a:b], Y[a:b]

        cuts = [0, 7, 30, 31, N]
        return lambda: (part(a, b) for a, b in itertools.pairwise(cuts))

    models = [made(), made()]
    for model, until in zip(models, (0, 31 if later == "dense" else N), strict=True):
        model.fit_stream(parts(until), epochs=2, batch_size=16, rows=rows)
    same(*models)


def test_the_rows_of_a_list_of_sparse_parts_are_known() -> None:
    """A cycle of the rate that lasts the fit needs their number."""
    model = made()
    model.compile(optim.SGD(lr=optim.lr_scheduler.OneCycleLR(0.1)), "cross_entropy")
    model.fit_stream([(sparse_of(DENSE), Y), (sparse_of(FULLER), Y)], epochs=2, batch_size=16)
    assert model.history is not None
    assert model.history.steps == 2 * 8


def test_an_order_that_repeats_the_row_with_most_cells() -> None:
    """A batch then has more cells than any batch of different rows."""
    thin = np.zeros_like(DENSE)
    thin[:, 3], thin[5] = 1, 2
    again = np.full(N, 5)
    models = [made(), made()]
    for model, x in zip(models, (thin, sparse_of(thin)), strict=True):
        model._network.fit(x, Y, batch_size=16, epochs=2, orders=lambda _: again)
    same(*models)


def test_scipy_is_not_imported() -> None:
    code = (
        "import sys, numpy as np; from fastnn import nn; m = nn.Sequential(nn.Linear(3, 1))\n"
        "m.compile('sgd', 'mse'); m.fit([[1, 2, 3]], [[1]]); m.predict(np.ones((1, 3)))\n"
        "print('scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("outputs", [1, 3, 8, 17, 100, 201])
def test_a_wide_first_layer_has_the_bits_of_the_dense_product(outputs: int, dtype: str) -> None:
    """Batches of one row, of few, of many with a rest; rows of none and of hundreds of cells."""
    rng = np.random.default_rng(outputs)
    dense = np.where(rng.random((90, 2100)) < 0.01, rng.standard_normal((90, 2100)), 0)
    dense[4], dense[5] = 0, np.where(rng.random(2100) < 0.3, 1.5, 0)
    y = rng.standard_normal((90, outputs))
    for batch_size in (1, 7, 40, 90):
        models = []
        for x in (dense, sparse_of(dense)):
            model = nn.Sequential(nn.Linear(2100, outputs), nn.Tanh(), dtype=dtype, seed=1)
            model.compile(optim.Adam(lr=0.01, weight_decay=0.01), "mse")
            model.fit(x, y, epochs=1, batch_size=batch_size)
            models.append([*values(model), model.predict(x)])
        for expected, found in zip(*models, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_frozen_first_layer_trains_the_others() -> None:
    models = []
    for x in (DENSE, sparse_of(DENSE)):
        model = made()
        model[0].freeze()
        model.fit(x, Y, epochs=2, batch_size=16)
        models.append(model)
        broken_x = sparse_of(DENSE)
        broken_x.data[5] = np.inf
        with pytest.raises(ValueError, match="X has inf at row"):
            model.train_step(broken_x, Y)
    same(*models)


def test_sparse_and_dense_rows_in_turns() -> None:
    """The memory for a batch serves both."""
    a, b = made(), made()
    for first, other in ((DENSE, sparse_of(DENSE)), (sparse_of(DENSE), DENSE)) * 2:
        a.train_step(first, Y)
        b.train_step(other, Y)
        a.forward(sparse_of(DENSE), True)
        b.forward(DENSE, True)
        a.backward(np.ones((N, 3)))
        b.backward(np.ones((N, 3)))
        a.apply_gradients()
        b.apply_gradients()
    same(a, b)


def test_an_update_that_may_overflow_is_found() -> None:
    """Finite losses whose gradients are too large for float32: the step is undone."""
    seen = []
    for x in (DENSE * 1e15, sparse_of(DENSE * 1e15)):
        model = nn.Sequential(nn.Linear(COLUMNS, 2), dtype="float32", seed=0)
        model.compile(optim.Adam(lr=1e-3), "mse")
        before = values(model)
        try:
            model.train_step(x, np.full((N, 2), 1e8), sample_weight=np.full(N, 1e3))
            seen.append(values(model))
        except TrainingDivergedError as error:
            seen.append([str(error)])
            for value, now in zip(before, values(model), strict=True):
                np.testing.assert_array_equal(value, now)
    for expected, found in zip(*seen, strict=True):
        np.testing.assert_array_equal(found, expected)
