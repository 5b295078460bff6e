# SPDX-License-Identifier: BSD-3-Clause
"""Trains on parts that together are larger than the memory which the process may have.

Usage: stream_probe.py PREFETCH. The last line of the output is JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import nn

PARTS, ROWS, COLUMNS = 16, 10_000, 500  # 20 MB a part, 320 MB in all
MOST = 100_000_000  # bytes that may be allocated after the limit is set


def part(k: int) -> tuple[Any, Any]:
    """Return a part that nobody else holds; its rows fill no whole number of batches."""
    rng = np.random.default_rng(k)
    x = rng.standard_normal((ROWS + k, COLUMNS), np.float32)
    return x, rng.integers(0, 3, len(x))


def stream() -> Any:
    for k in range(PARTS):
        yield part(k)


model = nn.Sequential(nn.Linear(COLUMNS, 8), nn.Tanh(), nn.Linear(8, 3), n_threads=1)
model.compile("adam", "cross_entropy")
model.fit(*part(0))  # whatever is allocated once
pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
most = pages * resource.getpagesize() + MOST
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    whole = [part(k) for k in range(PARTS)]
    fits = True
except MemoryError:
    fits = False
whole = []
history = model.fit_stream(stream, 2, 64, prefetch=int(sys.argv[1]))
print(json.dumps({"fits": fits, "epochs": history.epoch, "steps": history.steps}))
