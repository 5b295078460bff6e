# SPDX-License-Identifier: BSD-3-Clause
"""fastnn with Sequential.fit, batches in order."""

from __future__ import annotations

from typing import Any

from bench.compare.case import ADAM, WEIGHT_DECAY, Case, data, weights

import fastnn
from fastnn import nn, optim

PINNED = False
LOSSES = {
    "cross_entropy": nn.CrossEntropyLoss,
    "mse": nn.MSELoss,
    "bce_with_logits": nn.BCEWithLogitsLoss,
}


def versions() -> dict[str, str]:
    """Return the version and the build that was loaded."""
    info = fastnn.build_info()
    return {"fastnn": info["version"], "isa": info["isa"], "compiler": info["compiler"]}


class Model:
    """See `case.Peer`; `threads` = 0 means fastnn's own choice."""

    def __init__(self, case: Case, threads: int) -> None:
        self.case, self.data = case, data(case)
        self.threads = threads or None
        layers: list[Any] = []
        values: dict[str, Any] = {}
        made = weights(case)
        for index, (w, b) in enumerate(made):
            values[f"{len(layers)}.weight"], values[f"{len(layers)}.bias"] = w.T, b
            layers.append(nn.Linear(*w.shape))
            if index + 1 < len(made):
                layers.append(nn.ReLU() if case.activation == "relu" else nn.Tanh())
                if case.dropout:
                    layers.append(nn.Dropout(case.dropout))
        self.values = values
        self.model = nn.Sequential(*layers, dtype=case.dtype)

    def reset(self) -> None:
        lr, (beta1, beta2, eps) = self.case.lr, ADAM
        adam: dict[str, Any] = {"lr": lr, "betas": (beta1, beta2), "eps": eps}
        made = {
            "sgd": lambda: optim.SGD(lr=lr),
            "adam": lambda: optim.Adam(**adam),
            "adamw": lambda: optim.AdamW(weight_decay=WEIGHT_DECAY, **adam),
        }[self.case.optimizer]()
        self.model.compile(made, LOSSES[self.case.loss]())
        self.model.load_state_dict(self.values)

    def run(self, epochs: int) -> None:
        self.losses(epochs)

    def losses(self, epochs: int) -> list[float]:
        history = self.model.fit(
            *self.data,
            batch_size=self.case.batch,
            epochs=epochs,
            shuffle=False,
            n_threads=self.threads,
        )
        return list(history.history["loss"])

    def threads_used(self) -> int:
        assert self.model.history is not None
        return int(self.model.history.threads_used)
