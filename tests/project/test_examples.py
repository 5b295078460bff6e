# SPDX-License-Identifier: BSD-3-Clause
"""The scripts of examples/ run, and print the expected results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from figures import ADMISSIONS, GRADIENT_DESCENT

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def output(name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_is_short_and_listed(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) < 60
    assert f"`{script.name}`" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "script",
    [s for s in SCRIPTS if s.stem not in ("gradient_descent", "admissions")],
    ids=lambda path: path.stem,
)
def test_example_runs(script: Path) -> None:
    assert output(script.name)


def test_gradient_descent_prints_the_notebooks_figures() -> None:
    found = re.findall(r"train loss (\S+)  accuracy (\S+)", output("gradient_descent.py"))
    losses, accuracies = np.array(found, float).T
    printed = np.array(GRADIENT_DESCENT)
    np.testing.assert_allclose(losses, printed[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(accuracies, printed[:, 1], rtol=0, atol=1e-12)


def test_admissions_prints_the_lessons_figures() -> None:
    said = output("admissions.py")
    losses = [float(text) for text in re.findall(r"train loss (\S+)", said)]
    np.testing.assert_allclose(losses, ADMISSIONS, rtol=0, atol=1e-12)
    assert "test accuracy 0.725" in said
