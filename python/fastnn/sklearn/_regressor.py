# SPDX-License-Identifier: BSD-3-Clause
"""MLPRegressor: scikit-learn's regressor, trained by the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from . import _compilation, _parameters, _plain
from ._context import fit_context, partial_fit_context
from ._documentation import documented
from ._perceptron import Perceptron
from ._rows import readable
from ._saving import saved
from ._versions import in_its_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn import nn

__all__ = ["MLPRegressor"]


@in_its_order
@documented
@saved
class MLPRegressor(RegressorMixin, Perceptron):
    """Multi-layer perceptron that predicts numbers: scikit-learn's estimator, trained by the core.

    Parameters, defaults, attributes, warnings and messages are those of
    `sklearn.neural_network.MLPRegressor`, and with the same `random_state` so are the numbers. The
    loss of several outputs is their sum, the loss whose gradient scikit-learn follows.

    Parameters
    ----------
    loss : str or loss of fastnn.nn, default "squared_error"
        "squared_error" and "poisson" are scikit-learn's: half the squared error, and half the
        Poisson deviance, for which the outputs are logarithms of rates and targets are at least 0.
        "absolute_error"; "huber" and "smooth_l1", which are squared for errors up to 1;
        "log_cosh"; "quantile", whose minimum is the median; and the other names of `fastnn.nn` for
        numbers. Objects: ``nn.HuberLoss(delta=0.1)``, ``nn.QuantileLoss(quantiles=[0.9])``. A name
        adds the losses of several outputs.
    {parameters}
    {additions}

    Attributes
    ----------
    {attributes}

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import MLPRegressor
    >>> X = np.linspace(-1, 1, 50).reshape(50, 1)
    >>> model = MLPRegressor(activation="tanh", solver="lbfgs", random_state=0)
    >>> model.fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.99
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = dict(_parameters.REGRESSOR)

    def __init__(
        self,
        loss: Any = "squared_error",
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
        dropout: float | Sequence[float] = 0.0,
        normalization: str | None = None,
        weight_decay: float | None = None,
        max_grad_norm: float | None = None,
        dtype: Any = None,
        n_init: int = 1,
        max_time: float | None = None,
        n_jobs: int | None = None,
        callbacks: Any = None,
    ) -> None:
        self.loss = loss
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
        self.dropout = dropout
        self.normalization = normalization
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
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
        y : array_like of shape (n,) or (n, n_outputs)
        sample_weight : array_like of shape (n,), optional
            Weights of the rows, at least 0.
        X_val, y_val : array_like, optional
            Rows whose loss is computed after each epoch, for `validation_loss_curve_`. With
            `early_stopping`, their score decides when training ends, and no rows of X are held out.
        sample_weight_val : array_like, optional
            Weights of the rows of `X_val`.

        Returns
        -------
        MLPRegressor
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
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch from the present values and state of the optimizer.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, n_features)
        y : array_like of shape (n,) or (n, n_outputs)
        sample_weight : array_like of shape (n,), optional

        Returns
        -------
        MLPRegressor
            The estimator.
        """
        with self._all_or_nothing():
            return self._fit(X, y, sample_weight, incremental=True)

    def _validated(self, x: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        x, y = _plain.validated(
            self,
            x,
            y,
            reset,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return x, y

    def _count_outputs(self, y: Any) -> int:
        return 1 if y.ndim == 1 else int(y.shape[1])

    def _encoded(self, y: Any) -> Any:
        return readable(type(self).__name__, y)

    def _check_validation_targets(self, y: Any) -> Any:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self._count_outputs(y) != self.n_outputs_:
            raise ValueError(
                f"[MLPRegressor.fit] y_val has {self._count_outputs(y)} columns; expected "
                f"{self.n_outputs_}, as y has"
            )
        return y

    def _row_weights(self, where: str, y: Any, sample_weight: Any) -> Any:
        return sample_weight

    def _known_targets(self, y: Any) -> Any:
        columns = 1 if y.ndim == 1 else y.shape[-1]
        plain = y.dtype.kind in "fiu" and (y.ndim == 1 or (y.ndim == 2 and columns > 1))
        return y if plain and columns == self.n_outputs_ else None

    def _activation_of_outputs(self) -> str:
        return _compilation.link_of_numbers(self.loss)

    def _described_loss(self, where: str) -> nn.Loss:
        return _compilation.regression_loss(self.loss)

    def _score_of(self, outputs: Any, targets: Any, weights: Any) -> float:
        return float(r2_score(targets, outputs, sample_weight=weights))

    def predict(self, X: Any) -> Any:
        """Predict the targets.

        Parameters
        ----------
        X : array_like or sparse matrix of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,) or (n, n_outputs)
        """
        outputs = self._predictions(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
