# SPDX-License-Identifier: BSD-3-Clause
"""The engine's elementary functions keep to their bounds of error, in units of the last place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import _core

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = ("float32", "float64")
N = 200_000
Wide = np.longdouble
pytestmark = pytest.mark.skipif(
    np.finfo(Wide).nmant < 63, reason="no extended precision to compare with"
)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# Function, what it should be, allowed errors of float32 and float64.
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "exp": (np.exp, 1, 1),
    "expm1": (np.expm1, 1.5, 1.5),
    "log": (np.log, 1, 1),
    "log1p": (np.log1p, 1, 1),
    "sigmoid": (logistic, 2.5, 2.5),
    "tanh": (np.tanh, 5.5, 7.5),
    "sqrt": (np.sqrt, 0.5, 0.5),
}


def numbers(name: str, dtype: str) -> np.ndarray:
    """Return numbers of every size in the function's domain, its bounds and special numbers."""
    rng = np.random.default_rng(5)
    info = np.finfo(dtype)
    word = np.uint32 if dtype == "float32" else np.uint64
    every = rng.integers(0, np.iinfo(word).max, N, dtype=word).view(dtype)
    parts = [every[np.isfinite(every)]]
    parts += [rng.uniform(-most, most, N) for most in (1e-6, 0.5, 2, 10, 90, 720)]
    parts += [1 + rng.uniform(-1, 1, N) * 10.0 ** rng.uniform(-8, 0, N)]
    parts += [rng.uniform(0.6, 1.5, N), np.array([0.0, -0.0, 1.0, -1.0, info.max, info.tiny])]
    x = np.concatenate([part.astype(dtype) for part in parts])
    x = x[(np.abs(x) >= info.tiny) | (x == 0)]  # smaller ones are zero inside
    if name in ("log", "sqrt"):
        x = x[x > 0]
    if name == "log1p":
        x = x[x > -1]
    return x[x <= 0] if name == "expm1" else x


