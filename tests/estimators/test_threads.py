# SPDX-License-Identifier: BSD-3-Clause
"""Threads and processes: fits at the same time, joblib's backends, pickles."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import GridSearchCV

from fastnn import MLPClassifier, MLPRegressor, _core

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(700, 20))
Y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(int)


def fitted(seed: int) -> MLPClassifier:
    return MLPClassifier((40, 30), max_iter=8, random_state=seed).fit(X, Y)


def test_fits_in_eight_threads_are_serial_fits():
    expected = [fitted(seed).coefs_ for seed in range(8)]
    found: list[list[np.ndarray]] = [[] for _ in range(8)]
    start = threading.Barrier(8)

    def fit(seed: int) -> None:
        start.wait()
        found[seed] = fitted(seed).coefs_

    threads = [threading.Thread(target=fit, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ours, serial in zip(found, expected, strict=True):
        assert all((a == b).all() for a, b in zip(ours, serial, strict=True))


def threads_of_a_fit(seed: int) -> tuple[int, int]:
    """Fit, and return the largest number of threads used, and how many the process may use."""
    return fitted(seed).network_.threads_used, _core.threads_available()


@pytest.mark.skipif(_core.threads_available() < 2, reason="needs two processors")
@pytest.mark.parametrize("settings", [{}, {"inner_max_num_threads": 1}])
def test_loky_leaves_its_share_of_the_processors(settings):
    allowed = settings.get("inner_max_num_threads", max(1, joblib.cpu_count() // 2))
    cloudpickle = pytest.importorskip("cloudpickle")
    own = sys.modules[__name__]  # the processes cannot import the modules of tests
    cloudpickle.register_pickle_by_value(own)
    try:
        with joblib.parallel_config("loky", **settings):
            found = joblib.Parallel(n_jobs=2)(joblib.delayed(threads_of_a_fit)(k) for k in range(2))
    finally:
        cloudpickle.unregister_pickle_by_value(own)
    for used, available in found:
        assert used <= available <= allowed


def test_threads_of_joblib_share_the_processors():
    with joblib.parallel_config("threading"):
        found = joblib.Parallel(n_jobs=2)(joblib.delayed(threads_of_a_fit)(k) for k in range(4))
    allowed = max(1, _core.threads_available() // 2)
    assert max(used for used, _ in found) <= allowed


def test_nested_jobs_have_the_bits_of_one_process():
    grid = {"alpha": [1e-4, 1e-2]}
    bag = BaggingClassifier(MLPClassifier((8,), max_iter=3), 2, n_jobs=2, random_state=0)
    scores = [
        GridSearchCV(
            bag, {f"estimator__{name}": tried for name, tried in grid.items()}, cv=2, n_jobs=jobs
        )
        .fit(X, Y)
        .cv_results_["mean_test_score"]
        for jobs in (1, 2)
    ]
    assert (scores[0] == scores[1]).all()


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_pickles_of_another_version_warn_as_those_of_scikit_learn(cls, monkeypatch):
    model = cls(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, Y)
    state = pickle.dumps(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        assert (pickle.loads(state).predict(X) == model.predict(X)).all()
    monkeypatch.setattr("sklearn.__version__", "1.5.0")
    with pytest.warns(InconsistentVersionWarning, match=f"estimator {cls.__name__} from version"):
        other = pickle.loads(state)
    assert (other.predict(X) == model.predict(X)).all()


def test_a_fit_alone_takes_all_threads_again():
    script = (
        "import threading, numpy as np, fastnn\n"
        "x = np.random.default_rng(0).normal(size=(4000, 100)); y = x[:, 0]\n"
        "def fit(): return fastnn.MLPRegressor(hidden_layer_sizes=(200,), max_iter=6).fit(x, y)\n"
        "threads = [threading.Thread(target=fit) for _ in range(3)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(fit().network_.threads_used, fastnn._core.threads_available())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    used, available = map(int, done.stdout.split())
    assert used == available
