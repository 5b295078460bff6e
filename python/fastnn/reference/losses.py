# SPDX-License-Identifier: BSD-3-Clause
"""Losses: value and gradient from a network's raw outputs.

A loss owns the link, which makes predictions of raw outputs, and says which of them are right.
A new loss is its functions and one row of LOSSES. Averages are made in one place, Loss.value and
Loss.gradient: sum(w l) / sum(w), with the weights w of the rows (1 if not given).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import Array, hypers_of
from fastnn.reference.functional import log_softmax, logistic, one_hot, softmax

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOSSES", "Loss", "loss"]


def _no_link(out: Array) -> Array:
    return out


def _nothing_right(out: Array, _target: Array) -> Array:
    return np.zeros(len(out))


@dataclass(frozen=True)
class Loss:
    """One row.

    Parameters
    ----------
    f, df : (out, target) -> losses of all elements; their derivatives by `out`
    target : "dense", as many numbers a row as outputs; or "class", one index a row
    task : "regression", "binary" or "multiclass"
    mean_over_outputs : whether reduction="mean" also divides by the number of outputs
    link : raw outputs -> predictions
    right : (out, target) -> share of right outputs of each row
    """

    class_name: str
    f: Callable[..., Array]
    df: Callable[..., Array]
    target: str = "dense"
    task: str = "regression"
    mean_over_outputs: bool = True
    link: Callable[[Array], Array] = _no_link
    right: Callable[[Array, Array], Array] = _nothing_right

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of the hyperparameters."""
        return {"reduction": "mean"} | hypers_of(self.f)

    def targets(self, y: Any, out: Array) -> Array:
        """Return `y` as f and df want it: class indices (n,), or numbers in the shape of `out`."""
        if self.target == "class":
            return np.asarray(y, dtype=np.int64).reshape(len(out))
        dense: Array = np.asarray(y, dtype=out.dtype)
        if dense.ndim == 1:
            dense = dense[:, None]
        if dense.shape != out.shape:
            raise ValueError(f"targets have shape {dense.shape}, outputs {out.shape}")
        return dense

    def value(
        self, out: Array, y: Any, weight: Any = None, reduction: str = "mean", **hyper: Any
    ) -> float:
        """Return the loss of a batch; its sums are made in double."""
        losses = self.f(out, self.targets(y, out), **hyper).reshape(len(out), -1)
        weights = _weights(weight, out)
        total = float(np.sum(weights * losses.sum(axis=1, dtype=np.float64)))
        return total * self._scale(weights, out, reduction)

    def gradient(
        self, out: Array, y: Any, weight: Any = None, reduction: str = "mean", **hyper: Any
    ) -> Array:
        """Return dvalue/dout, in the dtype of `out`."""
        weights = _weights(weight, out)
        scale = out.dtype.type(self._scale(weights, out, reduction))
        result: Array = (weights * scale)[:, None] * self.df(out, self.targets(y, out), **hyper)
        return result

    def accuracy(self, out: Array, y: Any, weight: Any = None) -> tuple[float, float]:
        """Return the weighted share of right outputs, and the sum of the weights."""
        weights = _weights(weight, out).astype(np.float64)
        total = float(np.sum(weights))
        right = float(np.sum(weights * self.right(out, self.targets(y, out))))
        return right / total if total else 0.0, total

    def _scale(self, weights: Array, out: Array, reduction: str) -> float:
        if reduction == "sum":
            return 1.0
        divisor = float(np.sum(weights, dtype=np.float64))
        if self.mean_over_outputs:
            divisor *= out.shape[1]
        return 1.0 / divisor if divisor else 0.0  # a batch whose rows all weigh nothing has no loss


def _weights(weight: Any, out: Array) -> Array:
    return np.ones(len(out), out.dtype) if weight is None else np.asarray(weight, out.dtype)


def mse(out: Array, target: Array) -> Array:
    """Squared error; what torch calls MSELoss."""
    squares: Array = (out - target) ** 2
    return squares


def mse_df(out: Array, target: Array) -> Array:
    """Return 2 (out - target)."""
    return 2 * (out - target)


def half_mse(out: Array, target: Array) -> Array:
    """Half the squared error, whose derivative is the error itself: the form of many courses."""
    halves: Array = 0.5 * (out - target) ** 2
    return halves


def half_mse_df(out: Array, target: Array) -> Array:
    """Return out - target."""
    return out - target


def l1(out: Array, target: Array) -> Array:
    """Absolute error."""
    result: Array = np.abs(out - target)
    return result


def l1_df(out: Array, target: Array) -> Array:
    """Return +1 or -1, and 0 where the error is 0."""
    result: Array = np.sign(out - target)
    return result


def cross_entropy(out: Array, target: Array) -> Array:
    """-log of the probability that softmax(out) gives to the right class."""
    return -log_softmax(out)[np.arange(len(out)), target]


def cross_entropy_df(out: Array, target: Array) -> Array:
    """Return probabilities minus the one-hot target."""
    return softmax(out) - one_hot(target, out.shape[1], out.dtype)


def right_class(out: Array, target: Array) -> Array:
    """Return 1 where the largest output is that of the right class."""
    right: Array = (out.argmax(axis=1) == target).astype(np.float64)
    return right


def bce_with_logits(out: Array, target: Array) -> Array:
    """-t log(p) - (1 - t) log(1 - p) with p = logistic(out), written so that no exp overflows."""
    result: Array = np.maximum(out, 0) - out * target + np.log1p(np.exp(-np.abs(out)))
    return result


def bce_with_logits_df(out: Array, target: Array) -> Array:
    """Return probabilities minus targets."""
    return logistic(out) - target


def right_logits(out: Array, target: Array) -> Array:
    """Return the share of outputs on the right side of 0, which is probability 0.5."""
    share: Array = np.mean((out > 0) == (target > 0.5), axis=1)
    return share


def bce(out: Array, target: Array) -> Array:
    """-t log(p) - (1 - t) log(1 - p) of probabilities p = out.

    As in torch no logarithm is below -100, so that p = 0 and p = 1 have a finite loss.
    """
    with np.errstate(divide="ignore"):  # log(0) = -inf becomes -100
        log_p, log_1p = np.log(out), np.log1p(-out)
    result: Array = -target * np.maximum(log_p, -100) - (1 - target) * np.maximum(log_1p, -100)
    return result


def bce_df(out: Array, target: Array) -> Array:
    """Return (p - t) / (p (1 - p)), with torch's lower limit of the denominator."""
    result: Array = (out - target) / np.maximum(out * (1 - out), 1e-12)
    return result


def right_probabilities(out: Array, target: Array) -> Array:
    """Return the share of outputs on the right side of 0.5."""
    share: Array = np.mean((out > 0.5) == (target > 0.5), axis=1)
    return share


LOSSES = {
    "mse": Loss("MSELoss", f=mse, df=mse_df),
    "half_mse": Loss("HalfMSELoss", f=half_mse, df=half_mse_df),
    "l1": Loss("L1Loss", f=l1, df=l1_df),
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
    ),
    "bce": Loss("BCELoss", f=bce, df=bce_df, task="binary", right=right_probabilities),
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
