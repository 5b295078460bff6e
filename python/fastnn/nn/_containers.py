# SPDX-License-Identifier: BSD-3-Clause
"""Containers: layers that are made of other layers, which may be containers as well.

The layers inside have keys as in torch: "2.0.weight". `_keys.walk` goes through them; other modules
do not distinguish them from layers outside of containers.
"""

from __future__ import annotations

import copy
import operator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fastnn._hints import shown

from ._keys import SHORTCUT
from ._layer import Layer, ParameterLayer, check_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Chain", "Container", "Residual"]


def as_layer(layer: Any) -> Any:
    """Return the layer that a model takes for `layer`, which is a Chain for a Sequential."""
    return layer if isinstance(layer, type) else getattr(layer, "_as_layer", lambda: layer)()


def listing(named: Iterable[tuple[str, Layer]]) -> str:
    """Return layers as lines of text, with the layers inside them indented."""
    lines = [f"  ({key}): {layer!r}".replace("\n", "\n  ") for key, layer in named]
    return "\n".join(["(", *lines, ")"]) if lines else "()"


class Container(Layer):
    """Base of the layers that are made of other layers, which run one after the other.

    Which layers it has cannot be changed later. Each of them is a layer of the model like any
    other, with its own key, values, settings and freeze flag.

    Examples
    --------
    >>> from fastnn import nn
    >>> block = nn.Residual(nn.Linear(8, 8), nn.ReLU())
    >>> isinstance(block, nn.Container), len(block)
    (True, 2)
    """

    word: ClassVar[str] = ""  # the name in its repr and in messages
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
        """Return the layers inside the container, in order."""
        return self._layers

    def _with(self, children: tuple[Layer, ...]) -> Self:
        made = object.__new__(type(self))
        vars(made).update(vars(self), _layers=children)
        return made

    _parts: ClassVar[tuple[str, ...]] = ("layers",)

    def _given(self) -> dict[str, Any]:
        """Return its layers as copies, which belong to no model."""
        return {"layers": tuple(copy.copy(layer) for layer in self._layers)}

    def _remake(self, given: dict[str, Any]) -> None:
        layers = given["layers"]
        if not isinstance(layers, (list, tuple)):
            raise TypeError(f"layers is {shown(layers)}; expected a list of layers")
        Container.__init__(self, *layers)

    def spec(self) -> tuple[str, dict[str, Any]]:
        """Return the container as the core takes it: name and layers."""
        return self.registry_name, {"layers": [layer.spec() for layer in self._layers]}

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return the number of columns of the last layer's output."""
        for number, layer in enumerate(self._layers):
            n_in = layer.width(f"{where}.{number}", n_in)
        return n_in

    @property
    def frozen(self) -> bool:
        """Whether all its layers with parameters are frozen."""
        holders = [x for x in self.children if isinstance(x, (ParameterLayer, Container))]
        return bool(holders) and all(layer.frozen for layer in holders)

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def __getitem__(self, index: Any) -> Layer:
        """Return the layer at this index; negative indices count from the end."""
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
    """Compute x + f(x), where f applies the layers one after the other.

    The gradient reaches x both through f and directly, so that deep models of such blocks can be
    trained (He et al., 2016). Where the layers change the number of columns, x cannot be added as
    it is, and a `shortcut` makes as many columns of it: the block is then shortcut(x) + f(x). It is
    never made automatically, since it has values, a key, an initializer and a freeze flag of its
    own. The values have the keys that they would have in a ``torch.nn.Sequential`` in the same
    place, and those of the shortcut ``"1.shortcut.weight"``.

    Parameters
    ----------
    *layers : Layer
        At least one; a Sequential among them becomes a layer of the block.
    shortcut : Layer, optional
        A layer, usually an `nn.Linear`, or a Sequential.

    Raises
    ------
    ValueError
        If the two sides have different numbers of columns, or a layer prepares the input.

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
    >>> model = nn.Sequential(nn.Residual(nn.Linear(4, 8), nn.ReLU(), shortcut=nn.Linear(4, 8)))
    >>> model[0]
    Residual(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (shortcut): Linear(in_features=4, out_features=8, bias=True)
    )
    >>> list(model.state_dict())[2:]
    ['0.shortcut.weight', '0.shortcut.bias']
    """

    registry_name: ClassVar[str] = "residual"
    word: ClassVar[str] = "Residual"
    _parts: ClassVar[tuple[str, ...]] = ("layers", SHORTCUT)
    _shortcut: Layer | None

    def __init__(self, *layers: Layer, shortcut: Any = None) -> None:
        super().__init__(*layers)
        if shortcut is not None:
            shortcut = as_layer(shortcut)
            check_kind(self.word, SHORTCUT, shortcut)
            if shortcut.prepares:
                raise ValueError(
                    f"[{self.word}] the shortcut ({shortcut!r}) prepares the input; expected a "
                    "layer that computes"
                )
        vars(self)["_shortcut"] = shortcut

    @property
    def shortcut(self) -> Layer | None:
        """The layer through which x reaches the sum; None if x is added as it is."""
        return self._shortcut

    @property
    def has_shortcut(self) -> bool:
        """Whether there is a shortcut."""
        return self._shortcut is not None

    @property
    def children(self) -> tuple[Layer, ...]:
        """Return the layers of the block, and then the shortcut if there is one."""
        return self._layers if self._shortcut is None else (*self._layers, self._shortcut)

    def _with(self, children: tuple[Layer, ...]) -> Self:
        if self._shortcut is None:
            return super()._with(children)
        made = super()._with(children[:-1])
        vars(made)["_shortcut"] = children[-1]
        return made

    def _given(self) -> dict[str, Any]:
        return {**super()._given(), SHORTCUT: copy.copy(self._shortcut)}

    def _remake(self, given: dict[str, Any]) -> None:
        super()._remake(given)
        Residual.__init__(self, *self._layers, shortcut=given[SHORTCUT])

    def spec(self) -> tuple[str, dict[str, Any]]:
        """Return the container as the core takes it: name, layers and shortcut."""
        name, settings = super().spec()
        if self._shortcut is not None:
            settings[SHORTCUT] = self._shortcut.spec()
        return name, settings

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return the number of columns of the sum, which both sides must have."""
        n_out, past = super().width(where, n_in), n_in
        if self._shortcut is not None:
            past = self._shortcut.width(f"{where}.{SHORTCUT}", n_in)
        if None not in (past, n_out) and n_out != past:
            text = f"[{where}] the layers of {self.word} make {n_out} columns of {n_in}"
            if self._shortcut is None:
                raise ValueError(
                    f"{text}; expected as many as come in, since x is added to them. Give it "
                    f"shortcut=nn.Linear({n_in}, {n_out})"
                )
            raise ValueError(f"{text}, its shortcut {past}; expected as many, since they are added")
        return n_out

    def flops(self, n_in: int) -> int:
        """Return one addition per column."""
        return self.width("flops", n_in) or n_in

    def __repr__(self) -> str:
        named = [(str(n), layer) for n, layer in enumerate(self._layers)]
        if self._shortcut is not None:
            named.append((SHORTCUT, self._shortcut))
        return self.word + listing(named)


class Chain(Container):
    """The layers of a Sequential as one layer of another model.

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
