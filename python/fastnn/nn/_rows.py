# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a call of fit: the split into training and validation rows, and class weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _validate

if TYPE_CHECKING:
    from fastnn._validate import Array

    from ._loss import Loss

__all__ = ["Rows", "class_table", "split"]


class Rows(NamedTuple):
    """X, targets and weights of the same rows."""

    x: Array
    y: Array
    w: Array | None


def split(where: str, rows: Rows, share: Any) -> tuple[Rows, Rows | None]:
    """Return views of training and validation rows; the last `share` validates, as in Keras."""
    given = _validate.number(where, "validation_split", share, "at least 0 and below 1")
    if not 0 <= given < 1:
        raise ValueError(
            f"[{where}] validation_split is {share!r}; expected at least 0 and below 1"
        )
    if share == 0:
        return rows, None
    x, y, w = rows
    n = _training_rows(len(x), share)
    if n in (0, len(x)):
        raise ValueError(
            f"[{where}] validation_split = {share} of {len(x)} rows leaves one part empty; "
            "expected rows on both sides"
        )
    if w is None:
        return Rows(x[:n], y[:n], None), Rows(x[n:], y[n:], None)
    for part, name in ((w[:n], "training"), (w[n:], "validation")):
        if not part.any():
            raise ValueError(
                f"[{where}] sample_weight is zero for all {len(part)} {name} rows of "
                f"validation_split = {share}; expected a positive one"
            )
    return Rows(x[:n], y[:n], w[:n]), Rows(x[n:], y[n:], w[n:])


def _training_rows(n: int, share: Any) -> int:
    """Return n (1 - share), rounded down as in Keras, for the decimal fraction that was written.

    10 (1 - 0.9) is 0.9999999999999998 in binary, so a number that differs from an integer only by
    rounding counts as that integer.
    """
    # np.float32(0.8) counts as 0.8, too.
    exact = n * (1 - float(str(share) if isinstance(share, np.floating) else share))
    nearest = round(exact)
    return nearest if abs(exact - nearest) <= n * 2.0**-50 else math.floor(exact)


def class_table(where: str, class_weight: Any, loss: Loss, k: int) -> Array | None:
    """Return the weight of each class, 1 for those not named, or None without class_weight.

    k: number of outputs of the model.
    """
    if class_weight is None:
        return None
    task = loss.row["task"]
    if task == "regression" or (task == "binary" and k > 1):
        raise ValueError(
            f"[{where}] class_weight needs one class a row; {type(loss).__name__} on {k} outputs "
            "has none"
        )
    classes = k if task == "multiclass" else 2
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"[{where}] class_weight is {class_weight!r}; expected a dictionary {{0: 2.0}}"
        )
    table = np.ones(classes)
    for label, value in class_weight.items():
        index = _validate.integer(where, "a class in class_weight", label, 0)
        if index >= classes:
            raise ValueError(
                f"[{where}] class_weight names class {index}; the model has {classes} classes, 0 "
                f"to {classes - 1}"
            )
        number = value if isinstance(value, (int, float, np.number)) else math.nan
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(
                f"[{where}] class_weight[{index}] is {value!r}; expected a finite number of at "
                "least 0"
            )
        table[index] = number
    return table
