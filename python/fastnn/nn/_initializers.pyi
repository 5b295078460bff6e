# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""The initializers."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from fastnn._describe import Members

from ._initializer import Initializer

__all__ = [
    "Constant",
    "Default",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "Sklearn",
    "Uniform",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
]

@dataclass(repr=False, eq=False)
class Default(Initializer):
    """U(-1 / sqrt(in), 1 / sqrt(in)), which Linear has in torch.

    Examples
    --------
    >>> from fastnn.nn import init
    >>> init.Default()
    Default()
    """

@dataclass(repr=False, eq=False)
class XavierUniform(Initializer):
    """U(-c, c) with c = gain sqrt(6 / (in + out))."""

    gain: float = 1.0

@dataclass(repr=False, eq=False)
class XavierNormal(Initializer):
    """N(0, s^2) with s = gain sqrt(2 / (in + out))."""

    gain: float = 1.0

@dataclass(repr=False, eq=False)
class KaimingUniform(Initializer):
    """U(-c, c) with c = gain sqrt(3 / fan)."""

    a: float = 0.0
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    nonlinearity: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] = "leaky_relu"

@dataclass(repr=False, eq=False)
class KaimingNormal(Initializer):
    """N(0, s^2) with s = gain / sqrt(fan)."""

    a: float = 0.0
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    nonlinearity: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] = "leaky_relu"

@dataclass(repr=False, eq=False)
class LecunUniform(Initializer):
    """U(-c, c) with c = sqrt(3 / in).

    Examples
    --------
    >>> from fastnn.nn import init
    >>> init.LecunUniform()
    LecunUniform()
    """

@dataclass(repr=False, eq=False)
class LecunNormal(Initializer):
    """Normal within two standard deviations, of variance 1 / in.

    Examples
    --------
    >>> from fastnn.nn import init
    >>> init.LecunNormal()
    LecunNormal()
    """

@dataclass(repr=False, eq=False)
class Sklearn(Initializer):
    """U(-c, c) with c = sqrt(6 / (in + out)), 2 in place of 6 for logistic."""

    activation: Literal["identity", "logistic", "tanh", "relu"] = "relu"

@dataclass(repr=False, eq=False)
class Orthogonal(Initializer):
    """Gain Q with orthonormal rows or columns."""

    gain: float = 1.0

@dataclass(repr=False, eq=False)
class Normal(Initializer):
    """N(mean, std^2)."""

    mean: float = 0.0
    std: float = 1.0

@dataclass(repr=False, eq=False)
class Uniform(Initializer):
    """U(a, b)."""

    a: float = 0.0
    b: float = 1.0

@dataclass(repr=False, eq=False)
class Zeros(Initializer):
    """0.

    Examples
    --------
    >>> from fastnn.nn import init
    >>> init.Zeros()
    Zeros()
    """

@dataclass(repr=False, eq=False)
class Ones(Initializer):
    """1.

    Examples
    --------
    >>> from fastnn.nn import init
    >>> init.Ones()
    Ones()
    """

@dataclass(repr=False, eq=False)
class Constant(Initializer):
    """Val."""

    val: float = 0.0

INITIALIZERS: Members[Initializer]
