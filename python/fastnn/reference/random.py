# SPDX-License-Identifier: BSD-3-Clause
"""The random streams of the engine, drawn with NumPy's Philox4x64-10.

A counter-based generator is a function: the same key and counter give the same bits, in any order
of the calls. The key is (seed, stream); the counter is (block, row, step, draw), with draw
0 for all but dropout. One block has four words of 64 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference.normal import normal_quantile

if TYPE_CHECKING:
    from fastnn.reference._describe import Array

__all__ = [
    "DROPOUT",
    "INIT",
    "SHUFFLE",
    "dropout_mask",
    "normal_noise",
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


def normal_noise(
    shape: tuple[int, int], seed: int, layer: int, step: int, dtype: Any, draw: int = 0
) -> Array:
    """Return normal numbers for each row and column of a batch, from 32 bits each.

    The bits are those of which `dropout_mask` makes a mask. A word k stands for the probability
    (k + 1/2) / 2^32 below the number.
    """
    n_rows, n_columns = shape
    lanes = np.empty(shape, np.uint32)
    for row in range(n_rows):
        row_words = words(seed, DROPOUT + layer, -(-n_columns // 2), row, step, draw)
        lanes[row] = row_words.astype("<u8").view("<u4")[:n_columns]
    kind = np.dtype(dtype).type
    centred = lanes.astype(np.int64) - 2**31
    from_end = np.where(centred < 0, lanes, 2**32 - 1 - lanes.astype(np.int64)).astype(np.int64)
    unit, half = kind(2.0**-32), kind(2.0**-33)
    q, p = (n.astype(dtype) * unit + half for n in (centred, from_end))
    return normal_quantile(q, p)


def permutation(n: int, seed: int, epoch: int) -> Array:
    """Return the order in which an epoch takes the rows, by the Fisher-Yates shuffle."""
    order = np.arange(n, dtype=np.int64)
    drawn = words(seed, SHUFFLE, max(n - 1, 0), step=epoch).tolist()
    for word, i in zip(drawn, range(n - 1, 0, -1), strict=True):
        j = (word * (i + 1)) >> 64  # word / 2^64 is uniform in [0, 1), so j is uniform in 0..i
        order[i], order[j] = order[j], order[i]
    return order
