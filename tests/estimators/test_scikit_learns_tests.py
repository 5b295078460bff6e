# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's own tests of its perceptrons, from the installed package, with our classes."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sklearn = pytest.importorskip("sklearn")
theirs = pytest.importorskip("sklearn.neural_network.tests.test_mlp")

import fastnn  # noqa: E402

OURS = {name: getattr(fastnn, name) for name in ("MLPClassifier", "MLPRegressor")}


def _with_our_classes() -> ModuleType:
    """Return their module, executed with our classes under the names that it imports."""
    source = Path(theirs.__file__).read_text(encoding="utf-8")
    module = ModuleType("scikit_learns_tests")
    module.__file__ = theirs.__file__
    package = sys.modules["sklearn.neural_network"]
    before = {name: getattr(package, name) for name in OURS}
    vars(package).update(OURS)
    try:
        exec(compile(source, str(theirs.__file__), "exec"), vars(module))
    finally:
        vars(package).update(before)
    return module


@pytest.fixture
def global_random_seed() -> int:
    return 42


_MODULE: Any = _with_our_classes()
# Every test of theirs becomes one of this module. Their warnings are no errors, as in their runs.
globals().update(
    {
        name: pytest.mark.filterwarnings("default")(test)
        for name, test in vars(_MODULE).items()
        if name.startswith("test_")
    }
)


def test_all_of_their_tests_are_here() -> None:
    assert _MODULE.MLPClassifier is fastnn.MLPClassifier
    names = [name for name in vars(theirs) if name.startswith("test_")]
    assert len(names) > 30
    assert all(name in globals() for name in names)
