# SPDX-License-Identifier: BSD-3-Clause
"""The metrics of numbers that compile knows: one class each, over the functions."""

from __future__ import annotations

import math
from operator import eq
from typing import TYPE_CHECKING, ClassVar

from . import _numbers
from ._metric import Kind, Metric, RowSums, Sum, sum_of
from ._numbers import mean_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._validate import Array

__all__ = ["MAE", "MAPE", "MSE", "R2", "RMSE"]


class _OfNumbers(Metric):
    tasks = ("regression",)
    function: ClassVar[Callable[..., float]]
    summed: ClassVar[tuple[Sum, ...]]  # sums of the errors of each output

    def expect(self, where: str, kind: Kind) -> None:
        """Refuse losses of classes, and those with several outputs for a target."""
        super().expect(where, kind)
        if kind.each > 1:
            raise ValueError(
                f"[{where}] {self.name} needs one output for each target; {kind.loss} has "
                f"{kind.each}"
            )

    def sums(self) -> tuple[Sum, ...]:
        """Return the sums over rows from which the figure follows."""
        return self.summed

    def of_sums(self, kind: Kind, sums: RowSums) -> float:
        """Return the mean over rows and outputs."""
        return mean_of(sums.mean(self.summed[0]))

    def compute(self, kind: Kind, y: Array, p: Array, w: Array | None) -> float:
        """Return the mean over the outputs."""
        rows = (len(y), -1)
        return type(self).function(y.reshape(rows), p.reshape(rows), sample_weight=w)


class MAE(_OfNumbers):
    """The mean absolute error.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.MAE()([1.0, 2.0], [1.5, 2.0])
    0.25
    """

    registry_name = "mae"
    summed = (sum_of("absolute_error"),)
    function = staticmethod(_numbers.mae)


class MSE(_OfNumbers):
    """The mean squared error.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.MSE()([1.0, 2.0], [1.5, 2.0])
    0.125
    """

    registry_name = "mse"
    summed = (sum_of("squared_error"),)
    function = staticmethod(_numbers.mse)


class RMSE(_OfNumbers):
    """The root of the mean squared error; of several outputs the mean of their roots.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.RMSE()([1.0, 2.0], [4.0, 2.0], [1, 8])
    1.0
    """

    registry_name = "rmse"
    summed = (sum_of("squared_error"),)
    function = staticmethod(_numbers.rmse)

    def of_sums(self, kind: Kind, sums: RowSums) -> float:
        """Return the mean of the outputs' roots."""
        return mean_of(list(map(math.sqrt, sums.mean(self.summed[0]))))


class MAPE(_OfNumbers):
    """The mean of the errors relative to the targets.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.MAPE()([2.0, 4.0], [1.0, 4.0])
    0.25
    """

    registry_name = "mape"
    summed = (sum_of("relative_error"),)
    function = staticmethod(_numbers.mape)


class R2(_OfNumbers):
    """The coefficient of determination.

    Examples
    --------
    >>> from fastnn import metrics
    >>> metrics.R2()([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """

    registry_name = "r2"
    larger_is_better = True
    summed = (sum_of("squared_error"), sum_of("target_spread"))
    function = staticmethod(_numbers.r2)

    def of_sums(self, kind: Kind, sums: RowSums) -> float:
        """Return the mean over the outputs."""
        left, spread = (sums.lists[each] for each in self.summed)
        k = len(left)
        squares, lowest, highest = (spread[at : at + k] for at in range(2 + k, 2 + 4 * k, k))
        constant = list(map(eq, lowest, highest))
        return _numbers.explained(int(spread[0]), left, squares, constant)
