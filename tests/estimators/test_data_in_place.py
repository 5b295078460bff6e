# SPDX-License-Identifier: BSD-3-Clause
"""X of any real dtype and layout is read in place: no call of an estimator copies it."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from fastnn import MLPClassifier, MLPRegressor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N, COLUMNS = 4000, 300
RNG = np.random.default_rng(0)
NUMBERS = RNG.integers(0, 100, (N, COLUMNS))
Y = RNG.integers(0, 3, N)
DTYPES = ["bool", "uint8", "int16", "int64", "float16", "float32", "float64", ">f4", ">i2"]


def strided(x: Any) -> Any:
    wide = np.zeros((N, 2 * COLUMNS), x.dtype)
    wide[:, ::2] = x
    return wide[:, ::2]


def mapped(x: Any, folder: Path) -> Any:
    found = np.memmap(folder / "x", x.dtype, "w+", shape=x.shape)
    found[...] = x
    return found


def peak_of(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed", "memmap"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_call_copies_x(dtype: str, layout: str, tmp_path: Path) -> None:
    x = NUMBERS.astype(dtype)
    x = {
        "C": lambda: x,
        "F": lambda: np.asfortranarray(x),
        "strided": lambda: strided(x),
        "reversed": lambda: x[::-1, ::-1],
        "memmap": lambda: mapped(x, tmp_path),
    }[layout]()
    weights = np.ones(N)
    settings: dict[str, Any] = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
    model = MLPClassifier(**settings).fit(x[:300], Y[:300])  # also imports what is imported late
    model.predict(x[:3])
    calls = (
        lambda: MLPClassifier(**settings).fit(x, Y, weights),
        lambda: MLPClassifier(solver="sgd", **settings).fit(x, Y),
        lambda: MLPClassifier(solver="lbfgs", **settings).fit(x, Y),
        lambda: MLPRegressor(**settings).fit(x, Y),
        lambda: model.partial_fit(x, Y),
        lambda: model.predict(x),
        lambda: model.predict_proba(x),
        lambda: model.score(x, Y),
    )
    # Targets, outputs, the vectors of L-BFGS and the like.
    assert [peak_of(call) < 0.6 * x.nbytes for call in calls] == [True] * len(calls)
