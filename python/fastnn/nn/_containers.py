# SPDX-License-Identifier: BSD-3-Clause
"""Layers that are made of layers, which may contain layers again.

In a model their layers have keys as in torch, "2.0.weight"; nothing else of the model knows of them
but the walk over the tree (_keys.walk).
"""

from __future__ import annotations

import copy
import operator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ._layer import Layer, ParameterLayer, check_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Chain", "Container", "Residual"]


def as_layer(layer: Any) -> Any:
    """What a model takes for `layer`: for a Sequential its layers, as a layer."""
    return layer if isinstance(layer, type) else getattr(layer, "_as_layer", lambda: layer)()


def listing(named: Iterable[tuple[str, Layer]]) -> str:
    """Layers in lines below each other, what they contain moved to the right."""
    lines = [f"  ({key}): {layer!r}".replace("\n", "\n  ") for key, layer in named]
    return "\n".join(["(", *lines, ")"]) if lines else "()"


class Container(Layer):
    """Base of the layers that are made of layers: those run one after the other.

    Its layers are fixed when it is made; each is a layer of the model like any other, with a key,
    values, settings and a freeze flag of its own.

    Examples
    --------
    >>> from fastnn import nn
    >>> block = nn.Residual(nn.Linear(8, 8), nn.ReLU())
    >>> isinstance(block, nn.Container), len(block)
    (True, 2)
    """

    word: ClassVar[str] = ""  # how it shows itself
    _layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer) -> None:
        where = self.word
        layers = tuple(map(as_layer, layers))
        if not layers:
            raise ValueError(f"[{where}] no layers came; expected at least one")
        for position, layer in enumerate(layers):
            check_kind(where, position, layer)
            if layer.prepares:
                raise ValueError(
                    f"[{where}] layer {position} ({layer!r}) prepares the input; expected in the "
                    "model itself, before all other layers"
                )
        vars(self)["_layers"] = layers

    @property
    def children(self) -> tuple[Layer, ...]:
        """The layers that this one contains, in their order."""
        return self._layers

    def _with(self, children: tuple[Layer, ...]) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self), _layers=children)
        return made

    def __getstate__(self) -> dict[str, Any]:
        """Copies belong to no model, and neither do their layers."""
        return {**vars(self), "_layers": tuple(copy.copy(layer) for layer in self._layers)}

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The container as the core takes it: its name and its layers."""
        return self.registry_name, {"layers": [layer.spec() for layer in self._layers]}

    def width(self, where: str, n_in: int | None) -> int | None:
        """Columns that leave the last layer."""
        for number, layer in enumerate(self._layers):
            n_in = layer.width(f"{where}.{number}", n_in)
        return n_in

    @property
    def frozen(self) -> bool:
        """Whether training leaves the parameters of all its layers as they are."""
        holders = [x for x in self._layers if isinstance(x, (ParameterLayer, Container))]
        return bool(holders) and all(layer.frozen for layer in holders)

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def __getitem__(self, index: Any) -> Layer:
        """The layer of that number, counted from the end if it is negative."""
        try:
            return self._layers[operator.index(index)]
        except IndexError:
            raise IndexError(
                f"[{self.word}] no layer {index}; the container has {len(self)}"
            ) from None
        except TypeError:
            raise TypeError(
                f"[{self.word}] the index is {index!r}; expected a layer's number"
            ) from None

    def __repr__(self) -> str:
        return self.word + listing((str(n), layer) for n, layer in enumerate(self._layers))


class Residual(Container):
    """x + f(x), f the layers one after the other: what comes in is added to what they give.

    The gradient reaches x on both ways, so a deep model of such blocks trains as a shallow one
    does (He et al., 2016). The layers have to give as many columns as come in. Its values have the
    keys that torch gives those of a ``torch.nn.Sequential`` in its place.

    Parameters
    ----------
    *layers : Layer
        At least one. A Sequential among them is taken over as a layer.

    Raises
    ------
    ValueError
        The layers change the number of columns, or one of them prepares the input.

    Examples
    --------
    >>> from fastnn import nn
    >>> block = nn.Residual(nn.LayerNorm(8), nn.Linear(8, 8), nn.ReLU())
    >>> model = nn.Sequential(nn.Linear(4, 8), block, nn.Linear(8, 3))
    >>> model[1]
    Residual(
      (0): LayerNorm(8, eps=1e-05, elementwise_affine=True, bias=True)
      (1): Linear(in_features=8, out_features=8, bias=True)
      (2): ReLU()
    )
    >>> model[1][1].weight.shape
    (8, 8)
    >>> list(model.state_dict())[2:4]
    ['1.0.weight', '1.0.bias']
    """

    registry_name: ClassVar[str] = "residual"
    word: ClassVar[str] = "Residual"

    def width(self, where: str, n_in: int | None) -> int | None:
        """As many as come in."""
        n_out = super().width(where, n_in)
        if None not in (n_in, n_out) and n_out != n_in:
            raise ValueError(
                f"[{where}] the layers of {self.word} make {n_out} columns of {n_in}; expected as "
                "many as come in, since x is added to them"
            )
        return n_out

    def flops(self, n_in: int) -> int:
        """An addition a column."""
        return n_in


class Chain(Container):
    """What a Sequential is inside another one: its layers, as a layer of the model around it.

    Examples
    --------
    >>> from fastnn import nn
    >>> body = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    >>> model = nn.Sequential(body, nn.Linear(8, 2))
    >>> model[0]
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
    )
    >>> list(model.state_dict())
    ['0.0.weight', '0.0.bias', '1.weight', '1.bias']
    """

    registry_name: ClassVar[str] = "sequential"
    word: ClassVar[str] = "Sequential"
