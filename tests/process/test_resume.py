# SPDX-License-Identifier: BSD-3-Clause
"""A training that is killed at any moment, and started again, ends in the file of one that was not.

The bytes of the files are compared, so this holds for values, the optimizer's state and counts,
running statistics, positions of random streams and the history.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import probe

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def test_killed_at_random_moments() -> None:
    """Some of the cases, killed once; the nightly test has all of them, killed 20 times."""
    seen = probe.report("resume_probe.py", "cases", "1", "10", seconds=120)
    assert seen["wrong"] == []
    assert seen["kills"] == seen["cases"] == 10
    assert seen["resumed"] > 2  # the other kills came before the first backup or after the last


@pytest.mark.nightly
def test_killed_at_twenty_random_moments_in_every_case() -> None:
    seen = probe.report("resume_probe.py", "cases", "20", seconds=3600)
    assert seen["wrong"] == []
    assert seen["kills"] == 20 * seen["cases"] >= 20 * 4 * 9
    assert seen["resumed"] > seen["kills"] / 2


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.nightly)])
def test_killed_between_hooks(step: int) -> None:
    """Early stopping and checkpoints go on with what they know, before and after each backup."""
    seen = probe.report("resume_probe.py", "callbacks", str(step), seconds=120)
    assert seen["wrong"] == []
    assert seen["kills"] >= 8


SCRIPT = """
import sys
import time
import numpy as np
from fastnn import callbacks, nn, optim

folder, wait_at = sys.argv[1], int(sys.argv[2])
x = np.random.default_rng(0).standard_normal((2000, 8))
model = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.1), nn.ReLU(), nn.Linear(64, 1))
model.compile(optim.Adam(lr=1e-3), "mse")
backup = callbacks.BackupAndRestore(f"{folder}/backup.npz")

def say(epoch):
    print(epoch, flush=True)
    if epoch == wait_at:
        time.sleep(60)

hook = callbacks.LambdaCallback(on_epoch_begin=say)
model.fit(x, x[:, 0] * x[:, 1], epochs=12, callbacks=[backup, hook])
model.save(f"{folder}/model.npz")
"""


def test_the_same_script_started_again(tmp_path: Path) -> None:
    """Of a script in an interpreter of its own, on as many threads as it chooses."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    ends = []
    for kill_at in ([], [4, 9]):
        folder = tmp_path / str(len(kill_at))
        folder.mkdir()
        begun: list[int] = []
        for wait_at in (*kill_at, -1):
            command = [sys.executable, str(tmp_path / "script.py"), str(folder), str(wait_at)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    begun.append(int(line))
                    if begun[-1] == wait_at:
                        process.send_signal(signal.SIGKILL)
            assert process.returncode == (0 if wait_at < 0 else -signal.SIGKILL)
        assert begun == sorted([*range(12), *kill_at])
        ends.append((folder / "model.npz").read_bytes())
    assert ends[0] == ends[1]
