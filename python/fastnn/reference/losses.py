# SPDX-License-Identifier: BSD-3-Clause
"""Losses: value and gradient from the raw outputs of a network.

A loss also defines the link function, which turns raw outputs into predictions, and which outputs
are right. A new loss consists of its functions and a row of LOSSES. Averages are computed in one
place, Loss.value and Loss.gradient: sum(w l) / sum(w), where w are the weights of the rows (1 by
default). Only the ratios of the weights matter: before they are rounded to the network's dtype,
they are divided by a power of two, that of the largest weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import SAME, Array, Torch, hypers_of
from fastnn.reference.functional import log_softmax, logistic, one_hot, softmax

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOSSES", "Loss", "Sums", "loss", "weights_of"]


def _no_link(out: Array) -> Array:
    return out


def _nothing_right(out: Array, _target: Array) -> Array:
    return np.zeros(len(out))


@dataclass(frozen=True)
class Loss:
    """A row of LOSSES.

    Parameters
    ----------
    f, df : (out, target) -> losses of all elements; their derivatives with respect to `out`
    target : "dense", as many numbers per row as outputs; or "class", one index per row
    task : "regression", "binary" or "multiclass"
    mean_over_outputs : whether reduction="mean" also divides by the number of outputs
    link : raw outputs -> predictions
    right : (out, target) -> fraction of right outputs of each row
    target_range, output_range : smallest and largest allowed number, both included
    torch : its name in torch; None if torch does not have it
    tolerance : factor on the tolerance of all losses, in tests
    """

    class_name: str
    f: Callable[..., Array]
    df: Callable[..., Array]
    target: str = "dense"
    task: str = "regression"
    mean_over_outputs: bool = True
    link: Callable[[Array], Array] = _no_link
    right: Callable[[Array, Array], Array] = _nothing_right
    target_range: tuple[float, float] = (-np.inf, np.inf)
    output_range: tuple[float, float] = (-np.inf, np.inf)
    torch: Torch | None = SAME
    tolerance: float = 1.0

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of the hyperparameters."""
        return {"reduction": "mean"} | hypers_of(self.f)

    def targets(self, y: Any, out: Array) -> Array:
        """Return `y` in the form that f and df take: class indices (n,), or the shape of `out`."""
        if self.target == "class":
            return np.asarray(y, dtype=np.int64).reshape(len(out))
        dense: Array = np.asarray(y, dtype=out.dtype)
        if dense.ndim == 1:
            dense = dense[:, None]
        if dense.shape != out.shape:
            raise ValueError(f"targets have shape {dense.shape}, outputs {out.shape}")
        _check_range("targets", dense, self.target_range)
        _check_range("outputs", out, self.output_range)
        return dense

    def value(
        self, out: Array, y: Any, weight: Any = None, reduction: str = "mean", **hyper: Any
    ) -> float:
        """Return the loss of a batch."""
        return self.average(self.sums(out, y, weight, **hyper), out.shape[1], reduction)

    def sums(self, out: Array, y: Any, weight: Any = None, **hyper: Any) -> Sums:
        """Return the sums over rows from which averages are computed, in double."""
        losses = self.f(out, self.targets(y, out), **hyper).reshape(len(out), -1)
        right = self.right(out, self.targets(y, out))
        w, exponent = weights_of(weight, out)
        w = w.astype(np.float64)
        return Sums(
            float(np.sum(w)),
            float(np.sum(w * losses.sum(axis=1, dtype=np.float64))),
            float(np.sum(w * right)),
            exponent,
        )

    def average(self, sums: Sums, outputs: int, reduction: str = "mean") -> float:
        """Return the loss of all rows in `sums`, each of which has this number of outputs."""
        if reduction == "sum":
            return sums.loss * 2.0**sums.exponent
        return sums.loss / self._divisor(sums.weight, outputs)

    def gradient(
        self, out: Array, y: Any, weight: Any = None, reduction: str = "mean", **hyper: Any
    ) -> Array:
        """Return dvalue/dout, in the dtype of `out`."""
        w, exponent = weights_of(weight, out)
        total = float(np.sum(w, dtype=np.float64))
        scale = 2.0**exponent if reduction == "sum" else 1 / self._divisor(total, out.shape[1])
        factors = w * out.dtype.type(scale)
        result: Array = factors[:, None] * self.df(out, self.targets(y, out), **hyper)
        return result

    def _divisor(self, weight: float, outputs: int) -> float:
        if weight == 0:
            return 1.0  # all rows have weight zero, and the loss is zero
        return weight * outputs if self.mean_over_outputs else weight


@dataclass(frozen=True)
class Sums:
    """Sums over rows of w, w l, and w times the fraction of right outputs, in units of 2^exponent.

    Sums of several batches can be added, even in different units.
    """

    weight: float = 0.0
    loss: float = 0.0
    right: float = 0.0
    exponent: int = -1022

    def __add__(self, other: Sums) -> Sums:
        exponent = max(self.exponent, other.exponent)
        a, b = 2.0 ** (self.exponent - exponent), 2.0 ** (other.exponent - exponent)
        return Sums(
            self.weight * a + other.weight * b,
            self.loss * a + other.loss * b,
            self.right * a + other.right * b,
            exponent,
        )

    @property
    def accuracy(self) -> float:
        """Weighted fraction of right outputs."""
        return self.right / self.weight if self.weight else 0.0


def weights_of(weight: Any, out: Array) -> tuple[Array, int]:
    """Return the weights of the rows in units of 2^exponent, in the dtype of `out`; and exponent.

    In these units the largest weight is between 1 and 2.
    """
    if weight is None:
        return np.ones(len(out), out.dtype), 0
    given = np.asarray(weight, np.float64).reshape(len(out))
    exponent = int(np.clip(np.frexp(given.max(initial=0.0))[1] - 1, -1022, 1022))
    return np.ldexp(given, -exponent).astype(out.dtype), exponent


