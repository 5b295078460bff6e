# SPDX-License-Identifier: BSD-3-Clause
"""What every peer is given: a network, its initial weights, its batches, and what a peer must do.

NumPy only: worker processes of the peers read it, and fastnn must not be loaded in those.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ADAM", "WEIGHT_DECAY", "Case", "Data", "Peer", "UnsupportedError", "data", "weights"]

# beta1, beta2 and eps, given to each peer. Libraries add eps at different places of the formula: it
# is so small here that the losses show little of that. A step's time does not depend on it.
ADAM = (0.9, 0.999, 1e-12)
WEIGHT_DECAY = 1e-2  # of AdamW


class UnsupportedError(Exception):
    """The peer cannot train this network."""


@dataclass(frozen=True)
class Case:
    """A network, how it is trained, and how much of that is one epoch.

    Parameters
    ----------
    widths : tuple of int
        (64, 32, 10) is 64 inputs, 32 hidden units, 10 outputs.
    batch, batches : int
        Rows of a step; steps of an epoch.
    optimizer : "sgd", "adam" or "adamw"
    activation : "relu" or "tanh"
    loss : "cross_entropy", "mse" or "bce_with_logits"
    dropout : float
        After each hidden layer.
    max_steps : int
        Of one turn, so that a fast peer does not learn its batches by heart.
    """

    widths: tuple[int, ...]
    batch: int
    batches: int
    optimizer: str
    lr: float
    activation: str = "relu"
    loss: str = "cross_entropy"
    dropout: float = 0.0
    dtype: str = "float32"
    max_steps: int = 20_000

    @property
    def network(self) -> str:
        """The widths in the usual spelling, equal hidden layers counted: 28-300x5-1."""
        parts: list[list[int]] = []
        for width in self.widths:
            if parts and parts[-1][0] == width:
                parts[-1][1] += 1
            else:
                parts.append([width, 1])
        long = [f"{width}x{times}" if times > 3 else None for width, times in parts]
        short = ["-".join([str(width)] * times) for width, times in parts]
        return "-".join(a or b for a, b in zip(long, short, strict=True))

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the pipe and the record."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Case:
        """Undo `to_json`."""
        return cls(**{**values, "widths": tuple(values["widths"])})


class Data(NamedTuple):
    """All rows: inputs, and class numbers (n,) or numbers (n, k)."""

    x: NDArray[Any]
    y: NDArray[Any]


def data(case: Case) -> Data:
    """Return the same rows in every process."""
    rng = np.random.default_rng(1)
    n, k = case.batch * case.batches, case.widths[-1]
    x = rng.standard_normal((n, case.widths[0])).astype(case.dtype)
    if case.loss == "cross_entropy":
        return Data(x, rng.integers(0, k, n))
    if case.loss == "bce_with_logits":
        return Data(x, rng.integers(0, 2, (n, k)).astype(case.dtype))
    return Data(x, rng.standard_normal((n, k)).astype(case.dtype))


def weights(case: Case) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return the same initial weights (in, out) and biases in every process."""
    rng = np.random.default_rng(2)
    made = []
    for n_in, n_out in pairwise(case.widths):
        bound = n_in**-0.5
        w = rng.uniform(-bound, bound, (n_in, n_out)).astype(case.dtype)
        made.append((w, rng.uniform(-bound, bound, n_out).astype(case.dtype)))
    return made


class Peer(Protocol):
    """One library training one case; a module of `peers` has it as its class `Model`.

    The module also has `versions()`, and `PINNED`: whether the library takes its number of threads
    only from the processors that its process may use.
    """

    def __init__(self, case: Case, threads: int) -> None: ...

    def reset(self) -> None:
        """Go back to the initial weights, with a new optimizer."""

    def run(self, epochs: int) -> None:
        """Train: the batches in their order, `epochs` times; what is timed."""

    def losses(self, epochs: int) -> list[float]:
        """Train likewise; return the mean of each epoch's losses before their updates."""

    def threads_used(self) -> int:
        """Threads of the last run."""
