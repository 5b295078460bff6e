# SPDX-License-Identifier: BSD-3-Clause
"""Training continues whatever happens to the progress display, and ends when it is stopped."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fastnn import ModelBusyError, TrainingDivergedError, callbacks, nn, optim


def make(**kwargs: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 1), dtype=np.float64, **kwargs)
    model.compile(optim.SGD(lr=0.05), "mse")
    return model


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((40, 3))
    return x, x @ np.array([1.0, -2.0, 0.5])


class WriteOnly:
    """A stream like those by which some loggers replace stdout."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class Broken(io.StringIO):
    """A stream that fails after a few writes."""

    def __init__(self, error: Exception, writes: int, where: str = "write") -> None:
        super().__init__()
        self.error, self.left, self.where = error, writes, where

    def _count(self, where: str) -> None:
        self.left -= where == self.where
        if self.left < 0:
            raise self.error

    def write(self, text: str) -> int:
        self._count("write")
        return super().write(text)

    def flush(self) -> None:
        self._count("flush")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS: dict[str, Any] = {
    "missing": lambda: None,
    "closed": closed,
    "write-only": WriteOnly,
    "broken at once": lambda: Broken(BrokenPipeError(32, "Broken pipe"), 0),
    "broken after a while": lambda: Broken(OSError(28, "No space left on device"), 3),
    "broken in flush": lambda: Broken(BrokenPipeError(32, "Broken pipe"), 1, "flush"),
    "of another mind": lambda: Broken(RuntimeError("mine"), 1),
    "a number": lambda: 3,
}


@pytest.mark.parametrize("tqdm", [True, False])
@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("stream", STREAMS)
def test_a_fit_outlives_its_display(
    stream: str, verbose: int, tqdm: bool, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model, quiet = make(), make()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", STREAMS[stream]())
        history = model.fit(*data, epochs=5, verbose=verbose)
        shown = getattr(sys.stdout, "text", "")
    assert history.history == quiet.fit(*data, epochs=5).history
    assert history.epoch == [0, 1, 2, 3, 4]
    if stream == "write-only":
        assert "loss" in shown


def test_a_pipe_whose_reader_left(data: Any) -> None:
    """The reader ends first, as in `python train.py | head -1`."""
    code = (
        "import numpy as np\nfrom fastnn import nn\nm = nn.Sequential(nn.Linear(2, 1))\n"
        "m.compile('sgd', 'mse')\nx = np.ones((8, 2))\n"
        "h = m.fit(x, x[:, 0], epochs=50, verbose=2)\n"
        "import os, sys\nos.write(2, str(len(h.epoch)).encode())\nos._exit(0)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.readline()
    run.stdout.close()
    assert run.stderr.read() == b"50"
    run.stderr.close()
    assert run.wait() == 0


# --- hooks --------------------------------------------------------------------------------------


def callback(**attributes: Any) -> callbacks.Callback:
    made = type("Mine", (callbacks.Callback,), attributes)()
    assert isinstance(made, callbacks.Callback)
    return made


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("on_batch_end", "; the hooks of batches are on_train_batch_begin and on_train_batch_end"),
        ("on_train_batch_ends", r"\. Did you mean 'on_train_batch_end'\?"),
        ("on_epoch_ends", r"\. Did you mean 'on_epoch_end'\?"),
        ("on_epochs_end", r"\. Did you mean 'on_epoch_end'\?"),
        ("on_epoch_start", ""),
        ("on_train_epoch_end", ""),
        ("on_fit_start", "; a method of your own may begin with an underscore"),
        ("onEpochEnd", ""),
        ("on_Epoch_End", r"\. Did you mean 'on_epoch_end'\?"),
        ("epoch_end", r"\. Did you mean 'on_epoch_end'\?"),
        ("on_training_begin", r"\. Did you mean 'on_train_begin'\?"),
    ],
)
def test_a_hook_that_nobody_calls_is_named(name: str, hint: str, data: Any) -> None:
    model = make()
    before = model[0].weight.copy()
    text = (
        rf"^\[Sequential.fit\] Mine has '{name}', which is no hook; known: on_train_begin, .*{hint}"
    )
    with pytest.raises(ValueError, match=text):
        model.fit(*data, callbacks=[callback(**{name: lambda *_: None})])
    np.testing.assert_array_equal(model[0].weight, before)


