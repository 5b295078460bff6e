# SPDX-License-Identifier: BSD-3-Clause
"""Rows with more columns than float32 can count: 2**24 + 1 is no float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import _core

COLUMNS = 2**24 + 1
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}  # sums of 2**24 numbers


def long_row(dtype: str) -> np.ndarray:
    """One row: repeated numbers, and others of their own in its last columns."""
    row = np.resize(np.linspace(-2, 2, 101), COLUMNS)
    row[-3:] = (-3.0, 4.0, 20.0)
    return row.astype(dtype)[None, :]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("row", _core.registries()["activations"], ids=lambda row: row["name"])
def test_activations_reach_the_last_column(row: dict[str, Any], dtype: str) -> None:
    x = long_row(dtype)
    whole = _core.activation(row["name"], {}, x)
    ends = _core.activation(row["name"], {}, np.ascontiguousarray(x[:, -50:]))
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


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("row", _core.registries()["losses"], ids=lambda row: row["name"])
def test_losses_count_the_last_column(row: dict[str, Any], dtype: str) -> None:
    """Only the last column is wrong, so it alone has a loss."""
    out, target = np.zeros((1, COLUMNS), dtype), np.zeros((1, COLUMNS), dtype)
    summed = {"reduction": 1}
    if row["target"] == "class":
        out[0, -1] = 30
        loss, grad = _core.loss(row["name"], summed, out, np.array([COLUMNS - 1]), None)
        rest = (COLUMNS - 1) * np.exp(-30)
        assert loss == pytest.approx(np.log1p(rest), rel=TOLERANCE[dtype])
        assert grad[0, -1] == pytest.approx(-rest / (1 + rest), rel=TOLERANCE[dtype])
        return
    if row["name"] == "bce_with_logits":
        out -= 100
    out[0, -1], target[0, -1] = 0.5, 1
    small, slope = _core.loss(row["name"], summed, out[:, -1:].copy(), target[:, -1:].copy(), None)
    loss, grad = _core.loss(row["name"], summed, out, target, None)
    assert loss == pytest.approx(small, rel=TOLERANCE[dtype])
    assert grad[0, -1] == slope[0, 0] != 0


def test_messages_show_long_numbers_whole() -> None:
    out = np.zeros((1, COLUMNS), np.float32)
    with pytest.raises(ValueError, match=rf"target has {COLUMNS} at row 0.* 0 to {COLUMNS - 1}$"):
        _core.loss("cross_entropy", {}, out, np.array([float(COLUMNS)]), None)
