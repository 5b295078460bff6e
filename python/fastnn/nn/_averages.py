# SPDX-License-Identifier: BSD-3-Clause
"""The average of the parameters in the place of their values, and statistics that belong to it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._refusals import Words

from . import _keys, _state
from ._norms import BatchNorm1d

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastnn import _core

    from ._arguments import Call
    from ._layer import Layer

__all__ = ["in_place_of_values", "update_statistics"]


@contextmanager
def in_place_of_values(where: str, network: _core.Network) -> Iterator[None]:
    """Exchange the values of parameters that train with their averages; undo it at the end.

    Running statistics are restored, too.
    """
    with Words(where):
        network.use_averages(True)
    before = _state.statistics(network)
    try:
        yield
    finally:
        with Words(where):
            network.use_averages(False)
            _restore(network, before)


def update_statistics(call: Call, layers: Sequence[Layer], x: Any, batch_size: int) -> None:
    """Make the statistics of every BatchNorm that is not frozen the mean over batches of `x`.

    If a batch is refused, they stay as they were.
    """
    norms = [
        layer
        for _, layer in _keys.walk(layers)
        if isinstance(layer, BatchNorm1d) and not layer.frozen
    ]
    network, momenta = call.network, [norm.momentum for norm in norms]
    before = _state.statistics(network)
    network.load([None] * len(network.parameters()), dict.fromkeys(network.num_batches(), 0))
    try:
        n = x.shape[0] if x.ndim else batch_size  # forward says what is wrong with a single number
        for k, first in enumerate(range(0, n - 1, batch_size)):
            rows = x[first : first + batch_size] if x.ndim else x
            for norm in norms:
                norm.momentum = 1 / (k + 1)
            network.forward(rows, True, call.threads)
    except BaseException:
        _restore(network, before)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _restore(network: _core.Network, before: dict[str, Any]) -> None:
    """Write the statistics that have changed; in callbacks of fit none can."""
    now = _state.statistics(network)
    if any(not np.array_equal(now[key], value) for key, value in before.items()):
        _state.write(network, before)
