# SPDX-License-Identifier: BSD-3-Clause
"""The number of instructions of a training step does not grow: a measure of speed without noise."""

from __future__ import annotations

import json

import pytest

import instructions_probe
from fastnn import _core
from instructions import FILE, STORE, compiler_key, count, obstacle, regressions


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, float]]:
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_step_takes_no_more_instructions_than_before(known, tmp_path) -> None:
    key = compiler_key(_core.build_info()["compiler"])
    reason = obstacle()
    if reason is None and key not in known:
        reason = f"no counts are stored for {key}; to store them: {STORE}"
    if reason is not None:
        pytest.skip(reason)
    _, counted = count(tmp_path)
    found = regressions(known[key], counted)
    assert not found, "\n".join([*found, f"if it is worth it: {STORE}"])


def test_stored_counts_cover_all_cases(known) -> None:
    assert known
    for key, counts in known.items():
        assert key == compiler_key(key)
        assert list(counts) == [name for name, *_ in instructions_probe.CASES]
        assert all(value > 0 for value in counts.values())


def test_a_regression_would_be_seen(known) -> None:
    """Check with stored counts that are too small by more than 3 % that the test can fail."""
    today = next(iter(known.values()))
    assert regressions(today, today) == []
    assert regressions({name: value / 1.029 for name, value in today.items()}, today) == []
    assert regressions({name: value * 2 for name, value in today.items()}, today) == []
    for name in today:
        found = regressions({**today, name: today[name] / 1.031}, today)
        assert len(found) == 1
        assert found[0].startswith(name)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("gcc 12.2.0", "gcc 12.2"),
        ("gcc 15.1.1 20250425", "gcc 15.1"),
        ("clang 19.1.7 ", "clang 19.1"),
    ],
)
def test_counts_are_stored_by_compiler(text: str, key: str) -> None:
    assert compiler_key(text) == key
