# SPDX-License-Identifier: BSD-3-Clause
"""Prints what the heap did, as JSON; test_memory.py runs this with a counter preloaded."""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTER = ctypes.CDLL(None)  # this process, into which the library was loaded first

BATCH, COLUMNS, CLASSES = 16, 17, 6
FEW, MANY = 10, 110  # steps
TRIES = 3  # what a step allocates shows in each of them; what the process does beside it does not


def linear(inputs: int, outputs: int) -> tuple[str, dict[str, Any]]:
    return "linear", {"in_features": inputs, "out_features": outputs, "bias": True}


def mlp(*between: tuple[str, dict[str, Any]], width: int = 64) -> list[tuple[str, dict[str, Any]]]:
    return [
        linear(COLUMNS, width),
        *between,
        ("relu", {}),
        linear(width, width),
        ("relu", {}),
        linear(width, CLASSES),
    ]


# layers, loss, optimizer, its values, max_grad_norm
NETWORKS: dict[str, tuple[Any, ...]] = {
    "one layer": ([linear(COLUMNS, CLASSES)], "cross_entropy", "sgd", {}, None),
    "plain": (mlp(), "cross_entropy", "sgd", {"lr": 1e-3, "momentum": 0.9}, None),
    "dropout": (mlp(("dropout", {"p": 0.5})), "mse", "adam", {}, None),
    "batch norm": (mlp(("batch_norm1d", {"num_features": 64})), "cross_entropy", "adamw", {}, None),
    "clipping": (mlp(), "mse", "sgd", {"lr": 1e-3}, 0.1),
    "wide": (mlp(width=400), "cross_entropy", "adam", {}, None),  # 640 kB of float32 in one layer
}


def network(name: str, dtype: str) -> Any:
    layers, loss, optimizer, hyper, clip = NETWORKS[name]
    net = _core.Network(layers, dtype, 1)
    net.compile(loss, {}, optimizer, hyper, {}, max_grad_norm=clip)
    return net


def target(name: str, rows: int) -> np.ndarray:
    if NETWORKS[name][1] == "cross_entropy":
        return np.arange(rows) % CLASSES
    return np.ones((rows, CLASSES), np.float32)


def calls_during(f: Callable[[], Any], times: int = 1) -> int:
    before = COUNTER.counted_calls()
    for _ in itertools.repeat(None, times):
        f()
    return int(COUNTER.counted_calls() - before)


def of_steps(name: str, dtype: str, threads: int, expected: int = 0) -> dict[str, int]:
    """Return how many more allocations 110 steps make than 10, in fit and in train_step."""
    net = network(name, dtype)
    x = np.ones((BATCH * MANY, COLUMNS), dtype)
    y = target(name, len(x))
    weights = np.ones(len(x), np.float32)

    def fit(steps: int) -> Any:
        n = BATCH * steps
        return net.fit(
            x[:n], y[:n], weights[:n], batch_size=BATCH, epochs=1, metrics=True, n_threads=threads
        )

    xb, yb = x[:BATCH], y[:BATCH]

    def step() -> float:
        return net.train_step(xb, yb, None, threads)

    fit(FEW)  # starts the threads and sizes the workspace
    fitted = fewest(lambda: calls_during(lambda: fit(MANY)) - calls_during(lambda: fit(FEW)), 0)
    calls_during(step, FEW)
    stepped = fewest(lambda: calls_during(step, MANY) - calls_during(step, FEW), expected)
    return {"fit": fitted, "train_step": stepped}


def fewest(measure: Callable[[], int], expected: int) -> int:
    least = measure()
    for _ in range(TRIES - 1):
        if least <= expected:
            break
        least = min(least, measure())
    return least


def steps() -> dict[str, Any]:
    blocks = [bytearray(10_000) for _ in range(3)]  # warms Python's own lists
    control = calls_during(lambda: bytearray(10_000), MANY)
    del blocks
    found: dict[str, Any] = {"control": control, "nothing": calls_during(lambda: None, MANY)}
    expected = 0
    for name in NETWORKS:
        for dtype in ("float32", "float64"):
            for threads in (1, 2):
                counts = of_steps(name, dtype, threads, expected)
                expected = counts["train_step"]
                found[f"{name}, {dtype}, {threads}"] = counts
    return found


ROWS, PIXELS, HIDDEN, DIGITS, MNIST_BATCH = 60_000, 784, 128, 10, 64


def peak_during(f: Callable[[], Any]) -> int:
    gc.collect()
    before = COUNTER.live_bytes()
    COUNTER.forget_peak()
    f()
    return int(COUNTER.peak_bytes() - before)


def copies(folder: str) -> dict[str, Any]:
    """Return the bytes that one fit on images takes, and the pass in which Standardize measures
    them, for several layouts of the same array."""
    x = np.random.default_rng(0).integers(0, 256, (ROWS, PIXELS), np.uint8)
    y = np.arange(ROWS, dtype=np.uint8) % DIGITS
    path = Path(folder) / "images.raw"
    x.tofile(path)
    layouts = {
        "C": lambda: x,
        "memmap": lambda: np.memmap(path, np.uint8, "r", shape=(ROWS, PIXELS)),
        "F": lambda: np.asfortranarray(x),
        "every other column": lambda: np.repeat(x, 2, axis=1)[:, ::2],
    }
    found: dict[str, Any] = {"control": peak_during(x.copy), "nothing": peak_during(lambda: None)}
    for name, layout in layouts.items():
        net = _core.Network(
            [
                ("rescale", {"scale": 1 / 255}),
                linear(PIXELS, HIDDEN),
                ("relu", {}),
                linear(HIDDEN, DIGITS),
            ],
            "float32",
            1,
        )
        net.compile("cross_entropy", {}, "adam", {"lr": 1e-3})
        images = layout()
        logs: dict[str, Any] = {}

        def fit(net: Any = net, images: Any = images, logs: dict[str, Any] = logs) -> None:
            logs.update(net.fit(images, y, batch_size=MNIST_BATCH, epochs=1, n_threads=2))

        def measure(images: Any = images) -> None:
            _core.column_moments(images, n_threads=2)

        found[name] = {
            "bytes": peak_during(fit),
            "loss": logs["loss"],
            "bytes of statistics": peak_during(measure),
        }
    return found


if __name__ == "__main__":
    gc.disable()
    for symbol in ("counted_calls", "live_bytes", "peak_bytes"):
        getattr(COUNTER, symbol).restype = ctypes.c_long
    command = sys.argv[1]
    if command == "injected":
        _core.testing.inject_allocation(True)
        answer = of_steps("plain", "float32", 1)
    else:
        answer = steps() if command == "steps" else copies(sys.argv[2])
    print(json.dumps(answer))
