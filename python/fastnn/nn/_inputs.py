# SPDX-License-Identifier: BSD-3-Clause
"""Preparation of the input, which comes before all layers that compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _validate

from ._layer import Layer, ModelLayer, Setting

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["Flatten", "Rescale"]


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
