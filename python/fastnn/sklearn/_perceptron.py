# SPDX-License-Identifier: BSD-3-Clause
"""What MLPClassifier and MLPRegressor have in common: fit and partial_fit."""

from __future__ import annotations

import copy
import time
import warnings
from abc import ABC, abstractmethod
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight, validate_data

from fastnn import _core, _validate
from fastnn._refusals import Refused, Words

from . import _compilation, _draws, _network, _plain, _quasi_newton, _restarts, _training
from ._exchange import Exchange
from ._notices import CALLBACK_STATE, CallbackSupportMixin, Notices
from ._parameters import ACTIVATIONS, check_together
from ._rows import Rows, readable
from ._with_network import WithNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn import nn

__all__ = ["Perceptron"]


class _AllOrNothing:
    """Return to the attributes of an estimator before the block if it raises an exception.

    A step of partial_fit changes the model in place. Once it is recorded it stays, although an
    interrupt comes before the end of the block. This is a class because a generator takes as long
    as a tenth of what else a partial_fit of a single batch does in Python.
    """

    __slots__ = ("_before", "_estimator")

    def __init__(self, estimator: Perceptron) -> None:
        self._estimator = estimator
        self._before = dict(estimator.__dict__)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        before, now = self._before, self._estimator.__dict__
        in_place = "network_" in before and now.get("network_") is before["network_"]
        if not (in_place and now["t_"] != before["t_"]):
            kept = {name: now[name] for name in CALLBACK_STATE if name in now}
            self._estimator.__dict__ = before | kept


