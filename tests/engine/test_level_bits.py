# SPDX-License-Identifier: BSD-3-Clause
"""Levels with fused multiply-adds give the same bits after 200 steps of every member."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import numpy as np
import pytest

import probe
from fastnn import _core
from layouts import DTYPES
from members import Layers, cases, ending, hyper_cases, linear, names, network_with, targets

LEVELS = [level for level in ("v3", "v4") if level in _core.built and level in _core.runnable]
N_IN, WIDTH, N_OUT = 13, 19, 5
ROWS, BATCH, EPOCHS = 75, 15, 40
STEPS = ROWS // BATCH * EPOCHS

Case = tuple[Layers, str, str, dict[str, Any]]


def digest(arrays: list[np.ndarray]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def trainings() -> dict[str, Case]:
    """Return each loss with each optimizer, and all cases of optimizers, layers and activations."""
    found: dict[str, Case] = {}
    plain = [linear(N_IN, WIDTH), ("tanh", {}), linear(WIDTH, 21), ("tanh", {}), linear(21, N_OUT)]
    for optimizer in names("optimizers"):
        gentle = [hyper | {"lr": 0.003} for hyper in hyper_cases("optimizers", optimizer)]
        for loss in names("losses"):
            for k, hyper in enumerate(gentle if loss == "mse" else gentle[::-1][:1]):
                layers = plain + ending(loss, N_OUT)
                found[f"{loss} {optimizer} {k}"] = layers, loss, optimizer, hyper
    for room in ("activations", "inputs", "layers"):
        for k, case in enumerate(cases(room)):
            layers = network_with(*case.values, N_IN, WIDTH, N_OUT)
            found[f"{case.values[0]} {k}"] = layers, "mse", "adam", {"lr": 0.003}
    return found


def trained(case: Case, dtype: str) -> str:
    """Return a hash of all that a training leaves behind: values, state, losses and predictions."""
    layers, loss, optimizer, hyper = case
    rng = np.random.Generator(np.random.Philox(11))
    x = rng.standard_normal((ROWS, N_IN)).astype(dtype)
    y = targets(rng, loss, ROWS, N_OUT)
    net = _core.Network(layers, dtype, 3)
    net.compile(loss, {}, optimizer, hyper)
    log = net.fit(x, y, batch_size=BATCH, epochs=EPOCHS, n_threads=1)
    left = [row["array"] for row in net.parameters()]
    left += [row["array"] for state in net.optimizer_state()["state"] for row in state]
    left += [np.array(log["loss"]), net.predict(x), net.predict(x, True)]
    assert all(np.isfinite(array).all() for array in left)
    return digest(left)


def functions(dtype: str) -> dict[str, str]:
    """Return hashes of elementary functions over their whole ranges, and of Adam's corrections."""
    rng = np.random.Generator(np.random.Philox(12))
    bits = rng.integers(0, 2**63, 50_000, dtype=np.uint64) << np.uint64(1)
    any_number = bits.view(np.float64).astype(dtype) if dtype == "float64" else None
    if any_number is None:
        any_number = (bits >> np.uint64(32)).astype(np.uint32).view(np.float32)
    x = np.concatenate([any_number, rng.uniform(-30, 30, 50_000).astype(dtype)])
    # NaNs may differ in their sign.
    values = {
        name: np.nan_to_num(_core.testing.elementary(name, x), nan=7.0)
        for name in ("exp", "log", "log1p", "sigmoid", "tanh", "sqrt")
    }
    values["expm1"] = np.nan_to_num(_core.testing.elementary("expm1", -np.abs(x)), nan=7.0)
    corrections = [_core.testing.power_complement(b, t) for b in (0.9, 0.999) for t in range(1, 99)]
    return {name: digest([y]) for name, y in values.items()} | {
        "power": digest([np.array(corrections)])
    }


def report() -> dict[str, Any]:
    hashes: dict[str, Any] = {"isa": _core.isa}
    for dtype in DTYPES:
        hashes |= {f"{name} {dtype}": trained(case, dtype) for name, case in trainings().items()}
        hashes |= {f"{name}() {dtype}": value for name, value in functions(dtype).items()}
    return hashes


@functools.cache
def of_level(level: str) -> dict[str, str]:
    seen = probe.report(__file__, seconds=300, env={"FASTNN_ISA": level})
    assert seen.pop("isa") == level
    return seen


def test_everything_is_trained() -> None:
    assert STEPS == 200
    assert len(trainings()) > len(names("losses")) * len(names("optimizers"))


@pytest.mark.skipif(len(LEVELS) < 2, reason="levels v3 and v4 are not both built and runnable")
def test_v3_and_v4_have_the_same_bits() -> None:
    v3, v4 = of_level("v3"), of_level("v4")
    assert v3.keys() == v4.keys()
    assert len(set(v3.values())) > len(v3) / 2
    assert [name for name in v3 if v3[name] != v4[name]] == []


if __name__ == "__main__":
    print(json.dumps(report()))
