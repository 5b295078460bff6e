# SPDX-License-Identifier: BSD-3-Clause
"""A network that is no chain has the values, gradients and updates of the twin and of torch.

Its bits are the same in every form and on any number of threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import in_torch
from differences import check_dx, check_network, network
from fastnn import _core, reference
from layouts import DTYPES, draws
from members import Layers, linear
from pairs import Pair, same_bits

F, K = 7, 3


def residual(*layers: Any, **shortcut: Any) -> Any:
    return ("residual", {"layers": list(layers), **shortcut})


def sequential(*layers: Any) -> Any:
    return ("sequential", {"layers": list(layers)})


def layer_norm(columns: int, **hyper: Any) -> Any:
    return ("layer_norm", {"normalized_shape": columns, **hyper})


def batch_norm(columns: int) -> Any:
    return ("batch_norm1d", {"num_features": columns})


NETWORKS: dict[str, Layers] = {
    "one": [linear(F, 9), residual(linear(9, 9), ("relu", {})), linear(9, K)],
    "of the rows": [residual(linear(F, 12), ("tanh", {}), linear(12, F)), linear(F, K)],
    "last": [linear(F, K), ("gelu", {}), residual(linear(K, 5), ("tanh", {}), linear(5, K))],
    "elementwise": [
        linear(F, 9),
        residual(("relu", {})),
        residual(("tanh", {}), ("gelu", {})),
        ("sigmoid", {}),
        residual(("identity", {})),
        linear(9, K),
    ],
    "behind an activation": [
        linear(F, 9),
        ("tanh", {}),
        residual(("sigmoid", {}), linear(9, 9)),
        ("relu", {}),
        residual(("leaky_relu", {}), linear(9, 9), ("dropout", {"p": 0.3})),
        linear(9, K),
    ],
    "nested": [
        linear(F, 10),
        residual(
            residual(linear(10, 6), ("gelu", {}), linear(6, 10)),
            sequential(("tanh", {}), residual(linear(10, 10))),
            ("dropout", {"p": 0.2}),
        ),
        sequential(sequential(linear(10, 8), ("relu", {})), residual(residual(linear(8, 8)))),
        linear(8, K),
    ],
    "normed": [
        linear(F, 12),
        residual(layer_norm(12), linear(12, 20), ("gelu", {}), linear(20, 12)),
        residual(batch_norm(12), linear(12, 12), ("dropout", {"p": 0.4}), batch_norm(12)),
        layer_norm(12),
        linear(12, K),
    ],
    "shortcuts": [
        residual(linear(F, 12), ("tanh", {}), shortcut=linear(F, 12)),
        ("relu", {}),
        residual(
            ("tanh", {}),
            linear(12, 6),
            residual(("gelu", {}), linear(6, 5), shortcut=linear(6, 5, bias=False)),
            shortcut=sequential(linear(12, 5), ("dropout", {"p": 0.3}), layer_norm(5)),
        ),
        residual(("relu", {}), shortcut=("tanh", {})),
        residual(linear(5, K), shortcut=linear(5, K)),
    ],
    "a wide shortcut": [
        residual(linear(F, 400), ("relu", {}), shortcut=linear(F, 400)),
        residual(("tanh", {}), linear(400, 300), shortcut=linear(400, 300)),
        linear(300, K),
    ],
    "wide": [
        linear(F, 400),
        residual(linear(400, 500), ("relu", {}), ("dropout", {"p": 0.2}), linear(500, 400)),
        residual(layer_norm(400), linear(400, 400), ("tanh", {})),
        ("relu", {}),
        residual(("tanh", {}), linear(400, 400)),
        linear(400, K),
    ],
}
NARROW = {name: layers for name, layers in NETWORKS.items() if "wide" not in name}
every_network = pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
narrow_networks = pytest.mark.parametrize("layers", NARROW.values(), ids=NARROW)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


@pytest.mark.parametrize("training", [True, False])
@both_dtypes
@pytest.mark.parametrize("n", [1, 3, 9, 131])
@every_network
def test_as_the_twin(
    rng: np.random.Generator, layers: Layers, n: int, dtype: str, training: bool
) -> None:
    pair = Pair(layers, dtype).compile()
    pair.shift_parameters(rng)
    for _ in range(2):
        x, dy = draws(rng, (n, F), dtype), draws(rng, (n, K), dtype)
        ours, theirs = (net.forward(x, training) for net in (pair.engine, pair.twin))
        pair.close(ours, theirs, "layer")
        our_dx, their_dx = (net.backward(dy, True) for net in (pair.engine, pair.twin))
        pair.close(our_dx, their_dx, "layer")
        pair.same_gradients("training" if dtype == "float32" else "layer")
        pair.close(pair.engine.predict(x), pair.twin.predict(x), "layer")


@both_dtypes
@pytest.mark.parametrize("max_grad_norm", [None, 0.1])
@every_network
def test_training_as_the_twin(
    rng: np.random.Generator, layers: Layers, max_grad_norm: float | None, dtype: str
) -> None:
    pair = Pair(layers, dtype).compile(
        "cross_entropy", "sgd", {"lr": 0.05, "momentum": 0.9}, max_grad_norm=max_grad_norm
    )
    for n in (64, 1, 5, 131):
        x, y = draws(rng, (n, F), dtype), rng.integers(0, K, n)
        ours, theirs = (net.train_step(x, y) for net in (pair.engine, pair.twin))
        pair.close(ours, theirs, "training")
    pair.same_values()
    scores = [net.evaluate(x, y, None, True) for net in (pair.engine, pair.twin)]
    pair.close(scores[0]["loss"], scores[1]["loss"], "training")


@narrow_networks
def test_slopes(rng: np.random.Generator, layers: Layers) -> None:
    made = network(layers)
    for p in made.parameters():
        if p["array"].ndim == 1:
            p["array"][...] += rng.uniform(0.1, 0.5, p["array"].shape)
    x, y = rng.standard_normal((27, F)), rng.standard_normal((27, K))
    check_network(made, x, y)
    check_dx(made, x)


@narrow_networks
def test_in_torch(rng: np.random.Generator, torch: Any, layers: Layers) -> None:
    engine = _core.Network(layers, "float64", 4)
    other = in_torch.network(torch, layers, engine)
    other.eval()
    x, dy = rng.standard_normal((40, F)), rng.standard_normal((40, K))
    leaf = torch.tensor(x, requires_grad=True)
    expected = other(leaf)
    expected.backward(torch.tensor(dy))
    ours = engine.forward(x, training=False)
    np.testing.assert_allclose(ours, expected.detach().numpy(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(engine.backward(dy, True), leaf.grad.numpy(), rtol=0, atol=1e-12)
    gradients = in_torch.gradients(other)
    assert [g["key"] for g in engine.gradients()] == list(gradients)
    for g in engine.gradients():
        np.testing.assert_allclose(g["array"], gradients[g["key"]], rtol=0, atol=1e-12)


# -- bits ------------------------------------------------------------------------------------------


def trained(
    layers: Layers, dtype: str, n_threads: int, clip: float | None, rows: int, batch: int
) -> Any:
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((rows, F)).astype(dtype), rng.integers(0, K, rows)
    made = _core.Network(layers, dtype, 5)
    made.compile("cross_entropy", {}, "adamw", {"lr": 0.003}, max_grad_norm=clip)
    report = made.fit(x, y, batch_size=batch, epochs=2, seed=3, n_threads=n_threads)
    return made, report["loss"], made.predict(x, n_threads=n_threads)


@both_dtypes
@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize(("rows", "batch"), [(150, 64), (9, 1), (1100, 520)])
@every_network
def test_any_number_of_threads_gives_one_set_of_bits(
    layers: Layers, rows: int, batch: int, clip: float | None, dtype: str
) -> None:
    first, loss, out = trained(layers, dtype, 1, clip, rows, batch)
    for n_threads in (2, 3, 5, 8):
        again, same_loss, same_out = trained(layers, dtype, n_threads, clip, rows, batch)
        same_bits(first, again)
        assert loss == same_loss
        np.testing.assert_array_equal(out, same_out)


@both_dtypes
@every_network
def test_every_way_to_a_step_has_its_bits(
    rng: np.random.Generator, layers: Layers, dtype: str
) -> None:
    """A step may be fused, materialised, made of two calls, or a part of fit."""
    x, y = rng.standard_normal((150, F)).astype(dtype), rng.integers(0, K, 150)
    fused, materialised, halves, parts, fitted = (_core.Network(layers, dtype, 5) for _ in range(5))
    for made in (fused, halves, parts, fitted):
        made.compile("cross_entropy", {}, "adamw", {"lr": 0.003})
    materialised.compile("cross_entropy", {}, "adamw", {"lr": 0.003}, max_grad_norm=1e30)
    fitted.fit(x, y, batch_size=64, epochs=2, shuffle=False)
    for _ in range(2):
        for start in range(0, 150, 64):
            batch = x[start : start + 64], y[start : start + 64]
            loss = fused.train_step(*batch)
            assert materialised.train_step(*batch) == loss
            assert halves.loss_and_grad(*batch) == loss
            halves.apply_gradients()
            out = parts.forward(batch[0], training=True)
            parts.backward(_core.loss("cross_entropy", {}, out, batch[1])[1], need_dx=True)
            parts.apply_gradients()
    for made in (materialised, halves, parts, fitted):
        same_bits(fused, made)


@both_dtypes
@every_network
def test_prediction_is_the_forward_pass(
    rng: np.random.Generator, layers: Layers, dtype: str
) -> None:
    made = _core.Network(layers, dtype, 5)
    for n in (1, 5, 300, 700):
        x = rng.standard_normal((n, F)).astype(dtype)
        np.testing.assert_array_equal(made.predict(x), made.forward(x, training=False))


# -- frozen parts ----------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize(
    ("name", "frozen"),
    [
        ("one", ["0"]),
        ("one", ["1"]),
        ("one", ["0", "1"]),
        ("one", ["2"]),
        ("of the rows", ["0.0"]),
        ("of the rows", ["0"]),
        ("nested", ["0", "1.0"]),
        ("nested", ["0", "1", "2.0"]),
        ("nested", ["1.1.1.0"]),
        ("normed", ["0", "1.0", "1.1"]),
        ("normed", ["1", "2"]),
        ("normed", ["3"]),
        ("shortcuts", ["0.shortcut"]),
        ("shortcuts", ["0", "2.2"]),
        ("shortcuts", ["0.0", "2.shortcut"]),
        ("a wide shortcut", ["0", "1.shortcut"]),
        ("wide", ["0", "1.0"]),
        ("wide", ["0", "1"]),
    ],
)
def test_frozen_parts(rng: np.random.Generator, name: str, frozen: list[str], dtype: str) -> None:
    pair = Pair(NETWORKS[name], dtype).compile("cross_entropy", "sgd", {"lr": 0.1, "momentum": 0.9})
    for key in frozen:
        pair.freeze(key)
        assert pair.engine.frozen(key)
    before = {p["key"]: p["array"].copy() for p in pair.engine.parameters()}
    for n in (40, 33, 3):
        x, y = draws(rng, (n, F), dtype), rng.integers(0, K, n)
        for net in (pair.engine, pair.twin):
            net.train_step(x, y)
    pair.same_values()
    for p in pair.engine.parameters():
        still = any(f"{p['layer']}.".startswith(f"{key}.") for key in frozen)
        assert (p["array"] == before[p["key"]]).all() == still, p["key"]


# -- names -----------------------------------------------------------------------------------------


def test_keys_are_torchs() -> None:
    layers = [("rescale", {"scale": 0.5}), ("flatten", {}), *NETWORKS["nested"]]
    made = _core.Network(layers, "float32", 0)
    assert [p["key"] for p in made.parameters()] == [
        f"{layer}.{name}"
        for layer in ("1", "2.0.0", "2.0.2", "2.1.1.0", "3.0.0", "3.1.0.0", "4")
        for name in ("weight", "bias")
    ]
    assert {p["key"] for p in made.parameters("2.1")} == {"2.1.1.0.weight", "2.1.1.0.bias"}
    assert set(made.snapshot(["3"])["values"]) == {
        f"3.{layer}.{name}" for layer in ("0.0", "1.0.0") for name in ("weight", "bias")
    }


def test_streams_are_numbered_depth_first() -> None:
    """A container of layers draws what the same layers draw without it."""
    flat = [linear(F, 9), ("dropout", {"p": 0.5}), linear(9, 9), ("dropout", {"p": 0.5})]
    nested = [linear(F, 9), sequential(("dropout", {"p": 0.5}), linear(9, 9)), flat[3]]
    plain, inside = (_core.Network(layers, "float64", 3) for layers in (flat, nested))
    for ours, theirs in zip(inside.parameters(), plain.parameters(), strict=True):
        np.testing.assert_array_equal(ours["array"], theirs["array"])
    x = np.random.default_rng(0).standard_normal((20, F))
    np.testing.assert_array_equal(inside.forward(x, True), plain.forward(x, True))


def test_settings_inside_a_container(rng: np.random.Generator) -> None:
    made, other = (
        _core.Network([linear(F, 9), residual(("dropout", {"p": p}))], "float64", 3)
        for p in (0.5, 0.1)
    )
    made.change_layer(["1.0"], "dropout", {"p": 0.1})
    x = rng.standard_normal((20, F))
    np.testing.assert_array_equal(made.forward(x, True), other.forward(x, True))


def deep(n: int) -> Any:
    layer = linear(F, F)
    for _ in range(n):
        layer = sequential(layer)
    return layer


@pytest.mark.parametrize(
    ("layers", "text"),
    [
        (
            [residual(linear(F, F + 1))],
            rf"\[residual\] the layers of 0 make {F + 1} columns of {F}",
        ),
        (
            [residual(linear(F, 4), shortcut=linear(F, 3))],
            rf"the layers of 0 make 4 columns of {F}, its shortcut 3; expected as many",
        ),
        (
            [("sequential", {"layers": [linear(F, 4)], "shortcut": linear(F, 4)})],
            r"\[sequential\] takes no shortcut",
        ),
        ([linear(F, 4), residual(linear(4, 3))], r"the layers of 1 make 3 columns of 4; expected"),
        ([linear(F, 4), residual(linear(5, 4))], r"\[linear\] expects 5 columns, .* gives 4"),
        ([linear(F, 4), residual()], "container 1 has no layers"),
        ([linear(F, 4), residual(("relu", {}), sequential())], r"container 1\.1 has no layers"),
        ([residual(("rescale", {"scale": 2.0}), linear(F, F))], r"\[rescale\] prepares the input"),
        (
            [linear(F, 4), residual(("stairs", {}))],
            "unknown layer 'stairs'; known: rescale, .*residual",
        ),
        ([linear(F, 4), ("residual", {})], r"\[residual\] has no 'layers'"),
        ([deep(65)], "more than 64 containers stand inside each other"),
        ([residual(("relu", {}))], "needs at least one layer with a width"),
    ],
)
def test_refusals(layers: Layers, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        _core.Network(layers, "float32", 0)


def test_many_containers_inside_each_other(rng: np.random.Generator) -> None:
    made = _core.Network([deep(64)], "float64", 0)
    plain = _core.Network([linear(F, F)], "float64", 0)
    x = rng.standard_normal((4, F))
    np.testing.assert_array_equal(made.predict(x), plain.predict(x))
    with pytest.raises(ValueError, match="no layer has the key '1'; known: 0"):
        made.set_frozen("1", True)


def test_the_twin_knows_the_same_containers() -> None:
    assert list(reference.CONTAINERS) == [row["name"] for row in _core.registries()["containers"]]
