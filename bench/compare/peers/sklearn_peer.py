# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's MLP: one `partial_fit` per epoch, which splits the rows into batches itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn
from bench.compare.case import ADAM, Case, UnsupportedError, data, weights
from sklearn.neural_network import MLPClassifier, MLPRegressor

PINNED = False


def versions() -> dict[str, str]:
    """Return the versions of scikit-learn and NumPy."""
    return {"scikit-learn": sklearn.__version__, "numpy": np.__version__}


class Model:
    """See `case.Peer`."""

    def __init__(self, case: Case, threads: int) -> None:
        if case.dropout or case.optimizer == "adamw":
            raise UnsupportedError(f"no {'dropout' if case.dropout else 'AdamW'}")
        self.case, self.threads = case, threads
        self.x, self.y = data(case)
        self.classes = {}
        regression = case.loss == "mse"
        # Its loss is half the squared error, and its gradient is a mean over rows only.
        factor = 2 / case.widths[-1] if regression else 1.0
        self.loss_factor = 2.0 if regression else 1.0
        if not regression:
            self.classes = {"classes": np.arange(max(2, case.widths[-1]))}
        if case.widths[-1] == 1:
            self.y = self.y.ravel()
        sgd = case.optimizer == "sgd"
        self.model = (MLPRegressor if regression else MLPClassifier)(
            hidden_layer_sizes=case.widths[1:-1],
            activation=case.activation,
            solver=case.optimizer,
            alpha=0.0,
            batch_size=case.batch,
            learning_rate_init=case.lr * factor if sgd else case.lr,
            momentum=0.0,
            nesterovs_momentum=False,
            beta_1=ADAM[0],
            beta_2=ADAM[1],
            epsilon=ADAM[2] / factor,
            shuffle=False,
            n_iter_no_change=10**9,
        )
        self._epoch()  # creates coefs_

    def reset(self) -> None:
        made: Any = weights(self.case)
        self.model.coefs_ = [w.copy() for w, _ in made]
        self.model.intercepts_ = [b.copy() for _, b in made]
        self.model.__dict__.pop("_optimizer", None)

    def run(self, epochs: int) -> None:
        for _ in range(epochs):
            self._epoch()

    def losses(self, epochs: int) -> list[float]:
        return [self._epoch() for _ in range(epochs)]

    def threads_used(self) -> int:
        return self.threads

    def _epoch(self) -> float:
        self.model.partial_fit(self.x, self.y, **self.classes)
        return float(self.model.loss_) * self.loss_factor
