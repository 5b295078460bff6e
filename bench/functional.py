# SPDX-License-Identifier: BSD-3-Clause
"""fastnn.functional compared with plain NumPy expressions: `python -m bench.functional`.

Products and optimizer steps are also compared with PyTorch and its fused optimizers. There is one
process for each number of threads, in which the libraries take turns; each turn is a warm-up, which
is not counted, and then the calls that are timed. The median of the rounds is printed.

A function misses its aim if it is slower than NumPy: by more than one microsecond if NumPy takes
less than three, and otherwise by more than 5 %, because repeated timings of the same call differ by
as much.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.turns import PAUSE, alternate, finish, parser, say, table

if TYPE_CHECKING:
    from collections.abc import Callable

# Rows, inputs and outputs of the products. Optimizer steps have arrays of (inputs, outputs), and
# the other functions arrays of (rows, outputs).
SIZES = [
    (32, 32, 32),
    (32, 64, 32),
    (64, 64, 64),
    (128, 128, 128),
    (64, 784, 128),
    (128, 784, 512),
    (1024, 1024, 1024),
]
DTYPES = ("float32", "float64")
NOISE = 1.05  # the largest ratio to NumPy's time that counts as equal
SMALL, GRACE = 3.0, 1.0  # microseconds: a call shorter than SMALL may take GRACE more than NumPy
LEAST_OF_TORCH = {  # the smallest ratio of PyTorch's time to fastnn's that is no miss
    "linear": 0.9,
    "linear_backward": 0.9,
    "sgd": 1 / 1.3,
    "adam": 1 / 1.3,
    "adamw": 1 / 1.3,
}
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
CORES = len(os.sched_getaffinity(0))

Calls = dict[str, "Callable[[], object]"]


class Arrays:
    """The operands of one size."""

    def __init__(self, size: tuple[int, int, int], dtype: str) -> None:
        rng = np.random.default_rng(0)
        n, i, o = size
        self.x, self.w, self.b, self.dy, self.z, self.t = (
            rng.standard_normal(shape).astype(dtype)
            for shape in ((n, i), (i, o), (o,), (n, o), (n, o), (n, o))
        )
        self.g = rng.standard_normal((i, o)).astype(dtype) * self.x.dtype.type(1e-3)
        self.y = rng.integers(0, o, n)


def products(a: Arrays, F: Any, torch: Any) -> dict[str, Calls]:
    """Return the calls of linear and linear_backward."""
    x, w, b, dy = a.x, a.w, a.b, a.dy
    found: dict[str, Calls] = {
        "linear": {"fastnn": lambda: F.linear(x, w, b), "numpy": lambda: x @ w + b},
        "linear_backward": {
            "fastnn": lambda: F.linear_backward(dy, x, w),
            "numpy": lambda: (dy @ w.T, x.T @ dy, dy.sum(axis=0)),
        },
    }
    if torch is not None:
        tx, tw, tb, tdy = map(torch.from_numpy, (x, w, b, dy))
        found["linear"]["torch"] = lambda: torch.addmm(tb, tx, tw)
        found["linear_backward"]["torch"] = lambda: (tdy @ tw.T, tx.T @ tdy, tdy.sum(0))
    return found


def activations(a: Arrays, F: Any) -> dict[str, Calls]:
    """Return the calls of the activations and their backward functions."""
    z, dy = a.z, a.dy
    relu, tanh, sigmoid = np.maximum(z, 0), np.tanh(z), 1 / (1 + np.exp(-z))
    k = z.dtype.type(np.sqrt(2 / np.pi))
    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "relu": (lambda: F.relu(z), lambda: np.maximum(z, 0)),
        "relu_backward": (lambda: F.relu_backward(dy, relu), lambda: dy * (relu > 0)),
        "leaky_relu": (lambda: F.leaky_relu(z), lambda: np.where(z > 0, z, 0.01 * z)),
        "leaky_relu_backward": (
            lambda: F.leaky_relu_backward(dy, z),
            lambda: np.where(z > 0, dy, 0.01 * dy),
        ),
        "tanh": (lambda: F.tanh(z), lambda: np.tanh(z)),
        "tanh_backward": (lambda: F.tanh_backward(dy, tanh), lambda: dy * (1 - tanh * tanh)),
        "sigmoid": (lambda: F.sigmoid(z), lambda: 1 / (1 + np.exp(-z))),
        "sigmoid_backward": (
            lambda: F.sigmoid_backward(dy, sigmoid),
            lambda: dy * sigmoid * (1 - sigmoid),
        ),
        "gelu, tanh": (
            lambda: F.gelu(z, "tanh"),
            lambda: 0.5 * z * (1 + np.tanh(k * (z + 0.044715 * z * z * z))),
        ),
    }
    return {name: {"fastnn": ours, "numpy": theirs} for name, (ours, theirs) in pairs.items()}


def rows(a: Arrays, F: Any) -> dict[str, Calls]:
    """Return the calls of softmax and of the losses, which give value and gradient."""
    z, t, y = a.z, a.t, a.y
    n = len(z)
    every, n_all = np.arange(n), z.dtype.type(z.size)
    binary, p = (t > 0).astype(z.dtype), np.clip(np.abs(t) / 4, 0.05, 0.95)

    def softmax() -> Any:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def log_softmax() -> Any:
        shifted = z - z.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def mse(share: float = 1.0) -> Any:
        d = z - t
        return share * (d * d).mean(), d * z.dtype.type(2 * share / z.size)

    def l1() -> Any:
        d = z - t
        return np.abs(d).mean(), np.sign(d) / n_all

    def bce() -> Any:
        value = -(binary * np.log(p) + (1 - binary) * np.log(1 - p)).mean()
        return value, (p - binary) / (p * (1 - p)) / n_all

    def bce_with_logits() -> Any:
        e = np.exp(-np.abs(z))
        value = (np.maximum(z, 0) - z * binary + np.log1p(e)).mean()
        return value, (1 / (1 + np.exp(-z)) - binary) / n_all

    def cross_entropy() -> Any:
        logs = log_softmax()
        gradient = np.exp(logs)
        gradient[every, y] -= 1
        return -logs[every, y].mean(), gradient / z.dtype.type(n)

    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "softmax": (lambda: F.softmax(z), softmax),
        "log_softmax": (lambda: F.log_softmax(z), log_softmax),
        "mse_loss": (lambda: F.mse_loss(z, t), mse),
        "half_mse_loss": (lambda: F.half_mse_loss(z, t), partial(mse, 0.5)),
        "l1_loss": (lambda: F.l1_loss(z, t), l1),
        "bce_loss": (lambda: F.bce_loss(p, binary), bce),
        "bce_with_logits": (lambda: F.bce_with_logits(z, binary), bce_with_logits),
        "cross_entropy": (lambda: F.cross_entropy(z, y), cross_entropy),
    }
    return {name: {"fastnn": ours, "numpy": theirs} for name, (ours, theirs) in pairs.items()}


def steps(a: Arrays, F: Any, torch: Any) -> dict[str, Calls]:
    """Return the calls of optimizer steps on one matrix."""
    w, g, lr = a.w, a.g, a.w.dtype.type(1e-5)
    own, other, velocity, m, v = w.copy(), w.copy(), np.zeros_like(w), np.zeros_like(w), g * g
    momentum, adam = F.sgd_state(own), F.adam_state(own)

    def sgd() -> None:
        np.subtract(other, lr * g, out=other)

    def sgd_momentum() -> None:
        velocity[...] = 0.9 * velocity + g
        np.subtract(other, lr * velocity, out=other)

    def numpy_adam() -> None:
        m[...] = 0.9 * m + 0.1 * g
        v[...] = 0.999 * v + 0.001 * (g * g)
        np.subtract(other, lr * m / (np.sqrt(v) + 1e-8), out=other)

    found: dict[str, Calls] = {
        "sgd": {"fastnn": lambda: F.sgd_step_(own, g, lr=1e-5), "numpy": sgd},
        "sgd, momentum": {
            "fastnn": lambda: F.sgd_step_(own, g, momentum, lr=1e-5, momentum=0.9),
            "numpy": sgd_momentum,
        },
        "adam": {"fastnn": lambda: F.adam_step_(own, g, adam, lr=1e-5), "numpy": numpy_adam},
        "adamw": {"fastnn": lambda: F.adamw_step_(own, g, adam, lr=1e-5), "numpy": numpy_adam},
    }
    if torch is not None:
        made = {
            "sgd": (torch.optim.SGD, {}),
            "sgd, momentum": (torch.optim.SGD, {"momentum": 0.9}),
            "adam": (torch.optim.Adam, {}),
            "adamw": (torch.optim.AdamW, {}),
        }
        for name, (kind, options) in made.items():
            parameter = torch.from_numpy(w.copy()).requires_grad_()
            parameter.grad = torch.from_numpy(g)
            step = kind([parameter], lr=1e-5, fused=True, **options).step
            found[name]["torch"] = torch.no_grad()(step)
    return found


def calls(size: tuple[int, int, int], dtype: str, torch: Any) -> dict[str, Calls]:
    """Return everything that is measured at one size."""
    import fastnn.functional as F

    a = Arrays(size, dtype)
    return {
        **products(a, F, torch),
        **activations(a, F),
        **rows(a, F),
        **steps(a, F, torch),
    }


def turn(call: Callable[[], object], warm_up: float, seconds: float) -> float:
    """Return microseconds per call over about `seconds`, after a warm-up that is not counted.

    The warm-up is a time and not a number of calls, the same for all: threads wake, the scheduler
    places them, and threads of the turn before stop spinning.
    """
    start, calls = perf_counter(), 0
    while (spent := perf_counter() - start) < warm_up or calls == 0:
        call()
        calls += 1
    repeats = max(1, round(seconds * calls / spent))
    begin = perf_counter()
    for _ in range(repeats):
        call()
    return (perf_counter() - begin) / repeats * 1e6


def has_threads_of_others(name: str) -> bool:
    """Tell whether NumPy or PyTorch run a function on threads, which go on spinning afterwards."""
    return name.partition(",")[0] in LEAST_OF_TORCH


def worker(options: Any) -> None:
    """Measure with the threads that the environment gives; print a line of JSON for each row.

    A row that seems to miss something is measured once more, and all of its rounds count.
    """
    torch: Any = None
    if not options.without_torch:
        try:
            import torch
        except ImportError:
            say("without PyTorch")
    if torch is not None:
        torch.set_num_threads(options.worker)
    gc.disable()
    for dtype in options.dtype or DTYPES:
        for number in options.size:
            for name, peers in calls(SIZES[number], dtype, torch).items():
                if options.only and not name.startswith(tuple(options.only)):
                    continue
                pause = PAUSE if options.worker > 1 and has_threads_of_others(name) else 0.0
                turns = {
                    who: partial(turn, call, options.warm_up, options.seconds)
                    for who, call in peers.items()
                }
                times = alternate(turns, options.rounds, pause)
                if verdict(name, medians(times)):
                    for who, again in alternate(turns, options.rounds, pause).items():
                        times[who] += again
                row = {"name": name, "size": SIZES[number], "dtype": dtype, "us": times}
                print(json.dumps(row), flush=True)


def medians(times: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of each peer's rounds."""
    return {who: statistics.median(each) for who, each in times.items()}


