# SPDX-License-Identifier: BSD-3-Clause
"""The data sets of the package are those that their description says."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np

from fastnn.datasets import load_digits

HELD_OUT_BY_DIGIT = [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]


def test_digits() -> None:
    X, y = load_digits()
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((1797, 64), np.uint8, (1797,), np.int64)
    assert (X.min(), X.max()) == (0, 16)
    text = (files("fastnn.datasets") / "digits.txt").read_text(encoding="utf-8")
    assert hashlib.sha256(X.tobytes()).hexdigest() in text
    assert hashlib.sha256(y.astype(np.uint8).tobytes()).hexdigest() in text
    X[:] = 0  # a copy: the next caller gets the digits
    assert load_digits()[0].any()


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn import datasets

    theirs = datasets.load_digits()
    X, y = load_digits()
    assert np.array_equal(X, theirs.data)
    assert np.array_equal(y, theirs.target)


def test_the_held_out_fifth_is_fixed() -> None:
    X, y = load_digits()
    X_train, X_test, y_train, y_test = load_digits(split=True)
    assert np.bincount(y_test).tolist() == HELD_OUT_BY_DIGIT
    rng, held_out = np.random.RandomState(0), np.zeros(len(y), bool)
    for digit in range(10):
        rows = np.flatnonzero(y == digit)
        held_out[rng.permutation(rows)[: round(len(rows) / 5)]] = True
    for part, expected in (
        (X_train, X[~held_out]),
        (X_test, X[held_out]),
        (y_train, y[~held_out]),
        (y_test, y[held_out]),
    ):
        assert np.array_equal(part, expected)


def test_it_is_small() -> None:
    folder = files("fastnn.datasets")
    assert sum(len((folder / name).read_bytes()) for name in ("digits.npz", "digits.txt")) < 100_000
