# SPDX-License-Identifier: BSD-3-Clause
"""The process in which one library learns MNIST; see `mnist98.py`."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from bench import mnist
from bench.compare.worker import serve
from bench.mnist98 import BATCH, HELD_OUT, HIDDEN, MEAN, MOMENTUM, STD, phases

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rows = tuple["NDArray[Any]", "NDArray[Any]"]


class Session:
    """The requests that the parent process may send."""

    def __init__(self, name: str, threads: int) -> None:
        self.run: Any = {"fastnn": fastnn_run, "torch": torch_run, "sklearn": sklearn_run}[name]
        self.prepare: Any = {"fastnn": lambda x: x}.get(name, scaled)
        self.threads = threads
        self.train_rows: Any = None
        self.test_rows: Any = None

    def load(self, validate: bool) -> None:
        """Read the images and train briefly, so that lazy initialisation is not timed."""
        x, y = mnist.load("train")
        if validate:
            self.train_rows = self.prepare(x[:-HELD_OUT]), y[:-HELD_OUT]
            self.test_rows = self.prepare(x[-HELD_OUT:]), y[-HELD_OUT:]
        else:
            self.train_rows = self.prepare(x), y
            x, y = mnist.load("t10k")
            self.test_rows = self.prepare(x), y
        few = tuple(values[: 4 * BATCH] for values in self.train_rows)
        self.run(few, few, self.threads, 0)

    def train(self, seed: int) -> tuple[float, float]:
        """Return the seconds of training and the accuracy."""
        found: tuple[float, float] = self.run(self.train_rows, self.test_rows, self.threads, seed)
        return found


def scaled(x: NDArray[Any]) -> NDArray[Any]:
    """Scale images as fastnn does while it gathers rows."""
    return ((x / np.float32(255) - np.float32(MEAN)) / np.float32(STD)).astype(np.float32)


def fastnn_run(train: Rows, test: Rows, threads: int, seed: int) -> tuple[float, float]:
    """Train with fastnn, compiled anew for each phase; only fit is timed."""
    from fastnn import nn, optim

    model = nn.Sequential(
        nn.Rescale(1 / (255 * STD), -MEAN / STD),
        nn.Linear(784, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, 10),
        seed=seed,
        n_threads=threads or None,
    )
    seconds = 0.0
    x, y = train
    for rows, rate in phases(len(x)):
        sgd = optim.SGD(lr=rate, momentum=MOMENTUM, nesterov=True)
        model.compile(sgd, nn.CrossEntropyLoss(), metrics=["accuracy"])
        start = perf_counter()
        model.fit(x[rows], y[rows], BATCH, 1)
        seconds += perf_counter() - start
    return seconds, model.evaluate(*test)["accuracy"]


def torch_run(train: Rows, test: Rows, threads: int, seed: int) -> tuple[float, float]:
    """Train with PyTorch: the usual loop, a fused optimizer, rows shuffled once per phase."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(784, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10)
    )
    x, y = torch.from_numpy(train[0]), torch.from_numpy(train[1].astype(np.int64))
    seconds = 0.0
    for rows, rate in phases(len(x)):
        sgd = torch.optim.SGD(
            model.parameters(), lr=rate, momentum=MOMENTUM, nesterov=True, fused=True
        )
        start = perf_counter()
        order = torch.randperm(len(x[rows]))
        batches = zip(x[rows][order].split(BATCH), y[rows][order].split(BATCH), strict=True)
        for part, labels in batches:
            sgd.zero_grad()
            F.cross_entropy(model(part), labels).backward()
            sgd.step()
        seconds += perf_counter() - start
    with torch.inference_mode():
        right = model(torch.from_numpy(test[0])).argmax(1).numpy() == test[1]
    return seconds, float(right.mean())


def sklearn_run(train: Rows, test: Rows, threads: int, seed: int) -> tuple[float, float]:  # noqa: ARG001
    """Train with scikit-learn, one partial_fit per phase; later rates are set in its optimizer."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        (HIDDEN,),
        solver="sgd",
        alpha=0.0,
        batch_size=BATCH,
        momentum=MOMENTUM,
        nesterovs_momentum=True,
        random_state=seed,
    )
    seconds = 0.0
    x, y = train
    for rows, rate in phases(len(x)):
        model.learning_rate_init = rate
        if hasattr(model, "_optimizer"):
            model._optimizer.learning_rate = rate
        start = perf_counter()
        model.partial_fit(x[rows], y[rows], classes=np.arange(10))
        seconds += perf_counter() - start
    return seconds, float(model.score(*test))


if __name__ == "__main__":
    serve(Session)
