# SPDX-License-Identifier: BSD-3-Clause
"""The inverse of the normal distribution function, with the engine's operations in their order.

For float64 these are the rational approximations of Wichura, "Algorithm AS 241: The percentage
points of the normal distribution", Applied Statistics 37 (1988). float32 needs fewer terms and no
quotient, in the variable of Giles, "Approximating the erfinv function", GPU Computing Gems, Jade
edition (2011); its relative error is below 3.5e-7. All operations are +, -, *, / and square roots,
which are rounded in the same way everywhere, so engine and twin agree to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn.reference._describe import Array

__all__ = ["normal_quantile"]

# Numerators and denominators, lowest power first: for |q| <= 0.425, for tails, for far tails.
_MIDDLE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
_TAIL = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
_FAR = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)
_LOG_SERIES = [1.0 / n for n in range(1, 24, 2)]

# For float32, in u = log(4 p (1 - p)) = log(1 - 4 q^2): the quotient of the number and q in u + 3.5
# and, where u < -7, in sqrt(-u) - 3.5; log(1 + f) / f for |f| <= 1/3.
_SINGLE_MIDDLE = (
    4.9294677,
    -0.6656939,
    -0.018998854,
    0.0013608497,
    0.0004486104,
    4.490066e-05,
    -1.1288176e-06,
    -9.565292e-07,
    -9.681017e-08,
    6.856227e-09,
    1.6152457e-09,
)
_SINGLE_TAIL = (
    9.434178,
    2.849269,
    0.009270591,
    -0.0058292532,
    0.0030736222,
    -0.0019476337,
    0.0012809415,
    -0.00061115384,
    0.00013534892,
)
_SINGLE_LOG = (
    0.99999934,
    -0.49999753,
    0.33341748,
    -0.250176,
    0.1972613,
    -0.16266754,
    0.17469162,
    -0.16079767,
)


def normal_quantile(q: Array, p: Array) -> Array:
    """Return the numbers with the probability u below them; q = u - 1/2, p = min(u, 1 - u)."""
    if q.dtype == np.float32:
        return _single_quantile(q, p)
    kind = q.dtype.type
    middle = q * _quotient(_MIDDLE, kind(0.180625) - q * q)
    t = np.sqrt(-_log(p))
    size = np.where(t > 5, _quotient(_FAR, t - kind(5)), _quotient(_TAIL, t - kind(1.6)))
    found: Array = np.where(np.abs(q) > kind(0.425), np.where(q < 0, -size, size), middle)
    return found


def _single_quantile(q: Array, p: Array) -> Array:
    kind = np.float32
    e, m = _split(kind(4) * p * (kind(1) - p))
    f = m - kind(1)
    u = e * kind(0.69314718055994530942) + f * _polynomial(_SINGLE_LOG, f)
    middle = _polynomial(_SINGLE_MIDDLE, u + kind(3.5))
    tail = _polynomial(_SINGLE_TAIL, np.sqrt(np.abs(u)) - kind(3.5))
    found: Array = q * np.where(u < -7, tail, middle)
    return found


def _quotient(of: Sequence[Sequence[float]], x: Array) -> Array:
    found: Array = _polynomial(of[0], x) / _polynomial(of[1], x)
    return found


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    kind = x.dtype.type
    total = np.full_like(x, kind(coefficients[-1]))
    for c in coefficients[-2::-1]:
        total = total * x + kind(c)
    return total


def _log(p: Array) -> Array:
    """log(2^e m) for 2/3 <= m < 4/3, by the series of log((1 + s) / (1 - s))."""
    kind = p.dtype.type
    e, m = _split(p)
    s = (m - kind(1)) / (m + kind(1))
    log_of_2 = kind(0.69314718055994530942)
    found: Array = e * log_of_2 + kind(2) * s * _polynomial(_LOG_SERIES, s * s)
    return found


def _split(x: Array) -> tuple[Array, Array]:
    """Return e and m with x = 2^e m and 2/3 <= m < 4/3."""
    m, e = np.frexp(x)
    below = m < x.dtype.type(2 / 3)
    return np.where(below, e - 1, e).astype(x.dtype), np.where(below, 2 * m, m)
