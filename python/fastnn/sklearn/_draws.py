# SPDX-License-Identifier: BSD-3-Clause
"""Everything that an estimator draws, from NumPy's RandomState in scikit-learn's order.

First come the initial values, the weights and then the biases of each layer; with early stopping
then the rows for validation; at last the order of the rows in each epoch, which the core draws
(`_core.NumpyOrders`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["initial_values"]


def initial_values(
    random_state: np.random.RandomState,
    units: Sequence[int],
    activations: Sequence[str],
    dtype: Any,
) -> list[Any]:
    """Draw weights (in, out) and biases (out) of each layer; return all weights, then all biases.

    They are uniform in +-sqrt(6 / (in + out)) (Glorot and Bengio 2010), with 2 instead of 6 for the
    logistic function. Biases have the bound of their weights.

    Parameters
    ----------
    random_state : RandomState
    units : sequence of int
        Number of columns of X, sizes of the hidden layers, number of outputs.
    activations : sequence of str
        The registry's name for each layer; the layer of the outputs has that of the one before.
    dtype : float32 or float64
        The numbers are drawn as float64 and then rounded.
    """
    weights, biases = [], []
    for (fan_in, fan_out), activation in zip(pairwise(units), activations, strict=True):
        bound = np.sqrt((2.0 if activation == "sigmoid" else 6.0) / (fan_in + fan_out))
        weights.append(random_state.uniform(-bound, bound, (fan_in, fan_out)))
        biases.append(random_state.uniform(-bound, bound, fan_out))
    return [each.astype(dtype, copy=False) for each in (*weights, *biases)]
