# SPDX-License-Identifier: BSD-3-Clause
"""With the same random_state, estimators give the numbers of the installed scikit-learn."""

from __future__ import annotations

import inspect
import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from scipy.sparse import csr_array, csr_matrix  # noqa: E402
from sklearn import neural_network as theirs  # noqa: E402
from sklearn.datasets import (  # noqa: E402
    make_classification,
    make_multilabel_classification,
    make_regression,
)

import fastnn  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

HAS_WEIGHTS = "sample_weight" in inspect.signature(theirs.MLPClassifier.fit).parameters
needs_weights = pytest.mark.skipif(not HAS_WEIGHTS, reason="scikit-learn has weights since 1.7")

EPOCHS = 5
ROWS = 203  # the last of its batches has three rows
TASKS = ("binary", "multiclass", "multilabel", "regression", "multi-output regression")


@cache
def scores_strings() -> bool:
    """Whether scikit-learn can stop early on labels that are strings, as since 1.9."""
    try:
        theirs.MLPClassifier((1,), early_stopping=True, max_iter=1).fit(
            np.eye(40), np.array(["no", "yes"] * 20)
        )
    except TypeError:
        return False
    return True


@cache
def multilabel_rows() -> tuple[Any, Any]:
    """Return X and y, which scikit-learn draws in seconds."""
    return make_multilabel_classification(ROWS, 9, n_classes=4, random_state=1)


def data(task: str, dtype: Any = np.float64) -> tuple[str, Any, Any]:
    """Return the class for a task, X and y."""
    if task == "multilabel":
        x, y = multilabel_rows()
        return "MLPClassifier", x.astype(dtype) / 10, y.copy()
    if "regression" in task:
        targets = 3 if "multi" in task else 1
        x, y = make_regression(ROWS, 9, n_informative=6, n_targets=targets, noise=3, random_state=2)
        return "MLPRegressor", x.astype(dtype), y / np.abs(y).max()
    classes = 2 if task == "binary" else 4
    x, y = make_classification(
        ROWS, 9, n_informative=6, n_classes=classes, class_sep=0.5, random_state=3
    )
    if scores_strings():
        y = np.array(["red", "green", "blue", "white"])[y]
    return "MLPClassifier", x.astype(dtype), y


def pair(name: str, **settings: Any) -> tuple[Any, Any]:
    """Return scikit-learn's estimator and ours."""
    settings = {"hidden_layer_sizes": (11, 7), "batch_size": 40, "random_state": 5} | settings
    return getattr(theirs, name)(**settings), getattr(fastnn, name)(**settings)


def weighted_by(w: Any) -> dict[str, Any]:
    """Return the arguments of fit for these weights of rows, or none."""
    if w is not None and not HAS_WEIGHTS:
        pytest.skip("scikit-learn has weights since 1.7")
    return {} if w is None else {"sample_weight": w}


