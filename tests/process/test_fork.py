# SPDX-License-Identifier: BSD-3-Clause
"""Training works in forked children: with all threads, the bits of the parent, and no deadlock.

The threads of an OpenMP runtime do not exist in a forked child, and its next parallel region would
wait for them forever. So a child makes teams of its own (cpp/core/parallel_pool.cpp).
"""

from __future__ import annotations

import importlib.util
import os

import pytest

import probe

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

CASES = [
    "plain",
    "grandchild",
    "threads_in_child",
    "libraries",
    "pool",
    "inside_fit",
    "in_callback",
    "in_handler",
    "beside_readers",
    "beside_readers_in_callback",
    "beside_writer",
    "preload",
]


def check(case: str, times: int) -> None:
    if case == "libraries":
        for name in ("torch", "sklearn"):
            if importlib.util.find_spec(name) is None:
                pytest.skip(f"{name} is not installed")
    seen = probe.report("fork_probe.py", case, str(times), seconds=60 + 15 * times)
    assert seen["late"] == 0, f"{seen['late']} of {seen['children']} children hung"
    assert seen["wrong"] == []
    assert seen["threads"] == 2
    assert seen["children"] >= times


@pytest.mark.parametrize("case", CASES)
def test_children_train_as_their_parent(case: str) -> None:
    check(case, 2 if case == "libraries" else 4)


@pytest.mark.nightly
@pytest.mark.parametrize("case", CASES)
def test_a_hundred_children(case: str) -> None:
    check(case, 100)


def test_the_watchdog_sees_a_late_child() -> None:
    """The tests above can fail."""
    seen = probe.report("fork_probe.py", "late", "1", seconds=60, env={"FORK_DEADLINE": "3"})
    assert seen["late"] == 1
