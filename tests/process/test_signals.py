# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C, other signals and the end of the process take effect at once, between whole steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import probe
from fastnn import ModelBusyError, nn, optim

LONGEST = 0.2  # seconds from a signal to its exception
CASES = [
    "Small",
    "FewRows",
    "OneBatch",
    "WideBatch",
    "Shuffled",
    "Predict",
    "Evaluate",
    "Callback",
]
OFTEN = {"Small": 4, "Callback": 4, "FewRows": 6}  # the others twice


def check(case: str, times: int, n_threads: int) -> None:
    seen = probe.report(
        "signal_probe.py", case, str(times), str(n_threads), seconds=60 + 15 * times
    )
    assert seen["wrong"] == []
    assert len(seen["seconds"]) == times
    assert max(seen["seconds"]) <= LONGEST, sorted(seen["seconds"])[-5:]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_ctrl_c_is_answered_and_leaves_whole_steps(case: str, n_threads: int) -> None:
    check(case, OFTEN.get(case, 2), n_threads)


@pytest.mark.nightly
@pytest.mark.parametrize("n_threads", [0, 1, 2, 5])
@pytest.mark.parametrize("case", CASES)
def test_ctrl_c_at_fifty_moments(case: str, n_threads: int) -> None:
    check(case, 50, n_threads)


class OwnError(Exception):
    pass


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    return rng.standard_normal((500, 12)).astype(np.float32), rng.integers(0, 3, 500)


def compiled(seed: int = 0) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 3), seed=seed)
    model.compile(optim.Adam(lr=1e-3), "cross_entropy")
    return model


def alarm(handler, *delays: float) -> threading.Thread:
    """Send SIGALRM, to be handled by `handler`, after each of the delays."""
    signal.signal(signal.SIGALRM, handler)

    def send() -> None:
        for delay in delays:
            time.sleep(delay)
            os.kill(os.getpid(), signal.SIGALRM)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.fixture(autouse=True)
def _handlers_as_before():
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_exception_of_a_handler_is_the_one_that_arrives(data, n_threads):
    def fail(*_):
        raise OwnError("from the handler")

    model = compiled()
    thread = alarm(fail, 0.1)
    with pytest.raises(OwnError, match="from the handler"):
        model.fit(*data, epochs=10**7, n_threads=n_threads)
    thread.join()
    assert np.isfinite(model.fit(*data, epochs=1).history["loss"][0])


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_handler_that_returns_changes_nothing(data, n_threads):
    """The handler may use other models while the core trains this one.

    Signals are sent until three were handled while the core trained; the third ends the fit.
    """
    other, answers = compiled(5), []
    expected = other.predict(data[0]).tobytes()

    def work(*_):
        if not model._network.busy:
            return
        answers.append(other.predict(data[0], n_threads=2).tobytes())
        with pytest.raises(ModelBusyError):
            model.predict(data[0])  # never weights in the middle of a step
        if len(answers) == 3:
            raise OwnError

    def send():
        while not ended.wait(0.02):
            os.kill(os.getpid(), signal.SIGALRM)

    model, ended = compiled(), threading.Event()
    signal.signal(signal.SIGALRM, work)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        with pytest.raises(OwnError):
            model.fit(*data, epochs=10**7, batch_size=50, n_threads=n_threads)
    finally:
        ended.set()
        thread.join()
    epochs = len(model.history.epoch)
    undisturbed = compiled().fit(*data, epochs=epochs, batch_size=50)
    assert model.history.history == undisturbed.history
    assert answers == [expected] * 3


@pytest.mark.parametrize("n_threads", [1, 2])
def test_steps_before_an_interruption_are_kept(data, n_threads):
    """Steps of an unfinished epoch are kept, too; here it is the first one, of a million steps."""
    rows = 16_000_000
    x, y = np.broadcast_to(data[0][:1], (rows, 12)), np.broadcast_to(data[1][:1], rows)
    model, seen, ended = compiled(), [], threading.Event()

    def fail(*_):
        if not model._network.busy:
            return
        seen.append(model._network.step)
        if len(seen) == 3:  # the core asks for signals every 50 ms: it has worked in between
            raise OwnError

    def send():
        while not ended.wait(0.02):
            os.kill(os.getpid(), signal.SIGALRM)

    signal.signal(signal.SIGALRM, fail)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        with pytest.raises(OwnError):
            model.fit(x, y, batch_size=16, epochs=10**6, shuffle=False, n_threads=n_threads)
    finally:
        ended.set()
        thread.join()
    assert model.history.epoch == []
    assert 0 < model._network.step < rows / 16


@pytest.mark.parametrize("n_threads", [1, 2])
def test_fit_in_another_thread_neither_answers_nor_blocks(data, n_threads):
    """Signals are handled by the main thread, which raises; the fit of another thread continues."""

    def fail(*_):
        raise OwnError

    model, histories = compiled(), []
    fit = threading.Thread(
        target=lambda: histories.append(model.fit(*data, epochs=600, n_threads=n_threads))
    )
    thread = alarm(fail, 0.1)
    with pytest.raises(OwnError):  # noqa: PT012
        fit.start()
        while True:
            time.sleep(0.001)
    fit.join(timeout=60)
    thread.join()
    assert not fit.is_alive()
    assert len(histories[0].epoch) == 600


ENDLESS = """
import sys, threading, time
import numpy as np
from fastnn import nn
model = nn.Sequential(nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 3))
model.compile("adam", "cross_entropy")
x, y = np.ones((500, 12), np.float32), np.ones(500, int)
def work():
    print("ready", flush=True)
    {loop}
"""
LOOPS = {
    "one long fit": "model.fit(x, y, epochs=10**9, n_threads={n})",
    "short fits": "while True: model.fit(x, y, epochs=2, n_threads={n})",
    "predict": "while True: model.predict(x, n_threads={n})",
    "steps": "while True: model.train_step(x, y, n_threads={n})",
}


@pytest.mark.parametrize("n_threads", [1, 2])
def test_sigterm_ends_the_process_at_once(n_threads):
    code = ENDLESS.format(loop=LOOPS["one long fit"].format(n=n_threads)) + "work()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        start = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == -signal.SIGTERM
        assert time.perf_counter() - start <= LONGEST


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_process_may_end_while_a_daemon_thread_trains(loop, n_threads):
    """CPython before 3.14 unwinds such threads when they take the GIL."""
    code = ENDLESS.format(loop=LOOPS[loop].format(n=n_threads)) + (
        "threading.Thread(target=work, daemon=True).start()\n"
        "end = time.perf_counter() + 0.15\n"
        "while time.perf_counter() < end: pass\n"
    )
    status, _, errors = probe.run("-c", code, seconds=30)
    assert (status, errors) == (0, "")
