# SPDX-License-Identifier: BSD-3-Clause
"""A call keeps to the limits of threads that are set, and changes nothing for its process."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import probe
from fastnn import _core, build_info, nn, threads
from float_register import needs_register

CPUS = len(os.sched_getaffinity(0))
two_cpus = pytest.mark.skipif(CPUS < 2, reason="one processor: nothing to limit")


def seen(*names: str, **env: str) -> dict:
    return probe.report("limits_probe.py", *names, seconds=120, env=env)


@two_cpus
@pytest.mark.parametrize(
    ("env", "automatic", "explicit"),
    [
        ({}, None, 5),
        ({"OMP_NUM_THREADS": "1"}, 1, 5),
        ({"OMP_NUM_THREADS": "64"}, None, 5),
        ({"OMP_DYNAMIC": "true"}, None, 5),
        ({"OMP_PROC_BIND": "close"}, None, 5),
        ({"OMP_NESTED": "true"}, None, 5),
        ({"OMP_WAIT_POLICY": "active"}, None, 5),
        ({"OMP_WAIT_POLICY": "passive"}, None, 5),
        ({"OMP_THREAD_LIMIT": "1"}, 1, 1),  # the one limit that the runtime itself enforces
    ],
    ids=str,
)
def test_environment(env: dict[str, str], automatic: int | None, explicit: int) -> None:
    """The automatic choice keeps to the limits; a given n_threads is obeyed; bits never differ."""
    got = seen("fastnn", **env)["fastnn"]
    limits = got["limits"]
    expected = automatic or min(CPUS, limits["cgroup"] or CPUS)
    assert min(n for n in limits.values() if n) == expected
    assert got["None"] <= expected
    assert [got["1"], got["2"], got["5"]] == [min(n, explicit) for n in (1, 2, 5)]
    assert set(got["bits"]) == {reference_bits()}


@functools.cache
def reference_bits() -> str:
    """Return the digest of what one thread trains, in a process of its own."""
    return seen("fastnn")["fastnn"]["bits"][1]


@two_cpus
def test_affinity():
    if shutil.which("taskset") is None:
        pytest.skip("no taskset")
    cpu = str(min(os.sched_getaffinity(0)))
    command = ["-c", cpu, sys.executable, "limits_probe.py", "fastnn"]
    status, out, errors = probe.run(*command, seconds=60, program="taskset")
    assert status == 0, errors
    assert '"affinity": 1' in out
    assert '"None": 1' in out
    assert '"2": 2' in out


@two_cpus
def test_affinity_of_the_calling_thread_may_change():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert _core.threads_available() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert _core.threads_available() > 1


# The tests below have steps of different sizes, because models share what they have measured.
@two_cpus
def test_a_loop_of_steps_notices_a_new_affinity():
    """A step asks for the affinity every 64th time only, since that is a system call."""
    model = nn.Sequential(nn.Linear(64, 255), nn.ReLU(), nn.Linear(255, 5), seed=0)
    model.compile("sgd", "cross_entropy")
    x, y = np.ones((256, 64), np.float32), np.zeros(256, int)
    before = os.sched_getaffinity(0)
    used = []
    try:
        for step in range(256):
            if step == 128:
                os.sched_setaffinity(0, {min(before)})
            model.train_step(x, y)
            used.append(model.threads_used)
    finally:
        os.sched_setaffinity(0, before)
    assert max(used[:128]) > 1  # it tries more than one thread, whatever it settles on
    assert set(used[128 + 64 :]) == {1}


@two_cpus
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_threads_of_a_confined_caller_serve_it_alone():
    """A caller on one processor and of low priority makes threads; the next caller gets others."""
    calls = probe.report("scheduling_probe.py", seconds=60)
    assert calls["confined"]
    assert set(calls["confined"]) == {"1 19"}
    assert calls["free"]
    # They sleep off the caller's processor.
    assert set(calls["free"]) == {f"{CPUS - 1} {os.getpriority(os.PRIO_PROCESS, 0)}"}
    assert calls["working"] >= 3, "a member that works keeps off a processor"
    assert calls["free again"] == []
    assert calls["confined again"] == []


@two_cpus
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_small_calls_leave_the_others_of_a_large_team_asleep():
    found = probe.report("scheduling_probe.py", "large", seconds=60)
    assert found["woken"] == 1, "a small call wakes threads that it does not want"
    # A fit has 600 phases. Threads that it wants may sleep in some of them, on a busy machine.
    assert found["calls"] < 300, "phases try to wake threads that sleep on"


@two_cpus
def test_threadpoolctl():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    model = nn.Sequential(nn.Linear(64, 254), nn.ReLU(), nn.Linear(254, 5))
    model.compile("sgd", "cross_entropy")
    x, y = np.ones((256, 64), np.float32), np.zeros(256, int)
    before = _core.threads_available()
    with threadpoolctl.threadpool_limits(1):
        assert _core.threads_available() == 1
        assert model.fit(x, y, batch_size=256).threads_used == 1
        assert model.fit(x, y, batch_size=256, n_threads=2).threads_used == 2
    assert _core.threads_available() == before


@two_cpus
def test_a_block_limits_the_calls_of_its_thread():
    model = nn.Sequential(nn.Linear(64, 253), nn.ReLU(), nn.Linear(253, 5))
    model.compile("sgd", "cross_entropy")
    x, y = np.ones((256, 64), np.float32), np.zeros(256, int)
    before = _core.threads_available()
    assert _core.thread_limits()["thread"] is None
    with threads(1):
        assert _core.threads_available() == 1
        assert build_info()["thread_limits"]["thread"] == 1
        assert build_info()["threads_why"].endswith(", fastnn.threads(1)")
        assert model.fit(x, y, batch_size=256).threads_used == 1
        assert model.fit(x, y, batch_size=256, n_threads=2).threads_used == 2
        with ThreadPoolExecutor(1) as pool:  # the limit of another thread is another one
            assert pool.submit(_core.threads_available).result() == before
        with threads(2):
            assert _core.threads_available() == 2
        with pytest.raises(KeyError), threads(2):
            raise KeyError
        assert _core.threads_available() == 1
    assert _core.threads_available() == before
    for bad in (0, -1, 257, 2**40, 1.0, True, None, "2"):
        with pytest.raises((ValueError, TypeError), match=r"^\[threads\] n is .*; expected"):
            threads(bad)


@two_cpus
def test_a_loop_of_steps_notices_a_block_at_once():
    model = nn.Sequential(nn.Linear(64, 252), nn.ReLU(), nn.Linear(252, 5), seed=0)
    model.compile("sgd", "cross_entropy")
    x, y = np.ones((256, 64), np.float32), np.zeros(256, int)

    def used() -> set[int]:
        found = set()
        for _ in range(20):
            model.train_step(x, y)
            found.add(model.threads_used)
        return found

    before = used()
    with threads(1):
        assert used() == {1}
    assert max(before | used()) > 1  # it tries more than one thread, whatever it settles on


GROUPS = Path("/sys/fs/cgroup")


@two_cpus
def test_cgroup_quota():
    """The process is in a group below one that has the time of a single processor."""
    one = GROUPS / "cpu" if (GROUPS / "cpu").is_dir() else GROUPS
    outer = one / f"fastnn_test_{os.getpid()}"
    inner = outer / "inner"
    try:
        inner.mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        try:
            if one == GROUPS:
                (outer / "cpu.max").write_text("100000 100000")
            else:
                (outer / "cpu.cfs_quota_us").write_text("100000")
        except OSError as error:
            pytest.skip(f"no quota can be set: {error}")
        enter = f"echo $$ > {inner}/cgroup.procs && exec {sys.executable} limits_probe.py fastnn"
        status, out, errors = probe.run("-c", enter, seconds=120, program="sh")
        assert status == 0, errors
        assert '"cgroup": 1' in out
        assert '"None": 1' in out
    finally:
        inner.rmdir()
        outer.rmdir()


def check_order(names: tuple[str, ...]) -> None:
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    got = seen(*names, OMP_NUM_THREADS="2")
    assert set(got["fastnn"]["bits"]) == {reference_bits()}
    assert got["fastnn"]["5"] == 5
    assert got["torch again"] == got["torch"]
    assert got["torch"]["threads"] == 2
    assert set(got["pools"]) == {2}, "a call changed what other libraries may use"


LIBRARIES = ("torch", "sklearn", "fastnn")


@pytest.mark.parametrize("names", [LIBRARIES[::-1]], ids="-".join)
def test_order_of_imports(names: tuple[str, ...]) -> None:
    """Each library brings an OpenMP runtime; the first one loaded may serve the others."""
    check_order(names)


@pytest.mark.nightly
@pytest.mark.parametrize("names", list(itertools.permutations(LIBRARIES)), ids="-".join)
def test_all_orders_of_imports(names: tuple[str, ...]) -> None:
    check_order(names)


@needs_register
def test_floating_point_settings_stay():
    """Neither import nor training changes rounding or flush-to-zero, not in new threads either."""
    got = seen("fastnn")
    assert got["before"] == got["imported"] == got["used"] == got["thread"]
    tiny = np.float32(1e-45)
    assert tiny * np.float32(1) > 0
    assert np.float32(1.2e-38) / np.float32(2) > 0
    assert np.finfo(np.float32).smallest_subnormal > 0
