# SPDX-License-Identifier: BSD-3-Clause
"""The short way of partial_fit: a single step of plain arrays, before scikit-learn's context.

That context would skip the checks of parameters for a fitted estimator, and sets up what only
nested fits and scikit-learn's callbacks read. It takes as long as the step of a small network.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["tries_at_once"]


def tries_at_once(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return partial_fit that makes the step at once where the arrays permit it."""

    @functools.wraps(method)
    def partial_fit(
        self: Any, X: Any, y: Any, sample_weight: Any = None, *others: Any, **named: Any
    ) -> Any:
        if not (others or named or "_skl_callbacks" in self.__dict__):
            with self._all_or_nothing():
                if self._fit_at_once(X, y, sample_weight):
                    return self
        return method(self, X, y, sample_weight, *others, **named)

    return partial_fit
