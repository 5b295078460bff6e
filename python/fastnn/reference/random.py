# SPDX-License-Identifier: BSD-3-Clause
"""The random streams of the engine, drawn with NumPy's Philox4x64-10.

A counter-based generator is a function: the same key and counter give the same bits, in any order
of the calls. The key is (seed, stream); the counter is (block, row, step, draw), with draw
0 for all but dropout. One block has four words of 64 bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from fastnn.reference._describe import Array

__all__ = [
    "DROPOUT",
    "INIT",
    "SHUFFLE",
    "dropout_mask",
    "init_linear",
    "permutation",
    "uniform",
    "words",
]

# The second half of the key says what the numbers are for. Layers add their position.
DROPOUT, INIT, SHUFFLE = 0, 2**32, 2**33


def words(seed: int, stream: int, n: int, row: int = 0, step: int = 0, draw: int = 0) -> Array:
    """Return the first `n` 64-bit words of one stream."""
    key = np.array([seed, stream], dtype=np.uint64)
    counter = np.array([0, row, step, draw], dtype=np.uint64)
    drawn: Array = np.random.Philox(key=key, counter=counter).random_raw(n)
    return drawn


def uniform(n: int, seed: int, stream: int) -> Array:
    """Return `n` float64 draws in [0, 1): the upper 53 bits of each word."""
    drawn: Array = (words(seed, stream, n) >> np.uint64(11)) * 2.0**-53
    return drawn


def init_linear(
    shape: tuple[int, int], bias: bool, seed: int, layer: int, dtype: Any
) -> tuple[Array, Array]:
    """Draw the initial values U(-1/sqrt(in), 1/sqrt(in)) of a linear layer of shape (in, out).

    The weight is drawn row by row, then the bias. Without a bias the second array is empty.
    """
    in_features, out_features = shape
    n_weight = in_features * out_features
    u = uniform(n_weight + (out_features if bias else 0), seed, INIT + layer)
    bound = 1.0 / math.sqrt(in_features)
    values = (bound * (2.0 * u - 1.0)).astype(dtype)
    return values[:n_weight].reshape(in_features, out_features), values[n_weight:]


def dropout_mask(
    shape: tuple[int, int],
    p: float,
    seed: int,
    layer: int,
    step: int,
    dtype: Any,
    draw: int = 0,
) -> Array:
    """Return 0 with probability `p` and 1 / (1 - p) otherwise, for each row and column of a batch.

    `draw` counts the training passes since the optimizer's last step.

    Every row has its own counter, so a row's mask does not depend on how the batch is split.
    """
    n_rows, n_columns = shape
    threshold = round(p * 2**32)
    kept = np.empty(shape, dtype=bool)
    for row in range(n_rows):
        row_words = words(seed, DROPOUT + layer, -(-n_columns // 2), row, step, draw)
        lanes = row_words.astype("<u8").view("<u4")  # two columns per word, the low half first
        kept[row] = lanes[:n_columns].astype(np.uint64) >= threshold
    scale = 1.0 / (1.0 - p) if p < 1 else 0.0
    mask: Array = kept.astype(dtype) * np.dtype(dtype).type(scale)
    return mask


def permutation(n: int, seed: int, epoch: int) -> Array:
    """Return the order in which an epoch takes the rows, by the Fisher-Yates shuffle."""
    order = np.arange(n, dtype=np.int64)
    drawn = words(seed, SHUFFLE, max(n - 1, 0), step=epoch).tolist()
    for word, i in zip(drawn, range(n - 1, 0, -1), strict=True):
        j = (word * (i + 1)) >> 64  # word / 2^64 is uniform in [0, 1), so j is uniform in 0..i
        order[i], order[j] = order[j], order[i]
    return order
