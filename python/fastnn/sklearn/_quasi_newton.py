# SPDX-License-Identifier: BSD-3-Clause
"""The solver "lbfgs": SciPy's L-BFGS-B on the core's loss and gradients, over all rows at once."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.optimize import _check_optimize_result

from fastnn.errors import TrainingDivergedError

from . import _network
from ._training import INTERRUPTED

if TYPE_CHECKING:
    from ._notices import Notices
    from ._rows import Rows

__all__ = ["Objective", "minimize"]

_WITHOUT_DISPLAY = (1, 15)  # SciPy's L-BFGS-B prints nothing from this version on


class Stopped(Exception):  # noqa: N818
    """Ends a minimization where it is."""


class Objective:
    """The loss of all rows with the penalty alpha / 2 sum(w^2) / n, and its gradient.

    Calling it with a vector writes the vector into the model. A vector has all weights, (in, out),
    and then all biases.

    Parameters
    ----------
    model : Sequential
    rows : Rows
    alpha : float
    ends : float
        When the training is to end, on the monotonic clock.

    Attributes
    ----------
    is_over : bool
        Whether the time did not suffice for another call, which then raised `Stopped`.
    """

    def __init__(self, model: Any, rows: Rows, alpha: float, ends: float = np.inf) -> None:
        self._model, self._rows, self._ends = model, rows, ends
        self._longest = 0.0  # seconds of a call
        self.is_over = False
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
        began = time.monotonic()
        if began + self._longest > self._ends:  # it would be too late after this one
            self.is_over = True
            raise Stopped
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
        self._longest = max(self._longest, time.monotonic() - began)
        return loss, gradient


def minimize(objective: Objective, parameters: Any, notices: Notices | None) -> tuple[float, int]:
    """Train the model of the objective; return the loss and the number of iterations.

    Parameters
    ----------
    objective : Objective
    parameters : MLPClassifier or MLPRegressor
    notices : Notices or None
        Is told of each iteration, and may end the training after it.
    """
    options = {
        "maxfun": parameters.max_fun,
        "maxiter": parameters.max_iter,
        "gtol": parameters.tol,
        **_display(1 if parameters.verbose is True or parameters.verbose >= 1 else -1),
    }
    progress = _Progress(objective, notices)
    try:
        result = scipy.optimize.minimize(
            progress.evaluated,
            objective.vector(),
            method="L-BFGS-B",
            jac=True,
            options=options,
            callback=progress.iterated,
        )
    except (Stopped, KeyboardInterrupt) as reason:
        n, vector, loss = progress.reached
        objective.put(vector)
        if isinstance(reason, KeyboardInterrupt):
            objective.is_over = True
            warnings.warn(INTERRUPTED, stacklevel=8)
        elif objective.is_over:
            warnings.warn(
                f"[{type(parameters).__name__}.fit] max_time = {parameters.max_time} seconds are "
                f"over after {n} iterations and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=8,
            )
        return loss, n
    objective.put(result.x)
    return result.fun, _check_optimize_result("lbfgs", result, parameters.max_iter)


class _Progress:
    """The last iteration of a minimization that ended: its number, its vector and its loss."""

    def __init__(self, objective: Objective, notices: Notices | None) -> None:
        self._objective, self._notices = objective, notices
        # One attribute, so that an interrupt comes before or after its change.
        self.reached: tuple[int, Any, float] = (0, objective.vector(), np.nan)
        self._latest: tuple[Any, float] = self.reached[1:]
        if notices is not None:
            notices.epoch_begin()

    def evaluated(self, vector: Any) -> tuple[float, Any]:
        """Return loss and gradient."""
        loss, gradient = self._objective(vector)
        n, first, known = self.reached
        if np.isnan(known):
            self.reached = (n, first, loss)  # of the initial values
        self._latest = (vector.copy(), loss)
        return loss, gradient

    def iterated(self, vector: Any) -> None:
        """Keep the vector of an iteration; SciPy calls this after its last evaluation."""
        n, _, loss = self.reached
        if np.array_equal(self._latest[0], vector):
            loss = self._latest[1]
        self.reached = (n + 1, vector.copy(), loss)
        if self._notices is not None:
            self._objective.put(vector)
            if self._notices.epoch_end():
                raise Stopped
            self._notices.epoch_begin()


def _display(level: int) -> dict[str, int]:
    """Return the option that shows the progress, which newer versions of SciPy do not have."""
    version = tuple(map(int, scipy.__version__.split(".")[:2]))
    return {} if version >= _WITHOUT_DISPLAY else {"iprint": level}
