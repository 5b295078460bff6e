# SPDX-License-Identifier: BSD-3-Clause
"""Initial weights, masks, classes, clipping and checks work as learning by hand needs them."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import reference
from layouts import DTYPES, draws


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_mask(dtype: str) -> None:
    mask = F.dropout_mask((128, 63), p=0.2, seed=3, step=2, layer=1, dtype=dtype)
    twin = reference.dropout_mask((128, 63), 0.2, 3, 1, 2, np.dtype(dtype))
    assert mask.dtype == dtype
    assert np.array_equal(mask, twin)
    assert abs(mask.mean() - 1) < 0.05
    assert not np.array_equal(mask, F.dropout_mask((128, 63), p=0.2, seed=3, layer=1))
    assert F.dropout_mask(4, 0.0, 0).tolist() == [1, 1, 1, 1]
    for wrong in (1.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="p is"):
            F.dropout_mask((2, 2), wrong, 0)


def test_initial_weights() -> None:
    w = F.init.xavier_uniform((784, 64), seed=1)
    bound = np.sqrt(6 / (784 + 64))
    assert (w.shape, w.dtype) == ((784, 64), np.float32)
    assert abs(w).max() <= np.float32(bound)
    assert abs(w.std() - bound / np.sqrt(3)) < 1e-3
    assert np.array_equal(w, F.init.xavier_uniform((784, 64), seed=1))
    assert not np.array_equal(w, F.init.xavier_uniform((784, 64), seed=2))
    assert abs(F.init.kaiming_uniform((6, 500), seed=2)).max() == pytest.approx(1, abs=1e-2)
    even = F.init.uniform(1000, 2.0, 3.0, seed=5, dtype="float64")
    assert 2 <= even.min() < even.max() < 3
    for shape in ((0, 3), (3, -1), (2,)):
        with pytest.raises(ValueError, match="shape"):
            F.init.xavier_uniform(shape)
    with pytest.raises(ValueError, match="seed"):
        F.init.kaiming_uniform((2, 2), seed=-1)


def test_one_hot() -> None:
    assert F.one_hot([1, 0], 3).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert F.one_hot(np.array([[2]], np.uint8)).dtype == np.float32
    with pytest.raises(ValueError, match="y has 3 at row 1, column 0; expected class numbers 0"):
        F.one_hot([0, 3], 3)
    with pytest.raises(ValueError, match=r"expected class numbers 0 to 0$"):
        F.one_hot([-1])
    with pytest.raises(TypeError, match="expected integers"):
        F.one_hot([0.0])
    with pytest.raises(ValueError, match="n_classes is needed"):
        F.one_hot(np.zeros(0, int))


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_grad_norm(rng: np.random.Generator, dtype: str) -> None:
    grads = [draws(rng, (4, 3), dtype), draws(rng, 5, dtype), draws(rng, (300, 70), dtype)]
    grads.append(draws(rng, (20, 6), dtype)[::2, 1::2])
    twin = [g.astype(np.float64) for g in grads]
    factor, norm = reference.clip_factor(twin, 0.5)
    assert F.clip_grad_norm_(grads, 0.5) == pytest.approx(norm, rel=1e-14)
    for g, t in zip(grads, twin, strict=True):
        np.testing.assert_allclose(g, t * factor, rtol=1e-14 if dtype == "float64" else 1e-6)
    assert F.clip_grad_norm_(grads, 0.5) == pytest.approx(0.5, rel=1e-5)
    with pytest.raises(ValueError, match=r"grads\[0\] has a value that is not finite"):
        F.clip_grad_norm_([np.array([np.inf])], 1.0)
    with pytest.raises(ValueError, match="max_norm"):
        F.clip_grad_norm_(grads, 0)


def test_check_gradient(rng: np.random.Generator) -> None:
    x = draws(rng, (128, 784), "float32")
    w = F.init.xavier_uniform((784, 64), seed=1).astype(np.float64)

    def mine(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        return float((z**2).mean()), 2 * x.T @ z / z.size

    report = F.check_gradient(mine, w, eps=1e-6, n_samples=50)
    assert report.n_checked == 50
    assert report.max_rel_error < 1e-6

    # A mistake in one entry: d/dv of v^3 with 1 too much where v is 2.
    report = F.check_gradient(lambda v: ((v**3).sum(), 3 * v**2 + (v == 2)), np.arange(1.0, 5))
    assert report.index == (1,)
    assert report.given == 13
    assert report.numeric == pytest.approx(12)
    assert "(1,)" in str(report)
    with pytest.raises(TypeError, match=r"f returned float; expected \(loss, gradient\)"):
        F.check_gradient(lambda _: 1.0, [1.0])  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="gives a gradient of shape"):
        F.check_gradient(lambda _: (1.0, [1.0, 2.0]), [1.0])


def test_compare() -> None:
    same = F.compare([[1.0, np.inf]], [[1.0, np.inf]])
    assert same
    assert same.max_rel_error == 0
    far = F.compare([[1.0, 2.0]], [[1.0, np.nan]])
    assert not far
    assert (far.index, far.max_rel_error) == ((0, 1), np.inf)
    assert "DIFFERENT" in str(far)
    with pytest.raises(ValueError, match="expected the same"):
        F.compare([1.0], [[1.0]])


def test_perceptron_learns_the_gates() -> None:
    gate = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    for labels in ([0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]):
        w, b, n_err = F.perceptron(gate, np.array(labels), lr=0.1, epochs=20)
        assert F.step(F.linear(gate, w, b)).tolist() == labels
        assert n_err == 0
        twin = reference.perceptron(gate, labels, 0.1, 20)
        assert np.allclose(w, twin[0])
        assert b == pytest.approx(twin[1])
    assert F.perceptron(gate, [0, 1, 1, 0], epochs=50)[2] > 0  # no line separates XOR
    w, b, n_err = F.perceptron_step(gate, [0, 1, 1, 1], np.zeros((2, 1)), 0.0, lr=0.5)
    assert (w.shape, n_err) == ((2, 1), 2)
    with pytest.raises(ValueError, match=r"y\[0\] is 2.0; expected 0 or 1"):
        F.perceptron(gate, [2, 0, 0, 0])


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
