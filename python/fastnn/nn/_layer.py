# SPDX-License-Identifier: BSD-3-Clause
"""What a layer is in Python: a description, and a door to its values once a model has them.

Layers compute nothing. Values live in the model's one buffer; a layer looks at them through views.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fastnn._describe import Description

if TYPE_CHECKING:
    from fastnn import _core
    from fastnn._validate import Array

__all__ = ["Activation", "Layer", "ParameterLayer", "layer_values"]


def layer_values(network: _core.Network, number: int) -> dict[str, Array]:
    """Views of a layer's parameters and buffers in torch's layout; read-only while fit runs."""
    found: dict[str, Array] = {}
    locked = network.busy
    for entry in network.parameters():
        if entry["layer"] == number:
            view = entry["array"].T
            view.flags.writeable = not locked
            found[entry["name"]] = view
    return found


class Layer:
    """Base of all layers.

    Attributes
    ----------
    registry_name : str
        The word of the core's registry.
    numbered : bool
        Whether the layer counts in the keys of ``state_dict``; input preparation does not.
    """

    registry_name: ClassVar[str] = ""
    numbered: ClassVar[bool] = True

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        raise NotImplementedError

    def width(self, where: str, n_in: int | None) -> int | None:
        """Columns that leave the layer when `n_in` (None: not known yet) come in."""
        return n_in

    def flops(self, n_in: int) -> int:
        """Floating-point operations of one row forward, counted as the core counts them."""
        return 0

    def freeze(self) -> Self:
        """Keep the layer's parameters as they are in training; returns the layer."""
        return self

    def unfreeze(self) -> Self:
        """Let the layer's parameters be trained again; returns the layer."""
        return self


@dataclass(frozen=True, repr=False, eq=False)
class Activation(Description, Layer):
    """Base of the activations (generated from the registry): element by element, without values."""

    room: ClassVar[str] = "activations"

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The activation as the core takes it: name and hyperparameters."""
        return self.registry_name, dict(self.hyper())

    def flops(self, n_in: int) -> int:
        """One a column, whatever the function costs."""
        return n_in


class ParameterLayer(Layer):
    """Base of layers with values.

    Outside a model it has no values, unless it is a copy that waits for its model: copies, slices
    and pickles carry them in `_waiting`.
    """

    def __init__(self) -> None:
        self._network: _core.Network | None = None
        self._number = -1
        self._waiting: dict[str, Array] | None = None
        self._frozen = False

    @property
    def frozen(self) -> bool:
        """Whether training leaves the layer's parameters as they are."""
        return self._frozen

    def freeze(self) -> Self:
        """Keep the layer's parameters as they are in training; returns the layer."""
        return self._set_frozen(True)

    def unfreeze(self) -> Self:
        """Let the layer's parameters be trained again; returns the layer."""
        return self._set_frozen(False)

    def _set_frozen(self, frozen: bool) -> Self:
        if self._network is not None:
            self._network.set_frozen(self._number, frozen)
        self._frozen = frozen
        return self

    def counts(self) -> tuple[int, int]:
        """Numbers of parameters and of running statistics."""
        raise NotImplementedError

    def values(self) -> dict[str, Array]:
        """Parameters and buffers by torch's names, as views in torch's layout."""
        if self._network is None:
            return dict(self._waiting or {})
        return layer_values(self._network, self._number)

    def _value(self, name: str) -> Array:
        found = self.values()
        if name not in found:
            kind = type(self).__name__
            raise AttributeError(
                f"[{kind}] no {name} yet: values are drawn when a Sequential takes the layer"
            )
        return found[name]

    def _bind(self, network: _core.Network, number: int) -> None:
        """Make the layer the door to the values of layer `number` of `network`."""
        self._network, self._number, self._waiting = network, number, None
        if self._frozen:
            network.set_frozen(number, True)

    def _copy(self) -> Self:
        """A layer that belongs to no model, with copies of the values and the freeze flag."""
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        return twin

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        values = {name: np.array(value) for name, value in self.values().items()}
        state.update(_network=None, _number=-1, _waiting=values or None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
