# SPDX-License-Identifier: BSD-3-Clause
"""Files in the format safetensors: the length of a JSON text, the text, the bytes of the arrays.

https://github.com/huggingface/safetensors defines the format. The library of that name reads these
files, and its files are read here, but it is not used to do so: it writes without fsync, changes
the order of the header's texts from run to run, holds a second copy of all arrays, and maps the
file, so that a process dies if the file becomes shorter (docs/dependencies.md).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from . import header, strict_json, tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .atomic import Replacement
    from .source import Source
    from .tensors import Entry

__all__ = ["index", "looks_like", "write"]

LENGTH = 8  # bytes of the header's length
MAX_HEADER = 100_000_000
ALIGNMENT = 8  # of the first array; spaces fill the header up
METADATA = "__metadata__"


def looks_like(start: bytes) -> bool:
    """Return whether a file that begins with these bytes is meant to be one of this format."""
    return start[LENGTH : LENGTH + 1] == b"{"


def write(
    file: Replacement,
    head: header.Header,
    entries: Mapping[str, Entry],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write a model file."""
    texts = header.texts(head)
    listed: dict[str, Any] = {METADATA: texts}
    for name, entry in entries.items():
        end = entry.offset + entry.size
        listed[name] = {
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": [entry.offset, end],
        }
    text = json.dumps(listed, separators=(",", ":")).encode("ascii")
    strict_json.check(text, sum(entry.size for entry in entries.values()))
    text += b" " * (-len(text) % ALIGNMENT)
    checksum = text.index(header.UNKNOWN_SHA256.encode("ascii"))
    file.write(len(text).to_bytes(LENGTH, "little") + text)
    with head.digest(entries) as digest:
        for name in entries:
            for piece in tensors.pieces(arrays[name]):
                digest.update(piece)
                file.write(piece)
        file.flush()  # while the other thread still computes the checksum
        sha256 = digest.hexdigest()
    file.patch(LENGTH + checksum, sha256.encode("ascii"))


def index(source: Source) -> tuple[dict[str, Any] | None, dict[str, Entry]]:
    """Return the texts of the header, None if it has none, and where the arrays are."""
    length = int.from_bytes(source.read(0, LENGTH), "little")
    start = LENGTH + length
    if length > MAX_HEADER:
        raise source.wrong(f"the header is {length} bytes long; expected at most {MAX_HEADER}")
    if start > source.size:
        raise source.wrong(
            f"the file is truncated: its header is {length} bytes long, but the file {source.size}"
        )
    listed = _listed(source, length)
    texts = listed.pop(METADATA, None)
    if texts is not None and not isinstance(texts, dict):
        raise source.wrong(f"{METADATA} is not a JSON object")
    found = {name: _entry(source, name, listed[name], start) for name in listed}
    end = start
    for name in sorted(found, key=lambda name: (found[name].offset, found[name].size)):
        if found[name].offset != end:
            kind = "a hole before" if found[name].offset > end else "an overlap with"
            raise source.wrong(f"there is {kind} the bytes of '{name}'")
        end += found[name].size
    if end != source.size:
        raise source.wrong(
            f"the header describes {end} bytes, but the file has {source.size}: it is truncated, "
            "or something was appended"
        )
    return texts, found


def _listed(source: Source, length: int) -> dict[str, Any]:
    text = source.read(LENGTH, length)
    try:
        strict_json.check(text, source.size - LENGTH - length)
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise source.wrong("the header is not UTF-8") from error
    except ValueError as error:
        raise source.wrong(f"the header has {error}") from error
    del text
    decoded = decoded.rstrip(" ")
    if not (decoded.startswith("{") and decoded.endswith("}")):
        raise source.wrong("the header is not a JSON object")
    found = header.parsed(source, "the header", decoded)
    assert isinstance(found, dict)
    return found


def _entry(source: Source, name: str, given: Any, start: int) -> Entry:
    if not isinstance(given, dict) or set(given) != {"dtype", "shape", "data_offsets"}:
        raise source.wrong(f"'{name!a:.60}' is not described by dtype, shape and data_offsets")
    offsets = given["data_offsets"]
    pair = isinstance(offsets, list) and len(offsets) == 2
    if not pair or not all(type(at) is int and 0 <= at <= source.size for at in offsets):
        raise source.wrong(f"'{name}' has data_offsets that are not two places in the file")
    try:
        entry = tensors.entry(name, given["dtype"], given["shape"], start + offsets[0])
    except ValueError as error:
        raise source.wrong(str(error)) from error
    if entry.size != offsets[1] - offsets[0]:
        raise source.wrong(
            f"'{name}' needs {entry.size} bytes for its shape and dtype, but has "
            f"{offsets[1] - offsets[0]}"
        )
    return entry
