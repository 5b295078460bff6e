# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""The activations and losses."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from fastnn._describe import Members

from ._layer import Activation
from ._loss import Loss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CELU",
    "CrossEntropyLoss",
    "ELU",
    "Exp",
    "FocalLoss",
    "GELU",
    "GaussianNLLLoss",
    "HalfMSELoss",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HingeLoss",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LeakyReLU",
    "LogCoshLoss",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "Mish",
    "NLLLoss",
    "PoissonDevianceLoss",
    "PoissonNLLLoss",
    "QuantileLoss",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Softsign",
    "SquaredHingeLoss",
    "Step",
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
class ELU(Activation):
    """f(z) = z if z > 0 else alpha (exp(z) - 1)."""

    alpha: float = 1.0

@dataclass(repr=False, eq=False)
class SELU(Activation):
    """f(z) = 1.0507 (z if z > 0 else 1.6733 (exp(z) - 1)).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.SELU()
    SELU()
    """

@dataclass(repr=False, eq=False)
class CELU(Activation):
    """f(z) = z if z > 0 else alpha (exp(z / alpha) - 1)."""

    alpha: float = 1.0

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
class SiLU(Activation):
    """f(z) = z / (1 + exp(-z)).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.SiLU()
    SiLU()
    """

@dataclass(repr=False, eq=False)
class Mish(Activation):
    """f(z) = z tanh(log(1 + exp(z))).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Mish()
    Mish()
    """

@dataclass(repr=False, eq=False)
class ReLU6(Activation):
    """f(z) = min(max(z, 0), 6).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.ReLU6()
    ReLU6()
    """

@dataclass(repr=False, eq=False)
class Hardtanh(Activation):
    """f(z) = min(max(z, min_val), max_val)."""

    min_val: float = -1.0
    max_val: float = 1.0

@dataclass(repr=False, eq=False)
class Hardsigmoid(Activation):
    """f(z) = min(max(z + 3, 0), 6) / 6.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Hardsigmoid()
    Hardsigmoid()
    """

@dataclass(repr=False, eq=False)
class Hardswish(Activation):
    """f(z) = z min(max(z + 3, 0), 6) / 6.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Hardswish()
    Hardswish()
    """

@dataclass(repr=False, eq=False)
class Softsign(Activation):
    """f(z) = z / (1 + |z|).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Softsign()
    Softsign()
    """

@dataclass(repr=False, eq=False)
class LogSigmoid(Activation):
    """f(z) = -log(1 + exp(-z)).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.LogSigmoid()
    LogSigmoid()
    """

@dataclass(repr=False, eq=False)
class Exp(Activation):
    """f(z) = exp(z).

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Exp()
    Exp()
    """

@dataclass(repr=False, eq=False)
class Step(Activation):
    """f(z) = 1 if z >= 0 else 0.

    Its derivative is 0 everywhere, so the layers before it do not learn: it is for given weights
    and perceptrons.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Step()
    Step()
    """

@dataclass(repr=False, eq=False)
class Softmax(Activation):
    """f(z) = exp(z_j) / sum_k exp(z_k).

    It takes whole rows. CrossEntropyLoss contains it: that loss takes outputs without it.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Softmax()
    Softmax()
    """

@dataclass(repr=False, eq=False)
class LogSoftmax(Activation):
    """f(z) = z_j - log(sum_k exp(z_k)).

    It takes whole rows. NLLLoss takes such outputs; CrossEntropyLoss contains it and takes outputs
    without it.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.LogSoftmax()
    LogSoftmax()
    """

@dataclass(repr=False, eq=False)
class MSELoss(Loss):
    """(out - target)^2.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"

@dataclass(repr=False, eq=False)
class HalfMSELoss(Loss):
    """(out - target)^2 / 2.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"

@dataclass(repr=False, eq=False)
class L1Loss(Loss):
    """|out - target|.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"

@dataclass(repr=False, eq=False)
class HuberLoss(Loss):
    """e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) beyond; e = out - target.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"
    delta: float = 1.0

@dataclass(repr=False, eq=False)
class SmoothL1Loss(Loss):
    """e^2 / (2 beta) for |e| < beta, |e| - beta / 2 beyond; e = out - target.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"
    beta: float = 1.0

@dataclass(repr=False, eq=False)
class LogCoshLoss(Loss):
    """log(cosh(out - target)).

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"

