# SPDX-License-Identifier: BSD-3-Clause
"""The functions read and write the caller's arrays in place, and nothing outside of them."""

from __future__ import annotations

import ctypes
import mmap
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import _core, _registry
from fastnn.functional._functions import loss_name
from layouts import DTYPES, close, draws

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIVATIONS = _core.registries()["activations"]
SHAPES = [(1, 1, 1), (1, 5, 3), (3, 1, 17), (6, 16, 8), (7, 33, 1), (13, 129, 67), (40, 300, 130)]


def guarded(array: np.ndarray) -> np.ndarray:
    """Return a copy that ends at the beginning of an inaccessible page."""
    page = mmap.PAGESIZE
    pages = -(-max(array.nbytes, 1) // page)
    memory = mmap.mmap(-1, (pages + 1) * page)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(first + pages * page), page, 0) == 0
    start = pages * page - array.nbytes
    view = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    view[...] = array
    return view


def fma_chain(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """Return x @ w + b as one chain in k order from the bias, in a wider type."""
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
    gx, gw, gb, gdy, out = map(guarded, (x, w, b, dy, np.full_like(y, np.nan)))
    assert F.linear(gx, gw, gb, out=out) is out
    np.testing.assert_array_equal(out, y)
    for mine, plain in zip(F.linear_backward(gdy, gx, gw), (dx, dw, db), strict=True):
        np.testing.assert_array_equal(mine, plain)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_bits_of_products_depend_on_values_alone(rng, shape, dtype) -> None:
    """Whether an operand is a transpose, a slice, a copy or out of line, and on any threads."""
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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 7, 8, 15, 16, 17, 1023, 1024, 1025, 40_000])
def test_elementwise_functions_stay_inside_the_callers_memory(rng, size, dtype) -> None:
    z, dy = draws(rng, size, dtype), draws(rng, size, dtype)
    for row in ACTIVATIONS:
        forward, backward = getattr(F, row["name"]), getattr(F, f"{row['name']}_backward")
        a, dz = forward(z), backward(dy, z)
        rows = np.pad(z[None], ((0, 1), (0, 64)))[:1, :size]  # one row of a wider matrix
        np.testing.assert_array_equal(forward(rows)[0], a)
        gz, gdy, out = map(guarded, (z, dy, np.full_like(z, np.nan)))
        assert forward(gz, out=out) is out
        np.testing.assert_array_equal(out, a)
        assert backward(gdy, gz, out=out) is out
        np.testing.assert_array_equal(out, dz)
        for target in (gz, gdy):  # either input may take the result
            given_dy, given_z = gdy.copy(), gz.copy()
            other = (given_dy, target) if target is gz else (target, given_z)
            assert backward(*other, out=target) is target
            np.testing.assert_array_equal(target, dz)
            gz[...], gdy[...] = z, dy
        forward(gz, out=gz)
        np.testing.assert_array_equal(gz, a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 3, 16, 33, 100, 5000])
def test_softmax_stays_inside_the_callers_memory(rng, columns, dtype) -> None:
    z = draws(rng, (9, columns), dtype)
    for function in (F.softmax, F.log_softmax):
        expected = np.vstack([function(row[None]) for row in z])
        out = guarded(np.full_like(z, np.nan))
        assert function(guarded(z), out=out) is out
        np.testing.assert_array_equal(out, expected)
        out[...] = z
        np.testing.assert_array_equal(function(out, out=out), expected)
        np.testing.assert_array_equal(function(np.asfortranarray(z)), expected)


LOSSES = {name: getattr(F, loss_name(row)) for name, row in _registry.rows("losses").items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (9, 1), (5, 3), (40, 10), (3, 16), (300, 33), (2, 5000)])
def test_losses_stay_inside_the_callers_memory(rng, shape, dtype) -> None:
    """Whether rows lie side by side or not, and with weights or without: one value and gradient."""
    n, k = shape
    out, binary = rng.uniform(0.1, 0.9, shape).astype(dtype), rng.integers(0, 2, shape)
    for name, loss in LOSSES.items():
        target = rng.integers(0, k, n) if name == "cross_entropy" else binary.astype(dtype)
        for weights in (None, rng.uniform(0.5, 2, n)):
            for reduction in ("mean", "sum"):
                plain = loss(out, target, weights, reduction=reduction)
                wide = np.pad(out, ((0, 1), (3, 5)))[:n, 3 : 3 + k]
                long_way = loss(wide, target.tolist(), weights, reduction=reduction)
                given = guarded(out), guarded(target)
                other = loss(
                    *given, None if weights is None else guarded(weights), reduction=reduction
                )
                np.testing.assert_array_equal(other[1], plain[1])
                np.testing.assert_array_equal(long_way[1], plain[1])
                assert other[0] == plain[0]
                assert long_way[0] == pytest.approx(plain[0], rel=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 15, 16, 17, 257, 70_001])
