# SPDX-License-Identifier: BSD-3-Clause
"""Long calls of fastnn.functional let other threads run, and end when Ctrl-C comes."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable


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
    """Repeat a product without end, since a fast machine ends one call before the signal comes."""
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