def assert_same(one: Any, other: Any, rtol: float = 1e-9) -> None:
    """Compare everything that a fit leaves behind."""
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * np.abs(a).max())
    assert (one.n_iter_, one.t_, one.n_layers_) == (other.n_iter_, other.t_, other.n_layers_)
    assert one.out_activation_ == other.out_activation_
    assert one._no_improvement_count == other._no_improvement_count
    for name in ("validation_scores_", "best_validation_score_"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(b, a, rtol=rtol, atol=1e-12)


def loss_is_mean_over_outputs() -> bool:
    """Whether this version's loss of several numbers a row is their mean.

    Its gradient is that of their sum (scikit-learn#8349). #34830 makes a sum of the loss.
    """
    module = pytest.importorskip("sklearn.neural_network._base")
    one, two = (np.ones((1, k)) for k in (1, 2))
    return bool(module.squared_loss(two, 0 * two) == module.squared_loss(one, 0 * one))


@pytest.fixture(autouse=True)
def losses_that_belong_to_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scikit-learn compute the sum over outputs, whose gradient it follows, and not their mean.

    So all of its figures can be compared, and its "lbfgs" has a consistent loss. A version whose
    loss is the sum stays as it is.
    """
    if not loss_is_mean_over_outputs():
        return
    module = pytest.importorskip("sklearn.neural_network._base")

    def summed(y: Any, outputs: Any, sample_weight: Any = None) -> Any:
        return 0.5 * np.average(((y - outputs) ** 2).sum(axis=1), weights=sample_weight, axis=0)

    monkeypatch.setitem(module.LOSS_FUNCTIONS, "squared_error", summed)


def assert_same_losses(one: Any, other: Any, rtol: float = 1e-9) -> None:
    """Compare the losses of all epochs."""
    assert other.loss_ == other.loss_curve_[-1]
    np.testing.assert_allclose(other.loss_curve_, one.loss_curve_, rtol=rtol)
    assert (one.best_loss_ is None) == (other.best_loss_ is None)
    if one.best_loss_ is not None:
        assert other.best_loss_ == pytest.approx(one.best_loss_, rel=rtol)


CASES = list(
    itertools.product(
        ("sgd", "adam"),
        ("identity", "logistic", "tanh", "relu"),
        TASKS,
        (True, False),
        (True, False),
        (True, False),
    )
)
assert len(CASES) == 320


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_five_epochs(case: Any) -> None:
    solver, activation, task, shuffle, early_stopping, weighted = case
    name, x, y = data(task)
    one, other = pair(
        name,
        solver=solver,
        activation=activation,
        shuffle=shuffle,
        early_stopping=early_stopping,
        max_iter=EPOCHS,
        learning_rate_init=0.01,
        alpha=0.01,
    )
    w = np.random.default_rng(0).uniform(0.1, 3, ROWS) if weighted else None
    one.fit(x, y, **weighted_by(w))
    other.fit(x, y, **weighted_by(w))
    assert_same(one, other)
    assert_same_losses(one, other)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_the_loss_of_several_numbers_is_that_of_their_sum(
    solver: str, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its part without the penalty is as many times the installed loss as there are outputs."""
    monkeypatch.undo()
    name, x, y = data("multi-output regression")
    one, other = pair(name, solver=solver, max_iter=EPOCHS, alpha=0.3, learning_rate_init=0.01)
    w = np.random.default_rng(0).uniform(0.1, 3, ROWS) if weighted else None
    factor = y.shape[1] if loss_is_mean_over_outputs() else 1
    one.fit(x, y, **weighted_by(w))
    other.fit(x, y, **weighted_by(w))
    penalty = np.array(other.history_.history["penalty"])
    expected = factor * (np.array(one.loss_curve_) - penalty) + penalty
    np.testing.assert_allclose(other.loss_curve_, expected, rtol=1e-9)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize(
    "momentum", [{"momentum": 0.0}, {"nesterovs_momentum": False}, {"momentum": 0.5}]
)
def test_schedules_and_momenta(task: str, schedule: str, momentum: dict[str, Any]) -> None:
    """With a high tolerance, "adaptive" lowers its rate within a few epochs, and stops at last."""
    name, x, y = data(task)
    settings = {"tol": 0.5, "n_iter_no_change": 1} if schedule == "adaptive" else {}
    one, other = pair(
        name,
        solver="sgd",
        learning_rate=schedule,
        power_t=0.3,
        learning_rate_init=0.02,
        max_iter=60 if schedule == "adaptive" else EPOCHS,
        **settings,
        **momentum,
    )
    one.fit(x, y)
    other.fit(x, y)
    assert_same(one, other)
    assert_same_losses(one, other)
    assert other._optimizer.learning_rate == pytest.approx(one._optimizer.learning_rate, rel=1e-15)


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_warm_starts(solver: str, task: str, early_stopping: bool) -> None:
    name, x, y = data(task)
    settings = {"solver": solver, "early_stopping": early_stopping, "learning_rate_init": 0.01}
    one, other = pair(name, warm_start=True, max_iter=3, **settings)
    for _ in range(3):
        one.fit(x, y)
        other.fit(x, y)
        assert_same(one, other)
        assert_same_losses(one, other)
    assert len(other.loss_curve_) == 9


@needs_weights
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fits(solver: str, task: str) -> None:
    """Also after a fit, whose state of the optimizer goes on, with other rows and weights."""
    name, x, y = data(task)
    one, other = pair(name, solver=solver, max_iter=2, learning_rate="invscaling")
    classes = {"classes": np.unique(y)} if task in {"binary", "multiclass"} else {}
    if task == "multilabel":
        classes = {"classes": np.arange(y.shape[1])}
    for estimator in (one, other):
        estimator.partial_fit(x[:90], y[:90], **classes)
        estimator.partial_fit(x[90:], y[90:], sample_weight=np.linspace(0.5, 2, ROWS - 90))
    assert_same(one, other)
    assert_same_losses(one, other)
    for estimator in (one, other):
        estimator.fit(x, y)
        estimator.partial_fit(x[:50], y[:50])
    assert_same(one, other)
    assert_same_losses(one, other)


@pytest.mark.parametrize("task", TASKS)
def test_predictions(task: str) -> None:
    name, x, y = data(task)
    one, other = pair(name, max_iter=EPOCHS)
    one.fit(x, y)
    other.fit(x, y)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        if hasattr(one, method):
            a, b = getattr(one, method)(x), getattr(other, method)(x)
            assert a.dtype == b.dtype
            if a.dtype.kind == "f":
                np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
            else:
                np.testing.assert_array_equal(a, b)
    assert other.score(x, y) == pytest.approx(one.score(x, y), rel=1e-9)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("task", TASKS)
def test_lbfgs_reaches_the_loss(task: str, activation: str, weighted: bool) -> None:
    name, x, y = data(task)
    one, other = pair(
        name, solver="lbfgs", activation=activation, max_iter=20, alpha=0.1, hidden_layer_sizes=(5,)
    )
    w = np.random.default_rng(0).uniform(0.1, 3, ROWS) if weighted else None
    one.fit(x, y, **weighted_by(w))
    other.fit(x, y, **weighted_by(w))
    assert other.loss_ == pytest.approx(one.loss_, rel=1e-6)
    assert other.n_iter_ == one.n_iter_


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_poisson_and_float32(solver: str, task: str) -> None:
    """In float32 the training is that of float64, to the accuracy of float32."""
    name, x, y = data(task)
    small = data(task, np.float32)[1]
    settings = {"solver": solver, "max_iter": EPOCHS, "learning_rate_init": 0.01}
    if name == "MLPRegressor" and HAS_WEIGHTS:  # since when it has this loss, too
        settings["loss"], y = "poisson", np.floor(np.abs(3 * y))
    one, other = pair(name, **settings)
    assert_same(one.fit(x, y), other.fit(x, y))
    assert_same_losses(one, other)
    single = pair(name, **settings)[1].fit(small, y)
    assert {values.dtype for values in single.coefs_} == {np.dtype(np.float32)}
    # Adam divides by roots of tiny numbers, so that rounding errors of gradients come back larger.
    assert_same(other, single, rtol=2e-3)
    np.testing.assert_allclose(single.loss_curve_, other.loss_curve_, rtol=1e-4)


@needs_weights
@pytest.mark.parametrize("form", [np.asarray, csr_matrix, csr_array])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_many_partial_fits_of_one_batch(solver: str, task: str, form: Any) -> None:
    """They take a shorter way from the second call on; a penalty that changes takes effect."""
    name, x, y = data(task)
    one, other = pair(name, solver=solver, batch_size="auto", random_state=None)
    classes = {"classes": np.unique(y)} if task in {"binary", "multiclass"} else {}
    if task == "multilabel":
        classes = {"classes": np.arange(y.shape[1])}
    draws = []
    for estimator in (one, other):
        np.random.seed(3)
        for k, alpha in enumerate((1e-4, 1e-4, 0.5, 0.5)):
            estimator.set_params(alpha=alpha)
            weights = np.linspace(1, 2, 40) if k % 2 else None
            known = {} if k == 1 else classes
            estimator.partial_fit(form(x[40 * k :][:40]), y[40 * k :][:40], weights, **known)
        draws.append(np.random.random())
    assert draws[0] == draws[1]
    assert_same(one, other)
    assert_same_losses(one, other)
    wrong = x[:40].copy()
    for wrong[7, 2] in (np.nan, np.inf):
        for estimator in (one, other):
            with pytest.raises(ValueError, match="Input X contains"):
                estimator.partial_fit(form(wrong), y[:40])
    if classes and task != "multilabel":
        with pytest.raises(ValueError, match="`y` has classes not in"):
            other.partial_fit(x[:2], np.array(["black", "white"]))
    assert_same(one, other)
