# SPDX-License-Identifier: BSD-3-Clause
"""What may be assigned to attributes of layers, descriptions and models; words for the rest.

An attribute that nothing reads would be accepted silently: a misspelt name, another library's word,
a size that the engine has already built. So every public name is refused but those that the engine
can take over between two steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_free", "refusal"]

_FREEZE = "freeze() and unfreeze() decide what trains"
_MODES = "there are no modes: fit and train_step train, predict does not, forward takes training="
_COMPILE = "set it on the model, model.lr, or compile again with an optimizer that has it"
# Words of other libraries, and what does that here.
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


def is_free(owner: object, name: str) -> bool:
    """Whether `name` is private, or belongs to a subclass that somebody else wrote."""
    cls = type(owner)
    if name.startswith("_"):
        return True
    ours = [vars(base) for base in cls.__mro__ if _is_ours(base)]
    declared = any(name in names or name in names.get("__annotations__", {}) for names in ours)
    return not (_is_ours(cls) or declared or name in _ADVICE)


def refusal(owner: object, name: str, advice: str, known: Iterable[str] = ()) -> str:
    """The words for an assignment to `name`: `advice` where `owner` has it, else what it has."""
    import difflib  # only who is refused pays for it

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
