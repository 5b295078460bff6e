# SPDX-License-Identifier: BSD-3-Clause
"""The package is quick to import, needs nothing but NumPy, and has its metadata."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from importlib import metadata, resources

import pytest

import fastnn
from fastnn import errors

IMPORT_BUDGET = 0.060  # seconds on top of NumPy's import
HEAVY = (
    "sklearn",
    "torch",
    "matplotlib",
    "scipy",
    "pandas",
    "tqdm",
    "onnx",
    "safetensors",
    "fastnn._files",
    "fastnn.reference",
)

MEASURE = """
import json, sys
from time import perf_counter
import numpy
start = perf_counter()
{statement}
print(json.dumps([perf_counter() - start, sorted(sys.modules)]))
"""


def _import_cost(statement: str) -> tuple[float, list[str]]:
    """Return the least time of five fresh interpreters, and what was loaded."""
    best, modules = float("inf"), []
    for _ in range(5):
        script = MEASURE.format(statement=statement)
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        seconds, modules = json.loads(done.stdout)
        best = min(best, seconds)
    return best, modules


def _compiles_on_import() -> bool:
    return any(getattr(finder, "rebuild_flag", False) for finder in sys.meta_path)


@pytest.mark.parametrize("statement", ["import fastnn", "import fastnn; from fastnn import _core"])
def test_import_is_cheap(statement):
    if "_core" in statement and _compiles_on_import():
        pytest.skip("an editable install looks for changed sources when it is imported")
    seconds, modules = _import_cost(statement)
    assert seconds < IMPORT_BUDGET, f"{statement}: {1000 * seconds:.1f} ms on top of NumPy"
    loaded = {name for name in modules if any(name == h or name.startswith(h + ".") for h in HEAVY)}
    assert not loaded, f"{statement} loads {sorted(loaded)}"


FIRST_FIT = """
import json, sys
import numpy as np
from fastnn import nn
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
model.compile("adam", nn.CrossEntropyLoss(), metrics=["accuracy"])
known = set(sys.modules)
model.fit(np.ones((8, 3), np.float32), np.ones(8, int), validation_split=0.5)
model.predict([[1.0, 2.0, 3.0]])
print(json.dumps(sorted(set(sys.modules) - known)))
"""


def test_the_first_fit_imports_nothing():
    """An import there would make the first fit slower: numpy.ma alone takes 20 ms."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FIT], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_every_public_name_resolves():
    for name in fastnn.__all__:
        assert getattr(fastnn, name) is not None
    assert set(fastnn._HOME) <= set(fastnn.__all__)
    assert set(fastnn.__all__) <= set(dir(fastnn))
    with pytest.raises(AttributeError, match="no attribute 'sequential'"):
        _ = fastnn.sequential


def test_metadata():
    package = metadata.metadata("fastnn-cpu")
    assert package["Version"] == fastnn.__version__
    assert package["License-Expression"] == "BSD-3-Clause"
    assert set(package.get_all("License-File")) >= {"LICENSE", "NOTICE"}
    hard = [row for row in metadata.requires("fastnn-cpu") or [] if "extra ==" not in row]
    assert [row.split(">")[0].strip() for row in hard] == ["numpy"]
    assert set(package.get_all("Provides-Extra")) >= {
        "test",
        "progress",
        "sklearn",
        "io",
        "onnx",
        "plot",
    }


def test_typed_and_compiled_half_is_of_this_version():
    from fastnn._core import _cpuid

    assert resources.files("fastnn").joinpath("py.typed").is_file()
    assert _cpuid.version == fastnn.__version__, (
        "the compiled modules are of another version: install again"
    )


def test_errors_are_also_builtin_kinds():
    kinds = {
        errors.ModelBusyError: RuntimeError,
        errors.TrainingDivergedError: ArithmeticError,
        errors.ModelFileError: ValueError,
    }
    for error, kind in kinds.items():
        assert issubclass(error, errors.FastnnError)
        assert issubclass(error, kind)
        assert getattr(fastnn, error.__name__) is error
        assert isinstance(pickle.loads(pickle.dumps(error("text"))), kind)
