# SPDX-License-Identifier: BSD-3-Clause
"""Refusals of arguments as data, the one sentence for each reason, and the caller's name in errors.

The core raises `Refused` with fields instead of a message: what came, at which row and column, and
what was expected. The public call makes the message from them, with its own name and, where the
argument suggests one, a remedy as code::

    with Words("Sequential.evaluate", {"X": x, "y": y}):
        return network.evaluate(x, y)

A failure, which is no fault of an argument (`ModelBusyError`, `TrainingDivergedError`), comes from
the core with its sentence, and gets the name of the public call in the same way. Outside such a
block, refusals (a ValueError or TypeError) and failures name the function of the core.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import errors
from ._hints import not_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["READABLE", "SENTENCES", "Refused", "Words", "failed", "name_caller", "refused"]

READABLE = "bool, integers, float16, float32 or float64"
_WRONG_TYPES = ("no_array", "dtype")
_UNKNOWN = object()  # stands for the value of an argument that the public call did not pass on


class Refused(Exception):  # noqa: N818
    """The refusal of an argument, with the fields of ``cpp/core/refusal.h``.

    Parameters
    ----------
    reason : str
        A key of `SENTENCES`.
    argument : str
        Name of the argument: "X", "y", "sample_weight", "validation X", ...
    **facts
        Other fields, such as row, column and value.
    """

    where = ""
    # -1: any number is expected, or the row or column is unknown
    rows = cols = or_cols = outputs = row = column = -1
    vector = flatten = classes = open_below = open_above = False
    of = by = came = dtype = remedy = ""
    shape: tuple[int, ...] = ()
    needed: tuple[int, ...] = ()
    value = lowest = highest = 0.0

    def __init__(self, reason: str, argument: str = "", **facts: Any) -> None:
        super().__init__(reason, argument)
        self.reason, self.argument = reason, argument
        vars(self).update(facts)

    def __str__(self) -> str:
        return f"[{self.where}] {self._sentence({})}"

    def worded(self, where: str, given: Mapping[str, Any] | None = None) -> ValueError | TypeError:
        """Return the error that the user sees.

        Parameters
        ----------
        where : str
            Name of the call that the user made.
        given : dict, optional
            The arguments of that call by name. Remedies depend on their types and shapes.
        """
        kind = TypeError if self.reason in _WRONG_TYPES else ValueError
        return kind(f"[{where}] {self._sentence(given or {})}")

    def _sentence(self, given: Mapping[str, Any]) -> str:
        hints = _Hints(self, given.get(self.argument, _UNKNOWN))
        return SENTENCES[self.reason](self, hints)


class _Value(Refused, ValueError):  # noqa: N818
    """A refusal that direct callers of the core can catch as ValueError."""


class _Type(Refused, TypeError):  # noqa: N818
    """A refusal that direct callers of the core can catch as TypeError."""


def refused(reason: str, argument: str = "", **facts: Any) -> Refused:
    """Return a refusal that is a TypeError or ValueError by its reason; the core calls this."""
    kind = _Type if reason in _WRONG_TYPES else _Value
    return kind(reason, argument, **facts)


def failed(kind: str, where: str, sentence: str) -> errors.FastnnError:
    """Return a failure of the core's call `where`. The core calls this function."""
    error: errors.FastnnError = getattr(errors, kind)(f"[{where}] {sentence}")
    error._sentence = sentence
    return error


def name_caller(where: str, error: errors.FastnnError) -> None:
    """Put the name of a public call in front of a failure; the innermost one that it leaves."""
    if error._sentence is not None:
        error.args = (f"[{where}] {error._sentence}",)
        error._sentence = None


class Words:
    """A block in which a refusal becomes the error that the user sees, and a failure is named.

    Attributes
    ----------
    where : str
        Name of the call that the user made.
    given : dict
        The arguments of that call by name.
    """

    __slots__ = ("given", "where")

    def __init__(self, where: str, given: dict[str, Any] | None = None) -> None:
        self.where = where
        self.given: dict[str, Any] = {} if given is None else given

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Refused):
            raise error.worded(self.where, self.given) from None
        if isinstance(error, errors.FastnnError):
            name_caller(self.where, error)


