# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's tools around our estimators give what they give around scikit-learn's own."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import (
    enable_halving_search_cv,  # noqa: F401
    enable_iterative_imputer,  # noqa: F401
)
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import (
    ClassifierChain,
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

import fastnn

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

HAS_WEIGHTS = "sample_weight" in inspect.signature(theirs.MLPClassifier.fit).parameters
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (8,),
    "learning_rate_init": 0.05,
    "max_iter": 5,
    "random_state": 0,
}
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
SEVERAL = np.c_[Y == 0, Y == 1].astype(int)
Z = X[:, 3] - X[:, 2] * X[:, 1]
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)
HALVES = KFold(2, shuffle=True, random_state=0)


def curves(found: Any) -> Any:
    """Return all numbers of a learning curve but its times."""
    return np.concatenate([np.ravel(part) for part in found])


def searched(search: Any) -> Any:
    search.fit(X, NAMES)
    return np.r_[search.cv_results_["mean_test_score"], search.best_index_]


def imputed(net: Any) -> Any:
    x = X.copy()
    x[::7, 1] = np.nan
    return IterativeImputer(net, max_iter=2, tol=1.0).fit_transform(x)


def half_labelled(net: Any) -> Any:
    return SelfTrainingClassifier(net).fit(X, np.where(np.arange(150) % 2, Y, -1)).predict_proba(X)


def of_columns(net: Any) -> Any:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd")).assign(kind=np.where(X[:, 0] > 0, "x", "y"))
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["a", "b"]),
            ("kind", OneHotEncoder(sparse_output=False), ["kind"]),
        ]
    )
    fitted = make_pipeline(columns.set_output(transform="pandas"), net).fit(frame, NAMES)
    assert fitted[-1].feature_names_in_.tolist() == [
        "numbers__a",
        "numbers__b",
        "kind__kind_x",
        "kind__kind_y",
    ]
    return fitted.predict_proba(frame)


def halved(net: Any) -> Any:
    choices = {"alpha": np.geomspace(1e-5, 1, 50), "hidden_layer_sizes": [(4,), (9,)]}
    search = HalvingRandomSearchCV(
        net, choices, resource="max_iter", max_resources=12, cv=FOLDS, random_state=0
    )
    return searched(search)


CLASSIFIERS: dict[str, Callable[[Any], Any]] = {
    "pipeline": lambda net: make_pipeline(StandardScaler(), net).fit(X, NAMES).predict_proba(X),
    "column transformer": of_columns,
    "grid search": lambda net: searched(GridSearchCV(net, {"alpha": [1e-4, 3.0]}, cv=FOLDS)),
    "random search": lambda net: searched(
        RandomizedSearchCV(net, {"beta_1": np.linspace(0, 0.9, 9)}, n_iter=3, random_state=0)
    ),
    "halving": halved,
    "cross_val_predict": lambda net: cross_val_predict(
        net, X, NAMES, cv=FOLDS, method="predict_log_proba"
    ),
    "cross_val_score": lambda net: cross_val_score(net, X, NAMES, cv=FOLDS, scoring="neg_log_loss"),
    "one against the rest": lambda net: OneVsRestClassifier(net).fit(X, Y).predict_proba(X),
    "one against one": lambda net: OneVsOneClassifier(net).fit(X, Y).decision_function(X),
    "several labels": lambda net: np.array(
        MultiOutputClassifier(net).fit(X, SEVERAL).predict_proba(X)
    ),
    "chain": lambda net: ClassifierChain(net, random_state=0).fit(X, SEVERAL).predict_proba(X),
    "multilabel": lambda net: net.fit(X, SEVERAL).predict_proba(X),
    "voting": lambda net: (
        VotingClassifier([("net", net), ("line", LogisticRegression())], voting="soft")
        .fit(X, NAMES)
        .predict_proba(X)
    ),
    "permutation": lambda net: (
        permutation_importance(
            net.fit(X, Y), X, Y, n_repeats=2, random_state=0, scoring="neg_log_loss"
        ).importances
    ),
    "partial dependence": lambda net: (
        partial_dependence(
            net.fit(X, NAMES), X, [(1, 2)], kind="average", grid_resolution=5
        ).average
    ),
    "learning curve": lambda net: curves(
        learning_curve(net, X, NAMES, cv=FOLDS, train_sizes=[0.5, 1.0])
    ),
    "validation curve": lambda net: curves(
        validation_curve(net, X, NAMES, param_name="alpha", param_range=[0.1, 5], cv=FOLDS)
    ),
    "self training": half_labelled,
    "frozen": lambda net: (
        CalibratedClassifierCV(FrozenEstimator(net.fit(X, Y))).fit(X, Y).predict_proba(X)
    ),
    "threshold": lambda net: FixedThresholdClassifier(net, threshold=0.3).fit(X, Y > 1).predict(X),
    "best threshold": lambda net: (
        TunedThresholdClassifierCV(net, cv=2, thresholds=10).fit(X, Y > 1).best_score_
    ),
    "selection": lambda net: (
        SequentialFeatureSelector(net, n_features_to_select=1, cv=2).fit(X, Y).get_support()
    ),
}
# These fit something else on the outputs by iterations that end by a tolerance.
FITTED_BEHIND: dict[str, Callable[[Any], Any]] = {
    "calibration": lambda net: CalibratedClassifierCV(net, cv=FOLDS).fit(X, NAMES).predict_proba(X),
    "stacking": lambda net: (
        StackingClassifier([("net", net)], LogisticRegression(), cv=FOLDS)
        .fit(X, NAMES)
        .predict_proba(X)
    ),
}
# Since they have weights of rows, these use them.
WEIGHTED: dict[str, Callable[[Any], Any]] = {
    "bagging": lambda net: (
        BaggingClassifier(net, n_estimators=3, random_state=0).fit(X, NAMES).predict_proba(X)
    ),
    "boosting": lambda net: (
        AdaBoostClassifier(net, n_estimators=3, random_state=0).fit(X, NAMES).predict_proba(X)
    ),
}
REGRESSORS: dict[str, Callable[[Any], Any]] = {
    "grid search": lambda net: (
        GridSearchCV(net, {"alpha": [1e-4, 9.0]}, cv=HALVES)
        .fit(X, Z)
        .cv_results_["mean_test_score"]
    ),
    "stacking": lambda net: (
        StackingRegressor([("net", net)], Ridge(), cv=HALVES).fit(X, Z).predict(X)
    ),
    "voting": lambda net: VotingRegressor([("net", net), ("line", Ridge())]).fit(X, Z).predict(X),
    "other targets": lambda net: (
        TransformedTargetRegressor(net, func=np.log, inverse_func=np.exp)
        .fit(X, np.exp(Z))
        .predict(X)
    ),
    "several": lambda net: MultiOutputRegressor(net).fit(X, X[:, 2:]).predict(X),
    "chain": lambda net: RegressorChain(net, random_state=0).fit(X, X[:, 2:]).predict(X),
    "imputer": imputed,
    "partial dependence": lambda net: (
        partial_dependence(net.fit(X, Z), X, [0], kind="both", grid_resolution=5).individual
    ),
    "permutation": lambda net: (
        permutation_importance(net.fit(X, Z), X, Z, n_repeats=2, random_state=0).importances
    ),
}


