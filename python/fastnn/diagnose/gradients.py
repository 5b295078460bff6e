# SPDX-License-Identifier: BSD-3-Clause
"""Gradients that vanish or explode from layer to layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._report import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["by_layer"]

_VANISHED = 1e-4
_EXPLODED = 1e3


def by_layer(sizes: Mapping[str, float]) -> list[Finding]:
    """Compare the gradients of the layers, from the first to the last.

    Parameters
    ----------
    sizes : mapping of str to float
        Of each matrix of weights, by its key and in the order of the layers, the root mean square
        of the gradient of the loss by it.

    Examples
    --------
    >>> from fastnn.diagnose import gradients
    >>> [f.name for f in gradients.by_layer({"0.weight": 1e-9, "2.weight": 1e-2})]
    ['vanishing_gradients']
    """
    if not sizes:
        return []
    keys, last = list(sizes), list(sizes.values())[-1]
    broken = [key for key in keys if not math.isfinite(sizes[key])]
    # Large beside a loss of about 1; or larger than 1, and large beside the last layer.
    limit = _EXPLODED * min(max(last, 1 / _EXPLODED), 1.0)
    huge = [key for key in keys if sizes[key] > limit]
    if broken or huge:
        key = (broken or huge)[0]
        what = f"The gradient of {key} has a root mean square of {sizes[key]:.2g}"
        what += f", that of the last layer {last:.2g}." if key != keys[-1] else "."
        advice = (
            "Scale inputs and targets, give compile max_grad_norm=1.0, and take BatchNorm1d, "
            "LayerNorm or Residual between the layers."
        )
        figures = {"keys": broken or huge}
        return [Finding("exploding_gradients", f"parameter {key}", what, advice, figures)]
    tiny = [key for key in keys if sizes[key] < _VANISHED * last]
    if not tiny and max(sizes.values()) > 0:
        return []
    key = tiny[0] if tiny else keys[0]
    what = (
        f"The gradient of {key} has a root mean square of {sizes[key]:.2g}, that of the last "
        f"layer {last:.2g}."
    )
    advice = (
        "Take ReLU, GELU or SELU in place of Sigmoid and Tanh, BatchNorm1d, LayerNorm or Residual "
        "between the layers, or fewer layers; look for dead units and frozen layers."
    )
    figures = {"keys": tiny or keys}
    return [Finding("vanishing_gradients", f"parameter {key}", what, advice, figures)]
