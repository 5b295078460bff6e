# SPDX-License-Identifier: BSD-3-Clause
"""The row of a loss in the twin, and the averages that all losses have in common.

Averages are computed in one place, Loss.value and Loss.gradient: sum(w l) / sum(w), where w are the
weights of the rows (1 by default). Only the ratios of the weights matter: before they are rounded
to the network's dtype, they are divided by a power of two, that of the largest weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import SAME, Array, Torch, hypers_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Loss", "Range", "Sums", "weights_of"]


Range = tuple[float, float]


def _no_link(out: Array, **_hyper: Any) -> Array:
    return out


def _one_output(**_hyper: Any) -> int:
    return 1


def _any_number(**_hyper: Any) -> Range:
    return (-np.inf, np.inf)


def _all_columns(_k: int) -> int:
    return 0


def _all_one(_target: Array, **_hyper: Any) -> Array | None:
    return None


def _nothing_right(out: Array, _target: Array) -> Array:
    return np.zeros(len(out))


@dataclass(frozen=True)
class Loss:
    """A row of LOSSES: a loss defines value, gradient, link function and which outputs are right.

    Parameters
    ----------
    f, df : (out, target) -> losses of all elements; their derivatives with respect to `out`
    target : "dense", as many numbers per row as outputs; or "class", one index per row
    task : "regression", "binary" or "multiclass"
    mean : what reduction="mean" is a mean over besides rows: "rows", "outputs" or "targets"
    takes_probabilities : whether a "class" loss takes probabilities (n, k), too
    outputs_per_target : hyperparameters -> number of outputs for each target
    divides : (target, hyperparameters) -> weights of the rows' classes that a mean is divided by
    link : (raw outputs, hyperparameters) -> predictions
    right : (out, target) -> fraction of right outputs of each row
    target_range, output_range : hyperparameters -> smallest and largest allowed number, included
    first_bounded : number of outputs -> the first of them to which output_range applies
    jumps : whether df jumps where an output is its target
    ends : the activation with which networks for it end, if its outputs are logarithms
    smooth : (outputs, hyperparameters) -> outputs at which df is the derivative of f
    tries : hyperparameters to try besides those that the registry says
    torch : its name in torch; None if torch does not have it
    tolerance : factor on the tolerance of all losses, in tests
    """

    class_name: str
    f: Callable[..., Array]
    df: Callable[..., Array]
    target: str = "dense"
    task: str = "regression"
    mean: str = "outputs"
    takes_probabilities: bool = False
    outputs_per_target: Callable[..., int] = _one_output
    divides: Callable[..., Array | None] = _all_one
    link: Callable[..., Array] = _no_link
    right: Callable[[Array, Array], Array] = _nothing_right
    target_range: Callable[..., Range] = _any_number
    output_range: Callable[..., Range] = _any_number
    first_bounded: Callable[[int], int] = _all_columns
    jumps: bool = False
    ends: str = ""
    smooth: Callable[..., Array] = _no_link
    tries: tuple[dict[str, Any], ...] = ()
    torch: Torch | None = SAME
    tolerance: float = 1.0

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of the hyperparameters."""
        return {"reduction": "mean"} | hypers_of(self.f)

    def targets(self, y: Any, out: Array, **hyper: Any) -> Array:
        """Return `y` in the form that f and df take: class indices (n,), or numbers (n, k)."""
        n, k = out.shape
        soft = self.takes_probabilities and np.shape(y) == (n, k)
        if self.target == "class" and not soft:
            return np.asarray(y, dtype=np.int64).reshape(n)
        dense: Array = np.asarray(y, dtype=out.dtype)
        if dense.ndim == 1:
            dense = dense[:, None]
        if dense.shape != (n, k // self.outputs_per_target(**hyper)):
            raise ValueError(f"targets have shape {dense.shape}, outputs {out.shape}")
        _check_range("targets", dense, self.target_range(**hyper))
        _check_range("outputs", out[:, self.first_bounded(k) :], self.output_range(**hyper))
        return dense

    def value(
        self, out: Array, y: Any, sample_weight: Any = None, reduction: str = "mean", **hyper: Any
    ) -> float:
        """Return the loss of a batch."""
        sums = self.sums(out, y, sample_weight, **hyper)
        return self.average(sums, out.shape[1], reduction, **hyper)

    def sums(self, out: Array, y: Any, sample_weight: Any = None, **hyper: Any) -> Sums:
        """Return the sums over rows from which averages are computed, in double."""
        target = self.targets(y, out, **hyper)
        losses = self.f(out, target, **hyper).reshape(len(out), -1)
        right = self.right(out, target)
        w, exponent = weights_of(sample_weight, out)
        w = w.astype(np.float64)
        return Sums(
            float(np.sum(w)),
            float(np.sum(w * losses.sum(axis=1, dtype=np.float64))),
            float(np.sum(w * right)),
            exponent,
            self._weight(w, target, **hyper),
        )

    def average(self, sums: Sums, outputs: int, reduction: str = "mean", **hyper: Any) -> float:
        """Return the loss of all rows in `sums`, each of which has this number of outputs."""
        if reduction == "sum":
            return sums.loss * 2.0**sums.exponent
        return sums.loss / self._divisor(sums.divisor, outputs, reduction, **hyper)

    def _weight(self, w: Array, target: Array, **hyper: Any) -> float:
        """Return the sum over rows of their weights, times those of their classes."""
        of_classes = self.divides(target, **hyper)
        return float(np.sum(w if of_classes is None else w * of_classes, dtype=np.float64))

    def gradient(
        self, out: Array, y: Any, sample_weight: Any = None, reduction: str = "mean", **hyper: Any
    ) -> Array:
        """Return dvalue/dout, in the dtype of `out`."""
        w, exponent = weights_of(sample_weight, out)
        target = self.targets(y, out, **hyper)
        total = self._weight(w, target, **hyper)
        divisor = self._divisor(total, out.shape[1], reduction, **hyper)
        scale = 2.0**exponent if reduction == "sum" else 1 / divisor
        factors = w * out.dtype.type(scale)
        result: Array = factors[:, None] * self.df(out, target, **hyper)
        return result

    def _divisor(self, total: float, outputs: int, reduction: str, **hyper: Any) -> float:
        if total == 0:
            return 1.0  # all rows have weight zero, and the loss is zero
        if self.mean == "rows" or reduction == "batchmean":
            return total
        each = self.outputs_per_target(**hyper) if self.mean == "targets" else 1
        return total * max(1, outputs // each)


@dataclass(frozen=True)
class Sums:
    """Sums over rows of w, w l, and w times the fraction of right outputs, in units of 2^exponent.

    A mean of losses is divided by `divisor`, which is that of w unless classes have weights.
    Sums of several batches can be added, even in different units.
    """

    weight: float = 0.0
    loss: float = 0.0
    right: float = 0.0
    exponent: int = -1022
    divisor: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        exponent = max(self.exponent, other.exponent)
        a, b = 2.0 ** (self.exponent - exponent), 2.0 ** (other.exponent - exponent)
        return Sums(
            self.weight * a + other.weight * b,
            self.loss * a + other.loss * b,
            self.right * a + other.right * b,
            exponent,
            self.divisor * a + other.divisor * b,
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
