# SPDX-License-Identifier: BSD-3-Clause
"""The model as a list of layers with values: building, indexing, state, summary, copies.

Nothing here trains; see _own_loop.py and _sequential.py.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from fastnn import _core, _validate
from fastnn._assign import is_free, refusal

from . import _state
from ._layer import Layer, ModelLayer, ParameterLayer
from ._summary import Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fastnn._validate import Array

    from ._compiled import Compiled
    from ._history import History
    from ._sequential import Sequential

__all__ = ["Container"]

_ASSIGNABLE = ("history", "stop_training")


class Container:
    """Layers, their values, and everything that needs no training."""

    def __init__(
        self, *layers: Layer, dtype: Any = np.float32, seed: int = 0, n_threads: int | None = None
    ) -> None:
        self._dtype = _validate.dtype_name("Sequential", dtype)
        self._seed = _validate.seed("Sequential", seed)
        self._threads = _validate.thread_count("Sequential", n_threads)
        self._layers: tuple[Layer, ...] = ()
        self._network: _core.Network | None = None
        self._compiled: Compiled | None = None
        self._epochs_seen = 0
        self.history: History | None = None
        self._install("Sequential", layers)

    def __setattr__(self, name: str, value: Any) -> None:
        if not (is_free(self, name) or name in _ASSIGNABLE):
            advice = "it follows from how the model was made; make a new Sequential"
            if name in ("optimizer", "loss"):
                advice = "call compile"
            raise AttributeError(refusal(self, name, advice, _ASSIGNABLE))
        object.__setattr__(self, name, value)

    def _install(self, where: str, layers: tuple[Layer, ...]) -> None:
        """Make `layers` this model's own in a new network; nothing changes if they do not fit."""
        _check_layers(where, layers)
        own = self._network
        # Models share neither memory nor settings: a layer of another model is copied with both.
        taken = _snapshots(layers)
        copies = {
            id(layer): layer._copy(_taken_values(taken, layer))
            for layer in layers
            if isinstance(layer, ModelLayer) and layer._network not in (None, own)
        }
        adopted = tuple(copies.get(id(layer), layer) for layer in layers)
        columns: int | None = None
        for position, layer in enumerate(adopted):
            columns = layer.width(f"{where}: layer {position}", columns)
        network = None
        numbers = dict(zip((id(a) for a in adopted), _numbers(adopted), strict=True))
        if any(isinstance(layer, ParameterLayer) for layer in adopted):
            network = _core.Network([layer.spec() for layer in adopted], self._dtype, self._seed)
            values = {
                f"{numbers[id(layer)]}.{name}": value
                for layer in adopted
                if isinstance(layer, ParameterLayer)
                for name, value in (_taken_values(taken, layer) or layer.values()).items()
            }
            _state.write(network, values)
            places: dict[int, list[int]] = {}
            for layer, number in zip(adopted, _numbers(adopted), strict=True):
                places.setdefault(id(layer), []).append(-1 if number is None else number)
            for layer in adopted:
                if isinstance(layer, ParameterLayer) and layer.frozen:
                    network.set_frozen(numbers[id(layer)] or 0, True)
            for layer in adopted:  # nothing of this can fail halfway
                if isinstance(layer, ModelLayer):
                    layer._bind(network, tuple(places[id(layer)]))
        self._layers, self._network, self._compiled = adopted, network, None

    def _net(self, where: str) -> _core.Network:
        if self._network is None:
            raise ValueError(
                f"[Sequential.{where}] no layer of the model has parameters; expected an nn.Linear"
            )
        return self._network

    def _idle(self, where: str) -> None:
        if self._network is not None:
            self._network.expect_idle(f"Sequential.{where}")

    def _trainable_numbers(self) -> set[int]:
        numbers = zip(self._layers, _numbers(self._layers), strict=True)
        return {n for layer, n in numbers if n is not None and isinstance(layer, ParameterLayer)}

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return self._net("n_features").n_features

    @property
    def n_outputs(self) -> int:
        """Columns of the output."""
        return self._net("n_outputs").n_outputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: of the values and of the arithmetic."""
        return np.dtype(self._dtype)

    @property
    def seed(self) -> int:
        """Seed of the initial values, of dropout and of shuffling."""
        return self._seed

    @property
    def threads_used(self) -> int:
        """Threads of the last fit, step, forward or backward; 0 before the first."""
        return 0 if self._network is None else int(self._network.threads_used)

    def append(self, layer: Layer) -> Self:
        """Add a layer at the end; returns the model.

        Earlier views of values no longer belong to the model, and it has to be compiled again.
        """
        self._idle("append")
        self._install("Sequential.append", (*self._layers, layer))
        return self

    def freeze(self) -> Self:
        """Freeze all layers; returns the model."""
        for layer in self._layers:
            layer.freeze()
        return self

    def unfreeze(self) -> Self:
        """Unfreeze all layers; returns the model."""
        for layer in self._layers:
            layer.unfreeze()
        return self

    def state_dict(self) -> dict[str, Array]:
        """Values by torch's keys in torch's layout.

        Returns
        -------
        dict of str to ndarray
            ``"0.weight"`` is (out, in). The arrays are views of the model; only
            ``num_batches_tracked`` is a copy. While fit runs, views that were taken before are
            read-only (but not what was sliced from them); its callbacks get read-only copies of
            the epoch's end. Rescale is not numbered and has no entry.

        Raises
        ------
        ModelBusyError
            Another thread is training this model.
        """
        return {} if self._network is None else _state.torch_keys(self._network)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> _state.IncompatibleKeys:
        """Copy values in; torch's own dictionaries fit.

        Parameters
        ----------
        state_dict : mapping of str to array
            Anything that NumPy can read; values are converted to the model's dtype.
        strict : bool, default True
            Refuse missing and unexpected keys.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``, as in torch.

        Raises
        ------
        ValueError, TypeError
            A key, shape, dtype or value that does not fit: numbers that the model's dtype does not
            hold, a negative ``running_var`` or counter. The model changes as a whole or not at all.
        ModelBusyError
            Another thread is training this model; for those who predict the call waits.
        """
        where = "Sequential.load_state_dict"
        network = self._net("load_state_dict")
        return _state.load(where, network, state_dict, _validate.flag(where, "strict", strict))

    def summary(self, print_fn: Callable[[str], Any] | None = print) -> Summary:
        """Print the table of layers with parameters, bytes and flops a row, as Keras does.

        Parameters
        ----------
        print_fn : callable, optional
            What shows the text; None only returns it.

        Returns
        -------
        Summary
            ``str(...)`` is the table; its attributes are the figures. Its repr is one short line,
            so that a notebook does not show the table twice.
        """
        table = summarize(self._layers, self._net("summary").n_features, self._dtype)
        if print_fn is not None:
            print_fn(str(table))
        return table

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        if isinstance(index, slice):
            return self._part(self._layers[index])
        try:
            return self._layers[operator.index(index)]
        except IndexError:
            raise IndexError(
                f"[Sequential] no layer {index}; the model has {len(self._layers)}"
            ) from None
        except TypeError:
            raise TypeError(
                f"[Sequential] the index is {index!r}; expected a layer's number or a slice"
            ) from None

    def _part(self, layers: tuple[Layer, ...]) -> Sequential:
        """A plain Sequential of copies of `layers`."""
        raise NotImplementedError

    def __setitem__(self, index: Any, layer: Layer) -> None:
        """Put another layer in the place of layer `index`.

        The other layers keep their values. Earlier views of values no longer belong to the model,
        and it has to be compiled again.
        """
        if isinstance(index, slice):
            raise TypeError("[Sequential] the index is a slice; expected one layer's number")
        self._idle("__setitem__")
        _ = self[index]  # refuses what is no layer's number
        layers = list(self._layers)
        layers[operator.index(index)] = layer
        self._install(f"Sequential[{index}]", tuple(layers))

    def __repr__(self) -> str:
        lines = [
            f"  ({'-' if number is None else number}): {layer!r}"
            for number, layer in zip(_numbers(self._layers), self._layers, strict=True)
        ]
        name = type(self).__name__
        return "\n".join([f"{name}(", *lines, ")"]) if lines else f"{name}()"

    def __getstate__(self) -> dict[str, Any]:
        # Configuration and arrays only: a pickle must not name an instruction set.
        state = {k: v for k, v in self.__dict__.items() if k != "_network"}
        if self.history is not None:
            state["history"] = self.history.copy()
        if self._network is None:
            return state
        # The layers with the values of one moment: pickle and deepcopy come to them only later.
        taken = _state.snapshot(self._network)
        copies = {
            id(layer): layer._copy(_taken_values({id(self._network): taken.values}, layer))
            for layer in self._layers
            if isinstance(layer, ModelLayer)
        }
        # A subclass may name its layers as well, or keep lists of them.
        state = {name: _replaced(value, copies, ()) for name, value in state.items()}
        state["draw"] = taken.draw
        if self._compiled is not None:
            state["optimizer"] = taken.optimizer
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        optimizer, layers, compiled, draw = (
            state.pop(name, None) for name in ("optimizer", "_layers", "_compiled", "draw")
        )
        self.__dict__.update(state, _network=None, _layers=(), _compiled=None)
        given = layers or ()
        self._install("Sequential", given)
        # copy.copy hands in the layers of the original: a subclass's names for them move along.
        own = {id(old): new for old, new in zip(given, self._layers, strict=True)}
        for name, value in self.__dict__.items():
            self.__dict__[name] = own.get(id(value), value)
        if compiled is not None and self._network is not None:
            compiled.apply("Sequential", self._network, self._trainable_numbers())
            self._compiled = compiled
            _state.restore_optimizer(self._network, optimizer)
        if self._network is not None:
            self._network.set_progress(self._network.step, self._network.num_batches, draw or 0)


def _replaced(value: Any, copies: Mapping[int, Any], within: tuple[int, ...]) -> Any:
    """`value` with copies in the place of layers: itself, or a new container where it has any."""
    if id(value) in copies:
        return copies[id(value)]
    if type(value) not in (dict, list, tuple) or id(value) in within:
        return value
    entries = list(value.values()) if type(value) is dict else list(value)
    new = [_replaced(entry, copies, (*within, id(value))) for entry in entries]
    if all(a is b for a, b in zip(new, entries, strict=True)):
        return value
    return dict(zip(value, new, strict=True)) if type(value) is dict else type(value)(new)


_Taken = dict[int, dict[int, dict[str, "Array"]]]


def _snapshots(layers: tuple[Layer, ...]) -> _Taken:
    """Copies of the values of every network that `layers` belong to, each of one moment."""
    networks: dict[int, tuple[_core.Network, list[int]]] = {}
    for layer in layers:
        if isinstance(layer, ParameterLayer) and layer._network is not None:
            _, numbers = networks.setdefault(id(layer._network), (layer._network, []))
            numbers.append(layer._number)
    return {
        key: _state.copied_values(network, numbers) for key, (network, numbers) in networks.items()
    }


def _taken_values(taken: _Taken, layer: ModelLayer) -> dict[str, Array] | None:
    """The layer's values in such copies; None if it belongs to no model, or has no values."""
    values = taken.get(id(layer._network))
    return values.get(layer._numbers[0]) if values and isinstance(layer, ParameterLayer) else None


def _numbers(layers: tuple[Layer, ...]) -> list[int | None]:
    """Number of each layer as torch counts; None for input preparation."""
    numbers: list[int | None] = []
    count = 0
    for layer in layers:
        numbers.append(count if layer.numbered else None)
        count += layer.numbered
    return numbers


def _check_layers(where: str, layers: tuple[Any, ...]) -> None:
    first: dict[int, int] = {}  # position of each object
    computes = False  # whether a layer before this one does more than prepare the input
    for position, layer in enumerate(layers):
        _check_layer(where, position, layer)
        if isinstance(layer, ParameterLayer) and id(layer) in first:
            raise ValueError(
                f"[{where}] layer {position} is the same object as layer {first[id(layer)]}; "
                f"expected one {type(layer).__name__} each, since tied weights do not exist here"
            )
        prepares = layer.registry_name in ("rescale", "flatten")
        if prepares and computes:
            raise ValueError(
                f"[{where}] layer {position} ({layer!r}) prepares the input; expected before all "
                "other layers"
            )
        first[id(layer)] = position
        computes = computes or not prepares


def _check_layer(where: str, position: int, layer: Any) -> None:
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
