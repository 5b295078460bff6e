# SPDX-License-Identifier: BSD-3-Clause
"""BatchNorm normalises by the batch, and a batch of one row by the running statistics.

One row does not change these statistics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import callbacks, nn, optim
from fastnn.errors import TrainingDivergedError
from layouts import DTYPES, close, draws
from members import linear, network_with
from pairs import Pair, same_bits

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
LAYERS = [
    linear(5, 6, bias=False),
    ("batch_norm1d", {"num_features": 6}),
    ("relu", {}),
    ("dropout", {"p": 0.5}),
    linear(6, 6, bias=False),
    ("batch_norm1d", {"num_features": 6, "momentum": 0.3}),
    linear(6, 3),
]


def statistics(network: Any) -> list[np.ndarray]:
    return [p["array"].copy() for p in network.parameters() if not p["trainable"]]


def moved(pair: Pair, rng: np.random.Generator) -> Pair:
    """Return the pair after a step, so that its statistics are not the initial ones."""
    pair.compile("cross_entropy", "adam")
    x, y = draws(rng, (19, 5), pair.dtype), rng.integers(0, 3, 19)
    for network in (pair.engine, pair.twin):
        network.train_step(x, y)
    return pair


# -- one row ---------------------------------------------------------------------------------------


@both_dtypes
def test_a_row_is_normalised_as_in_prediction(rng: np.random.Generator, dtype: str) -> None:
    layers = [layer for layer in LAYERS if layer[0] != "dropout"]
    network = moved(Pair(layers, dtype), rng).engine
    x, before = draws(rng, (1, 5), dtype), statistics(network)
    np.testing.assert_array_equal(network.forward(x, True), network.predict(x, link=False))
    for mine, was in zip(statistics(network), before, strict=True):
        np.testing.assert_array_equal(mine, was)
    assert set(network.num_batches().values()) == {1}


@both_dtypes
def test_gradients_take_the_statistics_for_constants(rng: np.random.Generator, dtype: str) -> None:
    """They are those of forward(training=False) but for dropout's mask, and those of the twin."""
    pair = moved(Pair(LAYERS, dtype), rng)
    x, dy = draws(rng, (1, 5), dtype), draws(rng, (1, 3), dtype)
    for training in (True, False):
        close(*(net.forward(x, training) for net in (pair.engine, pair.twin)), dtype, "layer")
        close(*(net.backward(dy, True) for net in (pair.engine, pair.twin)), dtype, "layer")
        pair.same_gradients()
    plain = [layer for layer in LAYERS if layer[0] != "dropout"]
    network = moved(Pair(plain, dtype), rng).engine
    found = []
    for training in (True, False):
        network.forward(x, training)
        found.append([network.backward(dy, True), *(g["array"] for g in network.gradients())])
        found[-1] = [np.array(array) for array in found[-1]]
    for ours, other in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, other)


@both_dtypes
@pytest.mark.parametrize("max_norm", [None, 0.5])
def test_every_way_to_train_on_it(
    rng: np.random.Generator, dtype: str, max_norm: float | None
) -> None:
    """33 rows in batches of 32 end with one row, in train_step, in fit and in own loops."""
    x, y = draws(rng, (33, 5), dtype), rng.integers(0, 3, 33)
    pair, loop, own = (Pair(LAYERS, dtype) for _ in range(3))
    for each in (pair, loop, own):
        each.compile("cross_entropy", "adam", max_grad_norm=max_norm)
    for network in (pair.engine, pair.twin):
        network.fit(x, y, batch_size=32, epochs=2, shuffle=False)
    pair.same_values()
    assert pair.engine.num_batches() == {"1": 2, "5": 2}
    for _ in range(2):
        for rows in (slice(0, 32), slice(32, 33)):
            before = statistics(own.engine)
            loss = loop.engine.train_step(x[rows], y[rows])
            assert own.engine.loss_and_grad(x[rows], y[rows]) == loss
            if max_norm:
                own.engine.clip_grad_norm(max_norm)
            own.engine.apply_gradients()
            same = [
                bool((a == b).all()) for a, b in zip(statistics(own.engine), before, strict=True)
            ]
            assert all(same) == (rows.start == 32)
    same_bits(pair.engine, loop.engine)
    same_bits(pair.engine, own.engine)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_a_last_batch_of_one_row_does_no_harm(rng: np.random.Generator, n_threads: int) -> None:
    """If the row were normalised by itself, running_var would be half of the truth."""
    x = rng.standard_normal((33, 20)) * 3 + 1
    y = (x @ rng.standard_normal((20, 1))) * 0.1
    model = nn.Sequential(
        nn.BatchNorm1d(20), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 1), n_threads=n_threads
    )
    model.compile(optim.Adam(lr=1e-3), "mse")
    loss = model.fit(x, y, batch_size=32, epochs=200).history["loss"][-1]
    ratio = model[0].running_var / x.astype(np.float32).var(axis=0, ddof=1)
    assert 0.9 < ratio.min() <= ratio.max() < 1.1
    assert model.evaluate(x, y)["loss"] < 1.5 * loss
    assert model.state_dict()["0.num_batches_tracked"] == 200


