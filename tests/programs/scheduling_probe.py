# SPDX-License-Identifier: BSD-3-Clause
"""Says how the threads of two kinds of callers are scheduled: run by test_thread_limits.py.

One caller is confined to one processor, with a low priority, and the other is not. The answer names
for every call the threads that it added: how many processors they may use while they sleep, and
their niceness. While a fit runs, "working" counts the threads that may use all processors.
With the argument "large" it says, of calls with n_threads=2 that a team of 70 threads serves, how
many threads they wake, and how many system calls wake threads in a fit of many phases.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np

from fastnn import _core, callbacks, nn
from fastnn import functional as F

X = np.ones((300, 300), np.float32)


def standing() -> set[int]:
    return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}


def call() -> list[str]:
    before = standing()
    F.linear(X, X, n_threads=3)
    time.sleep(0.05)  # now they sleep
    return [
        f"{len(os.sched_getaffinity(thread))} {os.getpriority(os.PRIO_PROCESS, thread)}"
        for thread in sorted(standing() - before)
    ]


def confined(answers: dict[str, list[str]], name: str) -> None:
    def run() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        answers[name] = call()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def working() -> int:
    """Return how many threads of a fit had all processors at some moment of it."""
    others = standing()
    x, y = np.ones((2000, 60), np.float32), np.zeros(2000, int)
    model = nn.Sequential(nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 4), seed=0)
    model.compile("sgd", "cross_entropy")
    every, seen, end = os.sched_getaffinity(0), set[int](), time.monotonic() + 5

    def look(*_: object) -> None:
        seen.update(t for t in standing() - others if os.sched_getaffinity(t) == every)
        model.stop_training = len(seen) >= 3 or time.monotonic() > end

    hook = callbacks.LambdaCallback(on_epoch_end=look)
    model.fit(x, y, epochs=10**6, n_threads=4, callbacks=[hook])
    return len(seen)


def sleeps() -> dict[int, int]:
    """Return how often each thread went to sleep so far."""
    counts = {}
    for thread in standing():
        status = Path(f"/proc/self/task/{thread}/status").read_text(encoding="ascii")
        counts[thread] = int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return counts


def large() -> dict[str, int]:
    x, y = np.ones((400, 60), np.float32), np.zeros(400, int)
    model = nn.Sequential(nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 4), seed=0)
    model.compile("sgd", "cross_entropy")
    assert model.fit(x, y, n_threads=70).threads_used == 70
    time.sleep(0.2)
    before = sleeps()
    for _ in range(40):
        model.fit(x, y, batch_size=200, n_threads=2)
        time.sleep(0.002)
    after = sleeps()
    me = threading.get_native_id()
    woken = sum(after[thread] != before[thread] for thread in before if thread != me)
    calls = []
    for _ in range(10):
        start = _core.testing.waking_calls()
        model.fit(x, y, batch_size=200, epochs=100, n_threads=2)
        calls.append(_core.testing.waking_calls() - start)
    return {"woken": woken, "calls": min(calls)}


if __name__ == "__main__":
    if sys.argv[1:] == ["large"]:
        print(json.dumps(large()))
        sys.exit()
    found: dict[str, list[str]] = {}
    confined(found, "confined")
    found["free"] = call()
    found["free again"] = call()
    confined(found, "confined again")
    print(json.dumps({**found, "working": working()}))
