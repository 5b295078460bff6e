# SPDX-License-Identifier: BSD-3-Clause
"""What every peer gets: a network, its initial weights and its batches; and the protocol of a peer.

This module uses NumPy alone, because the worker processes of the peers import it and must not load
fastnn.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ADAM", "WEIGHT_DECAY", "Case", "Data", "Peer", "UnsupportedError", "data", "weights"]

# beta1, beta2 and eps, given to each peer. Libraries add eps at different places of the formula. It
# is so small here that this has little effect on the losses; it has none on the time of a step.
ADAM = (0.9, 0.999, 1e-12)
WEIGHT_DECAY = 1e-2  # of AdamW


class UnsupportedError(Exception):
    """The peer cannot train this network."""


@dataclass(frozen=True)
class Case:
    """A network, how it is trained, and the number of steps in an epoch.

    Parameters
    ----------
    widths : tuple of int
        (64, 32, 10) is 64 inputs, 32 hidden units, 10 outputs.
    batch, batches : int
        Rows of a batch; batches of an epoch.
    optimizer : "sgd", "adam" or "adamw"
    activation : "relu" or "tanh"
    loss : "cross_entropy", "mse" or "bce_with_logits"
    dropout : float
        Probability of the dropout layer after each hidden layer; 0 for none.
    max_steps : int
        Most steps of one turn, so that fast peers do not overfit their batches.
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
        """The widths as text, with equal hidden layers counted: 28-300x5-1."""
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
        """Return plain values for JSON, to be sent over the pipe and stored in the record."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Case:
        """Make a case from the values that `to_json` returned."""
        return cls(**{**values, "widths": tuple(values["widths"])})


class Data(NamedTuple):
    """All rows: inputs, and targets that are class numbers (n,) or real numbers (n, k)."""

    x: NDArray[Any]
    y: NDArray[Any]


def data(case: Case) -> Data:
    """Return the rows, the same in every process."""
    rng = np.random.default_rng(1)
    n, k = case.batch * case.batches, case.widths[-1]
    x = rng.standard_normal((n, case.widths[0])).astype(case.dtype)
    if case.loss == "cross_entropy":
        return Data(x, rng.integers(0, k, n))
    if case.loss == "bce_with_logits":
        return Data(x, rng.integers(0, 2, (n, k)).astype(case.dtype))
    return Data(x, rng.standard_normal((n, k)).astype(case.dtype))


def weights(case: Case) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return the initial weights (in, out) and biases, the same in every process."""
    rng = np.random.default_rng(2)
    made = []
    for n_in, n_out in pairwise(case.widths):
        bound = n_in**-0.5
        w = rng.uniform(-bound, bound, (n_in, n_out)).astype(case.dtype)
        made.append((w, rng.uniform(-bound, bound, n_out).astype(case.dtype)))
    return made


class Peer(Protocol):
    """One library that trains one case: the class `Model` of each module of `peers`.

    The module also has `versions()` and `PINNED`, which is true if the library takes its number of
    threads only from the processors that its process may use.
    """

    def __init__(self, case: Case, threads: int) -> None: ...

    def reset(self) -> None:
        """Set the initial weights and make a new optimizer."""

    def run(self, epochs: int) -> None:
        """Train on the batches in their order, `epochs` times; this call is timed."""

    def losses(self, epochs: int) -> list[float]:
        """Train like `run`; return for each epoch the mean of the losses before each update."""

    def threads_used(self) -> int:
        """Return the number of threads of the last run."""
