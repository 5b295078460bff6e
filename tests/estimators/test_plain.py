# SPDX-License-Identifier: BSD-3-Clause
"""The short ways through scikit-learn's checks say and do what its own functions do."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn import config_context
from sklearn import neural_network as theirs
from sklearn.base import BaseEstimator
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

import fastnn
from fastnn import _core
from fastnn.sklearn import _plain, _with_network

X = np.random.RandomState(0).normal(size=(30, 3))
Y = np.arange(30) % 3
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CHECKS = {"accept_sparse": ["csr", "csc"], "multi_output": True}


def outcome(call: Any) -> tuple[Any, ...]:
    """Return what a call gives, raises and warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = call()
        except Exception as error:
            found = (type(error), str(error))
    return found, [str(each.message) for each in caught]


def changed(x: Any, at: Any, value: Any) -> Any:
    found = x.copy()
    found[at] = value
    return found


def unexpected(*_: Any, **__: Any) -> None:
    raise AssertionError


def csr(x: Any, kind: Any = sparse.csr_array) -> Any:
    return kind(np.where(X > 0, x, 0))


def with_numbers(numbers: Any) -> Any:
    """Return CSR whose stored numbers are these, which SciPy's own constructors convert."""
    made = csr(X)
    made.data = numbers(made.data)
    return made


def wide(x: Any) -> Any:
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    return x


ROWS: dict[str, tuple[Any, Any]] = {
    "plain": (X, Y),
    "float32 in columns": (np.asfortranarray(X, np.float32), Y),
    "integers": ((X * 9).astype(np.int8), Y.astype(np.uint8)),
    "booleans": (X > 0, Y > 0),
    "numbers as y": (X, X[:, 0]),
    "half": (X.astype(np.float16), Y),
    "large": (np.sign(X) * 1e308, Y),
    "long double": (X.astype(np.longdouble), Y),
    "NaN": (changed(X, (3, 1), np.nan), Y),
    "infinite": (changed(X, (3, 1), np.inf), Y),
    "infinities of both signs": (changed(changed(X, (3, 1), np.inf), (4, 1), -np.inf), Y),
    "NaN in y": (X, changed(X[:, 0], 2, np.nan)),
    "too short": (X, Y[:-1]),
    "no rows": (X[:0], Y[:0]),
    "no columns": (X[:, :0], Y),
    "one axis": (X[:, 0], Y),
    "column": (X, Y[:, None]),
    "lists": (X.tolist(), Y.tolist()),
    "objects": (X.astype(object), Y),
    "strings": (X, Y.astype(str)),
    "complex": (X + 1j, Y),
    "no y": (X, None),
    "CSR": (csr(X), Y),
    "CSR matrix": (csr(X, sparse.csr_matrix), Y),
    "CSR of float32": (csr(X.astype(np.float32)), Y),
    "CSR of integers": (csr((X * 9).astype(np.int16)), Y),
    "CSR of half": (with_numbers(lambda data: data.astype(np.float16)), Y),
    "CSR of long double": (csr(X.astype(np.longdouble)), Y),
    "CSR of complex numbers": (csr(X + 1j), Y),
    "CSR of objects": (with_numbers(lambda data: data.astype(object)), Y),
    "CSR of a list": (with_numbers(list), Y),
    "CSR with NaN": (csr(changed(X, (3, X[3] > 0), np.nan)), Y),
    "CSR with infinite": (csr(changed(X, (3, X[3] > 0), np.inf)), Y),
    "CSR without cells": (sparse.csr_array((30, 3)), Y),
    "CSR with wide indices": (wide(csr(X)), Y),
    "CSR in any order": (csr(X)[:, ::-1], Y),
    "CSR without rows": (csr(X)[:0], Y[:0]),
    "CSR without columns": (csr(X)[:, :0], Y),
    "CSR of one axis": (sparse.csr_array(np.ones(30)), Y),
    "CSR, too short": (csr(X), Y[:-1]),
    "CSC": (csr(X).tocsc(), Y),
    "COO": (csr(X).tocoo(), Y),
}


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("fitted", [{}, {"n_features_in_": 3}, {"n_features_in_": 4}])
@pytest.mark.parametrize("kind", ROWS)
def test_rows(kind: str, fitted: dict[str, Any], reset: bool) -> None:
    x, y = ROWS[kind]
    named = fitted | {"feature_names_in_": np.array(["a", "b", "c"], object)}
    for known in (fitted, named) if fitted else (fitted,):
        mine, other = fastnn.MLPClassifier(), fastnn.MLPClassifier()
        vars(mine).update(known), vars(other).update(known)
        found = outcome(lambda m=mine: _plain.validated(m, x, y, reset, **CHECKS))
        expected = outcome(lambda m=other: validate_data(m, x, y, reset=reset, **CHECKS))
        assert repr(found) == repr(expected)
        assert repr(vars(mine)) == repr(vars(other))
        if isinstance(expected[0], tuple) and x is expected[0][0]:
            assert found[0][0] is x
            assert found[0][1] is expected[0][1] or not isinstance(y, np.ndarray)


