# SPDX-License-Identifier: BSD-3-Clause
"""What MLPClassifier and MLPRegressor have in common: fit, partial_fit, outputs, pickles."""

from __future__ import annotations

import operator
import warnings
from abc import ABC, abstractmethod
from contextlib import contextmanager
from itertools import chain
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import sklearn
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fastnn._refusals import Refused, Words

from . import _draws, _network, _quasi_newton, _training
from ._exchange import Exchange
from ._learning_rate import LearningRate
from ._parameters import STOCHASTIC_SOLVERS
from ._rows import Rows, blocks, readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn import nn

__all__ = ["Perceptron"]

# Made anew from `network_` when a pickle is loaded.
_FROM_NETWORK = ("coefs_", "intercepts_", "_values")


class Perceptron(Exchange, BaseEstimator, ABC):
    """The base of the estimators.

    A subclass says how targets are read and scored: `_validated`, `_out_activation`, `_score_of`.
    """

    network_: nn.Sequential
    n_iter_: int
    out_activation_: str
    _alpha: float  # the penalty with which the model is compiled

    @abstractmethod
    def _validated(self, x: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any, int]:
        """Return X and y as the core takes them, and the number of outputs."""

    @abstractmethod
    def _known_targets(self, y: Any) -> Any:
        """Return the targets of an array of the kind of earlier calls; None for all others."""

    @abstractmethod
    def _score_of(self, outputs: Any, targets: Any, weights: Any) -> float:
        """Return the score of outputs, for early stopping."""

    @abstractmethod
    def _activation_of_outputs(self) -> str:
        """Return the activation of the outputs, with the targets as `_validated` has seen them."""

    # Training.

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Return to the attributes before the block if it raises an exception."""
        before = dict(self.__dict__)
        lengths = [(each, len(each)) for each in before.values() if type(each) is list]
        try:
            yield
        except BaseException:
            for each, length in lengths:
                del each[length:]
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit_at_once(self, x: Any, y: Any, weights: Any) -> bool:
        """Make the step of a partial_fit whose arrays need no checks but the core's.

        They are one batch of the kind that earlier calls had. Returns False, without having done
        anything, for all other rows.
        """
        if not (
            self._is_plain(x)
            and type(y) is np.ndarray
            and len(y) == len(x) <= 200
            and (weights is None or (type(weights) is np.ndarray and weights.shape == (len(x),)))
            and (self.batch_size == "auto" or self.batch_size == len(x))
            and not self.early_stopping
            and "_optimizer" in self.__dict__
        ):
            return False
        targets = self._known_targets(y)
        if targets is None or (weights is not None and not weights.any()):
            return False
        self._synchronize()
        if self.alpha != self._alpha:
            _network.penalize(self.network_, self.alpha)
            self._alpha = self.alpha
        before = self.n_iter_
        try:
            order = _draws.Order(None, 0, False)
            _training.Training(self, Rows(x, targets, weights), None, order, len(x), True).run(True)
        except Refused:
            self.n_iter_ = before
            return False
        if self.shuffle and not isinstance(self.random_state, Integral):
            # The order of a single batch does not matter, but others may draw after it.
            _draws.Order(check_random_state(self.random_state), len(x), True)(0)
        return True

    def _fit(self, x: Any, y: Any, sample_weight: Any, incremental: bool = False) -> Self:
        hidden = self.hidden_layer_sizes
        hidden = list(hidden) if hasattr(hidden, "__iter__") else [hidden]
        if np.any(np.array(hidden) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        x, y, outputs = self._validated(x, y, incremental, first)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, x)
        self.n_outputs_ = outputs
        random_state = check_random_state(self.random_state)
        units = [x.shape[1], *hidden, outputs]
        if first:
            self._initialize(units, x.dtype, random_state)
        else:
            self._synchronize()
        rows = Rows(readable(x), y, weights)
        if self.solver in STOCHASTIC_SOLVERS:
            self._fit_stochastic(rows, random_state, incremental)
        else:
            self._fit_lbfgs(rows)
        return self

    def _initialize(self, units: list[int], dtype: Any, random_state: Any) -> None:
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(units)
        self.out_activation_ = self._activation_of_outputs()
        dtype = np.dtype(np.float32 if dtype == np.float32 else np.float64)
        values = _draws.initial_values(random_state, units, self.activation, dtype)
        # lbfgs adds up small differences of the loss, for which scikit-learn takes float64, too.
        stochastic = self.solver in STOCHASTIC_SOLVERS
        self.network_ = _network.build(units, self.activation, dtype if stochastic else np.float64)
        _network.load(self.network_, *values)
        self._show_values()
        self.__dict__.pop("_optimizer", None)
        if not stochastic:
            return
        self.loss_curve_: list[float] = []
        self._no_improvement_count = 0
        if self.early_stopping:
            self._watch_scores()
        else:
            self._watch_loss()

    def _watch_loss(self) -> None:
        self.best_loss_: float | None = np.inf
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _watch_scores(self) -> None:
        self.validation_scores_, self.best_validation_score_ = [], -np.inf
        self.best_loss_ = None
        # None after a fit: a warm start that finds nothing better keeps its last values, as
        # scikit-learn's does.
        self._best_values: list[Any] | None = [value.copy() for value in self._values]

    def _fit_stochastic(self, rows: Rows, random_state: Any, incremental: bool) -> None:
        if not incremental or not hasattr(self, "_optimizer"):
            schedule = self.learning_rate if self.solver == "sgd" else "constant"
            initial = self.learning_rate_init
            self._optimizer = LearningRate(initial, schedule, self.power_t, float(initial))
            self._alpha = self.alpha
            _network.compiled(self.network_, self, self.out_activation_, self._optimizer)
        elif self.alpha != self._alpha:
            _network.penalize(self.network_, self.alpha)
            self._alpha = self.alpha
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        held_out = None
        if self.early_stopping:
            if self.validation_scores_ is None:  # a warm start after a fit without early stopping
                self._watch_scores()
            rows, held_out = self._held_out(rows, random_state)
        elif self.best_loss_ is None:
            self._watch_loss()
        batch_size = min(200, rows.n)
        if self.batch_size != "auto":
            if self.batch_size > rows.n:
                warnings.warn(
                    "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                    "clipped",
                    stacklevel=4,
                )
            batch_size = int(np.clip(self.batch_size, 1, rows.n))
        order = _draws.Order(random_state, rows.n, self.shuffle)
        _training.Training(self, rows, held_out, order, batch_size, incremental).run()

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
        return rows.kept(train), rows.kept(test)

    def _fit_lbfgs(self, rows: Rows) -> None:
        _network.compiled(self.network_, self, self.out_activation_, None)
        objective = _quasi_newton.Objective(self.network_, rows, self.alpha)
        with Words(f"{type(self).__name__}.fit"):
            self.loss_, self.n_iter_ = _quasi_newton.minimize(objective, self)
        if not (np.isfinite(self.loss_) and np.isfinite(objective.vector()).all()):
            raise ValueError(_training.DIVERGED)

    def _loss_grad_lbfgs(
        self, vector: Any, x: Any, y: Any, sample_weight: Any, *_arrays: Any
    ) -> tuple[float, Any]:
        """Return loss and gradient of packed values, as scikit-learn's method of this name."""
        if self.out_activation_ == "softmax" and y.ndim == 2:
            y = y.argmax(axis=1)
        return _quasi_newton.Objective(self.network_, Rows(x, y, sample_weight), self.alpha)(vector)

    def _check_solver(self) -> bool:
        if self.solver not in STOCHASTIC_SOLVERS:
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True

    # The model and the attributes that show its values.

    def _show_values(self) -> None:
        self.coefs_, self.intercepts_ = _network.views(self.network_)
        self._values = [*self.coefs_, *self.intercepts_]

    def _synchronize(self) -> None:
        """Take over arrays that were put into coefs_ and intercepts_ in place of the model's."""
        if "_values" in self.__dict__:
            held, given = self._values, len(self.coefs_) + len(self.intercepts_)
            if given == len(held) and all(
                map(operator.is_, chain(self.coefs_, self.intercepts_), held)
            ):
                return
        coefs = [np.asarray(array) for array in self.coefs_]
        intercepts = [np.asarray(array) for array in self.intercepts_]
        if not ("network_" in self.__dict__ and _network.fits(self.network_, coefs, intercepts)):
            single = all(array.dtype == np.float32 for array in coefs)
            units = [coefs[0].shape[0], *(array.shape[1] for array in coefs)]
            self.network_ = _network.build(
                units, self.activation, np.float32 if single else np.float64
            )
            self.__dict__.pop("_optimizer", None)
            _network.compiled(self.network_, self, self.out_activation_, None)
        _network.load(self.network_, coefs, intercepts)
        self._show_values()

    # Outputs.

    def _predictions(self, x: Any) -> Any:
        """Return the outputs (n, n_outputs) with their activation, of X as the caller has it.

        An array that the core reads goes there at once; all else is checked by scikit-learn.
        """
        if "network_" not in self.__dict__:
            check_is_fitted(self)
        self._synchronize()
        if self._is_plain(x):
            try:
                return self.network_._network.predict(x)  # type: ignore[union-attr]
            except Refused:
                pass
        x = validate_data(self, x, accept_sparse=["csr", "csc"], reset=False)
        return self._outputs(readable(x))

    def _is_plain(self, x: Any) -> bool:
        """Whether scikit-learn would have nothing to say about X but about its numbers."""
        return (
            type(x) is np.ndarray
            and x.ndim == 2
            and x.shape[0] > 0
            and x.shape[1] == self.__dict__.get("n_features_in_")
            and "feature_names_in_" not in self.__dict__
        )

    def _outputs(self, x: Any) -> Any:
        """Return the outputs (n, n_outputs) with their activation; X is an array or CSR."""
        if not issparse(x):
            return self.network_.predict(x)
        found = np.empty((x.shape[0], self.n_outputs_), self.network_.dtype)
        for block in blocks(x):
            self.network_.predict(x[block].toarray(), out=found[block])
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # Pickles and copies; coefs_ and intercepts_ are views of the model's values after them, too.

    def __getstate__(self) -> dict[str, Any]:
        if "coefs_" in self.__dict__:
            self._synchronize()
        state = {name: value for name, value in self.__dict__.items() if name not in _FROM_NETWORK}
        return state | {"_sklearn_version": sklearn.__version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        version = state.pop("_sklearn_version", "pre-0.18")
        if version != sklearn.__version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=sklearn.__version__,
                    original_sklearn_version=version,
                ),
                stacklevel=2,
            )
        self.__dict__.update(state)
        if "network_" in state:
            self._show_values()
