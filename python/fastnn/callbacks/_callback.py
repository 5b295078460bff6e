# SPDX-License-Identifier: BSD-3-Clause
"""The interface of callbacks: the hooks that fit calls, and the state that a backup stores."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastnn._hints import shown

if TYPE_CHECKING:
    from fastnn._protocols import ModelInTraining

__all__ = ["Callback", "LambdaCallback", "Logs", "check_hooks", "entry", "overrides"]

Logs = Mapping[str, float]


class Callback:
    """Base of the callbacks; override the hooks that you need.

    Attributes
    ----------
    model : Sequential
        The model in training; ``model.stop_training = True`` ends fit after the present epoch, in
        ``on_train_batch_end`` after the present batch.
    params : dict
        epochs, initial_epoch, batch_size, verbose; ``steps``, the batches of an epoch, or None if
        `fit_stream` does not know them; and ``metrics``, the names in the logs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn
    >>> class Report(callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print("epoch", epoch, sorted(logs))
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=2, callbacks=[Report()])
    epoch 0 ['loss']
    epoch 1 ['loss']

    A callback that remembers something over the epochs has a state, so that a training that was
    killed can go on with it:

    >>> class Smallest(callbacks.Callback):
    ...     def on_train_begin(self):
    ...         self.loss = float("inf")
    ...
    ...     def on_epoch_end(self, epoch, logs):
    ...         self.loss = min(self.loss, logs["loss"])
    ...
    ...     def state_dict(self):
    ...         return {"loss": self.loss}
    ...
    ...     def load_state_dict(self, state):
    ...         self.loss = float(state["loss"])
    """

    model: ModelInTraining
    params: dict[str, Any]
    _changes_lr = False  # whether the history shows the learning rate because of it
    _sees_batches = True  # whether its hooks of batches are called, if it has them

    def __repr__(self) -> str:
        """Return the class, and those arguments of its constructor that the object keeps."""
        kind = type(self)
        try:
            names = list(inspect.signature(kind.__init__).parameters)
        except ValueError:  # a C function without a signature
            names = []
        given = {
            name: getattr(self, name)
            for name in names
            if name in vars(self) or isinstance(getattr(kind, name, None), property)
        }
        words = [
            f"{name}={value!r}" if isinstance(value, str) else f"{name}={shown(value)}"
            for name, value in given.items()
        ]
        return f"{kind.__name__}({', '.join(words)})"

    def on_train_begin(self) -> None:
        """Called before the first epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Called before each epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after each epoch with its ``loss``, metrics and ``val_loss``."""

    def on_train_batch_begin(self, batch: int) -> None:
        """Called before each batch with its number in the epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after each batch with its ``loss``, which was computed before its update.

        ``stop_training`` ends the epoch here, as in Keras, and fit after it; its loss is that of
        the batches so far. `Sequential.stop` ends fit without an end of the epoch.
        """

    def on_train_end(self) -> None:
        """Called after the last epoch, also if training stopped early, but not if it raised."""

    def close(self) -> None:
        """Called at the end in any case, also after Ctrl-C and other exceptions.

        It is meant for closing files and the like; the model may be changed again.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what the callback has to know again if the training goes on in another process.

        Returns
        -------
        dict of str to object
            None, bool, int, float, str, NumPy arrays, and lists and dictionaries of these, whose
            keys are strings. An empty dictionary: the callback remembers nothing.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with a state that `state_dict` returned; called after ``on_train_begin``.

        Parameters
        ----------
        state : dict of str to object
            It may come from an altered file, so check what would do harm.
        """


def overrides(callback: Callback, hook: str) -> bool:
    """Return whether the callback has a hook of its own, in its class or as an attribute."""
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)


def check_hooks(where: str, callback: Callback) -> None:
    """Refuse hooks with unknown names, and hooks that do not take the arguments of fit."""
    name = type(callback).__name__
    known = [hook for hook in vars(Callback) if not hook.startswith("_")]
    for hook in known:
        function = getattr(callback, hook)
        if not callable(function):
            raise TypeError(f"[{where}] {name}.{hook} is {function!r}; expected a method")
        wanted = inspect.signature(getattr(Callback, hook)).parameters
        try:
            inspect.signature(function).bind(*list(wanted)[1:])
        except TypeError as error:
            words = ", ".join(wanted)
            raise TypeError(
                f"[{where}] {name}.{hook} cannot be called: {error}; expected {hook}({words})"
            ) from None
        except ValueError:  # a C function without a signature
            pass
    import difflib  # imported only when it is needed

    for attribute in dir(callback):
        if attribute in known or attribute.startswith("_"):
            continue
        if not callable(inspect.getattr_static(callback, attribute)):  # does not call properties
            continue
        near = difflib.get_close_matches(attribute.lower(), known, n=1, cutoff=0.85)
        foreign = re.match(r"on(_|[A-Z])", attribute) or (near and near[0].startswith("on_"))
        if foreign:
            if near:
                hint = f". Did you mean {near[0]!r}?"
            elif re.search("batch|step", attribute):
                hint = "; the hooks of batches are on_train_batch_begin and on_train_batch_end"
            else:
                hint = "; a method of your own may begin with an underscore"
            raise ValueError(
                f"[{where}] {name} has {attribute!r}, which is no hook; known: "
                f"{', '.join(known)}{hint}"
            )


def entry(where: str, state: Mapping[str, Any], name: str, *kinds: type | None) -> Any:
    """Return an entry of a callback's state; one that is missing or of another type is refused.

    `kinds`: the types, and None if the entry may be None. A bool is no int.
    """
    value = state.get(name)
    types = tuple(kind for kind in kinds if kind is not None)
    right = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if name in state and (right or (value is None and None in kinds)):
        return value
    came = shown(value) if name in state else "missing"
    expected = " or ".join("None" if kind is None else kind.__name__ for kind in kinds)
    raise ValueError(f"[{where}] {name} in the state is {came}; expected {expected}")


class LambdaCallback(Callback):
    """A callback that calls the given functions.

    Parameters
    ----------
    on_train_begin, on_train_end : callable, optional
        Functions without arguments.
    on_epoch_begin : callable, optional
        Function of the number of the epoch.
    on_epoch_end : callable, optional
        Function of the number of the epoch and the logs.
    on_train_batch_begin : callable, optional
        Function of the number of the batch.
    on_train_batch_end : callable, optional
        Function of the number of the batch and the logs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import callbacks, nn
    >>> losses = []
    >>> keep = callbacks.LambdaCallback(
    ...     on_epoch_end=lambda epoch, logs: losses.append(logs["loss"])
    ... )
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=3, callbacks=[keep])
    >>> losses == history.history["loss"]
    True
    """

    def __init__(
        self,
        on_train_begin: Callable[[], Any] | None = None,
        on_epoch_begin: Callable[[int], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_train_end: Callable[[], Any] | None = None,
        on_train_batch_begin: Callable[[int], Any] | None = None,
        on_train_batch_end: Callable[[int, Logs], Any] | None = None,
    ) -> None:
        given = {
            "on_train_begin": on_train_begin,
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in given.items():
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"[LambdaCallback] {name} is {function!r}; expected a function")
            setattr(self, name, function)  # a hook that is not given remains that of the base
