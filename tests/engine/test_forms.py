# SPDX-License-Identifier: BSD-3-Clause
"""Different ways to the same step give the same bits.

The plan has two forms: tiles update at once (fused), or write gradients that a further phase
applies (materialised). Clipping takes the second form, and a limit that no gradient reaches
changes nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core
from layouts import DTYPES
from members import Layers, ending, everything, hyper_cases, linear, names, targets
from pairs import same_bits

NETWORKS: dict[str, Layers] = {
    "plain": [linear(7, 33), ("relu", {}), linear(33, 3)],
    "one layer": [linear(7, 3)],
    "dropout and gelu": [linear(7, 65), ("gelu", {}), ("dropout", {"p": 0.3}), linear(65, 3)],
    "batch norm": [
        ("rescale", {"scale": 0.5, "shift": 0.25}),
        linear(7, 129, bias=False),
        ("batch_norm1d", {"num_features": 129}),
        ("tanh", {}),
        linear(129, 31),
        ("batch_norm1d", {"num_features": 31}),
        ("sigmoid", {}),
        linear(31, 3),
    ],
    "wide": [linear(7, 300), ("relu", {}), linear(300, 517), ("tanh", {}), linear(517, 3)],
    "everything": everything(7, 33, 3),
}
OPTIMIZERS = {
    name: hyper_cases("optimizers", name)[-1] | {"lr": 0.01} for name in names("optimizers")
}
N, BATCH = 150, 64  # two whole batches and a ragged one
NO_LIMIT = 1e30
every_network = pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rng.standard_normal((N, 7)), rng.integers(0, 3, N), rng.uniform(0, 2, N)


def make(
    layers: Layers,
    dtype: str,
    optimizer: str = "adamw",
    loss: str = "cross_entropy",
    **options: Any,
) -> Any:
    network = _core.Network(layers, dtype, 5)
    hyper = options.pop("hyper", OPTIMIZERS[optimizer])
    network.compile(loss, {}, optimizer, hyper, **options)
    return network


def by_torch(optimizer: str) -> Any:
    """Values without scikit-learn's form, which needs the weights of rows: `backward` has none."""
    return {key: value for key, value in OPTIMIZERS[optimizer].items() if key != "form"}


def batches(*arrays: np.ndarray, epochs: int = 2) -> Any:
    for _ in range(epochs):
        for start in range(0, N, BATCH):
            yield tuple(a[start : start + BATCH] for a in arrays)


@both_dtypes
@every_optimizer
@every_network
def test_two_forms(layers: Layers, optimizer: str, dtype: str, data: Any) -> None:
    fused = make(layers, dtype, optimizer)
    materialised = make(layers, dtype, optimizer, max_grad_norm=NO_LIMIT)
    for batch in batches(*data):
        assert fused.train_step(*batch) == materialised.train_step(*batch)
        same_bits(fused, materialised)


@both_dtypes
@pytest.mark.parametrize("l1", [0.0, 0.01])
@every_optimizer
@pytest.mark.parametrize("name", ["plain", "one layer", "dropout and gelu", "wide"])
def test_two_forms_of_a_single_row(
    name: str, optimizer: str, l1: float, dtype: str, data: Any
) -> None:
    """Fused steps do not store the gradient of a row: the optimizer multiplies its two factors."""
    x, y, weights = data
    x[::3, ::2] = 0  # gradients of either zero
    fused, materialised = (_core.Network(NETWORKS[name], dtype, 5) for _ in range(2))
    hyper = OPTIMIZERS[optimizer] | {"l1": l1}
    fused.compile("cross_entropy", {}, optimizer, hyper)
    materialised.compile("cross_entropy", {}, optimizer, hyper, max_grad_norm=NO_LIMIT)
    for k in range(20):
        row = x[k : k + 1], y[k : k + 1], weights[k : k + 1]
        assert fused.train_step(*row) == materialised.train_step(*row)
        same_bits(fused, materialised)


