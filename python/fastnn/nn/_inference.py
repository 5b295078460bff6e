# SPDX-License-Identifier: BSD-3-Clause
"""What a model answers without being trained: predict, predict_proba, evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _validate
from fastnn.errors import FastnnError

from ._container import Container
from ._layers import Flatten

if TYPE_CHECKING:
    from fastnn._validate import Array

    from ._compiled import Compiled
    from ._loss import Loss

__all__ = ["REFUSALS", "Inference"]

# What the binding may raise for input that Python can word better, or convert and try again.
REFUSALS = (TypeError, ValueError, AttributeError, RuntimeError)


class Inference(Container):
    """Words and shapes of all calls, and the calls that only read the model."""

    def _ready(self, where: str) -> tuple[_core.Network, Compiled]:
        network = self._net(where)
        if self._compiled is None:
            raise ValueError(
                f"[Sequential.{where}] the model is not compiled; expected "
                "model.compile(optimizer=..., loss=...) before"
            )
        return network, self._compiled

    def _features(self, where: str, x: Any, what: str = "X") -> Array:
        flatten = any(isinstance(layer, Flatten) for layer in self._layers)
        return _validate.features(
            f"Sequential.{where}", x, self._net(where).n_features, flatten, what
        )

    def _batch(self, where: str, x: Any, y: Any, w: Any) -> tuple[Array, Array, Array | None]:
        """X, y and sample weights as arrays that belong together."""
        network, compiled = self._ready(where)
        full = f"Sequential.{where}"
        xs = self._features(where, x)
        if len(xs) == 0:
            raise ValueError(f"[{full}] X has no rows; expected at least one")
        ys = _validate.targets(full, y, len(xs), compiled.loss, network.n_outputs)
        return xs, ys, None if w is None else _validate.weights(full, w, len(xs))

    def _n_threads(self, where: str, n_threads: int | None) -> int:
        if n_threads is None:
            return self._threads
        # Without making words that nobody reads.
        if type(n_threads) is int and 0 < n_threads <= _core.max_threads:
            return n_threads
        return _validate.thread_count(f"Sequential.{where}", n_threads)

    def evaluate(
        self, x: Any, y: Any, sample_weight: Any = None, *, n_threads: int | None = None
    ) -> dict[str, float]:
        """Loss and compiled metrics on data, without training.

        Parameters
        ----------
        x : array_like of shape (n, n_features)
        y : array_like
            Targets as the compiled loss wants them.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows: loss and accuracy are sum(w l) / sum(w).
        n_threads : int, optional

        Returns
        -------
        dict of str to float
            ``{"loss": ..., "accuracy": ...}``

        Raises
        ------
        ValueError
            A number that is not finite, a target or an output outside the range of the loss.
        """
        network, compiled = self._ready("evaluate")
        xs, ys, w = self._batch("evaluate", x, y, sample_weight)
        threads = self._n_threads("evaluate", n_threads)
        return dict(network.evaluate(xs, ys, w, bool(compiled.metrics), threads))

    def predict(self, x: Any, *, out: Array | None = None, n_threads: int | None = None) -> Array:
        """Outputs, with the compiled loss's link: probabilities for losses of classes.

        Before compile the outputs are raw; `forward` always gives raw ones.

        Parameters
        ----------
        x : array_like of shape (n, n_features)
            n may be 0.
        out : ndarray of shape (n, n_outputs), optional
            Of the model's dtype; is filled and returned.
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, n_outputs)
        """
        threads = self._threads if n_threads is None else self._n_threads("predict", n_threads)
        link = self._compiled is not None
        failure: Exception | None = None
        if type(x) is np.ndarray:
            try:
                return self._network.predict(x, link, out, threads)  # type: ignore[union-attr]
            except REFUSALS as error:
                if isinstance(error, FastnnError):
                    raise
                failure = error
        network, xs = self._net("predict"), self._features("predict", x)
        if failure is not None and xs is x:
            raise failure
        return network.predict(xs, link, out, threads)

    def predict_proba(self, x: Any, *, n_threads: int | None = None) -> Array:
        """Probabilities of the classes, for losses of classes.

        Parameters
        ----------
        x : array_like of shape (n, n_features)
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, classes)
            Rows sum to 1: one binary output gives two columns, as in scikit-learn. Several binary
            outputs are several yes/no questions: one column each, the probability of yes.

        Raises
        ------
        ValueError
            The loss has no classes; or it takes probabilities and the network's outputs are none,
            for want of a Sigmoid.
        """
        _, compiled = self._ready("predict_proba")
        if compiled.loss.row["task"] == "regression":
            raise ValueError(
                f"[Sequential.predict_proba] {type(compiled.loss).__name__} is for regression; "
                "expected a loss of classes"
            )
        p = self.predict(x, n_threads=n_threads)
        if compiled.loss.row["outputs"]:  # without a link, and so whatever the last layer gives
            _check_probabilities(p, compiled.loss)
        if compiled.loss.row["task"] == "binary" and p.shape[1] == 1:
            return np.hstack([1 - p, p])
        return p


def _check_probabilities(p: Array, loss: Loss) -> None:
    wrong = (p < 0) | (p > 1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"[Sequential.predict_proba] the outputs have {p[row, column]:g} at row {row}; "
            f"{type(loss).__name__} expects {loss.row['outputs']}: {loss.row['outputs_remedy']}"
        )
