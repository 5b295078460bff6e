# SPDX-License-Identifier: BSD-3-Clause
"""A process that is killed while it saves leaves the file of this save or of the one before."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import probe

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.skipif(
        not (ROOT / "bench" / "killed_saves.py").is_file(), reason="bench/ is in checkouts only"
    ),
]


def killed(kills: int, only: str, tmp_path: Path, seconds: float) -> dict[str, dict[str, int]]:
    imports = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    status, out, errors = probe.run(
        *("-m", "bench.killed_saves", "--rounds", str(kills), "--only", only),
        *("--json", str(tmp_path / "found.json")),
        seconds=seconds,
        env={"PYTHONPATH": os.pathsep.join(filter(None, imports))},
    )
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["found"]
    assert status == 0 or "fastnn" not in only, (out, errors)
    assert all(outcome["kills"] == kills for outcome in found.values())
    return found


def check(found: dict[str, dict[str, int]]) -> None:
    assert len(found) == 2  # both kinds of file
    for name, outcome in found.items():
        assert outcome["unreadable"] == outcome["older"] == outcome["strays_later"] == 0, name
        assert outcome["strays"] <= 1, name


def test_twenty_kills(tmp_path: Path) -> None:
    check(killed(20, "fastnn", tmp_path, 60))


@pytest.mark.nightly
def test_a_thousand_kills(tmp_path: Path) -> None:
    check(killed(1000, "fastnn", tmp_path, 1800))


def test_the_count_would_show_a_loss(tmp_path: Path) -> None:
    """np.savez writes into the file itself, and most kills leave half a file."""
    found = killed(5, "np.savez", tmp_path, 60)
    assert found["np.savez"]["unreadable"] > 0
