# SPDX-License-Identifier: BSD-3-Clause
"""Only the ratios of sample weights matter, and averages are the same in every call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastnn.functional as F
from border import EXAMPLES
from conftest import TOLERANCE
from fastnn import nn, optim, reference
from fastnn.functional._functions import loss_name
from layouts import DTYPES
from members import ending, linear, names, row_of, targets
from pairs import Pair, same_bits

N, BATCH, K = 75, 16, 3  # the last batch is ragged
SIZES = [1e-300, 1e-50, 1e-40, 1e-30, 3.0, 1e30, 1e39, 1e300]
every_loss = pytest.mark.parametrize("name", names("losses"))
every_size = pytest.mark.parametrize("size", SIZES)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
both_reductions = pytest.mark.parametrize("reduction", ["mean", "sum"])


def pair_of(
    name: str, dtype: str = "float64", lr: float = 0.0, optimizer: str = "sgd", **hyper: Any
) -> Pair:
    layers = [linear(5, 8), ("tanh", {}), linear(8, K), *ending(name, K)]
    return Pair(layers, dtype).compile(name, optimizer, {"lr": lr}, loss_hyper=hyper)


@pytest.fixture
def mostly_nothing(rng: np.random.Generator) -> np.ndarray:
    """Return weights of which nine tenths are zero; there are batches in which all are zero."""
    weights = np.where(rng.random(N) < 0.1, rng.uniform(0.5, 3, N), 0.0)
    weights[:BATCH] = 0
    return weights


@both_dtypes
@both_reductions
@every_loss
@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_without_steps_is_an_evaluation(
    rng: np.random.Generator,
    mostly_nothing: np.ndarray,
    name: str,
    reduction: str,
    dtype: str,
    weighted: bool,
) -> None:
    x, y = rng.standard_normal((N, 5)), targets(rng, name, N, K)
    w = mostly_nothing if weighted else None
    metrics = reference.LOSSES[name].task != "regression"
    pair = pair_of(name, dtype, reduction=reduction)
    logs = []
    for network in (pair.engine, pair.twin):
        history = network.fit(x, y, w, batch_size=BATCH, epochs=1, metrics=metrics)
        logs.append(network.evaluate(x, y, w, metrics=metrics))
        for key, value in logs[-1].items():
            assert history[key][0] == pytest.approx(value, rel=2 * TOLERANCE[dtype, "loss"])
    for key, value in logs[1].items():
        assert logs[0][key] == pytest.approx(value, rel=TOLERANCE[dtype, "linear"])


@pytest.mark.parametrize(
    ("loss", "k"), [(nn.CrossEntropyLoss, 3), (nn.BCEWithLogitsLoss, 1), (nn.BCELoss, 1)]
)
@both_reductions
def test_so_it_is_with_weights_of_classes(
    rng: np.random.Generator, mostly_nothing: np.ndarray, loss: Any, k: int, reduction: str
) -> None:
    y = rng.integers(0, max(k, 2), N)
    x, by_class = rng.standard_normal((N, 5)), {0: 3.0, 1: 1e-3}
    model = nn.Sequential(nn.Linear(5, k), *[nn.Sigmoid()] * (loss is nn.BCELoss), dtype="float64")
    model.compile(optim.SGD(lr=0.0), loss(reduction=reduction), ["accuracy"])
    history = model.fit(x, y, BATCH, sample_weight=mostly_nothing, class_weight=by_class)
    total = mostly_nothing * np.select([y == 0, y == 1], [3.0, 1e-3], 1.0)
    for key, value in model.evaluate(x, y, total).items():
        assert history.history[key] == [pytest.approx(value, rel=1e-12)]


@both_dtypes
@every_size
@every_loss
def test_weights_train_as_their_ratios_say(
    rng: np.random.Generator, name: str, size: float, dtype: str
) -> None:
    """The twin trains the same, and a power of two as common factor does not change a bit."""
    x, y = rng.standard_normal((N, 5)), targets(rng, name, N, K)
    w = rng.uniform(0.25, 1, N)
    plain, scaled = (pair_of(name, dtype, 0.05) for _ in range(2))
    exact = 2.0 ** np.round(np.log2(size))
    plain.engine.fit(x, y, w, batch_size=BATCH, epochs=2)
    scaled.engine.fit(x, y, exact * w, batch_size=BATCH, epochs=2)
    same_bits(plain.engine, scaled.engine)
    pair = pair_of(name, dtype, 0.05)
    for network in (pair.engine, pair.twin):
        network.fit(x, y, size * w, batch_size=BATCH, epochs=2)
    pair.same_values()
    losses = [network.evaluate(x, y, size * w)["loss"] for network in (pair.engine, pair.twin)]
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCE[dtype, "training"])


@every_size
@every_loss
def test_every_call_takes_them_alike(rng: np.random.Generator, name: str, size: float) -> None:
    x, y = rng.standard_normal((N, 5)), targets(rng, name, N, K)
    w = rng.uniform(0.25, 1, N)
    network = pair_of(name, "float32").engine
    out = network.predict(x, link=False)
    row = row_of("losses", name)
    cls, function = getattr(nn, row["class_name"]), getattr(F, loss_name(row))
    calls = {
        "evaluate": lambda w: network.evaluate(x, y, w)["loss"],
        "loss_and_grad": lambda w: network.loss_and_grad(x, y, w),
        "train_step": lambda w: network.train_step(x, y, w),
        "class": lambda w: cls()(out, y, w)[0],
        "function": lambda w: function(out, y, w)[0],
        "twin": lambda w: reference.loss(name, {}, out, y, w)[0],
    }
    for call, loss in calls.items():
        assert loss(size * w) == pytest.approx(loss(w), rel=1e-6), call
    plain, scaled = (cls()(out, y, v)[1] for v in (w, size * w))
    np.testing.assert_allclose(plain, scaled, rtol=1e-5)
    np.testing.assert_allclose(plain, function(out, y, size * w)[1], rtol=1e-5)


@both_dtypes
def test_batches_of_very_different_weights(rng: np.random.Generator, dtype: str) -> None:
    """Each batch trains as if it were alone; the loss of the epoch is that of the large weights."""
    x, y = rng.standard_normal((N, 5)), rng.standard_normal((N, K))
    sizes = np.repeat([1e-300, 1e300, 0, 1e-20, 1.0], BATCH)[:N]
    pair = pair_of("mse", dtype, 0.05)
    histories = [
        network.fit(x, y, sizes, batch_size=BATCH, epochs=2, shuffle=False)
        for network in (pair.engine, pair.twin)
    ]
    pair.same_values()
    rtol = TOLERANCE[dtype, "training"]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=rtol)
    still = pair_of("mse", dtype)
    heavy = slice(BATCH, 2 * BATCH)
    history = still.engine.fit(x, y, sizes, batch_size=BATCH, epochs=1, shuffle=False)
    alone = still.engine.evaluate(x[heavy], y[heavy])["loss"]
    assert history["loss"][0] == pytest.approx(alone, rel=1e-6)


@EXAMPLES
@given(st.lists(st.floats(0, 1e308, allow_subnormal=False), min_size=1, max_size=40))
def test_any_weights(weights: list[float]) -> None:
    """The loss is an average of the rows' losses, whatever the weights."""
    w = np.array(weights)
    out = np.linspace(-1, 2, len(w))
    y = np.zeros(len(w))
    loss, grad = F.mse_loss(out, y, w)
    assert np.isfinite(grad).all()
    if w.any():
        counted = out[w > 0] ** 2
        assert counted.min() * (1 - 1e-12) <= loss <= counted.max() * (1 + 1e-12)
        share = w / w.max()
        assert loss == pytest.approx(np.sum(share * out**2) / np.sum(share), rel=1e-12)
        assert nn.MSELoss()(out, y, w)[0] == loss
    else:
        assert loss == 0
        assert not grad.any()


