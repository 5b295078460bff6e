# SPDX-License-Identifier: BSD-3-Clause
"""Levels with fused multiply-adds give the same bits, after 200 steps of everything there is."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from typing import Any

import numpy as np
import pytest

import probe
from fastnn import _core

LEVELS = [level for level in ("v3", "v4") if level in _core.built and level in _core.runnable]
DTYPES = ("float32", "float64")
WIDTHS = (13, 19, 21, 5)
ROWS, BATCH, EPOCHS = 75, 15, 40
STEPS = ROWS // BATCH * EPOCHS
HYPERS: dict[str, list[dict[str, float]]] = {
    "sgd": [
        {"lr": 0.01},
        {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-3, "l1": 1e-4},
        {"lr": 0.01, "momentum": 0.9, "nesterov": 1},
    ],
    "adam": [{"lr": 0.003, "weight_decay": 1e-3}],
    "adamw": [{"lr": 0.003}],
}

Layers = list[tuple[str, dict[str, Any]]]


def digest(arrays: list[np.ndarray]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def rows(kind: str) -> list[dict[str, Any]]:
    return _core.registries()[kind]


def network(activation: str, last: str = "", extra: str = "") -> Layers:
    """Linear, `extra`, `activation`, and again; a linear layer, and `last`."""
    layers: Layers = []
    for a, b in itertools.pairwise(WIDTHS):
        layers += [("linear", {"in_features": a, "out_features": b})]
        if extra:
            layers += [(extra, {"num_features": b} if extra == "batch_norm1d" else {"p": 0.3})]
        layers += [(activation, {})]
    del layers[-2 if extra else -1 :]
    return layers + ([(last, {})] if last else [])


def cases() -> dict[str, tuple[Layers, str, str, dict[str, float]]]:
    """Every loss with every optimizer, every activation, and the layers that have statistics."""
    found: dict[str, tuple[Layers, str, str, dict[str, float]]] = {}
    for loss in rows("losses"):
        last = "sigmoid" if loss["name"] == "bce" else ""
        for optimizer in rows("optimizers"):
            for k, hyper in enumerate(HYPERS[optimizer["name"]]):
                name = f"{loss['name']} {optimizer['name']} {k}"
                found[name] = network("tanh", last), loss["name"], optimizer["name"], hyper
    adam = ("adam", {"lr": 0.003})
    for row in rows("activations"):
        found[row["name"]] = network(row["name"]), "mse", *adam
    found["gelu tanh"] = [
        ("linear", {"in_features": WIDTHS[0], "out_features": WIDTHS[-1]}),
        ("gelu", {"approximate": 1}),
    ], "mse", *adam  # fmt: skip
    found["dropout"] = network("relu", extra="dropout"), "cross_entropy", *adam
    normed = network("sigmoid", extra="batch_norm1d")
    found["batch norm"] = normed, "cross_entropy", *adam
    return found


def target(loss: str, rng: np.random.Generator) -> np.ndarray:
    kind = next(row for row in rows("losses") if row["name"] == loss)
    if kind["target"] == "class":
        return rng.integers(0, WIDTHS[-1], ROWS)
    shape = (ROWS, WIDTHS[-1])
    if kind["task"] == "binary":
        return rng.integers(0, 2, shape).astype(float)
    return rng.standard_normal(shape)


def trained(case: tuple[Layers, str, str, dict[str, float]], dtype: str) -> str:
    """The hash of all that a training leaves behind: values, state, losses and predictions."""
    layers, loss, optimizer, hyper = case
    rng = np.random.Generator(np.random.Philox(11))
    x = rng.standard_normal((ROWS, WIDTHS[0])).astype(dtype)
    net = _core.Network(layers, dtype, 3)
    net.compile(loss, {}, optimizer, hyper, {}, 0.0)
    log = net.fit(x, target(loss, rng), batch_size=BATCH, epochs=EPOCHS, n_threads=1)
    left = [row["array"] for row in net.parameters()]
    left += [row["array"] for state in net.optimizer_state()["state"] for row in state]
    left += [np.array(log["loss"]), net.predict(x), net.predict(x, True)]
    assert all(np.isfinite(array).all() for array in left)
    return digest(left)


def functions(dtype: str) -> dict[str, str]:
    """Hashes of the elementary functions over their whole ranges, and of Adam's corrections."""
    rng = np.random.Generator(np.random.Philox(12))
    bits = rng.integers(0, 2**63, 50_000, dtype=np.uint64) << np.uint64(1)
    any_number = bits.view(np.float64).astype(dtype) if dtype == "float64" else None
    if any_number is None:
        any_number = (bits >> np.uint64(32)).astype(np.uint32).view(np.float32)
    x = np.concatenate([any_number, rng.uniform(-30, 30, 50_000).astype(dtype)])
    # The sign of a NaN is not the number's.
    values = {
        name: np.nan_to_num(_core.testing.elementary(name, x), nan=7.0)
        for name in ("exp", "log", "log1p", "sigmoid", "tanh", "sqrt")
    }
    corrections = [_core.testing.power_complement(b, t) for b in (0.9, 0.999) for t in range(1, 99)]
    return {name: digest([y]) for name, y in values.items()} | {
        "power": digest([np.array(corrections)])
    }


def report() -> dict[str, Any]:
    hashes: dict[str, Any] = {"isa": _core.isa}
    for dtype in DTYPES:
        hashes |= {f"{name} {dtype}": trained(case, dtype) for name, case in cases().items()}
        hashes |= {f"{name}() {dtype}": value for name, value in functions(dtype).items()}
    return hashes


@functools.cache
def of_level(level: str) -> dict[str, str]:
    seen = probe.report(__file__, seconds=300, env={"FASTNN_ISA": level})
    assert seen.pop("isa") == level
    return seen


def test_everything_is_trained() -> None:
    assert STEPS == 200
    names = set(cases())
    assert {row["name"] for row in rows("activations")} <= names
    for loss in rows("losses"):
        for optimizer in rows("optimizers"):
            assert f"{loss['name']} {optimizer['name']} 0" in names


@pytest.mark.skipif(len(LEVELS) < 2, reason="levels v3 and v4 are not both built and runnable")
def test_v3_and_v4_have_the_same_bits() -> None:
    v3, v4 = of_level("v3"), of_level("v4")
    assert v3.keys() == v4.keys()
    assert len(set(v3.values())) > len(v3) / 2
    assert [name for name in v3 if v3[name] != v4[name]] == []


if __name__ == "__main__":
    print(json.dumps(report()))
