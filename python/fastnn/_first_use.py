# SPDX-License-Identifier: BSD-3-Clause
"""Public names of a module that are made when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["on_first_use"]


def on_first_use(
    names: dict[str, Any], members: ModuleType
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a module that also has all names of `members`.

    Parameters
    ----------
    names : dict
        The globals of the module. What was made once is kept there.
    members : module
        Lists the names in ``__all__`` and makes each in its ``__getattr__``.
    """

    def attribute(name: str) -> object:
        if name not in members.__all__:
            raise AttributeError(f"module {names['__name__']!r} has no attribute {name!r}")
        return names.setdefault(name, getattr(members, name))

    return attribute, lambda: sorted({*names, *names["__all__"]})
