# SPDX-License-Identifier: BSD-3-Clause
"""Metrics that are sums over rows, from which figures such as a mean or an F1 are computed.

`seen` (n, k) are the raw outputs of a network or its predictions, as the row says. The truth is
numbers (n, k), flags (n, k) of outputs that are a yes or no each, or classes (n,). `w` (n,) are the
weights of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import hypers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn.reference._describe import Array

__all__ = ["METRICS", "Metric", "metric_sums"]


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    Parameters
    ----------
    class_name : str
    sums : (seen, truth, w, own parameters) -> array of sums
    outputs : the kinds of outputs for which it is defined: "numbers", "flags", "flag" (a single
        one), "classes"
    sees_predictions : whether `seen` are predictions instead of raw outputs
    """

    class_name: str
    sums: Callable[..., Array]
    outputs: tuple[str, ...] = ("numbers",)
    sees_predictions: bool = False

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of the parameters."""
        return hypers_of(self.sums)


def absolute_error(seen: Array, truth: Array, w: Array) -> Array:
    """Return the weighted sums of |seen - truth| of each output."""
    sums: Array = w @ np.abs(seen - truth)
    return sums


def squared_error(seen: Array, truth: Array, w: Array) -> Array:
    """Return the weighted sums of (seen - truth)^2 of each output."""
    sums: Array = w @ (seen - truth) ** 2
    return sums


def relative_error(seen: Array, truth: Array, w: Array) -> Array:
    """Return the weighted sums of |seen - truth| / |truth|, |truth| at least the eps of doubles."""
    sums: Array = w @ (np.abs(seen - truth) / np.maximum(np.abs(truth), np.finfo(np.float64).eps))
    return sums


def target_spread(_seen: Array, truth: Array, w: Array) -> Array:
    """Return the number of rows, their weight, and of each output mean, spread, and range.

    The mean counts from the smallest one on, the spread is the weighted sum of (truth - mean)^2,
    and the range the smallest and the largest one.
    """
    above = truth - truth.min(axis=0)
    mean = w @ above / w.sum() if w.any() else 0 * above[0]
    each = [mean, w @ (above - mean) ** 2, truth.min(axis=0), truth.max(axis=0)]
    return np.array([len(truth), w.sum(), *np.ravel(each)])


def confusion(seen: Array, truth: Array, w: Array, *, boundary: float = 0.0) -> Array:
    """Return the weights of rows that are, are said to be, and are both, of each class or label.

    Behind them are the numbers of rows that are, or are said to be, of each; of labels, which count
    whether they occur or not, the numbers of all rows. A single flag has the classes 0 and 1.
    """
    if truth.ndim == 2 and truth.shape[1] > 1:
        of, said = truth.astype(bool), seen > boundary
        occurs = np.ones_like(of)
    else:
        single = truth.ndim == 2
        labels = truth[:, 0] if single else truth
        predicted = seen[:, 0] > boundary if single else seen.argmax(axis=1)
        classes = np.arange(2 if single else seen.shape[1])
        of, said = labels[:, None] == classes, predicted[:, None] == classes
        occurs = of | said
    return np.concatenate([w @ of, w @ said, w @ (of & said), occurs.sum(axis=0)])


def top_k(seen: Array, truth: Array, w: Array, *, k: int = 5) -> Array:
    """Return the weight of the rows whose class is among the k largest outputs.

    Of equal outputs the last one comes first.
    """
    order = np.argsort(seen, axis=1, kind="stable")[:, ::-1]
    return np.array([w @ (order[:, :k] == truth[:, None]).any(axis=1)])


def log_loss(seen: Array, truth: Array, w: Array) -> Array:
    """Return the weighted sum of -log(p of the class), p within the eps of its type of 0 and 1."""
    eps = float(np.finfo(seen.dtype).eps)
    p = seen.astype(np.float64)
    if truth.ndim == 2:
        own = np.where(truth[:, 0], p[:, 0], 1 - p[:, 0])
    else:
        own = p[np.arange(len(p)), truth]
    valid = ((p >= 0) & (p <= 1)).all()
    return np.array([w @ -np.log(np.clip(own, eps, 1 - eps)) if valid else np.nan])


_LABELS = ("flags", "flag", "classes")

METRICS = {
    "absolute_error": Metric("MAE", absolute_error, sees_predictions=True),
    "squared_error": Metric("MSE", squared_error, sees_predictions=True),
    "relative_error": Metric("MAPE", relative_error, sees_predictions=True),
    "target_spread": Metric("R2", target_spread),
    "confusion": Metric("ConfusionCounts", confusion, _LABELS),
    "top_k": Metric("TopK", top_k, ("classes",)),
    "log_loss": Metric("LogLoss", log_loss, ("flag", "classes"), sees_predictions=True),
}


def metric_sums(
    name: str, hyper: dict[str, Any], seen: Array, target: Any, sample_weight: Any = None
) -> Array:
    """Return the sums of the metric called `name`, in float64.

    Targets are numbers (n, k), flags (n, k), or classes (n,).
    """
    row, w = METRICS[name], np.ones(len(seen)) if sample_weight is None else sample_weight
    truth = np.asarray(target)
    if "numbers" in row.outputs:
        truth = truth.astype(np.float64).reshape(seen.shape)
    seen = seen if row.sees_predictions and "classes" in row.outputs else seen.astype(np.float64)
    return row.sums(seen, truth, np.asarray(w, np.float64), **hyper)
