# SPDX-License-Identifier: BSD-3-Clause
"""Layers as functions of arrays: x is (..., columns), parameters are vectors.

Sizes are those of x and of the parameters. A parameter that is not given has its initial value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _registry, _validate
from fastnn._fields import checked
from fastnn._refusals import Words

from ._arrays import (
    Array,
    apart,
    checked_out,
    checked_outs,
    common_dtype,
    filled,
    numbers,
    writable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

__all__ = ["layer_backward", "layer_forward", "parameters_of", "sizes"]

Given = dict[str, "ArrayLike | None"]


def sizes(row: _registry.Row) -> list[str]:
    """Return the settings that are sizes of arrays, which functions do not take."""
    return [param["name"] for param in row["params"] if param["kind"] == "count"]


def parameters_of(row: _registry.Row, columns: int) -> list[tuple[str, int, bool]]:
    """Return name, size and whether it is trained of each parameter, for so many columns."""
    return _core.layer_parameters(row["name"], dict.fromkeys(sizes(row), columns), columns)


def _settings(
    where: str, name: str, values: Mapping[str, Any], x: Array, given: Mapping[str, Array]
) -> dict[str, Any]:
    row = _registry.row(where, "layers", name)
    settings = checked(where, row["params"], {**values, **dict.fromkeys(sizes(row), 1)})
    columns = x.shape[-1]
    for param in row["params"]:
        if param["kind"] == "count":
            # A size with a default, such as PReLU's, is that of the parameter.
            own = next(iter(given.values())).size if given and not param["required"] else None
            settings[param["name"]] = own or (columns if param["required"] else param["default"])
    return settings


def _arrays(where: str, given: Given) -> dict[str, Array]:
    found = {}
    for key, value in given.items():
        if value is not None:
            found[key] = array = numbers(where, key, value)
            if array.ndim != 1:
                raise ValueError(
                    f"[{where}] {key} is {array.ndim}-d with shape {array.shape}; expected 1-d"
                )
    return found


def _rows(where: str, what: str, value: ArrayLike) -> Array:
    array = numbers(where, what, value)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(
            f"[{where}] {what} has shape {array.shape}; expected (..., k) with k of at least 1"
        )
    return array


def _mode(where: str, mode: Mapping[str, Any]) -> dict[str, Any]:
    """Return training, and where random numbers come from, checked."""
    found: dict[str, Any] = {}
    for key, value in mode.items():
        if key == "training":
            found[key] = _validate.flag(where, key, value)
        elif key == "seed":
            found[key] = _validate.seed(where, value)
        else:
            most = (2**31 - 1,) if key == "layer" else ()  # the core counts layers as int
            found[key] = _validate.integer(where, key, value, 0, *most)
    return found


def layer_forward(
    name: str,
    where: str,
    values: Mapping[str, Any],
    x: ArrayLike,
    given: Given,
    mode: Mapping[str, Any],
    out: Array | None,
) -> Array:
    """Return the output of the layer `name`; running statistics that are given move in training."""
    array, arrays, chosen = _rows(where, "x", x), _arrays(where, given), _mode(where, mode)
    settings = _settings(where, name, values, array, arrays)
    inputs = [*apart([out], (array, x)), *arrays.values()]
    target = checked_out(where, out, array.shape, common_dtype(array), *inputs)
    moved = [key for key in arrays if key.startswith("running_") and chosen.get("training")]
    for key in moved:
        writable(where, key, given[key])
    with Words(where, {"x": x, **given}):
        rows = array.reshape(-1, array.shape[-1])
        result, kept = _core.layer(name, settings, rows, arrays, **chosen)
    for key in moved:
        np.copyto(arrays[key], kept[key])
    return filled(target, result.reshape(array.shape))


def layer_backward(
    name: str,
    where: str,
    values: Mapping[str, Any],
    dy: ArrayLike,
    x: ArrayLike,
    given: Given,
    mode: Mapping[str, Any],
    outs: Mapping[str, Array | None],
) -> Any:
    """Return dx, or dx and the gradient of each trained parameter; `outs` has arrays for them."""
    grad, array = _rows(where, "dy", dy), _rows(where, "x", x)
    if grad.shape != array.shape:
        raise ValueError(f"[{where}] dy has shape {grad.shape}; expected that of x, {array.shape}")
    arrays, chosen = _arrays(where, given), _mode(where, mode)
    settings = _settings(where, name, values, array, arrays)
    columns = array.shape[-1]
    parameters = _core.layer_parameters(name, settings, columns)
    shapes = [array.shape, *((size,) for _, size, is_trained in parameters if is_trained)]
    inputs = [*apart(outs.values(), (grad, dy), (array, x)), *arrays.values()]
    targets = checked_outs(where, outs, shapes, common_dtype(grad, array), *inputs)
    with Words(where, {"dy": dy, "x": x, **given}):
        grad_rows, rows = grad.reshape(-1, columns), array.reshape(-1, columns)
        dx, gradients = _core.layer_backward(name, settings, grad_rows, rows, arrays, **chosen)
    results = [dx.reshape(array.shape), *gradients.values()]
    found = tuple(map(filled, targets.values(), results))
    return found if len(found) > 1 else found[0]
