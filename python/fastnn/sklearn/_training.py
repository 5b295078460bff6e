# SPDX-License-Identifier: BSD-3-Clause
"""The epochs of the solvers "sgd" and "adam", and what happens between two of them.

The core trains all epochs in one call, with the order of the rows that the estimator draws. After
each of them it calls `Training.epoch_end`, which keeps the curves, the best values and the learning
rate, and decides whether training goes on. Sparse rows are trained batch by batch.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn import _registry
from fastnn._fields import default_values
from fastnn._refusals import Words
from fastnn.errors import TrainingDivergedError

from . import _joblib

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._rows import Rows

__all__ = ["DIVERGED", "Training"]

DIVERGED = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


class Training:
    """One run of a stochastic solver.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its fitted attributes are changed after each epoch.
    rows : Rows
        The rows to train on.
    held_out : Rows or None
        With early stopping, the rows that decide when training ends.
    order : callable
        Gives the order of the rows of an epoch.
    batch_size : int
    incremental : bool
        Whether to train one epoch, as partial_fit does, instead of up to `max_iter`.
    """

    def __init__(
        self,
        estimator: Any,
        rows: Rows,
        held_out: Rows | None,
        order: Callable[[int], Any],
        batch_size: int,
        incremental: bool,
    ) -> None:
        self._estimator, self._rows, self._held_out = estimator, rows, held_out
        self._order, self._batch_size, self._incremental = order, batch_size, incremental
        self._epochs = 1 if incremental else estimator.max_iter
        self._model = estimator.network_
        self._ended = False

    def run(self, at_once: bool = False) -> None:
        """Train until the solver stops; with early stopping, return to the best values.

        With `at_once` all rows are one batch, the only one.
        """
        estimator = self._estimator
        estimator.n_iter_ = 0
        train = self._by_batches if self._rows.is_sparse else self._in_core
        if at_once:
            train = self._in_one_step
        try:
            train()
        except TrainingDivergedError as error:
            # With early stopping, scikit-learn goes on with NaN and returns to the best values.
            if self._held_out is None:
                raise ValueError(DIVERGED) from error
            while not self._ended:
                self.epoch_end(estimator.n_iter_, {"loss": np.nan}, np.nan)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
        if self._held_out is not None and estimator._best_values is not None:
            for view, best in zip(estimator._values, estimator._best_values, strict=True):
                view[...] = best
            estimator._best_values = None

    def _in_core(self) -> None:
        where = f"{type(self._estimator).__name__}.fit"
        known = default_values(_registry.row(where, "settings", "fit")["params"])
        known |= {"batch_size": self._batch_size, "epochs": self._epochs}
        known |= {"n_threads": _joblib.left_by_joblib()}
        network = self._model._network
        with Words(where):
            network.fit(
                *self._rows,
                orders=self._order,
                on_epoch=self.epoch_end,
                **known,
            )

    def _in_one_step(self) -> None:
        x, y, w = self._rows
        self.epoch_end(0, {"loss": self._model._network.train_step(x, y, w)})

    def _by_batches(self) -> None:
        rows = self._rows
        step: Callable[..., float] = self._model.train_step
        for epoch in range(self._epochs):
            order, total = self._order(epoch), 0.0
            for first in range(0, rows.n, self._batch_size):
                batch = rows.taken(order[first : first + self._batch_size])
                total += step(batch.x, batch.y, sample_weight=batch.w) * batch.n
            if not self.epoch_end(epoch, {"loss": total / rows.n}):
                break

    def epoch_end(self, epoch: int, logs: dict[str, float], score: float | None = None) -> bool:
        """Take an epoch into account; return whether another one follows."""
        estimator = self._estimator
        estimator.n_iter_ = epoch + 1
        estimator.loss_ = logs["loss"]
        estimator.t_ += self._rows.n
        estimator.loss_curve_.append(estimator.loss_)
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if self._held_out is None:
            self._compare_loss()
        else:
            self._compare_score(self._score() if score is None else score)
        rate = estimator._optimizer
        before = rate.learning_rate
        rate.end_epoch(estimator.t_)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self._ended = not self._goes_on()
        if rate.learning_rate != before:
            self._model.lr = rate.learning_rate
        if epoch + 1 == self._epochs and not self._ended:
            self._ended = True
            if not self._incremental:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and "
                    "the optimization hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=6,
                )
        return not self._ended

    def _goes_on(self) -> bool:
        """Stop because there is no more improvement, or lower the learning rate and go on."""
        estimator = self._estimator
        stop = estimator._optimizer.end_improvement()
        if estimator.verbose:
            figure = "Training loss" if self._held_out is None else "Validation score"
            then = stop or f"Setting learning rate to {estimator._optimizer.learning_rate:f}"
            print(
                f"{figure} did not improve more than tol={estimator.tol:f} for "
                f"{estimator.n_iter_no_change:d} consecutive epochs. {then}"
            )
        if stop is None:
            estimator._no_improvement_count = 0
        return stop is None

    def _compare_loss(self) -> None:
        estimator = self._estimator
        loss = estimator.loss_
        improved = not loss > estimator.best_loss_ - estimator.tol
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1
        estimator.best_loss_ = min(estimator.best_loss_, loss)  # as it was, for NaN

    def _compare_score(self, score: float) -> None:
        estimator = self._estimator
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            print(f"Validation score: {score:f}")
        improved = not score < estimator.best_validation_score_ + estimator.tol
        estimator._no_improvement_count = 0 if improved else estimator._no_improvement_count + 1
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            estimator._best_values = [value.copy() for value in estimator._values]

    def _score(self) -> float:
        """Return the score of the rows held out; NaN if an output is not finite."""
        assert self._held_out is not None
        outputs = self._estimator._outputs(self._held_out.x)
        if not np.isfinite(outputs).all():
            return np.nan
        return float(self._estimator._score_of(outputs, self._held_out.y, self._held_out.w))
