# SPDX-License-Identifier: BSD-3-Clause
"""Units that pass no gradient in any row: dead ReLUs, saturated sigmoids and the like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._report import Finding, some

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["dead", "find"]

_SLOPE = 1e-4  # a derivative that counts as none
_SHARE = 0.1  # a few units that are dead do no harm


def dead(slopes: NDArray[Any]) -> list[int]:
    """Return the columns in which the derivatives of an activation are nearly 0 in all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnose import units
    >>> units.dead(np.array([[0.0, 1.0], [0.0, 0.0]]))
    [0]
    """
    columns: list[int] = np.flatnonzero((np.abs(slopes) <= _SLOPE).all(axis=0)).tolist()
    return columns


def find(where: str, slopes: NDArray[Any]) -> list[Finding]:
    """Look for a layer of which more than a tenth of the units is dead.

    Parameters
    ----------
    where : str
        The name of the layer.
    slopes : ndarray of shape (n, units)
        The derivative of the activation, for each row and unit.
    """
    columns = dead(slopes)
    units = slopes.shape[1]
    if len(columns) <= _SHARE * units:
        return []
    what = (
        f"{len(columns)} of {units} units have a derivative of 0 in all {len(slopes)} rows, so "
        f"that nothing below them learns: {some(columns)}."
    )
    advice = (
        "Scale the inputs, lower the learning rate (one large step is enough to kill a ReLU), "
        "make the model anew, or take LeakyReLU, ELU or GELU; BatchNorm1d or LayerNorm before the "
        "activation keeps its inputs where it has a slope."
    )
    return [Finding("dead_units", where, what, advice, {"units": columns, "of": units})]
