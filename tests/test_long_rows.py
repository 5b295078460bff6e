# SPDX-License-Identifier: BSD-3-Clause
"""Rows with more than 2**24 columns; 2**24 + 1 is not representable in float32."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastnn import _core, reference
from members import names

COLUMNS = 2**24 + 1
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}  # sums of 2**24 numbers


def long_row(dtype: str) -> np.ndarray:
    """One row: repeated numbers, and others of their own in its last columns."""
    row = np.resize(np.linspace(-2, 2, 101), COLUMNS)
    row[-3:] = (-3.0, 4.0, 20.0)
    return row.astype(dtype)[None, :]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", names("activations"))
def test_activations_reach_the_last_column(name: str, dtype: str) -> None:
    x = long_row(dtype)
    whole = _core.activation(name, {}, x)
    ends = _core.activation(name, {}, np.ascontiguousarray(x[:, -50:]))
    np.testing.assert_array_equal(whole[:, -50:], ends)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_softmax_reaches_the_last_column(dtype: str) -> None:
    x = long_row(dtype)
    e = np.exp(x.astype(np.float64) - 20)
    total = e.sum()
    got = _core.softmax(x)[0, -3:]
    np.testing.assert_allclose(got, e[0, -3:] / total, rtol=TOLERANCE[dtype])
    got = _core.log_softmax(x)[0, -3:]
    np.testing.assert_allclose(got, x[0, -3:] - 20.0 - np.log(total), rtol=TOLERANCE[dtype])


def without_a_loss(name: str) -> tuple[float, float]:
    """An output and a target whose loss is nothing, even 2**24 times."""
    for out, target in itertools.product((0.0, -100.0, 100.0), (0.0, 1.0)):
        if reference.LOSSES[name].f(np.array([[out]]), np.array([[target]])) < 1e-40:
            return out, target
    raise AssertionError(f"{name}: none was found")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", names("losses"))
def test_losses_count_the_last_column(name: str, dtype: str) -> None:
    """Only the last column is wrong, so it alone has a loss."""
    summed = {"reduction": "sum"}
    if reference.LOSSES[name].target == "class":
        out = np.zeros((1, COLUMNS), dtype)
        out[0, -1] = 30
        loss, grad = _core.loss(name, summed, out, np.array([COLUMNS - 1]), None)
        rest = (COLUMNS - 1) * np.exp(-30)
        assert loss == pytest.approx(np.log1p(rest), rel=TOLERANCE[dtype])
        assert grad[0, -1] == pytest.approx(-rest / (1 + rest), rel=TOLERANCE[dtype])
        return
    out, target = (np.full((1, COLUMNS), value, dtype) for value in without_a_loss(name))
    out[0, -1], target[0, -1] = 0.5, 1 - target[0, 0]
    small, slope = _core.loss(name, summed, out[:, -1:].copy(), target[:, -1:].copy(), None)
    loss, grad = _core.loss(name, summed, out, target, None)
    assert loss == pytest.approx(small, rel=TOLERANCE[dtype])
    assert grad[0, -1] == slope[0, 0] != 0


def test_messages_show_long_numbers_whole() -> None:
    out = np.zeros((1, COLUMNS), np.float32)
    with pytest.raises(ValueError, match=rf"target has {COLUMNS} at row 0.* 0 to {COLUMNS - 1}$"):
        _core.loss("cross_entropy", {}, out, np.array([float(COLUMNS)]), None)
