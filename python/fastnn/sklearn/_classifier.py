# SPDX-License-Identifier: BSD-3-Clause
"""MLPClassifier: scikit-learn's classifier, trained by the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)

from fastnn._hints import shown

from . import _compilation, _parameters, _plain, _targets
from ._context import fit_context, partial_fit_context
from ._documentation import documented
from ._perceptron import Perceptron
from ._saving import saved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn import nn

__all__ = ["MLPClassifier"]


@documented
@saved
class MLPClassifier(ClassifierMixin, Perceptron):
    """Multi-layer perceptron that classifies: scikit-learn's estimator, trained by the core.

    Parameters, defaults, attributes, warnings and messages are those of
    `sklearn.neural_network.MLPClassifier`, and with the same `random_state` so are the numbers.

    Parameters
    ----------
    {parameters}
    loss : {{"log_loss", "focal"}} or loss of fastnn.nn, default "log_loss"
        The logarithmic loss, or the focal loss, for which each of more than two classes is an
        output of its own against the rest. Objects: ``nn.FocalLoss(gamma=1.0)``.
    {additions}
    label_smoothing : float, default 0
        The share of a target that goes to all classes in equal parts.
    class_weight : dict, "balanced" or None, default None
        Factors of the weights of rows, by class; classes that are not named have 1. "balanced" is
        n / (n_classes n_class), with the weights of the rows where there are some. Rows with
        several labels take "balanced" alone.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; of multi-label rows the numbers of the columns.
    {attributes}

    Examples
    --------
    >>> from fastnn import MLPClassifier
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> clf = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=0)
    >>> clf.fit(X, ["no", "yes", "yes", "no"]).predict(X).tolist()
    ['no', 'yes', 'yes', 'no']
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = dict(_parameters.CLASSIFIER)

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        dropout: float | Sequence[float] = 0.0,
        normalization: str | None = None,
        weight_decay: float | None = None,
        label_smoothing: float = 0.0,
        max_grad_norm: float | None = None,
        class_weight: Any = None,
        dtype: Any = None,
        n_init: int = 1,
        max_time: float | None = None,
        n_jobs: int | None = None,
        callbacks: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.loss = loss
        self.dropout = dropout
        self.normalization = normalization
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.max_grad_norm = max_grad_norm
        self.class_weight = class_weight
        self.dtype = dtype
        self.n_init = n_init
        self.max_time = max_time
        self.n_jobs = n_jobs
        self.callbacks = callbacks

    @fit_context
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train from the beginning, or with `warm_start` from the present values.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, n_features)
            Arrays of any real dtype and order are read in place.
        y : array_like of shape (n,) or (n, n_labels)
            Labels of any kind, or for multi-label rows a matrix of 0 and 1.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows, at least 0.
        X_val, y_val : array_like, optional
            Rows whose loss is computed after each epoch, for `validation_loss_curve_`. With
            `early_stopping`, their score decides when training ends, and no rows of X are held out.
        sample_weight_val : array_like, optional
            Weights of the rows of `X_val`; `class_weight` does not apply to them.

        Returns
        -------
        MLPClassifier
            The estimator.

        Raises
        ------
        ValueError
            If X or y is refused, or training diverges. The estimator is then as before the call.
        """
        with self._all_or_nothing():
            validation = (X_val, y_val, sample_weight_val)
            return self._fit(X, y, sample_weight, validation=validation)

    @available_if(lambda self: self._check_partial_fit())
    @partial_fit_context
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train one epoch from the present values and state of the optimizer.

        The order of the arguments is that of scikit-learn's perceptron; most other classifiers have
        `classes` before `sample_weight`.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, n_features)
        y : array_like of shape (n,) or (n, n_labels)
        sample_weight : array_like of shape (n,), optional
        classes : array_like of shape (n_classes,), optional
            All labels that there will be, which the first call needs.

        Returns
        -------
        MLPClassifier
            The estimator.
        """
        with self._all_or_nothing():
            if _check_partial_fit_first_call(self, classes):
                self._label_binarizer = LabelBinarizer()
                multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer.fit(y if multilabel else classes)
            return self._fit(X, y, sample_weight, incremental=True)

    def _validated(self, x: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        x, y = _plain.validated(self, x, y, reset, accept_sparse=["csr", "csc"], multi_output=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = _plain.binarizer_of(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_known(unique_labels(y))
        return x, y

    def _count_outputs(self, y: Any) -> int:
        return _targets.n_outputs(self._label_binarizer)

    def _encoded(self, y: Any) -> Any:
        found = _targets.encoded(self._label_binarizer, y, self._activation_of_outputs())
        return self._smoothed(found)

    def _smoothed(self, targets: Any) -> Any:
        """Return targets with `label_smoothing`; the loss of softmax has it itself."""
        smooths = self.label_smoothing and self._activation_of_outputs() != "softmax"
        return _targets.smoothed(targets, self.label_smoothing) if smooths else targets

    def _known_targets(self, y: Any) -> Any:
        binarizer = self.__dict__.get("_label_binarizer")
        if binarizer is None or y.ndim != 1 or y.dtype.kind != self.classes_.dtype.kind:
            return None
        if self.warm_start or self.class_weight is not None:
            return None
        found = _targets.of_known(binarizer, y, self.out_activation_)
        return None if found is None else self._smoothed(found)

    def _check_validation_targets(self, y: Any) -> Any:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if (y.ndim == 2) != self._label_binarizer.y_type_.startswith("multilabel"):
            raise ValueError(
                f"[MLPClassifier.fit] y_val has shape {y.shape}; expected labels of the kind of y"
            )
        unknown = np.setdiff1d(unique_labels(y), self.classes_)
        if len(unknown) or (y.ndim == 2 and y.shape[1] != len(self.classes_)):
            raise ValueError(
                f"[MLPClassifier.fit] y_val has the classes {unique_labels(y)}; expected only "
                f"those of y, {self.classes_}"
            )
        return y

    def _check_partial_fit(self) -> bool:
        if self.class_weight == "balanced":
            raise AttributeError(
                "[MLPClassifier.partial_fit] class_weight is 'balanced', which needs all labels at "
                "once; expected a dict, such as compute_class_weight of scikit-learn helps to make"
            )
        return super()._check_partial_fit()

    def _row_weights(self, where: str, y: Any, sample_weight: Any) -> Any:
        if self.class_weight is None:
            return sample_weight
        if y.ndim == 2:
            if not isinstance(self.class_weight, str):
                raise ValueError(
                    f"[{where}] class_weight is {shown(self.class_weight)} and y has several "
                    "labels a row; expected 'balanced', None, or sample_weight"
                )
            found = compute_sample_weight(self.class_weight, y)
        else:
            found = _targets.class_weights(
                where, self.class_weight, self.classes_, y, sample_weight
            )
        return found if sample_weight is None else found * sample_weight

    def _check_known(self, classes: Any) -> None:
        """Refuse labels other than those of the earlier fit."""
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _activation_of_outputs(self) -> str:
        return _targets.out_activation(self._label_binarizer, self.loss)

    def _described_loss(self, where: str) -> nn.Loss:
        link, smoothing = self.out_activation_, self.label_smoothing
        return _compilation.class_loss(where, self.loss, link, smoothing)

    def _score_of(self, outputs: Any, targets: Any, weights: Any) -> float:
        hits = _targets.hits(self._label_binarizer, outputs, targets)
        return float(np.average(hits, weights=weights))

    def predict(self, X: Any) -> Any:
        """Predict the labels.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,) or (n, n_labels)
        """
        outputs = self._predictions(X)
        return _targets.decoded(self._label_binarizer, outputs)

    def predict_proba(self, X: Any) -> Any:
        """Predict the probabilities of the classes.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of `classes_`. Rows sum to 1, but not those of several labels, which are
            independent of each other. Of more than two classes with ``loss="focal"``, they are the
            outputs, one against the rest, divided by their sum.
        """
        outputs = self._predictions(X)
        if outputs.shape[1] > 1:
            return _targets.shares(self._label_binarizer, outputs, self.out_activation_)
        both = np.empty((len(outputs), 2), outputs.dtype)
        both[:, 1] = outputs[:, 0]
        np.subtract(1, outputs[:, 0], out=both[:, 0])
        return both

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes)
            The logarithms of what `predict_proba` gives.
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
