# SPDX-License-Identifier: BSD-3-Clause
"""Activation functions of arrays that have to be converted or refused first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _core, _registry
from fastnn._fields import checked
from fastnn._refusals import Words
from fastnn._validate import as_array

from ._arrays import Array, apart, checked_out, common_dtype, filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

__all__ = ["backward", "forward"]


def forward(name: str, values: Mapping[str, Any], z: ArrayLike, out: Array | None) -> Array:
    """Return f(z) of the activation `name`."""
    array, row = as_array(name, "z", z), _registry.row(name, "activations", name)
    settings = checked(name, row["params"], values)
    _check_rows(name, row, "z", array)
    dtype = common_dtype(array)
    target = checked_out(name, out, array.shape, dtype, *apart([out], (array, z)))
    with Words(name, {"z": z}):
        result = _core.activation(name, settings, _rows(array))
    return filled(target, result.reshape(array.shape))


def backward(
    name: str, values: Mapping[str, Any], dy: ArrayLike, saved: ArrayLike, out: Array | None
) -> Array:
    """Return the gradient dy f'(z) of the activation `name`, from its input or output."""
    where = f"{name}_backward"
    grad, kept = as_array(where, "dy", dy), as_array(where, "saved", saved)
    row = _registry.row(where, "activations", name)
    settings = checked(where, row["params"], values)
    _check_rows(where, row, "dy", grad)
    dtype = common_dtype(grad, kept)
    inputs = apart([out], (grad, dy), (kept, saved))
    target = checked_out(where, out, grad.shape, dtype, *inputs)
    with Words(where, {"dy": dy, "saved": saved}):
        result = _core.activation_backward(name, settings, _rows(grad), _rows(kept))
    return filled(target, result.reshape(grad.shape))


def _check_rows(where: str, row: _registry.Row, what: str, array: Array) -> None:
    """Refuse numbers without rows for an activation that takes whole ones."""
    rowless = array.ndim == 0 or array.shape[-1] == 0
    if row["whole_rows"] and rowless and array.dtype.kind in "biuf":
        raise ValueError(
            f"[{where}] {what} has shape {array.shape}; expected (..., k) with k of at least 1"
        )


def _rows(array: Array) -> Array:
    # The kernels take (rows, columns). The last axis becomes the columns, since it is usually
    # contiguous.
    return array.reshape(-1, array.shape[-1]) if array.ndim and array.size else array.reshape(1, -1)
