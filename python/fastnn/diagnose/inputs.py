# SPDX-License-Identifier: BSD-3-Clause
"""Faults of the data: columns of a wrong size, and columns and targets that never change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._report import Finding, some

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["constant", "constant_targets", "unscaled"]

# Initial values are for numbers of about 1; the root mean square of a column may be this far off.
_LARGEST = 10.0
_SMALLEST = 0.01


def unscaled(prepared: NDArray[Any]) -> list[Finding]:
    """Look for columns that are much larger than 1, or for numbers that all are much smaller.

    Parameters
    ----------
    prepared : ndarray of shape (n, features)
        The rows as the first layer gets them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnose import inputs
    >>> [f.figures["columns"] for f in inputs.unscaled(np.array([[1, 150], [-1, 90]]))]
    [[1]]
    """
    sizes = np.sqrt((prepared.astype(float) ** 2).mean(axis=0))
    advice = (
        "Subtract the mean of each column and divide by its standard deviation, those of the "
        "training rows: nn.Standardize() as the first layer measures them in fit and is saved with "
        "the model. Pixels of 0 to 255 take nn.Rescale(1 / 255)."
    )
    large = np.flatnonzero(sizes > _LARGEST).tolist()
    if large:
        what = (
            f"{len(large)} of {sizes.size} columns have a root mean square above {_LARGEST:g}, the "
            f"largest {sizes.max():.3g}: {some(large)}."
        )
        return [Finding("unscaled_inputs", "X", what, advice, {"columns": large})]
    if 0 < sizes.max(initial=0) < _SMALLEST:
        what = f"No column has a root mean square above {sizes.max():.3g}."
        columns = list(range(sizes.size))
        return [Finding("unscaled_inputs", "X", what, advice, {"columns": columns})]
    return []


def constant(x: NDArray[Any]) -> list[Finding]:
    """Look for columns with the same number in all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnose import inputs
    >>> [f.figures["columns"] for f in inputs.constant(np.array([[1, 5], [1, 6]]))]
    [[0]]
    """
    if len(x) < 2:
        return []
    columns = np.flatnonzero((x == x[0]).all(axis=0)).tolist()
    if not columns:
        return []
    what = f"{len(columns)} of {x.shape[1]} columns are the same in all rows: {some(columns)}."
    advice = (
        "They cannot help, and their weights are noise for rows in which they differ later. Leave "
        "them out, or find out why they do not change."
    )
    return [Finding("constant_columns", "X", what, advice, {"columns": columns})]


def constant_targets(y: NDArray[Any]) -> list[Finding]:
    """Look for targets that are the same in all rows.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnose import inputs
    >>> [f.name for f in inputs.constant_targets(np.array([2, 2, 2]))]
    ['constant_targets']
    """
    if len(y) < 2 or not (y == y[0]).all():
        return []
    what = "All rows have the same target."
    advice = "There is nothing to learn. Are the rows sorted, and only the first ones given?"
    return [Finding("constant_targets", "y", what, advice)]
