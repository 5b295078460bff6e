# SPDX-License-Identifier: BSD-3-Clause
"""The number of threads that is chosen by measuring is the fastest one, with simulated times."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fastnn import _core

if TYPE_CHECKING:
    from collections.abc import Callable

FLOPS = 1e6  # of a step: neither so small nor so large that there is nothing to choose


def shares(
    limit: int,
    cost: Callable[[float, int], float],
    seconds: float,
    flops: float = FLOPS,
    size: int = 0,
) -> list[tuple[float, int, float]]:
    """Return (time, threads, duration) of all stretches; a step at t takes ``cost(t, threads)``.

    With the size of a number, the fit knows what earlier ones with such steps have measured.
    """
    return _core.testing.choose_threads(limit, flops, cost, seconds, size)


def time_on(stretches: list[tuple[float, int, float]], first: float, last: float) -> Counter[int]:
    counted: Counter[int] = Counter()
    for start, threads, took in stretches:
        if first <= start < last:
            counted[threads] += took
    return counted


def usual(stretches: list[tuple[float, int, float]], first: float, last: float) -> int:
    """Return the number of threads that was used for nine tenths of the time."""
    counted = time_on(stretches, first, last)
    threads, took = counted.most_common(1)[0]
    assert took >= 0.9 * sum(counted.values()), counted
    return threads


@pytest.mark.parametrize("fastest", [1, 2, 4, 8])
@pytest.mark.parametrize("step", [20e-6, 2e-3])
def test_the_fastest_is_taken(step, fastest):
    def cost(_, threads):
        return step * (1.0 if threads == fastest else 1.3 + 0.1 * abs(threads - fastest))

    for flops in (FLOPS, 1e8):  # trials begin with one thread; with all
        stretches = shares(8, cost, 3.0, flops)
        assert {threads for _, threads, _ in stretches} == {1, 2, 4, 8}
        assert usual(stretches, 1.0, 3.0) == fastest


def test_more_threads_have_to_be_worth_it():
    stretches = shares(2, lambda _, threads: 1e-4 * (1 if threads == 1 else 0.99), 3.0)
    assert usual(stretches, 1.0, 3.0) == 1
    stretches = shares(2, lambda _, threads: 1e-4 * (1 if threads == 1 else 0.9), 3.0)
    assert usual(stretches, 1.0, 3.0) == 2


def test_the_choice_follows_the_machine():
    """Another program runs from the second to the fourth second."""

    def cost(now, threads):
        busy = 2 <= now < 4
        return 1e-4 * (1.0 if threads == 1 else 3.0 if busy else 0.6)

    stretches = shares(2, cost, 7.0)
    assert usual(stretches, 1.0, 2.0) == 2
    assert usual(stretches, 3.0, 4.0) == 1
    assert usual(stretches, 5.5, 7.0) == 2


@pytest.mark.parametrize("step", [1, 4, 8, 12, 40])
def test_one_stall_does_not_decide(step):
    """A candidate with a stall of 20 ms in its trial is tried again."""
    done = []

    def cost(_, threads):
        if threads == 2:
            done.append(threads)
        stalls = threads == 2 and len(done) == step
        return 20e-3 if stalls else 1e-4 * (1.0 if threads == 1 else 0.6)

    assert usual(shares(2, cost, 1.5), 0.3, 1.5) == 2


def test_trials_cost_little():
    """Trials take at most a tenth of the time if the other choice is five times as slow."""
    for fastest in (1, 4):
        stretches = shares(4, lambda _, n, f=fastest: 1e-4 * (1 if n == f else 5), 10.0)
        counted = time_on(stretches, 0, 10.0)
        assert counted[fastest] >= 0.9 * sum(counted.values()), counted


def test_where_there_is_nothing_to_choose():
    def cost(_, threads):
        return 1e-4 / threads

    assert {n for _, n, _ in shares(8, cost, 0.1, flops=1e4)} == {
        1
    }  # the end of a phase costs more
    assert {n for _, n, _ in shares(8, cost, 0.1, flops=1e10)} == {8}  # a trial would take too long
    assert {n for _, n, _ in shares(1, cost, 0.1)} == {1}
    assert {n for _, n, _ in shares(6, cost, 1.0)} == {1, 2, 4, 6}


def test_the_next_fit_begins_with_what_the_last_one_measured():
    def cost(_, threads):
        return 1e-4 / threads

    flops = 1.25e6  # steps of a size that no other test has
    first = shares(4, cost, 0.1, flops, 8)
    assert {threads for _, threads, _ in first} == {1, 2, 4}
    again = shares(4, cost, 0.02, flops, 8)
    assert {threads for _, threads, _ in again} == {4}
    # Numbers of another size, another limit and steps of another size are other kinds.
    for limit, other, size in ((4, flops, 4), (2, flops, 8), (4, 2 * flops, 8)):
        assert shares(limit, cost, 0.02, other, size)[0][1] == 1


def test_what_was_measured_is_measured_again():
    flops = 1.5e6
    assert usual(shares(2, lambda _, threads: 1e-4 / threads, 1.0, flops, 8), 0.5, 1.0) == 2
    # On a machine that has become busy meanwhile, two threads are slower.
    busy = shares(2, lambda _, threads: 1e-4 * threads, 1.0, flops, 8)
    assert busy[0][1] == 2
    assert usual(busy, 0.1, 1.0) == 1
    # One thread is as fast on a machine that is quiet again, so only another trial finds out.
    quiet = shares(2, lambda _, threads: 1e-4 / threads, 2.0, flops, 8)
    assert quiet[0][1] == 1
    assert usual(quiet, 1.0, 2.0) == 2
