# SPDX-License-Identifier: BSD-3-Clause
"""What an estimator does with its data, its arrays, failures and interruptions."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import Any

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.datasets import load_digits

import fastnn
from fastnn import MLPClassifier, MLPRegressor, nn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_digits(return_X_y=True)
X, Y = X[:300], Y[:300]
SMALL: dict[str, Any] = {"hidden_layer_sizes": (9,), "max_iter": 4, "random_state": 0}


def test_without_scikit_learn_the_message_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import fastnn\n"
        "try: fastnn.MLPClassifier\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'fastnn-cpu[sklearn]'" in done.stdout


def test_fastnn_does_not_import_scikit_learn() -> None:
    code = "import fastnn, fastnn.nn, sys; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_matrix", "csr_array", "coo_array"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_rows_train_as_dense_ones(kind: str, solver: str) -> None:
    rows = getattr(sparse, kind)(X)
    weights = np.linspace(0.5, 2, len(X))
    for settings in ({}, {"early_stopping": solver != "lbfgs"}):
        dense = MLPClassifier(solver=solver, batch_size=64, **SMALL, **settings)
        thin = MLPClassifier(solver=solver, batch_size=64, **SMALL, **settings)
        dense.fit(X, Y, weights)
        thin.fit(rows, Y, weights)
        for a, b in zip(dense.coefs_, thin.coefs_, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
        assert thin.loss_ == pytest.approx(dense.loss_, rel=1e-12)
        np.testing.assert_array_equal(thin.predict_proba(rows), thin.predict_proba(X))


DTYPES = ["float16", "float32", "float64", "uint8", "int64", "bool", "longdouble", ">f8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_any_dtype_and_order(dtype: str) -> None:
    rows = X.astype(dtype)
    expected = theirs.MLPClassifier(**SMALL).fit(rows.astype(float), Y)
    wide = np.zeros((300, 128), rows.dtype)
    wide[:, ::2] = rows
    for x in (rows, np.asfortranarray(rows), wide[:, ::2], rows[::-1][::-1]):
        model = MLPClassifier(**SMALL).fit(x, Y)
        single = dtype == "float32"
        assert model.coefs_[0].dtype == (np.float32 if single else np.float64)
        rtol = 1e-3 if single else 1e-9
        found = model.predict_proba(x)
        np.testing.assert_allclose(found, expected.predict_proba(rows.astype(float)), rtol=rtol)


def test_coefs_are_views_that_may_be_written_and_replaced() -> None:
    model = MLPClassifier(**SMALL).fit(X, Y)
    before = model.predict_proba(X)
    kept = [each.copy() for each in (*model.coefs_, *model.intercepts_)]
    model.intercepts_[1][3] += 100
    assert (model.predict(X) == 3).all()
    assert (model.network_.predict(X).argmax(axis=1) == 3).all()
    model.coefs_, model.intercepts_ = kept[:2], kept[2:]
    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.intercepts_[1] = np.arange(10) * 100.0
    assert (model.predict(X) == 9).all()
    model.coefs_ = [np.ones((64, 3)), np.ones((3, 10))]
    model.intercepts_ = [np.zeros(3), np.arange(10.0)]
    assert (model.predict(X) == 9).all()
    assert model.partial_fit(X, Y).coefs_[0].shape == (64, 3)


def test_the_network_inside() -> None:
    model = MLPClassifier(**SMALL).fit(X, Y)
    assert isinstance(model.network_, nn.Sequential)
    np.testing.assert_array_equal(model.network_.predict(X), model.predict_proba(X))
    assert repr(model.network_).count("Linear") == 2


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_a_failed_fit_leaves_the_estimator_as_it_was(cls: Any) -> None:
    fresh = cls(solver="sgd", learning_rate_init=1e300, **SMALL)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        fresh.fit(X, Y)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    model = cls(warm_start=True, **SMALL).fit(X, Y)
    state, outputs = dict(vars(model)), model.predict(X)
    curve = list(model.loss_curve_)
    for settings, x, y, reason in (
        ({"solver": "sgd", "learning_rate_init": 1e300}, X, Y, "Solver produced non-finite"),
        ({"solver": "lbfgs"}, np.full(X.shape, 1.7e308), Y, "Solver produced non-finite"),
        ({}, X + np.nan, Y, "Input X contains NaN"),
        ({"solver": "sgd"}, X[:-1], Y, "inconsistent numbers of samples"),
        ({"early_stopping": True, "validation_fraction": 0.001}, X, Y, "too small"),
    ):
        for warm in (True, False):
            model.set_params(warm_start=warm, **settings)
            with pytest.raises(ValueError, match=reason):
                model.fit(x, y)
            assert model.loss_curve_ == curve
            fitted = {name: value for name, value in vars(model).items() if name.endswith("_")}
            assert all(fitted[name] is state[name] for name in fitted)
            np.testing.assert_array_equal(model.predict(X), outputs)
            model.set_params(solver="adam", learning_rate_init=0.001)
            model.set_params(early_stopping=False)


def fit_with_ctrl_c(model: MLPClassifier, rows: Any) -> None:
    """Fit, with Ctrl-C within the first training, after some epochs unless it is one of lbfgs."""

    def interrupt() -> None:
        while "network_" not in vars(model):
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    model.fit(rows, Y)
    thread.join()


def test_ctrl_c_leaves_a_fitted_model() -> None:
    for rows in (X, sparse.csr_matrix(X)):
        model = MLPClassifier((50,), max_iter=10**6, n_iter_no_change=np.inf)
        with pytest.warns(UserWarning, match="Training interrupted by user"):
            fit_with_ctrl_c(model, rows)
        assert model.n_iter_ == len(model.loss_curve_) > 1
        assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_ctrl_c_ends_all_restarts(solver: str) -> None:
    endless = {"max_iter": 10**6, "max_fun": 10**6, "tol": 0, "n_iter_no_change": np.inf}
    # A training with lbfgs may end by itself, but a thousand of them take long enough.
    model = MLPClassifier((50,), solver=solver, n_init=1000, alpha=0, **endless)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        fit_with_ctrl_c(model, X)
    assert model.n_iter_ > 0
    assert model.score(X, Y) > 0.5


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("place", ["_network.layout", "_network.build", "_draws.draw_values"])
def test_ctrl_c_between_restarts_keeps_the_best_so_far(
    monkeypatch: pytest.MonkeyPatch, solver: str, place: str
) -> None:
    room, name = place.split(".")
    module = importlib.import_module(f"fastnn.sklearn.{room}")
    original, calls = getattr(module, name), []

    def interrupted(*args: Any, **keywords: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return original(*args, **keywords)

    settings = SMALL | {"solver": solver, "random_state": 0, "max_iter": 20}
    whole = MLPClassifier(**settings, n_init=2).fit(X, Y)
    monkeypatch.setattr(module, name, interrupted)
    model = MLPClassifier(**settings, n_init=1000)
    with pytest.warns(UserWarning, match="Training interrupted by user") as caught:
        model.fit(X, Y)
    assert [each.filename for each in caught if each.category is UserWarning] == [__file__]
    assert model.loss_ == whole.loss_
    np.testing.assert_array_equal(model.coefs_[0], whole.coefs_[0])
    calls[:] = [1, 1]
    fresh = MLPClassifier(**settings, n_init=1000)
    with pytest.raises(KeyboardInterrupt):  # there is nothing yet that could be kept
        fresh.fit(X, Y)
    assert not [attribute for attribute in vars(fresh) if attribute.endswith("_")]


def test_divergence_with_early_stopping_returns_to_the_best_values() -> None:
    settings = {
        "hidden_layer_sizes": 100,
        "activation": "identity",
        "solver": "sgd",
        "learning_rate_init": 1,
        "max_iter": 20,
        "early_stopping": True,
        "random_state": 0,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = theirs.MLPRegressor(**settings).fit(X, Y)
        other = MLPRegressor(**settings).fit(X, Y)
    assert other.n_iter_ == one.n_iter_ == 20
    assert np.isnan(other.validation_scores_[-1])
    np.testing.assert_allclose(other.coefs_[0], one.coefs_[0], rtol=1e-9)


def test_a_partial_fit_that_diverges_leaves_the_values_of_before() -> None:
    model = MLPRegressor(
        hidden_layer_sizes=(9,), solver="sgd", batch_size=50, shuffle=False, random_state=0
    )
    model.partial_fit(X, Y)
    before, seen = [array.copy() for array in model.coefs_], model.t_
    y = Y.astype(float)
    y[-1] = 1e300  # in the last of six batches
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.partial_fit(X, y)
    assert model.t_ == seen
    for array, expected in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_models_of_equal_settings_share_no_layers_and_no_values() -> None:
    one = MLPClassifier(**SMALL).fit(X, Y)
    before = one.coefs_[0].copy()
    one.network_[0].freeze()
    other = MLPClassifier(**SMALL | {"random_state": 1}).fit(X, Y)
    np.testing.assert_array_equal(one.coefs_[0], before)
    assert other.network_[0] is not one.network_[0]
    assert not other.network_[0].frozen
    again = MLPClassifier(**SMALL).fit(X, Y)
    np.testing.assert_array_equal(again.coefs_[0], before)
    # Frozen layers stay as they are where training goes on, biases and weights.
    one.partial_fit(X, Y)
    np.testing.assert_array_equal(one.coefs_[0], before)
    assert (one.coefs_[1] != again.coefs_[1]).any()


def test_settings_and_data_decide_about_the_model() -> None:
    """One fit after another, whose layers, dtypes and optimizers differ in a single thing."""
    changes: list[dict[str, Any]] = [
        {},
        {"hidden_layer_sizes": (9, 3)},
        {"activation": "tanh"},
        {"activation": [nn.LeakyReLU(0.5)]},
        {"activation": [nn.LeakyReLU(0.25)]},
        {"dropout": 0.5},
        {"normalization": "layer"},
        {"dtype": "float32"},
        {"beta_1": 0.5},
        {"epsilon": 0.5},
        {"alpha": 0.5},
        {"solver": "sgd"},
        {"solver": "sgd", "momentum": 0.5},
        {"solver": "rmsprop"},
        {"max_grad_norm": 0.01},
        {"label_smoothing": 0.5},
        {"n_jobs": 1},
    ]
    for _ in range(2):
        found = [MLPClassifier(**SMALL | each).fit(X, Y) for each in changes]
        codes = {model.loss_ for model in found}
        assert len(codes) == len(changes) - 1  # n_jobs changes nothing
        assert [len(model.network_) for model in found[:7]] == [3, 5, 3, 3, 3, 4, 4]
        assert found[7].coefs_[0].dtype == np.float32


def test_fits_in_threads_have_the_bits_of_serial_ones() -> None:
    def fitted(seed: int) -> Any:
        return MLPClassifier(**SMALL | {"random_state": seed}).fit(X, Y).coefs_[0].copy()

    serial = [fitted(seed) for seed in range(8)]
    found: list[Any] = [None] * 8

    def work(seed: int) -> None:
        found[seed] = fitted(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(serial, found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize(
    "settings",
    [
        {"tol": 0.02, "n_iter_no_change": 2},
        {"tol": 10.0, "n_iter_no_change": 1, "max_iter": 4},
        {"n_init": 3, "tol": 0.02, "n_iter_no_change": 2},
        {"warm_start": True, "tol": 0.02, "n_iter_no_change": 3, "shuffle": False},
    ],
)
def test_records_do_not_depend_on_who_watches(settings: dict[str, Any], name: str) -> None:
    """The core ends a training by itself if no callback sees the epochs; its records are those."""
    ends = []
    for watchers in (None, [fastnn.callbacks.Callback()]):
        model = getattr(fastnn, name)(
            hidden_layer_sizes=(5,),
            random_state=0,
            callbacks=watchers,
            **{"max_iter": 60, "solver": "sgd"} | settings,
        )
        seen = []
        for _ in range(2):
            model.fit(X, Y, X_val=X[:9], y_val=Y[:9])
            plain = {k: v for k, v in vars(model).items() if isinstance(v, (int, float, list))}
            plain.pop("callbacks", None)
            seen.append(repr(sorted(plain.items())))
        model.partial_fit(X, Y)
        seen.append((model.n_iter_, model.t_, model.best_loss_, model._no_improvement_count))
        ends.append((repr(seen), joblib.hash(model.coefs_)))
    assert ends[0] == ends[1]


def test_verbose_prints_what_scikit_learn_prints(capsys: Any) -> None:
    texts = []
    for module in (theirs, fastnn):
        for settings in (
            {"early_stopping": True, "tol": 0.5, "n_iter_no_change": 1},
            {"solver": "sgd", "learning_rate": "adaptive", "tol": 10, "n_iter_no_change": 1},
            {"tol": 10, "n_iter_no_change": 1},
        ):
            module.MLPClassifier((5,), max_iter=30, verbose=True, random_state=0, **settings).fit(
                X, Y
            )
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert texts[0].count("Stopping.") >= 2


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_numbers_beyond_those_of_the_core(cls: Any) -> None:
    """As in scikit-learn, where they are Python's."""
    x, y = np.eye(6), np.arange(6) % 2
    for name in ("max_iter", "batch_size", "max_fun", "n_jobs"):
        for solver in ("adam", "lbfgs"):
            settings = SMALL | {"max_iter": 10**6, "tol": 1.0, "solver": solver, name: 2**70}
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Got `batch_size` less than 1 or larger")
                assert cls(**settings).fit(x, y).n_iter_ < 20
