# SPDX-License-Identifier: BSD-3-Clause
"""What a busy machine does to a training step: `python bench/busy.py [--json file] [network ...]`.

One spinning process per processor is stopped and let go in turn; a step at n_threads=None is timed
beside both, inside fit and as single calls of train_step. Rounds alternate and medians are taken.
The aim: at most three times the quiet step. (Fair shares alone cost a factor of two.)
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from fastnn import _bench, _core

SPIN = "while True: pass"
LIMIT = 3.0
Step = Callable[[int], tuple[int, int]]  # about how many steps -> (steps, threads)


class Spinners:
    """A process per processor that wants all of it, while they are let go."""

    def __enter__(self) -> Self:
        cpus = sorted(os.sched_getaffinity(0))
        self.processes = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in cpus]
        self.send(signal.SIGSTOP)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def send(self, number: int) -> None:
        for process in self.processes:
            process.send_signal(number)
        time.sleep(0.05)


def steps_of(widths: tuple[int, ...], batch: int, n_threads: int) -> dict[str, Step]:
    """Return the ways to train: inside fit, and step by step."""
    rng = np.random.default_rng(0)
    batches = 2 if max(widths) > 2000 else 32
    x = rng.standard_normal((batches * batch, widths[0])).astype(np.float32)
    y = rng.integers(0, widths[-1], len(x))
    layers: list[tuple[str, dict[str, Any]]] = []
    for a, b in itertools.pairwise(widths):
        layers += [("linear", {"in_features": a, "out_features": b}), ("relu", {})]
    network = _core.Network(layers[:-1], "float32", 0)
    network.compile("cross_entropy", {}, "sgd", {"lr": 0.01}, {}, 0.0)

    def fit(n: int) -> tuple[int, int]:
        epochs = -(-n // batches)
        seen = network.fit(x, y, batch_size=batch, epochs=epochs, n_threads=n_threads)
        return seen["steps"], seen["threads_used"]

    def single(n: int) -> tuple[int, int]:
        for _ in range(n):
            network.train_step(x[:batch], y[:batch], None, n_threads)
        return n, network.threads_used

    return {"fit": fit, "train_step": single}


def timed(step: Step, n: int) -> tuple[float, int]:
    """Microseconds a step, and the threads of the last."""
    start = time.perf_counter()
    done, threads = step(n)
    return (time.perf_counter() - start) / done * 1e6, threads


def measure(step: Step, spinners: Spinners, rounds: int, seconds: float) -> dict[str, Any]:
    """Return medians beside stopped and running spinners."""
    quiet, busy, threads = [], [], set()
    timed(step, 1)
    n = max(1, round(0.1 * seconds * 1e6 / timed(step, 4)[0]))
    n = max(1, round(seconds * 1e6 / timed(step, n)[0]))
    for _ in range(rounds):
        quiet.append(timed(step, n)[0])
        spinners.send(signal.SIGCONT)
        us, used = timed(step, n)
        spinners.send(signal.SIGSTOP)
        busy.append(us)
        threads.add(used)
    one, other = statistics.median(quiet), statistics.median(busy)
    return {"quiet_us": one, "busy_us": other, "factor": other / one, "threads": sorted(threads)}


def main() -> int:
    """Print the table; return 1 when a step is slower than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="such as 64-32-10; all of the bench by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one timing")
    parser.add_argument("--threads", type=int, default=0, help="n_threads; 0 is automatic")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"{'network':<20}{'batch':>6} {'way':<11}{'quiet us':>10}{'busy us':>10}{'factor':>8}")
    rows = []
    with Spinners() as spinners:
        for widths, batch in [*_bench.NETWORKS, _bench.WIDE]:
            name = "-".join(map(str, widths))
            if given.networks and name not in given.networks:
                continue
            for way, step in steps_of(widths, batch, given.threads).items():
                row = measure(step, spinners, given.rounds, given.seconds)
                rows.append({"network": name, "batch": batch, "way": way, **row})
                figures = f"{row['quiet_us']:>10.1f}{row['busy_us']:>10.1f}{row['factor']:>8.2f}"
                threads = ",".join(map(str, row["threads"]))
                print(f"{name:<20}{batch:>6} {way:<11}{figures}  threads {threads}", flush=True)
    if given.json is not None:
        record = {"build": _core.build_info(), "cpus": os.cpu_count(), "rows": rows}
        given.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(any(row["factor"] > LIMIT for row in rows))


if __name__ == "__main__":
    sys.exit(main())
