# SPDX-License-Identifier: BSD-3-Clause
"""The scripts of examples/ run as they stand, and print what they are there to show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))

# Printed in the courses' notebooks.
GRADIENT_DESCENT = [
    (0.7135845195381634, 0.40),
    (0.6225835210454962, 0.59),
    (0.5548744083669508, 0.74),
    (0.501606141872473, 0.84),
    (0.4593334641861401, 0.86),
    (0.42525543433469976, 0.93),
    (0.3973461571671399, 0.93),
    (0.3741469765239074, 0.93),
    (0.35459973368161973, 0.94),
    (0.3379273658879921, 0.94),
]
ADMISSIONS = [
    0.26276093849966364,
    0.20928619409324895,
    0.20084292908073417,
    0.19862156475527884,
    0.19779851396686018,
    0.19742577912189863,
    0.19723507746241065,
    0.19712945625092465,
    0.19706766341315074,
    0.19703005801777368,
]


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
