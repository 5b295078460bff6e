# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's three schedules of the learning rate, which change it between epochs."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["LearningRate"]

_SMALLEST = 1e-6  # "adaptive" stops when the rate is not above it any more
_FACTOR = 5.0  # by which "adaptive" divides


@dataclass(frozen=True)
class LearningRate:
    """The learning rate of a training, and what follows when there is no more improvement.

    Attributes
    ----------
    initial : float
    schedule : {"constant", "invscaling", "adaptive"}
    power_t : float
        Exponent of "invscaling".
    learning_rate : float
        The present rate.
    """

    initial: float
    schedule: str
    power_t: float
    learning_rate: float

    def after_epoch(self, rows_seen: int) -> LearningRate:
        """Return the rate after an epoch; `rows_seen` counts the rows of all epochs so far."""
        if self.schedule != "invscaling":
            return self
        return replace(self, learning_rate=float(self.initial) / (rows_seen + 1) ** self.power_t)

    def after_standstill(self) -> LearningRate | str:
        """Return a lower rate, with which training goes on without improvement, or why it stops."""
        if self.schedule != "adaptive":
            return "Stopping."
        if self.learning_rate <= _SMALLEST:
            return "Learning rate too small. Stopping."
        return replace(self, learning_rate=self.learning_rate / _FACTOR)
