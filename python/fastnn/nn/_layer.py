# SPDX-License-Identifier: BSD-3-Clause
"""Layers in Python: their settings, and views of their values once they belong to a model.

Layers compute nothing. Their values are in the core network of their model, in one buffer, of which
a layer gives NumPy views.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

import numpy as np

from fastnn import _registry, _validate
from fastnn._assign import class_of_ours, is_declared, is_free, own_attributes, refusal
from fastnn._describe import Description
from fastnn._docstrings import sentence
from fastnn._fields import checked
from fastnn._hints import shown
from fastnn._refusals import Words

from . import _state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn import _core
    from fastnn._registry import Row
    from fastnn._validate import Array

__all__ = ["Activation", "Layer", "ModelLayer", "ParameterLayer", "Setting", "check_kind"]

Value = TypeVar("Value")


class Layer:
    """Base of all layers.

    Attributes
    ----------
    registry_name : str
        Name in the core's registry.
    numbered : bool
        Whether the layer is counted in the keys of ``state_dict``.
    prepares : bool
        Whether the layer prepares the input, and so comes before all layers that compute.
    learned : tuple of str
        The settings that the layer has after it has learned them from rows.

    Examples
    --------
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> [isinstance(layer, nn.Layer) for layer in model]
    [True, True, True]
    >>> model[0].freeze().frozen
    True
    """

    registry_name: ClassVar[str] = ""
    numbered: ClassVar[bool] = True
    prepares: ClassVar[bool] = False
    learned: ClassVar[tuple[str, ...]] = ()
    remedy: ClassVar[str] = (
        "it is fixed when the layer is made. Put a new layer in its place, model[i] = layer, and "
        "compile again"
    )

    def __setattr__(self, name: str, value: Any) -> None:
        if not (is_free(self, name) or isinstance(getattr(type(self), name, None), Setting)):
            raise AttributeError(refusal(self, name, self.remedy, self._settings()))
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if not is_free(self, name):
            raise AttributeError(f"[{type(self).__name__}] {name} cannot be deleted")
        object.__delattr__(self, name)

    @classmethod
    def _settings(cls) -> list[str]:
        """Return the names of the settings that may change between steps."""
        return [name for name in dir(cls) if isinstance(getattr(cls, name), Setting)]

    @property
    def children(self) -> tuple[Layer, ...]:
        """Return the layers that this one contains, in order."""
        return ()

    @property
    def has_shortcut(self) -> bool:
        """Whether the last one of them is beside the others, which are a chain."""
        return False

    def _become(self, other: Self) -> None:
        """Take over from the same layer of another model what may have changed in training."""
        for name in self._settings():
            setattr(self, name, getattr(other, name))

    def _with(self, children: tuple[Layer, ...]) -> Self:
        """Return a layer with the same settings that contains `children`."""
        raise NotImplementedError

    def _bare(self) -> Layer:
        """Return a copy without model and values; layers without settings are their own copies."""
        children = tuple(child._bare() for child in self.children)
        return self._with(children) if children else self

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        raise NotImplementedError

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return the number of output columns for `n_in` input columns (None: not known yet)."""
        return n_in

    def flops(self, n_in: int) -> int:
        """Return the floating-point operations of the forward pass of a row, as the core counts.

        Those of the layers that it contains are not included.
        """
        return 0

    def counts(self) -> tuple[int, int]:
        """Return the numbers of its own parameters and of its own running statistics."""
        return 0, 0

    # Copies and pickles of a layer have the arguments of its constructor, values, and what a
    # subclass adds; the constructor of the subclass is not called.

    _parts: ClassVar[tuple[str, ...]] = ("settings",)  # the names in the state

    def _given(self) -> dict[str, Any]:
        """Return from what the layer can be made again, by these names."""
        kind: Any = class_of_ours(type(self))
        return {"settings": dict(kind.spec(self)[1]) if kind.registry_name else {}}

    def _remake(self, given: dict[str, Any]) -> None:
        """Become the layer from which `_given` came; wrong parts raise an error."""
        settings = given["settings"]
        if not isinstance(settings, dict):
            raise TypeError(f"settings is {shown(settings)}; expected a dictionary")
        kind: Any = class_of_ours(type(self))
        kind.__init__(self, **settings)

    def __getstate__(self) -> dict[str, Any]:
        return {**self._given(), "attributes": own_attributes(self)}

    def __setstate__(self, state: Any) -> None:
        where = type(self).__name__
        made = object.__new__(type(self))
        with _validate.headed(where, "the state"):
            given = _validate.dictionary(where, "the state", state, (*self._parts, "attributes"))
            made._remake(given)
            for name in _validate.names(where, "attributes", given["attributes"]):
                if is_declared(made, name):
                    raise ValueError(f"{name!r} is no attribute that a subclass may add")
        vars(self).update(vars(made), **given["attributes"])

    def freeze(self) -> Self:
        """Freeze the layer, so that training does not change its parameters; return the layer.

        The optimizer's states and update counts of the parameters remain, too: after unfreeze,
        training continues with them, as in torch.
        """
        self._set_frozen(f"{type(self).__name__}.freeze", True)
        return self

    def unfreeze(self) -> Self:
        """Let the layer's parameters be trained again; returns the layer."""
        self._set_frozen(f"{type(self).__name__}.unfreeze", False)
        return self

    def _set_frozen(self, where: str, frozen: bool) -> None:
        """Freeze or unfreeze the layer, or those that it contains, for the call `where`."""
        for layer in self.children:
            layer._set_frozen(where, frozen)


