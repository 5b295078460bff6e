# SPDX-License-Identifier: BSD-3-Clause
"""With limited threads or stack, calls run on fewer threads, down to one, with the same bits."""

from __future__ import annotations

import functools
import sys
from typing import Any

import pytest

import probe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


def answers(case: str, number: int, **env: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = probe.report(
        "starved_probe.py", case, str(number), seconds=90, env=env
    )
    return found


@functools.cache
def expected() -> str:
    bits: str = answers("plain", 1)[0]["bits"]
    return bits


def check(found: list[dict[str, Any]], most: int) -> None:
    assert {answer["bits"] for answer in found} == {expected()}
    assert max(answer["threads"] for answer in found) <= most


@pytest.mark.parametrize("beyond", [0, 1, 2, 3, 5])
def test_only_a_few_threads_can_be_started(beyond: int) -> None:
    """One of them is the driver of the team, and the caller works itself."""
    found = answers("threads", beyond)
    assert len(found) == 5
    check(found, max(1, beyond))


@pytest.mark.parametrize("beyond", [3, 6, 9])
def test_callers_that_start_threads_at_once(beyond: int) -> None:
    """Teams are made one after the other, since OpenMP ends the process without enough threads."""
    found = answers("callers", beyond)
    assert len(found) == 6
    check(found, 4)


@pytest.mark.parametrize("beyond", [0, 1, 3])
def test_a_team_that_stands_goes_on(beyond: int) -> None:
    found = answers("later", beyond)
    check(found, max(2, beyond + 2))
    assert [answer["threads"] for answer in found[:2]] == [2, 2]


@pytest.mark.parametrize("beyond", [0, 1, 2])
def test_a_child_that_can_start_no_thread(beyond: int) -> None:
    found = answers("child", beyond)
    assert len(found) == 4
    check(found, 2)


@pytest.mark.parametrize("kilobytes", [32, 64, 128, 256])
def test_threads_with_a_small_stack(kilobytes: int) -> None:
    found = answers("stack", kilobytes)
    assert len(found) == 12
    check(found, 5)
    assert {answer["threads"] for answer in found} >= {1, 2, 5}


def test_a_small_stack_and_no_thread() -> None:
    (said,) = answers("stack_alone", 32)
    assert "stack" in said["bits"]
    assert "threading.stack_size" in said["bits"]


@pytest.mark.parametrize("size", ["16k", "20K", "100 k", "256k", "4M", "nonsense", "8G"])
def test_stacks_of_openmp_of_any_size(size: str) -> None:
    """Threads with too small a stack take no items; if none can be started, the caller does all."""
    found = answers("plain", 5, OMP_STACKSIZE=size)
    check(found, 5)
    if size in {"16k", "20K", "100 k"}:
        assert {answer["threads"] for answer in found} == {1}
    elif size in {"256k", "4M"}:
        assert [answer["threads"] for answer in found] == [1, 2, 3, 5]


def test_a_stack_that_cannot_be_mapped_under_the_name_of_gcc() -> None:
    check(answers("plain", 5, GOMP_STACKSIZE="100000G"), 1)
