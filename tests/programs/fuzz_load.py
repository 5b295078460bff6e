# SPDX-License-Identifier: BSD-3-Clause
"""Coverage-guided fuzzing of ``fastnn.load``: ``python fuzz_load.py FOLDER [options]``.

FOLDER keeps the corpus, which begins with one small model in each format. Everything but
ModelFileError, and a model that loads although its bytes were changed, ends the run as a finding.
The code behind the checksum is reached because every second input gets a checksum that fits.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fastnn._files", "fastnn.nn", "json"]):
    import fastnn
    from fastnn import nn
    from fastnn.nn import _loading  # noqa: F401

FILE = Path(tempfile.gettempdir()) / f"fuzz-{os.getpid()}.safetensors"


def seeds(folder: Path) -> set[bytes]:
    """Write a model in each format to the folder and return their contents."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 1), seed=5)
    model.compile("adam", "mse")
    model.fit([[1, 2], [3, 4], [5, 6]], [1, 2, 3], epochs=2)
    found = set()
    for suffix in (".safetensors", ".npz"):
        path = folder / f"model{suffix}"
        model.save(path)
        found.add(path.read_bytes())
    return found


def sealed(data: bytes) -> bytes:
    """Return a .safetensors file with a checksum that fits, if the header can be read."""
    length = int.from_bytes(data[:8], "little")
    try:
        listed = json.loads(data[8 : 8 + length])
        texts = listed["__metadata__"]
        start = [texts[f"fastnn.{name}"] for name in ("format", "version", "config")]
        table = [[k, v["dtype"], v["shape"]] for k, v in listed.items() if k != "__metadata__"]
        digest = hashlib.sha256(json.dumps([*start, table], separators=(",", ":")).encode())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return data
    digest.update(data[8 + length :])
    former = str(texts.get("fastnn.sha256")).encode("utf-8", "replace")
    return data.replace(former, digest.hexdigest().encode(), 1) if len(former) == 64 else data


def main() -> None:
    known = seeds(Path(sys.argv[1]))

    def test(data: bytes) -> None:
        resealed = len(data) % 2 == 0
        FILE.write_bytes(sealed(data) if resealed else data)
        try:
            fastnn.load(FILE)
        except fastnn.ModelFileError:
            return
        if not resealed and data not in known:
            raise AssertionError("a changed file was loaded")

    arguments = [sys.argv[0], *sys.argv[2:], "-timeout=5", "-rss_limit_mb=2048"]
    arguments += ["-max_len=20000", sys.argv[1]]
    atheris.Setup(arguments, test)
    atheris.Fuzz()


main()
