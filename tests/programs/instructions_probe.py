# SPDX-License-Identifier: BSD-3-Clause
"""Trains small networks for test_instructions.py, under valgrind, as a program.

Each fit ends with a call of getppid: callgrind writes down what it has counted when it sees one,
and begins anew. So one process, whose start takes most of the time, serves all networks.
"""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import numpy as np

from fastnn import _core

# Steps of the shorter fit; the longer has twice as many, and the difference is this many steps
# without what a call costs.
STEPS = 16
# Name, widths, batch, optimizer
CASES = [
    ("64-32-10, 32, sgd", (64, 32, 10), 32, "sgd"),
    ("64-32-10, 32, adam", (64, 32, 10), 32, "adam"),
    ("17-64-64-6, 64, sgd", (17, 64, 64, 6), 64, "sgd"),
    ("4-64-64-2, 1, sgd", (4, 64, 64, 2), 1, "sgd"),
]


def fits(widths: tuple[int, ...], batch: int, optimizer: str) -> None:
    """Fit three times and mark each end: to warm up, then STEPS and 2 STEPS steps."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2 * STEPS * batch, widths[0])).astype(np.float32)
    y = rng.integers(0, widths[-1], len(x))
    layers: list[tuple[str, dict[str, Any]]] = []
    for a, b in itertools.pairwise(widths):
        layers += [("linear", {"in_features": a, "out_features": b}), ("relu", {})]
    network = _core.Network(layers[:-1], "float32", 0)
    network.compile("cross_entropy", {}, optimizer, {"lr": 1e-3})
    for rows in (STEPS * batch, STEPS * batch, 2 * STEPS * batch):
        network.fit(x[:rows], y[:rows], batch_size=batch, epochs=1, shuffle=False, n_threads=1)
        os.getppid()


if __name__ == "__main__":
    for _, *case in CASES:
        fits(*case)
    print(json.dumps({"isa": _core.isa, "compiler": _core.build_info()["compiler"]}))
