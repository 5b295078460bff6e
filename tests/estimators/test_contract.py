# SPDX-License-Identifier: BSD-3-Clause
"""The contract of scikit-learn's estimators, checked by its own checks and by its own tools."""

from __future__ import annotations

import inspect
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import MLPClassifier, MLPRegressor

HAS_WEIGHTS = "sample_weight" in inspect.signature(theirs.MLPClassifier.fit).parameters
needs_weights = pytest.mark.skipif(not HAS_WEIGHTS, reason="scikit-learn has weights since 1.7")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CLASSES = [MLPClassifier, MLPRegressor]
X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]

# Settings with which 100 epochs on the few rows of the checks are enough for what they expect. With
# a batch smaller than those rows, weights of rows and repeated rows are different batches: the
# checks that compare the two cannot hold then, in scikit-learn's classes as well.
QUICK = [
    MLPClassifier(max_iter=100),
    MLPClassifier(solver="sgd", learning_rate="adaptive", learning_rate_init=0.1, max_iter=100),
    MLPClassifier((10, 5), "tanh", learning_rate_init=0.05, max_iter=100),
    MLPClassifier((), shuffle=False, learning_rate_init=0.05, max_iter=100),
    MLPClassifier(activation="identity", shuffle=False, max_iter=60),
    MLPClassifier(activation="logistic", learning_rate_init=0.05, max_iter=60),
    MLPRegressor(max_iter=100),
    MLPRegressor(
        solver="sgd", learning_rate="adaptive", learning_rate_init=0.01, nesterovs_momentum=False
    ),
    MLPRegressor(hidden_layer_sizes=(10, 5), activation="tanh", learning_rate_init=0.05),
    MLPRegressor(activation="identity", shuffle=False, max_iter=100),
    MLPRegressor(activation="logistic", learning_rate_init=0.05, max_iter=100),
    MLPRegressor(alpha=0, learning_rate_init=0.01, n_iter_no_change=np.inf, max_iter=100),
    # Several additions at once; each of them alone is among the long ones.
    MLPClassifier(
        solver="adamw",
        loss="focal",
        class_weight="balanced",
        normalization="layer",
        learning_rate_init=0.05,
        max_iter=60,
    ),
    MLPRegressor(
        loss="huber",
        activation="gelu",
        n_init=2,
        max_grad_norm=1.0,
        learning_rate_init=0.02,
        max_iter=60,
    ),
]
# The other solver, and batches smaller than the rows. Without a penalty "lbfgs" separates the rows
# of a check until probabilities round to 1, where it expects them below 1 (scikit-learn's does so).
LONG = [
    MLPClassifier(solver="lbfgs", alpha=0.1),
    MLPClassifier((8, 8), "tanh", solver="lbfgs", alpha=0.1),
    MLPRegressor(solver="lbfgs"),
    MLPRegressor(hidden_layer_sizes=(8, 8), activation="tanh", solver="lbfgs"),
    MLPClassifier(batch_size=7, learning_rate_init=0.01, max_iter=60),
    MLPRegressor(batch_size=7, learning_rate_init=0.01, max_iter=100),
    *(
        MLPClassifier(learning_rate_init=0.02, max_iter=100, **additions)
        for additions in (
            {"dropout": 0.1},
            {"class_weight": "balanced"},
            {"normalization": "batch"},
            {"normalization": "rms"},
            {"label_smoothing": 0.1},
            {"loss": "focal"},
            {"n_init": 2},
            {"solver": "rmsprop"},
            {"activation": "mish"},
            {"weight_decay": 0.001},
            {"max_time": 60.0, "n_jobs": 1},
            {"dtype": "float64"},
        )
    ),
    *(
        MLPRegressor(learning_rate_init=0.02, max_iter=100, **additions)
        for additions in (
            {"dropout": 0.1},
            {"normalization": "batch"},
            {"loss": "huber"},
            {"loss": "absolute_error"},
            {"loss": "quantile"},
            {"n_init": 2},
            {"solver": "nadam"},
            {"dtype": "float32"},
        )
    ),
]


def _arithmetic(estimator: Any) -> dict[str, str]:
    """Return the checks that cannot hold, and why.

    They compare weights of rows with rows that are repeated, or left out, to a relative 1e-7.
    """
    found = {}
    reasons = {
        "repeated rows fall into other batches than weights": estimator.batch_size != "auto",
        "each repeated row draws the units that are left out": estimator.dropout != 0,
        "statistics of a batch count its rows, not their weights": (
            estimator.normalization == "batch"
        ),
        "sums of other rows are rounded otherwise, in float32 to 6e-8": (
            estimator.dtype == "float32"
        ),
    }
    for reason in (reason for reason, holds in reasons.items() if holds):
        for kind in ("dense", "sparse"):
            found[f"check_sample_weight_equivalence_on_{kind}_data"] = reason
    if estimator.batch_size != "auto":
        # Its weights are 1000 and 0.0001. The loss of a batch is divided by the sum of its weights,
        # so that batches without a row of the first class count as much as the others.
        found["check_class_weight_classifiers"] = "some batches have no row of a class"
    return found


