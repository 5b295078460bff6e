# SPDX-License-Identifier: BSD-3-Clause
"""Direct calls of the binding write results into any array that is fit for them, and no other."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from border import assert_worded, lay_out
from fastnn import _core
from layouts import misaligned, read_only
from members import linear, names

if TYPE_CHECKING:
    from collections.abc import Callable

N, F, K = 7, 3, 2
REFUSALS = (TypeError, ValueError)
X = np.random.default_rng(5).standard_normal((N, F)).astype(np.float32)


def network() -> Any:
    return _core.Network([linear(F, 5), ("tanh", {}), linear(5, K)], "float32", 3)


BAD_OUT: dict[str, Callable[[], Any]] = {
    "read-only": lambda: read_only(np.zeros((N, K), np.float32)),
    "rows": lambda: np.zeros((N - 1, K), np.float32),
    "columns": lambda: np.zeros((N, K + 1), np.float32),
    "1-d": lambda: np.zeros(N * K, np.float32),
    "3-d": lambda: np.zeros((N, K, 1), np.float32),
    "float64": lambda: np.zeros((N, K)),
    "int32": lambda: np.zeros((N, K), np.int32),
    "object": lambda: np.zeros((N, K), object),
    "other byte order": lambda: np.zeros((N, K), np.dtype("f4").newbyteorder()),
    "misaligned": lambda: misaligned(np.zeros((N, K), np.float32)),
    "F order": lambda: np.zeros((N, K), np.float32, order="F"),
    "backwards": lambda: np.zeros((N, K), np.float32)[::-1],
    "rows on each other": lambda: np.lib.stride_tricks.as_strided(
        np.zeros((N, K), np.float32), (N, K), (0, 4)
    ),
    "rows that overlap": lambda: np.lib.stride_tricks.as_strided(
        np.zeros((N, K), np.float32), (N, K), (4, 4)
    ),
    "list": lambda: [[0.0] * K] * N,
    "string": lambda: "out",
}
WRITERS: dict[str, Callable[[Any], Any]] = {
    "predict": lambda out: network().predict(X, True, out),
    "linear": lambda out: _core.linear(X, np.ones((F, K), np.float32), None, out),
    "relu": lambda out: _core.activation("relu", {}, X[:, :K], out),
    "softmax": lambda out: _core.activation("softmax", {}, X[:, :K], out),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", BAD_OUT)
def test_out_that_cannot_be_written(writer, kind):
    out = BAD_OUT[kind]()
    before = pickle.dumps(out)
    with pytest.raises(REFUSALS, match=r"^\[[a-z]+\] out ") as caught:
        WRITERS[writer](out)
    assert_worded(caught.value)
    assert pickle.dumps(out) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_out_in_a_larger_array(writer):
    expected = WRITERS[writer](None)
    for steps in ((1, 1), (2, 1), (3, 1)):
        out = lay_out(np.dtype("f4"), np.zeros((N, K)), "C", steps, 0).array
        assert WRITERS[writer](out) is out
        np.testing.assert_array_equal(out, expected)
    wide = np.zeros((N, K + 3), np.float32)
    WRITERS[writer](wide[:, 1 : K + 1])
    np.testing.assert_array_equal(wide[:, 1 : K + 1], expected)
    assert not wide[:, 0].any()
    assert not wide[:, K + 1 :].any()


def test_out_must_not_share_memory_with_x():
    net = _core.Network([linear(K, K)])
    memory = np.zeros((1001, K), np.float32)
    x, out = memory[:-1], memory[1:]
    with pytest.raises(ValueError, match=r"\[predict\] out .*expected"):
        net.predict(x, False, out)
    assert not x.any()


def test_functions_may_write_in_place(rng):
    z = rng.standard_normal((N, K))
    for name in names("activations"):
        copy, expected = z.copy(), _core.activation(name, {}, z)
        np.testing.assert_array_equal(_core.activation(name, {}, copy, copy), expected)
