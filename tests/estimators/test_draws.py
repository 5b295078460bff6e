# SPDX-License-Identifier: BSD-3-Clause
"""What estimators draw is what scikit-learn's draw, from the same generator in the same order."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from fastnn import _core
from fastnn.sklearn._draws import Order


@pytest.mark.parametrize("make", [np.random.MT19937, np.random.PCG64], ids=["mt19937", "pcg64"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 127, 128, 129, 1797])
def test_shuffles_are_those_of_numpy(n, make):
    mine, other = (np.random.RandomState(make(7)) for _ in range(2))
    order, expected = Order(mine, n, True), np.arange(n)
    for epoch in range(4):
        other.shuffle(expected)
        assert (order(epoch) == expected).all()
    assert mine.uniform() == other.uniform()  # as many numbers were drawn


def test_rows_that_are_not_shuffled_keep_their_order():
    state = np.random.RandomState(1)
    assert Order(state, 9, False)(0).tolist() == list(range(9))
    assert state.uniform() == np.random.RandomState(1).uniform()


@pytest.mark.parametrize(
    "order",
    [
        np.arange(5.0),
        np.arange(5, dtype=np.int32),
        np.arange(10)[::2],
        np.zeros((2, 3), np.int64),
        [1, 2],
    ],
    ids=["floats", "int32", "strides", "matrix", "list"],
)
def test_arrays_that_cannot_be_shuffled_are_refused(order):
    generator = np.random.MT19937(0)
    with pytest.raises((TypeError, ValueError)):
        _core.shuffle(generator.capsule, order)


def test_other_capsules_are_refused():
    with pytest.raises((TypeError, ValueError)):
        _core.shuffle(object(), np.arange(5))
