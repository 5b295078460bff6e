# SPDX-License-Identifier: BSD-3-Clause
"""Products have the right values, dtypes and bits, and keep to the memory of their arrays."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import _core, reference
from guard_pages import at_the_end
from layouts import DTYPES, LAYOUTS, close, draws

SHAPES = [(1, 1, 1), (1, 5, 3), (3, 1, 17), (6, 16, 8), (7, 33, 1), (13, 129, 67), (40, 300, 130)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_and_its_gradients(
    rng: np.random.Generator, awkward_shape: tuple[int, int, int], dtype: str
) -> None:
    n, n_in, n_out = awkward_shape
    x, w, b = (draws(rng, s, dtype) for s in ((n, n_in), (n_in, n_out), n_out))
    dy = draws(rng, (n, n_out), dtype)
    y = F.linear(x, w, b)
    assert y.dtype == dtype
    close(y, x @ w + b, dtype, "linear")
    close(F.matmul(x, w), x @ w, dtype, "linear")
    got = F.linear_backward(dy, x, w)
    for mine, theirs in zip(got, reference.linear_backward(dy, x, w), strict=True):
        close(mine, theirs, dtype, "linear")
    assert F.linear_backward(dy, x, w, need_dx=False)[0] is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_linear_takes_any_layout(rng: np.random.Generator, layout: str, dtype: str) -> None:
    x, w, dy = (draws(rng, s, dtype) for s in ((33, 17), (17, 9), (33, 9)))
    change = LAYOUTS[layout]
    expected = F.linear(x, w)
    assert np.array_equal(F.linear(change(x), change(w)), expected)
    plain = F.linear_backward(dy, x, w)
    for mine, theirs in zip(
        F.linear_backward(change(dy), change(x), change(w)), plain, strict=True
    ):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_threads_do_not_change_bits(rng: np.random.Generator, n_threads: int) -> None:
    x, w = draws(rng, (257, 65), "float32"), draws(rng, (65, 33), "float32")
    assert np.array_equal(F.matmul(x, w, n_threads=n_threads), F.matmul(x, w))


def test_linear_with_vectors() -> None:
    x, w = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, -1.0])
    assert F.linear(x, w, 0.5).tolist() == [-0.5, -0.5]
    assert F.linear(x[0], w[:, None], [0.5]).tolist() == [-0.5]
    assert float(F.matmul(x[0], w)) == -1.0
    dx, dw, db = F.linear_backward([1.0, 2.0], x, w)
    assert dx is not None
    assert (dx.tolist(), dw.tolist(), float(db)) == ([[1, -1], [2, -2]], [7, 10], 3.0)


def test_dtype_of_results() -> None:
    half, single, double = (np.ones((2, 2), t) for t in ("f2", "f4", "f8"))
    image = np.ones((2, 2), np.uint8)
    assert F.matmul(half, single).dtype == np.float32
    assert F.matmul(image, single).dtype == np.float32
    assert F.matmul(single, double).dtype == np.float64
    assert F.matmul(image, image).dtype == np.float64
    assert F.matmul([[True]], [[2]]).dtype == np.float64


def test_shapes_without_numbers() -> None:
    empty = np.zeros((0, 3))
    assert F.linear(empty, np.ones((3, 2))).shape == (0, 2)
    dx, dw, db = F.linear_backward(np.zeros((0, 2)), empty, np.ones((3, 2)))
    assert dx is not None
    assert dx.shape == (0, 3)
    assert not dw.any()
    assert not db.any()
    with pytest.raises(ValueError, match=r"w has shape \(0, 3\); expected .* at least one row"):
        F.linear(np.zeros((2, 0)), np.zeros((0, 3)), np.arange(3.0))
    assert F.relu(empty).shape == (0, 3)
    assert F.softmax(empty).shape == (0, 3)
    F.sgd_step_(empty, empty, lr=0.1)


def fma_chain(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """Return x @ w + b, summed in the order of k from the bias on, in a wider type."""
    y = np.zeros((len(x), w.shape[1]), np.longdouble)
    if b is not None:
        y += b
    for k in range(w.shape[0]):
        y += x[:, k : k + 1].astype(np.longdouble) * w[k]
    return y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_products_stay_inside_the_callers_memory(rng, shape, dtype) -> None:
    n, k, m = shape
    x, w, b, dy = (draws(rng, s, dtype) for s in ((n, k), (k, m), m, (n, m)))
    y, (dx, dw, db) = F.linear(x, w, b), F.linear_backward(dy, x, w)
    close(y, fma_chain(x, w, b).astype(dtype), dtype, "linear")
    gx, gw, gb, gdy, out = map(at_the_end, (x, w, b, dy, np.full_like(y, np.nan)))
    assert F.linear(gx, gw, gb, out=out) is out
    np.testing.assert_array_equal(out, y)
    for mine, plain in zip(F.linear_backward(gdy, gx, gw), (dx, dw, db), strict=True):
        np.testing.assert_array_equal(mine, plain)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_bits_of_products_depend_on_values_alone(rng, shape, dtype) -> None:
    """An operand may be a transpose, a slice or a copy, and any number of threads may work."""
    n, k, m = shape
    x, w, b, dy = (draws(rng, s, dtype) for s in ((n, k), (k, m), m, (n, m)))
    plain = F.linear(x, w, b), *F.linear_backward(dy, x, w)

    def wide(a: np.ndarray) -> np.ndarray:
        return np.pad(a, ((1, 2), (3, 1)))[1 : 1 + len(a), 3 : 3 + a.shape[1]]

    def turned(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(a.T).T

    for change in (wide, turned, lambda a: wide(a.T).T, lambda a: a[::-1].copy()[::-1]):
        for n_threads in (None, 1, 2, 3):
            other = (
                F.linear(change(x), change(w), b, n_threads=n_threads),
                *F.linear_backward(change(dy), change(x), change(w), n_threads=n_threads),
            )
            for mine, theirs in zip(other, plain, strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_results_in_memory_that_is_also_read(rng) -> None:
    memory = draws(rng, (65, 64), "float32")
    x, out, w = memory[:-1], memory[1:], draws(rng, (64, 64), "float32")
    before = memory.copy()
    for call in (
        lambda z, to: _core.linear(z, w, None, to),
        lambda z, to: _core.activation("tanh", {}, z, to),
        lambda z, to: _core.activation_backward("tanh", {}, z, z, to),
        lambda z, to: _core.activation("softmax", {}, z, to),
        lambda z, to: _core.activation("log_softmax", {}, z, to),
        lambda z, to: _core.activation_backward("softmax", {}, z, z, to),
    ):
        memory[...] = before
        expected = call(before[:-1], None)
        assert call(x, out) is out
        np.testing.assert_array_equal(out, expected)
    square = before[:64].copy()
    expected = F.matmul(square, w)
    np.testing.assert_array_equal(_core.linear(square, w, None, square), expected)
    # A part of the input would take the result of another part.
    for function in (F.relu, F.softmax):
        with pytest.raises(ValueError, match="shares memory"):
            function(x, out=out)
