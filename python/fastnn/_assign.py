# SPDX-License-Identifier: BSD-3-Clause
"""Assignments to attributes of layers, descriptions and models, and messages for refused ones.

Python would silently accept attributes that nothing reads: misspelt names, names of other
libraries, sizes of networks that exist already. So only those public attributes may be assigned
that can take effect between two steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["class_of_ours", "is_declared", "is_free", "own_attributes", "refusal"]

_FREEZE = "freeze() and unfreeze() decide what trains"
_MODES = "there are no modes: fit and train_step train, predict does not, forward takes training="
_COMPILE = "set it on the model, model.lr, or compile again with an optimizer that has it"
# Attributes of other libraries -> what to use here.
_ADVICE = {
    "trainable": _FREEZE,
    "requires_grad": _FREEZE,
    "frozen": _FREEZE,
    "training": _MODES,
    "lr": _COMPILE,
    "learning_rate": _COMPILE,
}


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "fastnn"


def is_declared(owner: object, name: str) -> bool:
    """Return whether a class of fastnn has or annotates the attribute."""
    ours = [vars(base) for base in type(owner).__mro__ if _is_ours(base)]
    return any(name in names or name in names.get("__annotations__", {}) for names in ours)


def is_free(owner: object, name: str) -> bool:
    """Return whether `name` is private, or an attribute of a user's subclass."""
    if name.startswith("_"):
        return True
    return not (_is_ours(type(owner)) or is_declared(owner, name) or name in _ADVICE)


def own_attributes(owner: object) -> dict[str, Any]:
    """Return the attributes that only a user's subclass knows."""
    return {name: value for name, value in vars(owner).items() if not is_declared(owner, name)}


def class_of_ours(cls: type) -> type:
    """Return the first base of `cls`, or itself, that is defined by fastnn."""
    return next(base for base in cls.__mro__ if _is_ours(base))


def refusal(owner: object, name: str, advice: str, known: Iterable[str] = ()) -> str:
    """Return the message for an assignment to `name`: `advice`, or the attributes that exist."""
    import difflib  # imported only when it is needed

    where, names = type(owner).__name__, list(known)
    if name in _ADVICE:
        advice = _ADVICE[name]
    elif not hasattr(owner, name):
        advice = f"{where} has no such attribute"
        if names:
            advice += f"; can be assigned: {', '.join(names)}"
        close = difflib.get_close_matches(name, names, n=1)
        advice += f". Did you mean {close[0]!r}?" if close else ""
    return f"[{where}] {name} cannot be assigned: {advice}"