@parametrize_with_checks(QUICK)
def test_checks(estimator: Any, check: Any) -> None:
    check(estimator)


# The checks set alpha, of which solvers with a decay of their own say that it has no effect.
@pytest.mark.filterwarnings("ignore:.*alpha = .* has no effect")
@pytest.mark.nightly
@parametrize_with_checks(LONG, expected_failed_checks=_arithmetic)
def test_more_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("ours", CLASSES)
def test_parameters_are_theirs(ours: Any) -> None:
    """All of them, in the same order, with the same defaults; what is added follows by keyword."""
    known = inspect.signature(getattr(theirs, ours.__name__)).parameters
    found = list(inspect.signature(ours).parameters.values())
    for (name, expected), parameter in zip(known.items(), found, strict=False):
        assert (name, expected.default, expected.kind) == (
            parameter.name,
            parameter.default,
            parameter.kind,
        )
    assert all(p.kind is p.KEYWORD_ONLY for p in found[len(known) :])


@pytest.mark.parametrize("ours", CLASSES)
def test_attributes_and_tags_are_theirs(ours: Any) -> None:
    other = getattr(theirs, ours.__name__)(max_iter=2, early_stopping=True).fit(X, Y)
    own = ours(max_iter=2, early_stopping=True).fit(X, Y)
    public = {name for name in vars(other) if name.endswith("_")}
    assert public <= set(vars(own))
    expected = get_tags(other)
    expected.input_tags.sparse = True  # scikit-learn 1.6.0 forgets to say it; its fit takes them
    assert repr(get_tags(own)) == repr(expected)
    assert not hasattr(own, "decision_function")
    assert hasattr(ours(), "partial_fit")
    assert not hasattr(ours(solver="lbfgs"), "partial_fit")


@pytest.mark.parametrize("ours", CLASSES)
def test_messages_are_theirs(ours: Any) -> None:
    """Users match on them."""
    attempts: list[tuple[dict[str, Any], Any, Any]] = [
        ({"hidden_layer_sizes": (5, 0)}, X, Y),
        ({"hidden_layer_sizes": -1}, X, Y),
        ({"solver": "quick"}, X, Y),
        ({"alpha": -1}, X, Y),
        *(  # since 1.7
            [
                ({"early_stopping": True, "validation_fraction": 0.001}, X, Y),
                ({"early_stopping": True}, X[:2], Y[:2]),
            ]
            if HAS_WEIGHTS
            else []
        ),
        ({}, X[:, 0], Y),
        ({}, X, Y[:-1]),
        ({}, X + np.nan, Y),
        ({}, X.astype(complex), Y),
        ({}, X, None),
        ({}, X[:0], Y[:0]),
    ]
    for settings, x, y in attempts:
        caught = []
        for cls in (getattr(theirs, ours.__name__), ours):
            with pytest.raises(ValueError) as info:
                cls(max_iter=2, **settings).fit(x, y)
            # The choices in braces are more here, and come in any order.
            text = re.sub(r"must be a str among \{.*?\}( or .*?)?\. Got", "Got", str(info.value))
            caught.append((type(info.value), text))
        assert caught[0] == caught[1]
    with pytest.raises(NotFittedError):
        ours().predict(X)
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger"):
        ours(batch_size=1000, max_iter=1).fit(X, Y)


def test_labels_of_any_kind() -> None:
    rng = np.random.default_rng(0)
    few = X[:40]
    for labels in (
        np.where(few[:, 0] > 5, "yes", "no"),
        few[:, 0] > 5,
        np.where(few[:, 0] > 5, 3.0, -1.0),
        np.array(["a", "b", None])[[0, 1] * 20],
        np.full(40, "one"),
        np.full(40, 7),
        rng.integers(0, 2, (40, 3)),
        rng.integers(0, 2, (40, 3)).tolist(),
    ):
        one = theirs.MLPClassifier(max_iter=3, random_state=0).fit(few, labels)
        other = MLPClassifier(max_iter=3, random_state=0).fit(few, labels)
        np.testing.assert_array_equal(other.classes_, one.classes_)
        assert other.classes_.dtype == one.classes_.dtype
        a, b = one.predict(few), other.predict(few)
        np.testing.assert_array_equal(b, a)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(other.predict_proba(few), one.predict_proba(few), rtol=1e-9)
    for wrong in (few[:, 0], rng.random((40, 2)), rng.integers(0, 4, (40, 2))):
        messages = []
        for cls in (theirs.MLPClassifier, MLPClassifier):
            with pytest.raises(ValueError) as info:
                cls().fit(few, wrong)
            messages.append(str(info.value))
        assert messages[0] == messages[1]


