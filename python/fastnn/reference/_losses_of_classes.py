# SPDX-License-Identifier: BSD-3-Clause
"""Losses of classes and probabilities; their functions and rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import Torch
from fastnn.reference._loss import Loss
from fastnn.reference.functional import log_softmax, logistic, one_hot, softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn.reference._describe import Array
    from fastnn.reference._loss import Range


def _terms(out: Array, target: Array, weight: Any, label_smoothing: float) -> Array:
    """Return the target distribution of each row, smoothed, times the weights of the classes."""
    k = out.shape[1]
    terms: Array = one_hot(target, k, out.dtype) if target.ndim == 1 else target
    terms = (1 - label_smoothing) * terms + label_smoothing / k
    return terms if weight is None else terms * np.asarray(weight, out.dtype)


def cross_entropy(
    out: Array,
    target: Array,
    *,
    weight: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> Array:
    """Return -sum_j t_j log(softmax(out)_j) for class indices or probabilities t."""
    loss: Array = -(_terms(out, target, weight, label_smoothing) * log_softmax(out)).sum(axis=1)
    return loss


def cross_entropy_df(
    out: Array,
    target: Array,
    *,
    weight: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> Array:
    """Return the probabilities, times the sum of the terms, minus the terms."""
    terms = _terms(out, target, weight, label_smoothing)
    df: Array = softmax(out) * terms.sum(axis=1, keepdims=True) - terms
    return df


def probabilities(out: Array, **_hyper: Any) -> Array:
    """Return softmax."""
    return softmax(out)


def nll(out: Array, target: Array, *, weight: Sequence[float] | None = None) -> Array:
    """Return minus the output of the right class, which is a logarithm of its probability."""
    loss: Array = -(_terms(out, target, weight, 0.0) * out).sum(axis=1)
    return loss


def nll_df(out: Array, target: Array, *, weight: Sequence[float] | None = None) -> Array:
    """Return minus the weight of the right class in its column."""
    return -_terms(out, target, weight, 0.0)


def weights_of_rows(target: Array, *, weight: Any = None, **_hyper: Any) -> Array | None:
    """Return the weights of the rows' classes, which the mean is divided by; None: all are 1."""
    if weight is None or target.ndim != 1:
        return None
    weights: Array = np.asarray(weight, np.float64)[target]
    return weights


def exponential(out: Array, **_hyper: Any) -> Array:
    """Return the probabilities of which the outputs are logarithms."""
    with np.errstate(over="ignore"):
        result: Array = np.exp(out)
    return result


def kl_div(out: Array, target: Array, *, log_target: bool = False) -> Array:
    """Return t (log(t) - out) for probabilities t, or for their logarithms in `target`."""
    if log_target:
        loss: Array = np.exp(target) * (target - out)
    else:
        logarithm = np.log(np.where(target > 0, target, 1))  # t log(t) is 0 at 0
        loss = target * logarithm - target * out
    return loss


def kl_div_df(out: Array, target: Array, *, log_target: bool = False) -> Array:
    """Return -t."""
    del out
    return -np.exp(target) if log_target else -target


def kl_div_range(*, log_target: bool = False, **_hyper: Any) -> tuple[float, float]:
    """Return the range of targets."""
    return (-np.inf, np.inf) if log_target else (0, np.inf)


def right_class(out: Array, target: Array) -> Array:
    """Return 1 for rows whose largest output is that of the right class, and 0 for others."""
    label = target.argmax(axis=1) if target.ndim == 2 else target
    right: Array = (out.argmax(axis=1) == label).astype(np.float64)
    return right


def softplus(z: Array) -> Array:
    """Return log(1 + exp(z)), without overflow in exp."""
    result: Array = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return result


def bce_with_logits(
    out: Array, target: Array, *, pos_weight: Sequence[float] | None = None
) -> Array:
    """Return -w t log(p) - (1 - t) log(1 - p) with p = logistic(out); w of each output is 1."""
    w = 1 if pos_weight is None else np.asarray(pos_weight, out.dtype)
    result: Array = w * target * softplus(-out) + (1 - target) * softplus(out)
    return result


def bce_with_logits_df(
    out: Array, target: Array, *, pos_weight: Sequence[float] | None = None
) -> Array:
    """Return (1 - t) p - w t (1 - p): for w = 1 the probabilities minus the targets."""
    w = 1 if pos_weight is None else np.asarray(pos_weight, out.dtype)
    df: Array = (1 - target) * logistic(out) - w * target * logistic(-out)
    return df


def probabilities_of_yes(out: Array, **_hyper: Any) -> Array:
    """Return the logistic function."""
    return logistic(out)


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


