# SPDX-License-Identifier: BSD-3-Clause
"""The registries of the C++ core, by room and name: the only list of what exists.

Nothing here is a second list: classes and tables are generated from the same rows.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["row", "rows", "unknown"]

_SINGULAR = {
    "activations": "activation",
    "losses": "loss",
    "optimizers": "optimizer",
    "layers": "layer",
}


@functools.cache
def rows(room: str) -> dict[str, dict[str, Any]]:
    """Rows of a room ("activations", "losses", "optimizers", "layers") by name, in table order."""
    table: dict[str, dict[str, Any]] = {}
    for entry in dict(_core.registries())[room]:
        table[entry["name"]] = dict(entry)
    return table


def row(where: str, room: str, name: str) -> dict[str, Any]:
    """The row called `name`; an unknown name raises and lists the candidates."""
    try:
        return rows(room)[name]
    except KeyError:
        raise unknown(where, _SINGULAR[room], name, rows(room)) from None


def unknown(where: str, what: str, name: object, known: Iterable[str]) -> ValueError:
    """The error for a name that nobody knows."""
    import difflib  # only who misspells pays for it

    names = list(known)
    text = f"[{where}] unknown {what} {name!r}; known: {', '.join(names)}"
    close = difflib.get_close_matches(str(name).lower(), names, n=1)
    return ValueError(text + (f". Did you mean {close[0]!r}?" if close else ""))
