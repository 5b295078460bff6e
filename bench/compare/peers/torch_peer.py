# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch in eager mode: fused optimizers, batches split beforehand, no losses while timed."""

from __future__ import annotations

from typing import Any

import torch
from bench.compare.case import ADAM, WEIGHT_DECAY, Case, data, weights
from torch.nn import functional as F

PINNED = False
LOSSES = {
    "cross_entropy": F.cross_entropy,
    "mse": F.mse_loss,
    "bce_with_logits": F.binary_cross_entropy_with_logits,
}


def versions() -> dict[str, str]:
    """Return the version, which includes that the build is for CPUs."""
    return {"torch": torch.__version__}


class Model:
    """See `case.Peer`."""

    def __init__(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        self.case = case
        layers: list[torch.nn.Module] = []
        self.initial = []
        made = weights(case)
        for index, (w, b) in enumerate(made):
            layers.append(torch.nn.Linear(*w.shape, dtype=getattr(torch, case.dtype)))
            self.initial += [torch.from_numpy(w.T.copy()), torch.from_numpy(b)]
            if index + 1 < len(made):
                layers.append(torch.nn.ReLU() if case.activation == "relu" else torch.nn.Tanh())
                if case.dropout:
                    layers.append(torch.nn.Dropout(case.dropout))
        self.model = torch.nn.Sequential(*layers)
        x, y = map(torch.from_numpy, data(case))
        self.batches = list(zip(x.split(case.batch), y.split(case.batch), strict=True))
        loss, model = LOSSES[case.loss], self.model
        self.forward: Any = lambda x, y: loss(model(x), y)

    def reset(self) -> None:
        parameters, lr = list(self.model.parameters()), self.case.lr
        with torch.no_grad():
            for parameter, value in zip(parameters, self.initial, strict=True):
                parameter.copy_(value)
                parameter.grad = None
        beta1, beta2, eps = ADAM
        adam: dict[str, Any] = {"lr": lr, "betas": (beta1, beta2), "eps": eps, "fused": True}
        self.optimizer: Any = {
            "sgd": lambda: torch.optim.SGD(parameters, lr=lr, fused=True),
            "adam": lambda: torch.optim.Adam(parameters, **adam),
            "adamw": lambda: torch.optim.AdamW(parameters, weight_decay=WEIGHT_DECAY, **adam),
        }[self.case.optimizer]()

    def run(self, epochs: int) -> None:
        for _ in range(epochs):
            for x, y in self.batches:
                self._step(x, y)

    def losses(self, epochs: int) -> list[float]:
        return [
            sum(self._step(x, y).item() for x, y in self.batches) / len(self.batches)
            for _ in range(epochs)
        ]

    def threads_used(self) -> int:
        return torch.get_num_threads()

    def _step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = self.forward(x, y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()
