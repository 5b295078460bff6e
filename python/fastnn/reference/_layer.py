# SPDX-License-Identifier: BSD-3-Clause
"""The base of all layers of the twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn.reference._describe import SAME, Torch

if TYPE_CHECKING:
    from fastnn.reference._describe import Array

__all__ = ["Layer"]


class Layer:
    """What all layers have: parameters that train, statistics that do not, gradients.

    The class says what tests have to know: what torch calls it (None if torch does not have it),
    whether training draws random numbers and with which arguments these have no effect, whether a
    bias right below has no effect, from how many columns on gradients are more than rounding noise,
    a factor on the tolerance of all layers, arguments to try besides those of the registry's row,
    and arguments that training would find and without which no row can be computed; in both a
    function makes the value for an input of so many columns.
    """

    numbered = True  # whether it counts in the numbering of layers ("0.weight")
    torch: ClassVar[Torch | None] = SAME
    random: ClassVar[bool] = False
    silent: ClassVar[dict[str, Any]] = {}
    cancels_bias: ClassVar[bool] = False
    narrowest: ClassVar[int] = 1
    tolerance: ClassVar[float] = 1.0
    tries: ClassVar[tuple[dict[str, Any], ...]] = ()
    learned: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.params: dict[str, Array] = {}
        self.statistics: dict[str, Array] = {}
        self.grads: dict[str, Array] = {}
        self.frozen = False

    def build(self, dtype: Any, seed: int, number: int) -> None:
        """Make the parameters; `number` keys the layer's random streams."""

    @property
    def has_parameters(self) -> bool:
        """Whether anything in it could be trained."""
        return bool(self.params)

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        """Return y; `step` counts the optimizer's steps, `draw` training passes since the last."""
        raise NotImplementedError

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        """Return dx, or None where it is not needed and costs something."""
        raise NotImplementedError
