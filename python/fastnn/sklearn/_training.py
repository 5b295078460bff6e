# SPDX-License-Identifier: BSD-3-Clause
"""The epochs of the solvers that go by batches, and what happens between two of them.

The core trains all epochs in one call, with orders of the rows that it draws from the estimator's
generator. Where nothing else has to be known of an epoch than its losses, it also decides when
training ends, and `Training` records all epochs afterwards. Otherwise it calls `Training.epoch_end`
after each of them, which keeps the curves, the best values and the learning rate, and decides
whether training goes on.
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn import _core, _registry
from fastnn._fields import default_values
from fastnn.callbacks import BackupAndRestore, Callback
from fastnn.errors import TrainingDivergedError
from fastnn.nn._rows import Rows as CoreRows
from fastnn.nn._rows import check_statistics
from fastnn.nn._run import Run, chosen_callbacks

from . import _network
from ._joblib import left_by_joblib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._learning_rate import LearningRate
    from ._notices import Notices
    from ._rows import Rows

__all__ = ["CURVES", "DIVERGED", "INTERRUPTED", "Training"]

DIVERGED = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)
INTERRUPTED = "Training interrupted by user."
_MANY = 2**53  # epochs that no training reaches
# Attributes that have a number for each epoch.
CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")


class _EpochEnds(Callback):
    """Tells a training of the ends of its epochs, before the callbacks of the user."""

    def __init__(self, training: Training) -> None:
        self._training = training

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if not self._training.epoch_end(epoch, logs):
            self.model.stop_training = True


class Training:
    """One run of a solver that goes by batches.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Its fitted attributes are changed after each epoch.
    rows : Rows
        The rows to train on.
    validation : Rows or None
        Rows whose loss is computed after each epoch. With early stopping, their score decides when
        training ends.
    orders : NumpyOrders or None
        Draws the orders of the rows; None if they are trained in their own order.
    batch_size : int
    incremental : bool
        Whether to train one epoch, as partial_fit does, instead of up to `max_iter`.
    ends : float
        When training is to end, on the monotonic clock.
    notices : Notices or None
        Tells the callbacks that scikit-learn's ``set_callbacks`` has set.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C or the time has ended it.
    """

    def __init__(
        self,
        estimator: Any,
        rows: Rows,
        validation: Rows | None,
        orders: _core.NumpyOrders | None,
        batch_size: int,
        incremental: bool,
        ends: float = np.inf,
        notices: Notices | None = None,
    ) -> None:
        self._estimator, self._rows, self._validation = estimator, rows, validation
        self._orders, self._batch_size, self._incremental = orders, batch_size, incremental
        self._ends, self._notices = ends, notices
        self._stops_early = bool(estimator.early_stopping) and validation is not None
        self._watches = bool(
            self._stops_early
            or estimator.verbose
            or estimator.callbacks
            or notices is not None
            or estimator._optimizer.schedule != "constant"
        )
        self._epochs = 1 if incremental else min(estimator.max_iter, sys.maxsize)
        self._model = estimator.network_
        self._ended = self.interrupted = self._exhausted = False
        self._curves: list[tuple[list[float], int]] = []  # and their lengths before
        self._rate_of_model: LearningRate | None = None
        self._history_before: Any = None
        self._step: list[float] = []  # the loss of the only step
        self._where = f"{type(estimator).__name__}.{'partial_fit' if incremental else 'fit'}"

    def run(self, at_once: bool = False) -> None:
        """Train until the solver stops; with early stopping, return to the best values.

        With `at_once` all rows are one batch, the only one.
        """
        estimator = self._estimator
        estimator.n_iter_ = 0
        # If training ends within its first epoch.
        if self._incremental:
            estimator.__dict__.setdefault("loss_", np.nan)
        else:
            estimator.loss_ = np.nan
        self._rate_of_model = estimator._optimizer
        self._history_before = self._model.history
        curves = [vars(estimator).get(name) for name in CURVES]
        self._curves = [(curve, len(curve)) for curve in curves if curve is not None]
        try:
            if at_once:
                self._in_one_step()
            else:
                self._in_core()
        except TrainingDivergedError as error:
            # With early stopping, scikit-learn goes on with NaN and returns to the best values.
            if not self._stops_early:
                raise ValueError(DIVERGED) from error
            while not self._ended:
                self.epoch_end(estimator.n_iter_, {"loss": np.nan}, np.nan)
        except KeyboardInterrupt:
            if not self._has_begun():
                raise
            self.interrupted = True
            self._settle()
            warnings.warn(INTERRUPTED, stacklevel=8)
        if self._stops_early and estimator._best_values is not None:
            self._model.load_state_dict(estimator._best_values)
            estimator._best_values = None
        if not at_once:
            self._tell_why()

    def _tell_why(self) -> None:
        """Warn if training ended before the solver stopped by itself."""
        estimator = self._estimator
        if self._exhausted and not self._incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and "
                "the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=9,
            )
        elif not self._ended and time.monotonic() >= self._ends:
            self.interrupted = True
            warnings.warn(
                f"[{self._where}] max_time = {estimator.max_time} seconds are over after "
                f"{estimator.n_iter_} epochs and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=9,
            )

    def _in_core(self) -> None:
        """Train all epochs by one call of the core, between the hooks of the callbacks."""
        model, n_jobs = self._model, self._estimator.n_jobs
        threads = left_by_joblib() if n_jobs is None else _network.thread_count(n_jobs)
        rows = CoreRows(*self._rows)
        validation = None if self._validation is None else CoreRows(*self._validation)
        settings = default_values(_registry.row(self._where, "settings", "fit")["params"])
        with model._call("fit", threads or None) as call:
            call.where = self._where
            settings |= {
                "shuffle": False,
                "batch_size": self._batch_size,
                "epochs": self._epochs,
                "epochs_seen": model._epochs_seen,
                "n_threads": call.threads,
                # Nobody sees a model whose training has failed: not that of a fit, which is new or
                # a copy, unless early stopping or a callback has a use for it.
                "restores": self._incremental or self._watches,
            }
            check_statistics(call.where, tuple(model), self._batch_size, rows.n)
            users = chosen_callbacks(call.where, self._estimator.callbacks, 0)
            if any(isinstance(each, BackupAndRestore) for each in users):
                raise ValueError(
                    f"[{call.where}] callbacks has a BackupAndRestore, which goes on with a model, "
                    "not with an estimator; expected it in the fit of nn.Sequential"
                )
            self._begin()
            run = Run(
                model,
                call,
                settings,
                rows,
                validation,
                None,
                [_EpochEnds(self), *users] if self._watches else [],
                0,
                self._orders,
                None if self._watches else self._standstill(),
            )
            model._train(call, run)
        if not self._watches:
            self._settle()
            self._count_epochs()

    def _standstill(self) -> dict[str, Any]:
        """Return the settings by which the core ends a training, after the epochs so far."""
        estimator = self._estimator
        return {
            "tol": float(estimator.tol),
            "epochs": int(min(estimator.n_iter_no_change, _MANY)),
            "best": None if estimator.best_loss_ == np.inf else estimator.best_loss_,
            "waited": estimator._no_improvement_count,
        }

    def _begin(self) -> None:
        """Prepare for requests to stop, and set the time at which the core ends by itself."""
        model = self._model
        model.stop_training = model._network.stop = False
        if self._ends < np.inf:
            model.stop(after=max(1e-9, self._ends - time.monotonic()))
        if self._notices is not None:
            self._notices.epoch_begin()

    def _in_one_step(self) -> None:
        x, y, w = self._rows
        # One call of the interpreter makes the step and keeps its loss, so that an interrupt comes
        # before both or after both.
        self._step.extend(map(self._model._network.train_step, (x,), (y,), (w,)))
        self.epoch_end(0, {"loss": self._step[0]})

    def epoch_end(self, epoch: int, logs: Any, score: float | None = None) -> bool:
        """Take an epoch into account; return whether another one follows."""
        if self._stops_early and score is None:
            score = self._score()
        self._record([logs["loss"]], [logs.get("val_loss", np.nan)], score)
        self._follow()
        asked = self._notices is not None and self._notices.epoch_end()
        self._ended = self._ended or asked
        self._count_epochs()
        if self._notices is not None and not self._ended:
            self._notices.epoch_begin()
        return not self._ended

    def _count_epochs(self) -> None:
        if self._estimator.n_iter_ == self._epochs and not self._ended:
            self._ended = self._exhausted = True

    def _record(
        self, losses: Sequence[float], val_losses: Sequence[float], score: float | None
    ) -> None:
        """Add epochs to the curves, and then change all attributes together.

        With a score it is a single one. An interrupt comes before or after that change. Where
        `n_iter_` does not count an epoch, `_settle` takes it off the curves.
        """
        estimator = self._estimator
        estimator.loss_curve_.extend(losses)
        if self._validation is not None:
            estimator.validation_loss_curve_.extend(val_losses)
        if estimator.verbose:
            for epoch, loss in enumerate(losses, estimator.n_iter_ + 1):
                print(f"Iteration {epoch}, loss = {loss:.8f}")
        changed = self._compared_losses(losses) if score is None else self._compared_score(score)
        seen = estimator.t_ + self._rows.n * len(losses)
        estimator.__dict__.update(
            changed,
            n_iter_=estimator.n_iter_ + len(losses),
            loss_=losses[-1],
            t_=seen,
            _optimizer=estimator._optimizer.after_epoch(seen),
        )

    def _has_begun(self) -> bool:
        return bool(self._step) or self._model.history is not self._history_before

    def _settle(self) -> None:
        """Record the epochs that the core has ended, and nothing of one that it has not."""
        estimator = self._estimator
        counted = estimator.n_iter_
        for curve, before in self._curves:
            del curve[before + counted :]
        losses, val_losses = self._losses(counted)
        if losses:
            self._record(losses, val_losses, self._score() if self._stops_early else None)
        if estimator.n_iter_:
            self._follow()

    def _losses(self, first: int) -> tuple[Sequence[float], Sequence[float]]:
        """Return the losses of the epochs that the core has ended, from the epoch `first` on.

        The second ones are those of the validation rows, if there are any.
        """
        if self._step:
            return self._step[first:], []
        history: Any = self._model.history
        ended = len(history.epoch)
        # The interrupt may have come while an epoch was added.
        history.history = {name: curve[:ended] for name, curve in history.history.items()}
        losses, val_losses = (history.history.get(name, []) for name in ("loss", "val_loss"))
        return losses[first:], val_losses[first:]

    def _follow(self) -> None:
        """Do what follows from the record of an epoch: stop, or set another learning rate."""
        estimator = self._estimator
        if not self._ended and estimator._no_improvement_count > estimator.n_iter_no_change:
            self._ended = not self._goes_on()
        rate = estimator._optimizer
        if rate is not self._rate_of_model:
            self._model.lr = rate.learning_rate
            self._rate_of_model = rate

    def _goes_on(self) -> bool:
        """Stop because there is no more improvement, or lower the learning rate and go on."""
        estimator = self._estimator
        lower = estimator._optimizer.after_standstill()
        stop = isinstance(lower, str)
        if estimator.verbose:
            figure = "Validation score" if self._stops_early else "Training loss"
            then = lower if stop else f"Setting learning rate to {lower.learning_rate:f}"
            print(
                f"{figure} did not improve more than tol={estimator.tol:f} for "
                f"{estimator.n_iter_no_change:d} consecutive epochs. {then}"
            )
        if not stop:
            estimator.__dict__.update(_optimizer=lower, _no_improvement_count=0)
        return not stop

    def _waited(self, losses: Sequence[float], best: float) -> tuple[float, int]:
        """Return the smallest loss, and the epochs without an improvement, after some epochs."""
        estimator = self._estimator
        return _core.standstill(losses, estimator.tol, best, estimator._no_improvement_count)

    def _compared_losses(self, losses: Sequence[float]) -> dict[str, Any]:
        """Return the attributes that follow from the losses of epochs."""
        best, waited = self._waited(losses, self._estimator.best_loss_)
        return {"_no_improvement_count": waited, "best_loss_": best}

    def _compared_score(self, score: float) -> dict[str, Any]:
        """Return the attributes that follow from the score of an epoch."""
        estimator = self._estimator
        best = estimator.best_validation_score_
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            print(f"Validation score: {score:f}")
        # A score is as good as a loss of the other sign.
        changed: dict[str, Any] = {"_no_improvement_count": self._waited([-score], -best)[1]}
        if score > best:
            changed |= {
                "best_validation_score_": score,
                "_best_values": _network.copied_values(self._model),
            }
        return changed

    def _score(self) -> float:
        """Return the score of the validation rows; NaN if an output is not finite."""
        assert self._validation is not None
        outputs = self._estimator._outputs(self._validation.x)
        if not np.isfinite(outputs).all():
            return np.nan
        return float(self._estimator._score_of(outputs, self._validation.y, self._validation.w))
