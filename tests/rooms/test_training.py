# SPDX-License-Identifier: BSD-3-Clause
"""Twenty training steps of the engine equal the twin's, step by step.

After every step the loss, all parameters and running statistics and the optimizer's state are
compared.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fastnn import _core, reference
from layouts import DTYPES, close
from members import Layers, cases, ending, fitted, hyper_cases, linear, names, network_with, targets
from pairs import Pair

STEPS = 20
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
# Everything that splits phases or draws numbers is here at once. No bias stands below BatchNorm,
# which cancels it: its gradient would be rounding noise, which Adam scales up to steps.
EVERYTHING: Layers = [
    ("rescale", {"scale": [0.5, 2.0, -1.0, 1.0, 0.25, 3.0, 1.5], "shift": 0.125}),
    ("flatten", {}),
    linear(7, 17, bias=False),
    ("batch_norm1d", {"num_features": 17}),
    ("tanh", {}),
    ("dropout", {"p": 0.25}),
    linear(17, 33),
    ("gelu", {}),
    linear(33, 3),
]
PLAIN: Layers = [linear(7, 17), ("tanh", {}), linear(17, 3)]


def train(
    pair: Pair,
    rng: np.random.Generator,
    loss: str = "mse",
    sizes: tuple[int, ...] = (33,),
    weighted: bool = False,
    hyper: dict[str, Any] | None = None,
) -> None:
    """Take 20 steps, on batches of these sizes in turn, and compare after each."""
    n_in, k = pair.engine.n_features, pair.engine.n_outputs
    for step in range(STEPS):
        n = sizes[step % len(sizes)]
        x, y = (
            rng.standard_normal((n, n_in)).astype(pair.dtype),
            targets(rng, loss, n, k, hyper=hyper),
        )
        y = y.astype(pair.dtype) if y.ndim == 2 else y
        w = rng.uniform(0, 2, n).astype(pair.dtype) if weighted else None
        ours, theirs = (net.train_step(x, y, w) for net in (pair.engine, pair.twin))
        pair.close(ours, theirs, "training")
        pair.same_values()


@both_dtypes
@pytest.mark.parametrize(("name", "hyper"), cases("optimizers"))
def test_optimizers(rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str) -> None:
    gentle = {key: 0.01 if key in {"weight_decay", "l1"} else v for key, v in hyper.items()}
    pair = Pair(PLAIN, dtype).compile("mse", name, {"lr": 0.02} | gentle)
    train(pair, rng, sizes=(33, 20))


@both_dtypes
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "hyper"), cases("losses"))
def test_losses(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], weighted: bool, dtype: str
) -> None:
    hyper, _ = fitted(name, hyper, 3)
    layers = PLAIN + ending(name, 3, hyper)
    # Losses that are added up over 33 rows have larger gradients.
    lr = 0.0003 if hyper.get("reduction") == "sum" else 0.01
    pair = Pair(layers, dtype).compile(name, "sgd", {"lr": lr}, loss_hyper=hyper)
    train(pair, rng, name, weighted=weighted, hyper=hyper)


@both_dtypes
@pytest.mark.parametrize(("name", "hyper"), cases("activations"))
def test_activations(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str
) -> None:
    pair = Pair(network_with(name, hyper, 7, 17, 3), dtype)
    # log_softmax gives large outputs, with which a larger rate would diverge.
    train(pair.compile("mse", "sgd", {"lr": 0.01, "momentum": 0.9}), rng)


@both_dtypes
@pytest.mark.parametrize(("name", "hyper"), cases("layers"))
def test_layers(rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str) -> None:
    pair = Pair(network_with(name, hyper, 7, 17, 3), dtype)
    train(pair.compile("mse", "sgd", {"lr": 0.05, "momentum": 0.9}), rng)


SIZES = {
    "one batch": (64,),
    "ragged": (31, 31, 31, 7),
    "batch 1": (1,),
    "around chunks": (127, 128, 129, 97, 12),
    "one, then more": (1, 2, 300, 13),
}


@both_dtypes
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_batches_of_any_size(
    rng: np.random.Generator, loss: str, sizes: tuple[int, ...], dtype: str
) -> None:
    # BatchNorm makes +1 and -1 of two rows, whatever they were, so tiny batches go without it.
    tiny = min(sizes) < 3
    layers = PLAIN if tiny else EVERYTHING
    pair = Pair(layers, dtype).compile(loss, "sgd", {"lr": 0.02, "momentum": 0.5})
    train(pair, rng, loss, sizes, weighted=not tiny)


@both_dtypes
@pytest.mark.parametrize(
    "settings",
    [{}, {"max_grad_norm": 0.1}, {"max_grad_norm": 1e9}, {"max_grad_value": 0.005}],
    ids=str,
)
@pytest.mark.parametrize("optimizer", names("optimizers"))
def test_everything_at_once(
    rng: np.random.Generator, optimizer: str, settings: dict[str, float], dtype: str
) -> None:
    pair = Pair(EVERYTHING, dtype).compile("cross_entropy", optimizer, {"lr": 0.005}, **settings)
    train(pair, rng, "cross_entropy", sizes=(50, 50, 23), weighted=True)


@both_dtypes
def test_clipped_entries_of_a_single_row(rng: np.random.Generator, dtype: str) -> None:
    """Without clipping, the gradients of a single row would not be stored."""
    pair = Pair(PLAIN, dtype).compile("mse", "sgd", {"lr": 0.5}, max_grad_value=0.02)
    train(pair, rng, sizes=(1, 1, 2))


@both_dtypes
@pytest.mark.parametrize("optimizer", names("optimizers"))
def test_layers_have_their_own_hyperparameters(
    rng: np.random.Generator, optimizer: str, dtype: str
) -> None:
    last = {key: v for key, v in hyper_cases("optimizers", optimizer)[-1].items() if key != "lr"}
    pair = Pair(EVERYTHING, dtype)
    keys = [entry["key"] for entry in pair.engine.parameters() if entry["trainable"]]
    own = ({"lr": 0.0}, {"lr": 0.02}, {}, {"weight_decay": 0.1}, {**last, "l1": 0.01})
    groups = {key: dict(values) for key, values in zip(keys, itertools.cycle(own), strict=False)}
    pair.compile("mse", optimizer, {"lr": 0.005}, groups=groups)
    before = pair.engine.parameters()[0]["array"].copy()
    train(pair, rng)
    assert pair.engine.parameters()[0]["key"] == keys[0]
    np.testing.assert_array_equal(pair.engine.parameters()[0]["array"], before)
    assert (pair.engine.parameters()[1]["array"] != 0).any()


@pytest.mark.parametrize("optimizer", names("optimizers"))
def test_hyperparameters_change_between_steps(rng: np.random.Generator, optimizer: str) -> None:
    """Counts of updates and states go on, and a frozen rate leaves its parameter alone."""
    pair = Pair(PLAIN).compile("mse", optimizer, {"lr": 0.01})
    train(pair, rng)
    for network in (pair.engine, pair.twin):
        network.set_optimizer_params({"lr": 0.02}, {"0.bias": {"lr": 0.0, "l1": 0.1}})
    before = pair.engine.parameters()[1]["array"].copy()
    train(pair, rng)
    np.testing.assert_array_equal(pair.engine.parameters()[1]["array"], before)
    steps = pair.engine.optimizer_state()["steps"]
    assert len(set(steps.values())) == 1
    assert steps["0.weight"] == pair.engine.step


def test_a_change_of_hyperparameters_is_whole(rng: np.random.Generator) -> None:
    pair = Pair(PLAIN).compile("mse", "sgd", {"lr": 0.01})
    for values, groups, text in (
        ({"momentum": 0.9}, {}, "need momentum_buffer, which those that the model was compiled"),
        ({"lr": 0.5}, {"7.weight": {"lr": 0.1}}, "no parameter is called '7.weight'; known: 0.w"),
        ({"lr": -1.0}, {}, r"\[sgd\] lr = -1; expected"),
    ):
        with pytest.raises(ValueError, match=text):
            pair.engine.set_optimizer_params(values, groups)
    train(pair, rng)
    with pytest.raises(ValueError, match="call compile first"):
        Pair(PLAIN).engine.set_optimizer_params({"lr": 0.1})


@both_dtypes
@pytest.mark.parametrize("without", ["0", "2"])
def test_layers_may_need_more_state_than_the_last_one(
    rng: np.random.Generator, without: str, dtype: str
) -> None:
    """A layer without momentum keeps no velocity, below or above one that does."""
    hyper = {"lr": 0.01, "momentum": 0.9}
    own = {f"{without}.{name}": {"momentum": 0.0} for name in ("weight", "bias")}
    pair = Pair(PLAIN, dtype).compile("mse", "sgd", hyper, groups=own)
    assert len(pair.engine.optimizer_state()["state"]) == 1
    train(pair, rng)


@pytest.mark.parametrize("max_grad_norm", [None, 0.1])
@pytest.mark.parametrize("frozen", ["1", "2", "5", "7", "12", "125", "1257"])
@both_dtypes
def test_frozen_layers(
    rng: np.random.Generator, frozen: str, max_grad_norm: float | None, dtype: str
) -> None:
    pair = Pair(EVERYTHING, dtype)
    pair.compile("mse", "adamw", {"lr": 0.01, "eps": 1e-4}, max_grad_norm=max_grad_norm)
    for layer in frozen:
        pair.freeze(layer)
    kept = [(p, p["array"].copy()) for p in pair.engine.parameters()]
    train(pair, rng)
    for p, was in kept:
        assert (p["array"] == was).all() == (p["layer"] in frozen)


def test_freezing_and_thawing_on_the_way(rng: np.random.Generator) -> None:
    pair = Pair(EVERYTHING).compile("mse", "adam", {"lr": 0.01})
    for frozen in (("5", True), ("2", True), ("5", False), ("2", False)):
        for network in (pair.engine, pair.twin):
            network.set_frozen(*frozen)
        train(pair, rng)


@both_dtypes
def test_a_deep_narrow_network(rng: np.random.Generator, dtype: str) -> None:
    layers: Layers = [linear(7, 5)]
    for _ in range(12):
        layers += [("tanh", {}), linear(5, 5)]
    train(Pair(layers, dtype).compile("mse", "adam", {"lr": 0.003, "eps": 1e-3}), rng)


@both_dtypes
def test_wide_layers(rng: np.random.Generator, dtype: str) -> None:
    """Weights beyond 512 kB take a phase of their own, in blocks of rows and columns."""
    assert "blocks" in {kind for kind, *_ in _core.testing.phase_items([(300, 517)], 33)}
    layers = [linear(7, 300), ("relu", {}), linear(300, 517), ("tanh", {}), ("dropout", {"p": 0.5})]
    pair = Pair([*layers, linear(517, 3)], dtype)
    train(pair.compile("mse", "sgd", {"lr": 0.01, "momentum": 0.9}), rng)


# -- whole epochs ----------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("batch_size", [1, 16, 50, 64])
def test_fit_is_the_twins(rng: np.random.Generator, batch_size: int, dtype: str) -> None:
    """Rows are shuffled in the twin's order, with validation, weights and accuracy."""
    pair = Pair(EVERYTHING if batch_size > 1 else PLAIN, dtype)
    pair.compile("cross_entropy", "sgd", {"lr": 0.01})
    x, y, w = rng.standard_normal((50, 7)), rng.integers(0, 3, 50), rng.uniform(0, 2, 50)
    held_out = rng.standard_normal((19, 7)), rng.integers(0, 3, 19), rng.uniform(0, 2, 19)
    options = {"batch_size": batch_size, "epochs": 5, "initial_epoch": 2, "seed": 9}
    ours, theirs = (
        net.fit(x, y, w, validation=held_out, metrics=True, **options)
        for net in (pair.engine, pair.twin)
    )
    assert ours["steps"] == 3 * -(-50 // batch_size)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert len(ours[name]) == 3
        close(ours[name], theirs[name], dtype, "training")
    pair.same_values()


@pytest.mark.parametrize("tol", [0.0, 1e-3, 0.1])
@pytest.mark.parametrize("patience", [1, 3])
def test_a_fit_that_stands_still_ends_as_the_twins(
    rng: np.random.Generator, patience: int, tol: float
) -> None:
    pair = Pair(PLAIN).compile("cross_entropy", "sgd", {"lr": 2.0})
    x, y = rng.standard_normal((50, 7)), rng.integers(0, 3, 50)
    limits = {"tol": tol, "epochs": patience}
    ours = pair.engine.fit(x, y, batch_size=16, epochs=60, standstill=limits)
    theirs = pair.twin.fit(x, y, batch_size=16, epochs=60, ends=(tol, patience))
    assert patience < len(ours["loss"]) == len(theirs["loss"]) < 60
    close(ours["loss"], theirs["loss"], "float64", "training")
    # Another fit goes on from what the first one has left.
    best, waited = _core.standstill(ours["loss"], tol, np.inf, 0)
    assert waited == patience + 1
    again = pair.engine.fit(
        x, y, batch_size=16, epochs=9, standstill=limits | {"best": best, "waited": waited}
    )
    below = [loss <= best - tol for loss in again["loss"]]
    assert any(below) or len(below) == 1


def test_losses_that_stand_still_are_counted_as_the_twins(rng: np.random.Generator) -> None:
    for tol in (0.0, 0.25):
        losses = [*(rng.integers(0, 8, 50) / 4.0), np.nan, 1.0, np.inf, -np.inf]
        for best, waited in ((np.inf, 0), (0.5, 7)):
            found = _core.standstill(losses, tol, best, waited)
            assert found == reference.standstill(losses, tol, best, waited)
            one_by_one = best, waited
            for loss in losses:
                one_by_one = _core.standstill([loss], tol, *one_by_one)
            assert one_by_one == found


def test_orders_are_the_twins() -> None:
    for n in (0, 1, 2, 3, 1000):
        for seed, epoch in ((0, 0), (5, 6), (2**64 - 1, 2**31)):
            np.testing.assert_array_equal(
                _core.permutation(n, seed, epoch), reference.permutation(n, seed, epoch)
            )


@pytest.mark.parametrize("metrics", [False, True])
@pytest.mark.parametrize("loss", names("losses"))
def test_history_of_every_loss(rng: np.random.Generator, loss: str, metrics: bool) -> None:
    layers = PLAIN + ending(loss, 3)
    pair = Pair(layers).compile(loss, "sgd", {"lr": 0.01})
    x, y = rng.standard_normal((40, 7)), targets(rng, loss, 40, 3)
    ours, theirs = (
        net.fit(x, y, batch_size=16, epochs=2, validation=(x, y, None), metrics=metrics)
        for net in (pair.engine, pair.twin)
    )
    for name, values in theirs.items():
        close(ours[name], values, "float64", "training")
    for name in ("accuracy", "val_accuracy"):
        assert metrics or name not in ours


def test_only_weights_that_a_product_reads_are_packed() -> None:
    """W^T makes dx, which neither the first layer needs nor the first above a frozen body."""
    read, shape = _core.testing.packed_copies, [(20, 40), (40, 30), (30, 10)]
    wt = [(False, False), (False, True), (False, True)]
    assert read(shape, 64) == wt
    assert read(shape, 8) == [(False, False)] * 3  # few rows: products read W itself
    assert read(shape, 64, 1) == [(False, False), (False, False), (False, True)]
    assert read(shape, 64, 2) == read(shape, 64, 3) == [(False, False)] * 3
    wide = [(600, 700), (700, 600), (600, 10)]
    assert read(wide, 511) == wt
    assert read(wide, 512) == [(True, False), (True, True), (False, True)]
    assert read(wide, 512, 1) == [(True, False), (True, False), (False, True)]


def test_inputs_are_transposed_for_the_gradients_of_wide_weights() -> None:
    """They are not where that would cost more than it saves, or nothing reads x^T."""
    made, shape = _core.testing.transposed, [(600, 700), (700, 600), (600, 255), (255, 10)]
    assert made(shape, 9) == made(shape, 1000) == {0, 1}
    assert made(shape, 8) == made([(20, 40), (40, 30)], 1000) == set()
    assert made([(600, 256), (256, 10)], 9) == {0}
    assert made(shape, 64, 1) == {1}  # frozen weights have no gradient
    assert made(shape, 64, 2) == set()
