# SPDX-License-Identifier: BSD-3-Clause
"""Nested values with something wrong in them: what a loader has to refuse, or to read as it is."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    7,
    63,
    64,
    2**31,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63),
    10**30,
    10**400,
    0.0,
    -0.0,
    0.5,
    1e-300,
    1e300,
    -1.5,
    math.inf,
    -math.inf,
    math.nan,
    "",
    "0",
    "adam",
    "mse",
    "linear",
    "residual",
    "inf",
    "float64",
    "../x",
    "a\0b",
    "\ud800",
    "x" * 5000,
    b"linear",
    1j,
    [],
    {},
    (),
    set(),
    [[]],
    [None],
    {"layer": "linear"},
    {"same_as": "0"},
    {1: 2},
    object(),
    len,
    int,
    np.float32(0.5),
    np.int64(3),
    np.zeros(0),
    np.zeros((2, 3)),
    np.array(3),
    np.full(3, np.nan),
    np.array(["a"]),
    np.array([None]),
]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """All places in `value`: a dictionary, list or tuple, and a key; `value` may contain itself."""
    found: list[tuple[Any, Any]] = []
    todo, seen = [value], {id(value)}
    while todo:
        parent = todo.pop(0)
        entries = parent.items() if isinstance(parent, dict) else enumerate(parent)
        for key, entry in list(entries):
            found.append((parent, key))
            if isinstance(entry, (dict, list, tuple)) and id(entry) not in seen:
                seen.add(id(entry))
                todo.append(entry)
    return found


def _other_array(rng: np.random.Generator, array: np.ndarray) -> Any:
    """An array like `array`, but for one thing."""
    flat = array.ravel()
    ways = [
        lambda: array.astype(np.float64 if array.dtype == np.float32 else np.float32),
        lambda: array.astype(object),
        lambda: array.astype(">f4"),
        lambda: array.astype(np.int32),
        lambda: array.astype(complex),
        lambda: array[..., None],
        lambda: flat,
        lambda: np.concatenate([flat, flat]),
        lambda: flat[:-1],
        array.tolist,
        lambda: np.ma.masked_array(array),
        lambda: array.view(np.recarray),
        lambda: np.broadcast_to(np.zeros((), array.dtype), array.shape),
        lambda: array.T,
        lambda: np.full(array.shape, rng.choice([np.nan, np.inf, -1.0, 1e30])).astype(array.dtype),
        lambda: np.frombuffer(rng.bytes(array.nbytes), array.dtype).reshape(array.shape),
    ]
    with np.errstate(all="ignore"):
        return ways[rng.integers(len(ways))]()


def _swap(rng: np.random.Generator, places: list[Any]) -> None:
    (one, a), (other, b) = (places[rng.integers(len(places))] for _ in range(2))
    if isinstance(one, tuple) or isinstance(other, tuple):
        return
    one[a], other[b] = other[b], one[a]


def _change(rng: np.random.Generator, state: Any, sources: list[Any]) -> Any:
    places = _places(state)
    if not places:
        return ODD[rng.integers(len(ODD))]
    parent, key = places[rng.integers(len(places))]
    if isinstance(parent, tuple):
        return state
    kind = rng.integers(10)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[("more", 0, "".join(map(str, [key])) + "x")[rng.integers(3)]] = parent[key]
    elif kind == 1:
        parent.insert(key, parent[key])
    elif kind == 2:
        _swap(rng, places)
    elif kind == 3:
        other, at = sources[rng.integers(len(sources))]
        parent[key] = other[at]
    elif isinstance(parent[key], np.ndarray) and parent[key].dtype.kind in "fi" and kind < 9:
        parent[key] = _other_array(rng, parent[key])
    elif isinstance(parent[key], (int, float)) and kind < 6:
        parent[key] = parent[key] + int(rng.integers(-2, 3))
    else:
        parent[key] = ODD[rng.integers(len(ODD))]
    return state


def mutations(state: Any, n: int, seed: int) -> Iterator[Any]:
    """Yield `n` copies of a state of dictionaries, lists and arrays with one to three changes."""
    rng = np.random.default_rng(seed)
    sources = _places(state)
    for _ in range(n):
        changed = copy.deepcopy(state)
        for _ in range(rng.integers(1, 4)):
            if not isinstance(changed, (dict, list)):
                break
            try:
                changed = _change(rng, changed, sources)
            except (KeyError, IndexError):  # a place that an earlier change has removed
                continue
        yield changed
