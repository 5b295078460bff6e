# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures and constants that all tests share: random numbers, data, tolerances, sizes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest_plugins = ["plugin_torch_count"]

# A shell lets its background jobs ignore Ctrl-C, and tests of it would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("KERAS_BACKEND", "torch")  # its default is a library that no test needs

# The largest difference allowed between engine and twin, relative to the largest value. In float64
# it covers the rounding errors of sums in another order, in float32 a few ulp (6e-8) times the
# length of the chain of operations.
TOLERANCE = {
    ("float64", "activation"): 1e-12,
    ("float64", "linear"): 1e-12,
    ("float64", "layer"): 1e-12,
    ("float64", "loss"): 1e-12,
    ("float64", "optimizer"): 1e-12,
    ("float64", "training"): 1e-12,
    ("float64", "differences"): 1e-6,  # central differences: their own error, not ours
    ("float32", "activation"): 5e-7,
    ("float32", "linear"): 2e-6,
    ("float32", "layer"): 2e-6,
    ("float32", "loss"): 1e-6,
    ("float32", "optimizer"): 1e-6,
    ("float32", "training"): 2e-5,
}

# 1, primes and the neighbours of powers of two, which are multiples of no vector width or tile.
AWKWARD_SIZES = [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 127]
# (rows, inputs, outputs) of a product or a layer
AWKWARD_SHAPES = [
    (1, 1, 1),
    (1, 17, 3),
    (2, 1, 16),
    (3, 5, 7),
    (8, 16, 1),
    (15, 31, 17),
    (16, 64, 33),
    (31, 3, 65),
    (64, 127, 10),
    (65, 33, 64),
    (127, 7, 129),
]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture(params=AWKWARD_SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def awkward_shape(request: pytest.FixtureRequest) -> tuple[int, int, int]:
    return request.param


@pytest.fixture
def torch() -> Any:
    """Give the module torch if it is installed; a plugin counts the tests that use it."""
    module = pytest.importorskip("torch")
    before = module.get_num_threads()
    module.set_num_threads(1)  # for batches this small, a second thread makes it slower
    yield module
    module.set_num_threads(before)


@pytest.fixture
def exact_scalars(torch: Any) -> Any:
    """Let torch's optimizers keep scalars in float64; NAdam has a product in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Give the folder of real data that FASTNN_DATA names; in CI it has to exist."""
    given = os.environ.get("FASTNN_DATA")
    if given and Path(given).is_dir():
        return Path(given)
    reason = f"FASTNN_DATA={given} is no folder" if given else "FASTNN_DATA is not set"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; in CI the data must be there", pytrace=False)
    pytest.skip(reason)
