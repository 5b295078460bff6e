# SPDX-License-Identifier: BSD-3-Clause
"""Any settings together: fits end, copies of an estimator are the same one, calls in any order.

Settings are drawn from the rows of the parameters. Either a fit refuses them, and leaves nothing
behind, or its predictions are finite, its copies predict and go on with the same bits, and the same
settings give the same numbers again. Where they are all scikit-learn's, so are the numbers, after
any order of calls of fit and partial_fit with settings that change in between.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_matrix
from sklearn import neural_network as theirs
from sklearn.base import clone

import fastnn
from fastnn import MLPClassifier, _registry, nn, optim
from fastnn.optim import lr_scheduler
from fastnn.sklearn import _parameters

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # those of single cases are tested elsewhere
EXAMPLES = settings(
    deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), max_examples=40
)
NIGHTLY = settings(EXAMPLES, max_examples=3000, derandomize=False)

RNG = np.random.default_rng(7)
ROWS = 33
X = RNG.normal(size=(ROWS, 3))
X[np.abs(X) < 0.4] = 0
Z = X @ RNG.normal(size=(3, 3)) + 0.2 * RNG.normal(size=(ROWS, 3))
TASKS: dict[str, Any] = {
    "binary": Z[:, 0] > 0,
    "multiclass": Z.argmax(axis=1) * 3 - 2,
    "multilabel": (Z > 0).astype(int),
    "regression": np.abs(Z[:, 0]),  # not below 0, as the losses of counts expect
    "multi-output regression": np.abs(Z),
}
FORMS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "float32": lambda x: x.astype(np.float32),
    "list": lambda x: x.tolist(),
    "csr": csr_matrix,
    "csc": csc_matrix,
}
HIDDEN: Any = st.sampled_from([(), (1,), (5,), 4, [3, 2], (9, 4, 2)])
THEIRS: dict[str, Any] = {
    "activation": st.sampled_from(["identity", "logistic", "tanh", "relu"]),
    "solver": st.sampled_from(["sgd", "adam"]),
    "alpha": st.sampled_from([0, 1e-3, 0.5]),
    "batch_size": st.sampled_from([1, 2, 10, 100]),
    "learning_rate": st.sampled_from(["constant", "invscaling", "adaptive"]),
    "learning_rate_init": st.sampled_from([0.001, 0.02]),
    "power_t": st.sampled_from([0.1, 1.0]),
    "shuffle": st.booleans(),
    "tol": st.sampled_from([0.0, 0.1, 10.0]),
    "momentum": st.sampled_from([0, 0.5, 0.9]),
    "nesterovs_momentum": st.booleans(),
    "early_stopping": st.booleans(),
    "validation_fraction": st.sampled_from([0.2, 0.4]),
    "beta_1": st.sampled_from([0, 0.5]),
    "n_iter_no_change": st.sampled_from([1, 3]),
    "warm_start": st.booleans(),
}
ADDED: dict[str, Any] = {
    "activation": st.sampled_from([*_parameters.ACTIVATIONS, nn.LeakyReLU(0.2)]),
    "solver": st.sampled_from(
        ["lbfgs", *_registry.rows("optimizers"), optim.AdamW(0.01, amsgrad=True), optim.Lion(1e-3)]
    ),
    "learning_rate": st.sampled_from(
        [*_parameters.SCHEDULES, [0.1, 0.01], lr_scheduler.LinearLR(by="epoch")]
    ),
    "dropout": st.sampled_from([0, 0.4]),
    "normalization": st.sampled_from([None, *_parameters.NORMALIZATIONS]),
    "weight_decay": st.sampled_from([None, 0, 0.1]),
    "max_grad_norm": st.sampled_from([None, 0.05]),
    "dtype": st.sampled_from([None, "float32", np.float64]),
    "n_init": st.integers(1, 3),
    "n_jobs": st.sampled_from([None, 1, 2, -1]),
}
OF_CLASSES: dict[str, Any] = {
    "loss": st.sampled_from(["log_loss", "focal", nn.FocalLoss(gamma=1.0)]),
    "label_smoothing": st.sampled_from([0, 0.2]),
    "class_weight": st.sampled_from([None, "balanced"]),
}
OF_NUMBERS = {"loss": st.sampled_from([*_parameters.REGRESSION_LOSSES, nn.HuberLoss(delta=0.3)])}
WEIGHTS = st.sampled_from([None, np.linspace(0.1, 2, ROWS)])


def class_of(task: str) -> str:
    return "MLPRegressor" if "regression" in task else "MLPClassifier"


def some_of(parameters: dict[str, Any], **always: Any) -> Any:
    return st.fixed_dictionaries(always, optional=parameters)


def with_additions(task: str) -> Any:
    own = OF_NUMBERS if "regression" in task else OF_CLASSES
    return st.tuples(
        st.just(task),
        some_of(
            THEIRS | ADDED | own,
            hidden_layer_sizes=HIDDEN,
            max_iter=st.integers(1, 3),
            random_state=st.integers(0, 99),
        ),
    )


def outputs(model: Any, x: Any) -> list[np.ndarray]:
    found = [model.predict(x)]
    if isinstance(model, MLPClassifier | theirs.MLPClassifier):
        found.append(model.predict_proba(x))
    return found


def bits(model: Any, x: Any) -> list[bytes]:
    return [
        part.astype(str).tobytes() if part.dtype.kind == "U" else part.tobytes()
        for part in outputs(model, x)
    ]


def after_another(model: Any, x: Any, task: str, weights: Any) -> Any:
    """Train once more; return the bits of predictions, or why it was refused."""
    model.set_params(warm_start=True, early_stopping=False)
    train = model.partial_fit if hasattr(model, "partial_fit") else model.fit
    try:
        train(x, TASKS[task], weights)
    except ValueError as error:
        return str(error)
    return bits(model, x)


def check_all(folder: Path, case: Any, form: str, weights: Any, validated: bool) -> None:
    task, given = case
    x, y = FORMS[form](X), TASKS[task]
    more = {"X_val": x[:9], "y_val": y[:9]} if validated else {}
    model = getattr(fastnn, class_of(task))(**given)
    try:
        model.fit(x, y, weights, **more)
    except ValueError:
        assert not [name for name in vars(model) if name.endswith("_")]
        return
    before, found = bits(model, x), outputs(model, x)
    assert [len(part) for part in found] == [ROWS] * len(found)
    assert all(np.isfinite(part).all() for part in found if part.dtype.kind == "f")
    assert np.isfinite(model.score(x, y))
    again = clone(model).set_params(n_jobs=3).fit(x, y, weights, **more)
    assert bits(again, x) == before
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for kind in (".npz", ".safetensors"):
        model.save(folder / f"model{kind}")
        copies.append(fastnn.load(folder / f"model{kind}"))
    assert [bits(each, x) for each in copies] == [before] * len(copies)
    ends = [after_another(each, x, task, weights) for each in (model, *copies)]
    assert ends == [ends[0]] * len(ends)


CASES = st.sampled_from(list(TASKS)).flatmap(with_additions)
DRAWN = {"form": st.sampled_from(list(FORMS)), "weights": WEIGHTS, "validated": st.booleans()}


@EXAMPLES
@given(case=CASES, **DRAWN)
def test_any_settings(tmp_path: Path, case: Any, form: str, weights: Any, validated: bool) -> None:
    check_all(tmp_path, case, form, weights, validated and form != "list")


@pytest.mark.nightly
@NIGHTLY
@given(case=CASES, **DRAWN)
def test_many_settings(tmp_path: Path, case: Any, form: str, weights: Any, validated: bool) -> None:
    check_all(tmp_path, case, form, weights, validated and form != "list")


HAS_WEIGHTS = "sample_weight" in inspect.signature(theirs.MLPClassifier.fit).parameters
# scikit-learn fails where early stopping begins or ends between two calls.
FIXED = ("activation", "early_stopping")
CHANGES = {name: values for name, values in THEIRS.items() if name not in FIXED}
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["fit", "partial_fit"]),
        WEIGHTS if HAS_WEIGHTS else st.none(),
        st.integers(0, 2).flatmap(lambda n: some_of(dict([*CHANGES.items()][n::3]))),
    ),
    min_size=1,
    max_size=4,
)
START = some_of(THEIRS, hidden_layer_sizes=HIDDEN, max_iter=st.integers(1, 3))
# The loss of several numbers is another one there: see test_same_numbers.
SINGLE = st.sampled_from([task for task in TASKS if task != "multi-output regression"])


def assert_same(one: Any, other: Any) -> None:
    pairs = [*zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True)]
    pairs += [(one.loss_curve_, other.loss_curve_)]
    if one.validation_scores_ is not None:
        pairs += [(one.validation_scores_, other.validation_scores_)]
    for a, b in pairs:
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-11)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(one, name) == getattr(other, name), name
    assert (one.best_loss_ is None) == (other.best_loss_ is None)


def failure(train: Any, y: Any, more: dict[str, Any]) -> str:
    try:
        train(X, y, **more)
    except (ValueError, TypeError) as error:
        return str(error)
    return ""


def check_calls(task: str, start: dict[str, Any], calls: Any) -> None:
    y = TASKS[task]
    pair = [getattr(home, class_of(task))(random_state=5, **start) for home in (theirs, fastnn)]
    for call, weights, changes in calls:
        more = {} if weights is None else {"sample_weight": weights}
        if call == "partial_fit" and class_of(task) == "MLPClassifier":
            more["classes"] = np.unique(y) if y.ndim == 1 else np.arange(3)
        for model in pair:
            model.set_params(**changes)
        one, other = (getattr(model, call) for model in pair)
        refused = failure(one, y, more)
        assert failure(other, y, more) == refused
        if refused:
            return
        assert_same(*pair)


@settings(EXAMPLES, max_examples=150)
@given(task=SINGLE, start=START, calls=CALLS)
def test_any_calls(task: str, start: dict[str, Any], calls: Any) -> None:
    check_calls(task, start, calls)


@pytest.mark.nightly
@NIGHTLY
@given(task=SINGLE, start=START, calls=CALLS)
def test_many_calls(task: str, start: dict[str, Any], calls: Any) -> None:
    check_calls(task, start, calls)