@both_dtypes
@pytest.mark.parametrize("max_grad_norm", [None, 0.05, NO_LIMIT])
@every_network
def test_fit_is_a_loop_of_train_step(
    layers: Layers, max_grad_norm: float | None, dtype: str, data: Any
) -> None:
    fitted, looped = (make(layers, dtype, max_grad_norm=max_grad_norm) for _ in range(2))
    # With a given number of threads the core runs all steps of an epoch without a pause for trials.
    history = fitted.fit(*data, batch_size=BATCH, epochs=2, shuffle=False, n_threads=1)
    losses = np.reshape([looped.train_step(*batch) for batch in batches(*data)], (2, -1))
    same_bits(fitted, looped)
    in_batch = [batch[2].astype(dtype).sum() for batch in batches(*data, epochs=1)]
    expected = np.average(losses, axis=1, weights=in_batch)
    np.testing.assert_allclose(
        history["loss"], expected, rtol=1e-15 if dtype == "float64" else 1e-7
    )


@both_dtypes
@every_network
def test_orders(layers: Layers, dtype: str, data: Any) -> None:
    """Rows that are gathered in an order make the same batches as rows that lie in that order."""
    shuffled, given, sorted_before, looped = (make(layers, dtype) for _ in range(4))
    shuffled.fit(*data, batch_size=BATCH, epochs=2, seed=3)
    given.fit(*data, batch_size=BATCH, epochs=2, orders=lambda e: _core.permutation(N, 3, e))
    for epoch in range(2):
        order = _core.permutation(N, 3, epoch)
        moved = [a[order] for a in data]
        sorted_before.fit(*moved, batch_size=BATCH, epochs=1, shuffle=False)
        for batch in batches(*moved, epochs=1):
            looped.train_step(*batch)
    for other in (given, sorted_before, looped):
        same_bits(shuffled, other)


@both_dtypes
@every_optimizer
@every_network
def test_own_loop(layers: Layers, optimizer: str, dtype: str, data: Any) -> None:
    """forward, backward and apply_gradients make a train_step; so do loss_and_grad and the last."""
    hyper = by_torch(optimizer)
    whole, parts, halves = (make(layers, dtype, optimizer, hyper=hyper) for _ in range(3))
    for x, y, w in batches(*data):
        loss = whole.train_step(x, y, w)
        out = parts.forward(x, training=True)
        value, grad = _core.loss("cross_entropy", {}, out, y, w.astype(dtype))
        assert value == pytest.approx(loss, rel=1e-14)
        parts.backward(grad)
        parts.apply_gradients()
        assert halves.loss_and_grad(x, y, w) == loss
        halves.apply_gradients()
        same_bits(whole, parts)
        same_bits(whole, halves)


@both_dtypes
@pytest.mark.parametrize("max_norm", [0.05, NO_LIMIT])
@every_network
def test_own_loop_with_clipping(layers: Layers, max_norm: float, dtype: str, data: Any) -> None:
    whole, parts = make(layers, dtype, max_grad_norm=max_norm), make(layers, dtype)
    for batch in batches(*data):
        assert whole.train_step(*batch) == parts.loss_and_grad(*batch)
        parts.clip_grad_norm(max_norm)
        parts.apply_gradients()
        same_bits(whole, parts)


@both_dtypes
@every_optimizer
@every_network
def test_a_gradient_made_elsewhere(layers: Layers, optimizer: str, dtype: str, data: Any) -> None:
    hyper = by_torch(optimizer)
    own, given, outputs = (make(layers, dtype, optimizer, hyper=hyper) for _ in range(3))
    for x, y, w in batches(*data):
        for p, now in zip(outputs.parameters(), own.parameters(), strict=True):
            p["array"][...] = now["array"]
        outputs.set_progress(own.step)  # dropout's masks too
        _, grad = _core.loss(
            "cross_entropy", {}, outputs.forward(x, training=True), y, w.astype(dtype)
        )
        own.train_step(x, y, w)
        given.train_step_grad(x, grad)
        same_bits(own, given)


@both_dtypes
@pytest.mark.parametrize("loss", names("losses"))
def test_every_loss_makes_its_own_gradient(rng: np.random.Generator, loss: str, dtype: str) -> None:
    layers = NETWORKS["plain"] + ending(loss, 3)
    own, given = (make(layers, dtype, loss=loss) for _ in range(2))
    for _ in range(5):
        x = rng.standard_normal((BATCH, 7))
        y, w = targets(rng, loss, BATCH, 3), rng.uniform(0, 2, BATCH)
        y = y.astype(dtype) if y.ndim == 2 else y
        _, grad = _core.loss(loss, {}, given.forward(x, training=True), y, w.astype(dtype))
        own.train_step(x, y, w)
        given.train_step_grad(x, grad)
        for a, b in zip(own.parameters(), given.parameters(), strict=True):
            np.testing.assert_array_equal(a["array"], b["array"])


