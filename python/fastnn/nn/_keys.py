# SPDX-License-Identifier: BSD-3-Clause
"""The keys of a model's layers, as in torch's ``state_dict`` and in the core.

The layers of a list are numbered from 0: "0", "1". The key of a layer inside another one begins
with the key of that layer: "2.0". Input preparation, which torch does not number, has keys of its
own: "input.0".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Protocol, Self

    class _Node(Protocol):
        """The attributes of a layer on which its key depends."""

        @property
        def numbered(self) -> bool: ...
        @property
        def children(self) -> Sequence[Self]: ...


__all__ = ["in_state_dict", "named", "positions", "walk"]

Node = TypeVar("Node", bound="_Node")
_INPUT = "input."


def named(layers: Iterable[Node], prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield each of `layers` with its key; `prefix` is the key that contains them, with a dot."""
    numbers = {True: 0, False: 0}
    for layer in layers:
        start = prefix if layer.numbered else _INPUT
        yield f"{start}{numbers[layer.numbered]}", layer
        numbers[layer.numbered] += 1


def walk(layers: Sequence[Node], prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield `layers` and all layers in them with their keys, each before those that it contains."""
    for key, layer in named(layers, prefix):
        yield key, layer
        if layer.children:
            yield from walk(layer.children, f"{key}.")


def positions(layers: Sequence[Node]) -> Iterator[tuple[int, Node]]:
    """Yield the same layers, each with the index of the one of `layers` that it belongs to."""
    for position, outermost in enumerate(layers):
        for _, layer in walk((outermost,)):
            yield position, layer


def in_state_dict(key: str) -> str | None:
    """Return the key in state_dict; None for input preparation, which has no values."""
    return None if key.startswith(_INPUT) else key
