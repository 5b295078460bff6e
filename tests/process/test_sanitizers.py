# SPDX-License-Identifier: BSD-3-Clause
"""Deliberate errors are reported by `nox -s asan` and `nox -s tsan`."""

from __future__ import annotations

import os

import pytest

import probe

PRELOADED = os.environ.get("LD_PRELOAD", "")

RACE = """
from fastnn import _core
print(_core.testing.race())
"""

OVERRUN = """
import numpy as np
from fastnn import _core
net = _core.Network([("linear", {"in_features": 16, "out_features": 2})], "float32", 0)
x = np.zeros((100, 16), np.float32)
print(net.predict(np.lib.stride_tricks.as_strided(x, (200, 16), x.strides)).shape)
"""


def errors_of(script: str, options: str, status: int) -> str:
    """Return the stderr of a process that ends with `status`; reports go there, not to files."""
    env = {options: f"{os.environ.get(options, '')}:log_path=stderr"}
    got, _, errors = probe.run("-c", script, seconds=60, env=env)
    assert got == status, errors
    return errors


@pytest.mark.skipif("tsan" not in PRELOADED, reason="runs under the thread sanitizer")
def test_a_race_is_reported() -> None:
    errors = errors_of(RACE, "TSAN_OPTIONS", 66)
    assert "ThreadSanitizer: data race" in errors
    assert "Race::run" in errors


@pytest.mark.skipif("asan" not in PRELOADED, reason="runs under the address sanitizer")
def test_a_read_behind_the_end_is_reported() -> None:
    errors = errors_of(OVERRUN, "ASAN_OPTIONS", 1)
    assert "AddressSanitizer: heap-buffer-overflow" in errors
    assert "Inference" in errors