def test_weights_of_one() -> None:
    """Equal weights give the same bits as no weights."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((N, 5)), rng.standard_normal((N, K))
    without, ones, sevens = (pair_of("mse", "float32", 0.05, "adam").engine for _ in range(3))
    curves = [
        network.fit(x, y, w, batch_size=BATCH, epochs=3)["loss"]
        for network, w in ((without, None), (ones, np.ones(N)), (sevens, np.full(N, 8.0)))
    ]
    same_bits(without, ones)
    same_bits(without, sevens)
    assert curves[0] == curves[1] == curves[2]


def test_sums_take_weights_as_they_are() -> None:
    rng = np.random.default_rng(3)
    x, y, w = rng.standard_normal((N, 5)), rng.standard_normal((N, K)), rng.uniform(1, 2, N)
    network = pair_of("mse", "float32", reduction="sum").engine
    loss = network.evaluate(x, y, w)["loss"]
    for size in (1e-300, 1e-30, 1e30, 1e300):
        assert network.evaluate(x, y, size * w)["loss"] == pytest.approx(size * loss, rel=1e-6)
    text = (
        r"sample_weight has 1e\+39 at row 0, column 0; expected finite numbers \(as float32\) of "
        "at least 0"
    )
    for call in (network.train_step, network.loss_and_grad):
        with pytest.raises(ValueError, match=text):
            call(x, y, np.full(N, 1e39))


@pytest.mark.parametrize(
    ("nothing", "text"),
    [
        (slice(60, None), "zero for all 15 validation rows of validation_split = 0.2"),
        (slice(0, 60), "zero for all 60 training rows of validation_split = 0.2"),
    ],
)
def test_a_part_that_weighs_nothing(nothing: slice, text: str) -> None:
    """Its loss would be 0, which would be the best of all; so it is refused."""
    rng = np.random.default_rng(3)
    x, y, w = rng.standard_normal((N, 5)), rng.standard_normal((N, 1)), np.ones(N)
    w[nothing] = 0
    model = nn.Sequential(nn.Linear(5, 1))
    model.compile("sgd", "mse")
    before = model[0].weight.copy()
    with pytest.raises(ValueError, match=rf"\[Sequential.fit\] sample_weight is {text}; expected"):
        model.fit(x, y, sample_weight=w, validation_split=0.2)
    network = pair_of("mse").engine
    y3 = np.repeat(y, K, axis=1)
    with pytest.raises(ValueError, match=r"\[fit\] sample_weight is zero for all rows; expected"):
        network.fit(x, y3, np.zeros(N), batch_size=BATCH, epochs=1)
    with pytest.raises(ValueError, match=r"\[fit\] validation sample_weight is zero for all rows"):
        network.fit(x, y3, batch_size=BATCH, epochs=1, validation=(x, y3, np.zeros(N)))
    assert network.step == 0
    np.testing.assert_array_equal(model[0].weight, before)


def test_weights_of_classes_times_weights_of_rows() -> None:
    """Only the ratios of their product matter, too."""
    rng = np.random.default_rng(3)
    x, y, w = rng.standard_normal((N, 5)), rng.integers(0, 3, N), rng.uniform(1, 2, N)
    models = []
    for size in (1.0, 2.0**-900):
        model = nn.Sequential(nn.Linear(5, 3), dtype="float32")
        model.compile(optim.SGD(lr=0.1), "cross_entropy")
        by_class = {0: size, 1: 2 * size, 2: 0.5 * size}
        model.fit(x, y, BATCH, 2, sample_weight=size * w, class_weight=by_class)
        models.append(model[0].weight.copy())
    np.testing.assert_array_equal(*models)
    with pytest.raises(ValueError, match="class_weight is zero for all rows; expected a positive"):
        model.fit(x, y, class_weight=dict.fromkeys(range(3), 0.0))
