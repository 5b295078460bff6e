# SPDX-License-Identifier: BSD-3-Clause
"""Counts the comparisons with torch that ran, and prints them with the number of registry rows.

A test counts if it passed and is marked ``torch``, explicitly or because it uses the fixture of
that name. tests/conftest.py loads this plugin, and .ci/run reads the line that it prints.
"""

from __future__ import annotations

import pytest

_ran = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ran] = 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "torch" in getattr(item, "fixturenames", ()):
            item.add_marker("torch")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.when == "call" and report.passed and item.get_closest_marker("torch"):
        item.config.stash[_ran] += 1
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    try:
        from fastnn import _core
    except ImportError:  # The failing tests report the reason.
        return
    rows = sum(len(room) for room in _core.registries().values())
    ran = config.stash[_ran]
    terminalreporter.write_line(f"torch comparisons: {ran} ran, {rows} rows registered")
