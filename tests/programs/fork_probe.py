# SPDX-License-Identifier: BSD-3-Clause
"""Trains before and after forks; test_fork.py runs this as a program.

Each child has ten seconds to train what its parent trained; a child that takes longer is killed and
reported. The last line of the output is JSON: {"children": ..., "late": ..., "wrong": [...]}.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import ModelBusyError, callbacks, nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE = float(os.environ.get("FORK_DEADLINE", "10"))
Answer = dict[str, Any]  # {"bits": ..., "threads": ...}

rng = np.random.default_rng(5)
X = rng.standard_normal((400, 21)).astype(np.float32)
Y = rng.integers(0, 4, 400)


def model_of(seed: int = 1) -> nn.Sequential:
    model = nn.Sequential(
        nn.Linear(21, 48),
        nn.BatchNorm1d(48),
        nn.GELU(),
        nn.Dropout(0.1),
        nn.Linear(48, 4),
        seed=seed,
    )
    model.compile(optim.AdamW(lr=1e-2), "cross_entropy", metrics=["accuracy"])
    return model


def answer(model: nn.Sequential, threads: int) -> Answer:
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(np.ascontiguousarray(value).tobytes())
    digest.update(model.predict(X, n_threads=2).tobytes())
    return {"bits": digest.hexdigest(), "threads": threads}


def train(epochs: int = 3, hooks: list[callbacks.Callback] | None = None) -> Answer:
    model = model_of()
    history = model.fit(X, Y, batch_size=96, epochs=epochs, n_threads=2, callbacks=hooks)
    return answer(model, history.threads_used)


class Report:
    """Counts the children and compares their results with those of the parent."""

    def __init__(self, expected: Answer) -> None:
        self.expected = expected
        self.children = self.late = 0
        self.wrong: list[Any] = []

    def take(self, got: Any) -> None:
        self.children += 1
        if got is None:
            self.late += 1
        elif got != self.expected:
            self.wrong.append(got)

    def fork(self, work: Callable[[], Answer]) -> None:
        """Let a child do the work and read its result, or None if it takes too long."""
        inbox, outbox = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(outbox, json.dumps(work()).encode())
            except BaseException as error:
                os.write(outbox, json.dumps(repr(error)).encode())
            finally:
                os._exit(0)
        os.close(outbox)
        ready, _, _ = select.select([inbox], [], [], DEADLINE)
        got = json.loads(os.read(inbox, 65536) or b'"died"') if ready else None
        if not ready:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(inbox)
        self.take(got)


class Fork:
    """A fork inside a call: both processes go on with it, and the child sends what it has got."""

    def __init__(self) -> None:
        self._parent, self._child = os.getpid(), 0
        self._inbox, self._outbox = os.pipe()

    def now(self) -> None:
        self._child = os.fork()

    def sent_by_the_child(self, got: Any) -> Any:
        """Send `got` and end, in the child; in the parent, return what came, or None if late."""
        if os.getpid() != self._parent:
            os.write(self._outbox, json.dumps(got).encode())
            os._exit(0)
        assert self._child, "the call ended before the fork"
        ready, _, _ = select.select([self._inbox], [], [], DEADLINE)
        sent = json.loads(os.read(self._inbox, 65536)) if ready else None
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        os.close(self._inbox)
        os.close(self._outbox)
        return sent


def plain(report: Report, times: int) -> None:
    for _ in range(times):
        report.fork(train)


def grandchild(report: Report, times: int) -> None:
    def again() -> Answer:
        inner = Report(report.expected)
        first = train()
        inner.fork(train)
        return first if not (inner.late or inner.wrong) else {"late": inner.late, "w": inner.wrong}

    for _ in range(times):
        report.fork(again)


def threads_in_child(report: Report, times: int) -> None:
    def work() -> Answer:
        answers: list[Answer] = []
        team = [threading.Thread(target=lambda: answers.append(train())) for _ in range(4)]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        assert len(answers) == 4
        return next((a for a in answers if a != report.expected), report.expected)

    for _ in range(times):
        report.fork(work)


def libraries(report: Report, times: int) -> None:
    """Fork after torch and scikit-learn have been loaded and have used their threads."""
    import torch
    from sklearn.ensemble import HistGradientBoostingClassifier

    torch.set_num_threads(2)
    a = torch.ones(700, 700)
    (a @ a).exp().sum()
    HistGradientBoostingClassifier(max_iter=3).fit(X, Y)
    report.take(train())
    plain(report, times)


def pool(report: Report, times: int) -> None:
    with multiprocessing.get_context("fork").Pool(4) as workers:
        for answer_ in [workers.apply_async(train) for _ in range(times)]:
            try:
                report.take(answer_.get(timeout=DEADLINE))
            except multiprocessing.TimeoutError:
                report.take(None)


def inside_fit(report: Report, times: int) -> None:
    """Fork while another thread is inside fit, at another moment each time."""
    stop, other = threading.Event(), model_of(7)
    hook = callbacks.LambdaCallback(
        on_epoch_end=lambda *_: setattr(other, "stop_training", stop.is_set())
    )
    thread = threading.Thread(
        target=lambda: other.fit(X, Y, epochs=10**9, n_threads=2, callbacks=[hook])
    )
    thread.start()
    for k in range(times):
        time.sleep(0.002 + 0.0013 * (k % 17))
        report.fork(train)
    stop.set()
    thread.join()
    assert np.isfinite(other.predict(X)).all()


def in_callback(report: Report, times: int) -> None:
    """Fork in a callback, on the thread that is inside fit; both processes train to the end."""
    for _ in range(times):
        fork = Fork()

        def end(epoch: int, logs: dict[str, float], fork: Fork = fork) -> None:
            if epoch == 0:
                fork.now()

        got = train(hooks=[callbacks.LambdaCallback(on_epoch_end=end)])
        for each in (fork.sent_by_the_child(got), got):
            report.take(each)


def in_handler(report: Report, times: int) -> None:
    """Fork in a signal handler inside a call: the child continues or raises, but never hangs."""
    big = np.tile(X, (40, 1))
    classes = np.tile(Y, 40)

    def long() -> Answer:
        model = model_of()
        history = model.fit(big, classes, batch_size=4000, epochs=20, n_threads=2)
        return answer(model, history.threads_used)

    expected = long()
    for k in range(times):
        fork = Fork()
        signal.signal(signal.SIGALRM, lambda *_, fork=fork: fork.now())
        signal.setitimer(signal.ITIMER_REAL, 0.03 + 0.0013 * k)
        try:
            got: Any = long()
        except RuntimeError as error:
            got = expected if "forked inside this call" in str(error) else repr(error)
        for each in (fork.sent_by_the_child(got), got):
            report.take(report.expected if each == expected else each)


def beside_readers(report: Report, times: int) -> None:
    """Fork while other threads predict with the model: the child trains it."""
    stop, model = threading.Event(), model_of()
    rows = np.tile(X, (200, 1))

    def read() -> None:
        while not stop.is_set():
            model.predict(rows, n_threads=1)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()

    def train_it() -> Answer:
        history = model.fit(X, Y, batch_size=96, epochs=3, n_threads=2)
        return answer(model, history.threads_used)

    for k in range(times):
        time.sleep(0.05 + 0.0013 * (k % 17))
        report.fork(train_it)
    stop.set()
    for reader in readers:
        reader.join()


def beside_readers_in_callback(report: Report, times: int) -> None:
    """Fork in a callback while another thread predicts; the child continues the fit."""
    rows = np.tile(X, (200, 1))
    for _ in range(times):
        model, fork = model_of(), Fork()

        def end(
            epoch: int, logs: dict[str, float], model: nn.Sequential = model, fork: Fork = fork
        ) -> None:
            if epoch == 0:
                threading.Thread(target=lambda: model.predict(rows, n_threads=1)).start()
                time.sleep(0.02)
                fork.now()

        hook = callbacks.LambdaCallback(on_epoch_end=end)
        history = model.fit(X, Y, batch_size=96, epochs=3, n_threads=2, callbacks=[hook])
        got = answer(model, history.threads_used)
        for each in (fork.sent_by_the_child(got), got):
            report.take(each)


def beside_writer(report: Report, times: int) -> None:
    """Fork while another thread trains the model: the child raises and says what to do."""
    stop, model = threading.Event(), model_of()
    saved = {name: np.array(value) for name, value in model.state_dict().items()}
    hook = callbacks.LambdaCallback(
        on_epoch_end=lambda *_: setattr(model, "stop_training", stop.is_set())
    )
    rows, classes = np.tile(X, (100, 1)), np.tile(Y, 100)
    thread = threading.Thread(
        target=lambda: model.fit(rows, classes, epochs=10**9, n_threads=2, callbacks=[hook])
    )
    thread.start()

    def go_on() -> Answer:
        calls: list[Callable[[], object]] = [
            lambda: model.fit(X, Y),
            lambda: model.train_step(X, Y),
            lambda: model.load_state_dict(saved),
            lambda: model.predict(X),
            lambda: model.evaluate(X, Y),
        ]
        for call in calls:
            # At the end of an epoch, while a callback ran, the model could be read.
            said = "" if call in calls[:3] else "in the parent, state_dict"
            try:
                call()
            except ModelBusyError as error:
                said = str(error)
            assert "in the parent" in said, said
            assert "state_dict" in said, said
        fresh = model_of()
        fresh.load_state_dict(saved)
        history = fresh.fit(X, Y, batch_size=96, epochs=3, n_threads=2)
        return answer(fresh, history.threads_used)

    for k in range(times):
        time.sleep(0.05 + 0.0013 * (k % 17))
        report.fork(go_on)
    stop.set()
    thread.join()


def preload(report: Report, times: int) -> None:
    """Fork as a server does: weights are loaded and used before the workers are forked."""
    source = model_of()
    source.fit(X, Y, epochs=2)
    served = model_of(3)
    served.load_state_dict(source.state_dict())
    report.expected = answer(served, 2)
    for _ in range(times):
        report.fork(lambda: answer(served, 2))


def late(report: Report, times: int) -> None:
    """Check that a child that sleeps is reported as late."""

    def sleep() -> Answer:
        time.sleep(2 * DEADLINE)
        return train()

    for _ in range(times):
        report.fork(sleep)


CASES = (
    plain, grandchild, threads_in_child, libraries, pool, inside_fit, in_callback, in_handler,
    beside_readers,
    beside_readers_in_callback, beside_writer, preload,
    late,
)  # fmt: skip

if __name__ == "__main__":
    # CPython 3.12 warns of forks in processes with threads, which are tested here.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    case = next(case for case in CASES if case.__name__ == sys.argv[1])
    mine = train()
    result = Report(mine)
    case(result, int(sys.argv[2]))
    assert train() == mine, "the parent itself got other bits after the forks"
    print(
        json.dumps(
            {
                "threads": mine["threads"],
                "children": result.children,
                "late": result.late,
                "wrong": result.wrong,
            }
        )
    )
