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
from fastnn._files import read
from mutated import mutations

SECONDS = 1.0
EXTRA = 16_000_000


def load(path: Path) -> str:
    """Return "" if the file is refused in time, else what happened."""
    start = perf_counter()
    try:
        read("load", path)
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


def in_little_memory(path: Path) -> str:
    """Load in a child that may take twice the file and 16 MB; return what was wrong."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        limit = address_space() + 2 * path.stat().st_size + EXTRA
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        os.write(send, load(path).encode()[:1000])
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return said if status == 0 else f"ended with {status}"


def main() -> None:
    found, slowest, count = {}, 0.0, 0
    if sys.argv[1] == "limits":
        paths = sorted(Path(sys.argv[2]).iterdir())
        load(paths[0])  # what a first load imports is not part of the measurement
        for path in paths:
            count += 1
            start = perf_counter()
            said = in_little_memory(path)
            slowest = max(slowest, perf_counter() - start)
            if said:
                found[path.name] = said
    else:
        content = Path(sys.argv[2]).read_bytes()
        rng = np.random.default_rng(int(sys.argv[4]))
        with tempfile.NamedTemporaryFile() as file:
            for number, changed in enumerate(mutations(content, int(sys.argv[3]), rng)):
                count += 1
                Path(file.name).write_bytes(changed)
                start = perf_counter()
                said = load(Path(file.name))
                slowest = max(slowest, perf_counter() - start)
                if said:
                    found[str(number)] = said
    print(json.dumps({"count": count, "wrong": found, "slowest": slowest}))


main()
