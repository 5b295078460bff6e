# SPDX-License-Identifier: BSD-3-Clause
"""From compile's argument ``metrics`` to metrics, and from these to values of JSON and back."""

from __future__ import annotations

import math
from typing import Any

from fastnn import _registry, _validate
from fastnn._hints import shown

from . import _classes, _classes_of_numbers, _classes_of_scores
from ._metric import Metric, Own

__all__ = ["BY_NAME", "OWN", "chosen", "described", "is_own", "of_description"]

BY_NAME: dict[str, type[Metric]] = {
    value.registry_name: value
    for module in (_classes, _classes_of_scores, _classes_of_numbers)
    for value in map(vars(module).__getitem__, module.__all__)
}
OWN = Own.registry_name


def chosen(where: str, given: Any) -> tuple[Metric, ...]:
    """Return the metrics of compile's argument: names, objects and functions."""
    if given is None:
        return ()
    try:
        entries = None if isinstance(given, (str, dict)) else list(given)
    except TypeError:
        entries = None
    if entries is None:
        raise TypeError(
            f"[{where}] metrics is {shown(given)}; expected a list of names: ['accuracy']"
        )
    found = tuple(_metric(where, entry) for entry in entries)
    names = [metric.name for metric in found]
    for name in ("loss", "penalty", "lr"):
        if name in names:
            raise ValueError(f"[{where}] a metric is called {name!r}, as a figure of fit itself is")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"[{where}] two metrics are called {name!r}; expected one of them")
    return found


def _metric(where: str, entry: Any) -> Metric:
    if isinstance(entry, Metric):
        return entry
    if isinstance(entry, str):
        if entry not in BY_NAME:
            raise _registry.unknown(where, "metric", entry, BY_NAME)
        return BY_NAME[entry]()
    if isinstance(entry, type) and issubclass(entry, Metric):
        raise TypeError(f"[{where}] metrics has the class {entry.__name__}; write it with ()")
    if callable(entry):
        return Own(where, entry)
    raise _registry.unknown(where, "metric", entry, BY_NAME)


def is_own(metric: Metric) -> bool:
    """Whether a metric is a function or of a class of one's own, which no file can hold."""
    return type(metric) is not BY_NAME.get(metric.registry_name)


def described(metric: Metric) -> Any:
    """Return a metric as a value of JSON: its name, or a dictionary with its parameters.

    Of a function or a class of one's own, it has the name alone.
    """
    if is_own(metric):
        return {"metric": OWN, "name": metric.name}
    if BY_NAME[metric.registry_name]() == metric:
        return metric.registry_name
    params = metric.params()
    for name, value in params.items():
        if isinstance(value, float) and math.isnan(value):
            params[name] = "nan"  # JSON has no NaN
    return {"metric": metric.registry_name, **params}


def of_description(where: str, entry: Any) -> Metric:
    """Return the metric that `described` made `entry` of; wrong ones raise an error."""
    if not isinstance(entry, dict):
        if not isinstance(entry, str):
            raise TypeError(f"[{where}] a metric is {shown(entry)}; expected a name")
        return _metric(where, entry)
    name = entry.get("metric")
    if not isinstance(name, str) or name not in BY_NAME:
        raise _registry.unknown(where, "metric", name, BY_NAME)
    cls = BY_NAME[name]
    given = _validate.dictionary(where, f"the metric {name}", entry, ("metric", *cls().params()))
    params = {key: value for key, value in given.items() if key != "metric"}
    if params.get("zero_division") == "nan":
        params["zero_division"] = float("nan")
    with _validate.headed(where, f"the metric {name}"):
        return cls(**params)