@pytest.mark.parametrize(
    ("name", "hook", "text"),
    [
        ("on_epoch_end", lambda _, epoch: epoch, "too many positional arguments"),
        ("on_train_begin", lambda _, logs: logs, "missing a required argument: 'logs'"),
        ("on_train_end", lambda _, logs: logs, "missing a required argument: 'logs'"),
        ("close", 3, r"Mine.close is 3; expected a method"),
    ],
)
def test_a_hook_that_cannot_be_called(name: str, hook: Any, text: str, data: Any) -> None:
    with pytest.raises(TypeError, match=rf"^\[Sequential.fit\] Mine\.{name}.*{text}|{text}"):
        make().fit(*data, callbacks=[callback(**{name: hook})])


def test_what_is_no_hook_may_have_any_other_name(data: Any) -> None:
    seen: list[tuple[int, bool]] = []
    mine = callback(
        once=lambda _: None,
        offset=3,
        on_=None,
        closed=False,
        _on_batch=lambda _: None,
        on_epoch_end=lambda _, epoch, logs=None: seen.append((epoch, logs is None)),  # as in Keras
        on_train_begin=lambda _, logs=None: logs,
    )
    make().fit(*data, epochs=2, callbacks=[mine, callbacks.ProgressBar(bar=False)])
    assert seen == [(0, False), (1, False)]


# --- ends ---------------------------------------------------------------------------------------


def best_of(history: Any, stop: callbacks.EarlyStopping, model: nn.Sequential, data: Any) -> None:
    curve = history.history["val_loss"]
    assert len(curve) > stop.best_epoch + 1  # there were worse epochs after the best
    assert stop.best == min(curve)
    assert model.evaluate(*data)["loss"] == stop.best


class Ends(callbacks.Callback):
    """A callback that ends the training after epoch 6 in its own way."""

    def __init__(self, end: Any) -> None:
        self.end = end
        self.closed = 0

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == 6:
            self.end(self.model)

    def close(self) -> None:
        self.closed += 1


def raise_it(error: BaseException) -> Any:
    def end(model: Any) -> None:
        del model
        raise error

    return end


