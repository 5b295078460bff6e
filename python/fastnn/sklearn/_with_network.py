# SPDX-License-Identifier: BSD-3-Clause
"""The model inside a fitted estimator: the attributes that show its values, outputs and pickles."""

from __future__ import annotations

import operator
import warnings
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from fastnn._refusals import Refused, Words

from . import _compilation, _network, _plain
from ._rows import readable

if TYPE_CHECKING:
    from fastnn import nn

__all__ = ["WithNetwork"]

# Made anew from `network_` when a pickle is loaded.
_FROM_NETWORK = ("coefs_", "intercepts_", "_values")


def _units_of(where: str, coefs: list[Any], intercepts: list[Any]) -> list[int]:
    """Return the numbers of columns, units and outputs; refuse arrays that are of no network."""
    shapes = [array.shape for array in coefs]
    joined = all(len(shape) == 2 for shape in shapes) and all(
        before[1] == after[0] for before, after in pairwise(shapes)
    )
    if not shapes or not joined:
        raise ValueError(
            f"[{where}] coefs_ has the shapes {shapes}; expected (in, out) of each layer, whose "
            "out is the in of the next one"
        )
    expected = [(shape[1],) for shape in shapes]
    found = [array.shape for array in intercepts]
    if found != expected:
        raise ValueError(
            f"[{where}] intercepts_ has the shapes {found}; expected {expected}, as coefs_ has"
        )
    return [shapes[0][0], *(shape[1] for shape in shapes)]


class WithNetwork(BaseEstimator):
    """The part of the estimators that has the model inside."""

    network_: nn.Sequential
    n_outputs_: int
    n_jobs: int | None

    @property
    def history_(self) -> nn.History:
        """The record of the last training by epochs, which the model inside keeps."""
        history = self.network_.history if "network_" in self.__dict__ else None
        if history is None:
            raise AttributeError(
                f"[{type(self).__name__}] there is no history_; expected an estimator that has "
                "been trained by batches"
            )
        return history

    def _show_values(self) -> None:
        self.__dict__.update(self._attributes_of(self.network_))

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
            where, kind = type(self).__name__, np.float32 if single else np.float64
            units = _units_of(where, coefs, intercepts)
            layers = _network.layout(where, units, self)
            self.network_ = _network.build(layers, kind, self.n_jobs)
            self.__dict__.pop("_optimizer", None)
            _compilation.compiled(where, self.network_, self, None)
        weights, biases = _network.views(self.network_)
        _network.load([*weights, *biases], [*coefs, *intercepts])
        self._show_values()

    # Outputs.

    def _predictions(self, x: Any) -> Any:
        """Return the outputs (n, n_outputs) with their activation, of X as the caller has it.

        An array or CSR that the core reads goes there at once; all else is checked by scikit-learn.
        """
        if "network_" not in self.__dict__:
            check_is_fitted(self)
        self._synchronize()
        if self._is_plain(x):
            try:
                threads = _network.thread_count(self.n_jobs)
                return self.network_._network.predict(x, True, None, threads)  # type: ignore[union-attr]
            except Refused:
                pass
        x = validate_data(self, x, accept_sparse=["csr", "csc"], reset=False)
        return self._outputs(readable(f"{type(self).__name__}.predict", x))

    def _is_plain(self, x: Any) -> bool:
        """Whether scikit-learn would have nothing to say about X but about its numbers."""
        return (
            _plain.has_plain_type(x)
            and x.shape[1] == self.__dict__.get("n_features_in_")
            and "feature_names_in_" not in self.__dict__
        )

    def _outputs(self, x: Any) -> Any:
        """Return the outputs (n, n_outputs) with their activation; X is an array or CSR."""
        network: Any = self.network_._network
        with Words(f"{type(self).__name__}.predict", {"X": x}):
            return network.predict(x, True, None, _network.thread_count(self.n_jobs))

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

    def _attributes_of(self, network: nn.Sequential) -> dict[str, Any]:
        """Return the attributes of an estimator with this model, which may be a copy."""
        coefs, intercepts = _network.views(network)
        return {
            "network_": network,
            "coefs_": coefs,
            "intercepts_": intercepts,
            "_values": [*coefs, *intercepts],
        }
