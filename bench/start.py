# SPDX-License-Identifier: BSD-3-Clause
"""Measure the cost of starting: `python -m bench.start [--wheel FILE.whl]`.

Measures, in fresh interpreters, the time of imports in addition to NumPy's, and how much longer the
first `fit` of one step takes than a later one of the same model. Prints the size of the wheel.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.turns import alternate, finish, parser, table

from fastnn import _bench

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORT_LIMIT = 60.0  # milliseconds
FIT_LIMIT = 5.0
WHEEL_LIMIT = 5_000_000  # bytes
STATEMENTS = ["import fastnn", "from fastnn import _core", "from fastnn import nn, optim"]
LATER = 9

IMPORT = """
import numpy
from time import perf_counter
start = perf_counter()
{statement}
print(1e3 * (perf_counter() - start))
"""

FIT = """
import itertools, json, statistics, sys
from time import perf_counter
import numpy as np
from fastnn import nn, optim
widths, batch, optimizer, later = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
x = rng.standard_normal((batch, widths[0])).astype(np.float32)
y = rng.integers(0, widths[-1], batch)
layers = []
for a, b in itertools.pairwise(widths):
    layers += [nn.Linear(a, b), nn.ReLU()]
model = nn.Sequential(*layers[:-1])
model.compile(optimizer, nn.CrossEntropyLoss())
times = []
for _ in range(1 + later):
    start = perf_counter()
    model.fit(x, y, batch)
    times.append(1e3 * (perf_counter() - start))
print(json.dumps([times[0], statistics.median(times[1:])]))
"""


def fresh(environment: dict[str, str], script: str, *arguments: str) -> Any:
    """Run a script in a new interpreter and parse its output as JSON."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def imports(environment: dict[str, str], rounds: int) -> tuple[dict[str, Any], bool]:
    """Print the milliseconds of imports in addition to NumPy's."""
    scripts = {name: IMPORT.format(statement=name) for name in STATEMENTS}
    for script in scripts.values():
        fresh(environment, script)  # writes the byte code and fills the page cache
    turns = {name: partial(fresh, environment, script) for name, script in scripts.items()}
    found = alternate(turns, rounds, pause=0.0)
    lines = [
        [f"`{name}`", f"{statistics.median(times):.1f}", f"{min(times):.1f}", f"{IMPORT_LIMIT:g}"]
        for name, times in found.items()
    ]
    head = ["import, on top of NumPy's", "median ms", "least ms", "at most"]
    print(table(head, lines), end="\n\n")
    good = all(statistics.median(times) <= IMPORT_LIMIT for times in found.values())
    return {"ms": found, "limit_ms": IMPORT_LIMIT}, good


def first_fits(environment: dict[str, str], rounds: int) -> tuple[list[dict[str, Any]], bool]:
    """Print how much longer the first fit takes than later ones."""
    cases = [(w, b, name) for w, b in _bench.NETWORKS for name in ("sgd", "adam")]
    turns: dict[str, Callable[[], Any]] = {}
    for widths, batch, name in cases:
        title = f"{'-'.join(map(str, widths))}, {batch}, {name}"
        arguments = json.dumps([widths, batch, name, LATER])
        turns[title] = partial(fresh, environment, FIT, arguments)
    found = alternate(turns, rounds, pause=0.0)
    rows, lines, good = [], [], True
    for name, pairs in found.items():
        first, later = (statistics.median(values) for values in zip(*pairs, strict=True))
        more = statistics.median(a - b for a, b in pairs)
        good = good and more <= FIT_LIMIT
        lines.append([name, f"{first:.2f}", f"{later:.3f}", f"{more:.2f}", f"{FIT_LIMIT:g}"])
        rows.append({"case": name, "first_later_ms": pairs, "more_ms": more})
    head = ["fit of one step", "first ms", "later ms", "more", "at most"]
    print(table(head, lines), end="\n\n")
    return rows, good


def main() -> int:
    """Print the tables; return 1 if a goal is missed."""
    made = parser(__doc__, rounds=9)
    made.add_argument("--wheel", type=Path, help="whose size is judged")
    given = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # An installed package has byte code; here it is written to a temporary folder.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        imported, good = imports(environment, given.rounds)
        fits, fits_good = first_fits(environment, given.rounds)
    size = None
    if given.wheel is not None:
        size = given.wheel.stat().st_size
        good = good and size < WHEEL_LIMIT
        print(f"wheel: {size / 1e6:.2f} MB, below {WHEEL_LIMIT / 1e6:g} MB.")
    finish(given.json, imports=imported, fits=fits, wheel_bytes=size)
    return int(not (good and fits_good))


if __name__ == "__main__":
    sys.exit(main())
