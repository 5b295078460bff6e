# SPDX-License-Identifier: BSD-3-Clause
"""What differs between the versions of scikit-learn that are supported."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from sklearn import neural_network

__all__ = ["in_its_order"]

Class = TypeVar("Class", bound=type)


def in_its_order(cls: Class) -> Class:
    """Return the class with the order of arguments that the installed scikit-learn has.

    Before version 1.7, MLPRegressor had no `loss`, which is the first argument since. There it is
    one by name alone, behind all others.
    """
    theirs = inspect.signature(getattr(neural_network, cls.__name__)).parameters
    if next(iter(theirs)) == "loss":
        return cls
    made: Any = cls
    init = made.__init__
    signature = inspect.signature(init)
    loss = signature.parameters["loss"].replace(kind=inspect.Parameter.KEYWORD_ONLY)
    others = [each for name, each in signature.parameters.items() if name != "loss"]

    @functools.wraps(init)
    def without_loss_first(self: Any, *values: Any, **named: Any) -> None:
        bound = without_loss_first.__signature__.bind(self, *values, **named)  # type: ignore[attr-defined]
        init(self, **{name: value for name, value in bound.arguments.items() if name != "self"})

    without_loss_first.__signature__ = signature.replace(parameters=[*others, loss])  # type: ignore[attr-defined]
    made.__init__ = without_loss_first
    return cls
