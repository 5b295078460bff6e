# SPDX-License-Identifier: BSD-3-Clause
"""Files that were written when their format was new load and predict what they predicted then."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from golden_files import DTYPES, FOLDER, SUFFIXES, X, stored, wanted
from saved import rows

FILES = sorted(path.name for path in FOLDER.glob("*.*") if path.suffix in SUFFIXES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_loads_and_predicts_what_it_did(name):
    model = fastnn.load(FOLDER / name)
    exact = model.dtype == np.float64
    expected = np.array(stored()[name])
    tolerances = {"rtol": 1e-12, "atol": 1e-13} if exact else {"rtol": 1e-5, "atol": 1e-6}
    np.testing.assert_allclose(model.predict(X), expected, **tolerances)


def test_there_is_a_file_for_every_member():
    """If one is missing: `PYTHONPATH=tests python tests/golden_files.py`."""
    assert {file for file, *_ in wanted()} <= set(FILES)
    assert set(stored()) == set(FILES)
    kinds = {name.rpartition("-")[2] for name in FILES}
    assert kinds == {f"{dtype}{suffix}" for dtype in DTYPES for suffix in SUFFIXES}


def test_a_file_is_trained_on():
    name = next(name for name in FILES if "-adam-float32" in name)
    model = fastnn.load(FOLDER / name)
    history = model.fit(*rows(dtype="float32"), batch_size=8, epochs=3)
    assert np.isfinite(history.history["loss"]).all()
