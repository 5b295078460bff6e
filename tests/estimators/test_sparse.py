# SPDX-License-Identifier: BSD-3-Clause
"""Sparse X in the estimators: scikit-learn's numbers, and memory for what is stored."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn import neural_network as theirs

from fastnn import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(2)
X = sparse.random_array((240, 400), density=0.02, rng=RNG, format="csr")
Y = RNG.integers(0, 3, 240)
SMALL = {"hidden_layer_sizes": (12,), "max_iter": 4, "random_state": 3}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_the_numbers_are_those_of_scikit_learn(solver: str, early_stopping: bool) -> None:
    settings: dict[str, Any] = {**SMALL, "solver": solver, "batch_size": 50}
    if solver != "lbfgs":
        settings["early_stopping"] = early_stopping
    for name, y in (("Classifier", Y), ("Regressor", RNG.standard_normal(240))):
        ours = {"Classifier": MLPClassifier, "Regressor": MLPRegressor}[name](**settings).fit(X, y)
        expected = getattr(theirs, f"MLP{name}")(**settings).fit(X, y)
        for found, wanted in zip(ours.coefs_, expected.coefs_, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours.loss_, expected.loss_, rtol=1e-9)
        np.testing.assert_allclose(ours.predict(X), expected.predict(X), rtol=1e-9)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_format_trains_as_dense_rows(kind: str) -> None:
    dense = MLPClassifier(**SMALL).fit(X.toarray(), Y)
    thin = MLPClassifier(**SMALL).fit(X.asformat(kind), Y)
    for found, expected in zip(thin.coefs_, dense.coefs_, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(thin.predict_proba(X.asformat(kind)), dense.predict_proba(X))


MEMORY = """
import gc, sys, warnings
import numpy as np
from scipy import sparse
from fastnn import MLPClassifier

def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) * 1024

n, columns, units = map(int, sys.argv[1:4])
rng = np.random.default_rng(0)
starts = np.arange(n + 1) * (columns // 500)
cells = np.sort(rng.integers(0, columns // (columns // 500), starts[-1]).reshape(n, -1), axis=1)
cells += np.arange(columns // 500) * (columns // (columns // 500))
parts = (rng.random(starts[-1]), cells.ravel().astype(np.int32), starts.astype(np.int32))
x = sparse.csr_array(parts, (n, columns))
y = rng.integers(0, 20, n)
warnings.simplefilter("ignore")
small = MLPClassifier((2,), max_iter=1).fit(x[:300, :50], y[:300]).predict(x[:300, :50])
gc.collect()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the highest resident size begins again
before = status("VmRSS")
model = MLPClassifier((units,), max_iter=1, random_state=0).fit(x, y)
model.predict(x)
peak = status("VmHWM") - before
parameters = sum(value.nbytes for value in [*model.coefs_, *model.intercepts_])
held = x.data.nbytes + x.indices.nbytes + x.indptr.nbytes + 3 * parameters
print(peak / held)
"""


def of_memory(n: int, columns: int, units: int) -> float:
    """Return the memory that fit and predict add at most, over that of X, values and state."""
    arguments = [sys.executable, "-c", MEMORY, str(n), str(columns), str(units)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if "clear_refs" in done.stderr:
        pytest.skip("the highest resident size of the process cannot be reset")
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_memory_is_that_of_what_is_stored() -> None:
    """A dense batch alone would take 1.5 times as much more, and X twenty times."""
    assert of_memory(4000, 20_000, 30) < 2


@pytest.mark.nightly
def test_memory_of_a_shape_like_20newsgroups() -> None:
    assert of_memory(20_000, 50_000, 100) < 2
