# SPDX-License-Identifier: BSD-3-Clause
"""A step in NumPy, written for speed: no allocation, flat parameters, sums as products.

For NumPy code that is written to be read, see `fastnn.reference`. Losses are computed only where
they are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bench.compare.case import ADAM, WEIGHT_DECAY, Case, data, weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PINNED = False
CHUNK = 1 << 15  # the optimizer updates so many values at a time, which stay in the cache


def versions() -> dict[str, str]:
    """Return the versions of NumPy and its BLAS."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"numpy": np.__version__, "blas": f"{blas['name']} {blas['version']}"}


class Model:
    """See `case.Peer`."""

    def __init__(self, case: Case, threads: int) -> None:
        self.case, self.threads = case, threads
        self.initial = weights(case)
        n = sum(w.size + b.size for w, b in self.initial)
        self.values, self.grads = np.zeros((2, n), case.dtype)
        self.parameters = list(_views(self.values, self.initial))
        self.gradients = list(_views(self.grads, self.initial))
        self.state = np.zeros((2, n), case.dtype)
        self.steps = 0
        self.batches = _batches(case)
        shape, widths = case.batch, case.widths
        self.z = [np.empty((shape, width), case.dtype) for width in widths[1:]]
        self.dz = [np.empty_like(z) for z in self.z[:-1]]
        self.open = [np.empty(z.shape, bool) for z in self.dz]
        self.scratch = [np.empty_like(z) for z in self.dz]
        self.column = np.empty((shape, 1), case.dtype)
        self.row_ones, self.ones = np.ones((widths[-1], 1), case.dtype), np.ones(shape, case.dtype)
        self.random = np.random.Generator(np.random.SFC64(0))
        self.spare = np.empty(min(n, CHUNK), case.dtype)
        self.chunks = [slice(at, min(at + CHUNK, n)) for at in range(0, n, CHUNK)]

    def reset(self) -> None:
        for (w, b), (w0, b0) in zip(self.parameters, self.initial, strict=True):
            w[...], b[...] = w0, b0
        self.state[...] = 0
        self.steps = 0

    def run(self, epochs: int) -> None:
        step = self._step
        for _ in range(epochs):
            for x, y in self.batches:
                step(x, y)

    def losses(self, epochs: int) -> list[float]:
        return [
            float(np.mean([self._step(x, y, loss=True) for x, y in self.batches]))
            for _ in range(epochs)
        ]

    def threads_used(self) -> int:
        return self.threads

    def _step(self, x: NDArray[Any], y: NDArray[Any], loss: bool = False) -> float:
        h = x
        last = len(self.z) - 1
        for layer, ((w, b), z) in enumerate(zip(self.parameters, self.z, strict=True)):
            np.matmul(h, w, out=z)
            np.add(z, b, out=z)
            if layer < last:
                self._activate(layer, z)
            h = z
        value = _loss(self.case.loss, h, y) if loss else 0.0
        self._output_gradient(h, y)
        d = h
        for layer in range(last, -1, -1):
            dw, db = self.gradients[layer]
            below = self.z[layer - 1] if layer else x
            np.matmul(below.T, d, out=dw)
            np.matmul(self.ones, d, out=db)
            if layer:
                d = np.matmul(d, self.parameters[layer][0].T, out=self.dz[layer - 1])
                self._activate_back(layer - 1, below, d)
        self._update()
        return value

    def _activate(self, layer: int, z: NDArray[Any]) -> None:
        if self.case.activation == "relu":
            np.maximum(z, 0, out=z)
        else:
            np.tanh(z, out=z)
        if self.case.dropout:  # a dropped unit is 0, where the derivative of relu is 0 as well
            drawn = self.scratch[layer]
            self.random.random(dtype=drawn.dtype, out=drawn)
            np.greater_equal(drawn, self.case.dropout, out=self.open[layer])
            np.multiply(z, self.open[layer], out=z)
            np.multiply(z, 1 / (1 - self.case.dropout), out=z)

    def _activate_back(self, layer: int, h: NDArray[Any], d: NDArray[Any]) -> None:
        if self.case.activation == "relu":
            np.greater(h, 0, out=self.open[layer])
            np.multiply(d, self.open[layer], out=d)
        else:
            slope = self.scratch[layer]
            np.multiply(h, h, out=slope)
            np.subtract(1, slope, out=slope)
            np.multiply(d, slope, out=d)
        if self.case.dropout:
            np.multiply(d, 1 / (1 - self.case.dropout), out=d)

    def _output_gradient(self, z: NDArray[Any], y: NDArray[Any]) -> None:
        """Overwrite the outputs with the gradient of the mean loss; `_batches` scales classes."""
        if self.case.loss == "mse":
            np.subtract(z, y, out=z)
            np.multiply(z, 2 / z.size, out=z)
        elif self.case.loss == "bce_with_logits":
            np.negative(z, out=z)
            np.exp(z, out=z)
            np.add(z, 1, out=z)
            np.divide(1, z, out=z)
            np.subtract(z, y, out=z)
            np.multiply(z, 1 / z.size, out=z)
        else:
            np.maximum.reduce(z, axis=1, keepdims=True, out=self.column)
            np.subtract(z, self.column, out=z)
            np.exp(z, out=z)
            np.matmul(z, self.row_ones, out=self.column)
            np.multiply(self.column, len(z), out=self.column)
            np.divide(z, self.column, out=z)
            np.subtract(z, y, out=z)

    def _update(self) -> None:
        case, g, p = self.case, self.grads, self.values
        if case.optimizer == "sgd":
            np.multiply(g, case.lr, out=g)
            np.subtract(p, g, out=p)
            return
        self.steps += 1
        beta1, beta2, eps = ADAM
        rate = case.lr / (1 - beta1**self.steps)
        root = (1 - beta2**self.steps) ** -0.5
        decay = 1 - case.lr * WEIGHT_DECAY if case.optimizer == "adamw" else 1.0
        for part in self.chunks:
            (m, v), gp, pp = self.state[:, part], g[part], p[part]
            t = self.spare[: len(gp)]
            np.subtract(gp, m, out=t)
            np.multiply(t, 1 - beta1, out=t)
            np.add(m, t, out=m)
            np.multiply(gp, gp, out=t)
            np.multiply(t, 1 - beta2, out=t)
            np.multiply(v, beta2, out=v)
            np.add(v, t, out=v)
            np.sqrt(v, out=t)
            np.multiply(t, root, out=t)
            np.add(t, eps, out=t)
            np.divide(m, t, out=t)
            np.multiply(t, rate, out=t)
            if decay != 1.0:
                np.multiply(pp, decay, out=pp)
            np.subtract(pp, t, out=pp)


def _views(
    flat: NDArray[Any], like: list[tuple[NDArray[Any], NDArray[Any]]]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    at = 0
    for w, b in like:
        middle = at + w.size
        yield flat[at:middle].reshape(w.shape), flat[middle : middle + b.size]
        at = middle + b.size


def _batches(case: Case) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return views of the batches; classes are one-hot and divided by the size of the batch."""
    x, y = data(case)
    if case.loss == "cross_entropy":
        hot = np.zeros((len(y), case.widths[-1]), case.dtype)
        hot[np.arange(len(y)), y] = 1 / case.batch
        y = hot
    return list(zip(np.split(x, case.batches), np.split(y, case.batches), strict=True))


def _loss(name: str, z: NDArray[Any], y: NDArray[Any]) -> float:
    z = z.astype(np.float64)
    if name == "mse":
        return float(np.mean((z - y) ** 2))
    if name == "bce_with_logits":
        return float(np.mean(np.logaddexp(0, z) - y * z))
    log_sum = np.log(np.sum(np.exp(z - z.max(axis=1, keepdims=True)), axis=1)) + z.max(axis=1)
    return float(np.mean(log_sum) - np.sum(z * y))
