# SPDX-License-Identifier: BSD-3-Clause
"""What a training keeps between steps besides arrays and counters, as entries of a config.

They are the position of a schedule of the learning rate, and the batches whose accumulated
gradients wait for an update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _registry, _validate
from fastnn._fields import checked

if TYPE_CHECKING:
    from ._compiled import Compiled

__all__ = ["POSITION", "group_of", "position_of"]

POSITION = "position"
_GROUP_NAMES = ("batches", "rows", "weight", "loss", "divisor", "exponent")


def position_of(where: str, compiled: Compiled | None, entry: Any) -> dict[str, Any] | None:
    """Return what has happened since the schedule began; None if there is no schedule, or state."""
    if compiled is None or POSITION not in entry:
        return None
    if compiled.optimizer.schedule is None or entry["updates"] is None:
        raise ValueError(f"[{where}] compiled has a position, but no schedule that has begun")
    params = _registry.row(where, "settings", "schedule")["params"]
    given = _validate.dictionary(
        where, f"compiled.{POSITION}", entry[POSITION], [param["name"] for param in params]
    )
    return checked(where, params, given)


def group_of(where: str, entry: Any) -> dict[str, Any]:
    """Return the batches since the last update; the core checks what is permitted together."""
    group = _validate.dictionary(where, "compiled.group", entry, _GROUP_NAMES)
    for name in ("batches", "rows"):
        _validate.integer(where, f"compiled.group.{name}", group[name], 1)
    _validate.integer(where, "compiled.group.exponent", group["exponent"], -1022, 1022)
    for name in ("weight", "loss", "divisor"):
        _validate.number(where, f"compiled.group.{name}", group[name])
    return group
