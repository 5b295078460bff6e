# SPDX-License-Identifier: BSD-3-Clause
"""Direct calls of the binding refuse wrong settings, layers, orders of rows and callables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from border import assert_worded
from fastnn import _core
from layouts import read_only
from members import NO_MEMBER, linear
from pairs import bits

N, F, K = 7, 3, 2
REFUSALS = (TypeError, ValueError)


def network(loss: str = "cross_entropy") -> Any:
    net = _core.Network([linear(F, 5), ("tanh", {}), linear(5, K)], "float32", 3)
    net.compile(loss, {}, "adam", {"lr": 0.01})
    return net


X = np.random.default_rng(5).standard_normal((N, F)).astype(np.float32)
Y = np.arange(N) % K


def fit(net: Any, **kwargs: Any) -> Any:
    return net.fit(X, Y, **{"batch_size": 3, "epochs": 2, "n_threads": 1, **kwargs})


def test_an_order_of_rows():
    order = np.array([3, 1, 0, 6, 5, 2, 4])
    expected = network()
    expected.fit(X[order], Y[order], batch_size=3, epochs=2, shuffle=False, n_threads=1)
    memory = np.zeros(8 * N + 1, np.uint8)[1:].view(np.int64)
    memory[:] = order
    for given in (
        order,
        order[:, None],
        order.astype(np.int32),
        order.astype(np.dtype("i8").newbyteorder()),
        np.repeat(order, 2)[::2],
        read_only(order.copy()),
        memory,
    ):
        net = network()
        fit(net, orders=lambda _, given=given: given)
        assert bits(net) == bits(expected)


def test_an_order_costs_no_pass_over_the_rows():
    """Outputs by the running statistics, which are outside of the loss's range, are not computed.

    The batches have outputs inside of it, and an order that has all rows is checked by them.
    """
    x = 100 + np.random.default_rng(1).standard_normal((40, 1))
    net = _core.Network([("batch_norm1d", {"num_features": 1})], "float64", 0)
    net.compile("bce", {}, "sgd", {"lr": 0.01})
    net.parameters()[0]["array"][...] = 0.1
    net.parameters()[1]["array"][...] = 0.5
    order = np.arange(40)[::-1]
    net.fit(x, np.ones(40), batch_size=10, epochs=1, orders=lambda _: order)
    assert net.step == 4
    assert net.predict(x).max() > 1


def pieces(*parts: tuple[int, int], last: Any = None) -> Any:
    """Return a function that gives these rows one after another in each epoch."""
    left: list[tuple[int, int]] = []

    def piece(_: int, first: bool) -> Any:
        if first:
            left[:] = parts
        begin, end = left.pop(0)
        return X[begin:end], Y[begin:end], None, (not left) if last is None else last

    return piece


def fit_pieces(net: Any, given: Any, **kwargs: Any) -> Any:
    return net.fit(pieces=given, **{"batch_size": 3, "epochs": 2, "shuffle": False, **kwargs})


def test_pieces():
    net, expected = network(), network()
    result = fit_pieces(net, pieces((0, 3), (3, 6), (6, 7)))
    whole = fit(expected, shuffle=False)
    assert bits(net) == bits(expected)
    assert (result["loss"], result["steps"]) == (whole["loss"], whole["steps"])


BAD_PIECES: dict[str, Any] = {
    "no whole batches": pieces((0, 4), (4, 7)),
    "no rows": pieces((0, 0)),
    "no targets": lambda *_: (X, None, None, True),
    "three things": lambda *_: (X, Y, True),
    "a list": lambda *_: [X, Y, None, True],
    "nothing": lambda *_: None,
    "a number for a bool": pieces((0, 7), last=1),
    "other columns": lambda *_: (X[:, :2], Y, None, True),
    "no function": 3,
}


@pytest.mark.parametrize("kind", BAD_PIECES)
def test_wrong_pieces(kind):
    net = network()
    before = bits(net)
    with pytest.raises(REFUSALS) as caught:
        fit_pieces(net, BAD_PIECES[kind])
    if kind != "no function":
        assert_worded(caught.value)
    assert bits(net) == before
    assert not net.busy
    fit(net)


@pytest.mark.parametrize(
    "more",
    [
        {"x": X},
        {"x": X, "y": Y},
        {"orders": lambda _: np.arange(N)},
        {"shuffle": True},
        {"rows": -1},
    ],
    ids=" ".join,
)
def test_pieces_come_alone(more):
    net = network()
    with pytest.raises(ValueError, match=r"^\[fit\] ") as caught:
        fit_pieces(net, pieces((0, 7)), **more)
    assert_worded(caught.value)


BAD_ORDERS: dict[str, Any] = {
    "too short": np.arange(N - 1),
    "too long": np.arange(N + 1),
    "2-d": np.zeros((N, 2), int),
    "a list": list(range(N)),
    "0-d": np.int64(3),
    "beyond": np.arange(N) + 1,
    "negative": np.arange(N) - 1,
    "far beyond": np.full(N, 2**62),
    "floats": np.arange(float(N)),
    "unsigned": np.arange(N, dtype=np.uint64) + np.uint64(2**63),
    "strings": np.full(N, "a"),
    "objects": np.full(N, None),
    "complex": np.ones(N, complex),
    "a string": "abcdefg",
    "nothing": None,
    "ragged": [[1], [2, 3]],
}


@pytest.mark.parametrize("kind", BAD_ORDERS)
def test_a_wrong_order_of_rows(kind):
    net = network()
    before = bits(net)
    with pytest.raises(REFUSALS, match=r"^\[fit\] the order of epoch 0 .*expect") as caught:
        fit(net, orders=lambda _: BAD_ORDERS[kind])
    assert_worded(caught.value)
    assert bits(net) == before
    assert not net.busy
    fit(net)


def test_callables_that_raise():
    net = network()
    before = bits(net)

    def fails(*_: Any) -> Any:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        fit(net, orders=fails)
    assert bits(net) == before
    with pytest.raises(LookupError, match="mine"):
        fit(net, on_epoch=fails)
    assert not net.busy
    fit(net)


@pytest.mark.parametrize(
    "answer", ["go", object(), [1], 2.5], ids=lambda answer: type(answer).__name__
)
def test_a_wrong_answer_of_on_epoch(answer):
    net = network()
    try:
        fit(net, on_epoch=lambda *_: answer)
    except REFUSALS as error:
        assert_worded(error)
    assert not net.busy


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": -(2**63)},
        {"batch_size": 2**63},
        {"batch_size": 2.0},
        {"batch_size": None},
        {"batch_size": "3"},
        {"epochs": -1},
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": 2**64},
        {"initial_epoch": -1},
        {"initial_epoch": 2**63},
        {"seed": -1},
        {"seed": 2**64},
        {"seed": 0.5},
        {"seed": None},
        {"n_threads": -1},
        {"n_threads": 257},
        {"n_threads": 2**31 - 1},
        {"n_threads": 2**31},
        {"n_threads": -(2**31)},
        {"n_threads": 1.0},
        {"orders": 3},
        {"on_epoch": "f"},
        {"validation": 3},
        {"validation": ()},
        {"validation": (X, Y)},
        {"validation": (X, Y, None, None)},
        {"validation": (X[:0], Y[:0], None)},
        {"validation": (X, None, None)},
        {"validation": (X, Y[:-1], None)},
        {"validation": (X[:, :2], Y, None)},
        {"validation": (X, Y, np.ones((N, 2)))},
    ],
    ids=lambda settings: "-".join(f"{k}={str(v)[:12]}" for k, v in settings.items()),
)
def test_wrong_settings_of_fit(settings):
    net = network()
    before = bits(net)
    with pytest.raises(REFUSALS) as caught:
        fit(net, **settings)
    if not {"orders", "on_epoch"} & set(settings) and settings.get("validation") != 3:
        assert_worded(caught.value)
    if "on_epoch" not in settings:
        assert bits(net) == before
    assert not net.busy


def test_large_settings_that_are_right():
    assert fit(network(), batch_size=2**62)["steps"] == 2
    assert fit(network(), seed=2**64 - 1)["steps"] == 6
    assert fit(network(), epochs=2**62, on_epoch=lambda *_: False)["steps"] == 3
    assert len(fit(network(), initial_epoch=2**63 - 3, epochs=2**63 - 1)["loss"]) == 2
    assert fit(network(), n_threads=256)["loss"] == fit(network())["loss"]


BAD_NETWORKS: dict[str, Any] = {
    "nothing": [],
    "unknown layer": [linear(F, K), (NO_MEMBER, {})],
    "no width": [("relu", {})],
    "half a column": [("linear", {"in_features": 2.5, "out_features": 2})],
    "no columns": [linear(0, 2)],
    "negative": [linear(3, -2)],
    "beyond": [linear(2**31, 2**31)],
    "far beyond": [linear(2**62, 2**62)],
    "not a number": [linear(3, float("nan"))],
    "a string": [("linear", {"in_features": "a", "out_features": 2})],
    "None": [("linear", {"in_features": None, "out_features": 2})],
    "unknown word": [("linear", {"in_features": 1, "out_features": 2, "units": 1})],
    "does not fit": [linear(3, 2), linear(3, 2)],
    "late rescale": [linear(3, 2), ("rescale", {"scale": 1.0})],
    "dropout": [linear(3, 2), ("dropout", {"p": 1.5})],
    **{
        f"scale {scale!r}"[:24]: [("rescale", {"scale": scale}), linear(F, K)]
        for scale in (
            "abc",
            1j,
            {},
            [None] * F,
            [1.0, 2.0],
            10**400,
            np.array(["a"] * F),
            np.ones((F, F)),
            float("nan"),
            [1.0, float("inf"), 1.0],
        )
    },
}


@pytest.mark.parametrize("kind", BAD_NETWORKS)
def test_wrong_layers(kind):
    with pytest.raises(REFUSALS) as caught:
        _core.Network(BAD_NETWORKS[kind], "float32", 0)
    assert_worded(caught.value)


@pytest.mark.parametrize("scale", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), [2.0] * F])
def test_numbers_of_a_rescale(scale):
    net = _core.Network([("rescale", {"scale": scale}), linear(F, K)], "float32", 0)
    plain = _core.Network([linear(F, K)], "float32", 0)
    np.testing.assert_array_equal(net.predict(X), plain.predict(2 * X))


@pytest.mark.parametrize(
    "change",
    [
        {"loss": NO_MEMBER},
        {"optimizer": NO_MEMBER},
        {"loss_params": {"reduction": "none"}},
        {"loss_params": {"delta": 1.0}},
        {"params": {"lr": -1.0}},
        {"params": {"lr": float("nan")}},
        {"params": {"lr": float("inf")}},
        {"params": {"lr": "fast"}},
        {"params": {"lr": None}},
        {"params": {"beta1": 1.0}},
        {"groups": {"7.weight": {"lr": 0.1}}},
        {"groups": {"0.weight": {"lr": -0.1}}},
        {"max_grad_norm": -1.0},
        {"max_grad_norm": 0.0},
        {"max_norm": 1.0},
        {"max_grad_norm": float("nan")},
    ],
    ids=str,
)
def test_wrong_settings_of_compile(change):
    net = network()
    before = bits(net)
    settings: dict[str, Any] = {
        "loss": "mse",
        "loss_params": {},
        "optimizer": "adam",
        "params": {},
        "groups": {},
        "max_grad_norm": None,
    }
    with pytest.raises(REFUSALS) as caught:
        net.compile(**{**settings, **change})
    assert_worded(caught.value)
    assert bits(net) == before
    fit(net)


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ([(NO_MEMBER, {})], f"unknown metric '{NO_MEMBER}'; known: absolute_error, "),
        ([("top_k", {"k": 0})], r"\[top_k\] k"),
        ([("top_k", {"n": 1})], r"\[top_k\] .*n"),
        ([("absolute_error", {})], "absolute_error is not defined for CrossEntropyLoss on 2 out"),
        (["confusion"], None),
        ([("confusion",)], None),
        ("confusion", None),
        (3, None),
    ],
)
def test_wrong_metrics(metrics, text):
    net = network()
    before = net.evaluate(X, Y)
    with pytest.raises(REFUSALS, match=text):
        net.compile("cross_entropy", {}, "sgd", {"lr": 0.1}, metrics=metrics)
    assert net.evaluate(X, Y) == before


def test_predictions_beside_the_loss():
    net = network()
    room = np.zeros((N, K), np.float32)
    assert net.evaluate(X, Y, predictions=room) == net.evaluate(X, Y)
    np.testing.assert_array_equal(room, net.predict(X))
    fit(net, validation=(X, Y, None), predictions=room)
    np.testing.assert_array_equal(room, net.predict(X))


@pytest.mark.parametrize(
    "room",
    [
        np.zeros((N - 1, K), np.float32),
        np.zeros((N, K)),
        np.zeros((K, N), np.float32).T,
        np.zeros((N, 2 * K), np.float32)[:, ::2],
        np.zeros((2 * N, K), np.float32)[::2],
        np.zeros(N, np.float32),
        read_only(np.zeros((N, K), np.float32)),
        [[0.0] * K] * N,
        7,
    ],
    ids=["short", "float64", "transposed", "columns", "rows", "1-d", "read-only", "list", "number"],
)
def test_wrong_memory_for_predictions(room):
    net = network()
    before = bits(net)
    with pytest.raises(REFUSALS) as caught:
        net.evaluate(X, Y, predictions=room)
    assert_worded(caught.value)
    with pytest.raises(REFUSALS):
        fit(net, validation=(X, Y, None), predictions=room)
    assert bits(net) == before
