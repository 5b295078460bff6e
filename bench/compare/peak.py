# SPDX-License-Identifier: BSD-3-Clause
"""The peak speed of the processor, measured with `peak.c`, which is compiled here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["Peak"]

SOURCE = Path(__file__).with_name("peak.c")
FLAGS = ["-O3", "-march=native", "-ffp-contract=fast", "-pthread"]


class Peak:
    """The peak of one core and of all cores; without a C compiler there is none.

    Parameters
    ----------
    dtype : "float32" or "float64"
    folder : Path
        Where the compiled program is written.
    """

    def __init__(self, dtype: str, folder: Path) -> None:
        self.cores = sorted({1, len(os.sched_getaffinity(0))})
        self.compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
        self.program = folder / "peak"
        real = "float" if dtype == "float32" else "double"
        command = [self.compiler, *FLAGS, f"-DREAL={real}", str(SOURCE), "-o", str(self.program)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            self.cores = []

    def measure(self, seconds: float) -> dict[str, float]:
        """Return operations per second by number of threads."""
        found = {}
        for threads in self.cores:
            command = [str(self.program), str(threads), str(seconds)]
            reply = subprocess.run(command, check=True, capture_output=True, text=True)
            found[str(threads)] = float(reply.stdout)
        return found
