# SPDX-License-Identifier: BSD-3-Clause
"""Limits of gradients before an update: of the norm of several, and of single entries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastnn.reference._describe import Array

__all__ = ["clip_factor", "clip_norms", "clip_values"]


def clip_factor(grads: Sequence[Array], max_norm: float) -> tuple[float, float]:
    """Return (factor, norm): `factor` times the gradients have a global norm up to `max_norm`."""
    norm = math.sqrt(sum(float(np.sum(np.square(g, dtype=np.float64))) for g in grads))
    return min(1.0, max_norm / (norm + 1e-6)), norm


def clip_norms(
    grads: Mapping[str, Array],
    limits: Sequence[tuple[float | None, Sequence[str]]],
    max_norm: float | None,
) -> None:
    """Shrink gradients, by the keys of their parameters, to limits of their norms, in place.

    `limits` are of groups, each with its keys; `max_norm` is the limit of all other gradients.
    """
    own = {key for _, keys in limits for key in keys}
    for limit, keys in [*limits, (max_norm, [key for key in grads if key not in own])]:
        group = [grads[key] for key in keys if key in grads]
        factor = 1.0 if limit is None else clip_factor(group, limit)[0]
        for g in group:
            np.multiply(g, factor, out=g)


def clip_values(grads: Mapping[str, Array], limit: float) -> None:
    """Shrink each entry of the gradients to at most `limit`, in place."""
    for g in grads.values():
        np.clip(g, -limit, limit, out=g)
