# SPDX-License-Identifier: BSD-3-Clause
"""Training allocates nothing inside a step, and never copies X."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import allocation_probe as probe
import probe as probe_program
from fastnn import _core

CASES = [
    f"{name}, {dtype}, {threads}"
    for name in probe.NETWORKS
    for dtype in ("float32", "float64")
    for threads in (1, 2)
]


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """Compile the library that counts allocations, for this run."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler called cc")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip(f"counts glibc's heap only, this is {platform.libc_ver()[0] or 'another'}")
    library = tmp_path_factory.mktemp("counter") / "count_allocations.so"
    source = Path(probe.__file__).with_name("count_allocations.c")
    subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True
    )
    return library


def _measure(counter: Path, *args: str) -> dict:
    # A sanitizer's run time has to come first, and brings a heap of its own.
    if os.environ.get("LD_PRELOAD"):
        pytest.skip("another library is preloaded")
    done = subprocess.run(
        [sys.executable, probe.__file__, *args],
        env={**os.environ, "LD_PRELOAD": str(counter)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def steps(counter):
    return _measure(counter, "steps")


@pytest.fixture(scope="module")
def copies(counter, tmp_path_factory):
    return _measure(counter, "copies", str(tmp_path_factory.mktemp("images")))


def test_the_counter_counts(steps, copies):
    assert steps["nothing"] == 0
    assert steps["control"] == probe.MANY
    assert copies["nothing"] < 1000
    assert copies["control"] >= probe.ROWS * probe.PIXELS


@pytest.mark.parametrize("case", CASES)
def test_fit_allocates_nothing_inside_a_step(steps, case):
    assert steps[case]["fit"] == 0


@pytest.mark.parametrize("case", CASES)
def test_train_step_allocates_nothing_inside_a_step(steps, case):
    # The call itself makes a few allocations, as many for one layer as for any network.
    more = steps[case]["train_step"]
    calls = probe.MANY - probe.FEW
    assert more % calls == 0
    assert more == steps["one layer, float32, 1"]["train_step"]
    assert more / calls <= 12


def test_an_allocation_in_a_step_is_seen(counter):
    if not hasattr(_core.testing, "inject_allocation"):
        pytest.skip("this build has no _core.testing.inject_allocation")
    injected = _measure(counter, "injected")
    assert injected["fit"] >= probe.MANY - probe.FEW
    assert injected["train_step"] % (probe.MANY - probe.FEW) == 0


def _bound() -> int:
    parameters = (probe.PIXELS + 1) * probe.HIDDEN + (probe.HIDDEN + 1) * probe.DIGITS
    state = 2 * parameters  # Adam
    activations = probe.MNIST_BATCH * (probe.PIXELS + probe.HIDDEN + probe.DIGITS)
    return 2 * 4 * (parameters + state + activations) + 16 * probe.ROWS


@pytest.mark.parametrize("layout", ["C", "memmap", "F", "every other column"])
def test_x_is_never_copied(copies, layout):
    assert copies[layout]["bytes"] < _bound()
    assert copies[layout]["bytes of statistics"] < _bound()
    assert _bound() < probe.ROWS * probe.PIXELS / 8  # far below any copy
    assert copies[layout]["loss"] == copies["C"]["loss"]


@pytest.mark.parametrize("prefetch", [0, 1])
def test_parts_may_be_larger_than_the_memory(prefetch):
    """The process may allocate 100 MB more; the parts have 320 MB, of which one is 20 MB."""
    if os.environ.get("LD_PRELOAD"):
        pytest.skip("another library is preloaded")
    seen = probe_program.report("stream_probe.py", str(prefetch), seconds=60)
    rows = sum(10_000 + k for k in range(16))
    assert seen == {"fits": False, "epochs": [0, 1], "steps": 2 * -(-rows // 64)}