def test_torch_in_evaluation_mode_takes_the_same_step(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    model = nn.Sequential(
        nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 2), dtype="float64"
    )
    model.compile(optim.SGD(lr=0.1), "mse")
    other = torch.nn.Sequential(
        torch.nn.Linear(5, 7, bias=False),
        torch.nn.BatchNorm1d(7),
        torch.nn.Tanh(),
        torch.nn.Linear(7, 2),
    ).double()
    x, y = rng.standard_normal((33, 5)), rng.standard_normal((33, 2))
    model.fit(x, y, batch_size=32)
    other.load_state_dict({k: torch.tensor(np.array(v)) for k, v in model.state_dict().items()})
    other[1].eval()  # torch refuses a row alone in training: "Expected more than 1 value"
    descent = torch.optim.SGD(other.parameters(), lr=0.1)
    descent.zero_grad()
    loss = ((other(torch.tensor(x[32:])) - torch.tensor(y[32:])) ** 2).mean()
    loss.backward()
    descent.step()
    assert model.train_step(x[32:], y[32:]) == pytest.approx(float(loss.detach()), rel=1e-12)
    for key, value in other.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=0, atol=1e-13)


# -- refusals --------------------------------------------------------------------------------------


def normalised(**options: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, **options), nn.ReLU(), nn.Linear(4, 1))
    model.compile(optim.SGD(lr=0.01), "mse")
    return model


def test_batches_of_one_row_are_refused(rng: np.random.Generator) -> None:
    model, x, y = normalised(), rng.standard_normal((9, 3)), rng.standard_normal(9)
    before = {key: value.copy() for key, value in model.state_dict().items()}
    text = r"\[Sequential.fit\] batch_size is 1; layer 1 \(Batch.* larger batch_size, or freeze\(\)"
    with pytest.raises(ValueError, match=text):
        model.fit(x, y, batch_size=1)
    with pytest.raises(ValueError, match=r"there is 1 row to train on; layer 1.* give more rows"):
        model.fit(x[:1], y[:1])
    with pytest.raises(ValueError, match="there is 1 row to train on"):
        model.fit(x[:2], y[:2], validation_split=0.5)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    model[1].freeze()
    model.fit(x, y, batch_size=1)
    np.testing.assert_array_equal(model[1].running_var, before["1.running_var"])
    assert np.any(model[0].weight != before["0.weight"])
    plain = nn.Sequential(nn.Linear(3, 1))
    plain.compile("sgd", "mse")
    plain.fit(x, y, batch_size=1)


@both_dtypes
@pytest.mark.parametrize("value", [0.0, 0.1, 3e4])
@pytest.mark.parametrize("rows", [2, 33, 300])
def test_a_constant_column_is_named(
    rng: np.random.Generator, dtype: str, value: float, rows: int
) -> None:
    """Its standard deviation is zero, so the message must not blame the learning rate."""
    x, y = draws(rng, (rows, 5), dtype), rng.standard_normal(rows)
    x[:, 3] = value
    model = nn.Sequential(nn.BatchNorm1d(5, eps=0), nn.Linear(5, 1), dtype=dtype)
    model.compile(optim.SGD(lr=0.01), "mse")
    text = "column 3 of BatchNorm1d, layer 0, has no variance.*eps is 0.*eps > 0"
    for call in (
        lambda: model.fit(x, y),
        lambda: model.train_step(x, y),
        lambda: model.loss_and_grad(x, y),
        lambda: model.forward(x, training=True),
    ):
        with pytest.raises(TrainingDivergedError, match=text) as raised:
            call()
        assert "learning rate" not in str(raised.value)
    model[0].eps = 1e-5
    model.fit(x, y)
    # A single row meets a running variance of zero.
    model[0].eps, model[0].running_var[2] = 0, 0
    with pytest.raises(TrainingDivergedError, match="column 2 of BatchNorm1d, layer 0, has no var"):
        model.train_step(x[:1], y[:1])


