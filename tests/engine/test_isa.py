# SPDX-License-Identifier: BSD-3-Clause
"""Every level that was built and runs here gives the same answers; others are refused."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fastnn import _core

LEVELS = [level for level in _core.built if level in _core.runnable]
# Levels differ in fused multiply-adds, not in formulas: by a rounding in each of thirty steps.
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}

TRAIN = """
import json, sys
import numpy as np
from fastnn import _core
dtype = sys.argv[1]
rng = np.random.default_rng(7)
x = rng.standard_normal((75, 13)).astype(dtype)
y = rng.integers(0, 5, 75)
# No bias before the normalisation: its gradient is rounding alone, which AdamW blows up to steps.
layers = [("linear", {"in_features": 13, "out_features": 19, "bias": False}),
          ("batch_norm1d", {"num_features": 19}), ("gelu", {}), ("dropout", {"p": 0.25}),
          ("linear", {"in_features": 19, "out_features": 17, "bias": True}), ("tanh", {}),
          ("linear", {"in_features": 17, "out_features": 5, "bias": True})]
net = _core.Network(layers, dtype, 3)
net.compile("cross_entropy", {}, "adamw", {"lr": 1e-2}, max_grad_norm=1.0)
logs = net.fit(x, y, batch_size=32, epochs=10, metrics=True)
print(json.dumps({"isa": _core.isa, "loss": logs["loss"], "seen": _core.build_info()["isa"],
                  "predict": net.predict(x, True).astype(float).tolist()}))
"""


def _run(script: str, *args: str, isa: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "FASTNN_ISA"}
    if isa is not None:
        environment["FASTNN_ISA"] = isa
    return subprocess.run(
        [sys.executable, "-c", script, *args],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@functools.cache
def _train(isa: str, dtype: str) -> dict:
    done = _run(TRAIN, dtype, isa=isa)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", LEVELS)
def test_levels_agree(isa, dtype):
    here, best = _train(isa, dtype), _train(LEVELS[0], dtype)
    assert here["isa"] == here["seen"] == isa
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(here["loss"], best["loss"], rtol=tolerance)
    np.testing.assert_allclose(here["predict"], best["predict"], rtol=0, atol=tolerance)
    assert here["loss"][-1] < here["loss"][0]


@pytest.mark.parametrize("isa", [level for level in _core.built if level in ("v2", "v3", "v4")])
def test_lines_are_prefetched_for_writing_where_the_level_has_it(isa: str) -> None:
    module = find_spec(f"fastnn._core._{isa}")
    assert module is not None
    code = Path(str(module.origin)).read_bytes()
    # prefetchw with an address in a register, and an offset of 0, 8 or 32 bits.
    found = len(re.findall(rb"\x0f\x0d[\x08-\x0f\x48-\x4f\x88-\x8f]", code))
    assert found < 20 if isa == "v2" else found > 50  # some bytes may look like it by chance


def test_best_level_is_the_default():
    done = _run("from fastnn import _core; print(_core.isa)", isa=None)
    assert done.stdout.split() == [LEVELS[0]], done.stderr


@pytest.mark.parametrize(
    ("isa", "why"),
    [("v9", "is none of native, v4, v3, v2, base")]
    + [
        (level, "was not built")
        for level in ("native", "v4", "v3", "v2", "base")
        if level not in _core.built
    ]
    + [(level, "does not run here") for level in _core.built if level not in _core.runnable],
)
def test_override_that_cannot_be_says_what_can(isa, why):
    done = _run("from fastnn import _core", isa=isa)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: FASTNN_ISA={isa} {why}: this CPU runs "), last
    assert f"built: {', '.join(_core.built)}" in last


def test_import_of_the_package_alone_does_not_look_at_the_level():
    assert _run("import fastnn", isa="v9").returncode == 0


def test_classes_name_no_level():
    classes = {name: value for name, value in vars(_core).items() if isinstance(value, type)}
    assert classes["Network"].__module__ == "fastnn._core"
    assert not [
        name for name, value in classes.items() if "._" in value.__module__[len("fastnn._core") :]
    ]


AFTERWARDS = """
thirds = np.arange(1, 9, dtype=np.longdouble) / 3
print(json.dumps([float(third) for third in thirds]))
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("isa", LEVELS)
def test_long_double_still_works_afterwards(isa: str, dtype: str) -> None:
    """No level leaves the processor in MMX mode: extended precision would give NaN from then on."""
    done = _run(TRAIN + AFTERWARDS, dtype, isa=isa)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [third / 3 for third in range(1, 9)]
