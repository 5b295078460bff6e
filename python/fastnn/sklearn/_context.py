# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's context of fit and partial_fit, and calls that do without it.

It checks the parameters, lets nested calls skip such checks, and tears down callbacks that its
``set_callbacks`` has set. That takes as long as some steps of a small network.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import InvalidParameterError

from ._notices import has_callbacks

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fit_context", "partial_fit_context"]

_context = _fit_context(prefer_skip_nested_validation=True)


def fit_context(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return fit in scikit-learn's context, where anything in it could make a difference.

    Parameters that are refused may be permitted by ``skip_parameter_validation``, which it knows.
    """
    in_context = _context(method)

    @functools.wraps(method)
    def fit(self: Any, *arguments: Any, **named: Any) -> Any:
        needed = has_callbacks(self)
        if not needed:
            try:
                self._validate_params()
            except InvalidParameterError:
                needed = True
        return (in_context if needed else method)(self, *arguments, **named)

    return fit


def partial_fit_context(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return partial_fit in scikit-learn's context, or a single step of plain arrays without it.

    The context skips the checks of parameters for a fitted estimator.
    """
    in_context = _context(method)

    @functools.wraps(method)
    def partial_fit(
        self: Any, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any
    ) -> Any:
        if not (others or (named and not _names_known(self, named)) or has_callbacks(self)):
            with self._all_or_nothing():
                if self._fit_at_once(X, y, sample_weight):
                    return self
        return in_context(self, X, y, sample_weight, *others, **named)

    return partial_fit


def _names_known(estimator: Any, named: dict[str, Any]) -> bool:
    """Whether the only one of these arguments is `classes`, with those that the estimator has."""
    held, given = vars(estimator).get("classes_"), named.get("classes")
    return (
        len(named) == 1
        and held is not None
        and type(given) is np.ndarray
        and given.dtype == held.dtype
        and np.array_equal(given, held)
    )
