# SPDX-License-Identifier: BSD-3-Clause
"""The process in which one library predicts: `python -m bench.predict_worker NAME THREADS`.

All libraries compute raw outputs of the same network for the same rows; see `predict.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bench.compare.case import Case, UnsupportedError, data, weights
from bench.compare.worker import serve
from bench.turns import per_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


HELD: list[Any] = []


class Session:
    """The requests that the parent process may send."""

    def __init__(self, name: str, threads: int) -> None:
        self.make: Any = {"numpy": numpy_call, "torch": torch_call, "fastnn": fastnn_call}[name]
        self.threads = threads
        self.call: Callable[[], Any] = lambda: None

    def load(self, widths: list[int], rows: int, way: str) -> list[float]:
        """Build the network and return the outputs of the first row."""
        case = Case(tuple(widths), rows, 1, "sgd", 0.1)
        self.call = self.make(case, data(case).x, way, self.threads)
        out = np.asarray(self.call())
        if out.shape != (rows, widths[-1]):
            raise ValueError(f"outputs have shape {out.shape}")
        return [float(value) for value in out[0]]

    def turn(self, seconds: float) -> float:
        """Return microseconds per call."""
        return per_call(self.call, seconds)

    def overhead(self, widths: list[int], batch: int, seconds: float) -> list[float]:
        """Return microseconds per step with train_step and inside fit."""
        batches = 32
        case = Case(tuple(widths), batch, batches, "sgd", 1e-3)
        x, y = data(case)
        model = fastnn_model(case)
        parts = [(x[at : at + batch], y[at : at + batch]) for at in range(0, len(x), batch)]

        def single() -> None:
            for part, target in parts:
                model.train_step(part, target, n_threads=self.threads or None)

        # So many steps that the fixed cost of a call of fit is negligible.
        epochs = 1
        while batches * epochs * batch * max(widths) < 1e6:
            epochs *= 2

        def whole() -> None:
            model.fit(x, y, batch, epochs, shuffle=False, n_threads=self.threads or None)

        return [
            per_call(single, seconds) / batches,
            per_call(whole, seconds) / (batches * epochs),
        ]


def fastnn_model(case: Case) -> Any:
    """Return a Sequential with the case's weights, compiled if it is to be trained."""
    from fastnn import nn, optim

    layers: list[Any] = []
    values = {}
    for w, b in weights(case):
        values[f"{len(layers)}.weight"], values[f"{len(layers)}.bias"] = w.T, b
        layers += [nn.Linear(*w.shape), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    model.load_state_dict(values)
    if case.batches > 1:
        model.compile(optim.SGD(lr=case.lr), nn.CrossEntropyLoss())
    return model


def fastnn_call(case: Case, x: NDArray[Any], way: str, threads: int) -> Callable[[], Any]:
    """Return a call of the model's `predict` or of what `predictor()` returns."""
    model = fastnn_model(case)
    if way == "predictor":
        if not hasattr(model, "predictor"):
            raise UnsupportedError("this version has no predictor")
        predictor = model.predictor()
        return lambda: predictor(x)
    if threads:
        return lambda: model.predict(x, n_threads=threads)
    return lambda: model.predict(x)


def numpy_call(case: Case, x: NDArray[Any], way: str, threads: int) -> Callable[[], Any]:  # noqa: ARG001
    """Return a call of NumPy's products, additions and maxima, in place after each product."""
    layers = weights(case)
    last_w, last_b = layers.pop()

    def call() -> Any:
        h = x
        for w, b in layers:
            h = h @ w
            h += b
            np.maximum(h, 0, out=h)
        h = h @ last_w
        h += last_b
        return h

    return call


def torch_call(case: Case, x: NDArray[Any], way: str, threads: int) -> Callable[[], Any]:  # noqa: ARG001
    """Return a call of a PyTorch module in inference_mode, from an existing tensor to a tensor."""
    import torch

    torch.set_num_threads(threads)
    layers: list[torch.nn.Module] = []
    for w, b in weights(case):
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    model, inputs = torch.nn.Sequential(*layers[:-1]).eval(), torch.from_numpy(x)
    # Entered only once, since entering takes as long as a small layer; it ends with the process.
    mode = torch.inference_mode()
    mode.__enter__()
    HELD.append(mode)
    return lambda: model(inputs)


if __name__ == "__main__":
    serve(Session)
