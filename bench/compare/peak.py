# SPDX-License-Identifier: BSD-3-Clause
"""What the processor could do at best: `peak.c`, compiled here and run between the turns."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["Peak"]

SOURCE = Path(__file__).with_name("peak.c")
FLAGS = ["-O3", "-march=native", "-ffp-contract=fast", "-pthread"]


class Peak:
    """Fused multiply-adds a second of one core and of all; nothing where there is no compiler.

    Parameters
    ----------
    dtype : "float32" or "float64"
    folder : Path
        The program is put there.
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
