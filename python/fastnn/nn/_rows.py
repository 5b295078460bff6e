# SPDX-License-Identifier: BSD-3-Clause
"""The rows of a call of fit: the split into training and validation rows, and class weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _core, _validate
from fastnn._hints import shown

from . import _keys
from ._layer import ParameterLayer

if TYPE_CHECKING:
    from fastnn._validate import Array

    from ._layer import Layer
    from ._loss import Loss

__all__ = [
    "Rows",
    "Split",
    "check_statistics",
    "class_table",
    "classes_to_stratify",
    "split",
    "steps_of",
]


class Rows(NamedTuple):
    """X, an array or a sparse matrix, with targets and weights of the same rows."""

    x: Any
    y: Array
    w: Array | None

    @property
    def n(self) -> int:
        """Number of rows; sparse matrices have no len()."""
        return int(self.x.shape[0]) if self.x.ndim else 0

    def for_core(self, *, targets: bool) -> dict[str, Any]:
        """Return the arguments of the core's fit; without `targets`, y is read by a function."""
        return {"x": self.x, "y": self.y if targets else None, "sample_weight": self.w}


def steps_of(where: str, n: int, settings: Mapping[str, Any]) -> int:
    """Return the number of batches of n rows; refuse rows of which drop_last leaves none."""
    size: int = settings["batch_size"]
    if not settings["drop_last"]:
        return -(-n // size)
    if n < size:
        raise ValueError(
            f"[{where}] drop_last=True leaves no batch of {n} rows; expected a batch_size of at "
            f"most {n}, not {size}"
        )
    return n // size


class Split(NamedTuple):
    """The rows that train and those that validate; and which rows of the given ones they are.

    `numbers` is by what precedes the names of their arrays in messages.
    """

    train: Rows
    held_out: Rows | None
    numbers: dict[str, Sequence[int] | Array]


def split(
    where: str, rows: Rows, share: Any, *, shuffle: bool = False, classes: int = 0, seed: int = 0
) -> Split:
    """Return the training and the validation rows; by default the last `share` validates.

    Parameters
    ----------
    where : str
    rows : Rows
    share : float
        At least 0 and below 1.
    shuffle : bool
        Whether the validation rows are drawn from all rows. Both parts are copies then, which keep
        the order of the rows; otherwise both are views, as in Keras.
    classes : int
        If above 0, each of the classes 0, ..., classes - 1 in y has its share of both parts.
    seed : int
        What is drawn from.
    """
    given = _validate.number(where, "validation_split", share, "at least 0 and below 1")
    if not 0 <= given < 1:
        raise ValueError(
            f"[{where}] validation_split is {share!r}; expected at least 0 and below 1"
        )
    if share == 0:
        return Split(rows, None, {})
    count = rows.n
    n = _training_rows(count, share)
    if n in (0, count):
        raise ValueError(
            f"[{where}] validation_split = {share} of {count} rows leaves one part empty; "
            "expected rows on both sides"
        )
    first: Any = slice(n)
    last: Any = slice(n, None)
    drawn = shuffle or classes > 0
    if drawn:
        groups = None if not classes else _classes_of(where, rows.y, classes)
        first, last = _drawn(where, count, n, groups, seed)
    train, held_out = (
        Rows(rows.x[at], rows.y[at], None if rows.w is None else rows.w[at]) for at in (first, last)
    )
    for part, name in ((train, "training"), (held_out, "validation")):
        if part.w is not None and not part.w.any():
            raise ValueError(
                f"[{where}] sample_weight is zero for all {len(part.w)} {name} rows of "
                f"validation_split = {share}; expected a positive one"
            )
    numbers = (first, last) if drawn else (range(n), range(n, count))
    return Split(train, held_out, dict(zip(("", "validation "), numbers, strict=True)))


def classes_to_stratify(where: str, loss: Loss, k: int) -> int:
    """Return the number of classes by which rows can be stratified.

    k: number of outputs of the model.
    """
    task = loss.row["task"]
    if task == "regression" or (task == "binary" and k > 1):
        raise ValueError(
            f"[{where}] stratify=True keeps the shares of classes; {type(loss).__name__} on {k} "
            "outputs has no one class a row: use shuffle_split=True"
        )
    return k if task == "multiclass" else 2


# The orders of rows in epochs are drawn with the numbers of the epochs, which never come so far.
_SPLIT_DRAW = 2**62


def _drawn(where: str, count: int, n: int, groups: Array | None, seed: int) -> tuple[Array, Array]:
    """Return the numbers of n training rows of `count` and of the others, each in order.

    groups: the class of each row, if each class is to have its share of both parts.
    """
    order = _core.permutation(count, seed, _SPLIT_DRAW)
    validates = np.zeros(count, bool)
    if groups is None:
        validates[order[n:]] = True
    else:
        _, of_class = np.unique(groups, return_inverse=True)
        sizes = np.bincount(of_class)
        _check_classes(where, sizes, n, count - n)
        train = _proportional(sizes, n)
        held_out = _proportional(sizes - train, count - n)
        for number, size in enumerate(held_out):
            validates[order[of_class[order] == number][:size]] = True
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def _check_classes(where: str, sizes: Array, n_train: int, n_validation: int) -> None:
    """Refuse classes that cannot be in both parts, as scikit-learn's train_test_split does."""
    if sizes.min() < 2:
        raise ValueError(
            f"[{where}] stratify=True: a class has 1 row; expected at least 2 rows of each class"
        )
    if min(n_train, n_validation) < len(sizes):
        raise ValueError(
            f"[{where}] stratify=True: {n_train} training and {n_validation} validation rows for "
            f"{len(sizes)} classes; expected a row of each class in both"
        )


def _proportional(sizes: Array, n: int) -> Array:
    """Return how many of n rows are of each class: the shares of `sizes`, which are rounded down.

    The rows that are missing then go to the classes with the largest remainders, as in
    scikit-learn's StratifiedShuffleSplit; of equal remainders the smaller class number comes first,
    where scikit-learn draws.
    """
    exact = sizes * (n / sizes.sum())
    counts: Array = np.floor(exact).astype(np.int64)
    missing = n - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    return counts


def _classes_of(where: str, y: Array, classes: int) -> Array:
    """Return the class of each row."""
    column = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if column.ndim != 1:
        raise ValueError(
            f"[{where}] stratify=True: y has shape {y.shape}; expected one class a row"
        )
    if classes == 2:  # 0 and 1, or -1 and 1
        labels = np.unique(column)
        if len(labels) > 2:
            raise ValueError(
                f"[{where}] stratify=True: y has {len(labels)} different numbers; expected two "
                "classes"
            )
    return column


def _training_rows(n: int, share: Any) -> int:
    """Return n (1 - share), rounded down as in Keras, for the decimal fraction that was written.

    10 (1 - 0.9) is 0.9999999999999998 in binary, so a number that differs from an integer only by
    rounding counts as that integer.
    """
    # np.float32(0.8) counts as 0.8, too.
    exact = n * (1 - float(str(share) if isinstance(share, np.floating) else share))
    nearest = round(exact)
    return nearest if abs(exact - nearest) <= n * 2.0**-50 else math.floor(exact)


def check_statistics(where: str, layers: tuple[Layer, ...], batch_size: int, n: int) -> None:
    """Refuse batches of one row (of n) if running statistics would never be updated."""
    if min(batch_size, n) > 1:
        return
    for position, layer in _keys.positions(layers):
        if isinstance(layer, ParameterLayer) and layer.counts()[1] and not layer.frozen:
            came, needed = ("batch_size is 1", "a larger batch_size")
            if n == 1:
                came, needed = ("there is 1 row to train on", "more rows")
            raise ValueError(
                f"[{where}] {came}; layer {position} ({layer!r}) takes statistics from the rows of "
                f"a batch and expects at least 2: give {needed}, or freeze() the layer, which then "
                "takes the running statistics that it has"
            )


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
        balanced = "; balanced weights are n / (classes * rows of the class)"
        raise TypeError(
            f"[{where}] class_weight is {shown(class_weight)}; expected a dictionary {{0: 2.0}}"
            f"{balanced if isinstance(class_weight, str) else ''}"
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
