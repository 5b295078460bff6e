# SPDX-License-Identifier: BSD-3-Clause
"""MNIST to 98 % of the test images: `FASTNN_DATA=folder python -m bench.mnist98`.

Measures the seconds of training from uint8 images, as the median of five seeds, for fastnn, for the
same recipe in PyTorch, and for the closest recipe in scikit-learn. Loading, building and evaluating
are not timed. `--validate` trains on the first 50,000 rows and evaluates on the last 10,000; it is
for changes of the recipe, which must not use the test images.

The libraries differ in some details. fastnn reads the uint8 images and scales them while it gathers
a batch; PyTorch and scikit-learn get float32 images that were scaled before the clock started.
PyTorch draws initial values of the same distribution from its own generator. scikit-learn draws
Glorot's, and keeps the momentum buffers from one phase to the next.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
from functools import partial
from typing import Any

from bench.compare.child import Child, ChildError
from bench.turns import alternate, best, finish, parser, say, table

WORKER = "bench.mnist98_worker"
GOAL, LIMIT = 0.98, 1.0  # accuracy; seconds
# The recipe was chosen by the accuracy on the last 10,000 training rows, with two to four seeds for
# each of some seventy recipes. They varied the width and the number of epochs (192 units, 3 epochs:
# 0.9813; 256, 2.5: 0.9812; 128, 4: 0.9802; 160, 3: 0.9794; 192, 2: 0.9796), the learning rate and
# its decay, batches from 32 to 128, Adam, input scales, centred columns, weight decay, dropout,
# BatchNorm, a second hidden layer and averaged weights. This one is the best of those with at most
# 110 GFLOP. With 2 epochs the median on the test images was 0.9794, too close to the goal.
MEAN, STD = 0.1307, 0.3081  # of all training pixels, scaled to 0..1
HIDDEN, BATCH, MOMENTUM = 192, 64, 0.9
EPOCHS, PARTS = 3, 4
# Each phase trains on a quarter of the rows; the learning rate decreases from phase to phase,
# linearly to almost zero.
RATES = [0.05 * (1 - phase / (EPOCHS * PARTS)) for phase in range(EPOCHS * PARTS)]
HELD_OUT = 10_000


def phases(n: int) -> list[tuple[slice, float]]:
    """Return the rows and the learning rate of every phase of training on n rows."""
    cuts = [n * part // PARTS for part in range(PARTS + 1)]
    parts = [slice(a, b) for a, b in itertools.pairwise(cuts)]
    return [(parts[number % PARTS], rate) for number, rate in enumerate(RATES)]


def measure(peers: list[tuple[str, int]], seeds: int, validate: bool) -> dict[str, list[Any]]:
    """Return (seconds, accuracy) by peer and seed; for each seed all peers take their turn."""
    children = [Child(peer, threads, WORKER) for peer, threads in peers]
    turns: dict[str, Any] = {}
    found: dict[str, list[Any]] = {}
    try:
        for child in children:
            try:
                child.ask("load", validate=validate)
                turns[child.name] = child
            except ChildError as error:
                say(f"without {child.name}: {error}")
        for seed in range(1, seeds + 1):
            once = {name: partial(c.ask, "train", seed=seed) for name, c in turns.items()}
            for name, (result,) in alternate(once, 1).items():
                found.setdefault(name, []).append(result)
                say(f"seed {seed}, {name}: {result[0]:.2f} s, {result[1]:.4f}")
    finally:
        for child in children:
            child.close()
    return found


def show(found: dict[str, list[Any]], validate: bool) -> bool:
    """Print the table; return whether fastnn reaches both goals, time and accuracy."""
    lines, good = [], False
    times = {name: [seconds for seconds, _ in results] for name, results in found.items()}
    for peer in ("fastnn", "torch", "sklearn"):
        own = {name: t for name, t in times.items() if name.split("/")[0] == peer}
        if not own:
            continue
        name, seconds = best(own)
        accuracies = [accuracy for _, accuracy in found[name]]
        middle = statistics.median(accuracies)
        every = " ".join(f"{accuracy:.4f}" for accuracy in accuracies)
        ratio = seconds / best({n: t for n, t in times.items() if n.startswith("fastnn")})[1]
        lines.append([name, f"{seconds:.2f}", f"{ratio:.1f}x", f"{middle:.4f}", every])
        if peer == "fastnn":
            good = seconds <= LIMIT and middle >= GOAL
    title = f"784-{HIDDEN}-10, {EPOCHS} epochs of batches of {BATCH} (threads)"
    where = "validation rows" if validate else "test images"
    print(table([title, "s", "ratio", "median accuracy", f"right {where}, by seed"], lines))
    return good


def main() -> int:
    """Return 1 if the goal is missed."""
    made = parser(__doc__, rounds=5)
    made.add_argument("--peers", nargs="+", default=["fastnn", "torch", "sklearn"])
    made.add_argument("--validate", action="store_true", help="hold out training rows instead")
    given = made.parse_args()
    cores = sorted({1, min(2, len(os.sched_getaffinity(0)))})
    peers = [("fastnn", 0)] if "fastnn" in given.peers else []
    for peer in given.peers:
        peers += [] if peer == "fastnn" else [(peer, n) for n in cores]
    found = measure(peers, given.rounds, given.validate)
    good = show(found, given.validate)
    finish(given.json, validate=given.validate, results=found)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
