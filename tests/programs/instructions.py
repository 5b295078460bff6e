# SPDX-License-Identifier: BSD-3-Clause
"""Counts the instructions of a training step with valgrind, and stores them.

Valgrind does not support AVX-512, so level v3 is counted. The counts depend on the compiler: those
of this build are written to instructions.json, beside those of other compilers, by

    python tests/programs/instructions.py --store
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import instructions_probe
import probe
from fastnn import _core

FILE = Path(__file__).with_name("instructions.json")
MOST = 1.03  # times the stored count
LEVEL = "v3"
COUNT = ["--tool=callgrind", "--cache-sim=no", "--branch-sim=no", "--dump-before=getppid"]
STORE = "python tests/programs/instructions.py --store"


def compiler_key(text: str) -> str:
    """Return "gcc 12.2" of "gcc 12.2.0": patch releases generate the same code."""
    found = re.match(r"\w+ \d+\.\d+", text)
    return found[0] if found else text


def obstacle() -> str | None:
    """Return why instructions cannot be counted here, or None."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if os.environ.get("LD_PRELOAD"):
        return "another library is preloaded: its instructions would count"
    if LEVEL not in _core.built:
        return f"level {LEVEL} was not built"
    return None


def count(folder: Path, seconds: float = 600.0) -> tuple[str, dict[str, float]]:
    """Return the compiler, and the instructions of a step of each case."""
    environment = {"FASTNN_ISA": LEVEL, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    arguments = [f"--callgrind-out-file={folder}/out", sys.executable, instructions_probe.__file__]
    seen = probe.report(*COUNT, *arguments, seconds=seconds, env=environment, program="valgrind")
    assert seen["isa"] == LEVEL, f"the counted process ran level {seen['isa']}"
    parts = sorted(folder.glob("out.*"), key=lambda path: int(path.suffix[1:]))
    totals = [total(path.read_text(encoding="utf-8")) for path in parts]
    cases, steps = instructions_probe.CASES, instructions_probe.STEPS
    assert len(totals) == 3 * len(cases), f"{len(totals)} parts, expected three a case"
    counts = {
        name: (totals[3 * k + 2] - totals[3 * k + 1]) / steps for k, (name, *_) in enumerate(cases)
    }
    return compiler_key(seen["compiler"]), counts


def total(text: str) -> int:
    """Return the instructions of one part that callgrind wrote."""
    found = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
    assert found, "callgrind wrote no total"
    return int(found[1])


def regressions(stored: dict[str, float], counted: dict[str, float]) -> list[str]:
    """Name the cases that take more instructions than they may."""
    texts = []
    for name, instructions in counted.items():
        ratio = instructions / stored[name]
        if ratio > MOST:
            texts.append(
                f"{name}: {instructions:.0f} instructions a step, stored {stored[name]:.0f} "
                f"({100 * ratio - 100:+.1f} %)"
            )
    return texts


def store() -> int:
    """Write the counts of this build beside those of other compilers."""
    reason = obstacle()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        key, counted = count(Path(folder))
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for name, value in counted.items():
        before = known.get(key, {}).get(name)
        print(f"{name:<22}{value:>12.0f}" + (f"  {value / before - 1:+.1%}" if before else ""))
    known[key] = {name: round(value) for name, value in counted.items()}
    FILE.write_text(json.dumps(known, indent=1, sort_keys=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] != ["--store"]:
        sys.exit(f"usage: {STORE}")
    sys.exit(store())
