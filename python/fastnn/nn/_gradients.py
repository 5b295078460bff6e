# SPDX-License-Identifier: BSD-3-Clause
"""Gradients as results: what `Sequential` returns of its derivatives, without training.

The core differentiates single rows. The product of the Hessian with a vector is a difference of
two gradients, computed here on a copy of the network in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _validate
from fastnn._hints import shown

from ._tree import Tree

if TYPE_CHECKING:
    from fastnn import _core
    from fastnn._validate import Array

    from ._arguments import Call
    from ._rows import Rows

__all__ = ["hessian_vector_product", "of_predictions", "per_sample", "rows_of"]

_OUTPUTS = ("raw", "predictions")
# Lengths of the step along v, in units of the length of all weights, each a quarter of the one
# before. Three of them together have an error of the seventh derivative; the last still has
# rounding errors below 1e-7.
_STEPS = tuple(2.0**-k for k in range(9, 28, 2))
_AGREES = 1e-11
_DISAGREES = 1e-4


def of_predictions(where: str, outputs: Any) -> bool:
    """Return whether derivatives of predictions are asked for, and not of raw outputs."""
    if not isinstance(outputs, str) or outputs not in _OUTPUTS:
        raise ValueError(f"[{where}] outputs is {shown(outputs)}; expected one of {_OUTPUTS}")
    return bool(outputs == "predictions")


def per_sample(taken: Mapping[str, Array]) -> dict[str, Array]:
    """Return the core's gradients of rows in torch's layout, (n, out, in)."""
    return {
        key: array.swapaxes(-1, -2) if array.ndim > 2 else array for key, array in taken.items()
    }


def rows_of(call: Call, x: Any, y: Any) -> tuple[Array, Array | None, Array | None]:
    """Return X and y, or with a Python loss the gradients of rows by the outputs in y's place."""
    rows, own = call.rows(x, y, None), call.own_loss
    if own is None:
        return rows.x, rows.y, None
    own.check(call, rows)
    return rows.x, None, own.of_each(call, rows)


class _Gradient:
    """The gradient of the loss of one batch as a function of the trained parameters, in float64."""

    def __init__(self, call: Call, tree: Tree, rows: Rows) -> None:
        self._rows, self._threads, self._own = rows, call.threads, call.own_loss
        self._network = network = _in_double(call, tree)
        trained = [
            (value, gradient)
            for value, gradient in zip(
                (entry for entry in network.parameters() if entry["trainable"]),
                network.gradients(),
                strict=True,
            )
            if not network.frozen(value["layer"])
        ]
        self.keys = [value["key"] for value, _ in trained]
        self._values = [value["array"] for value, _ in trained]
        self._gradients = [gradient["array"] for _, gradient in trained]
        self.start = [value.copy() for value in self._values]

    def at(self, step: float, direction: list[Array]) -> list[Array]:
        """Return the gradient at ``start + step * direction``."""
        for value, start, along in zip(self._values, self.start, direction, strict=True):
            value[...] = start + step * along
        if self._own is None:
            self._network.loss_and_grad(*self._rows, self._threads, False)
        else:
            self._own.loss_and_grad(self._network, self._rows, self._threads, False)
        return [gradient.copy() for gradient in self._gradients]

    def difference(self, step: float, direction: list[Array]) -> list[Array]:
        """Return the central difference of the gradient along `direction`."""
        after, before = self.at(step, direction), self.at(-step, direction)
        return [(a - b) / (2 * step) for a, b in zip(after, before, strict=True)]


def _in_double(call: Call, tree: Tree) -> _core.Network:
    twin = Tree("float64", tree.seed).having(call.where, tree.layers)
    assert twin.network is not None  # `call` has a network
    loss = call.compiled.loss
    twin.network.compile(loss.registry_name, loss.hyper(), "sgd", {})
    return twin.network


def _direction(where: str, gradient: _Gradient, v: Any) -> list[Array]:
    """Return `v` as arrays of the layout of the core, (in, out)."""
    if not isinstance(v, Mapping):
        raise TypeError(f"[{where}] v is {shown(v)}; expected a dictionary of arrays")
    absent = [key for key in gradient.keys if key not in v]
    extra = [str(key) for key in v if key not in gradient.keys]
    if absent or extra:
        missing, unexpected = (", ".join(keys) or "none" for keys in (absent, extra))
        raise ValueError(
            f"[{where}] the keys of v do not fit: missing: {missing}; unexpected: {unexpected}; "
            f"the parameters that train: {', '.join(gradient.keys)}"
        )
    found = []
    for key, value in zip(gradient.keys, gradient.start, strict=True):
        given = _validate.numbers(where, f"v['{key}']", v[key]).astype(np.float64)
        if given.shape != value.T.shape:
            raise ValueError(
                f"[{where}] v['{key}'] has shape {given.shape}; expected {value.T.shape}"
            )
        if not np.isfinite(given).all():
            raise ValueError(f"[{where}] v['{key}'] has numbers that are not finite")
        found.append(given.T)
    return found


def _length(arrays: list[Array]) -> float:
    largest = max((float(np.abs(a).max(initial=0)) for a in arrays), default=0.0)
    if largest == 0:
        return 0.0
    return largest * float(np.sqrt(sum(float(((a / largest) ** 2).sum()) for a in arrays)))


def _largest(arrays: list[Array]) -> float:
    return max(float(np.abs(a).max(initial=0)) for a in arrays)


def hessian_vector_product(call: Call, tree: Tree, rows: Rows, v: Any) -> dict[str, Array]:
    """Return the derivative of the gradient along `v`, by central differences in float64.

    Differences of three step sizes are extrapolated to a step of zero (Richardson 1911), which is
    compared with the extrapolation of the last two of them. Smaller steps are tried until they
    agree, because a large step may cross a kink of the loss, and the nearest agreement counts.
    """
    gradient = _Gradient(call, tree, rows)
    direction = _direction(call.where, gradient, v)
    length = _length(direction)
    if length == 0:
        return {key: np.zeros(a.T.shape, tree.dtype) for key, a in _named(gradient, direction)}
    unit = [along / length for along in direction]
    size = max(1.0, _length(gradient.start))
    best, nearest = unit, np.inf
    first, second = (gradient.difference(step * size, unit) for step in _STEPS[:2])
    of_two = _extrapolated(first, second, 4.0**2)
    for step in _STEPS[2:]:
        first, second = second, gradient.difference(step * size, unit)
        before, of_two = of_two, _extrapolated(first, second, 4.0**2)
        of_three = _extrapolated(before, of_two, 4.0**4)
        gap = _largest([a - b for a, b in zip(of_three, of_two, strict=True)])
        gap /= _largest(of_three) or 1.0
        if gap < nearest:
            best, nearest = of_three, gap
        if gap <= _AGREES:
            break
    if nearest > _DISAGREES:
        warnings.warn(
            f"[{call.where}] the differences of several step sizes differ by {nearest:.1e} of "
            "their size: the gradient jumps at these weights, or very near to them, as that of a "
            "ReLU whose input is 0",
            RuntimeWarning,
            stacklevel=3,
        )
    return {key: (length * a.T).astype(tree.dtype) for key, a in _named(gradient, best)}


def _extrapolated(first: list[Array], second: list[Array], ratio: float) -> list[Array]:
    """Return the limit of values whose error is `ratio` times smaller in `second`."""
    return [b + (b - a) / (ratio - 1) for a, b in zip(first, second, strict=True)]


def _named(gradient: _Gradient, arrays: list[Array]) -> list[tuple[str, Array]]:
    return list(zip(gradient.keys, arrays, strict=True))
