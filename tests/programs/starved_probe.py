# SPDX-License-Identifier: BSD-3-Clause
"""Computes with limited threads or small stacks; test_no_threads.py runs this as a program.

Arguments: what is limited, and a number. The last line of the output is JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import select
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import functional as F
from fastnn import nn, optim

rng = np.random.default_rng(5)
X = rng.standard_normal((600, 300)).astype(np.float32)
Y = rng.integers(0, 4, 600)
NOBODY = 65534


def model_of() -> nn.Sequential:
    model = nn.Sequential(
        nn.Linear(300, 200), nn.BatchNorm1d(200), nn.GELU(), nn.Linear(200, 4), seed=1
    )
    model.compile(optim.AdamW(lr=1e-2), "cross_entropy", metrics=["accuracy"])
    return model


def work(n_threads: int | None) -> dict[str, Any]:
    """Return the bits of all results, and the number of threads of fit."""
    model, digest = model_of(), hashlib.sha256()
    history = model.fit(X, Y, batch_size=200, epochs=2, n_threads=n_threads)
    step = model.train_step(X[:100], Y[:100], n_threads=n_threads)
    out = model.forward(X[:50], training=True, n_threads=n_threads)
    model.backward(out * 1e-3, n_threads=n_threads)
    model.clip_grad_norm(1e-2)
    model.apply_gradients(n_threads=n_threads)
    scores = model.evaluate(X, Y, n_threads=n_threads)
    w = model[0].weight.T
    arrays = [
        np.array([*history.history["loss"], step, *scores.values()]),
        model.predict(X, n_threads=n_threads),
        model.predict(X[:1]),
        F.linear(X, w, n_threads=n_threads),
        *F.linear_backward(X[:, :200], X, w, n_threads=n_threads),
        *model.state_dict().values(),
    ]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return {"bits": digest.hexdigest(), "threads": history.threads_used}


def forbid_threads(beyond: int) -> None:
    """Limit this process, as an ordinary user, to so many more threads than it has."""
    if os.getuid() == 0:
        os.setuid(NOBODY)
    most = len(list(Path("/proc/self/task").iterdir())) + beyond
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def plain(n: int) -> list[dict[str, Any]]:
    return [work(k) for k in (1, 2, 3, n)]


def threads(beyond: int) -> list[dict[str, Any]]:
    """Compute while only so many more threads can be started."""
    forbid_threads(beyond)
    return [work(k) for k in (1, 2, 5, 64, None)]


def callers(beyond: int) -> list[dict[str, Any]]:
    """Compute like `threads`, in six Python threads at the same time."""
    answers: list[dict[str, Any]] = []
    go = threading.Event()

    def answer() -> None:
        go.wait()
        answers.append(work(4))

    team = [threading.Thread(target=answer) for _ in range(6)]
    for thread in team:
        thread.start()
    forbid_threads(beyond)
    go.set()
    for thread in team:
        thread.join()
    return answers


def later(beyond: int) -> list[dict[str, Any]]:
    """Compute like `threads`, after a team of threads has been made."""
    first = work(2)
    forbid_threads(beyond)
    return [first, *(work(k) for k in (2, 3, 64, None))]


def child(beyond: int) -> list[dict[str, Any]]:
    """Compute in a forked child that can start no thread."""
    first = work(2)
    inbox, outbox = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            forbid_threads(beyond)
            os.write(outbox, json.dumps([work(k) for k in (1, 2, 64)]).encode())
        except BaseException as error:
            os.write(outbox, json.dumps([{"bits": repr(error)}]).encode())
        finally:
            os._exit(0)
    os.close(outbox)
    ready, _, _ = select.select([inbox], [], [], 30)
    answers = json.loads(os.read(inbox, 65536) or b'[{"bits": "died"}]') if ready else ["hung"]
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return [first, *answers]


def stack(kilobytes: int) -> list[dict[str, Any]]:
    """Compute on Python threads with a small stack."""
    answers: list[dict[str, Any]] = []
    model = model_of()
    model.predict(X[:1])
    threading.stack_size(kilobytes * 1024)

    def answer() -> None:
        answers.extend(work(k) for k in (1, 2, 5, None))

    team = [threading.Thread(target=answer) for _ in range(3)]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return answers


def stack_alone(kilobytes: int) -> list[dict[str, Any]]:
    """Compute with a small stack while no other thread can be started: this raises an error."""
    model = model_of()
    threading.stack_size(kilobytes * 1024)
    said: list[str] = []
    go = threading.Event()

    def answer() -> None:
        go.wait()
        try:
            model.predict(X, n_threads=1)
        except RuntimeError as error:
            said.append(str(error))

    thread = threading.Thread(target=answer)
    thread.start()
    forbid_threads(0)
    go.set()
    thread.join()
    return [{"bits": text} for text in said]


CASES = {
    case.__name__: case for case in (plain, threads, callers, later, child, stack, stack_alone)
}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]](int(sys.argv[2]))))
