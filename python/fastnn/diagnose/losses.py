# SPDX-License-Identifier: BSD-3-Clause
"""The loss before training, beside that of a model which always says the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._report import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["first", "link_twice", "of_a_constant"]

_WORSE = 2.0


def of_a_constant(
    loss: Callable[[NDArray[Any], NDArray[Any]], tuple[float, Any]], y: NDArray[Any], k: int
) -> float:
    """Return the loss of the best of some constant outputs: ln C for classes, variances for MSE.

    Parameters
    ----------
    loss : callable
        (outputs, targets) -> (value, gradient); outputs outside of its range raise ValueError.
    y : ndarray
        Targets.
    k : int
        Number of outputs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> from fastnn.diagnose import losses
    >>> round(losses.of_a_constant(nn.CrossEntropyLoss(), np.array([0, 1, 2]), 10), 4)  # ln 10
    2.3026
    >>> losses.of_a_constant(nn.MSELoss(), np.array([1.0, 3.0]), 1)
    1.0
    """
    candidates = [np.full(k, value) for value in (0.0, 0.5, -np.log(k))]
    if np.asarray(y).dtype.kind == "f" and y.size == k * len(y):
        means = y.reshape(len(y), -1).mean(axis=0, dtype=float)
        candidates.append(means)
        if (means > 0).all():
            candidates.append(np.log(means))
    found = [np.inf]
    for outputs in candidates:
        try:
            found.append(float(loss(np.tile(outputs, (len(y), 1)), y)[0]))
        except ValueError:  # outside the range of the loss
            continue
    return min(found)


def first(loss: float, constant: float) -> list[Finding]:
    """Compare the present loss with that of a constant.

    Examples
    --------
    >>> from fastnn.diagnose import losses
    >>> [f.name for f in losses.first(46.0, 2.3)], losses.first(2.4, 2.3)
    (['large_first_loss'], [])
    """
    if not np.isfinite(constant) or loss <= constant + (_WORSE - 1) * abs(constant):
        return []
    what = f"It is {loss:.4g}; a model that gives the same outputs for all rows has {constant:.4g}."
    advice = (
        "Scale the inputs, and for regression the targets: (y - mean) / std. For classes, do the "
        "numbers in y fit the columns of the outputs? A trained model has forgotten what it "
        "learned, or sees other data."
    )
    return [Finding("large_first_loss", "loss", what, advice, {"loss": loss, "constant": constant})]


def link_twice(outputs: NDArray[Any], predictions: NDArray[Any], task: str) -> list[Finding]:
    """Look for outputs that are probabilities before the loss makes probabilities of them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.diagnose import losses
    >>> p = np.array([[0.2, 0.8], [0.5, 0.5]])
    >>> [f.name for f in losses.link_twice(p, np.exp(p) / np.exp(p).sum(1)[:, None], "multiclass")]
    ['softmax_twice']
    """
    if task != "multiclass" or np.array_equal(outputs, predictions):
        return []
    if (outputs < 0).any() or not np.allclose(outputs.sum(axis=1), 1, atol=1e-5):
        return []
    what = "The outputs are probabilities already, and the loss applies softmax to them once more."
    advice = "Remove the Softmax at the end of the model, or take NLLLoss after LogSoftmax."
    return [Finding("softmax_twice", "outputs", what, advice)]