@dataclass(repr=False, eq=False)
class QuantileLoss(Loss):
    """max(q e, (q - 1) e) for each quantile q; e = target - out.

    Targets are numbers (n, k); predict gives the outputs as they are.

    The mean is over all elements, rows and outputs.

    There are q k outputs for k targets and q quantiles: first the k outputs of the first quantile,
    then those of the second, and so on.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"
    quantiles: Sequence[float] = (0.1, 0.5, 0.9)

@dataclass(repr=False, eq=False)
class PoissonNLLLoss(Loss):
    """exp(out) - target out, or out - target log(out + eps).

    Targets are numbers (n, k) at least 0; predict gives the rates.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"
    log_input: bool = True
    full: bool = False
    eps: float = 1e-08

@dataclass(repr=False, eq=False)
class PoissonDevianceLoss(Loss):
    """Target log(target / exp(out)) - target + exp(out).

    Targets are numbers (n, k) at least 0; predict gives the rates.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"

@dataclass(repr=False, eq=False)
class GaussianNLLLoss(Loss):
    """(log(var) + (mean - target)^2 / var) / 2, var at least eps.

    Targets are numbers (n, k); predict gives the means, then the variances.

    The mean is over all targets, rows and columns.

    There are 2 k outputs for k targets: first the k means, then the k variances or their
    logarithms.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"
    full: bool = False
    eps: float = 1e-06
    log_variance: bool = True

@dataclass(repr=False, eq=False)
class CrossEntropyLoss(Loss):
    """log(sum_j exp(out_j)) - out_label.

    Targets are class indices (n,) or probabilities of the classes (n, k); predict gives the
    probabilities of the classes.

    The mean is over rows.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"
    weight: Sequence[float] | None = None
    label_smoothing: float = 0.0

@dataclass(repr=False, eq=False)
class NLLLoss(Loss):
    """-out_label.

    Targets are class indices (n,); predict gives the probabilities of the classes.

    The mean is over rows.

    Outputs are logarithms of probabilities: a LogSoftmax ends the network.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum"] = "mean"
    weight: Sequence[float] | None = None

@dataclass(repr=False, eq=False)
class KLDivLoss(Loss):
    """Target (log(target) - out), or exp(target) (target - out).

    Targets are numbers (n, k) at least 0; predict gives the probabilities.

    The mean is over all elements, rows and outputs.

    Outputs are logarithms of probabilities: a LogSoftmax ends the network.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"
    log_target: bool = False

@dataclass(repr=False, eq=False)
class BCEWithLogitsLoss(Loss):
    """log(1 + exp(out)) - target out.

    Targets are numbers (n, k) from 0 to 1; predict gives the probability of yes for each output.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"
    pos_weight: Sequence[float] | None = None

@dataclass(repr=False, eq=False)
class BCELoss(Loss):
    """-target log(out) - (1 - target) log(1 - out).

    Targets are numbers (n, k) from 0 to 1; predict gives the probability of yes for each output.
    Outputs are numbers from 0 to 1.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"

@dataclass(repr=False, eq=False)
class FocalLoss(Loss):
    """Weight (1 - p)^gamma (-log(p)), p the probability of the target.

    Targets are numbers (n, k) from 0 to 1; predict gives the probability of yes for each output.

    The mean is over all elements, rows and outputs.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"
    gamma: float = 2.0
    alpha: float = 0.25

@dataclass(repr=False, eq=False)
class HingeLoss(Loss):
    """max(0, 1 - target out).

    Targets are numbers (n, k) from -1 to 1; predict gives the scores: above 0 is yes.

    The mean is over all elements, rows and outputs.

    A target of 0 counts as -1, so classes 0 and 1 are targets as well.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"

@dataclass(repr=False, eq=False)
class SquaredHingeLoss(Loss):
    """max(0, 1 - target out)^2.

    Targets are numbers (n, k) from -1 to 1; predict gives the scores: above 0 is yes.

    The mean is over all elements, rows and outputs.

    A target of 0 counts as -1, so classes 0 and 1 are targets as well.
    """

    _: KW_ONLY
    reduction: Literal["mean", "sum", "batchmean"] = "mean"

ACTIVATIONS: Members[Activation]

LOSSES: Members[Loss]
