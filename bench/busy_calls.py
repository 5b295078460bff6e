# SPDX-License-Identifier: BSD-3-Clause
"""How much other processes slow single calls down: the first table of `python bench/busy.py`.

The calls have a few sizes. They choose the number of threads themselves, except "train_step, 2",
which takes two, and "numpy between", which is a train_step on two threads after a matrix product of
NumPy. Each call is timed alone, beside one spinning process per processor, and beside a process
that trains on two threads. A figure is the median over all calls of all rounds.
"""

from __future__ import annotations

import itertools
import statistics
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import functional as F
from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.neighbours import Neighbours

rng = np.random.default_rng(0)


def _rows(rows: int, columns: int) -> np.ndarray:
    return rng.standard_normal((rows, columns)).astype(np.float32)


def _model(*widths: int, optimizer: str = "adam") -> nn.Sequential:
    layers: list[Any] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    model = nn.Sequential(*layers[:-1], seed=0)
    model.compile(optim.SGD(lr=1e-3) if optimizer == "sgd" else optim.Adam(lr=1e-4), "mse")
    return model


def _of_model(widths: tuple[int, ...], rows: int) -> dict[str, Callable[[], object]]:
    model, x, y = _model(*widths), _rows(rows, widths[0]), _rows(rows, widths[-1])
    name = f"{'-'.join(map(str, widths))}, {rows}"
    other = _model(*widths, optimizer="sgd")
    many, targets = np.tile(x, (8, 1)), np.tile(y, (8, 1))
    a = _rows(512, 512)

    def numpy_between() -> float:
        a @ a
        start = perf_counter()
        other.train_step(x, y, n_threads=2)
        return perf_counter() - start

    return {
        f"fit {name}": lambda: model.fit(many, targets, batch_size=rows),
        f"train_step {name}": lambda: model.train_step(x, y),
        f"train_step, 2 {name}": lambda: other.train_step(x, y, n_threads=2),
        f"numpy between {name}": numpy_between,
        f"predict {name}": lambda: model.predict(x),
        f"evaluate {name}": lambda: model.evaluate(x, y),
    }


def _of_functions(rows: int, inputs: int, outputs: int) -> dict[str, Callable[[], object]]:
    x, w, b = _rows(rows, inputs), _rows(inputs, outputs), _rows(1, outputs)[0]
    dy = _rows(rows, outputs)
    name = f"{rows} x {inputs} x {outputs}"
    grad = _rows(inputs, outputs)
    moved = w.copy()
    state = F.adam_state(moved)
    return {
        f"F.linear {name}": lambda: F.linear(x, w, b),
        f"F.linear_backward {name}": lambda: F.linear_backward(dy, x, w),
        f"F.adam_step_ {name}": lambda: F.adam_step_(moved, grad, state),
    }


def calls() -> dict[str, Callable[[], object]]:
    """Return all calls by name. "numpy between" returns the seconds of its training step alone."""
    found: dict[str, Callable[[], object]] = {}
    for widths, rows in [((17, 64, 64, 6), 1000), ((784, 512, 10), 128)]:
        found |= _of_model(widths, rows)
    for sizes in [(64, 784, 128), (128, 784, 512)]:
        found |= _of_functions(*sizes)
    return found


def times(name: str, call: Callable[[], object], seconds: float) -> list[float]:
    """Repeat a call for about `seconds`; return the microseconds of each repetition."""
    call()
    found, end = [], perf_counter() + seconds
    itself = name.startswith("numpy between")
    while True:
        start = perf_counter()
        result = call()
        now = perf_counter()
        found.append((result if itself and isinstance(result, float) else now - start) * 1e6)
        if now > end and len(found) >= 5:
            return found


def rows(beside: dict[str, Neighbours], rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield a row per call: medians and means alone and beside each kind of neighbour."""
    for name, call in calls().items():
        found: dict[str, list[float]] = {"alone": [], **{kind: [] for kind in beside}}
        times(name, call, seconds / 2)
        for _ in range(rounds):
            found["alone"] += times(name, call, seconds)
            for kind, neighbours in beside.items():
                with neighbours.awake():
                    found[kind] += times(name, call, seconds)
        medians = {kind: statistics.median(each) for kind, each in found.items()}
        means = {kind: statistics.fmean(each) for kind, each in found.items()}
        factors = {kind: medians[kind] / medians["alone"] for kind in beside}
        yield {"call": name, "median_us": medians, "mean_us": means, "factor": factors}


def line(found: dict[str, Any]) -> str:
    """Return one row of the table as text."""
    medians, means = found["median_us"], found["mean_us"]
    beside = "".join(
        f"{medians[kind]:>11.1f}{factor:>7.2f}{means[kind] / means['alone']:>7.2f}"
        for kind, factor in found["factor"].items()
    )
    return f"{found['call']:<44}{medians['alone']:>10.1f}{beside}"