def errors(got: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return errors in units of the last place; 0 where both overflow or are no normal numbers."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = right.astype(got.dtype)
        unit = np.ldexp(Wide(1), np.frexp(right)[1] - info.nmant - 1)
        distance = np.abs(got.astype(Wide) - right) / unit
    small = (np.abs(right) < info.tiny) & (np.abs(got) <= info.tiny)
    overflows = np.isinf(rounded) & (got == rounded)
    return np.where(small | overflows, 0, distance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_in_units_of_the_last_place(name: str, dtype: str) -> None:
    function, single, double = FUNCTIONS[name]
    x = numbers(name, dtype)
    with np.errstate(all="ignore"):
        right = function(x.astype(Wide))
    error = errors(_core.testing.elementary(name, x), right)
    worst = int(np.argmax(error))
    most = single if dtype == "float32" else double
    if name == "tanh" and _core.isa == "v2":  # its products are rounded once more
        most = 6 if dtype == "float32" else 9
    assert error[worst] <= most, f"{float(error[worst]):.3f} units at {x[worst]!r}"
    assert len(x) > N


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_no_ordinary_number(dtype: str) -> None:
    inf, nan = np.inf, np.nan
    x = np.array([0, -0.0, 1, -1, inf, -inf, nan, -2, 1e4, -1e4], dtype)
    expected = {
        "exp": [1, 1, np.e, 1 / np.e, inf, 0, nan, np.exp(-2), inf, 0],
        "log": [-inf, -inf, 0, nan, inf, nan, nan, nan, np.log(1e4), nan],
        "log1p": [0, 0, np.log(2), -inf, inf, nan, nan, nan, np.log1p(1e4), nan],
        "sigmoid": [0.5, 0.5, logistic(1), logistic(-1), 1, 0, nan, logistic(-2), 1, 0],
        "tanh": [0, 0, np.tanh(1), -np.tanh(1), 1, -1, nan, -np.tanh(2), 1, -1],
    }
    for name, values in expected.items():
        got = _core.testing.elementary(name, x)
        np.testing.assert_allclose(got, values, rtol=1e-6, err_msg=name)
    payload = np.array([0x7FC12345, 0xFFFFFFFF], np.uint32).view(np.float32)
    if dtype == "float64":
        payload = np.array([0x7FF8123456789ABC, 2**64 - 1], np.uint64).view(np.float64)
    for name in expected:
        assert np.isnan(_core.testing.elementary(name, payload)).all(), name


# -- square roots ----------------------------------------------------------------------------------


def root_of_square_modulo(d: int, bits: int) -> int:
    """Return r with r^2 = d modulo 2^bits, for d = 1 modulo 8."""
    root = 1
    for known in range(3, bits):
        if (root * root - d) >> known & 1:
            root += 1 << (known - 1)
    return root % (1 << bits)


def near_midpoints() -> np.ndarray:
    """Return the float64 numbers whose roots lie nearest to the middle between two float64 numbers.

    With S = 2^52 ... 2^53 as the root's integer, the middle M / 2 = S + 1/2 has the square M^2 / 4;
    the number a lies d / 4 below it, where M^2 - d has to be a multiple of the unit of 4 a. The
    numbers returned are a / 2^52, an even exponent.
    """
    found = set()
    for d in range(1 - 8 * 60, 8 * 60, 8):
        for bits, lowest in ((54, 2**106), (55, 2**107)):
            root = root_of_square_modulo(d, bits)
            for odd in {root, -root, root + 2 ** (bits - 1), -root + 2 ** (bits - 1)}:
                middle = odd % 2**bits
                while middle < 2**54:
                    four_a = middle * middle - d
                    if middle > 2**53 and lowest <= four_a < 2 * lowest:
                        found.add(four_a >> 54)
                    middle += 2**bits
    numbers = np.array(sorted(found), np.float64)
    assert numbers.tolist() == sorted(found)  # float64 has them
    return numbers


def test_roots_near_the_middle_of_two_numbers_are_rounded_correctly() -> None:
    numbers = near_midpoints()
    assert len(numbers) > 150
    for exponent in range(-880, 900, 44):  # multiples of 4
        scaled = np.ldexp(numbers, exponent)
        np.testing.assert_array_equal(_core.testing.elementary("sqrt", scaled), np.sqrt(scaled))


def test_roots_of_all_fractions_of_float32() -> None:
    x = np.arange(1 << 23, 1 << 24, dtype=np.uint32).astype(np.float32)
    for scale in (1.0, 2.0, 2.0**-94, 2.0**100):  # the first two are even and odd exponents
        scaled = x * np.float32(scale)
        np.testing.assert_array_equal(_core.testing.elementary("sqrt", scaled), np.sqrt(scaled))


@pytest.mark.parametrize("dtype", DTYPES)
def test_roots_at_the_ends_of_the_range(dtype: str) -> None:
    """Zeros, very small, very large and impossible numbers, each alone among ordinary ones."""
    info = np.finfo(dtype)
    ends = [0, -0.0, np.inf, np.nan, -1, -np.inf, info.max, np.nextafter(info.max, 0), info.tiny]
    small = [info.tiny * 2.0**k * 1.7 for k in range(2 * info.nmant + 12)]
    for end in np.array(ends + small, dtype):
        x = np.full(48, 3, dtype)
        x[5] = end
        with np.errstate(invalid="ignore"):
            expected = np.sqrt(x)
        got = _core.testing.elementary("sqrt", x)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(np.signbit(got)[:5], False)
        if end == 0:
            assert np.signbit(got[5]) == np.signbit(end)


@pytest.mark.parametrize("dtype", DTYPES)
def test_underflow_is_zero_at_once(dtype: str) -> None:
    tiny = np.finfo(dtype).tiny
    x = np.log(tiny) + np.linspace(-40, 1, 100_001)
    y = _core.testing.elementary("exp", x.astype(dtype))
    assert ((y == 0) | (y >= tiny)).all()
    assert (np.diff(y) >= 0).all()
    assert y[0] == 0 < y[-1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_are_kept(dtype: str) -> None:
    x = np.linspace(0, 25, 1_000_001).astype(dtype)
    assert _core.testing.elementary("tanh", x).max() == 1
    assert _core.testing.elementary("tanh", -x).min() == -1
    assert _core.testing.elementary("sigmoid", x * 2).max() == 1


@pytest.mark.parametrize("base", [0.0, 1e-300, 0.1, 0.5, 0.9, 0.95, 0.999, 0.9999, 0.9999999])
def test_bias_corrections(base: float) -> None:
    for step in (1, 2, 3, 7, 10, 100, 355, 1000, 12_345, 10**6, 10**9, 2**53):
        with np.errstate(all="ignore"):
            right = -np.expm1(Wide(step) * np.log(Wide(base)))
        got = np.array([_core.testing.power_complement(base, step)])
        assert errors(got, np.array([right]))[0] <= 2, step