class _Hints:
    """Remedies as code for a refused argument; each is an empty text if it does not apply."""

    def __init__(self, refusal: Refused, value: object) -> None:
        # The user's name for "validation X" is X.
        self.name = name = refusal.argument.rpartition(" ")[2]
        self.value, self.shape, self.came = value, refusal.shape, refusal.came
        # Lists, frames and matrices need np.asarray first.
        self.plain = name if type(value) in (np.ndarray, object) else f"np.asarray({name})"

    def of_dtype(self) -> str:
        if self.value is _UNKNOWN:
            return ""
        if hasattr(self.value, "nnz") and self.came != "object":
            return ""  # of a sparse X the numbers are refused, and not that it is sparse
        return not_numbers(self.name, self.value, np.asarray(self.value))

    def column_name(self, number: int) -> str:
        """Return the name of a column of a data frame, in brackets."""
        try:
            name = list(getattr(self.value, "columns", ()))[number]
        except (IndexError, TypeError):
            return ""
        return f" ({name!r})" if isinstance(name, str) else ""

    def row_as_column(self, n: int) -> str:
        """Return the remedy for n values in one row, as np.matrix has a vector."""
        one_row = self.shape == (1, n) != (1, 1)
        return f"; it is one row: {self.plain}.ravel()" if one_row else ""

    def of_inputs(self, columns: int) -> str:
        if len(self.shape) == 1 and self.shape[0] == columns:
            return f"; one row is {self.plain}.reshape(1, -1)"
        if len(self.shape) == 1 and columns == 1:
            return f"; one column is {self.plain}.reshape(-1, 1)"
        return "; put nn.Flatten() first in the model" if len(self.shape) > 2 else ""

    def of_classes(self, n: int) -> str:
        hint = self.row_as_column(n)
        if not hint and len(self.shape) == 2 and self.shape[0] == n:
            hint = f"; from one-hot rows take {self.plain}.argmax(axis=1)"
        return hint

    def of_outputs(self, n: int, k: int, came: str) -> str:
        if k == 1:
            return self.row_as_column(n)
        if math.prod(self.shape) == n and came.startswith(("bool", "int", "uint")):
            return f"; from class indices take F.one_hot({self.plain}, {k})"
        return ""


def _dtype(r: Refused, hints: _Hints) -> str:
    expected = r.dtype or READABLE
    return f"{r.argument} has dtype {r.came}; expected {expected}{hints.of_dtype()}"


def _masked(r: Refused, hints: _Hints) -> str:
    return (
        f"{r.argument} has masked cells; expected an array without them: fill them first, for "
        f"example {hints.name}.filled(0)"
    )


def _shape(r: Refused, hints: _Hints) -> str:
    n = str(r.rows) if r.rows >= 0 else "n"
    came = f"{r.argument} has shape {r.shape}"
    if r.classes:
        soft = f" or probabilities of shape ({n}, {r.or_cols})" if r.or_cols >= 0 else ""
        hint = hints.of_classes(r.rows)
        return f"{came}; {r.by} expects class indices of shape ({n},){soft}{hint}"
    if r.by and r.of:  # targets, whose expected shape depends on the loss
        fitting = f"({n},) or ({n}, 1)" if r.cols == 1 else f"({n}, {r.cols})"
        hint = hints.of_outputs(r.rows, r.cols, r.came)
        outputs = _plural(r.outputs if r.outputs >= 0 else r.cols, "output")
        return f"{came}; {r.by} on {outputs} expects {fitting}{hint}"
    if r.of or r.rows >= 0:  # weights and gradients, which need the rows of X, and `out`
        fitting = f"({n},)" if r.cols == 1 and r.vector else f"({n}, {r.cols})"
        return f"{came}; expected {fitting}{hints.row_as_column(r.rows) if r.vector else ''}"
    return _columns(r, hints)


def _columns(r: Refused, hints: _Hints) -> str:
    came = f"{r.argument} has shape {r.shape}"
    if r.cols < 0:
        least = " of at least one row and column" if 0 in r.shape else ""
        return f"{came}; expected (n, k){' or (n,)' if r.vector else ''}{least}"
    if len(r.shape) == 2 and r.by:
        return f"{r.argument} has {r.shape[1]} columns, {r.by} expects {r.cols}"
    if len(r.shape) > 2 and r.flatten:
        numbers = math.prod(r.shape[1:])
        return (
            f"{r.argument} of shape {r.shape} has {numbers} numbers a row, {r.by} expects {r.cols}"
        )
    hint = hints.of_inputs(r.cols) if r.by == "the model" else ""
    return f"{came}; expected (n, {r.cols}){hint}"


def _rows(r: Refused, hints: _Hints) -> str:
    if not r.of:
        return _shape(r, hints)
    return f"{r.argument} has {r.shape[0]} rows, {r.of} has {r.rows}"


def _number(value: float) -> str:
    """Return the number as text: integers without a point, others with six digits."""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e10
    return str(int(value)) if whole else f"{value:g}"


def _plural(count: float, what: str) -> str:
    return f"{count:.0f} {what}{'s' * (count != 1)}"


def _cell(r: Refused, hints: _Hints, value: str = "") -> str:
    """Return what came, and where: "y has 7 at row 2, column 0"."""
    if r.row < 0:
        return f"{r.argument} has a value that is not allowed"
    column = f", column {r.column}{hints.column_name(r.column)}" if r.column >= 0 else ""
    has = "the outputs have" if r.argument == "outputs" else f"{r.argument} has"
    has = "the validation outputs have" if r.argument == "validation outputs" else has
    return f"{has} {value or _number(r.value)} at row {r.row}{column}"


def _finite(r: Refused) -> str:
    return f"finite numbers{f' (as {r.dtype})' if r.dtype else ''}"


