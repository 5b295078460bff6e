# SPDX-License-Identifier: BSD-3-Clause
"""Engine and twin side by side: cases made from the registries, networks in pairs, comparison.

Whatever is added to a registry becomes a case here, with its default values and with others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core, reference
from guises import close

Layers = list[tuple[str, dict[str, Any]]]
Hyper = dict[str, Any]

REGISTRIES = _core.registries()
SIZES = {"in_features", "out_features", "num_features"}  # hyperparameters that a shape decides
# What registries do not list: values that are arrays.
ARRAYS: dict[str, list[Hyper]] = {
    "rescale": [{"scale": 0.25, "shift": -0.5}, {"scale": "columns", "shift": "columns"}]
}
PREPARATION = ("rescale", "flatten")  # layers that stand before all others


def other_value(hyper: dict[str, Any]) -> Any:
    """A permitted value that is not the default and makes a difference."""
    if hyper["kind"] == "choice":
        return next(c for i, c in enumerate(hyper["choices"]) if i != int(hyper["value"]))
    if hyper["kind"] == "flag":
        return not hyper["value"]
    default = hyper["value"]
    if np.isfinite(hyper["highest"]):
        return 0.7 * default if default else 0.3 * hyper["highest"]
    return 30 * default if default else 0.3


def hyper_cases(row: dict[str, Any]) -> list[Hyper]:
    """The defaults, each hyperparameter with another value, and all of them with others."""
    others = {h["name"]: other_value(h) for h in row["hypers"] if h["name"] not in SIZES}
    cases = [{}, *({name: value} for name, value in others.items())]
    if len(others) > 1:
        cases.append(others)
    return cases + ARRAYS.get(row["name"], [])


def cases(room: str) -> list[Any]:
    """(name, hyper) of every row of a room, for pytest.mark.parametrize."""
    return [
        pytest.param(row["name"], hyper, id="-".join([row["name"], *map(str, hyper.values())]))
        for row in REGISTRIES[room]
        for hyper in hyper_cases(row)
    ]


def names(room: str) -> list[str]:
    return [row["name"] for row in REGISTRIES[room]]


# -- data ------------------------------------------------------------------------------------------


def wants_probabilities(loss: str) -> bool:
    row = reference.LOSSES[loss]
    return row.task == "binary" and float(row.link(np.full((1, 1), 0.25))[0, 0]) == 0.25


def targets(rng: np.random.Generator, loss: str, n: int, k: int, dtype: str = "float64") -> Any:
    row = reference.LOSSES[loss]
    if row.target == "class":
        return rng.integers(0, k, n)
    dense = rng.standard_normal((n, k)) if row.task == "regression" else rng.random((n, k))
    return dense.astype(dtype)


def outputs(rng: np.random.Generator, loss: str, n: int, k: int, dtype: str = "float64") -> Any:
    if wants_probabilities(loss):
        return rng.uniform(0.02, 0.98, (n, k)).astype(dtype)
    return (2 * rng.standard_normal((n, k))).astype(dtype)


# -- networks --------------------------------------------------------------------------------------


def linear(n_in: int, n_out: int, bias: bool = True) -> tuple[str, Hyper]:
    return ("linear", {"in_features": n_in, "out_features": n_out, "bias": bias})


def network_with(name: str, hyper: Hyper, n_in: int, width: int, n_out: int) -> Layers:
    """A network around one layer or activation, which has `width` columns below it."""
    hyper = dict(hyper)
    row = next((r for r in REGISTRIES["layers"] if r["name"] == name), {"hypers": []})
    sizes = [h["name"] for h in row["hypers"] if h["name"] in SIZES]
    if name in PREPARATION:
        spread = np.linspace(-1.5, 2.0, n_in)
        hyper = {key: spread if v == "columns" else v for key, v in hyper.items()}
        return [(name, hyper), linear(n_in, width), ("tanh", {}), linear(width, n_out)]
    hyper |= dict.fromkeys(sizes, width)
    # A bias right below BatchNorm changes nothing: its gradient is rounding noise.
    below = linear(n_in, width, bias="num_features" not in sizes)
    return [below, (name, hyper), linear(width, n_out)]


class Pair:
    """The same network twice, from the same seed."""

    def __init__(self, layers: Layers, dtype: str = "float64", seed: int = 7) -> None:
        self.dtype = dtype
        self.engine = _core.Network(layers, dtype, seed)
        self.twin = reference.Network(layers, dtype, seed)

    def compile(
        self, loss: str = "mse", optimizer: str = "sgd", hyper: Hyper | None = None, **options: Any
    ) -> Pair:
        loss_hyper = options.pop("loss_hyper", {})
        for network in (self.engine, self.twin):
            network.compile(loss, loss_hyper, optimizer, hyper or {"lr": 0.05}, **options)
        return self

    def freeze(self, layer: int) -> None:
        for network in (self.engine, self.twin):
            network.set_frozen(layer, True)

    def shift_parameters(self, rng: np.random.Generator) -> None:
        """Move biases and statistics off their initial zeros and ones."""
        for ours, theirs in zip(self.engine.parameters(), self.twin.parameters(), strict=True):
            if theirs["array"].ndim == 1:
                theirs["array"] += rng.uniform(0.1, 0.5, theirs["array"].shape).astype(self.dtype)
                ours["array"][...] = theirs["array"]

    def same_values(self, kind: str = "training") -> None:
        """Assert equal parameters, running statistics, optimizer state and counters."""
        same_entries(self.engine.parameters(), self.twin.parameters(), self.dtype, kind)
        ours, theirs = self.engine.optimizer_state(), self.twin.optimizer_state()
        assert ours["step"] == theirs["step"] == self.engine.step
        assert self.engine.num_batches == self.twin.num_batches
        assert self.engine.draw == self.twin.draw
        for mine, other in zip(ours["state"], theirs["state"], strict=True):
            with_state = {(entry["layer"], entry["name"]) for entry in other}
            kept = [e for e in mine if (e["layer"], e["name"]) in with_state]
            same_entries(kept, other, self.dtype, kind)

    def same_gradients(self, kind: str = "layer") -> None:
        """Assert equal gradients, relative to the largest: a bias's sum over rows may cancel."""
        ours, theirs = self.engine.gradients(), self.twin.gradients()
        flat = [np.concatenate([e["array"].ravel() for e in g]) for g in (ours, theirs)]
        close(*flat, self.dtype, kind)
        assert [(e["layer"], e["name"]) for e in ours] == [(e["layer"], e["name"]) for e in theirs]


def same_entries(ours: list[Any], theirs: list[Any], dtype: str, kind: str) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        for fact in ("layer", "name", "trainable"):
            assert mine[fact] == other[fact]
        assert mine["array"].dtype == dtype
        close(mine["array"], other["array"], dtype, kind)


def snapshot(network: Any) -> list[np.ndarray]:
    """Copies of all that training moves."""
    lists = [network.parameters(), *network.optimizer_state()["state"]]
    return [entry["array"].copy() for entries in lists for entry in entries]


def same_bits(a: Any, b: Any) -> None:
    """Assert that two networks are in the same state, to the bit."""
    assert (a.step, a.num_batches, a.draw) == (b.step, b.num_batches, b.draw)
    for left, right in zip(snapshot(a), snapshot(b), strict=True):
        np.testing.assert_array_equal(left, right)
