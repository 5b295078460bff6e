# SPDX-License-Identifier: BSD-3-Clause
"""Shorter ways through scikit-learn's checks, for what most calls of fit have.

Its functions take as long as several epochs of a small network. Here is decided, in a fraction of
that, that they would have nothing to say; whatever is unusual goes to them, so their messages and
warnings have one source.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from scipy.sparse import csr_array, csr_matrix
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import (
    InvalidParameterError,
    validate_parameter_constraints,
)
from sklearn.utils.validation import validate_data

from fastnn import _core

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "binarizer",
    "binarizer_of",
    "check_parameters",
    "has_plain_type",
    "random_state_of",
    "validated",
]

# Parameters.


def check_parameters(estimator: Any) -> None:
    """Check the parameters as scikit-learn does, without those that have their defaults."""
    cls: Any = type(estimator)
    defaults = _defaults(cls)
    values = {name: getattr(estimator, name) for name in defaults}
    changed = {name: value for name, value in values.items() if value is not defaults[name]}
    check = _check_once if all(map(_is_plain, changed.values())) else _check
    check(cls, **changed)


def _check(cls: Any, **changed: Any) -> None:
    validate_parameter_constraints(cls._parameter_constraints, changed, caller_name=cls.__name__)


# The fits of a search, and the calls of a loop, have the same values often.
_check_once = lru_cache(maxsize=256, typed=True)(_check)


def _is_plain(value: Any) -> bool:
    """Whether a value is immutable, small, and equal only to values that are as valid."""
    if type(value) is tuple:
        return all(type(each) is int for each in value)
    return type(value) in (bool, int, float, str, type(None))


@lru_cache(maxsize=32)
def _defaults(cls: Any) -> Mapping[str, Any]:
    """Return the defaults of a class, by the names of all its parameters, sorted.

    A subclass may have defaults that are not permitted; those are an object that no value is.
    """
    signature, found = inspect.signature(cls.__init__).parameters, {}
    for name in cls._get_param_names():
        found[name] = signature[name].default
        try:
            validate_parameter_constraints(
                cls._parameter_constraints, {name: found[name]}, caller_name=cls.__name__
            )
        except InvalidParameterError:
            found[name] = object()
    return found


# Rows.

_PLAIN_TYPES = (np.ndarray, csr_matrix, csr_array)


def validated(estimator: Any, x: Any, y: Any, reset: bool, **checks: Any) -> tuple[Any, Any]:
    """Return X and y after ``validate_data`` of scikit-learn with these checks of an estimator."""
    if not (_is_table(x) and _is_column(y) and x.shape[0] == len(y)):
        return validate_data(estimator, x, y, reset=reset, **checks)  # type: ignore[no-any-return]
    held = vars(estimator)
    if reset:
        held.pop("feature_names_in_", None)
        held["n_features_in_"] = x.shape[1]
    elif held.get("n_features_in_") != x.shape[1] or "feature_names_in_" in held:
        return validate_data(estimator, x, y, reset=reset, **checks)  # type: ignore[no-any-return]
    return x, y


def has_plain_type(x: Any) -> bool:
    """Whether X is an array or in CSR format, of two dimensions, and has rows."""
    return type(x) in _PLAIN_TYPES and x.ndim == 2 and x.shape[0] > 0


def _is_table(x: Any) -> bool:
    if not has_plain_type(x) or x.shape[1] == 0:
        return False
    numbers = x if type(x) is np.ndarray else x.data
    return type(numbers) is np.ndarray and _is_finite(numbers)


def _is_column(y: Any) -> bool:
    return type(y) is np.ndarray and y.ndim == 1 and _is_finite(y)


def _is_finite(numbers: Any) -> bool:
    """Whether these are numbers of a dtype that the core reads, and all finite."""
    dtype = numbers.dtype
    if dtype.kind != "f":
        return dtype.kind in "iub"
    return dtype.itemsize <= 8 and _core.all_finite(
        numbers.T if numbers.flags.f_contiguous else numbers
    )


# Labels.


def binarizer_of(y: Any) -> LabelBinarizer:
    """Return ``LabelBinarizer().fit(y)``."""
    if type(y) is np.ndarray and y.ndim == 1 and len(y) > 0 and y.dtype.kind in "iub":
        classes = _distinct(y)
        if 2 * len(classes) <= len(y) or len(y) <= 20:  # some versions warn of many classes
            return binarizer("multiclass" if len(classes) > 2 else "binary", classes)
    return LabelBinarizer().fit(y)


def _distinct(y: Any) -> Any:
    """Return ``np.unique(y)``, which need not sort small numbers."""
    found = _core.distinct_below_count(y) if y.dtype.kind == "i" else None
    return np.unique(y) if found is None else found.astype(y.dtype, copy=False)


def binarizer(kind: str, classes: Any, sparse: bool = False) -> LabelBinarizer:
    """Return a binarizer that has been fitted to labels of this kind with these classes.

    `sparse`: they were a sparse matrix.
    """
    made = LabelBinarizer()
    made.y_type_, made.sparse_input_, made.classes_ = kind, sparse, classes
    return made


# Random numbers.


class _Words(ISeedSequence):
    """Stands for what NumPy mixes of its sources, before a generator is seeded by a number."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return [1] * n_words  # which the generator reads faster than an array


def random_state_of(given: Any) -> np.random.RandomState:
    """Return ``check_random_state(given)``."""
    if isinstance(given, np.random.RandomState):
        return given
    if not (type(given) is int or isinstance(given, Integral)):
        return check_random_state(given)  # type: ignore[no-any-return]
    made = np.random.RandomState(np.random.MT19937(_WORDS))
    made.seed(int(given))
    return made


_WORDS: Any = _Words()
