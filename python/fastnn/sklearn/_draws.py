# SPDX-License-Identifier: BSD-3-Clause
"""Everything that an estimator draws, from NumPy's RandomState in scikit-learn's order.

First come the initial values, the weights and then the biases of each layer; with early stopping
then the rows for validation; at last the order of the rows in each epoch, which the core draws
(`_core.NumpyOrders`). The core draws the initial values, too (`_core.numpy_uniform`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

__all__ = ["draw_values"]


def draw_values(
    random_state: np.random.RandomState,
    activations: Sequence[str],
    weights: Sequence[Any],
    biases: Sequence[Any],
) -> None:
    """Draw the initial values of each layer, its weights (in, out) and then its biases (out).

    They are uniform in +-sqrt(6 / (in + out)) (Glorot and Bengio 2010), with 2 instead of 6 for the
    logistic function. Biases have the bound of their weights.

    Parameters
    ----------
    random_state : RandomState
    activations : sequence of str
        The registry's name for each layer; the layer of the outputs has that of the one before.
    weights, biases : sequence of ndarray
        What is filled, of float32 or float64. The numbers are drawn as float64 and then rounded.
    """
    parts = []
    for activation, weight, bias in zip(activations, weights, biases, strict=True):
        bound = math.sqrt((2.0 if activation == "sigmoid" else 6.0) / sum(weight.shape))
        parts += [(bound, weight), (bound, bias)]
    _core.numpy_uniform(random_state._bit_generator, parts)
