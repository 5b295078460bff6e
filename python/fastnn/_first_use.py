# SPDX-License-Identifier: BSD-3-Clause
"""Public names of a module that are made when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["on_first_use"]


def on_first_use(
    names: dict[str, Any], members: ModuleType, **homes: str
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a module that also has all names of `members`.

    Parameters
    ----------
    names : dict
        The globals of the module. What was made once is kept there.
    members : module
        Lists the names in ``__all__`` and makes each in its ``__getattr__``.
    **homes
        Further names, and the module of the package that has each: ``Summary="_summary"``.
    """

    def attribute(name: str) -> object:
        if name in homes:
            home = import_module(f"{names['__name__']}.{homes[name]}")
            return names.setdefault(name, getattr(home, name))
        if name not in members.__all__:
            raise AttributeError(f"module {names['__name__']!r} has no attribute {name!r}")
        return names.setdefault(name, getattr(members, name))

    return attribute, lambda: sorted({*names, *names["__all__"]})
