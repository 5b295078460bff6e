# SPDX-License-Identifier: BSD-3-Clause
"""Checks and conversion of the arguments of a model's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _core, _validate
from fastnn._refusals import Refused, Words, refused

from ._function_loss import FunctionLoss
from ._rows import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    numbers : dict
        Where the core gets some of the rows alone: the numbers that they have in the arrays of the
        call, by what precedes the names of these arrays in messages.
    """

    __slots__ = ("_compiled", "network", "numbers", "threads")

    def __init__(self, name: str, tree: Tree, compiled: Compiled | None, threads: int) -> None:
        self.network = tree.need_network(name)
        super().__init__(f"Sequential.{name}")
        self.threads = threads
        self._compiled = compiled
        self.numbers: dict[str, Sequence[int] | Array] = {}

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refused) and error.row >= 0:
            part = "validation " if error.argument.startswith("validation ") else ""
            if part in self.numbers:
                error.row = int(self.numbers[part][error.row])
                error.argument = error.argument.removeprefix(part)
        super().__exit__(kind, error, trace)

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

    def inputs(self, what: str, value: Any) -> Any:
        """Return X, `value`, as an array or a sparse matrix, as `array` does."""
        self.given[what] = value
        return _validate.as_rows(self.where, what, value)

    def rows(self, x: Any, y: Any, w: Any, kind: str = "") -> Rows:
        """Return X, y and weights as arrays; `kind` precedes their names in messages."""
        weights = None if w is None else self.array(f"{kind}sample_weight", w)
        return Rows(self.inputs(f"{kind}X", x), self.array(f"{kind}y", y), weights)

    def rows_or_inputs(self, x: Any, y: Any, w: Any, kind: str = "") -> Rows:
        """Return the same; without y, the targets are the numbers of X, which is not copied."""
        if y is not None:
            return self.rows(x, y, w, kind)
        _ = self.compiled
        inputs = self.inputs(f"{kind}X", x)
        whole = inputs.ndim > 2 and len(inputs) > 0  # rows that Flatten takes
        targets = inputs.reshape(len(inputs), -1) if whole else inputs
        rows = Rows(inputs, targets, self.rows(inputs, targets, w, kind).w)
        try:
            self.check(rows, validation=bool(kind))
        except Refused as refusal:
            if refusal.argument != f"{kind}y":
                raise
            error = refusal.worded(self.where)
            text = str(error).removeprefix(f"[{self.where}] {kind}y ").partition("; from ")[0]
            raise type(error)(
                f"[{self.where}] {kind}y was not given, so the targets are X, which {text}"
            ) from None
        return rows

    def validation(self, data: Any, *, of_inputs: bool = False) -> Rows | None:
        """Return validation_data as rows, or None if there are none.

        `of_inputs`: the targets of the training rows are X; so may be those of the validation rows.
        """
        if data is None:
            return None
        if of_inputs and isinstance(data, (tuple, list)) and len(data) == 1:
            data = (*data, None)
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                f"[{self.where}] validation_data is no pair; expected {'(X,), ' * of_inputs}(X, y) "
                "or (X, y, sample_weight)"
            )
        arrays = self.rows_or_inputs if of_inputs else self.rows
        rows = arrays(data[0], data[1], data[2] if len(data) == 3 else None, "validation ")
        self.check(rows, validation=True)
        return rows

    def check(self, rows: Rows, *, validation: bool = False, part: bool = False) -> None:
        """Refuse rows whose shapes or dtypes do not fit.

        `part`: they are a part of the rows, which may have none, or all weights zero.
        """
        own = self.own_loss
        if own is None:
            self.network.check(*rows, validation=validation, part=part)
        else:
            own.check(self, rows, validation=validation, part=part)

    @property
    def own_loss(self) -> FunctionLoss | None:
        """Return the compiled loss if it is a Python function."""
        loss = self.compiled.loss
        return loss if isinstance(loss, FunctionLoss) else None

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