def _check_range(what: str, numbers: Array, allowed: tuple[float, float]) -> None:
    wrong = (numbers < allowed[0]) | (numbers > allowed[1])
    if wrong.any():
        raise ValueError(
            f"{what} have {numbers[wrong][0]:g}; expected {allowed[0]:g} to {allowed[1]:g}"
        )


def mse(out: Array, target: Array) -> Array:
    """Return the squared error (torch's MSELoss)."""
    squares: Array = (out - target) ** 2
    return squares


def mse_df(out: Array, target: Array) -> Array:
    """Return 2 (out - target)."""
    return 2 * (out - target)


def half_mse(out: Array, target: Array) -> Array:
    """Return half the squared error, whose derivative is the error; many courses use this form."""
    halves: Array = 0.5 * (out - target) ** 2
    return halves


def half_mse_df(out: Array, target: Array) -> Array:
    """Return out - target."""
    return out - target


def l1(out: Array, target: Array) -> Array:
    """Return the absolute error."""
    result: Array = np.abs(out - target)
    return result


def l1_df(out: Array, target: Array) -> Array:
    """Return the sign of the error: +1, -1 or 0."""
    result: Array = np.sign(out - target)
    return result


def cross_entropy(out: Array, target: Array) -> Array:
    """Return -log of the probability of the right class in softmax(out)."""
    return -log_softmax(out)[np.arange(len(out)), target]


def cross_entropy_df(out: Array, target: Array) -> Array:
    """Return the probabilities minus the one-hot target."""
    return softmax(out) - one_hot(target, out.shape[1], out.dtype)


def right_class(out: Array, target: Array) -> Array:
    """Return 1 for rows whose largest output is that of the right class, and 0 for others."""
    right: Array = (out.argmax(axis=1) == target).astype(np.float64)
    return right


def bce_with_logits(out: Array, target: Array) -> Array:
    """Return -t log(p) - (1 - t) log(1 - p) with p = logistic(out), without overflow in exp."""
    result: Array = np.maximum(out, 0) - out * target + np.log1p(np.exp(-np.abs(out)))
    return result


def bce_with_logits_df(out: Array, target: Array) -> Array:
    """Return the probabilities minus the targets."""
    return logistic(out) - target


def right_logits(out: Array, target: Array) -> Array:
    """Return the fraction of outputs on the right side of 0, where the probability is 0.5."""
    share: Array = np.mean((out > 0) == (target > 0.5), axis=1)
    return share


def bce(out: Array, target: Array) -> Array:
    """Return -t log(p) - (1 - t) log(1 - p) for probabilities p = out.

    As in torch, logarithms are at least -100, so that p = 0 and p = 1 have a finite loss.
    """
    with np.errstate(divide="ignore"):  # log(0) = -inf is replaced by -100
        log_p, log_1p = np.log(out), np.log1p(-out)
    result: Array = -target * np.maximum(log_p, -100) - (1 - target) * np.maximum(log_1p, -100)
    return result


def bce_df(out: Array, target: Array) -> Array:
    """Return (p - t) / (p (1 - p)), with the lower limit of the denominator as in torch."""
    result: Array = (out - target) / np.maximum(out * (1 - out), 1e-12)
    return result


def right_probabilities(out: Array, target: Array) -> Array:
    """Return the fraction of outputs on the right side of 0.5."""
    share: Array = np.mean((out > 0.5) == (target > 0.5), axis=1)
    return share


def huber(out: Array, target: Array, *, delta: float = 1.0) -> Array:
    """Half the squared error up to delta, and linear beyond."""
    e = np.abs(out - target)
    result: Array = np.where(e <= delta, 0.5 * e * e, delta * (e - 0.5 * delta))
    return result


def huber_df(out: Array, target: Array, *, delta: float = 1.0) -> Array:
    """Return the error, clipped to +-delta."""
    result: Array = np.clip(out - target, -delta, delta)
    return result


LOSSES = {
    "mse": Loss("MSELoss", f=mse, df=mse_df),
    "half_mse": Loss("HalfMSELoss", f=half_mse, df=half_mse_df, torch=Torch("MSELoss", factor=0.5)),
    "l1": Loss("L1Loss", f=l1, df=l1_df),
    "huber": Loss("HuberLoss", f=huber, df=huber_df),
    "cross_entropy": Loss(
        "CrossEntropyLoss",
        f=cross_entropy,
        df=cross_entropy_df,
        target="class",
        task="multiclass",
        mean_over_outputs=False,
        link=softmax,
        right=right_class,
    ),
    "bce_with_logits": Loss(
        "BCEWithLogitsLoss",
        f=bce_with_logits,
        df=bce_with_logits_df,
        task="binary",
        link=logistic,
        right=right_logits,
        target_range=(0, 1),
    ),
    "bce": Loss(
        "BCELoss",
        f=bce,
        df=bce_df,
        task="binary",
        right=right_probabilities,
        target_range=(0, 1),
        output_range=(0, 1),
        torch=Torch(at_extremes=1e-8),  # its limit of the denominator is float32's 1e-12
    ),
}


def loss(
    name: str, hyper: dict[str, Any], out: Array, target: Any, sample_weight: Any = None
) -> tuple[float, Array]:
    """Return (value, dvalue/dout) of the loss called `name` for out (n, k)."""
    row = LOSSES[name]
    return (
        row.value(out, target, sample_weight, **hyper),
        row.gradient(out, target, sample_weight, **hyper),
    )
