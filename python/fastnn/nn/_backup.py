# SPDX-License-Identifier: BSD-3-Clause
"""What a backup of a training has besides the model, and how a run of fit goes on from one.

A backup is a model file whose config has one more entry::

    training  {"fit": {"batch_size": 32, ...},      arguments that a second call must repeat
               "began": {"layers": [...], ...},     the model as it was when the training began
               "stopped": false, "ended": false,
               "callbacks": [["EarlyStopping", {...}]]}

The script that is started again has the model of the beginning, so `began` tells whether it is the
same one; what callbacks have changed since then, such as the learning rate, is in the model's own
config. Arrays of the states of callbacks have keys that begin with ``callbacks.``.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _validate
from fastnn._hints import shown
from fastnn.callbacks import BackupAndRestore, Callback
from fastnn.callbacks._states import packed, unpacked
from fastnn.errors import ModelFileError

from . import _config, _keys, _state
from ._entries import layer_entries
from ._history import LR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fastnn._validate import Array

    from ._config import Saved
    from ._run import Run

__all__ = ["go_on", "without_training"]

_ENTRY = "training"
_KINDS = {"fit": dict, "began": dict, "stopped": bool, "ended": bool, "callbacks": list}
_ARRAYS = "callbacks."
_DESCRIBED = ("dtype", "seed", "layers", "frozen", "epochs", "compiled")


def go_on(where: str, model: Any, run: Run) -> None:
    """Let `run`, which has not begun, continue from the backup of its callback, if it has one."""
    found = [each for each in run.callbacks if isinstance(each, BackupAndRestore)]
    if len(found) > 1:
        raise ValueError(
            f"[{where}] callbacks has {len(found)} of BackupAndRestore; expected one at most"
        )
    for callback in found:
        callback.go_on(_Training(where, model, run))


def without_training(saved: Saved) -> Saved:
    """Return the model in a file that may be a backup."""
    if _ENTRY not in saved.config:
        return saved
    config = {name: value for name, value in saved.config.items() if name != _ENTRY}
    arrays = {key: array for key, array in saved.arrays.items() if not key.startswith(_ARRAYS)}
    return _config.Saved(config, arrays)


class _Training:
    """A run of fit, as its `BackupAndRestore` knows it."""

    def __init__(self, where: str, model: Any, run: Run) -> None:
        self._model, self._run = model, run
        # This refuses what cannot be saved before the first epoch instead of after it.
        config, arrays = _config.taken(where, model, optimizer=False)
        self._began = _description(config, arrays, layer_entries(model._tree.layers).arrays)
        self._with_state = [
            each for each in run.callbacks if type(each).state_dict is not Callback.state_dict
        ]

    def saved(self, where: str, *, ended: bool) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the config and the arrays of a backup, at the end of an epoch or of the run."""
        config, arrays = _config.taken(where, self._model)
        states: dict[str, Array] = {}
        training = {
            "fit": _arguments(self._run),
            "began": self._began,
            "stopped": bool(self._model.stop_training),
            "ended": ended,
            "callbacks": [
                [_name(each), packed(f"{where}: {_name(each)}", each.state_dict(), _ARRAYS, states)]
                for each in self._with_state
            ],
        }
        return {**config, _ENTRY: training}, {**arrays, **states}

    def restore(self, where: str, config: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Continue from a backup; nothing changes if it is not one of this training."""
        with _of_a_file():
            training = _training_entry(where, config)
        self._compare(where, training, config, arrays)
        with _of_a_file():
            saved = without_training(_config.Saved(config, arrays))
            parts = _config.parts_of(where, saved, {}, finite=True)
            states = [
                _state_of(where, name, state, arrays) for name, state in training["callbacks"]
            ]
            _check_history(where, self._run, parts.epochs_seen, parts.history)
        done, epochs = parts.history.epoch[-1] + 1, self._run.settings["epochs"]
        if done > epochs:
            raise ValueError(
                f"[{where}] epochs is {epochs}, but {done} are done; expected at least {done}"
            )
        _put(self._model, parts)
        self._model.stop_training = training["stopped"]
        found = list(zip(self._with_state, states, strict=True))
        self._run.go_on(parts.history, parts.epochs_seen, found)

    def _compare(
        self,
        where: str,
        training: dict[str, Any],
        config: dict[str, Any],
        arrays: dict[str, Array],
    ) -> None:
        """Refuse the backup of a training that has ended, and of another one."""
        advice = "to train anew, remove the file or give another path"
        if training["ended"]:
            raise ValueError(
                f"[{where}] this is the backup of a training that has ended after "
                f"{config['epochs']} epochs; fastnn.load returns its model; {advice}"
            )
        keys = self._began["arrays"]
        if self._began not in (training["began"], _description(config, arrays, keys)):
            found = _difference("the model", self._began, training["began"])
            raise ValueError(f"[{where}] this is the backup of another model: {found}; {advice}")
        about = _arguments(self._run)
        if about != training["fit"]:
            found = _difference("fit", about, training["fit"])
            raise ValueError(f"[{where}] this is the backup of another training: {found}; {advice}")
        names = [_name(each) for each in self._with_state]
        theirs = [name for name, _ in training["callbacks"]]
        if names != theirs:
            came, expected = (", ".join(each) or "none" for each in (names, theirs))
            raise ValueError(
                f"[{where}] this is the backup of a training with other callbacks that have a "
                f"state: here {came}; there {expected}; {advice}"
            )


def _name(callback: Callback) -> str:
    return type(callback).__name__


def _arguments(run: Run) -> dict[str, Any]:
    """Return the arguments of fit that a second call must repeat."""
    held_out = run.validation
    return {
        **{name: run.history.params[name] for name in ("batch_size", "initial_epoch")},
        **{name: run.settings[name] for name in ("shuffle", "drop_last")},
        "rows": run.rows.n,
        "validation_rows": 0 if held_out is None else held_out.n,
    }


def _check_history(where: str, run: Run, epochs_seen: int, history: Any) -> None:
    """Refuse a history that no backup of such a run has."""
    first, names = run.settings["initial_epoch"], run.names()
    epochs = [] if history is None else history.epoch
    if (
        not epochs
        or epochs != list(range(first, first + len(epochs)))
        or {name: len(curve) for name, curve in history.history.items()}
        not in (dict.fromkeys(names, len(epochs)), dict.fromkeys([*names, LR], len(epochs)))
        or epochs_seen < first + len(epochs)
    ):
        raise ValueError(
            f"[{where}] the history is {shown(history)}, with the epochs {shown(epochs)}; expected "
            f"{', '.join(names)} of the epochs from {first} on"
        )


def _description(
    config: Mapping[str, Any], arrays: Mapping[str, Array], settings: Iterable[str]
) -> dict[str, Any]:
    """Return what makes a model another one: its config without what training changes.

    `settings`: the keys of arrays that are settings of layers, of which there is the SHA-256.
    """
    import hashlib  # only who has a backup needs it
    import json

    found = {name: config.get(name) for name in _DESCRIBED}
    if isinstance(found["compiled"], dict):
        settled = {k: v for k, v in found["compiled"].items() if k != "position"}
        found["compiled"] = {**settled, "updates": None}
    found["arrays"] = {
        key: hashlib.sha256(np.ascontiguousarray(arrays[key]).tobytes()).hexdigest()
        for key in settings
        if key in arrays
    }
    described: dict[str, Any] = json.loads(json.dumps(found))  # as it comes from a file
    return described


def _training_entry(where: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a backup, its types checked."""
    if _ENTRY not in config:
        raise ValueError(
            f"[{where}] the file has a model, but is no backup of a training; expected one, or no "
            "file: give another path, or load the model by fastnn.load"
        )
    training = _validate.dictionary(where, _ENTRY, config[_ENTRY], list(_KINDS))
    for name, kind in _KINDS.items():
        if not isinstance(training[name], kind):
            raise TypeError(
                f"[{where}] {_ENTRY}.{name} is {shown(training[name])}; expected {kind.__name__}"
            )
    for each in training["callbacks"]:
        if not (isinstance(each, list) and len(each) == 2 and isinstance(each[0], str)):
            raise TypeError(
                f"[{where}] {_ENTRY}.callbacks has {shown(each)}; expected a name and a state"
            )
    return training


def _state_of(where: str, name: str, value: Any, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Return the state of a callback."""
    state = unpacked(where, value, arrays)
    if not isinstance(state, dict):
        raise TypeError(f"[{where}] the state of {name} is {shown(state)}; expected a dictionary")
    return state


@contextmanager
def _of_a_file() -> Iterator[None]:
    """Errors of the block are about the content of a file."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ModelFileError(str(error)) from error


def _difference(what: str, ours: Any, theirs: Any) -> str:
    """Return where two descriptions differ first, for a message."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            if ours.get(name) != theirs.get(name):
                return _difference(f"{what}'s {name}", ours.get(name), theirs.get(name))
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for at, (mine, its) in enumerate(zip(ours, theirs, strict=True)):
            if mine != its:
                return _difference(f"{what}[{at}]", mine, its)
    if isinstance(ours, list) and isinstance(theirs, list):
        return f"{what} are {len(ours)}; in the backup {len(theirs)}"
    return f"{what} is {shown(ours)}; in the backup {shown(theirs)}"


def _put(model: Any, parts: Any) -> None:
    """Give the model the values, states, counters and settings of `parts`, a model like it."""
    network, taken = model._tree.network, parts.tree.snapshot()
    values = [(layer, *each) for layer, own in taken.values.items() for each in own.items()]
    _state.write(network, {f"{layer}.{name}": value for layer, name, value in values})
    pairs = zip(_keys.walk(model._tree.layers), _keys.walk(parts.tree.layers), strict=True)
    for (_, mine), (_, its) in pairs:
        mine._become(its)
    model._compiled = model._compiled.with_optimizer("fit", network, parts.compiled.optimizer)
    _state.restore(network, taken, optimizer=True)
