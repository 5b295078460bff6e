# SPDX-License-Identifier: BSD-3-Clause
"""The twin keeps its own promises: random streams by their definition, digits, its training loop.

Its values and derivatives are the engine's, which the tests of the rooms compare with it, with
central differences and with torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import reference
from fastnn.reference import Network
from members import NO_MEMBER


def test_gelu_keeps_its_digits_in_the_tail() -> None:
    # z Phi(z) at z = -8 and -20, from tables of the normal distribution's tail
    a = reference.activation("gelu", {}, np.array([-8.0, -20.0]))
    np.testing.assert_allclose(a, [-8 * 6.220960574271786e-16, -20 * 2.7536241186062337e-89])


# -- random streams -------------------------------------------------------------------------------


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Return numbers of Philox4x64-10 by its definition (Salmon et al. 2011)."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
        a, b, c, d = (p1 >> 64) ^ b ^ k0, p1 % 2**64, (p0 >> 64) ^ d ^ k1, p0 % 2**64
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % 2**64, (k1 + 0xBB67AE8584CAA73B) % 2**64
    return [a, b, c, d]


def test_words_are_philox() -> None:
    # the first of the known answers that Random123 publishes
    known = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox([0] * 4, [0, 0]) == known
    key = [2**64 - 1, 3]
    drawn = [*philox([1, 7, 11, 0], key), *philox([2, 7, 11, 0], key)]
    assert reference.words(*key, 6, row=7, step=11).tolist() == drawn[:6]


def test_dropout_mask() -> None:
    mask = reference.dropout_mask((5, 11), 0.25, seed=3, layer=2, step=4, dtype=np.float32)
    assert mask.dtype == np.float32
    for row in range(5):
        drawn = [*philox([1, row, 4, 0], [3, 2]), *philox([2, row, 4, 0], [3, 2])]
        lanes = [lane for word in drawn for lane in (word % 2**32, word >> 32)]
        kept = [lane >= 2**30 for lane in lanes[:11]]
        np.testing.assert_array_equal(mask[row], np.float32(1 / 0.75) * np.array(kept))
    assert not reference.dropout_mask((3, 3), 1.0, 0, 0, 0, np.float64).any()
    assert (reference.dropout_mask((3, 3), 0.0, 0, 0, 0, np.float64) == 1).all()


def test_initial_values() -> None:
    network = Network(
        [("rescale", {}), ("relu", {}), ("linear", {"in_features": 3, "out_features": 2})], seed=9
    )
    key = [9, 2**32 + 1]
    drawn = [*philox([1, 0, 0, 0], key), *philox([2, 0, 0, 0], key)]
    values = [(2 * ((word >> 11) * 2.0**-53) - 1) / np.sqrt(3) for word in drawn]
    weight, bias = (p["array"] for p in network.parameters())
    np.testing.assert_allclose(weight.ravel(), values[:6], rtol=1e-7)
    np.testing.assert_allclose(bias, values[6:8], rtol=1e-7)


def test_permutation() -> None:
    first, second = (reference.permutation(1000, seed=1, epoch=e) for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(1000))
    assert (first != second).any()
    drawn = philox([1, 0, 6, 0], [5, 2**33])
    order = [0, 1, 2]
    for word, i in zip(drawn, (2, 1), strict=False):
        j = word * (i + 1) // 2**64
        order[i], order[j] = order[j], order[i]
    assert reference.permutation(3, seed=5, epoch=6).tolist() == order
    assert reference.permutation(0, 0, 0).tolist() == []


# -- the training loop ---------------------------------------------------------------------------


def small_network(dtype: str = "float64", loss: str = "cross_entropy", **kwargs: Any) -> Network:
    layers: list[tuple[str, dict[str, Any]]] = [
        ("linear", {"in_features": 4, "out_features": 6}),
        ("batch_norm1d", {"num_features": 6}),
        ("relu", {}),
        ("dropout", {"p": 0.2}),
        ("linear", {"in_features": 6, "out_features": 3}),
    ]
    network = Network(layers, dtype=dtype, seed=2)
    options = {"optimizer": "adamw", "params": {"lr": 0.01}} | kwargs
    network.compile(loss, {}, **options)
    return network


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rng.standard_normal((50, 4)), rng.integers(0, 3, 50), rng.uniform(0, 2, 50)


def values(network: Network) -> list[np.ndarray]:
    return [p["array"].copy() for p in network.parameters()]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arithmetic_stays_in_the_dtype(dtype: str, data: Any) -> None:
    network = small_network(dtype, max_grad_norm=1.0)
    network.fit(*data, batch_size=8, epochs=1)
    state = network.optimizer_state()["state"]
    arrays = [*network.parameters(), *network.gradients(), *state[0], *state[1]]
    assert {a["array"].dtype for a in arrays} == {np.dtype(dtype)}
    assert network.predict(data[0]).dtype == dtype


def test_training_learns_and_reports(data: Any) -> None:
    x, _, _ = data
    y = x[:, :3].argmax(axis=1)
    seen = []

    def on_epoch(epoch: int, logs: dict[str, float]) -> bool:
        seen.append(epoch)
        return logs["val_accuracy"] < 0.9

    network = small_network()
    history = network.fit(
        x, y, batch_size=10, epochs=300, initial_epoch=3, validation=(x, y, None), metrics=True,
        on_epoch=on_epoch,
    )  # fmt: skip
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "lr"}
    assert history["val_accuracy"][-1] >= 0.9
    assert seen == list(range(3, 3 + len(history["loss"])))
    assert len(seen) < 297
    results = network.evaluate(x, y)
    assert results == {k: history[f"val_{k}"][-1] for k in ("loss", "accuracy")}
    np.testing.assert_allclose(network.predict(x).sum(axis=1), 1)


def test_orders(data: Any) -> None:
    x, y, w = data
    reversed_rows = np.arange(50)[::-1]
    a, b = small_network(), small_network()
    a.fit(x, y, w, batch_size=7, epochs=1, orders=lambda _: reversed_rows)
    b.fit(x[::-1], y[::-1], w[::-1], batch_size=7, epochs=1, shuffle=False)
    for left, right in zip(values(a), values(b), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_gradient_made_elsewhere(data: Any) -> None:
    x, y, w = data
    a, b = small_network(), small_network()
    a.train_step(x, y, w)
    b.train_step_grad(x, b.loss.gradient(b.forward(x, training=True), y, w))
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        if p["trainable"]:  # b went forward twice: its running statistics moved twice
            np.testing.assert_array_equal(p["array"], q["array"])


def test_unknown_layer_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown layer 'no such member'; known: .*linear.*relu"):
        Network([(NO_MEMBER, {})])
