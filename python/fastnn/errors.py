# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions that fastnn defines; each is derived from a builtin one as well."""

from __future__ import annotations

__all__ = ["FastnnError", "ModelBusyError", "ModelFileError", "TrainingDivergedError"]


class FastnnError(Exception):
    """Base class of the exceptions that fastnn defines."""

    _sentence: str | None = None  # of a failure of the core that no public call has named yet


class ModelBusyError(FastnnError, RuntimeError):
    """Another call trains or loads the model, so that this call cannot use it."""


class TrainingDivergedError(FastnnError, ArithmeticError):
    """A value in training became infinite or NaN; the model is as after the last finite epoch."""


class ModelFileError(FastnnError, ValueError):
    """A model file is truncated or altered, or this version cannot read it."""
