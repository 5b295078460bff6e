# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""The activations and losses."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

from fastnn._describe import Members

from ._layer import Activation
from ._loss import Loss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GELU",
    "HalfMSELoss",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "LeakyReLU",
    "MSELoss",
    "ReLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
]

@dataclass(repr=False, eq=False)
class Identity(Activation):
    """f(z) = z.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Identity()
    Identity()
    """

@dataclass(repr=False, eq=False)
class ReLU(Activation):
    """f(z) = max(z, 0).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.ReLU()
    ReLU()
    """

@dataclass(repr=False, eq=False)
class LeakyReLU(Activation):
    """f(z) = z if z > 0 else negative_slope z."""

    negative_slope: float = 0.01

@dataclass(repr=False, eq=False)
class Tanh(Activation):
    """f(z) = tanh(z).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Tanh()
    Tanh()
    """

@dataclass(repr=False, eq=False)
class Sigmoid(Activation):
    """f(z) = 1 / (1 + exp(-z)).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Sigmoid()
    Sigmoid()
    """

@dataclass(repr=False, eq=False)
class Softplus(Activation):
    """f(z) = log(1 + exp(beta z)) / beta, z where beta z > threshold."""

    beta: float = 1.0
    threshold: float = 20.0

@dataclass(repr=False, eq=False)
class GELU(Activation):
    """f(z) = z Phi(z), Phi the normal distribution function."""

    approximate: Literal["none", "tanh"] = "none"

@dataclass(repr=False, eq=False)
class MSELoss(Loss):
    """(out - target)^2.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"

@dataclass(repr=False, eq=False)
class HalfMSELoss(Loss):
    """(out - target)^2 / 2.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"

@dataclass(repr=False, eq=False)
class L1Loss(Loss):
    """|out - target|.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"

@dataclass(repr=False, eq=False)
class HuberLoss(Loss):
    """e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) beyond; e = out - target.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"
    delta: float = 1.0

@dataclass(repr=False, eq=False)
class CrossEntropyLoss(Loss):
    """log(sum_j exp(out_j)) - out_label.

    Targets are class indices (n,); predict gives the probabilities of the classes.

    The mean is over rows.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"

@dataclass(repr=False, eq=False)
class BCEWithLogitsLoss(Loss):
    """log(1 + exp(out)) - target out.

    Targets are numbers (n, k) from 0 to 1; predict gives the probability of yes for each output.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"

@dataclass(repr=False, eq=False)
class BCELoss(Loss):
    """-target log(out) - (1 - target) log(1 - out).

    Targets are numbers (n, k) from 0 to 1; predict gives the probability of yes for each output.
    Outputs are numbers from 0 to 1.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"

ACTIVATIONS: Members[Activation]

LOSSES: Members[Loss]
