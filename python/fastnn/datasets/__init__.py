# SPDX-License-Identifier: BSD-3-Clause
"""Small real data sets that are part of the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_digits"]

Digits = NDArray[np.uint8]
Labels = NDArray[np.int64]


@overload
def load_digits(split: Literal[False] = False) -> tuple[Digits, Labels]: ...


@overload
def load_digits(split: Literal[True]) -> tuple[Digits, Digits, Labels, Labels]: ...


def load_digits(split: bool = False) -> tuple[Any, ...]:
    """Load handwritten digits: 1797 images of 8 x 8 pixels from 0 to 16, and labels from 0 to 9.

    This is the test part of the UCI data set "Optical Recognition of Handwritten Digits", in the
    order of scikit-learn's `load_digits`; `digits.txt` beside this file describes its origin.

    Parameters
    ----------
    split : bool
        Whether to split the rows into a training and a test part. The test part has 359 rows,
        always the same ones, a fifth of each digit.

    Returns
    -------
    (X, y), or (X_train, X_test, y_train, y_test) with `split`
        X is uint8 of shape (rows, 64), y is int64 of shape (rows,). Each call returns new arrays.

    Examples
    --------
    >>> from fastnn.datasets import load_digits
    >>> X, y = load_digits()
    >>> X.shape, X.dtype, int(X.max()), y[:5]
    ((1797, 64), dtype('uint8'), 16, array([0, 1, 2, 3, 4]))
    >>> [len(part) for part in load_digits(split=True)]
    [1438, 359, 1438, 359]
    """
    with as_file(files(__name__) / "digits.npz") as path, np.load(path) as stored:
        X, y, held_out = stored["X"], stored["y"].astype(np.int64), stored["held_out"]
    if not split:
        return X, y
    return X[~held_out], X[held_out], y[~held_out], y[held_out]