def _interval(low: float, high: float, open_below: bool = False, open_above: bool = False) -> str:
    """Return the interval in words, such as "above 0 and at most 1"; open ends are excluded."""
    below, above = low != -math.inf, high != math.inf
    if below and above and not (open_below or open_above):
        return f"{low:g} to {high:g}"
    ends = [f"{'above' if open_below else 'at least'} {low:g}"] if below else []
    ends += [f"{'below' if open_above else 'at most'} {high:g}"] if above else []
    return " and ".join(ends)


def _outside(r: Refused, hints: _Hints) -> str:
    """Return the sentence for a number outside the interval of a loss.

    The number has as many digits as are needed to see that it is outside.
    """
    text = _number(r.value)
    if r.lowest <= float(text) <= r.highest:  # 1.0000000001 is not shown as 1
        text = repr(r.value)
    expected = _interval(r.lowest, r.highest, r.open_below, r.open_above)
    remedy = f": {r.remedy}" if r.remedy else ""
    return f"{_cell(r, hints, text)}; {r.by} expects {expected}{remedy}"


# For each reason the function that makes the sentence, without the name of the call.
SENTENCES: dict[str, Callable[[Refused, _Hints], str]] = {
    "no_array": lambda r, _: (
        f"{r.argument} is {'an' if r.came[0] in 'aeiou' else 'a'} {r.came}; expected a NumPy array"
        f"{f' of {r.dtype}' if r.dtype else ''}"
    ),
    "masked": _masked,
    "dtype": _dtype,
    "shape": _shape,
    "rows": _rows,
    "no_rows": lambda r, _: f"{r.argument} has no rows; expected at least one",
    "other_shape": lambda r, _: (
        f"{r.argument} has shape {r.shape}; expected {r.needed}, the shape of {r.of}"
    ),
    "count": lambda r, _: (
        f"{r.argument} has {r.shape[0]} arrays; expected {r.rows}, as many as {r.of}"
    ),
    "read_only": lambda r, _: f"{r.argument} is read-only; expected a writable array",
    "apart": lambda r, _: f"{r.argument} has gaps; expected its rows contiguous and in order",
    "unaligned": lambda r, _: (
        f"{r.argument} is not aligned; expected an array aligned to its dtype"
    ),
    "shared": lambda r, _: f"{r.argument} shares memory with {r.of}; expected memory of its own",
    "sparse": lambda r, _: (
        f"{r.argument} is no valid sparse matrix: {r.came}; expected one that "
        f"scipy.sparse.csr_array accepts"
    ),
    "column": lambda r, _: (
        f"{r.argument} has a cell in column {_number(r.value)} at row {r.row}; expected columns 0 "
        f"to {_number(r.highest)}"
    ),
    "not_finite": lambda r, hints: f"{_cell(r, hints)}; expected {_finite(r)}",
    "class": lambda r, hints: (
        f"{_cell(r, hints)}; expected class numbers 0 to {_number(r.highest)}"
    ),
    "weight": lambda r, hints: f"{_cell(r, hints)}; expected {_finite(r)} of at least 0",
    "target": _outside,
    "output": _outside,
    "outputs": lambda r, _: (
        f"{r.by} on {_plural(r.value, 'output')}; expected a multiple of {r.cols}: {r.cols} "
        "outputs for each target"
    ),
    "per_output": lambda r, _: (
        f"{r.by} {r.argument} has {_plural(r.shape[0], 'number')}; expected one for each of the "
        f"{_plural(r.value, 'output')}"
    ),
    "no_weight": lambda r, _: f"{r.argument} is zero for all rows; expected a positive one",
    "not_adapted": lambda *_: (
        "Standardize has no statistics yet; expected fit, or adapt(X) of the layer, before"
    ),
    "not_compiled": lambda *_: (
        "the model is not compiled; expected model.compile(optimizer=..., loss=...) before"
    ),
    "no_length": lambda r, _: (
        f"the learning rate is {r.came}, whose length is that of a fit; expected a fit, or "
        "another length"
    ),
    "no_steps": lambda r, _: (
        f"the learning rate is {r.came}, which lasts the fit and is counted in steps, and the "
        "number of rows is not known; expected rows=..., by='epoch' of the schedule, or another "
        "length"
    ),
    "own_loss": lambda *_: (
        "the compiled loss is a Python function, which fit, train_step and evaluate take; expected "
        "one of fastnn's losses"
    ),
    "no_forward": lambda *_: "no forward pass to go back through: call forward first",
    "no_gradients": lambda *_: "there are no gradients: call backward or loss_and_grad first",
    "no_average": lambda *_: (
        "the model keeps no average; expected compile(..., average=optim.EMA()) or optim.SWA()"
    ),
    "nothing_averaged": lambda *_: "no update has been added to the average yet: train first",
    "averaged": lambda *_: (
        "the model has its averaged values; expected a call after the block of model.averaged()"
    ),
}
