# SPDX-License-Identifier: BSD-3-Clause
"""Direct calls of the binding: legal memory gives the bits of a plain copy, the rest is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from border import EXAMPLES, NOT_ARRAYS, any_arrays, assert_worded, is_numbers, numeric_arrays
from fastnn import _core
from layouts import DTYPES, read_only
from members import linear
from pairs import bits

if TYPE_CHECKING:
    from collections.abc import Callable

N, F, K = 7, 3, 2
LAYERS = [
    linear(F, 5),
    ("batch_norm1d", {"num_features": 5}),
    ("tanh", {}),
    ("dropout", {"p": 0.25}),
    linear(5, K),
]
REFUSALS = (TypeError, ValueError)


def network(dtype: str = "float32", loss: str = "cross_entropy") -> Any:
    net = _core.Network(LAYERS, dtype, 3)
    net.compile(loss, {}, "adam", {"lr": 0.01})
    return net


def good(dtype: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "x": rng.standard_normal((N, F)).astype(dtype),
        "classes": np.arange(N) % K,
        "dense": rng.standard_normal((N, K)).astype(dtype),
        "weights": np.ones(N, dtype),
        "grad": rng.standard_normal((N, K)).astype(dtype),
    }


def fit(net: Any, x: Any, y: Any, w: Any = None, **kwargs: Any) -> list[float]:
    return net.fit(x, y, w, **{"batch_size": 3, "epochs": 2, "n_threads": 1, **kwargs})["loss"]


def backward(net: Any, x: Any, grad: Any) -> list[Any]:
    net.forward(x, True, 1)
    return [net.backward(grad, True, 1), *(row["array"] for row in net.gradients())]


# The loss that a call needs, and the call.
CALLS: dict[str, tuple[str, Callable[[Any, dict[str, Any]], Any]]] = {
    "fit": ("cross_entropy", lambda m, a: fit(m, a["x"], a["classes"], a["weights"])),
    "fit dense": ("mse", lambda m, a: fit(m, a["x"], a["dense"], a["weights"])),
    "validation": (
        "cross_entropy",
        lambda m, a: m.fit(
            good("float32")["x"],
            good("float32")["classes"],
            batch_size=4,
            epochs=1,
            validation=(a["x"], a["classes"], a["weights"]),
            metrics=True,
        )["val_loss"],
    ),
    "train_step": (
        "cross_entropy",
        lambda m, a: m.train_step(a["x"], a["classes"], a["weights"], 1),
    ),
    "train_step dense": ("l1", lambda m, a: m.train_step(a["x"], a["dense"], a["weights"], 1)),
    "train_step_grad": ("mse", lambda m, a: m.train_step_grad(a["x"], a["grad"], 1)),
    "loss_and_grad": ("half_mse", lambda m, a: m.loss_and_grad(a["x"], a["dense"], a["weights"])),
    "evaluate": (
        "cross_entropy",
        lambda m, a: list(m.evaluate(a["x"], a["classes"], a["weights"], metrics=True).values()),
    ),
    "predict": ("cross_entropy", lambda m, a: m.predict(a["x"], True)),
    "forward": ("mse", lambda m, a: m.forward(a["x"], True)),
    "backward": ("mse", lambda m, a: backward(m, a["x"], a["grad"])),
}
ROLES = {
    "fit": ["x", "classes", "weights"],
    "fit dense": ["dense"],
    "validation": ["x", "classes", "weights"],
    "train_step": ["x", "classes", "weights"],
    "train_step dense": ["x", "dense"],
    "train_step_grad": ["x", "grad"],
    "loss_and_grad": ["x", "dense"],
    "evaluate": ["x", "classes", "weights"],
    "predict": ["x"],
    "forward": ["x"],
    "backward": ["grad"],
}
PAIRS = [(call, role) for call, roles in ROLES.items() for role in roles]
SHAPES = {
    "x": [(N, F)],
    "classes": [(N,), (N, 1)],
    "dense": [(N, K)],
    "weights": [(N,), (N, 1)],
    "grad": [(N, K)],
}
ODD = [(), (N,), (0, F), (N, 0), (0,), (N, F + 1), (N - 1, F), (N, F, 1), (1, N, F), (F, N), (1, 1)]


def outcome(call: str, role: str, array: Any, dtype: str) -> tuple[Any, list[Any]]:
    """Return what a call gave, as bits, or the type of its refusal; and the network after it."""
    loss, function = CALLS[call]
    net = network(dtype, loss)
    before = bits(net)
    try:
        result = function(net, {**good(dtype), role: array})
    except REFUSALS as error:
        assert_worded(error)
        if call != "backward":  # its forward pass counts batches
            assert bits(net) == before
        return type(error), before
    parts = result if isinstance(result, list) else [result]
    return [np.asarray(part).tobytes() for part in parts], bits(net)


@settings(EXAMPLES, max_examples=500)
@given(st.data(), st.sampled_from(PAIRS), st.sampled_from(DTYPES))
def test_any_array_for_a_network(data, pair, dtype):
    call, role = pair
    lowest = 0.0 if role in {"classes", "weights"} else -2.0
    odd = [shape for shape in ODD if shape not in SHAPES[role]]
    if call in {"predict", "forward"}:
        odd.remove((N - 1, F))  # any number of rows is right
    source = data.draw(any_arrays(SHAPES[role], odd, lowest=lowest))
    if role == "classes" and is_numbers(source.array) and source.array.flags.writeable:
        source.array[...] = np.asarray(source.array) // 1 % K
    if role == "x" and call == "predict" and source.array.shape == (0, F):
        return  # no rows are no error there; see test_no_rows
    before = bytes(source.memory)
    got = outcome(call, role, source.array, dtype)
    assert bytes(source.memory) == before
    legal = is_numbers(source.array) and source.array.shape in SHAPES[role]
    if legal and role == "classes":
        legal = bool(np.all(np.asarray(source.array) % 1 == 0))
    if legal:
        assert not isinstance(got[0], type), f"{got[0]} for a legal {role}"
        copy = np.array(source.array, dtype, order="C", subok=False)
        assert got == outcome(call, role, copy, dtype)
    else:
        assert isinstance(got[0], type), f"{call} took {role} {source.array!r}"


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
@pytest.mark.parametrize("thing", [*NOT_ARRAYS, None], ids=lambda thing: type(thing).__name__)
def test_things_that_are_no_arrays(pair, thing):
    if thing is None and pair[1] == "weights":
        return
    result, _ = outcome(*pair, thing, "float32")
    assert issubclass(result, REFUSALS)


@pytest.mark.parametrize("call", ["fit", "train_step", "evaluate", "forward", "loss_and_grad"])
def test_no_rows(call):
    loss, function = CALLS[call]
    arrays = {key: a[:0] for key, a in good("float32").items()}
    with pytest.raises(ValueError, match=rf"^\[{call}\] X has no rows; expected"):
        function(network(loss=loss), arrays)
    assert network().predict(arrays["x"]).shape == (0, K)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_real_memmap(dtype, tmp_path):
    x = good(dtype)["x"]
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", dtype, "r", shape=x.shape)
    for call in ("fit", "train_step", "evaluate", "predict"):
        assert outcome(call, "x", mapped, dtype) == outcome(call, "x", x, dtype)
    assert (tmp_path / "x").read_bytes() == x.tobytes()


FUNCTIONS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "linear": (_core.linear, [(N, F), (F, K), (K,)]),
    "linear_backward": (_core.linear_backward, [(N, K), (N, F), (F, K)]),
    "relu": (lambda z: _core.activation("relu", {}, z), [(N, F)]),
    "gelu": (lambda z: _core.activation("gelu", {}, z), [(N, F)]),
    "relu_backward": (
        lambda dy, z: _core.activation_backward("relu", {}, dy, z),
        [(N, F), (N, F)],
    ),
    "softmax": (lambda z: _core.activation("softmax", {}, z), [(N, F)]),
    "softmax_backward": (
        lambda dy, a: _core.activation_backward("softmax", {}, dy, a),
        [(N, F), (N, F)],
    ),
    "log_softmax": (lambda z: _core.activation("log_softmax", {}, z), [(N, F)]),
    "mse": (lambda o, t, w: _core.loss("mse", {}, o, t, w), [(N, F), (N, F), (N,)]),
    "l1": (lambda o, t: _core.loss("l1", {}, o, t), [(N, F), (N, F)]),
}


def flat(result: Any) -> list[Any]:
    parts = result if isinstance(result, tuple) else (result,)
    return [(np.asarray(p).dtype, np.shape(p), np.asarray(p).tobytes()) for p in parts]


@settings(EXAMPLES, max_examples=300)
@given(st.data(), st.sampled_from(sorted(FUNCTIONS)), st.sampled_from(DTYPES))
def test_any_array_for_a_function(data, name, dtype):
    function, shapes = FUNCTIONS[name]
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    at = data.draw(st.integers(0, len(shapes) - 1))
    odd = [shape for shape in ODD if shape != shapes[at]]
    source = data.draw(any_arrays([shapes[at]], odd, lowest=-2.0 if at < 2 else 0.0))
    before = bytes(source.memory)

    def called(array: Any) -> Any:
        given_arrays = [array if k == at else a for k, a in enumerate(arrays)]
        try:
            return flat(function(*given_arrays))
        except REFUSALS as error:
            assert_worded(error)
            return type(error)

    got = called(source.array)
    assert bytes(source.memory) == before
    if is_numbers(source.array):
        native = source.array.dtype.newbyteorder("=")
        assert got == called(np.array(source.array, native, order="C", subok=False))
        assert source.array.shape != shapes[at] or isinstance(got, list)
    else:
        assert issubclass(got, REFUSALS)


@pytest.mark.parametrize("thing", NOT_ARRAYS, ids=lambda thing: type(thing).__name__)
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_no_arrays_for_functions(name, thing):
    function, shapes = FUNCTIONS[name]
    for at in range(len(shapes)):
        arrays: list[Any] = [np.ones(shape, np.float32) for shape in shapes]
        arrays[at] = thing
        with pytest.raises(REFUSALS) as caught:
            function(*arrays)
        assert_worded(caught.value)


@settings(EXAMPLES, max_examples=150)
@given(
    numeric_arrays([(N, F)], dtypes=["f4", "f4", "f8", "f2", "i4"]),
    numeric_arrays([(N, F)], dtypes=["f4", "f4", "f8", "f2", "i4"]),
)
def test_any_array_for_an_optimizer(param, velocity):
    kind = param.array.dtype
    grad = np.ones((N, F), kind.newbyteorder("="))
    before = bytes(param.memory), bytes(velocity.memory)
    legal = kind in {np.dtype("f4"), np.dtype("f8")} and velocity.array.dtype == kind
    legal = legal and param.array.flags.writeable and velocity.array.flags.writeable
    hyper = {"lr": 0.5, "momentum": 0.5}
    copies = [np.array(g.array, g.array.dtype.newbyteorder("=")) for g in (param, velocity)]
    try:
        _core.optimizer_step(
            "sgd", hyper, 2, [param.array], [grad], {"momentum_buffer": [velocity.array]}
        )
    except REFUSALS as error:
        assert_worded(error)
        assert not legal
        assert (bytes(param.memory), bytes(velocity.memory)) == before
        return
    assert legal, f"took {param.array.dtype} with a state of {velocity.array.dtype}"
    _core.optimizer_step("sgd", hyper, 2, copies[:1], [grad], {"momentum_buffer": copies[1:]})
    for got, copy in zip((param, velocity), copies, strict=True):
        np.testing.assert_array_equal(np.asarray(got.array), copy)


@pytest.mark.parametrize(
    ("param", "grad", "state"),
    [
        (np.ones(3, np.int32), np.ones(3, np.float32), np.ones(3, np.float32)),
        (np.ones(3, np.float32), np.ones(2, np.float32), np.ones(3, np.float32)),
        (np.ones(3, np.float32), np.ones(3, complex), np.ones(3, np.float32)),
        (np.ones(3, np.float32), np.ones(3, np.float32), np.ones(3, np.int64)),
        (np.ones(3, np.float32), np.ones(3, np.float32), read_only(np.ones(3, np.float32))),
        (np.ones(3, np.float32), np.ma.masked_equal(np.ones(3, "f4"), 1), np.ones(3, "f4")),
        (np.ones(3, np.float32), "a", np.ones(3, np.float32)),
    ],
)
def test_an_optimizer_refuses_before_it_writes(param, grad, state):
    first = np.ones(3, np.float32)
    hyper = {"lr": 1.0, "momentum": 0.5}
    states = {"momentum_buffer": [first.copy(), state]}
    with pytest.raises(REFUSALS) as caught:
        _core.optimizer_step("sgd", hyper, 1, [first, param], [first.copy(), grad], states)
    assert_worded(caught.value)
    np.testing.assert_array_equal(first, 1)
    np.testing.assert_array_equal(states["momentum_buffer"][0], 1)