def test_steps_stay_inside_the_callers_memory(rng, size, dtype) -> None:
    w, g, m = draws(rng, size, dtype), draws(rng, size, dtype), draws(rng, size, dtype)
    steps: list[tuple[Callable[..., None], Any, dict[str, Any]]] = [
        (F.sgd_step_, None, {"lr": 0.1, "l1": 1e-3}),
        (F.sgd_step_, [[m]], {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (F.adam_step_, [[m], [m * m]], {"weight_decay": 0.1}),
        (F.adamw_step_, [[m], [m * m]], {}),
    ]
    for step, memory, hyper in steps:
        results = []
        for lay in (np.copy, guarded, lambda a: np.repeat(a, 2)[::2]):
            param, grad = lay(w), lay(g)
            kept = [[lay(a) for a in kind] for kind in memory or []]
            state = F.OptimizerState(3, kept) if memory else None
            step(param, grad, state, **hyper)
            assert state is None or state.step == 4
            results.append([param.copy(), *(a.copy() for kind in kept for a in kind)])
            np.testing.assert_array_equal(grad, g)
        for other in results[1:]:
            for mine, theirs in zip(other, results[0], strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_a_step_may_share_its_arrays() -> None:
    """The gradient may be the parameter; arrays that overlap otherwise are read first."""
    w = np.arange(1.0, 41.0)
    F.sgd_step_(w, w, lr=0.5)
    np.testing.assert_array_equal(w, np.arange(1.0, 41.0) / 2)
    memory = np.arange(1.0, 42.0)
    F.sgd_step_(memory[1:], memory[:-1].copy(), lr=1.0)
    other = np.arange(1.0, 42.0)
    F.sgd_step_(other[1:], other[:-1], lr=1.0)
    np.testing.assert_array_equal(other, memory)


def test_results_in_memory_that_is_also_read(rng) -> None:
    memory = draws(rng, (65, 64), "float32")
    x, out, w = memory[:-1], memory[1:], draws(rng, (64, 64), "float32")
    before = memory.copy()
    for call in (
        lambda z, to: _core.linear(z, w, None, to),
        lambda z, to: _core.activation("tanh", {}, z, to),
        lambda z, to: _core.activation_backward("tanh", {}, z, z, to),
        _core.softmax,
        _core.log_softmax,
    ):
        memory[...] = before
        expected = call(before[:-1], None)
        assert call(x, out) is out
        np.testing.assert_array_equal(out, expected)
    square = before[:64].copy()
    expected = F.matmul(square, w)
    np.testing.assert_array_equal(_core.linear(square, w, None, square), expected)
    for function in (F.relu, F.softmax):  # a part of the input takes the result of another part
        memory[...] = before
        with pytest.raises(ValueError, match="shares memory") if function is F.relu else _nothing():
            function(memory[:-1], out=memory[1:])


class _nothing:  # noqa: N801
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("n_threads", [0, -1, 257, 1000, 2**31, 1.5, "2", True])
def test_numbers_of_threads_that_no_call_takes(n_threads) -> None:
    x = np.ones((4, 4))
    for call in (F.linear, F.matmul):
        with pytest.raises((ValueError, TypeError), match=r"n_threads"):
            call(x, x, n_threads=n_threads)
    with pytest.raises((ValueError, TypeError), match=r"n_threads"):
        F.linear_backward(x, x, x, n_threads=n_threads)


def long_calls() -> dict[str, Callable[[], object]]:
    big = np.ones((1200, 1200))
    wide = np.zeros((2000, 4000), np.float32)
    state = F.adam_state(wide)
    labels = np.zeros(len(wide), int)
    return {
        "linear": lambda: F.linear(big, big),
        "linear_backward": lambda: F.linear_backward(big, big, big),
        "gelu": lambda: F.gelu(wide),
        "gelu_backward": lambda: F.gelu_backward(wide, wide),
        "softmax": lambda: F.softmax(wide),
        "adam": lambda: F.adam_step_(wide, wide, state),
        "cross_entropy": lambda: F.cross_entropy(wide, labels),
        "mse": lambda: F.mse_loss(wide, wide),
    }


@pytest.mark.parametrize("name", sorted(long_calls()))
def test_other_threads_run_during_a_long_call(name) -> None:
    """A call that keeps the GIL stops every other thread for as long as it takes."""
    call = long_calls()[name]
    call()
    gaps, ready, done = [], threading.Event(), threading.Event()

    def watch() -> None:
        last = time.perf_counter()
        ready.set()
        while not done.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    ready.wait()
    start = time.perf_counter()
    calls = 0
    while time.perf_counter() - start < 0.6:
        call()
        calls += 1
    spent = time.perf_counter() - start
    done.set()
    watcher.join()
    # Beside a call that holds the GIL the watcher gets a turn between two calls only. Free, it gets
    # one every 1.1 ms or so: three in each of the long calls, most of them where calls are short.
    most = spent / 0.0011
    assert len(gaps) > min(3 * calls, 0.6 * most), f"{len(gaps)} turns in {calls} calls"
    assert float(np.median(gaps)) < max(0.005, 0.3 * spent / calls)


def again_and_again(name: str, x: Any, w: Any, dy: Any, n_threads: int) -> None:
    """A fast machine ends a call before the signal comes."""
    while True:
        if name == "linear":
            F.linear(x, w, n_threads=n_threads)
        else:
            F.linear_backward(dy, x, w, need_dx=False, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", ["linear", "linear_backward"])
def test_ctrl_c_ends_a_long_product(name, n_threads) -> None:
    x = np.broadcast_to(np.ones((1, 512), np.float32), (400_000, 512))
    w = np.ones((512, 512), np.float32)
    dy = np.broadcast_to(np.ones((1, 512), np.float32), (400_000, 512))
    sent = []

    def interrupt() -> None:
        time.sleep(0.15)
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        again_and_again(name, x, w, dy, n_threads)
    waited = time.perf_counter() - sent[0]
    sender.join()
    assert waited < 0.5  # 0.2 on a machine of its own


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
