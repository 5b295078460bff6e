# SPDX-License-Identifier: BSD-3-Clause
"""fastnn.functional: products, activations and softmax against the twin, and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import reference
from layouts import DTYPES, LAYOUTS, close, draws, read_only
from members import cases, names

if TYPE_CHECKING:
    from collections.abc import Callable


# -- products --------------------------------------------------------------------------------------


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


# -- out= ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_out_is_filled_and_returned(rng: np.random.Generator, dtype: str, order: str) -> None:
    x, w = draws(rng, (5, 7), dtype), draws(rng, (7, 3), dtype)
    memory = np.zeros((10, 6), dtype)
    out = memory[::2, ::2] if order == "strided" else np.empty((5, 3), dtype, order=order)
    assert F.linear(x, w, out=out) is out
    assert np.array_equal(out, F.linear(x, w))
    assert not memory[1::2].any()
    for function in (F.softmax, F.log_softmax):
        scores = np.empty((5, 7), dtype)
        assert function(x, out=scores) is scores
        assert np.array_equal(scores, function(x))


def test_out_is_refused() -> None:
    x, w = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
    with pytest.raises(ValueError, match=r"\[linear\] out is read-only"):
        F.linear(x, w, out=read_only(np.empty((2, 4), np.float32)))
    with pytest.raises(ValueError, match=r"out is float64 .* expected float32"):
        F.linear(x, w, out=np.empty((2, 4)))
    with pytest.raises(
        ValueError, match=r"with shape \(4, 2\); expected float32 with shape \(2, 4\)"
    ):
        F.linear(x, w, out=np.empty((4, 2), np.float32))
    with pytest.raises(TypeError, match="out has dtype >f4"):
        F.linear(x, w, out=np.empty((2, 4), ">f4"))
    with pytest.raises(TypeError, match="out is list"):
        F.linear(x, w, out=[[0.0] * 4] * 2)
    square = np.ones((3, 3), np.float32)
    with pytest.raises(ValueError, match="shares memory"):
        F.matmul(square, square, out=square)


# -- activations, softmax, step --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), cases("activations"))
def test_activations(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str
) -> None:
    function, backward = getattr(F, name), getattr(F, f"{name}_backward")
    row = reference.ACTIVATIONS[name]
    for shape in ((1, 1), (3, 17), (64, 33), (5,)):
        z, dy = draws(rng, shape, dtype), draws(rng, shape, dtype)
        a = function(z, **hyper)
        expected = reference.activation(name, hyper, z)
        close(a, expected, dtype, "activation", row.tolerance)
        saved = z if row.needs == "input" else a
        dz = backward(dy, saved, **hyper)
        expected = reference.activation_backward(name, hyper, dy, saved)
        close(dz, expected, dtype, "activation", row.tolerance)
        out = np.empty_like(z)
        assert function(z, **hyper, out=out) is out
        assert np.array_equal(out, a)
        assert backward(dy, saved, **hyper, out=out) is out
        assert np.array_equal(out, dz)


@pytest.mark.parametrize("name", names("activations"))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_activations_take_any_layout(rng: np.random.Generator, name: str, layout: str) -> None:
    z = draws(rng, (9, 13), "float32")
    function = getattr(F, name)
    assert np.array_equal(function(LAYOUTS[layout](z)), function(z))


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax(rng: np.random.Generator, dtype: str) -> None:
    for shape in ((1, 1), (5,), (7, 10), (33, 17), (2, 3, 4)):
        x = draws(rng, shape, dtype)
        close(F.softmax(x), reference.softmax(x), dtype, "activation")
        close(F.log_softmax(x), reference.log_softmax(x), dtype, "activation")
    huge = np.array([[1e4, -1e4, 0.0]], dtype)
    assert F.softmax(huge).tolist() == [[1, 0, 0]]
    assert F.log_softmax(huge).tolist() == [[0, -2e4, -1e4]]
    for layout, change in LAYOUTS.items():
        x = draws(rng, (5, 6), dtype)
        assert np.array_equal(F.softmax(change(x)), F.softmax(x)), layout


def test_step() -> None:
    assert F.step([-1, 0, 2]).tolist() == [0, 1, 1]
    assert np.isnan(F.step([np.nan])[0])
    assert F.step(np.float32(3)).dtype == np.float32


# -- refusals shared by all ------------------------------------------------------------------------

BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "object": (np.array([[1, 2]], object), TypeError, "dtype object"),
    "string": (np.array([["a", "b"]]), TypeError, "dtype <U1"),
    "complex": (np.ones((1, 2), complex), TypeError, "dtype complex128"),
    "date": (np.zeros((1, 2), "M8[s]"), TypeError, "dtype datetime64"),
    "long double": (np.ones((1, 2), np.longdouble), TypeError, "dtype"),
    "masked": (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), ValueError, "masked cells"),
    "ragged": ([[1.0], [1.0, 2.0]], ValueError, "rectangular"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_arrays_are_refused(kind: str) -> None:
    bad, error, text = BAD[kind]
    good = np.ones((2, 2))
    calls: list[Callable[[], Any]] = [
        lambda: F.linear(bad, good),
        lambda: F.linear(good, good, bad),
        lambda: F.linear_backward(bad, good, good),
        lambda: F.softmax(bad),
        lambda: F.log_softmax(bad),
        lambda: F.step(bad),
        lambda: F.mse_loss(bad, good[:1]),
        lambda: F.mse_loss(good[:1], bad),
        lambda: F.cross_entropy(bad, [0]),
        lambda: F.perceptron(bad, [0]),
        lambda: F.sgd_step_(np.ones((1, 2)), bad, lr=0.1),
        lambda: F.compare(bad, bad),
        *(lambda name=name: getattr(F, name)(bad) for name in names("activations")),
    ]
    for call in calls:
        with pytest.raises(error, match=text):
            call()


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[linear\] x has 3 columns, w expects 2"):
        F.linear(np.ones((1, 3)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"\[linear\] b has shape \(3,\); expected \(2,\)"):
        F.linear(np.ones((1, 2)), np.ones((2, 2)), np.ones(3))
    with pytest.raises(ValueError, match=r"x has shape \(1, 1, 2\); expected \(n, 2\)"):
        F.linear(np.ones((1, 1, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"dy has shape \(2,\); expected \(1, 2\)"):
        F.linear_backward([1.0, 2.0], np.ones((1, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError, match="n_threads"):
        F.matmul([[1.0]], [[1.0]], n_threads=0)
    with pytest.raises(ValueError, match="softmax"):
        F.softmax(1.0)
    assert F.linear(np.ones((0, 2)), np.ones((2, 3))).shape == (0, 3)
    unmasked = np.ma.array([[1.0, 2.0]], mask=False)
    assert F.softmax(unmasked).shape == (1, 2)


def test_a_training_step_by_hand(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((128, 784), dtype=np.float32), rng.integers(0, 10, 128)
    W1, b1 = F.init.xavier_uniform((784, 64), seed=1), np.zeros(64, np.float32)
    W2, b2 = F.init.kaiming_uniform((64, 10), seed=2), np.zeros(10, np.float32)
    params = [W1, b1, W2, b2]
    state = F.adam_state(params)
    losses = []
    for _ in range(30):
        a1 = F.relu(F.linear(x, W1, b1))
        z2 = F.linear(a1, W2, b2)
        loss, dz2 = F.cross_entropy(z2, y)
        losses.append(loss)
        da1, dW2, db2 = F.linear_backward(dz2, a1, W2)
        assert da1 is not None
        _, dW1, db1 = F.linear_backward(F.relu_backward(da1, a1), x, W1, need_dx=False)
        F.clip_grad_norm_([dW1, db1, dW2, db2], max_norm=1.0)
        F.adam_step_(params, [dW1, db1, dW2, db2], state, lr=1e-2)
    assert losses[-1] < 0.1 * losses[0]
    assert F.mse_loss(F.softmax(z2), F.one_hot(y, 10))[0] < 0.05
    assert F.compare(F.linear(x, W1, b1), x @ W1 + b1, rtol=1e-5)
