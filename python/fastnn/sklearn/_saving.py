# SPDX-License-Identifier: BSD-3-Clause
"""Files of estimators: a model's file with one more entry, which says what stands around it.

::

    estimator  {"class": "MLPClassifier",
                "parameters": {"hidden_layer_sizes": {"tuple": [100]}, ...},
                "attributes": {"classes_": {"labels": ["<U3", ["no", "yes"]]}, "t_": 1797, ...}}

The other entries are the model inside (`nn._config`). `_packing` says how values are written; their
arrays have keys that begin with ``estimator.``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sklearn.base import is_classifier

from fastnn import _files, _validate
from fastnn._hints import shown
from fastnn.nn import Sequential, _config
from fastnn.nn._entries import ESTIMATOR

from ._packing import PREFIX, packed, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn._validate import Array

__all__ = ["made", "save", "saved"]

_CLASSES: dict[str, Any] = {}  # by their names in files
_LINKS = ("identity", "logistic", "softmax", "exp")
# Private attributes that training goes on from; all others belong to a call, or are made anew.
_PRIVATE = (
    "_alpha",
    "_best_values",
    "_label_binarizer",
    "_no_improvement_count",
    "_optimizer",
)
_OF_CALLS = ("callbacks",)  # parameters that hold code


Class = TypeVar("Class", bound=type)


def saved(cls: Class) -> Class:
    """Let files name this class; a subclass of it is saved as one of it."""
    _CLASSES[cls.__name__] = cls
    return cls


def save(where: str, path: Any, estimator: Any) -> None:
    """Write a fitted estimator to a file."""
    kind = next((name for name, cls in _CLASSES.items() if isinstance(estimator, cls)), "")
    config, arrays = _config.taken(where, estimator.network_)
    own: dict[str, Array] = {}
    entry = {
        "class": kind,
        "parameters": {
            name: packed(where, None if name in _OF_CALLS else getattr(estimator, name), own)
            for name in _CLASSES[kind]._get_param_names()
        },
        "attributes": {
            name: packed(where, value, own)
            for name, value in estimator.__getstate__().items()
            if _is_kept(name)
        },
    }
    _files.write(where, path, {**config, ESTIMATOR: entry}, {**arrays, **own})


def _is_kept(name: str) -> bool:
    return name in _PRIVATE or (
        name.endswith("_") and not name.startswith("_") and name != "network_"
    )


def made(where: str, config: Mapping[str, Any], arrays: Mapping[str, Array]) -> Any:
    """Return the estimator of a file; everything in it is checked.

    Raises
    ------
    ValueError, TypeError
        If something is missing, unknown or wrong; the message says what.
    """
    entry = _validate.dictionary(
        where, "the estimator", config[ESTIMATOR], ("class", "parameters", "attributes")
    )
    cls: Any = _CLASSES.get(entry["class"]) if isinstance(entry["class"], str) else None
    if cls is None:
        raise ValueError(
            f"[{where}] the estimator is a {shown(entry['class'])}; expected "
            f"{' or '.join(_CLASSES)}"
        )
    own = {key: array for key, array in arrays.items() if key.startswith(PREFIX)}
    of_model = {key: array for key, array in arrays.items() if key not in own}
    others = {name: value for name, value in config.items() if name != ESTIMATOR}
    names = tuple(cls._get_param_names())
    # A file of an earlier version lacks the parameters that came later.
    given = _validate.dictionary(where, "the parameters", entry["parameters"], names, names)
    estimator = cls(**{name: unpacked(where, each, own) for name, each in given.items()})
    attributes = _validate.names(where, "the attributes", entry["attributes"])
    for name, value in attributes.items():
        if not _is_kept(name) or hasattr(cls, name) or not name.isidentifier():
            raise ValueError(f"[{where}] {shown(name)} is no attribute of a {cls.__name__}")
        setattr(estimator, name, unpacked(where, value, own))
    network = _config.made(where, _config.Saved(others, of_model), Sequential)
    estimator.network_ = network
    _check(where, estimator, network)
    estimator._show_values()
    return estimator


def _check(where: str, estimator: Any, network: Sequential) -> None:
    """Refuse attributes that do not fit the model, or that a call would read without checks."""
    inside: Any = network._network
    if inside is None:
        raise ValueError(f"[{where}] the model has no layers; expected those of an estimator")
    found = vars(estimator)
    sizes = {"n_features_in_": inside.n_features, "n_outputs_": inside.n_outputs}
    for name, size in sizes.items():
        if found.get(name) != size or type(found[name]) is not int:
            raise ValueError(f"[{where}] {name} is {shown(found.get(name))}; expected {size}")
    if found.get("out_activation_") not in _LINKS:
        raise ValueError(
            f"[{where}] out_activation_ is {shown(found.get('out_activation_'))}; expected one of "
            f"{', '.join(_LINKS)}"
        )
    names = found.get("feature_names_in_")
    if names is not None and not (
        isinstance(names, np.ndarray) and names.shape == (inside.n_features,)
    ):
        raise ValueError(
            f"[{where}] feature_names_in_ is {shown(names)}; expected {inside.n_features} names"
        )
    if is_classifier(estimator):
        _check_classes(where, found, inside.n_outputs)


def _check_classes(where: str, found: Mapping[str, Any], outputs: int) -> None:
    classes: Any = found.get("classes_")
    binarizer: Any = found.get("_label_binarizer")
    same = (
        isinstance(classes, np.ndarray)
        and hasattr(binarizer, "classes_")
        and np.array_equal(classes, binarizer.classes_)
        and classes.dtype == binarizer.classes_.dtype
    )
    binary = same and binarizer.y_type_ == "binary"
    if not same or (outputs != 1 if binary else outputs != len(classes)):
        raise ValueError(
            f"[{where}] classes_ is {shown(classes)}; expected the labels of {outputs} outputs"
        )