@pytest.mark.parametrize("kind", ["plain", "CSR", "CSR matrix", "CSR with wide indices"])
def test_plain_rows_do_not_reach_scikit_learns_checks(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = ROWS[kind]
    model = fastnn.MLPClassifier((4,), max_iter=2, random_state=0)
    for module in (_plain, _with_network):
        monkeypatch.setattr(module, "validate_data", unexpected)
    found = model.fit(x, y).predict_proba(x[:1])
    monkeypatch.undo()
    np.testing.assert_array_equal(found, model.predict_proba(sparse.csc_array(x[:1])))


LAYOUTS: dict[str, Any] = {
    "rows": lambda x: x,
    "columns": np.asfortranarray,
    "part of the columns": lambda x: np.concatenate([x, np.full_like(x, np.nan)], 1)[
        :, : x.shape[1]
    ],
    "every second": lambda x: np.repeat(np.repeat(x, 2, 0), 2, 1)[::2, ::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "other bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "one axis": np.ravel,
    "not aligned": lambda x: np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(x.dtype),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_that_are_not_finite_are_found_everywhere(layout: str, dtype: Any) -> None:
    for columns in (1, 2, 7, 8, 9, 16, 17, 33):
        numbers = np.full((3, columns), np.finfo(dtype).max, dtype)
        assert _core.all_finite(LAYOUTS[layout](numbers))
        for at in np.ndindex(numbers.shape):
            for value in (np.nan, np.inf, -np.inf):
                assert not _core.all_finite(LAYOUTS[layout](changed(numbers, at, value)))


def test_a_large_array_is_looked_at_as_a_whole() -> None:
    numbers = np.zeros((2**9, 2**9))
    assert _core.all_finite(numbers)
    numbers[-1, -1] = np.nan
    assert not _core.all_finite(numbers)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_distinct_numbers_below_their_count(dtype: Any) -> None:
    found = _core.distinct_below_count(np.array([4, 1, 1, 4, 0], dtype))
    assert found is not None
    assert found.tolist() == [0, 1, 4]
    for other in ([5, 1, 1, 4, 0], [-1, 1, 1, 4, 0], [1]):
        assert _core.distinct_below_count(np.array(other, dtype)) is None
    assert _core.distinct_below_count(np.array([], dtype)).tolist() == []


LABELS = {
    "three": Y,
    "two": Y % 2,
    "one": Y * 0,
    "negative": Y * 2 - 1,
    "far apart": Y * 10**9,
    "int8": Y.astype(np.int8),
    "uint64": Y.astype(np.uint64),
    "booleans": Y > 1,
    "nearly all different": np.arange(30) // 2 + np.arange(30) % 2,
    "all different": np.arange(30),
    "few": np.array([3, 1]),
    "single": np.array([7]),
    "numbers": Y.astype(float),
    "fractions": Y + 0.5,
    "strings": Y.astype(str),
    "objects": Y.astype(str).astype(object),
    "several": np.eye(3, dtype=int)[Y],
    "several of many": np.stack([Y, Y], axis=1),
    "none": Y[:0],
    "strided": np.repeat(Y, 2)[::2],
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels(kind: str) -> None:
    found, expected = (
        outcome(lambda fit=fit: vars(fit(LABELS[kind])))
        for fit in (_plain.binarizer_of, lambda y: LabelBinarizer().fit(y))
    )
    assert repr(found) == repr(expected)
    if isinstance(found[0], dict):
        assert found[0]["classes_"].dtype == expected[0]["classes_"].dtype


@pytest.mark.parametrize("given", [0, 5, 2**32 - 1, np.int64(3), True, -1, 2**32, None, "a", 1.5])
def test_random_states(given: Any) -> None:
    found, expected = (
        outcome(lambda make=make: make(given).get_state(legacy=False))
        for make in (_plain.random_state_of, check_random_state)
    )
    assert repr(found) == repr(expected)


def test_a_given_random_state_is_used_itself() -> None:
    state = np.random.RandomState(3)
    assert _plain.random_state_of(state) is state
    assert _plain.random_state_of(None) is check_random_state(None)


@pytest.mark.parametrize("cls", [fastnn.MLPClassifier, fastnn.MLPRegressor])
def test_parameters(cls: Any) -> None:
    for name in cls().get_params():
        for value in (None, -3, 0.5, "other", [], object, True, np.float64(1), (1, 2), 10**30):
            model = cls(**{name: value})
            found, expected = (
                outcome(check)
                for check in (
                    lambda m=model: _plain.check_parameters(m),
                    lambda m=model: BaseEstimator._validate_params(m),
                )
            )
            assert found == expected
    several = cls(tol=-1, alpha=-1, solver="none")
    with pytest.raises(ValueError, match="'alpha' parameter"):  # the first by name
        several.fit(X, Y)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_parameters_are_not_checked_where_scikit_learn_would_not(name: str) -> None:
    for module in (theirs, fastnn):
        model = getattr(module, name)(hidden_layer_sizes=(3,), validation_fraction=2.0, max_iter=2)
        with pytest.raises(ValueError, match=f"The 'validation_fraction' parameter of {name}"):
            model.fit(X, Y)
        with config_context(skip_parameter_validation=True):
            assert model.fit(X, Y).n_iter_ == 2


def test_wrong_defaults_of_a_subclass_are_refused() -> None:
    class Wrong(fastnn.MLPClassifier):
        def __init__(self, max_iter: int = -1) -> None:
            super().__init__(max_iter=max_iter)

    for _ in range(2):
        with pytest.raises(ValueError, match="The 'max_iter' parameter of Wrong"):
            Wrong().fit(X, Y)
    assert Wrong(max_iter=2).set_params(max_iter=3).fit(X, Y).n_iter_ == 3


def test_what_has_been_valid_is_refused_in_another_type() -> None:
    """Valid parameters are remembered, and equal numbers need not be as valid."""
    valid = {"batch_size": 10, "n_iter_no_change": 3, "hidden_layer_sizes": (3,), "alpha": 1}
    for _ in range(2):
        fastnn.MLPClassifier(**valid, max_iter=2).fit(X, Y)
        for name in ("batch_size", "n_iter_no_change"):
            wrong = valid | {name: float(valid[name])}  # type: ignore[arg-type]
            given = []
            for module in (fastnn, theirs):
                model = module.MLPClassifier(**wrong, max_iter=2)
                given.append(outcome(partial(model.fit, X, Y))[0])
            assert given[0] == given[1]
            assert name in given[0][1]


def test_partial_fit_with_the_same_classes_takes_the_short_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classes = np.arange(3)
    model = fastnn.MLPClassifier((4,), random_state=0).partial_fit(X, Y, classes=classes)
    monkeypatch.setattr(model, "_fit", unexpected)
    model.partial_fit(X, Y).partial_fit(X, Y, classes=classes)
    with pytest.raises(AssertionError):
        model.partial_fit(X, Y, classes=[0, 1, 2])


@pytest.mark.parametrize("classes", [np.arange(4), np.arange(2), np.array([0, 2, 1]), [3]])
def test_classes_other_than_the_known_ones(classes: Any) -> None:
    found = []
    for module in (theirs, fastnn):
        model = module.MLPClassifier((4,), random_state=0)
        model.partial_fit(X, Y, classes=np.arange(3))
        found.append(outcome(lambda m=model: m.partial_fit(X, Y, classes=classes).t_))
    assert repr(found[0]) == repr(found[1])


def test_a_regressor_knows_no_classes() -> None:
    model = fastnn.MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(X, X[:, 0])
    with pytest.raises(TypeError, match="classes"):
        model.partial_fit(X, X[:, 0], classes=np.arange(3))


def test_an_interrupt_after_a_step_leaves_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    model = fastnn.MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(X, X[:, 0])
    seen, first = model.t_, model.coefs_[0].copy()
    monkeypatch.setattr(_plain, "random_state_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(X, X[:, 0])
    assert (model.coefs_[0] != first).any()
    assert model.t_ == seen + len(X)
    assert len(model.loss_curve_) == 2