class Activation(Description, Layer):
    """Base of the activations, which have no values and act on each element or on each row.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.LeakyReLU(0.2)
    LeakyReLU(negative_slope=0.2)
    >>> isinstance(nn.LeakyReLU(0.2), nn.Activation)
    True
    """

    room: ClassVar[str] = "activations"
    remedy: ClassVar[str] = Layer.remedy

    @classmethod
    def _documentation(cls, row: Row) -> tuple[str, Sequence[str], str]:
        return sentence(f"f(z) = {row['formula']}"), [row["note"]] if row["note"] else [], ""

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The activation as the core takes it: name and hyperparameters."""
        return self.registry_name, dict(self.hyper())

    def flops(self, n_in: int) -> int:
        """Return one operation per column, whatever the function is."""
        return n_in


class Setting(Generic[Value]):
    """A setting of a layer that may be assigned between steps and takes effect with the next step.

    An assignment changes the value of both the layer and its model, or, if it fails, of neither.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, layer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, layer: ModelLayer, owner: type) -> Value: ...
    def __get__(self, layer: ModelLayer | None, owner: type) -> Any:
        if layer is None:
            return self
        value = vars(layer)[self._name]  # of an array a read-only view: changes of it would be lost
        if isinstance(value, np.ndarray):
            value = value.view()
            value.flags.writeable = False
        return value

    def __set__(self, layer: ModelLayer, value: Value) -> None:
        layer._change(**{self._name: value})


class ModelLayer(Layer):
    """Base of layers with settings that may change, or with values.

    Each belongs to one model at most, which binds it to its network and to its keys: one key, or
    several if a layer without values is in several places.

    Attributes
    ----------
    noise : str
        The setting with which the layer draws nothing in training if it is 0; "": it never draws.
    """

    noise: ClassVar[str] = ""
    _network: _core.Network | None
    _keys: tuple[str, ...]

    def __init__(self, **settings: Any) -> None:
        known = self._checked(settings) if settings else {}
        vars(self).update(known, _network=None, _keys=())

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return `settings` in the registry's types; wrong ones raise an error."""
        where = type(self).__name__
        row = _registry.row(where, "layers", self.registry_name)
        return dict(checked(where, row["params"], settings))

    def _change(self, **settings: Any) -> None:
        """Change settings of the layer and of its model."""
        new = self._checked(settings)
        if self._network is not None:
            kind, present = self.spec()
            known = {name: value for name, value in (present | new).items() if value is not None}
            with Words(type(self).__name__):
                _state.change_layer(self._network, self._keys, kind, known)
        vars(self).update(new)

    def _bind(self, network: _core.Network, keys: tuple[str, ...]) -> None:
        """Bind the layer to `network` under `keys`."""
        vars(self).update(_network=network, _keys=keys)

    def _unbound(self, values: dict[str, Array] | None) -> dict[str, Any]:
        """Return the attributes of a copy that belongs to no model.

        `values` are those of this layer in a copy of the whole model, and are not copied again.
        """
        del values
        return {**vars(self), "_network": None, "_keys": ()}

    def _expected(self, where: str, n_in: int | None, columns: int) -> int:
        """Return `columns`, the number that the layer takes; another `n_in` is refused."""
        if n_in not in (None, columns):
            raise ValueError(f"[{where}] {self!r} comes after {n_in} columns; expected {columns}")
        return columns

    def _copy(self, values: dict[str, Array] | None = None) -> Self:
        """Return a copy with the same settings, values and freeze flag that has no model."""
        twin = object.__new__(type(self))
        vars(twin).update(self._unbound(values))
        return twin

    def _bare(self) -> Self:
        return self._copy({})


