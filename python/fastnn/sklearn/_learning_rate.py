# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's three schedules of the learning rate, which change it between epochs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LearningRate"]

_SMALLEST = 1e-6  # "adaptive" stops when the rate is not above it any more
_FACTOR = 5.0  # by which "adaptive" divides


@dataclass
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

    def end_epoch(self, rows_seen: int) -> None:
        """Change the rate after an epoch; `rows_seen` counts the rows of all epochs so far."""
        if self.schedule == "invscaling":
            self.learning_rate = float(self.initial) / (rows_seen + 1) ** self.power_t

    def end_improvement(self) -> str | None:
        """Return why training stops, or lower the rate and return None."""
        if self.schedule != "adaptive":
            return "Stopping."
        if self.learning_rate <= _SMALLEST:
            return "Learning rate too small. Stopping."
        self.learning_rate /= _FACTOR
        return None
