# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions that fastnn raises beside the builtin kinds; each is also one of those."""

from __future__ import annotations

__all__ = ["FastnnError", "ModelBusyError", "ModelFileError", "TrainingDivergedError"]


class FastnnError(Exception):
    """Base of everything that only fastnn raises."""


class ModelBusyError(FastnnError, RuntimeError):
    """The model is being trained or loaded by another call, and this call would change it, too."""


class TrainingDivergedError(FastnnError, ArithmeticError):
    """Training met a non-finite value; the model is as after its last finite epoch."""


class ModelFileError(FastnnError, ValueError):
    """A model file is truncated, altered, or not of a kind that this version reads."""
