# SPDX-License-Identifier: BSD-3-Clause
"""Damaged copies of a file: changed bits and bytes, parts that are missing, moved or doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

__all__ = ["mutations"]

# Bytes that mean something in headers.
TELLING = b'\0\xff\x80\x7f 0123456789[]{}(),:"\\.-+eE/\tPK\1\2\3\4\5\6truefalsn'


def mutations(content: bytes, count: int, rng: np.random.Generator) -> Iterator[bytes]:
    """Yield `count` copies of `content`, each with one to three changes, none equal to it."""
    made = 0
    while made < count:
        changed = bytearray(content)
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            _mutate(changed, rng)
        if changed != content:
            made += 1
            yield bytes(changed)


def _mutate(data: bytearray, rng: np.random.Generator) -> None:
    if not data:
        return
    # Half of all changes are in the first or the last bytes, where the structure is.
    ends = min(len(data), 1000)
    at = int(
        rng.choice(
            [rng.integers(len(data)), rng.integers(ends), len(data) - 1 - rng.integers(ends)]
        )
    )
    length = int(min(len(data) - at, rng.choice([1, 1, 2, 4, 8, 30])))
    other = int(rng.integers(len(data)))
    part = data[other : other + length]
    match rng.integers(8):
        case 0:
            data[at] ^= 1 << rng.integers(8)
        case 1:
            data[at] = TELLING[rng.integers(len(TELLING))]
        case 2:
            data[at : at + length] = rng.bytes(length)
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = part
        case 5:
            data[at : at + len(part)] = part
        case 6:
            del data[at:]
        case 7:
            data[at : at + length] = bytes([TELLING[rng.integers(len(TELLING))]]) * length
