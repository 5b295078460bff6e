# SPDX-License-Identifier: BSD-3-Clause
"""max_time: a fit ends at its time, and is fitted then."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from fastnn import MLPClassifier

# What a fit does before and after its training takes the same time whatever max_time is: about a
# millisecond, but 20 have been seen on a slow machine.
SECONDS = 0.8
X, Y = load_digits(return_X_y=True)
X, Y = X[:600] / 16, Y[:600]
# Other programs may take the processors while a fit ends. It is enough to be in time once in so
# many attempts: a fit that does not look at the clock often enough is late in all of them.
ATTEMPTS = 10
ENDLESS = {"max_iter": 10**6, "n_iter_no_change": np.inf, "tol": 0, "max_fun": 10**6}
CASES: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "adam": ({}, X, Y),
    "early stopping": ({"early_stopping": True}, X, Y),
    "restarts": ({"n_init": 10**3, "max_iter": 20}, X, Y),
    "restarts of lbfgs": ({"n_init": 10**3, "solver": "lbfgs"}, X, Y),
    "sparse": ({}, csr_matrix(X), Y),
    "sparse lbfgs": ({"n_init": 10**3, "solver": "lbfgs"}, csr_matrix(X), Y),
    "within an epoch": (
        {"batch_size": 1},
        np.tile(X.astype(np.float16), (500, 1)),  # which has all values of X exactly
        np.tile(Y, 500),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fit_ends_within_five_percent_of_its_time(name: str) -> None:
    settings, x, y = CASES[name]
    taken = []
    for _ in range(ATTEMPTS):
        model = MLPClassifier((40,), random_state=0, max_time=SECONDS, **ENDLESS | settings)
        began = time.monotonic()
        with pytest.warns(ConvergenceWarning) as caught:
            model.fit(x, y)
        taken.append(time.monotonic() - began)
        said = f"[MLPClassifier.fit] max_time = {SECONDS} seconds are over"
        last = [each for each in caught if str(each.message).startswith(said)]
        assert [each.filename for each in last] == [__file__]  # where the user has called fit
        assert model.score(X, Y) > 0.2
        assert (model.n_iter_ > 0) == (name != "within an epoch")
        assert model.n_iter_ == len(getattr(model, "loss_curve_", range(model.n_iter_)))
        # lbfgs ends if another evaluation would be too late.
        if 0.8 * SECONDS < taken[-1] < 1.05 * SECONDS:
            return
    pytest.fail(f"the fits took {taken}")


def test_a_time_that_is_over_at_once() -> None:
    """The values are the initial ones, or those after a batch, and the loss is not known."""
    for solver in ("adam", "lbfgs"):
        model = MLPClassifier((40,), solver=solver, max_time=1e-9)
        with pytest.warns(ConvergenceWarning, match="max_time = 1e-09 seconds are over after 0 "):
            model.fit(X, Y)
        assert model.n_iter_ == 0
        assert np.isnan(model.loss_)
        assert np.isfinite(model.predict_proba(X)).all()
