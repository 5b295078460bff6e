# SPDX-License-Identifier: BSD-3-Clause
"""The summary of a model: shapes, parameters and operations of its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import _keys
from ._layer import Layer, ParameterLayer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Summary", "SummaryRow", "summarize"]


@dataclass(frozen=True)
class SummaryRow:
    """One layer of the table; `key` is its key in ``state_dict``, or None."""

    key: str | None
    layer: str
    output: int | None
    parameters: int
    bytes: int
    flops: int
    frozen: bool


@dataclass(frozen=True, repr=False)
class Summary:
    """The table of a model: ``str(summary)`` is its text, and the attributes are the figures.

    Attributes
    ----------
    rows : tuple of SummaryRow
    parameters : int
        Number of parameters, without running statistics.
    trainable : int
        Number of parameters of layers that are not frozen.
    bytes : int
        Size of parameters and running statistics, without optimizer state.
    flops : int
        Floating-point operations of the forward pass of one row; a training step takes about three
        times as many.

    Examples
    --------
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 8).freeze(), nn.ReLU(), nn.Linear(8, 2))
    >>> print(model.summary(print_fn=None))
       layer            output   parameters  bytes  flops a row
    -----------------------------------------------------------
    0  Linear (frozen)  (n, 8)           40    160           64
    1  ReLU             (n, 8)            0      0            8
    2  Linear           (n, 2)           18     72           32
    -----------------------------------------------------------
       total            float32          58    232          104
    trainable: 18 of 58 parameters
    """

    rows: tuple[SummaryRow, ...]
    dtype: str

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """Number of parameters outside frozen layers."""
        return sum(row.parameters for row in self.rows if not row.frozen)

    @property
    def bytes(self) -> int:
        """Bytes of parameters and running statistics."""
        return sum(row.bytes for row in self.rows)

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward pass of one row."""
        return sum(row.flops for row in self.rows)

    def __str__(self) -> str:
        cells = [("", "layer", "output", "parameters", "bytes", "flops a row")]
        for row in self.rows:
            shape = "?" if row.output is None else f"(n, {row.output})"
            note = row.layer + (" (frozen)" if row.frozen else "")
            cells.append(
                (
                    row.key or "-",
                    note,
                    shape,
                    f"{row.parameters:,}",
                    f"{row.bytes:,}",
                    f"{row.flops:,}",
                )
            )
        total = (f"{self.parameters:,}", f"{self.bytes:,}", f"{self.flops:,}")
        cells.append(("", "total", self.dtype, *total))
        sizes = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
        lines = [
            "  ".join(
                cell.ljust(size) if k in (1, 2) else cell.rjust(size)
                for k, (cell, size) in enumerate(zip(line, sizes, strict=True))
            ).rstrip()
            for line in cells
        ]
        rule = "-" * max(map(len, lines))
        if self.trainable != self.parameters:
            lines.append(f"trainable: {self.trainable:,} of {self.parameters:,} parameters")
        return "\n".join(
            [lines[0], rule, *lines[1 : len(self.rows) + 1], rule, *lines[len(self.rows) + 1 :]]
        )

    def __repr__(self) -> str:
        return (
            f"<Summary: {len(self.rows)} layers, {self.parameters:,} parameters, "
            f"{self.bytes:,} bytes, {self.flops:,} flops a row>"
        )


def summarize(layers: Sequence[Layer], n_features: int, dtype: str) -> Summary:
    """Return the summary of `layers` for `n_features` columns."""
    return Summary(tuple(_rows(_keys.named(layers), n_features, np.dtype(dtype).itemsize)), dtype)


def _rows(named: Iterable[tuple[str, Layer]], first: int | None, size: int) -> Iterator[SummaryRow]:
    columns = first
    for key, layer in named:
        n_in = columns = first if _keys.is_shortcut(key) else columns
        columns = layer.width("Sequential.summary", columns)
        counts = layer.counts()
        yield SummaryRow(
            key=_keys.in_state_dict(key),
            layer=repr(layer).split("(")[0],
            output=columns,
            parameters=counts[0],
            bytes=size * sum(counts),
            flops=layer.flops(n_in or 0),
            frozen=isinstance(layer, ParameterLayer) and layer.frozen,
        )
        yield from _rows(_keys.inside(layer, key), n_in, size)