def verdict(name: str, us: dict[str, float]) -> str:
    """Return what a function misses, as text; an empty text if it misses nothing."""
    ours, numpy = us["fastnn"], us["numpy"]
    allowed = numpy + GRACE if numpy < SMALL else NOISE * numpy
    missed = [f"NumPy {numpy / ours:.2f}"] if ours > allowed else []
    least = LEAST_OF_TORCH.get(name.partition(",")[0])
    if least is not None and "torch" in us and us["torch"] / ours < least:
        missed.append(f"PyTorch {us['torch'] / ours:.2f}")
    return ", ".join(missed)


def line(row: dict[str, Any]) -> tuple[list[str], bool]:
    """Return the cells of one row of the table, and whether an aim is missed."""
    us = medians(row["us"])
    missed = verdict(row["name"], us)
    cells = [f"{us[who]:.2f}" if who in us else "" for who in ("fastnn", "numpy", "torch")]
    ratios = [f"{us[who] / us['fastnn']:.2f}" if who in us else "" for who in ("numpy", "torch")]
    shape = " x ".join(map(str, row["size"]))
    return [f"{row['name']}, {row['dtype']}", shape, *cells, *ratios, missed], bool(missed)


def summary(threads: int, found: list[dict[str, Any]]) -> str:
    """Return a table of the functions: smallest and median ratio, and how many rows miss an aim."""
    rows: dict[str, list[dict[str, float]]] = {}
    missed: dict[str, int] = {}
    for row in found:
        us = medians(row["us"])
        rows.setdefault(row["name"], []).append({who: us[who] / us["fastnn"] for who in us})
        missed[row["name"]] = missed.get(row["name"], 0) + bool(verdict(row["name"], us))
    cells = []
    for name, ratios in rows.items():
        line_ = [name]
        for who in ("numpy", "torch"):
            of = [each[who] for each in ratios if who in each]
            line_ += [f"{min(of):.2f}", f"{statistics.median(of):.2f}"] if of else ["", ""]
        cells.append([*line_, f"{missed[name]} of {len(ratios)}"])
    head = ["NumPy: least", "median", "PyTorch: least", "median", "missed"]
    return table([f"{threads} thread(s)", *head], cells)