@pytest.mark.skipif(
    "transform_input" not in inspect.signature(Pipeline).parameters,
    reason="pipelines of this version do not transform other arguments of fit",
)
def test_rows_for_validation_go_through_a_pipe() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        net = MLPClassifier((5,), max_iter=5, random_state=0).set_fit_request(
            X_val=True, y_val=True
        )
        pipe = Pipeline([("scale", StandardScaler()), ("net", net)], transform_input=["X_val"])
        pipe.fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2])
    scaled = pipe[0].transform(X[1::2])
    last = pipe[-1].network_.evaluate(scaled, Y[1::2])["loss"]
    assert pipe[-1].validation_loss_curve_[-1] == pytest.approx(last, rel=1e-9)


def test_names_of_columns_come_through_set_output() -> None:
    pytest.importorskip("pandas")
    scaler = StandardScaler().set_output(transform="pandas")
    pipe = make_pipeline(scaler, MLPClassifier((5,), max_iter=5, random_state=0)).fit(X, NAMES)
    assert pipe[-1].feature_names_in_.tolist() == ["x0", "x1", "x2", "x3"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe.predict(X)


@needs_weights
def test_weights_are_routed() -> None:
    weights = np.where(Y == 0, 0.0, 1.0)
    scores = []
    with sklearn.config_context(enable_metadata_routing=True):
        for cls in (theirs.MLPClassifier, MLPClassifier):
            net = cls((5,), max_iter=5, random_state=0, learning_rate_init=0.05)
            net.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
            folds = StratifiedKFold(2, shuffle=True, random_state=0)
            found = cross_validate(net, X, Y, cv=folds, params={"sample_weight": weights})
            scores.append(found["test_score"])
        pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
        fitted = pipe.fit(X, Y, sample_weight=weights)
    np.testing.assert_array_equal(scores[1], scores[0])
    scaled = StandardScaler().fit_transform(X)
    alone = clone(net).fit(scaled, Y, weights)
    np.testing.assert_array_equal(fitted[-1].coefs_[0], alone.coefs_[0])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library: str) -> None:
    frames = pytest.importorskip(library)
    names = ["a", "b", "c", "d"]
    frame = frames.DataFrame({name: X[:, k] for k, name in enumerate(names)})
    small = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
    for cls, y in ((MLPClassifier, NAMES), (MLPRegressor, X[:, 0])):
        model = cls(**small).fit(frame, frames.Series(y))
        other = getattr(theirs, cls.__name__)(**small).fit(frame, frames.Series(y))
        plain = cls(**small).fit(X, y)
        np.testing.assert_array_equal(model.predict(frame), plain.predict(X))
        if not hasattr(other, "feature_names_in_"):  # scikit-learn 1.7 and later versions of polars
            assert not hasattr(model, "feature_names_in_")
            return
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            model.predict(X)
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(frame[["b", "a", "c", "d"]])
        assert model.feature_names_in_.tolist() == other.feature_names_in_.tolist() == names
    columns = ColumnTransformer([("scaled", StandardScaler(), ["a", "b"])], remainder="drop")
    pipe = make_pipeline(columns.set_output(transform="default"), MLPClassifier(max_iter=3))
    assert pipe.fit(frame, NAMES).predict(frame).shape == (150,)


@pytest.mark.parametrize("ours", CLASSES)
def test_pickles_have_the_version(ours: Any) -> None:
    model = ours(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, Y)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    twin.coefs_[0][...] = 0  # views of its own model
    assert model.coefs_[0].any()
    outputs = [getattr(each, "predict_proba", each.predict)(X) for each in (model, twin)]
    assert not np.array_equal(*outputs)
    state = model.__getstate__()
    assert state["_sklearn_version"] == sklearn.__version__
    with pytest.warns(InconsistentVersionWarning, match=ours.__name__):
        ours.__new__(ours).__setstate__(state | {"_sklearn_version": "1.0"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.copyto(twin.coefs_[0], model.coefs_[0])
        for part in (model, twin):  # the optimizer's state is in the pickle
            part.partial_fit(X, Y)
    np.testing.assert_array_equal(twin.coefs_[1], model.coefs_[1])


@pytest.mark.parametrize("ours", CLASSES)
def test_the_page_shows_the_parameters(ours: Any) -> None:
    page = ours(hidden_layer_sizes=(7,))._repr_html_()
    assert "hidden_layer_sizes" in page
    assert "(7,)" in page
    for name in inspect.signature(ours).parameters:
        assert f"{name} : " in ours.__doc__