@both_dtypes
@every_network
def test_looking_changes_nothing(layers: Layers, dtype: str, data: Any) -> None:
    """predict and evaluate run between the steps, on batches of other sizes."""
    quiet, watched = make(layers, dtype), make(layers, dtype)
    for batch in batches(*data):
        quiet.train_step(*batch)
        watched.predict(data[0][:3])
        watched.evaluate(*data, metrics=True)
        watched.train_step(*batch)
        same_bits(quiet, watched)


@both_dtypes
@every_network
def test_epochs_in_several_calls(layers: Layers, dtype: str, data: Any) -> None:
    at_once, by_one = make(layers, dtype), make(layers, dtype)
    at_once.fit(*data, batch_size=BATCH, epochs=3)
    for epoch in range(3):
        by_one.fit(*data, batch_size=BATCH, epochs=epoch + 1, initial_epoch=epoch)
    same_bits(at_once, by_one)


@both_dtypes
def test_a_set_smaller_than_its_batch(dtype: str, data: Any) -> None:
    x, y, w = (a[:5] for a in data)
    small, exact, step = (make(NETWORKS["batch norm"], dtype) for _ in range(3))
    small.fit(x, y, w, batch_size=1000, epochs=1, shuffle=False)
    exact.fit(x, y, w, batch_size=5, epochs=1, shuffle=False)
    step.train_step(x, y, w)
    same_bits(small, exact)
    same_bits(small, step)


@both_dtypes
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("max_grad_norm", [None, NO_LIMIT])
def test_weights_in_panels(
    rng: np.random.Generator, max_grad_norm: float | None, frozen: bool, dtype: str
) -> None:
    """W of wide layers stays packed from one step to the next if batches have 512 rows.

    This includes the way from a whole batch to a ragged one below 512 rows, and to the next epoch.
    """
    rows, batch = 1100, 520
    x, y = rng.standard_normal((rows, 7)), rng.integers(0, 3, rows)
    fitted, looped = (make(NETWORKS["wide"], dtype, max_grad_norm=max_grad_norm) for _ in range(2))
    for network in (fitted, looped):
        network.set_frozen("2", frozen)
    fitted.fit(x, y, batch_size=batch, epochs=2, shuffle=False)
    for _ in range(2):
        for start in range(0, rows, batch):
            looped.train_step(x[start : start + batch], y[start : start + batch])
    same_bits(fitted, looped)
    parts = [fitted.forward(x[k : k + 65], training=False) for k in range(0, batch, 65)]
    whole = fitted.forward(x[:batch], training=False)
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@both_dtypes
@pytest.mark.parametrize("n_threads", [1, 3])
def test_predict_with_weights_in_panels(
    rng: np.random.Generator, n_threads: int, dtype: str
) -> None:
    """Calls of 512 rows or more pack W of wide layers; calls of fewer rows read it unpacked."""
    network = make(NETWORKS["wide"], dtype)
    x = rng.standard_normal((1100, 7))
    for _ in range(2):  # not the copy of the weights before
        parts = [network.predict(x[k : k + 100]) for k in range(0, 1100, 100)]
        whole = network.predict(x, n_threads=n_threads)
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        network.train_step(x[:100], rng.integers(0, 3, 100))


def test_a_forward_pass_is_forgotten_by_what_changes_the_model(data: Any) -> None:
    x, y, _ = data
    network = make(NETWORKS["plain"], "float64")
    for other in (
        lambda: network.train_step(x, y),
        lambda: network.train_step_grad(x, np.ones((N, 3))),
        lambda: network.fit(x, y, batch_size=BATCH, epochs=1),
        lambda: network.loss_and_grad(x, y),
        lambda: network.set_frozen("0", False),
    ):
        network.forward(x, True)
        other()
        with pytest.raises(ValueError, match="call forward first"):
            network.backward(np.ones((N, 3)))


def test_gradients_are_applied_once(data: Any) -> None:
    x, y, _ = data
    network = make(NETWORKS["plain"], "float64")
    network.loss_and_grad(x, y)
    network.apply_gradients()
    for again in (network.apply_gradients, lambda: network.clip_grad_norm(1.0)):
        with pytest.raises(ValueError, match="there are no gradients"):
            again()
    network.forward(x, True)
    network.backward(np.ones((N, 3)))
    network.train_step(x, y)
    with pytest.raises(ValueError, match="there are no gradients"):
        network.apply_gradients()