class Perceptron(CallbackSupportMixin, Exchange, WithNetwork, ABC):
    """The base of the estimators.

    A subclass says how targets are read and scored.
    """

    n_iter_: int
    out_activation_: str
    _alpha: float  # the penalty with which the model is compiled

    @abstractmethod
    def _validated(self, x: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """Return X and y after scikit-learn's checks; labels become known."""

    @abstractmethod
    def _count_outputs(self, y: Any) -> int:
        """Return the number of outputs for such a y, which has been validated."""

    @abstractmethod
    def _encoded(self, y: Any) -> Any:
        """Return the targets for the core, of a y that has been validated."""

    @abstractmethod
    def _check_validation_targets(self, y: Any) -> Any:
        """Return the y of validation rows; refuse one that does not fit that of the training."""

    @abstractmethod
    def _row_weights(self, where: str, y: Any, sample_weight: Any) -> Any:
        """Return the weights of the rows, or None; those of classes are in them."""

    @abstractmethod
    def _known_targets(self, y: Any) -> Any:
        """Return the targets of an array of the kind of earlier calls; None for all others."""

    @abstractmethod
    def _score_of(self, outputs: Any, targets: Any, weights: Any) -> float:
        """Return the score of outputs, for early stopping."""

    @abstractmethod
    def _activation_of_outputs(self) -> str:
        """Return the activation of the outputs, with the targets as `_validated` has seen them."""

    @abstractmethod
    def _described_loss(self, where: str) -> nn.Loss:
        """Return the loss of the model inside."""

    # Training.

    def _validate_params(self) -> None:
        _plain.check_parameters(self)

    def _all_or_nothing(self) -> _AllOrNothing:
        """Return a context that returns to the attributes before it if it ends by an exception."""
        return _AllOrNothing(self)

    def _fit_at_once(self, x: Any, y: Any, weights: Any) -> bool:
        """Make the step of a partial_fit whose arrays need no checks but the core's.

        They are one batch of the kind that earlier calls had. Returns False, without having done
        anything, for all other rows.
        """
        if not (
            self._is_plain(x)
            and type(y) is np.ndarray
            and y.shape[:1] == (n := x.shape[:1])
            and n[0] <= 200
            and (weights is None or (type(weights) is np.ndarray and weights.shape == n))
            and (self.batch_size == "auto" or self.batch_size == n[0])
            and not self.early_stopping
            and not self.callbacks
            and self.__dict__.get("best_loss_") is not None
            and "_optimizer" in self.__dict__
        ):
            return False
        targets = self._known_targets(y)
        if targets is None or (weights is not None and not weights.any()):
            return False
        self._synchronize()
        if self.alpha != self._alpha:
            _compilation.penalize(self.network_, self.alpha)
            self._alpha = self.alpha
        before = self.n_iter_
        try:
            rows = Rows(x, targets, weights)
            _training.Training(self, rows, None, None, n[0], incremental=True).run(at_once=True)
        except Refused:
            self.n_iter_ = before
            return False
        seed = self.random_state
        if self.shuffle and not (type(seed) is int or isinstance(seed, Integral)):
            # The order of a single batch does not matter, but others may draw after it.
            generator = _plain.random_state_of(seed)._bit_generator
            _core.NumpyOrders(generator, n[0]).next()
        return True

    def _fit(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        incremental: bool = False,
        validation: tuple[Any, Any, Any] = (None, None, None),
    ) -> Self:
        started, where = time.monotonic(), f"{type(self).__name__}.fit"
        if incremental:
            where = f"{type(self).__name__}.partial_fit"
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if not all(type(size) is int and size > 0 for size in hidden) and np.any(
            np.array(hidden) <= 0
        ):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        check_together(self, where, any(part is not None for part in validation))
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        given = (x, y, sample_weight)
        x, y = self._validated(x, y, incremental, first)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, x)
        weights = self._row_weights(where, y, weights)
        self.n_outputs_ = self._count_outputs(y)
        random_state = _plain.random_state_of(self.random_state)
        runs = int(self.n_init) if first and not incremental else 1
        others = _restarts.seeds(random_state, runs - 1)
        units = [x.shape[1], *hidden, self.n_outputs_]
        if first:
            self._initialize(where, units, x.dtype, random_state)
        else:
            self._go_on(incremental)
        rows = Rows(readable(where, x), self._encoded(y), weights)
        held_out = self._validation_rows(where, *validation)
        stochastic = self.solver != "lbfgs"
        notices = None
        if not incremental:
            task = "epoch" if stochastic else "iteration"
            # SciPy's L-BFGS-B makes one iteration more before it knows that it is the last.
            most = runs * (self.max_iter + (not stochastic))
            notices = Notices.of(self, *given, most, task)
        ends = np.inf if self.max_time is None or incremental else started + self.max_time
        if stochastic:
            train = self._by_batches(where, rows, held_out, random_state, incremental)
        else:
            train = self._by_lbfgs(where, rows)

        def once(state: Any, again: bool) -> bool:
            drawing = _plain.random_state_of(state)
            if again:
                self._initialize(where, units, x.dtype, drawing)
            return train(drawing, ends, notices)

        _restarts.keep_best(self, [random_state, *others], once)
        if notices is not None:
            notices.end()
        return self

    def _initialize(self, where: str, units: list[int], dtype: Any, random_state: Any) -> None:
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(units)
        self.out_activation_ = self._activation_of_outputs()
        if self.dtype is not None:
            dtype = np.dtype(_validate.dtype_name(where, self.dtype))
        dtype = np.dtype(np.float32 if dtype == np.float32 else np.float64)
        layers = _network.layout(where, units, self)
        names = [each.registry_name for each in layers.functions]
        names.append(names[-1] if names else self._name_of_single())
        # lbfgs adds up small differences of the loss, for which scikit-learn takes float64, too.
        stochastic = self.solver != "lbfgs"
        held = dtype if stochastic else np.dtype(np.float64)
        self.network_ = _network.build(layers, held, self.n_jobs)
        self._show_values()
        _draws.draw_values(random_state, names, self.coefs_, self.intercepts_)
        if held != dtype:
            _network.load(self._values, [each.astype(dtype) for each in self._values])
        # The seed of dropout, which scikit-learn lacks, is drawn last; a model is made with one.
        if bool(self.dropout) and np.any(np.asarray(self.dropout) != 0):
            drawn, seed = self._values, int(random_state.randint(np.iinfo(np.int32).max))
            self.network_ = _network.build(layers, held, self.n_jobs, seed)
            self._show_values()
            _network.load(self._values, drawn)
        self.__dict__.pop("_optimizer", None)
        if stochastic:
            self._begin_curves()

    def _begin_curves(self) -> None:
        """Set the attributes that epochs change."""
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] | None = None
        self._no_improvement_count = 0
        if self.early_stopping:
            self._watch_scores()
        else:
            self._watch_loss()

    def _name_of_single(self) -> str:
        """Return the activation by which the values of a single layer are drawn."""
        given = self.activation
        return ACTIVATIONS.get(given, "") if isinstance(given, str) else ""

    def _go_on(self, incremental: bool) -> None:
        """Prepare the present values for another training.

        It trains a copy of the model and extends copies of the curves, which are dropped if the
        training fails. A partial_fit, whose only epoch the core makes as a whole or not at all,
        needs that only for callbacks.
        """
        self._synchronize()
        if not incremental or self.callbacks:
            self.network_ = copy.deepcopy(self.network_)
            self._show_values()
            curves = {name: self.__dict__.get(name) for name in _training.CURVES}
            self.__dict__.update({name: curve[:] for name, curve in curves.items() if curve})
        if self.solver != "lbfgs" and "loss_curve_" not in self.__dict__:  # after "lbfgs"
            self._begin_curves()

    def _watch_loss(self) -> None:
        self.best_loss_: float | None = np.inf
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _watch_scores(self) -> None:
        self.validation_scores_, self.best_validation_score_ = [], -np.inf
        self.best_loss_ = None
        # None after a fit: a warm start that finds nothing better keeps its last values, as
        # scikit-learn's does.
        self._best_values: dict[str, Any] | None = _network.copied_values(self.network_)

    def _by_batches(
        self, where: str, rows: Rows, held_out: Rows | None, random_state: Any, incremental: bool
    ) -> Callable[[Any, float, Notices | None], bool]:
        """Return what trains by batches, once for each call."""
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        if self.early_stopping and held_out is None:
            rows, held_out = self._held_out(rows, random_state)
        elif self.early_stopping and held_out is not None and held_out.n < 2:
            raise ValueError(
                f"[{where}] X_val has 1 row; expected at least 2, whose score decides with "
                "early_stopping when training ends"
            )
        batch_size = min(200, rows.n)
        if self.batch_size != "auto":
            if self.batch_size > rows.n:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                    "clipped",
                    stacklevel=5,
                )
            batch_size = int(np.clip(self.batch_size, 1, rows.n))
        if self.normalization == "batch" and batch_size == 1:
            raise ValueError(
                f"[{where}] {'n_samples = 1' if rows.n == 1 else 'batch_size is 1'}; expected at "
                "least 2 rows in a batch, from which normalization='batch' takes its statistics"
            )

        def train(state: Any, ends: float, notices: Notices | None) -> bool:
            self._compile(where, incremental)
            if self.early_stopping:
                if self.validation_scores_ is None:  # a warm start after a fit without
                    self._watch_scores()
            elif self.best_loss_ is None:
                self._watch_loss()
            self.validation_loss_curve_ = (
                None if held_out is None else [*(self.__dict__.get("validation_loss_curve_") or ())]
            )
            orders = None
            if self.shuffle:
                # A generator that was made of a number is nobody else's.
                shared = self.random_state is None or state is self.random_state
                orders = _core.NumpyOrders(state._bit_generator, rows.n, shared)
            run = _training.Training(
                self, rows, held_out, orders, batch_size, incremental, ends, notices
            )
            run.run()
            return run.interrupted

        return train

    def _compile(self, where: str, incremental: bool) -> None:
        """Compile the model anew for fit; a partial_fit goes on with its optimizer's state."""
        if not incremental or not hasattr(self, "_optimizer"):
            if incremental:
                _compilation.check_single_epochs(where, self)
            self._optimizer = _compilation.initial_rate(self)
            self._alpha = self.alpha
            _compilation.compiled(where, self.network_, self, self._optimizer)
        elif self.alpha != self._alpha:
            _compilation.penalize(self.network_, self.alpha)
            self._alpha = self.alpha

    def _held_out(self, rows: Rows, random_state: Any) -> tuple[Rows, Rows]:
        """Return the rows to train on, and those that decide when training ends."""
        stratified = is_classifier(self) and self.n_outputs_ == 1
        train, test = train_test_split(
            np.arange(rows.n),
            random_state=random_state,
            test_size=self.validation_fraction,
            stratify=rows.y if stratified else None,
        )
        if len(test) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return rows.taken(train), rows.taken(test)

    def _validation_rows(self, where: str, x: Any, y: Any, weights: Any) -> Rows | None:
        """Return the rows for validation that the user gave, or None."""
        for given, name in ((x, "X_val"), (y, "y_val"), (weights, "sample_weight_val")):
            for other, missing in ((x, "X_val"), (y, "y_val")):
                if given is not None and other is None:
                    raise ValueError(f"{name} is provided, but {missing} was not provided.")
        if x is None:
            return None
        x, y = validate_data(
            self,
            x,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=not is_classifier(self),
            reset=False,
        )
        if weights is not None:
            weights = _check_sample_weight(weights, x)
        x = readable(where, x)
        return Rows(x, self._encoded(self._check_validation_targets(y)), weights)

    def _by_lbfgs(self, where: str, rows: Rows) -> Callable[[Any, float, Notices | None], bool]:
        """Return what trains with "lbfgs", once for each call."""

        def train(_state: Any, ends: float, notices: Notices | None) -> bool:
            _compilation.compiled(where, self.network_, self, None)
            objective = _quasi_newton.Objective(self.network_, rows, self.alpha, ends)
            with Words(where):
                self.loss_, self.n_iter_ = _quasi_newton.minimize(objective, self, notices)
            # Without a first evaluation, before which the training ended, the loss is unknown.
            unknown = objective.is_over and np.isnan(self.loss_)
            finite = np.isfinite(self.loss_) and np.isfinite(objective.vector()).all()
            if not (finite or unknown):
                raise ValueError(_training.DIVERGED)
            return objective.is_over

        return train

    def _loss_grad_lbfgs(
        self, vector: Any, x: Any, y: Any, sample_weight: Any, *_arrays: Any
    ) -> tuple[float, Any]:
        """Return loss and gradient of packed values, as scikit-learn's method of this name.

        Before version 1.7 it has no weights, and the arrays begin where they are.
        """
        if isinstance(sample_weight, list):
            sample_weight = None
        if self.out_activation_ == "softmax" and y.ndim == 2:
            y = y.argmax(axis=1)
        return _quasi_newton.Objective(self.network_, Rows(x, y, sample_weight), self.alpha)(vector)

    def _check_partial_fit(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True
