# SPDX-License-Identifier: BSD-3-Clause
"""JSON of an unknown author: its size in memory and its depth are checked before it is parsed."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import numpy as np

__all__ = ["check", "parse"]

MAX_DEPTH = 128
# At most this much memory for values, in addition to as many bytes as the file has.
MEMORY = 12_000_000
# Bytes of memory that a value can take, by the characters that it needs in the text: an object, an
# array, a further value (a float and its place in a list), a name in an object, half a string.
_WEIGHTS = {b"{": 240, b"[": 96, b",": 40, b":": 110, b'"': 28}

_NO_BRACKET = re.compile(r"[^\[\]{}]++")


def check(text: bytes, spare: int) -> None:
    """Raise ValueError unless `text` is ASCII, and short and flat enough to be parsed.

    Parameters
    ----------
    text : bytes
    spare : int
        Bytes of memory that its values may take beside `MEMORY`.
    """
    limit = MEMORY + spare
    if not text.isascii():  # then Python needs up to four bytes for each character
        limit -= 6 * len(text)
    needed = 0
    for start in range(0, len(text), 1 << 20):
        piece = text[start : start + (1 << 20)]
        needed += sum(weight * piece.count(sign) for sign, weight in _WEIGHTS.items())
        if needed > limit:
            break
    if needed > limit:
        raise ValueError("more values than a file of this size may have")


def parse(text: str) -> Any:
    """Return the value of a text that `check` has accepted; ValueError if it is not JSON."""
    brackets = _NO_BRACKET.sub("", _without_strings(text)).encode("ascii")
    codes = np.frombuffer(brackets, np.uint8)
    steps = np.where((codes == ord("[")) | (codes == ord("{")), np.int8(1), np.int8(-1))
    depths = np.cumsum(steps, dtype=np.int32)
    if depths.size and depths.max() > MAX_DEPTH:
        raise ValueError(f"brackets that are nested deeper than {MAX_DEPTH}")
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)


def _without_strings(text: str) -> str:
    """Return the text without its strings. Those are few, but may be long and full of escapes."""
    kept, at = [], 0
    while (start := text.find('"', at)) >= 0:
        kept.append(text[at:start])
        at = _end_of_string(text, start + 1)
    return "".join([*kept, text[at:]])


def _end_of_string(text: str, at: int) -> int:
    while (end := text.find('"', at)) >= 0:
        before = text[at:end]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return end + 1
        at = end + 1
    raise ValueError("a string that is not closed")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:80]!r} twice in one object")
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is not JSON")
