# SPDX-License-Identifier: BSD-3-Clause
"""Runs a program of this folder in a process group of its own, which is killed after a deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).resolve().parent


def run(
    *arguments: str,
    seconds: float,
    env: dict[str, str] | None = None,
    program: str = sys.executable,
) -> tuple[int, str, str]:
    """Return exit status (negative: a signal), output and errors of ``program *arguments``.

    The program can import what tests share, and starts in this folder.
    """
    imports = [str(PROGRAMS), str(PROGRAMS.parent), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROGRAMS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, imports)), **(env or {})},
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, errors = process.communicate()
        pytest.fail(f"{' '.join(arguments)} hung for {seconds} s\n{out}\n{errors}", pytrace=False)
    return process.returncode, out, errors


def report(
    *arguments: str,
    seconds: float,
    env: dict[str, str] | None = None,
    program: str = sys.executable,
) -> Any:
    """Return the last line of the program's output, as JSON; the program must not fail."""
    status, out, errors = run(*arguments, seconds=seconds, env=env, program=program)
    assert status == 0, f"{' '.join(arguments)} ended with {status}\n{out}\n{errors}"
    return json.loads(out.splitlines()[-1])
