# SPDX-License-Identifier: BSD-3-Clause
"""Engine and twin side by side: networks in pairs, and comparison of all that they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, reference
from layouts import close

if TYPE_CHECKING:
    from collections.abc import Iterator

    from members import Hyper, Layers


class Pair:
    """The same network in the engine and in the twin, from the same seed.

    Values are compared by the table of tolerances, times the factors that the twin's rows have for
    its layers, its loss and its optimizer.
    """

    def __init__(self, layers: Layers, dtype: str = "float64", seed: int = 7) -> None:
        self.dtype = dtype
        self.engine = _core.Network(layers, dtype, seed)
        self.twin = reference.Network(layers, dtype, seed)
        self.factor = max(tolerances(layers))

    def compile(
        self, loss: str = "mse", optimizer: str = "sgd", hyper: Hyper | None = None, **options: Any
    ) -> Pair:
        loss_hyper = options.pop("loss_hyper", {})
        for network in (self.engine, self.twin):
            network.compile(loss, loss_hyper, optimizer, hyper or {"lr": 0.05}, **options)
        self.factor *= reference.LOSSES[loss].tolerance * reference.OPTIMIZERS[optimizer].tolerance
        return self

    def freeze(self, layer: str) -> None:
        for network in (self.engine, self.twin):
            network.set_frozen(layer, True)

    def shift_parameters(self, rng: np.random.Generator) -> None:
        """Move biases and statistics off their initial zeros and ones."""
        for ours, theirs in zip(self.engine.parameters(), self.twin.parameters(), strict=True):
            if theirs["array"].ndim == 1:
                theirs["array"] += rng.uniform(0.1, 0.5, theirs["array"].shape).astype(self.dtype)
                ours["array"][...] = theirs["array"]

    def close(self, ours: Any, theirs: Any, kind: str) -> None:
        close(ours, theirs, self.dtype, kind, self.factor)

    def same_values(self, kind: str = "training") -> None:
        """Assert equal parameters, running statistics, optimizer state and counters."""
        self._same_entries(self.engine.parameters(), self.twin.parameters(), kind)
        ours, theirs = self.engine.optimizer_state(), self.twin.optimizer_state()
        assert ours["step"] == theirs["step"] == self.engine.step
        assert self.engine.num_batches() == self.twin.num_batches()
        assert self.engine.draw == self.twin.draw
        for mine, other in zip(ours["state"], theirs["state"], strict=True):
            with_state = {entry["key"] for entry in other}
            kept = [entry for entry in mine if entry["key"] in with_state]
            self._same_entries(kept, other, kind)

    def same_gradients(self, kind: str = "layer") -> None:
        """Assert equal gradients, relative to the largest: a bias's sum over rows may cancel."""
        ours, theirs = self.engine.gradients(), self.twin.gradients()
        flat = [np.concatenate([e["array"].ravel() for e in g]) for g in (ours, theirs)]
        self.close(*flat, kind)
        assert [entry["key"] for entry in ours] == [entry["key"] for entry in theirs]

    def _same_entries(self, ours: list[Any], theirs: list[Any], kind: str) -> None:
        for mine, other in zip(ours, theirs, strict=True):
            for fact in ("key", "layer", "name", "trainable"):
                assert mine[fact] == other[fact]
            assert mine["array"].dtype == self.dtype
            self.close(mine["array"], other["array"], kind)


def tolerances(layers: Layers) -> Iterator[float]:
    """Yield the factors of all layers, and of the layers in them."""
    rows = reference.INPUTS | reference.LAYERS | reference.CONTAINERS | reference.ACTIVATIONS
    for name, hyper in layers:
        yield rows[name].tolerance
        yield from tolerances(hyper.get("layers", []))
        if "shortcut" in hyper:
            yield from tolerances([hyper["shortcut"]])


def snapshot(network: Any) -> list[np.ndarray]:
    """Return copies of all that training moves: values, statistics and optimizer states."""
    lists = [network.parameters(), *network.optimizer_state()["state"]]
    return [entry["array"].copy() for entries in lists for entry in entries]


def bits(network: Any) -> list[Any]:
    """Return all that training moves as bytes, and the counters: equal lists are equal states."""
    counters = [network.step, network.num_batches(), network.draw]
    return [*(array.tobytes() for array in snapshot(network)), *counters]


def same_bits(a: Any, b: Any) -> None:
    """Assert that two networks are in the same state, to the bit."""
    assert (a.step, a.num_batches(), a.draw) == (b.step, b.num_batches(), b.draw)
    for left, right in zip(snapshot(a), snapshot(b), strict=True):
        np.testing.assert_array_equal(left, right)
