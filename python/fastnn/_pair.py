# SPDX-License-Identifier: BSD-3-Clause
"""The same network in the engine and in the NumPy twin, with equal weights; for demo and bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pair", "Run", "curve_difference"]

OnEpoch = Callable[[int, dict[str, float]], bool]


@dataclass(frozen=True)
class Run:
    """The result of one training: losses of the epochs, seconds, number of steps and threads."""

    losses: list[float]
    seconds: float
    steps: int
    threads: int


class Pair:
    """A classifier with relu, made twice with the same weights; both train with the same steps.

    Parameters
    ----------
    widths : sequence of int
        (64, 32, 10) is 64 inputs, 32 hidden units, 10 classes.
    optimizer : str
        "sgd", "adam" or "adamw".
    hyper : mapping
        Hyperparameters of the optimizer, such as {"lr": 0.01}.
    dtype : "float32" or "float64"
    scale : float
        Factor by which inputs are multiplied when they are read.
    batch_norm : bool
        Whether there is a BatchNorm1d before each relu.
    seed : int
        Seed of the weights and of the shuffling.
    """

    def __init__(
        self,
        widths: Sequence[int],
        optimizer: str,
        hyper: Mapping[str, float],
        *,
        dtype: str = "float32",
        scale: float = 1.0,
        batch_norm: bool = False,
        seed: int = 0,
    ) -> None:
        layers = _layers(widths, scale, batch_norm)
        self.seed = seed
        self.engine = _core.Network(layers, dtype, seed)
        self.twin = reference.Network(layers, dtype, seed)
        for ours, theirs in zip(self.engine.parameters(), self.twin.parameters(), strict=True):
            if not np.array_equal(ours["array"], theirs["array"]):
                raise AssertionError("engine and twin do not start from the same weights")
        for network in (self.engine, self.twin):
            network.compile("cross_entropy", {}, optimizer, dict(hyper))

    def fit_engine(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        *,
        batch_size: int,
        epochs: int,
        n_threads: int = 0,
        on_epoch: OnEpoch | None = None,
    ) -> Run:
        """Train the network of the engine."""
        start = perf_counter()
        history = self.engine.fit(
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            seed=self.seed,
            n_threads=n_threads,
            on_epoch=on_epoch,
        )
        seconds = perf_counter() - start
        return Run(history["loss"], seconds, history["steps"], history["threads_used"])

    def fit_twin(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        *,
        batch_size: int,
        epochs: int,
        on_epoch: OnEpoch | None = None,
    ) -> Run:
        """Train the NumPy twin."""
        before, start = self.twin.step, perf_counter()
        history = self.twin.fit(
            x, y, batch_size=batch_size, epochs=epochs, seed=self.seed, on_epoch=on_epoch
        )
        seconds = perf_counter() - start
        return Run(history["loss"], seconds, self.twin.step - before, 0)


def _layers(
    widths: Sequence[int], scale: float, batch_norm: bool
) -> list[tuple[str, dict[str, Any]]]:
    layers: list[tuple[str, dict[str, Any]]] = []
    if scale != 1.0:
        layers.append(("rescale", {"scale": scale, "shift": 0.0}))
    for n_in, n_out in pairwise(widths[:-1]):
        layers.append(("linear", {"in_features": n_in, "out_features": n_out, "bias": True}))
        if batch_norm:
            layers.append(("batch_norm1d", {"num_features": n_out}))
        layers.append(("relu", {}))
    n_in, n_out = widths[-2:]
    layers.append(("linear", {"in_features": n_in, "out_features": n_out, "bias": True}))
    return layers


def curve_difference(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the largest difference of two loss curves; inf if one is not finite or longer."""
    if len(a) != len(b):
        return float("inf")
    difference = float(np.max(np.abs(np.subtract(a, b))))
    return difference if np.isfinite(difference) else float("inf")
