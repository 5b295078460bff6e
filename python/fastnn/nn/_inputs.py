# SPDX-License-Identifier: BSD-3-Clause
"""Preparation of the input, which comes before all layers that compute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fastnn import _core, _validate
from fastnn._hints import shown
from fastnn._refusals import Refused, Words, refused
from fastnn._sparse import is_sparse

from ._layer import Layer, ModelLayer, Setting

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["Flatten", "Rescale", "Standardize"]


class Rescale(ModelLayer):
    """Compute x * scale + shift by column while the rows are read, without changing X.

    It has to come before the first numbered layer, has no number in ``state_dict`` and is not
    trained.

    A float32 model scales float64 and integers of 32 or 64 bits in double and rounds the result, so
    that, for example, seconds since 1970 keep their differences. (Integers beyond 2^53 are rounded
    to double first.) Values of smaller dtypes, which float32 represents exactly, are scaled in
    float32.

    Parameters
    ----------
    scale : float or array_like of shape (columns,)
        Factor of each column; 0 removes a column. It may be assigned later, as a whole, and takes
        effect with the next step or prediction. A model refuses scales that become infinite or zero
        in its dtype, such as 1e39 and 1e-46 in float32.
    shift : float or array_like of shape (columns,), default 0
        Added to each column; it may be assigned later. It must be finite in the model's dtype.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Rescale(0.5)
    Rescale(scale=0.5, shift=0.0)
    """

    registry_name: ClassVar[str] = "rescale"
    numbered: ClassVar[bool] = False
    prepares: ClassVar[bool] = True

    scale: Setting[Any] = Setting()
    shift: Setting[Any] = Setting()

    def __init__(self, scale: Any, shift: Any = 0) -> None:
        super().__init__(scale=scale, shift=shift)

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return `settings` as numbers, or as arrays whose lengths agree."""
        new = {what: self._factor(what, value) for what, value in settings.items()}
        self._columns("Rescale", {**vars(self), **new}, None)
        return new

    @staticmethod
    def _factor(what: str, value: Any) -> float | Array:
        array = _validate.numbers("Rescale", what, value)
        if array.ndim > 1 or array.size == 0:
            raise ValueError(
                f"[Rescale] {what} has shape {array.shape}; expected a number or (columns,)"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"[Rescale] {what} has a value that is not finite")
        return float(array) if array.ndim == 0 else array.astype(np.float64)

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {"scale": self.scale, "shift": self.shift}

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return the number of input columns; an array as a setting determines it."""
        return self._columns(where, vars(self), n_in)

    @staticmethod
    def _columns(where: str, settings: dict[str, Any], n_in: int | None) -> int | None:
        for what in ("scale", "shift"):
            value = settings[what]
            if isinstance(value, np.ndarray):
                if n_in not in (None, value.size):
                    raise ValueError(f"[{where}] {what} has {value.size} columns; expected {n_in}")
                n_in = value.size
        return n_in

    def __repr__(self) -> str:
        shown = [
            v if isinstance(v, float) else f"({v.size} values)" for v in (self.scale, self.shift)
        ]
        return f"Rescale(scale={shown[0]}, shift={shown[1]})"


class Flatten(Layer):
    """Read arrays of shape (n, ...) as (n, columns), without a copy.

    It has to come before the first layer that computes.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Flatten()
    Flatten()
    """

    registry_name: ClassVar[str] = "flatten"
    prepares: ClassVar[bool] = True

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {}

    def __repr__(self) -> str:
        return "Flatten()"


class Standardize(ModelLayer):
    """Compute (x - mean) / scale by column while the rows are read, without changing X.

    Mean and scale (the standard deviation over all rows) of each column are learned in one pass
    over X: by the first `fit`, from its training rows alone, or by `adapt`. Later fits leave them
    as they are. They belong to the layer's settings as those of `Rescale` do, and are saved with
    the model. Each row counts once, whatever its ``sample_weight`` is, as in Keras' Normalization
    and scikit-learn's StandardScaler. A column of equal values, or of values that differ by
    rounding alone, has the scale 1.

    It has to come before the first numbered layer, has no number in ``state_dict`` and is not
    trained. Its results do not depend on the number of threads. As in `Rescale`, a float32 model
    computes in double where X has more digits than float32.

    Parameters
    ----------
    mean, scale : array_like of shape (columns,), optional
        Known statistics, finite, scales above 0. Without them, predict, evaluate and single steps
        are refused before `fit` or `adapt`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Standardize(), nn.Linear(2, 1))
    >>> model.compile("adam", "mse")
    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> history = model.fit(x, [0, 1])
    >>> model[0].mean.tolist(), model[0].scale.tolist()
    ([2.0, 5.0], [1.0, 1.0])
    """

    registry_name: ClassVar[str] = "standardize"
    numbered: ClassVar[bool] = False
    prepares: ClassVar[bool] = True
    learned: ClassVar[tuple[str, ...]] = ("mean", "scale")
    remedy: ClassVar[str] = "call adapt(X), which measures mean and scale together"

    mean: Array | None
    scale: Array | None

    def __init__(self, mean: Any = None, scale: Any = None) -> None:
        if (mean is None) != (scale is None):
            raise ValueError("[Standardize] one of mean and scale came; expected both or none")
        super().__init__(mean=mean, scale=scale)

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return `settings` as read-only arrays of one length, or as None."""
        new = {name: self._numbers(name, value) for name, value in settings.items()}
        mean, scale = new["mean"], new["scale"]
        if mean is not None and scale is not None:
            if mean.shape != scale.shape:
                raise ValueError(
                    f"[Standardize] mean has {mean.size} values and scale {scale.size}; expected "
                    "as many"
                )
            if not (scale > 0).all():
                raise ValueError("[Standardize] scale has a value that is not above 0")
        return new

    @staticmethod
    def _numbers(what: str, value: Any) -> Array | None:
        if value is None:
            return None
        array = np.array(_validate.numbers("Standardize", what, value), np.float64)
        if array.ndim != 1 or array.size == 0:
            raise ValueError(f"[Standardize] {what} has shape {array.shape}; expected (columns,)")
        if not np.isfinite(array).all():
            raise ValueError(f"[Standardize] {what} has a value that is not finite")
        array.flags.writeable = False
        return array

    def adapt(self, x: Any, *, n_threads: int | None = None) -> None:
        """Measure mean and scale of the columns of X, in one pass and without a copy of X.

        What was known before is replaced.

        Parameters
        ----------
        x : array_like of shape (n, columns), iterator, or callable
            Rows of any numeric dtype; those of several dimensions are flattened. For rows that are
            larger than memory, what `Sequential.fit_stream` takes: a list of parts ``(X, y)``, an
            iterator over parts, or a function that returns an iterable of them. Parts of an
            iterator or a function may also be rows alone. The statistics are those of all parts
            together, to rounding.
        n_threads : int, optional

        Raises
        ------
        ValueError, TypeError
            If a value is not finite, or X has another number of columns than the model.
        ModelBusyError
            If another thread is training the model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> layer = nn.Standardize()
        >>> layer.adapt([[1, 2], [3, 2]])
        >>> layer.mean.tolist(), layer.scale.tolist()
        ([2.0, 2.0], [1.0, 1.0])
        >>> layer.adapt(np.full((2, 3), k) for k in range(3))
        >>> layer
        Standardize(mean=(3 values), scale=(3 values))
        """
        with Words("Standardize.adapt") as call:
            threads = _validate.thread_count(call.where, n_threads)
            self._learn(call.where, _parts(call, x), threads)

    def _learn(self, where: str, parts: Iterable[tuple[str, Array]], n_threads: int) -> None:
        """Measure rows for the call `where`; each part has a name for messages."""
        columns = -1 if self._network is None else self._network.n_features
        moments: tuple[int, Array] | None = None
        for name, rows in parts:
            if name != "X" and len(rows.shape) == 2 and rows.shape[0] == 0:  # as in fit_stream
                continue
            for first, block in _dense_blocks(rows):
                try:
                    moments = _core.column_moments(block, name, columns, moments, n_threads)
                except Refused as refusal:
                    refusal.row += first if refusal.row >= 0 else 0
                    raise
        if moments is None:
            raise refused("no_rows", "X")
        mean, std = _core.column_statistics(moments)
        finite = np.isfinite(mean) & np.isfinite(std)
        if not finite.all():
            column = int(np.argmin(finite))
            raise ValueError(
                f"[{where}] the variance of column {column} of X is infinite in float64; expected "
                "smaller numbers"
            )
        self._change(mean=mean, scale=np.where(std > 0, std, 1.0))

    def _forget(self) -> None:
        """Be as before the first `fit`."""
        self._change(mean=None, scale=None)

    def _become(self, other: Self) -> None:
        self._change(mean=other.mean, scale=other.scale)

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        known = {"mean": self.mean, "scale": self.scale}
        return self.registry_name, {} if self.mean is None else known

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return the number of input columns; known statistics determine it."""
        return n_in if self.mean is None else self._expected(where, n_in, self.mean.size)

    def __repr__(self) -> str:
        if self.mean is None:
            return "Standardize()"
        return f"Standardize(mean=({self.mean.size} values), scale=({self.mean.size} values))"


def _is_list_of_parts(x: Any) -> bool:
    """Whether `x` is no array but a list of tuples that begin with one of rows."""
    first = x[0] if isinstance(x, (list, tuple)) and len(x) > 0 else None
    return isinstance(first, tuple) and first != () and len(getattr(first[0], "shape", ())) > 1


def _refuse_arrays_of_parts(where: str, x: Any) -> None:
    """Refuse a list of arrays that are no single array of several dimensions."""
    if not isinstance(x, (list, tuple)):
        return
    shapes = [getattr(each, "shape", ()) for each in x]
    are_arrays = all(len(shape) > 1 for shape in shapes)
    if are_arrays and (len(set(shapes)) > 1 or any(is_sparse(each) for each in x)):
        raise ValueError(
            f"[{where}] X is a list of {len(shapes)} arrays; expected one array of rows, a list of "
            "parts (X, y), or an iterator over parts: iter(X)"
        )


def _parts(call: Words, x: Any) -> Iterator[tuple[str, Array]]:
    """Yield the rows of `x`, or of the parts that it consists of, with a name for messages."""
    parts = x
    if callable(x) and not isinstance(x, type):
        made = x()
        if not isinstance(made, Iterable):
            raise TypeError(
                f"[{call.where}] X() returned {shown(made)}; expected an iterable of parts"
            )
        parts = iter(made)
    elif _is_list_of_parts(x):
        parts = iter(x)
    if not isinstance(parts, Iterator):
        _refuse_arrays_of_parts(call.where, x)
        call.given["X"] = x
        yield "X", _validate.as_rows(call.where, "X", x)
        return
    for number, part in enumerate(parts):
        rows = part[0] if isinstance(part, tuple) and part else part
        name = f"X of part {number}"
        call.given = {name: rows}
        yield name, _validate.as_rows(call.where, name, rows)


_DENSE = 2**22  # the most numbers of rows that come sparse and are measured at a time


def _dense_blocks(rows: Any) -> Iterator[tuple[int, Array]]:
    """Yield blocks of rows with the number of their first row: arrays as they are, at once."""
    if not is_sparse(rows):
        yield 0, rows
        return
    size = max(1, _DENSE // max(1, rows.shape[1]))
    for first in range(0, max(1, rows.shape[0]), size):
        yield first, rows[first : first + size].toarray()
