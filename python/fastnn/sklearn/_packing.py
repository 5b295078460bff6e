# SPDX-License-Identifier: BSD-3-Clause
"""Parameters and attributes of an estimator as values of JSON and arrays, and back.

What states of callbacks are stored as (`callbacks._states`) serves here, too. What those cannot
have is a dictionary with one more kind of entry::

    {"tuple": [100, 50]}                       {"pairs": [[1, 0.5], [2, 1.0]]}  a dictionary
    {"labels": ["<U3", ["no", "yes"]]}         {"dtype": "float32"}
    {"random_state": [{"array": key}, 624, 0, 0.0]}
    {"label_binarizer": ["binary", labels]}    {"learning_rate": [0.1, "constant", 0.5, 0.1]}
    {"optimizer": {"optimizer": "adam", ...}}  {"layers": [{"layer": "selu"}]}  and so on
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer

from fastnn import _validate
from fastnn._describe import Description
from fastnn._hints import shown
from fastnn.callbacks import _states
from fastnn.nn._entries import LayerReader, description_entry, description_of, layer_entries
from fastnn.nn._layer import Activation

from . import _plain
from ._learning_rate import LearningRate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from fastnn._validate import Array

    _Inner: TypeAlias = Callable[[Any], Any]  # the same for a value inside of another

__all__ = ["PREFIX", "packed", "unpacked"]

PREFIX = "estimator."  # of the keys of arrays
_ROOMS = ("optimizer", "loss", "schedule")  # of descriptions that a parameter may be
_PLAIN = (str, int, float, bool, type(None))
_TARGETS = ("binary", "multiclass", "multilabel-indicator")
_DTYPES = ("float32", "float64")


def packed(where: str, value: Any, arrays: dict[str, Array]) -> Any:
    """Return `value` as values of JSON; its arrays are added to `arrays`.

    Raises
    ------
    TypeError
        If something in it cannot be stored.
    """
    for kinds, write in _WRITERS:
        if isinstance(value, kinds):
            return write(where, value, lambda each: packed(where, each, arrays))
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return {"labels": [value.dtype.str, _labels(where, value)]}
    try:
        return _states.packed(where, value, PREFIX, arrays)
    except TypeError as error:
        raise TypeError(
            f"[{where}] the estimator has {shown(value)}; expected numbers, strings, arrays and "
            "fastnn's own objects, because a file holds no code. Pickle the estimator"
        ) from error


def _dictionary(_where: str, value: dict[Any, Any], inner: _Inner) -> Any:
    if all(isinstance(key, str) for key in value):
        return {"dict": {key: inner(each) for key, each in value.items()}}
    return {"pairs": [[inner(key), inner(each)] for key, each in value.items()]}


def _state(_where: str, value: np.random.RandomState, inner: _Inner) -> Any:
    state: Any = value.get_state(legacy=True)
    return {"random_state": [inner(each) for each in state[1:]]}


def _dtype(where: str, value: Any, _inner: _Inner) -> Any:
    name = np.dtype(value).name
    if name not in _DTYPES:
        raise TypeError(f"[{where}] the estimator has {shown(value)}; expected float32 or float64")
    return {"dtype": name}


def _labels(where: str, labels: Any) -> list[Any]:
    """Return strings, and objects of kinds that JSON has."""
    found = labels.ravel().tolist()
    for each in found:
        if type(each) not in _PLAIN or (type(each) is float and not math.isfinite(each)):
            raise TypeError(
                f"[{where}] the label {shown(each)} is a {type(each).__name__}; expected strings "
                "or numbers. Pickle the estimator"
            )
    return found  # type: ignore[no-any-return]


def _description(where: str, value: Any, _inner: _Inner) -> Any:
    room = next((each for each in _ROOMS if value.room.startswith(each)), None)
    if room is not None:
        entry, known = description_entry(room, value)
        if known:
            return {room: entry}
    raise TypeError(
        f"[{where}] a parameter is {shown(value)}, which has code of your own; expected one of "
        "fastnn's classes. Pickle the estimator"
    )


_WRITERS: tuple[tuple[Any, Callable[[str, Any, _Inner], Any]], ...] = (
    (tuple, lambda _, value, inner: {"tuple": [inner(each) for each in value]}),
    (list, lambda _, value, inner: [inner(each) for each in value]),
    (dict, _dictionary),
    ((np.dtype, type), _dtype),
    (np.random.RandomState, _state),
    (
        LabelBinarizer,
        lambda _, value, inner: {
            "label_binarizer": [value.y_type_, inner(value.classes_)] + [True] * value.sparse_input_
        },
    ),
    (
        LearningRate,
        lambda _, value, inner: {"learning_rate": [inner(each) for each in vars(value).values()]},
    ),
    (Activation, lambda _, value, __: {"layers": layer_entries([value]).entries}),
    (Description, _description),
)


def unpacked(where: str, value: Any, arrays: Mapping[str, Array]) -> Any:
    """Return what `packed` made `value` of.

    Raises
    ------
    ValueError, TypeError
        If it is nothing of that kind, which an altered file may have.
    """
    if isinstance(value, list):
        return [unpacked(where, each, arrays) for each in value]
    if isinstance(value, dict) and len(value) == 1:
        ((kind, inside),) = value.items()
        if kind == "dict" and isinstance(inside, dict):
            return {key: unpacked(where, each, arrays) for key, each in inside.items()}
        if kind in _ROOMS:
            return description_of(where, kind, inside, {})
        if kind == "dtype" and inside in _DTYPES:
            return np.dtype(inside)
        if kind in _READERS and isinstance(inside, list):
            return _READERS[kind](where, inside, lambda each: unpacked(where, each, arrays))
    return _states.unpacked(where, value, arrays)


# Readers by kind; what a wrong list raises is an error of the file.


def _tuple(_where: str, inside: list[Any], inner: _Inner) -> Any:
    return tuple(inner(inside))


def _pairs(_where: str, inside: list[Any], inner: _Inner) -> Any:
    return dict(inner(inside))


def _labels_of(where: str, inside: list[Any], _inner: _Inner) -> Any:
    dtype, labels = inside
    kinds = (str,) if isinstance(dtype, str) and dtype[1:2] == "U" else _PLAIN
    if not isinstance(labels, list) or not all(type(each) in kinds for each in labels):
        raise TypeError(f"[{where}] labels are {shown(labels)}; expected strings or numbers")
    if kinds == (str,):
        longest = max(1, *map(len, labels))
        width = int(dtype[2:]) if re.fullmatch(r"[<>]U[1-9][0-9]{0,4}", dtype) else longest
        return np.array(labels, dtype=f"U{max(width, longest)}")
    if dtype != "|O":
        raise ValueError(f"[{where}] labels have the dtype {shown(dtype)}; expected strings")
    found = np.empty(len(labels), object)
    found[:] = labels
    return found


def _random_state(_where: str, inside: list[Any], inner: _Inner) -> Any:
    made = np.random.RandomState()
    made.set_state(("MT19937", *inner(inside)))
    return made


def _binarizer(where: str, inside: list[Any], inner: _Inner) -> Any:
    kind, labels, *sparse = inside  # True at the end: the labels came as a sparse matrix
    classes = inner(labels)
    if sparse not in ([], [True]):
        raise ValueError(f"[{where}] the labels have {shown(sparse)}; expected nothing or True")
    if kind not in _TARGETS or not isinstance(classes, np.ndarray) or classes.ndim != 1:
        raise ValueError(f"[{where}] the labels are {shown(inside)}; expected an array of labels")
    return _plain.binarizer(kind, classes, sparse=bool(sparse))


def _rate(where: str, inside: list[Any], inner: _Inner) -> Any:
    initial, schedule, power_t, learning_rate = inner(inside)
    numbers = (
        _validate.number(where, "the learning rate", each)
        for each in (initial, power_t, learning_rate)
    )
    initial, power_t, learning_rate = numbers
    if not isinstance(schedule, str):
        raise TypeError(f"[{where}] the schedule is {shown(schedule)}; expected a name")
    return LearningRate(initial, schedule, power_t, learning_rate)


def _layer(where: str, inside: list[Any], _inner: _Inner) -> Any:
    (found,) = LayerReader(where, {}, {}).layers("a parameter", inside)
    if not isinstance(found, Activation):
        raise TypeError(f"[{where}] a parameter is {shown(found)}; expected an activation")
    return found


_READERS: dict[str, Callable[[str, list[Any], _Inner], Any]] = {
    "tuple": _tuple,
    "pairs": _pairs,
    "labels": _labels_of,
    "random_state": _random_state,
    "label_binarizer": _binarizer,
    "learning_rate": _rate,
    "layers": _layer,
}
