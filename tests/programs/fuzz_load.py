# SPDX-License-Identifier: BSD-3-Clause
"""Coverage-guided fuzzing of ``fastnn.load``: ``python fuzz_load.py FOLDER [options]``.

FOLDER keeps the corpus, which begins with one small model in each format. Everything but
ModelFileError, and a model that loads although its checksum does not fit, ends the run as a
finding. The code behind the checksum is reached because every second input gets a checksum that
fits.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(include=["fastnn._files", "fastnn.nn", "json"]):
    import fastnn
    from fastnn import (
        _loading,  # noqa: F401
        nn,
    )

FILE = Path(tempfile.gettempdir()) / f"fuzz-{os.getpid()}.safetensors"


def write_seeds(folder: Path) -> None:
    """Write a model in each format to the folder."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 1), seed=5)
    model.compile("adam", "mse")
    model.fit([[1, 2], [3, 4], [5, 6]], [1, 2, 3], epochs=2)
    for suffix in (".safetensors", ".npz"):
        path = folder / f"model{suffix}"
        model.save(path)
        assert sealed(path.read_bytes()) == path.read_bytes()


def content(data: bytes) -> tuple[dict[str, str], list[list[Any]], bytes]:
    """Return the texts of the header, the table of the arrays, and their bytes."""
    table: list[list[Any]] = []
    if not data.startswith(b"PK"):
        length = int.from_bytes(data[:8], "little")
        listed = json.loads(data[8 : 8 + length])
        texts = listed.pop("__metadata__")
        table = [[name, each["dtype"], each["shape"]] for name, each in listed.items()]
        return texts, table, data[8 + length :]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    values = b""
    for member in members:
        start = member.header_offset + 30 + len(member.filename.encode())
        file = io.BytesIO(data[start : start + member.file_size])
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if member.filename != "__metadata__.npy":
            kind = {"f": "F", "i": "I"}[dtype.kind]
            name = member.filename.removesuffix(".npy")
            table.append([name, f"{kind}{8 * dtype.itemsize}", list(shape)])
            values += file.read()
    return json.loads(file.read()), table, values


def sealed(data: bytes) -> bytes:
    """Return the file with a checksum that fits, if its header can be read."""
    try:
        texts, table, values = content(data)
        start = [texts[f"fastnn.{name}"] for name in ("format", "version", "config")]
        digest = hashlib.sha256(json.dumps([*start, table], separators=(",", ":")).encode())
        former = str(texts["fastnn.sha256"]).encode("utf-8", "replace")
    except Exception:  # it is altered so much that nothing can be read
        return data
    digest.update(values)
    return data.replace(former, digest.hexdigest().encode(), 1) if len(former) == 64 else data


def main() -> None:
    write_seeds(Path(sys.argv[1]))

    def test(data: bytes) -> None:
        resealed = len(data) % 2 == 0
        FILE.write_bytes(sealed(data) if resealed else data)
        try:
            fastnn.load(FILE)
        except fastnn.ModelFileError:
            return
        # atheris tells the fuzzer what is compared, so it may have found the checksum that fits.
        if not resealed and sealed(data) != data:
            raise AssertionError("a changed file was loaded")

    limits = ["-timeout=5", "-rss_limit_mb=2048", "-max_len=20000"]  # an option that is given wins
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:], sys.argv[1]], test)
    atheris.Fuzz()


main()
