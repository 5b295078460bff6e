# SPDX-License-Identifier: BSD-3-Clause
"""Checks for one's own NumPy code: a gradient against differences, two arrays with each other.

Errors are relative to the larger of the two values or to the root mean square of the whole array,
whichever is larger; otherwise entries near zero would only show rounding errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _validate
from fastnn._hints import shown

from ._arrays import Array, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Comparison:
    """The differences of two arrays; in an `if` it is true when the arrays agree.

    Attributes
    ----------
    ok : bool
        Whether max_rel_error <= rtol.
    max_abs_error, max_rel_error : float
    index : tuple of int
        Index of the largest relative error.
    values : (float, float)
        The two values at that index.
    """

    ok: bool
    max_abs_error: float
    max_rel_error: float
    index: tuple[int, ...]
    values: tuple[float, float]

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return (
            f"{'equal' if self.ok else 'DIFFERENT'}: max abs error {self.max_abs_error:.3g}, "
            f"max rel error {self.max_rel_error:.3g} at {self.index}: "
            f"{self.values[0]:.9g} and {self.values[1]:.9g}"
        )


@dataclass(frozen=True)
class GradientReport:
    """The result of `check_gradient`.

    Attributes
    ----------
    max_abs_error, max_rel_error : float
    index : tuple of int
        Index of the entry of `x` with the largest relative error.
    given, numeric : float
        The gradient at that index: from the function, and from differences.
    n_checked : int
        Number of entries that were checked.
    """

    max_abs_error: float
    max_rel_error: float
    index: tuple[int, ...]
    given: float
    numeric: float
    n_checked: int

    def __str__(self) -> str:
        return (
            f"{self.n_checked} entries: max rel error {self.max_rel_error:.3g} at {self.index}: "
            f"given {self.given:.9g}, by differences {self.numeric:.9g}"
        )


def compare(a: ArrayLike, b: ArrayLike, *, rtol: float = 1e-5) -> Comparison:
    """Find the largest absolute and relative difference of two arrays, and its index.

    Parameters
    ----------
    a, b : array_like
        Arrays of the same shape. Equal infinities agree, and so do two NaN.
    rtol : float
        Largest relative difference of arrays that agree.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError, TypeError
        If the shapes differ, the arrays are empty, or dtypes are not real numbers.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> result = F.compare([1.0, 2.0], [1.0, 2.5])
    >>> bool(result), result.index, result.max_abs_error, result.max_rel_error
    (False, (1,), 0.5, 0.2)
    """
    _validate.not_negative("compare", "rtol", rtol)
    x, y = numbers("compare", "a", a), numbers("compare", "b", b)
    if x.shape != y.shape or x.size == 0:
        raise ValueError(
            f"[compare] a has shape {x.shape} and b {y.shape}; expected the same, not empty"
        )
    absolute, relative = _errors(x.astype(np.float64), y.astype(np.float64))
    worst = int(relative.argmax())
    return Comparison(
        bool(relative.flat[worst] <= rtol),
        float(absolute.max()),
        float(relative.flat[worst]),
        _position(worst, x.shape),
        (float(x.flat[worst]), float(y.flat[worst])),
    )


def check_gradient(
    f: Callable[[Array], tuple[float, ArrayLike]],
    x: ArrayLike,
    *,
    eps: float = 1e-6,
    n_samples: int | None = 50,
    seed: int = 0,
) -> GradientReport:
    """Compare a gradient with central differences: (f(x + eps e_i) - f(x - eps e_i)) / (2 eps).

    Parameters
    ----------
    f : callable
        f(x) -> (loss, gradient), with a gradient of the shape of x. It gets float64 copies of x.
    x : array_like
        The point at which the gradient is checked; any shape.
    eps : float
        Step of the differences.
    n_samples : int, optional
        Number of entries to check, drawn without repetition; all entries by default.
    seed : int
        Seed of the draw, from 0 to 2**64 - 1.

    Returns
    -------
    GradientReport

    Raises
    ------
    ValueError, TypeError
        If `f` returns anything else, a gradient of another shape, or values that are not finite.

    Examples
    --------
    >>> import fastnn.functional as F
    >>> report = F.check_gradient(lambda x: ((x**2).sum(), 2 * x), [1.0, -3.0])
    >>> report.n_checked, report.max_rel_error < 1e-8
    (2, True)
    """
    where = "check_gradient"
    if not callable(f):
        raise TypeError(f"[{where}] f is {shown(f)}; expected a function of x")
    key = _validate.seed(where, seed)
    _validate.positive(where, "eps", eps)
    point = numbers(where, "x", x).astype(np.float64)
    if point.size == 0 or not np.isfinite(point).all():
        raise ValueError(f"[{where}] x is empty or not finite; expected finite numbers")
    count = point.size
    if n_samples is not None:
        count = min(_validate.integer(where, "n_samples", n_samples), count)
    gradient = numbers(where, "the gradient of f", _pair(where, f(point.copy()))[1])
    if gradient.shape != point.shape:
        raise ValueError(
            f"[{where}] f gives a gradient of shape {gradient.shape}, x has {point.shape}"
        )
    chosen = np.sort(np.random.default_rng(key).choice(point.size, count, replace=False))
    numeric = np.empty(count)
    for i, entry in enumerate(chosen):
        ends = []
        for side in (eps, -eps):
            moved = point.copy()
            moved.flat[entry] += side
            ends.append((moved.flat[entry], float(_pair(where, f(moved))[0])))
        if ends[0][0] == ends[1][0]:
            raise ValueError(
                f"[{where}] eps is {eps}, which does not move {point.flat[entry]}; expected a "
                "larger step"
            )
        numeric[i] = (ends[0][1] - ends[1][1]) / float(ends[0][0] - ends[1][0])
    given = gradient.astype(np.float64).ravel()[chosen]
    if not (np.isfinite(numeric).all() and np.isfinite(given).all()):
        raise ValueError(f"[{where}] the loss or the gradient is not finite near x")
    absolute, relative = _errors(given, numeric)
    worst = int(relative.argmax())
    return GradientReport(
        float(absolute.max()),
        float(relative[worst]),
        _position(int(chosen[worst]), point.shape),
        float(given[worst]),
        float(numeric[worst]),
        count,
    )


def _errors(a: Array, b: Array) -> tuple[Array, Array]:
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        absolute = np.where(same, 0.0, np.abs(a - b))
        finite = b[np.isfinite(b)]
        typical = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
        larger = np.maximum(np.maximum(np.abs(a), np.abs(b)), typical)
        relative = np.where(same, 0.0, absolute / larger)
    return np.nan_to_num(absolute, nan=np.inf, posinf=np.inf), np.nan_to_num(
        relative, nan=np.inf, posinf=np.inf
    )


def _pair(where: str, result: object) -> tuple[float, ArrayLike]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"[{where}] f returned {type(result).__name__}; expected (loss, gradient)")
    return result


def _position(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))
