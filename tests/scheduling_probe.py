# SPDX-License-Identifier: BSD-3-Clause
"""Says how the threads of two kinds of callers are scheduled: run by test_thread_limits.py.

One caller is confined to one processor, with a low priority, and the other is not. The answer names
for every call the threads that it added: how many processors they may use, and their niceness.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np

from fastnn import functional as F

X = np.ones((300, 300), np.float32)


def standing() -> set[int]:
    return {int(thread.name) for thread in Path("/proc/self/task").iterdir()}


def call() -> list[str]:
    before = standing()
    F.linear(X, X, n_threads=3)
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


if __name__ == "__main__":
    found: dict[str, list[str]] = {}
    confined(found, "confined")
    found["free"] = call()
    found["free again"] = call()
    confined(found, "confined again")
    print(json.dumps(found))
