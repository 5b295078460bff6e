# SPDX-License-Identifier: BSD-3-Clause
"""Checks and conversion of the arguments of a model's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _core, _validate
from fastnn._refusals import Words, refused

from ._rows import Rows

if TYPE_CHECKING:
    from fastnn._validate import Array

    from ._compiled import Compiled
    from ._tree import Tree

__all__ = ["Call", "n_threads"]


def n_threads(name: str, given: Any, default: int) -> int:
    """Return the number of threads for the core, where 0 means the automatic choice."""
    if given is None:
        return default
    # The text for an error message is only made if it is needed.
    if type(given) is int and 0 < given <= _core.max_threads:
        return given
    return _validate.thread_count(f"Sequential.{name}", given)


class Call(Words):
    """One call of a model that has parameters.

    Inside ``with Call(...) as call:`` a refusal of the core becomes the error that the user sees.

    Attributes
    ----------
    network : _core.Network
    threads : int
    """

    __slots__ = ("_compiled", "network", "threads")

    def __init__(self, name: str, tree: Tree, compiled: Compiled | None, threads: int) -> None:
        self.network = tree.need_network(name)
        super().__init__(f"Sequential.{name}")
        self.threads = threads
        self._compiled = compiled

    @property
    def compiled(self) -> Compiled:
        """Return the settings of compile; raise an error if it has not been called."""
        if self._compiled is None:
            raise refused("not_compiled").worded(self.where)
        return self._compiled

    def flag(self, what: str, value: Any) -> bool:
        """Return an argument that must be True or False."""
        return _validate.flag(self.where, what, value)

    def array(self, what: str, value: Any) -> Array:
        """Return `value` as an array, which the core takes or refuses under the name `what`."""
        self.given[what] = value
        return _validate.as_array(self.where, what, value)

    def rows(self, x: Any, y: Any, w: Any, kind: str = "") -> Rows:
        """Return X, y and weights as arrays; `kind` precedes their names in messages."""
        weights = None if w is None else self.array(f"{kind}sample_weight", w)
        return Rows(self.array(f"{kind}X", x), self.array(f"{kind}y", y), weights)

    def validation(self, data: Any) -> Rows | None:
        """Return validation_data as rows, or None if there are none."""
        if data is None:
            return None
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                f"[{self.where}] validation_data is no pair; expected (X, y) or "
                "(X, y, sample_weight)"
            )
        rows = self.rows(data[0], data[1], data[2] if len(data) == 3 else None, "validation ")
        self.network.check(*rows, validation=True)
        return rows

    def takes_targets(self, y: Any, grad: Any, w: Any) -> bool:
        """Return whether a training step has targets; otherwise it has a gradient instead."""
        _ = self.compiled
        if (y is None) == (grad is None):
            raise ValueError(
                f"[{self.where}] got {'neither' if y is None else 'both'}; expected y or grad"
            )
        if y is None and w is not None:
            raise ValueError(
                f"[{self.where}] sample_weight came with grad; expected it with y only"
            )
        return y is not None