WAYS = {
    "Ctrl-C": (lambda _: os.kill(os.getpid(), signal.SIGINT), KeyboardInterrupt),
    "an exception": (raise_it(KeyError("mine")), KeyError),
    "exit": (raise_it(SystemExit(1)), SystemExit),
    "stop": (lambda model: model.stop(), None),
    "stop_training": (lambda model: setattr(model, "stop_training", True), None),
    "its last epoch": (lambda _: None, None),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_best_weights_come_back_however_it_ended(way: str, data: Any) -> None:
    end, error = WAYS[way]
    x, y = data
    model = make()
    model.compile(optim.SGD(lr=0.9), "mse")  # too large: it oscillates
    noise = np.random.default_rng(3).standard_normal(len(y))
    validation = (x, y - noise)
    stop, ends = callbacks.EarlyStopping(patience=50), Ends(end)
    fit = lambda: model.fit(  # noqa: E731
        x, y + noise, epochs=9, validation_data=validation, callbacks=[stop, ends]
    )
    # A shell that starts its jobs in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(error) if error else contextlib.nullcontext():
            fit()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(model.history.epoch) == (9 if way == "its last epoch" else 7)
    assert ends.closed == 1
    best_of(model.history, stop, model, validation)
    assert model.fit(x, y, epochs=1).epoch == [0]


def test_the_best_weights_come_back_after_divergence(data: Any) -> None:
    x, y = data
    model = make()
    stop = callbacks.EarlyStopping("loss", patience=10**6)
    model.compile(optim.SGD(lr=30.0), "mse")
    with pytest.raises(TrainingDivergedError):
        model.fit(x, y, batch_size=40, epochs=2000, callbacks=[stop])
    assert stop.best_epoch is not None
    assert np.abs(model[0].weight).max() < 1e3


def test_every_callback_is_closed(data: Any) -> None:
    first, last = Ends(lambda _: None), Ends(lambda _: None)
    middle = callback(close=raise_it(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        make().fit(*data, callbacks=[first, middle, last])
    assert (first.closed, last.closed) == (1, 1)


def test_the_best_weights_wait_for_a_thread_that_predicts(data: Any) -> None:
    x, y = data
    model = nn.Sequential(nn.Linear(3, 256), nn.Tanh(), nn.Linear(256, 1), seed=1)
    model.compile(optim.SGD(lr=0.01), "mse")
    over = threading.Event()

    def predict() -> None:
        many = np.ones((2000, 3), np.float32)
        while not over.is_set():
            with contextlib.suppress(ModelBusyError):
                model.predict(many, n_threads=1)
            time.sleep(0.0005)

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        fits = 0
        while fits < 5:
            stop = callbacks.EarlyStopping()
            with contextlib.suppress(ModelBusyError):
                model.fit(x, y, epochs=3, validation_split=0.5, callbacks=[stop])
                fits += 1
                continue
            assert stop.best_epoch is None  # a fit that could not begin; those do not wait
    finally:
        over.set()
        thread.join()


NETWORKS = {
    "many short epochs": ((3, 1), 40, 8),
    "one long epoch": ((3, 64, 1), 400_000, 8),
    "large batches": ((3, 512, 512, 1), 60_000, 30_000),
}


def running(model: nn.Sequential, n: int, batch: int, **kwargs: Any) -> Any:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, 3)), rng.standard_normal(n)
    ended: list[Any] = []

    def fit() -> None:
        ended.append(model.fit(x, y, batch_size=batch, epochs=10**6, **kwargs))
        ended.append(time.perf_counter())

    thread = threading.Thread(target=fit)
    thread.start()
    return thread, ended, (x[:50], y[:50])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_stop_from_another_thread(name: str, threads: int) -> None:
    widths, n, batch = NETWORKS[name]
    layers = [nn.Linear(i, o) for i, o in pairwise(widths)]
    model = nn.Sequential(*layers, n_threads=threads)
    model.compile(optim.SGD(lr=1e-4), "mse")
    waits = []
    for pause in (0.05, 0.2, 0.4):
        thread, ended, few = running(model, n, batch, validation_split=0.3)
        time.sleep(pause)
        asked = time.perf_counter()
        model.stop()
        thread.join(30)
        assert not thread.is_alive()
        history, at = ended
        waits.append(at - asked)
        assert history is model.history
        assert len(history.history.get("loss", [])) == len(history.epoch)
        assert all(np.isfinite(v).all() for v in model.state_dict().values())
        model.fit(*few, epochs=2)
        assert model.history.epoch == [0, 1]
    assert min(waits) < 0.2, waits


def test_a_stop_leaves_whole_steps() -> None:
    """The model is where a loop of as many steps leaves it."""
    model, twin = make(), make()
    thread, ended, _ = running(model, 100_000, 10, shuffle=False)
    time.sleep(0.15)
    model.stop()
    thread.join(30)
    steps = ended[0].steps
    assert steps > 0
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((100_000, 3)), rng.standard_normal(100_000)
    for k in range(steps):
        rows = slice(k % 10_000 * 10, k % 10_000 * 10 + 10)
        twin.train_step(x[rows], y[rows])
    np.testing.assert_array_equal(model[0].weight, twin[0].weight)


def test_stop_from_a_callback_and_from_a_signal_handler(data: Any) -> None:
    model = make()
    told: list[int] = []
    for hook in ("on_train_begin", "on_epoch_begin", "on_epoch_end"):
        ends = callbacks.LambdaCallback(**{hook: lambda *_: model.stop()})
        last = callbacks.LambdaCallback(on_train_end=lambda: told.append(1))
        history = model.fit(*data, epochs=50, callbacks=[ends, last])
        assert history.epoch == ([0] if hook == "on_epoch_end" else [])
        assert told == [1]
        told.clear()
    before = signal.signal(signal.SIGALRM, lambda *_: model.stop())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        history = model.fit(*data, epochs=10**7)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert 0 < len(history.epoch) < 10**7


def test_stop_without_a_fit_does_nothing(data: Any) -> None:
    nn.Sequential().stop()
    model, twin = make(), make()
    model.stop()
    model.predict(data[0])
    model.train_step(*data)
    twin.train_step(*data)
    assert model.fit(*data, epochs=3).history == twin.fit(*data, epochs=3).history
