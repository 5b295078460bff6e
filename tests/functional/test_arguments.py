# SPDX-License-Identifier: BSD-3-Clause
"""Functions write results where `out` says, and refuse arguments that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn.functional as F
from layouts import DTYPES, draws, read_only
from members import names

if TYPE_CHECKING:
    from collections.abc import Callable


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


# -- inputs ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("n_threads", [0, -1, 257, 1000, 2**31, 1.5, "2", True])
def test_numbers_of_threads_that_no_call_takes(n_threads) -> None:
    x = np.ones((4, 4))
    for call in (F.linear, F.matmul):
        with pytest.raises((ValueError, TypeError), match=r"n_threads"):
            call(x, x, n_threads=n_threads)
    with pytest.raises((ValueError, TypeError), match=r"n_threads"):
        F.linear_backward(x, x, x, n_threads=n_threads)


def test_losses_refuse() -> None:
    scores = np.zeros((3, 4))
    with pytest.raises(ValueError, match=r"\[cross_entropy\] target has 4 at row 1, column 0; exp"):
        F.cross_entropy(scores, [0, 4, 1])
    with pytest.raises(ValueError, match="target has -1 at row 0, column 0; expected class"):
        F.cross_entropy(scores, [-1, 0, 1])
    assert F.cross_entropy(scores, [0.0, 1.0, 2.0])[0] == F.cross_entropy(scores, [0, 1, 2])[0]
    with pytest.raises(ValueError, match=r"target has 0\.5 at row 0, column 0; expected class"):
        F.cross_entropy(scores, [0.5, 1.0, 2.0])
    with pytest.raises(ValueError, match="target has 2 rows, out has 3"):
        F.cross_entropy(scores, [0, 1])
    with pytest.raises(ValueError, match=r"\[mse_loss\] target has shape \(3,\)"):
        F.mse_loss(scores, [0, 1, 2])
    with pytest.raises(ValueError, match="sample_weight"):
        F.mse_loss(scores, scores, [1, 2])
    with pytest.raises(ValueError, match="mean"):
        F.mse_loss(scores, scores, reduction="median")


def test_optimizers_refuse_before_they_change_anything() -> None:
    w, v = np.ones(3), np.ones(2)
    state = F.adam_state([w, v])
    cases: list[tuple[type[Exception], str, Callable[[], None]]] = [
        (ValueError, r"grads\[1\] has shape \(3,\)", lambda: F.adam_step_([w, v], [w, w], state)),
        (
            ValueError,
            "grads has 1 arrays; expected 2, as",
            lambda: F.adam_step_([w, v], [w], state),
        ),
        (
            ValueError,
            r"state.arrays\['exp_avg'\]\[0\] has shape \(3,\); expected \(2,\), the shape of its",
            lambda: F.adam_step_([v, w], [v, w], state),
        ),
        (ValueError, "read-only", lambda: F.sgd_step_([v, read_only(w.copy())], [v, w], lr=1)),
        (
            TypeError,
            r"params\[1\] has dtype int64",
            lambda: F.sgd_step_([v, np.arange(3)], [v, w], lr=1),
        ),
        (TypeError, "expected a NumPy array", lambda: F.sgd_step_([[1.0]], [[1.0]], lr=1)),
        (
            ValueError,
            r"state is None; expected F.sgd_state\(params\): .* remembers momentum_buffer",
            lambda: F.sgd_step_(w, w, lr=1, momentum=0.9),
        ),
        (ValueError, "lr", lambda: F.sgd_step_(w, w, lr=-1)),
        (TypeError, "state is dict", lambda: F.adam_step_(w, w, {})),  # type: ignore[arg-type]
    ]
    for kind, text, call in cases:
        with pytest.raises(kind, match=text):
            call()
    assert (w.tolist(), v.tolist(), state.step) == ([1, 1, 1], [1, 1], 0)