class ParameterLayer(ModelLayer):
    """Base of layers with values.

    A layer that belongs to no model has no values, except for copies, slices and pickles, which
    keep them in `_waiting` until a model takes the layer.
    """

    _waiting: dict[str, Array] | None
    _frozen: bool
    _parts: ClassVar[tuple[str, ...]] = ("settings", "values", "frozen")

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        vars(self).update(_waiting=None, _frozen=False)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(getattr(type(self), name, None), property) and name != "frozen":
            self._assign(name, value)
        else:
            super().__setattr__(name, value)

    def _assign(self, name: str, value: Any) -> None:
        """Refuse new values, but allow `layer.weight *= 2`, which has already worked in place."""
        present = self.values().get(name)
        if present is None:
            raise AttributeError(
                f"[{type(self).__name__}] there is no {name} to assign: values are drawn when a "
                "Sequential takes the layer (and a layer with bias=False has no bias)"
            )
        if not (
            isinstance(value, np.ndarray)
            and value.__array_interface__["data"] == present.__array_interface__["data"]
            and (value.shape, value.strides) == (present.shape, present.strides)
        ):
            raise AttributeError(
                f"[{type(self).__name__}] {name} cannot be assigned: values are copied into the "
                f"model's own memory. Write layer.{name}[...] = values"
            )

    @property
    def _key(self) -> str:
        return self._keys[0]

    @property
    def frozen(self) -> bool:
        """Whether training does not change the layer's parameters."""
        return self._frozen

    def _set_frozen(self, where: str, frozen: bool) -> None:
        if self._network is not None:
            with Words(where):
                _state.set_frozen(self._network, self._key, frozen)
        self._frozen = frozen

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of its parameters and buffers by name, in torch's layout.

        They follow from the settings alone, so that arrays can be compared with them before a
        network is made.
        """
        raise NotImplementedError

    def counts(self) -> tuple[int, int]:
        """Return the numbers of its own parameters and of its own running statistics."""
        shapes = self.shapes()
        sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        statistics = sum(sizes[name] for name in sizes if _state.is_buffer(name))
        return sum(sizes.values()) - statistics, statistics

    def values(self) -> dict[str, Array]:
        """Return parameters and buffers under torch's names, as views in torch's layout."""
        return self._read("values")

    def _read(self, what: str) -> dict[str, Array]:
        if self._network is None:
            return dict(self._waiting or {})
        with Words(f"{type(self).__name__}.{what}"):
            return _state.layer_values(self._network, self._key)

    def _value(self, name: str) -> Array:
        found = self._read(name)
        if name not in found:
            kind = type(self).__name__
            raise AttributeError(
                f"[{kind}] no {name} yet: values are drawn when a Sequential takes the layer"
            )
        return found[name]

    def _bind(self, network: _core.Network, keys: tuple[str, ...]) -> None:
        super()._bind(network, keys)
        vars(self).update(_waiting=None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        state = self.__getstate__()
        values = state.pop("values")  # copies already
        twin = memo[id(self)] = object.__new__(type(self))
        twin.__setstate__({**copy.deepcopy(state, memo), "values": values})
        return twin

    def _unbound(self, values: dict[str, Array] | None) -> dict[str, Any]:
        if values is None and self._network is not None:
            with Words(f"copy of {type(self).__name__}"):
                values = _state.copied_values(self._network, [self._key]).get(self._key)
        elif values is None:
            values = {name: np.array(value) for name, value in (self._waiting or {}).items()}
        return {**super()._unbound(values), "_waiting": values or None}

    def _given(self) -> dict[str, Any]:
        values = self._unbound(None)["_waiting"]
        return {**super()._given(), "values": values, "frozen": self._frozen}

    def _remake(self, given: dict[str, Any]) -> None:
        super()._remake(given)
        kind, values = type(self).__name__, given["values"]
        vars(self)["_frozen"] = _validate.flag(kind, "frozen", given["frozen"])
        if values is None:
            return
        shapes = self.shapes()
        if _state.VARIANCE in shapes:
            shapes = {**shapes, _state.COUNTER: ()}
        # A layer that has not been in a model may have some values, which its user has given.
        some = tuple(name for name in shapes if isinstance(values, dict) and name in values)
        for name, array in _validate.dictionary(
            kind, "values", values, some or tuple(shapes)
        ).items():
            kinds = "i" if name == _state.COUNTER else "f"
            if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
                raise TypeError(f"{name} is {shown(array)}; expected an array of numbers")
            if array.shape != shapes[name] or array.dtype.itemsize not in (4, 8):
                raise ValueError(
                    f"{name} is {array.dtype} of shape {array.shape}; expected {shapes[name]}"
                )
            if name == _state.COUNTER and array < 0:
                raise ValueError(f"{name} is {array}; expected a number of at least 0")
        vars(self)["_waiting"] = {name: np.asarray(array) for name, array in values.items()}


def check_kind(where: str, position: int | str, layer: Any) -> None:
    """Refuse what is no layer, and say what to write instead."""
    if isinstance(layer, type) and issubclass(layer, Layer):
        name = layer.__name__
        raise TypeError(f"[{where}] layer {position} is the class {name}; write nn.{name}()")
    if isinstance(layer, (list, tuple)):
        raise TypeError(
            f"[{where}] layer {position} is a {type(layer).__name__}; write Sequential(*layers)"
        )
    if not isinstance(layer, Layer):
        raise TypeError(
            f"[{where}] layer {position} is {type(layer).__name__}; expected a layer such as "
            "nn.Linear(4, 8)"
        )
