# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the arrays of a metric: targets, predictions and weights of the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _validate

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["class_labels", "flags_or_classes", "one_column", "same_rows", "weights_of"]


def same_rows(where: str, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Return both as arrays with one or two dimensions and the same number of rows, at least 1."""
    truth = _validate.numbers(where, "y_true", y_true)
    seen = _validate.numbers(where, "y_pred", y_pred)
    for what, array in (("y_true", truth), ("y_pred", seen)):
        if array.ndim not in (1, 2) or array.size == 0:
            raise ValueError(
                f"[{where}] {what} has shape {array.shape}; expected (n,) or (n, columns), n > 0"
            )
    if len(truth) != len(seen):
        raise ValueError(
            f"[{where}] y_true has {len(truth)} rows and y_pred {len(seen)}; expected the same"
        )
    return truth, seen


def weights_of(where: str, sample_weight: Any, rows: int) -> Array:
    """Return the weights of the rows in float64; without `sample_weight` all are 1."""
    if sample_weight is None:
        return np.ones(rows)
    weights = _validate.numbers(where, "sample_weight", sample_weight).astype(np.float64)
    if weights.shape != (rows,):
        raise ValueError(
            f"[{where}] sample_weight has shape {weights.shape}; expected ({rows},), one a row"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(
            f"[{where}] sample_weight is not finite, below 0 or all zero; expected finite numbers "
            "of at least 0, and one above 0"
        )
    return weights


def one_column(array: Array) -> Array:
    """Return an (n, 1) array as (n,), and others as they are."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def class_labels(where: str, what: str, labels: Array) -> Array:
    """Return class numbers as int64; they must be integers of at least 0."""
    classes = labels.astype(np.int64)
    if not (classes == labels).all() or (classes < 0).any():
        raise ValueError(f"[{where}] {what} has other numbers; expected classes 0, 1, ...")
    return classes


def flags_or_classes(where: str, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
    """Return labels of both: classes (n,), or with several columns flags (n, columns)."""
    truth, seen = map(one_column, same_rows(where, y_true, y_pred))
    if truth.shape != seen.shape:
        raise ValueError(
            f"[{where}] y_true has shape {truth.shape} and y_pred {seen.shape}; expected classes "
            "(n,) or flags (n, labels) in both"
        )
    truth = class_labels(where, "y_true", truth)
    seen = class_labels(where, "y_pred", seen)
    if truth.ndim == 2 and max(truth.max(), seen.max()) > 1:
        raise ValueError(f"[{where}] labels of several columns have other numbers than 0 and 1")
    return truth, seen