def _focal_parts(out: Array, target: Array, alpha: float) -> tuple[Array, Array, Array]:
    """Return the weights, what the probability of the target lacks to 1, and the cross-entropy."""
    weights = alpha * target + (1 - alpha) * (1 - target) if alpha >= 0 else np.ones_like(target)
    lacking = logistic(out) * (1 - target) + logistic(-out) * target
    return weights, lacking, bce_with_logits(out, target)


def focal(out: Array, target: Array, *, gamma: float = 2.0, alpha: float = 0.25) -> Array:
    """Return the binary cross-entropy times q^gamma, q what the target's probability lacks to 1."""
    weights, q, entropy = _focal_parts(out, target, alpha)
    result: Array = weights * q**gamma * entropy
    return result


def focal_df(out: Array, target: Array, *, gamma: float = 2.0, alpha: float = 0.25) -> Array:
    """Return the derivative of the product, with dq/dout = p (1 - p) (1 - 2 t)."""
    weights, q, entropy = _focal_parts(out, target, alpha)
    p, rest = logistic(out), logistic(-out)
    ratio = p * rest / np.maximum(q, np.finfo(q.dtype).tiny)
    easier = gamma * (1 - 2 * target) * ratio * entropy
    df: Array = weights * q**gamma * (p * (1 - target) - rest * target + easier)
    return df


def _side(target: Array) -> Array:
    """Return the targets, of which 0 counts as -1."""
    return np.where(target == 0, target.dtype.type(-1), target)


def hinge(out: Array, target: Array) -> Array:
    """Return max(0, 1 - t z) for a score z and a target t of -1 (or 0) and 1."""
    result: Array = np.maximum(1 - _side(target) * out, 0)
    return result


def hinge_df(out: Array, target: Array) -> Array:
    """Return -t where t z is below 1, and 0 elsewhere."""
    t = _side(target)
    return np.where(t * out < 1, -t, 0).astype(out.dtype)


def squared_hinge(out: Array, target: Array) -> Array:
    """Return max(0, 1 - t z)^2."""
    result: Array = hinge(out, target) ** 2
    return result


def squared_hinge_df(out: Array, target: Array) -> Array:
    """Return -2 t max(0, 1 - t z)."""
    result: Array = -2 * _side(target) * hinge(out, target)
    return result


def zero_to_one(**_hyper: Any) -> Range:
    return (0, 1)


def between_signs(**_hyper: Any) -> Range:
    return (-1, 1)


LOSSES_OF_CLASSES = {
    "cross_entropy": Loss(
        "CrossEntropyLoss",
        f=cross_entropy,
        df=cross_entropy_df,
        target="class",
        task="multiclass",
        mean="rows",
        takes_probabilities=True,
        divides=weights_of_rows,
        link=probabilities,
        right=right_class,
        target_range=zero_to_one,  # of probabilities
    ),
    "nll": Loss(
        "NLLLoss",
        f=nll,
        df=nll_df,
        target="class",
        task="multiclass",
        mean="rows",
        divides=weights_of_rows,
        link=exponential,
        right=right_class,
        ends="log_softmax",
    ),
    "kl_div": Loss(
        "KLDivLoss",
        f=kl_div,
        df=kl_div_df,
        link=exponential,
        target_range=kl_div_range,
        ends="log_softmax",
        tries=({"reduction": "batchmean"},),
    ),
    "bce_with_logits": Loss(
        "BCEWithLogitsLoss",
        f=bce_with_logits,
        df=bce_with_logits_df,
        task="binary",
        link=probabilities_of_yes,
        right=right_logits,
        target_range=zero_to_one,
    ),
    "bce": Loss(
        "BCELoss",
        f=bce,
        df=bce_df,
        task="binary",
        right=right_probabilities,
        target_range=zero_to_one,
        output_range=zero_to_one,
        torch=Torch(at_extremes=1e-8),  # its limit of the denominator is float32's 1e-12
    ),
    "focal": Loss(
        "FocalLoss",
        f=focal,
        df=focal_df,
        task="binary",
        link=probabilities_of_yes,
        right=right_logits,
        target_range=zero_to_one,
        torch=None,
    ),
    "hinge": Loss(
        "HingeLoss",
        f=hinge,
        df=hinge_df,
        task="binary",
        right=right_logits,
        target_range=between_signs,
        torch=None,
    ),
    "squared_hinge": Loss(
        "SquaredHingeLoss",
        f=squared_hinge,
        df=squared_hinge_df,
        task="binary",
        right=right_logits,
        target_range=between_signs,
        torch=None,
    ),
}
