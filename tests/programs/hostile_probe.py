# SPDX-License-Identifier: BSD-3-Clause
"""Loads wrong model files, each in a forked child whose memory is limited.

``limits FOLDER``: all files of a folder. ``mutations FILE COUNT SEED``: damaged copies of a file.
Prints, as JSON, what was not refused as it should be, and the longest time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

import fastnn
from mutated import mutations

SECONDS = 1.0
EXTRA = 16_000_000
SMALL = 100_000


def load(path: Path) -> str:
    """Return "" if the file is refused in time, else what happened."""
    start = perf_counter()
    try:
        fastnn.load(path)
    except fastnn.ModelFileError:
        seconds = perf_counter() - start
        return "" if seconds < SECONDS else f"{seconds:.2f} s"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "loaded"


def address_space() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def in_little_memory(paths: list[Path]) -> dict[str, tuple[str, float]]:
    """Load in a child that may take twice the file and 16 MB; return what was wrong, and times."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        found, before = {}, address_space()
        for path in paths:
            limit = before + 2 * path.stat().st_size + EXTRA
            resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
            start = perf_counter()
            said = load(path)
            found[path.name] = said[:500], perf_counter() - start
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        with os.fdopen(send, "w") as pipe:
            json.dump(found, pipe)
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if status == 0 else {str(paths): (f"ended with {status}", 0.0)}


def limits(folder: Path) -> dict[str, tuple[str, float]]:
    """Load small files one after another, and each large one in a child of its own."""
    paths = sorted(folder.iterdir())
    load(paths[0])  # what a first load imports is not part of the measurement
    found = in_little_memory([path for path in paths if path.stat().st_size < SMALL])
    for path in paths:
        if path.stat().st_size >= SMALL:
            found |= in_little_memory([path])
    return found


def damaged(path: Path, count: int, seed: int) -> dict[str, tuple[str, float]]:
    """Load damaged copies of a file."""
    found = {}
    changes = mutations(path.read_bytes(), count, np.random.default_rng(seed))
    with tempfile.NamedTemporaryFile() as file:
        for number, changed in enumerate(changes):
            Path(file.name).write_bytes(changed)
            start = perf_counter()
            said = load(Path(file.name))
            found[str(number)] = said, perf_counter() - start
    return found


def main() -> None:
    if sys.argv[1] == "limits":
        found = limits(Path(sys.argv[2]))
    else:
        found = damaged(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    wrong = {name: said for name, (said, _) in found.items() if said}
    slowest = max(seconds for _, seconds in found.values())
    print(json.dumps({"count": len(found), "wrong": wrong, "slowest": slowest}))


main()
