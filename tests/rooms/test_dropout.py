# SPDX-License-Identifier: BSD-3-Clause
"""Dropout's masks are the twin's, and new in each pass, by (step, passes since the last update)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn.functional as F
from conftest import AWKWARD_SIZES
from fastnn import _core, nn, optim, reference
from fastnn.errors import TrainingDivergedError
from layouts import DTYPES, close, draws
from members import linear, network_with
from models import COPIES, same_values
from pairs import Pair

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
SEED, P = 9, 0.4
LAYERS = [linear(5, 23), ("tanh", {}), ("dropout", {"p": P}), linear(23, 3)]


def model_of(compiled: bool = True, **options: Any) -> nn.Sequential:
    layers = nn.Linear(5, 23), nn.Tanh(), nn.Dropout(P), nn.Linear(23, 3)
    model = nn.Sequential(*layers, seed=SEED, **options)
    if compiled:
        model.compile(optim.Adam(lr=0.01), "cross_entropy")
    return model


@both_dtypes
@pytest.mark.parametrize("width", [3, 8, 131, 400])
def test_masks_are_the_twins(dtype: str, width: int) -> None:
    for draw in (0, 1, 2**40 + 3):
        drawn = {"seed": 2**62 + 1, "layer": 4, "step": 2**31 + 7, "draw": draw}
        mask = _core.dropout_mask((5, width), P, **drawn, dtype=dtype)
        twin = reference.dropout_mask((5, width), P, **drawn, dtype=np.dtype(dtype))
        np.testing.assert_array_equal(mask, twin)
        np.testing.assert_array_equal(mask, F.dropout_mask((5, width), P, **drawn, dtype=dtype))
    made = _core.Network([linear(3, width), ("dropout", {"p": P})], dtype, SEED)
    made.set_progress(3, 6)
    x = np.ones((4, 3), dtype)
    for draw in (6, 7):
        mask = _core.dropout_mask((4, width), P, SEED, layer=1, step=3, draw=draw, dtype=dtype)
        np.testing.assert_array_equal(made.forward(x, True), made.predict(x, link=False) * mask)


@both_dtypes
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, 1.0])
def test_masks_of_awkward_sizes(p: float, dtype: str) -> None:
    for n, k in zip(AWKWARD_SIZES, reversed(AWKWARD_SIZES), strict=True):
        drawn = {"seed": 2**63 + 1, "layer": 4, "step": 2**31 + 7}
        mask = _core.dropout_mask((n, k), p, **drawn, dtype=dtype)
        np.testing.assert_array_equal(mask, reference.dropout_mask((n, k), p, **drawn, dtype=dtype))


@both_dtypes
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_nothing_or_everything_is_dropped(rng: np.random.Generator, p: float, dtype: str) -> None:
    pair = Pair(network_with("dropout", {"p": p}, 5, 7, 3), dtype)
    x = draws(rng, (9, 5), dtype)
    close(pair.engine.forward(x, True), pair.twin.forward(x, True), dtype, "layer")
    _, dx = pair.engine.forward(x, True), pair.engine.backward(np.ones((9, 3), dtype), True)
    assert (dx != 0).any() == (p == 0)


@both_dtypes
@pytest.mark.parametrize("width", [127, 128, 131, 264, 400])
def test_wide_rows(rng: np.random.Generator, width: int, dtype: str) -> None:
    # With long vectors, many blocks of a row are drawn at a time, and the rest one by one.
    made = _core.Network([linear(3, width), ("dropout", {"p": 0.4})], dtype, 9)
    made.set_progress(3)
    x = draws(rng, (5, 3), dtype)
    mask = reference.dropout_mask((5, width), 0.4, 9, 1, 3, np.dtype(dtype))
    np.testing.assert_array_equal(made.forward(x, True), made.forward(x, False) * mask)


def test_masks_change_with_step_layer_and_seed() -> None:
    masks = [
        _core.dropout_mask((8, 8), 0.5, seed=s, layer=layer, step=t)
        for s, layer, t in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    for i, mask in enumerate(masks):
        assert not any((mask == other).all() for other in masks[:i])
    kept = np.mean(_core.dropout_mask((500, 400), 0.3, seed=3) > 0)
    assert abs(kept - 0.7) < 5 * np.sqrt(0.21 / 200_000)


def test_masks_are_independent() -> None:
    """The rate, and products of neighbours in columns, rows, layers and steps, to five sigma."""
    kept, shape = 0.8, (20, 512)
    drawn = [
        [_core.dropout_mask(shape, 1 - kept, SEED, layer, step=step) for step in range(24)]
        for layer in (1, 4)
    ]
    z = (np.array(drawn) != 0) - kept  # layers, steps, rows, columns
    z /= np.sqrt(kept * (1 - kept))
    found = [z] + [z[..., lag:] * z[..., :-lag] for lag in range(1, 65)]
    found += [z[..., 1:, :] * z[..., :-1, :], z[0] * z[1]]
    found += [z[:, lag:] * z[:, :-lag] for lag in (1, 2, 12)]
    sums = np.array([part.sum() / np.sqrt(part.size) for part in found])
    assert abs(sums).max() < 5
    for axis in range(4):  # how often each layer, step, row and column is kept
        others = tuple(k for k in range(4) if k != axis)
        assert abs(z.sum(others) / np.sqrt(z.size / z.shape[axis])).max() < 5


def test_thirty_passes_draw_thirty_masks(rng: np.random.Generator) -> None:
    """Monte Carlo dropout works on a model that was never compiled."""
    x = rng.standard_normal((40, 5))
    model, other = model_of(compiled=False), model_of(compiled=False)
    passes = np.array([model.forward(x, training=True) for _ in range(30)])
    for k in range(30):
        for earlier in range(k):
            assert (passes[k] != passes[earlier]).any()
    assert passes.std(axis=0).min() > 0.01
    again = np.array([other.forward(x, training=True, n_threads=2) for _ in range(30)])
    np.testing.assert_array_equal(passes, again)
    # A pass that does not train draws nothing.
    for look in (other.forward, other.predict, lambda rows: other.forward(rows, training=False)):
        look(x)
    np.testing.assert_array_equal(other.forward(x, True), model.forward(x, True))


@both_dtypes
def test_engine_and_twin_draw_alike(rng: np.random.Generator, dtype: str) -> None:
    pair = Pair(LAYERS, dtype).compile("cross_entropy", "adam")
    x, y, dy = draws(rng, (19, 5), dtype), rng.integers(0, 3, 19), draws(rng, (19, 3), dtype)
    for _ in range(3):
        for network in (pair.engine, pair.twin):
            network.forward(x, True)
        close(*(net.forward(x, True) for net in (pair.engine, pair.twin)), dtype, "layer")
        close(*(net.backward(dy, True) for net in (pair.engine, pair.twin)), dtype, "layer")
        pair.same_gradients()
        close(*(net.loss_and_grad(x, y) for net in (pair.engine, pair.twin)), dtype, "layer")
        pair.same_gradients()
        close(*(net.loss_and_grad(x, y, None, training=False) for net in (pair.engine, pair.twin)),
              dtype, "layer")  # fmt: skip
        assert pair.engine.draw == pair.twin.draw == 3
        for network in (pair.engine, pair.twin):
            network.apply_gradients()
        pair.same_values()
        assert pair.engine.draw == 0
        close(*(net.train_step(x, y) for net in (pair.engine, pair.twin)), dtype, "layer")
        assert pair.engine.draw == pair.twin.draw == 0


def test_the_first_pass_of_a_step_is_train_steps(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((19, 5)).astype(np.float32), rng.integers(0, 3, 19)
    step, parts, halves, given = (model_of() for _ in range(4))
    for _ in range(4):
        loss = step.train_step(x, y)
        out = parts.forward(x, training=True)
        value, dout = nn.CrossEntropyLoss()(out, y)
        parts.forward(x, training=False)  # not a training pass
        parts._network.set_progress(parts._network.step, 0)
        np.testing.assert_array_equal(parts.forward(x, training=True), out)
        parts.backward(dout)
        parts.apply_gradients()
        assert halves.loss_and_grad(x, y)[0] == loss == pytest.approx(value, rel=1e-6)
        halves.apply_gradients()
        given.train_step(x, grad=dout)  # a gradient of the first pass
        for model in (parts, halves, given):
            same_values(step, model)


def test_looking_at_the_spread_does_not_change_training(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((50, 5)).astype(np.float32), rng.integers(0, 3, 50)
    quiet, watched = model_of(), model_of()
    for _ in range(3):
        for _ in range(4):
            watched.forward(x, training=True)
        losses = [m.fit(x, y, batch_size=16, epochs=2).history["loss"] for m in (quiet, watched)]
        assert losses[0] == losses[1]
        watched.forward(x, training=True)
        watched.loss_and_grad(x, y)
        assert quiet.train_step(x, y) == watched.train_step(x, y)
        same_values(quiet, watched)


def test_gradients_that_are_added_up_have_masks_of_their_own(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((30, 5)), rng.integers(0, 3, 30)
    model = model_of(dtype="float64")
    losses = [model.loss_and_grad(x, y)[0] for _ in range(5)]
    assert len(set(losses)) == 5
    model.compile(optim.SGD(), "cross_entropy")  # begins anew
    assert [model.loss_and_grad(x, y)[0] for _ in range(5)] == losses


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("how", COPIES)
def test_copies_go_on_drawing(rng: np.random.Generator, how: str, compiled: bool) -> None:
    x, y = rng.standard_normal((19, 5)), rng.integers(0, 3, 19)
    model = model_of(compiled)
    if compiled:
        model.train_step(x, y)
    for _ in range(3):
        model.forward(x, training=True)
    other = COPIES[how](model)
    np.testing.assert_array_equal(model.forward(x, True), other.forward(x, True))
    other.load_state_dict(model.state_dict())  # values; where the draws stand is not among them
    np.testing.assert_array_equal(model.forward(x, True), other.forward(x, True))
    assert model._network.draw == other._network.draw == 5


def test_calls_that_fail_draw_nothing(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((19, 5)), rng.integers(0, 3, 19)
    model = model_of()
    model.forward(x, training=True)
    bad = x.copy()
    bad[3, 2] = np.nan
    for call in (
        lambda: model.forward(bad, training=True),
        lambda: model.loss_and_grad(bad, y),
        lambda: model.train_step(bad, y),
        lambda: model.fit(bad, y),
    ):
        with pytest.raises(ValueError, match="X has nan at row 3"):
            call()
        assert (model._network.step, model._network.draw) == (0, 1)
    model.compile(optim.SGD(lr=1e30), "mse")
    for _ in range(2):
        model.forward(x, training=True)
    with pytest.raises(TrainingDivergedError):
        model.fit(x * 1e3, rng.standard_normal((19, 3)), batch_size=2)
    assert (model._network.step, model._network.draw) == (0, 2)  # where it was before the call
