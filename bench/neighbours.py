# SPDX-License-Identifier: BSD-3-Clause
"""Processes that keep a machine busy beside a measurement."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

# A neighbour is killed when the benchmark ends, however that ends and even if the neighbour is
# stopped (1 is PR_SET_PDEATHSIG). It ignores Ctrl-C, which is for the benchmark. With an empty line
# it tells the benchmark that it runs.
BEGIN = """
import ctypes, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
"""
SPIN = f"{BEGIN}\nprint(flush=True)\nwhile True: pass"
TRAIN = f"""{BEGIN}
import numpy as np
from fastnn import nn
model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
model.compile("adam", "cross_entropy")
x, y = np.random.default_rng(0).standard_normal((4096, 64)).astype(np.float32), np.arange(4096) % 10
print(flush=True)
while True: model.fit(x, y, batch_size=128, epochs=100, n_threads=2)
"""


class Neighbours:
    """Processes that compute without pause while they are awake, and are stopped otherwise."""

    def __init__(self, program: str, count: int) -> None:
        self.program, self.count = program, count

    def __enter__(self) -> Self:
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(self.count):
                # In the session of the benchmark, because Linux may divide the processors among
                # sessions first, and only then among the processes of a session.
                process = subprocess.Popen(
                    [sys.executable, "-c", self.program], stdout=subprocess.PIPE
                )
                self.processes.append(process)
                assert process.stdout is not None
                process.stdout.readline()
                process.send_signal(signal.SIGSTOP)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.communicate()

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let the processes run inside the block."""
        try:
            self._send(signal.SIGCONT)
            yield
        finally:
            self._send(signal.SIGSTOP)

    def _send(self, number: int) -> None:
        for process in self.processes:
            process.send_signal(number)
        time.sleep(0.05)


def spinners() -> Neighbours:
    """Return one spinning process per processor."""
    return Neighbours(SPIN, len(os.sched_getaffinity(0)))


def trainer() -> Neighbours:
    """Return one process that trains on two threads."""
    return Neighbours(TRAIN, 1)