def arguments() -> Any:
    """Return the options; --quick and --full set the values of others."""
    made = parser(__doc__, rounds=5, seconds=0.004)
    made.add_argument("--warm-up", type=float, default=0.004, help="seconds of a turn before it")
    made.add_argument("--threads", type=int, nargs="*", default=sorted({1, min(2, CORES)}))
    made.add_argument("--dtype", nargs="*", choices=DTYPES)
    made.add_argument("--size", type=int, nargs="*", help=f"numbers of {SIZES}")
    made.add_argument("--only", nargs="*", help="beginnings of the functions' names")
    made.add_argument("--without-torch", action="store_true")
    made.add_argument("--quick", action="store_true", help="3 rounds of 3 sizes: 20 s a thread")
    made.add_argument("--full", action="store_true", help="15 rounds of longer turns: 10 minutes")
    made.add_argument("--worker", type=int, help="(internal)")
    options = made.parse_args()
    if options.quick:
        options.rounds = 3
    elif options.full:
        options.rounds, options.warm_up, options.seconds = 15, 0.01, 0.01
    options.size = options.size or ([1, 4, 5] if options.quick else list(range(len(SIZES))))
    return options


def main() -> int:
    """Measure and print."""
    options = arguments()
    if options.worker:
        worker(options)
        return 0
    good, all_found = True, dict[int, list[Any]]()
    for threads in options.threads:
        environment = os.environ | {pool: str(threads) for pool in POOLS}
        command = [
            sys.executable,
            "-m",
            "bench.functional",
            *sys.argv[1:],
            "--worker",
            str(threads),
        ]
        root = Path(__file__).parents[1]
        head = [f"{threads} thread(s), us", "size", "fastnn", "NumPy", "PyTorch"]
        print(table([*head, "NumPy / fastnn", "PyTorch / fastnn", "missed"], []), flush=True)
        found = all_found[threads] = []
        with subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE) as run:
            for text in run.stdout or ():
                found.append(json.loads(text))
                cells, missed = line(found[-1])
                good = good and not missed
                print(f"| {' | '.join(cells)} |", flush=True)
        good = good and run.returncode == 0
        print(f"\n{summary(threads, found)}\n", flush=True)
    finish(options.json, functional=all_found)
    print("nothing is missed" if good else "something is missed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
