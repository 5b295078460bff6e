# SPDX-License-Identifier: BSD-3-Clause
"""The row of an optimizer in the twin, penalties of losses, and averages of the parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import Array, Torch, hypers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["AVERAGES", "WITHOUT_FORMS", "WITHOUT_L1", "Optimizer", "in_batch"]

WITHOUT_L1 = Torch(lacks=("l1",))
WITHOUT_FORMS = Torch(lacks=("l1", "form"))


@dataclass(frozen=True)
class Optimizer:
    """A row of OPTIMIZERS: the update rule, and how many state arrays it needs with given values.

    Parameters
    ----------
    beside : {hyperparameter: values of others without which it has no effect, or is refused}
    decoupled : whether weight_decay is never added to the gradient
    torch : its name in torch; None if torch does not have it
    tolerance : factor on the tolerance of all optimizers, in tests
    """

    class_name: str
    update: Callable[..., None]
    states: Callable[[dict[str, Any]], int]
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    decoupled: bool = False
    torch: Torch | None = WITHOUT_L1
    tolerance: float = 1.0

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of the hyperparameters."""
        return hypers_of(self.update)

    def penalty(self, w: Array, hyper: dict[str, Any], weight: float) -> float:
        """Return weight_decay / 2 sum(w^2) + l1 sum(|w|) in a batch of rows of this weight.

        Decoupled decay is no gradient of a penalty.
        """
        hyper = in_batch(self.hypers | hyper, weight)
        decoupled = self.decoupled or hyper.get("decoupled_weight_decay", False)
        squares = 0.0 if decoupled else float(np.sum(np.square(w, dtype=np.float64)))
        sizes = float(np.sum(np.abs(w, dtype=np.float64)))
        return float(hyper["weight_decay"] / 2 * squares + hyper["l1"] * sizes)


def ema(
    n: int, *, decay: float = 0.999, bias_correction: bool = False, warmup: bool = False
) -> float:
    """Return the share of the n-th update, counted from 1, in an exponential moving average."""
    share = (1 - decay) / (1 - decay**n) if bias_correction else 1 - decay
    if warmup:
        share = max(share, 1 - (1 + n) / (10 + n))
    return share if n > 1 else 1.0


def swa(n: int) -> float:
    """Return the share of the n-th update, counted from 1, in the mean of all of them."""
    return 1 / n


@dataclass(frozen=True)
class Average:
    """A row of AVERAGES: the function that returns the share of an update, and which ones count.

    Those are the updates from an epoch and a step on, both counted from 0: every so many, or the
    last ones of every so many epochs.
    """

    class_name: str
    f: Callable[..., float]
    unit: str

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of the parameters."""
        times = {"start_epoch": 0, "start_step": 0, "every": 1, "unit": self.unit}
        return hypers_of(self.f) | times

    def share(self, n: int, **hyper: Any) -> float:
        """Return the share of the n-th update that counts, counted from 1."""
        return self.f(n, **{k: v for k, v in hyper.items() if k in hypers_of(self.f)})

    def counts(self, hyper: dict[str, Any], epoch: int, step: int, last: bool) -> bool:
        """Whether update `step` is added; `last`: it is the last of its epoch."""
        p = self.hypers | hyper
        if epoch < p["start_epoch"] or step < p["start_step"]:
            return False
        if p["unit"] == "steps":
            return bool((step - p["start_step"]) % p["every"] == 0)
        return last and bool((epoch - p["start_epoch"]) % p["every"] == 0)


AVERAGES = {"ema": Average("EMA", ema, "steps"), "swa": Average("SWA", swa, "epochs")}


def in_batch(hyper: dict[str, Any], weight: float) -> dict[str, Any]:
    """Return `hyper` for a batch whose rows have this sum of weights.

    scikit-learn's form divides weight_decay by it.
    """
    if hyper.get("form") != "sklearn":
        return hyper
    decay = hyper.get("weight_decay", 0.0)
    return hyper | {"weight_decay": decay / weight if weight > 0 else 0.0}
