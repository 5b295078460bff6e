# SPDX-License-Identifier: BSD-3-Clause
"""The solver "lbfgs": SciPy's L-BFGS-B on the core's loss and gradients, over all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
import scipy.optimize
from sklearn.utils.optimize import _check_optimize_result

from fastnn.errors import TrainingDivergedError

from . import _network

if TYPE_CHECKING:
    from ._rows import Rows

__all__ = ["Objective", "minimize"]

_WITHOUT_DISPLAY = (1, 15)  # SciPy's L-BFGS-B prints nothing from this version on


class Objective:
    """The loss of all rows with the penalty alpha / 2 sum(w^2) / n, and its gradient.

    Calling it with a vector writes the vector into the model. A vector has all weights, (in, out),
    and then all biases.

    Parameters
    ----------
    model : Sequential
    rows : Rows
    alpha : float
    """

    def __init__(self, model: Any, rows: Rows, alpha: float) -> None:
        self._model, self._rows = model, rows
        weights, biases = _network.views(model)
        self._values = [*weights, *biases]
        self._penalized = sum(weight.size for weight in weights)
        self._weight = float(rows.n if rows.w is None else rows.w.sum())
        self._factor = float(alpha) / self._weight
        self._gradients: list[Any] = []

    def vector(self) -> Any:
        """Return the values of the model as a vector."""
        return np.concatenate([value.ravel() for value in self._values])

    def put(self, vector: Any) -> None:
        """Write a vector into the model."""
        first = 0
        for value in self._values:
            value[...] = vector[first : first + value.size].reshape(value.shape)
            first += value.size

    def __call__(self, vector: Any) -> tuple[float, Any]:
        """Return the loss and its gradient, a vector.

        The core takes the rows in blocks. The loss of all rows is the mean of the losses of the
        blocks, weighted by the weights of their rows. If it overflows it is infinite, and the line
        search tries a shorter step.
        """
        try:
            return self._computed(vector)
        except TrainingDivergedError:
            return np.inf, np.full(len(vector), np.nan)

    def _computed(self, vector: Any) -> tuple[float, Any]:
        self.put(vector)
        weights = vector[: self._penalized]
        loss = self._factor / 2 * float(weights @ weights)
        gradient = np.zeros(len(vector))
        np.multiply(weights, self._factor, out=gradient[: self._penalized])
        for block in self._rows.in_blocks():
            share = float(block.n if block.w is None else block.w.sum()) / self._weight
            if share == 0:
                continue
            loss += share * self._model._network.loss_and_grad(*block, 0, False)
            if not self._gradients:
                self._gradients = _network.gradients(self._model)
            first = 0
            for part in self._gradients:
                into = gradient[first : first + part.size].reshape(part.shape)
                into += part if share == 1 else share * part
                first += part.size
        return loss, gradient


def minimize(objective: Objective, parameters: Any) -> tuple[float, int]:
    """Train the model of the objective; return the loss and the number of iterations.

    Parameters
    ----------
    objective : Objective
    parameters : MLPClassifier or MLPRegressor
    """
    options = {
        "maxfun": parameters.max_fun,
        "maxiter": parameters.max_iter,
        "gtol": parameters.tol,
        **_display(1 if parameters.verbose is True or parameters.verbose >= 1 else -1),
    }
    result = scipy.optimize.minimize(
        objective, objective.vector(), method="L-BFGS-B", jac=True, options=options
    )
    objective.put(result.x)
    return result.fun, _check_optimize_result("lbfgs", result, parameters.max_iter)


def _display(level: int) -> dict[str, int]:
    """Return the option that shows the progress, which newer versions of SciPy do not have."""
    version = tuple(map(int, scipy.__version__.split(".")[:2]))
    return {} if version >= _WITHOUT_DISPLAY else {"iprint": level}