def same(tool: Callable[[Any], Any], name: str, rtol: float) -> None:
    expected = np.asarray(tool(getattr(theirs, name)(**SMALL)))
    found = np.asarray(tool(getattr(fastnn, name)(**SMALL)))
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_around_classifiers(name: str) -> None:
    same(CLASSIFIERS[name], "MLPClassifier", 1e-9)


@pytest.mark.parametrize("name", FITTED_BEHIND)
def test_with_another_fit_behind(name: str) -> None:
    same(FITTED_BEHIND[name], "MLPClassifier", 1e-6)


@pytest.mark.parametrize("name", REGRESSORS)
def test_around_regressors(name: str) -> None:
    same(REGRESSORS[name], "MLPRegressor", 1e-9)


@pytest.mark.skipif(not HAS_WEIGHTS, reason="scikit-learn has weights since 1.7")
@pytest.mark.parametrize("name", WEIGHTED)
def test_with_weights(name: str) -> None:
    same(WEIGHTED[name], "MLPClassifier", 1e-9)


@pytest.mark.skipif(not HAS_WEIGHTS, reason="scikit-learn has weights since 1.7")
def test_bagging_of_regressors() -> None:
    same(
        lambda net: BaggingRegressor(net, 3, random_state=0).fit(X, Z).predict(X),
        "MLPRegressor",
        1e-9,
    )


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_clones(name: str) -> None:
    """A clone has all parameters and nothing that a fit has found."""
    net = getattr(fastnn, name)(**SMALL, n_init=2, dropout=[0.25]).fit(X, Y)
    other = clone(net)
    assert other.get_params() == net.get_params()
    assert {*vars(other)} == {*net.get_params()}
    other.set_params(hidden_layer_sizes=(4,))
    assert net.hidden_layer_sizes == (8,)
    with pytest.raises(ValueError, match="Invalid parameter 'depth' for estimator"):
        net.set_params(depth=1)


def test_a_search_over_what_is_added() -> None:
    choices = {
        "loss": ["squared_error", "huber"],
        "dropout": [0.0, 0.1],
        "solver": ["adam", "lion"],
    }
    net = fastnn.MLPRegressor(**SMALL | {"max_iter": 100})
    search = GridSearchCV(net, choices, cv=HALVES, error_score="raise").fit(X[:, :3], X[:, 3])
    assert search.best_score_ > 0.5
    assert len({*search.cv_results_["mean_test_score"]}) == 8