@both_dtypes
def test_statistics_that_overflow_are_named(rng: np.random.Generator, dtype: str) -> None:
    x, y = draws(rng, (20, 5), dtype), rng.standard_normal(20)
    x[:, 4] *= np.finfo(dtype).max / np.abs(x).max()
    model = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 1), dtype=dtype)
    model.compile(optim.SGD(lr=0.01), "mse")
    with pytest.raises(
        TrainingDivergedError, match="not finite in column 4 of BatchNorm1d, layer 0"
    ):
        model.fit(x, y)


def test_callbacks_see_nothing_of_a_refused_fit(rng: np.random.Generator) -> None:
    seen: list[str] = []
    look = callbacks.LambdaCallback(on_train_begin=lambda: seen.append("begin"))
    model = normalised()
    with pytest.raises(ValueError, match="batch_size is 1"):
        model.fit(rng.random((4, 3)), rng.random(4), batch_size=1, callbacks=[look])
    assert seen == []
    assert model.history is None


# -- batches of several rows -----------------------------------------------------------------------


@both_dtypes
def test_hard_columns(rng: np.random.Generator, dtype: str) -> None:
    """One column is constant, one far from zero, one tiny and one huge; then a row comes alone."""
    layers = [linear(4, 4, bias=False), ("batch_norm1d", {"num_features": 4})]
    pair = Pair(layers, dtype)
    for network in (pair.engine, pair.twin):
        network.parameters()[0]["array"][...] = np.eye(4)
    x = draws(rng, (65, 4), dtype) * np.array([0, 1, 1e-3, 1e3], dtype)
    x += np.array([3, 1e3, 0, 0], dtype)
    for rows in (x, x[:1]):
        ours, theirs = (net.forward(rows, training=True) for net in (pair.engine, pair.twin))
        assert np.isfinite(ours).all()
        close(ours, theirs, dtype, "layer")
        dy = draws(rng, (len(rows), 4), dtype)
        close(pair.engine.backward(dy, True), pair.twin.backward(dy, True), dtype, "layer")
        for mine, other in zip(pair.engine.parameters(), pair.twin.parameters(), strict=True):
            for column in range(4):
                got, expected = (e["array"][..., column] for e in (mine, other))
                close(got, expected, dtype, "layer")


def test_it_normalises(rng: np.random.Generator) -> None:
    network = Pair([linear(5, 8, False), ("batch_norm1d", {"num_features": 8, "eps": 0})]).engine
    y = network.forward(rng.standard_normal((129, 5)) + 3, training=True)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=0), 1, rtol=1e-13)


def test_frozen_it_keeps_its_statistics(rng: np.random.Generator) -> None:
    pair = Pair(network_with("batch_norm1d", {}, 5, 6, 3)).compile()
    pair.freeze("1")
    before = [p["array"].copy() for p in pair.engine.parameters()]
    x, y = rng.standard_normal((17, 5)), rng.standard_normal((17, 3))
    close(*(net.train_step(x, y) for net in (pair.engine, pair.twin)), "float64", "layer")
    for p, was in zip(pair.engine.parameters(), before, strict=True):
        assert (p["array"] == was).all() == (p["layer"] == "1")
    pair.same_values()


def test_each_counts_the_batches_of_its_statistics(rng: np.random.Generator) -> None:
    norm = ("batch_norm1d", {"num_features": 6})
    below, between = linear(5, 6, bias=False), linear(6, 6, bias=False)
    pair = Pair([below, norm, ("relu", {}), between, norm, linear(6, 3)]).compile()
    x, y = rng.standard_normal((17, 5)), rng.standard_normal((17, 3))
    counts = []
    for frozen in ((), ("1",), ("1", "4")):
        for key in frozen:
            pair.freeze(key)
        for net in (pair.engine, pair.twin):
            net.fit(x, y, batch_size=5, epochs=1)
        pair.same_values()
        counts.append(pair.engine.num_batches())
    assert counts == [{"1": 4, "4": 4}, {"1": 4, "4": 8}, {"1": 4, "4": 8}]
