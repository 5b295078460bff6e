# SPDX-License-Identifier: BSD-3-Clause
"""Is interrupted at random moments, in a process of its own: run by test_signals.py as a program.

Ends in one line of JSON: the seconds from each signal to its KeyboardInterrupt, and what was wrong
with the model afterwards.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, callbacks, nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

MILLION = 1_000_000
rng = np.random.default_rng(11)


def one_row(rows: int, features: int) -> np.ndarray:
    """Return rows that take no memory: one row, seen `rows` times."""
    return np.broadcast_to(rng.standard_normal((1, features)).astype(np.float32), (rows, features))


class Case:
    """A long call to interrupt; `call` never returns by itself."""

    widths = (20, 32, 3)
    rows, batch_size = 2000, 16
    longest = 0.3  # seconds: signals come before this

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads
        self.x = rng.standard_normal((self.rows, self.widths[0])).astype(np.float32)
        self.y = rng.integers(0, self.widths[-1], self.rows)
        self.start = self.new().parameters()

    def new(self) -> _core.Network:
        layers: list[tuple[str, dict[str, Any]]] = []
        for a, b in zip(self.widths, self.widths[1:], strict=False):
            layers += [("linear", {"in_features": a, "out_features": b}), ("tanh", {})]
        network = _core.Network(layers[:-1], "float32", 3)
        network.compile("cross_entropy", {}, "adam", {"lr": 1e-3})
        return network

    def prepare(self) -> None:
        self.network = self.new()

    def call(self) -> None:
        self.network.fit(
            self.x, self.y, batch_size=self.batch_size, epochs=10**9, shuffle=False,
            n_threads=self.n_threads,
        )  # fmt: skip

    def check(self) -> str | None:
        """Compare with as many whole steps that were done without any signal."""
        steps, reference = self.network.step, self.new()
        per_epoch = -(-self.rows // self.batch_size)
        whole, rest = divmod(steps, per_epoch)
        common = {"batch_size": self.batch_size, "shuffle": False, "n_threads": self.n_threads}
        if whole:
            reference.fit(self.x, self.y, epochs=whole, **common)
        for k in range(rest):
            part = slice(k * self.batch_size, (k + 1) * self.batch_size)
            reference.train_step(self.x[part], self.y[part])
        if reference.step != steps:
            return f"{reference.step} steps instead of {steps}"
        if state(reference) != state(self.network):
            return f"not the state after {steps} whole steps"
        # An epoch is in the history when its end was reached: validation comes after its last step.
        done = len(self.network.history.get("loss", []))
        if done != whole and not (rest == 0 and done == whole - 1):
            return f"history has {done} epochs, {whole} ended"
        return None

    def use(self) -> str | None:
        """Train on, as if nothing had happened."""
        before = self.network.step
        rows = slice(0, min(self.rows, 64))
        self.network.fit(self.x[rows], self.y[rows], batch_size=32, epochs=1)
        if self.network.step != before + 2 or self.network.busy:
            return "the next fit did not train"
        return None if np.isfinite(self.network.predict(self.x[rows], True)).all() else "not finite"


def state(network: _core.Network) -> list[bytes]:
    rows = network.parameters() + [row for s in network.optimizer_state()["state"] for row in s]
    return [row["array"].tobytes() for row in rows]


class Small(Case):
    """A fit with many small batches."""


class FewRows(Case):
    """Steps that spend most of their time in the phase that changes the parameters."""

    widths = (512, 2048, 3)
    rows, batch_size = 320, 16


class OneBatch(Case):
    """A fit on one batch of a million rows, with narrow layers: a step has many items."""

    widths = (4, 8, 3)
    rows = batch_size = MILLION
    longest = 0.6

    def __init__(self, n_threads: int) -> None:
        super().__init__(n_threads)
        self.x, self.y = one_row(self.rows, self.widths[0]), np.broadcast_to(1, self.rows)


class WideBatch(OneBatch):
    """A fit on one batch of a million rows, with wider layers: a tile takes gigaflops."""

    widths = (16, 64, 3)
    longest = 2.0


class Shuffled(Small):
    """A fit whose epochs begin with a shuffle of ten million rows."""

    widths = (4, 3)
    rows, batch_size = 10 * MILLION, 100_000

    def __init__(self, n_threads: int) -> None:
        super().__init__(n_threads)
        self.x, self.y = one_row(self.rows, self.widths[0]), np.broadcast_to(1, self.rows)

    def call(self) -> None:
        self.network.fit(
            self.x, self.y, batch_size=self.batch_size, epochs=10**9, n_threads=self.n_threads
        )


class Predict(Case):
    """A prediction of ten million rows."""

    widths = (4, 8, 2)
    rows = 10 * MILLION
    batch_size = MILLION

    def __init__(self, n_threads: int) -> None:
        super().__init__(n_threads)
        self.x, self.y = one_row(self.rows, self.widths[0]), np.broadcast_to(1, self.rows)
        self.out = np.empty((self.rows, self.widths[-1]), np.float32)

    def call(self) -> None:
        while True:
            self.network.predict(self.x, True, self.out, self.n_threads)

    def check(self) -> str | None:
        return None if state(self.network) == state(self.new()) else "predict changed the model"


class Evaluate(Predict):
    """An evaluation of ten million rows."""

    def call(self) -> None:
        while True:
            self.network.evaluate(self.x, self.y, None, True, self.n_threads)


class Callback(Case):
    """A fit in which the signal comes while Python runs a callback."""

    def prepare(self) -> None:
        self.model = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3), seed=2)
        self.model.compile(optim.SGD(lr=1e-3), "cross_entropy")
        self.network = self.model._network

    def call(self) -> None:
        def wait(*_: object) -> None:
            end = time.perf_counter() + 0.05
            while time.perf_counter() < end:
                pass

        self.model.fit(
            self.x, self.y, epochs=10**6, n_threads=self.n_threads or None,
            callbacks=[callbacks.LambdaCallback(on_epoch_end=wait)],
        )  # fmt: skip

    def check(self) -> str | None:
        history = self.model.history
        if history is None:  # answered before fit had begun
            return None
        epochs, losses = history.epoch, history.history.get("loss", [])
        if epochs != list(range(len(epochs))) or len(losses) != len(epochs):
            return f"history: {epochs} {losses}"
        if self.model.fit(self.x, self.y, epochs=2).epoch != [0, 1]:
            return "the next fit did not train"
        return None


def interrupted(call: Callable[[], None], delay: float) -> float:
    """Return the seconds from the signal, sent after `delay`, to the KeyboardInterrupt."""
    sent = [0.0]

    def send() -> None:
        time.sleep(delay)
        sent[0] = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    try:
        thread.start()
        call()
    except KeyboardInterrupt:
        seconds = time.perf_counter() - sent[0]
    thread.join()
    return seconds


CASES = {
    case.__name__: case
    for case in (Small, FewRows, OneBatch, WideBatch, Shuffled, Predict, Evaluate, Callback)
}

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    case, times = CASES[sys.argv[1]](int(sys.argv[3])), int(sys.argv[2])
    moments = random.Random(sys.argv[1])
    latencies, wrong = [], []
    for _ in range(times):
        case.prepare()
        latencies.append(interrupted(case.call, moments.uniform(0, case.longest)))
        wrong += [text for text in (case.check(), case.use()) if text]
    print(json.dumps({"seconds": latencies, "wrong": wrong}))
