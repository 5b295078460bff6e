# SPDX-License-Identifier: BSD-3-Clause
"""Measure how much subnormal numbers slow training down: `python -m bench.denormals`.

Momenta, Adam's moments and decayed weights become that small in long trainings, and on many
processors arithmetic with them takes ten to a hundred times as long. The first table trains three
networks for six stretches of 50 epochs, in which such numbers arise by themselves, and divides the
time of the last stretch by that of the first. The second compares steps and predictions with
subnormal rows or weights to those with normal ones, in turns. On a processor that computes with
subnormal numbers at full speed all ratios are near 1 whatever the library does; the last row, the
same product in NumPy, says what this processor does.
"""

from __future__ import annotations

import itertools
import statistics
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.turns import alternate, finish, parser, per_call, table

from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 1.1
STRETCHES, EPOCHS = 6, 50


def chain(*widths: int) -> nn.Sequential:
    """Return a network of Linear layers of these widths with ReLU between them."""
    layers: list[nn.Layer] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1], seed=0)


def classes(n: int, columns: int, k: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return n rows of k classes whose means are about `distance` apart."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, n)
    means = distance * rng.standard_normal((k, columns)) / columns**0.5
    return (means[y] + rng.standard_normal((n, columns))).astype(np.float32), y


def trainings() -> dict[str, Callable[[], list[float]]]:
    """Return the trainings by name; each returns the seconds of its stretches."""

    def run(model: nn.Sequential, optimizer: Any, x: np.ndarray, y: np.ndarray) -> list[float]:
        model.compile(optimizer, "cross_entropy")
        seconds = []
        for _ in range(STRETCHES):
            start = perf_counter()
            model.fit(x, y, batch_size=32, epochs=EPOCHS, n_threads=1)
            seconds.append(perf_counter() - start)
        return seconds

    few, separable = classes(512, 64, 10, 1.0), classes(512, 64, 2, 40.0)
    decay = optim.SGD(lr=0.1, momentum=0.9, weight_decay=1e-2)
    return {
        "64-128-10, SGD with momentum and decay": lambda: run(chain(64, 128, 10), decay, *few),
        "64-512-512-10, Adam": lambda: run(chain(64, 512, 512, 10), optim.Adam(lr=3e-3), *few),
        "64-128-2, separable, Adam": lambda: run(chain(64, 128, 2), optim.Adam(), *separable),
    }


def stretches(rounds: int) -> tuple[list[dict[str, Any]], bool]:
    """Print the times of the stretches; the median of the rounds counts."""
    rows, lines, good = [], [], True
    for name, training in trainings().items():
        runs = [training() for _ in range(rounds)]
        ratio = statistics.median(run[-1] / run[0] for run in runs)
        epoch = [1e3 * statistics.median(s) / EPOCHS for s in zip(*runs, strict=True)]
        good = good and ratio <= LIMIT
        lines.append([name, *(f"{ms:.2f}" for ms in epoch), f"{ratio:.2f}", f"{LIMIT:g}"])
        rows.append({"case": name, "seconds": runs, "ratio": ratio})
    head = [
        "ms an epoch, by stretches",
        *map(str, range(1, STRETCHES + 1)),
        "last/first",
        "at most",
    ]
    print(table(head, lines), end="\n\n")
    return rows, good


def calls(rounds: int, seconds: float) -> tuple[list[dict[str, Any]], bool]:
    """Print steps and predictions with subnormal rows or weights beside those with normal ones."""
    small = np.float32(np.finfo(np.float32).smallest_normal / 16)
    rng = np.random.default_rng(1)
    x = rng.uniform(0.5, 1.0, (128, 784)).astype(np.float32)
    y = rng.integers(0, 10, 128)
    w = x.T[:, :128].copy()

    def model(scale: np.float32) -> nn.Sequential:
        made = chain(784, 128, 10)
        made[0].weight[...] = w.T * scale
        made.compile(optim.SGD(lr=0.0), "cross_entropy")
        return made

    normal, tiny = model(np.float32(1e-2)), model(small)
    threads = {"n_threads": 1}
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {}
    for name, (net, rows) in {"rows": (normal, x * small), "weights": (tiny, x)}.items():
        for call in ("train_step", "predict"):
            targets = (y,) if call == "train_step" else ()

            def pair(net: Any, rows: Any, call: str = call, targets: Any = targets) -> Any:
                function = getattr(net, call)
                return lambda: function(rows, *targets, **threads)

            pairs[f"{call}, subnormal {name}"] = (pair(normal, x), pair(net, rows))
    below = x * small
    pairs["x @ w of NumPy, subnormal rows"] = (lambda: x @ w, lambda: below @ w)
    rows_, lines, good = [], [], True
    for name, (usual, subnormal) in pairs.items():
        turns = {
            "normal": lambda call=usual: per_call(call, seconds),
            "subnormal": lambda call=subnormal: per_call(call, seconds),
        }
        found = alternate(turns, rounds, pause=0.0)
        times = {kind: statistics.median(values) for kind, values in found.items()}
        ratio = times["subnormal"] / times["normal"]
        own = "NumPy" not in name
        good = good and (not own or ratio <= LIMIT)
        us = [f"{times[kind]:.1f}" for kind in ("normal", "subnormal")]
        lines.append([name, *us, f"{ratio:.2f}", f"{LIMIT:g}" if own else ""])
        rows_.append({"call": name, "us": found, "ratio": ratio})
    head = ["us a call, 784-128-10, 128 rows", "normal", "subnormal", "ratio", "at most"]
    print(table(head, lines), end="\n\n")
    return rows_, good


def main() -> int:
    """Print both tables; return 1 if a ratio is too large."""
    given = parser(__doc__, rounds=5, seconds=0.1).parse_args()
    trained, good = stretches(given.rounds)
    called, calls_good = calls(given.rounds, given.seconds)
    finish(given.json, trainings=trained, calls=called)
    return int(not (good and calls_good))


if __name__ == "__main__":
    sys.exit(main())
