# SPDX-License-Identifier: BSD-3-Clause
"""The keys of a model's layers, as in torch's ``state_dict`` and in the core.

The layers of a list are numbered from 0: "0", "1". The key of a layer inside another one begins
with the key of that layer: "2.0". Input preparation, which torch does not number, has keys of its
own: "input.0". The shortcut of a container has its name in the place of a number: "2.shortcut".
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
        @property
        def has_shortcut(self) -> bool: ...


__all__ = ["SHORTCUT", "in_state_dict", "inside", "is_shortcut", "named", "positions", "walk"]

Node = TypeVar("Node", bound="_Node")
_INPUT = "input."
SHORTCUT = "shortcut"


def named(layers: Iterable[Node], prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield each of `layers` with its key; `prefix` is the key that contains them, with a dot."""
    numbers = {True: 0, False: 0}
    for layer in layers:
        start = prefix if layer.numbered else _INPUT
        yield f"{start}{numbers[layer.numbered]}", layer
        numbers[layer.numbered] += 1


def inside(layer: Node, key: str) -> Iterator[tuple[str, Node]]:
    """Yield the layers that `layer`, which has this key, contains, with their keys."""
    children = layer.children
    count = len(children) - layer.has_shortcut
    yield from named(children[:count], f"{key}.")
    for child in children[count:]:
        yield f"{key}.{SHORTCUT}", child


def is_shortcut(key: str) -> bool:
    """Whether the layer with this key is the shortcut of the container around it."""
    return key.rpartition(".")[2] == SHORTCUT


def walk(layers: Sequence[Node], prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield `layers` and all layers in them with their keys, each before those that it contains."""
    for key, layer in named(layers, prefix):
        yield from _below(key, layer)


def _below(key: str, layer: Node) -> Iterator[tuple[str, Node]]:
    yield key, layer
    for name, child in inside(layer, key):
        yield from _below(name, child)


def positions(layers: Sequence[Node]) -> Iterator[tuple[int, Node]]:
    """Yield the same layers, each with the index of the one of `layers` that it belongs to."""
    for position, outermost in enumerate(layers):
        for _, layer in walk((outermost,)):
            yield position, layer


def in_state_dict(key: str) -> str | None:
    """Return the key in state_dict; None for input preparation, which has no values."""
    return None if key.startswith(_INPUT) else key
