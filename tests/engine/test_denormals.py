# SPDX-License-Identifier: BSD-3-Clause
"""Subnormal numbers are zero inside fastnn and never slow, whatever the caller's mode is."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import float_register
from fastnn import callbacks, nn, optim
from fastnn import functional as F
from float_register import DENORMALS_ARE_ZERO, FLUSH_TO_ZERO, UPWARDS, needs_register

if TYPE_CHECKING:
    from collections.abc import Callable

SLOW = 2.0  # allows for a busy machine; without the engine's mode the ratios are 5 to 45


def blobs(dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return rows in which a tenth of the columns is subnormal."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((192, 40)).astype(dtype)
    x[:, ::10] *= np.finfo(dtype).smallest_normal / 8
    return x, rng.integers(0, 5, 192)


def network(dtype: str = "float32", n_threads: int | None = None) -> nn.Sequential:
    model = nn.Sequential(
        nn.Linear(40, 64), nn.BatchNorm1d(64), nn.GELU(), nn.Dropout(0.2), nn.Linear(64, 32),
        nn.Tanh(), nn.Linear(32, 5), seed=4, dtype=dtype, n_threads=n_threads,
    )  # fmt: skip
    model.compile(optim.Adam(lr=1e-2), "cross_entropy", metrics=["accuracy"])
    return model


def everything(dtype: type, n: int, *bits: int) -> list[bytes]:
    """Return the bits of all results of a model and of the functions in this mode of the caller.

    The arrays and the model are made before, because NumPy's arithmetic depends on the mode.
    """
    x, y = blobs(dtype)
    model = network(np.dtype(dtype).name, n)
    w = model[0].weight.T.copy()
    dy = np.random.default_rng(6).standard_normal((192, 64)).astype(dtype)
    dout = dy[:50, :5] * dtype(1e-3)
    wide = x * dtype(90)
    with float_register.mode(*bits):
        logs = model.fit(x, y, batch_size=96, epochs=3, validation_data=(x, y)).history
        step = model.train_step(x, y)
        arrays = [model.forward(x[:50], training=True)]
        model.backward(dout)
        norm = model.clip_grad_norm(1e-3)
        model.apply_gradients()
        scores = model.evaluate(x, y)
        arrays += [model.predict(rows) for rows in (x, x[:1], x[:7])]
        arrays += [F.linear(x, w, n_threads=n), *F.linear_backward(dy, x, w, n_threads=n)]
        arrays += [F.softmax(wide), F.gelu(x)]
    numbers = [*logs["loss"], *logs["val_loss"], step, norm, *scores.values()]
    arrays += [np.array(numbers), *model.state_dict().values()]
    return [np.ascontiguousarray(array).tobytes() for array in arrays]


MODES = {
    "usual": (),
    "flush": (FLUSH_TO_ZERO, DENORMALS_ARE_ZERO),
    "flush results": (FLUSH_TO_ZERO,),
    "round upwards": (UPWARDS,),
}


@needs_register
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_callers_mode(dtype):
    expected = everything(dtype, 1)
    for name, bits in MODES.items():
        for n in (1, 2, 3, 2, 3):
            assert everything(dtype, n, *bits) == expected, (name, n)


def refused(model: nn.Sequential, x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(ValueError, match="nan"):
        model.fit(x, y)


@needs_register
@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("n", [1, 2])
def test_the_callers_mode_is_back_in_callbacks_and_after_every_call(name, n):
    seen = []
    x, y = blobs()

    def look(*_: object) -> None:
        seen.append(float_register.read())

    hook = callbacks.LambdaCallback(on_epoch_begin=look, on_epoch_end=look)
    with float_register.mode(*MODES[name]):
        before = float_register.read()
        model = network(n_threads=n)
        calls: list[Callable[[], object]] = [
            lambda: model.fit(x, y, epochs=2, callbacks=[hook]),
            lambda: model.train_step(x, y),
            lambda: model.predict(x),
            lambda: model.predict(x[:1]),
            lambda: model.evaluate(x, y),
            lambda: model.loss_and_grad(x, y),
            lambda: model.clip_grad_norm(0.1),
            model.apply_gradients,
            lambda: F.linear(x, model[0].weight.T, n_threads=n),
            lambda: refused(model, x * np.nan, y),
        ]
        for number, call in enumerate(calls):
            call()
            assert float_register.read() == before, number
    assert set(seen) == {before}
    assert len(seen) == 4


@needs_register
def test_a_mode_that_a_callback_sets_stays():
    x, y = blobs()
    hook = callbacks.LambdaCallback(
        on_epoch_end=lambda *_: float_register.write(float_register.USUAL | FLUSH_TO_ZERO)
    )
    with float_register.mode():
        network().fit(x, y, epochs=1, callbacks=[hook])
        assert float_register.read() == float_register.USUAL | FLUSH_TO_ZERO


@needs_register
def test_threads_made_beside_a_call_are_born_as_usual():
    x, y = blobs()
    seen: list[int] = []

    def look(*_: object) -> None:
        thread = threading.Thread(target=lambda: seen.append(float_register.read()))
        thread.start()
        thread.join()

    model = network(n_threads=2)
    model.fit(x, y, epochs=2, callbacks=[callbacks.LambdaCallback(on_epoch_end=look)])
    look()
    assert set(seen) == {float_register.USUAL}


def test_what_is_below_the_smallest_normal_number_is_zero():
    model = nn.Sequential(nn.Linear(2, 1, bias=False), seed=0)
    model[0].weight[...] = 1
    tiny = np.float32(1e-39)
    rows = np.array([[tiny, tiny], [np.finfo(np.float32).smallest_normal, 0]], np.float32)
    assert model.predict(rows).tolist() == [[0.0], [float(np.finfo(np.float32).smallest_normal)]]
    assert model.predict(rows.astype(np.float64))[0, 0] == 0  # 1e-39 as it comes, converted
    half = np.array([[2.0**-24, 2.0**-15]], np.float16)  # below float16's, not below float32's
    assert model.predict(half)[0, 0] == 2.0**-24 + 2.0**-15
    assert tiny * np.float32(1) > 0  # the process goes on as it was


def seconds(call: Callable[[], object], times: int = 15) -> float:
    best = np.inf
    for _ in range(times):
        start = time.process_time()  # other processes do not count
        call()
        best = min(best, time.process_time() - start)
    return float(best)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("where", ["X", "W"])
def test_a_step_and_a_predict_are_as_fast_as_with_normal_numbers(dtype, where):
    tiny = np.finfo(dtype).smallest_normal / 4
    rng = np.random.default_rng(1)
    x = rng.uniform(1, 2, (128, 256)).astype(dtype)
    y = rng.standard_normal((128, 4)).astype(dtype)
    times = {}
    for kind in ("normal", "denormal"):
        model = nn.Sequential(
            nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 4), seed=0, n_threads=1,
            dtype=np.dtype(dtype).name,
        )  # fmt: skip
        model.compile(optim.SGD(lr=1e-30), "mse")
        factor = dtype(tiny if kind == "denormal" else 1)
        rows = x * factor if where == "X" else x
        if where == "W":
            model[0].weight[...] = np.abs(model[0].weight) * factor + factor
        times[kind] = [
            seconds(lambda: model.predict(rows)),  # noqa: B023
            seconds(lambda: model.train_step(rows, y)),  # noqa: B023
        ]
    for normal, denormal in zip(times["normal"], times["denormal"], strict=True):
        assert denormal <= SLOW * normal, times


def test_long_trainings_do_not_become_slower():
    """Momentum of units that are always zero, and weights that decay, become subnormal."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((512, 64)).astype(np.float32)
    y = rng.integers(0, 10, 512)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10), seed=0, n_threads=1)
    model.compile(optim.SGD(lr=0.1, momentum=0.9, weight_decay=1e-2), "cross_entropy")
    times = []
    for _ in range(6):
        start = time.process_time()  # other processes do not count
        model.fit(x, y, batch_size=32, epochs=50)
        times.append(time.process_time() - start)
    assert min(times[-2:]) <= SLOW * min(times[:2]), times
