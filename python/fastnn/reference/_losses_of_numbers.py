# SPDX-License-Identifier: BSD-3-Clause
"""Losses of numbers: errors, counts, distributions and quantiles; their functions and rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._describe import Torch
from fastnn.reference._loss import Loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn.reference._describe import Array
    from fastnn.reference._loss import Range


def mse(out: Array, target: Array) -> Array:
    """Return the squared error (torch's MSELoss)."""
    squares: Array = (out - target) ** 2
    return squares


def mse_df(out: Array, target: Array) -> Array:
    """Return 2 (out - target)."""
    return 2 * (out - target)


def half_mse(out: Array, target: Array) -> Array:
    """Return half the squared error, whose derivative is the error; many courses use this form."""
    halves: Array = 0.5 * (out - target) ** 2
    return halves


def half_mse_df(out: Array, target: Array) -> Array:
    """Return out - target."""
    return out - target


def l1(out: Array, target: Array) -> Array:
    """Return the absolute error."""
    result: Array = np.abs(out - target)
    return result


def l1_df(out: Array, target: Array) -> Array:
    """Return the sign of the error: +1, -1 or 0."""
    result: Array = np.sign(out - target)
    return result


def huber(out: Array, target: Array, *, delta: float = 1.0) -> Array:
    """Half the squared error up to delta, and linear beyond."""
    e = np.abs(out - target)
    result: Array = np.where(e <= delta, 0.5 * e * e, delta * (e - 0.5 * delta))
    return result


def huber_df(out: Array, target: Array, *, delta: float = 1.0) -> Array:
    """Return the error, clipped to +-delta."""
    result: Array = np.clip(out - target, -delta, delta)
    return result


def smooth_l1(out: Array, target: Array, *, beta: float = 1.0) -> Array:
    """Squared over 2 beta up to an error of beta, and linear beyond; the L1 loss for beta = 0."""
    e: Array = np.abs(out - target)
    if beta == 0:
        return e
    result: Array = np.where(e < beta, 0.5 * e * e / beta, e - 0.5 * beta)
    return result


def smooth_l1_df(out: Array, target: Array, *, beta: float = 1.0) -> Array:
    """Return the error over beta up to an error of beta, and its sign beyond."""
    e = out - target
    sign: Array = np.sign(e)
    if beta == 0:
        return sign
    result: Array = np.where(np.abs(e) < beta, e / beta, sign)
    return result


def log_cosh(out: Array, target: Array) -> Array:
    """Return log(cosh(e)) of the error e.

    cosh(e) - 1 = 2 sinh(e/2)^2 keeps the digits of small errors, and |e| - log(2) + log(1 +
    exp(-2 |e|)) does not overflow for large ones.
    """
    e = np.abs(out - target)
    near = np.log1p(2 * np.sinh(np.minimum(e, 1) / 2) ** 2)
    far = e - math.log(2) + np.log1p(np.exp(-2 * e))
    result: Array = np.where(e < 1, near, far)
    return result


def log_cosh_df(out: Array, target: Array) -> Array:
    """Return tanh of the error."""
    result: Array = np.tanh(out - target)
    return result


_DECILES = (0.1, 0.5, 0.9)


def _blocks(out: Array, n: int) -> Array:
    """Return (rows, n, k) of outputs that are n blocks of k, one behind the other."""
    return out.reshape(len(out), n, -1)


def quantile(out: Array, target: Array, *, quantiles: Sequence[float] = _DECILES) -> Array:
    """Return q e for an error e = target - out above 0, and (q - 1) e below, for each quantile q.

    The outputs are first those of the first quantile, for all targets, then those of the second...
    """
    q = np.asarray(quantiles, out.dtype)[:, None]
    e = target[:, None] - _blocks(out, len(q))
    result: Array = np.maximum(q * e, (q - 1) * e).reshape(out.shape)
    return result


def quantile_df(out: Array, target: Array, *, quantiles: Sequence[float] = _DECILES) -> Array:
    """Return -q below the target, 1 - q above it, and 0 at the target."""
    q = np.asarray(quantiles, out.dtype)[:, None]
    e = target[:, None] - _blocks(out, len(q))
    result: Array = np.where(e > 0, -q, np.where(e < 0, 1 - q, 0)).reshape(out.shape)
    return result


def quantile_outputs(*, quantiles: Sequence[float] = _DECILES, **_hyper: Any) -> int:
    """Return the number of outputs for each target."""
    return len(quantiles)


def poisson_nll(
    out: Array, target: Array, *, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> Array:
    """Return r - t log(r) for counts t and the rate r, which is exp(out), or out itself.

    `full` adds Stirling's approximation of log(t!) for t > 1.
    """
    with np.errstate(over="ignore"):
        loss: Array = np.exp(out) - target * out if log_input else out - target * np.log(out + eps)
    if full:
        t = np.maximum(target, 1)
        loss = loss + np.where(target > 1, t * np.log(t) - t + 0.5 * np.log(2 * math.pi * t), 0)
    return loss


def poisson_nll_df(
    out: Array, target: Array, *, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> Array:
    """Return exp(out) - t, or 1 - t / (out + eps)."""
    del full
    with np.errstate(over="ignore"):
        df: Array = np.exp(out) - target if log_input else 1 - target / (out + eps)
    return df


def poisson_deviance(out: Array, target: Array) -> Array:
    """Return t log(t / r) - t + r for counts t and rates r = exp(out).

    With d = log(r / t) this is t (expm1(d) - d), which keeps its digits where it is small.
    """
    d = out - np.log(np.where(target > 0, target, 1))
    with np.errstate(over="ignore"):
        far = np.where(target > 0, -target * d, 0) - target + np.exp(out)
    small = np.clip(d, -1, 1)
    near = target * (np.expm1(small) - small)
    loss: Array = np.where((target > 0) & (np.abs(d) < 1), near, far)
    return loss


def poisson_deviance_df(out: Array, target: Array) -> Array:
    """Return exp(out) - t."""
    with np.errstate(over="ignore"):
        df: Array = np.exp(out) - target
    return df


def poisson_rates(out: Array, *, log_input: bool = True, **_hyper: Any) -> Array:
    """Return the rates."""
    with np.errstate(over="ignore"):
        return np.exp(out) if log_input else out


def poisson_range(*, log_input: bool = True, **_hyper: Any) -> tuple[float, float]:
    """Return the range of outputs."""
    return (-np.inf, np.inf) if log_input else (0, np.inf)


def _gaussian(
    out: Array, target: Array, eps: float, log_variance: bool
) -> tuple[Array, Array, Array]:
    """Return the error, the logarithm of the variance, at least that of eps, and 1 / variance."""
    mean, spread = np.split(out, 2, axis=1)
    if log_variance:
        logarithm = np.maximum(spread, np.log(out.dtype.type(eps)))
        return mean - target, logarithm, np.exp(-logarithm)
    variance = np.maximum(spread, out.dtype.type(eps))
    return mean - target, np.log(variance), 1 / variance


def gaussian_nll(
    out: Array,
    target: Array,
    *,
    full: bool = False,
    eps: float = 1e-6,
    log_variance: bool = True,
) -> Array:
    """Return (log(v) + (mean - t)^2 / v) / 2, v the variance, at least eps.

    The outputs are first the means of all targets, then their variances, or logarithms of these.
    `full` adds log(2 pi) / 2.
    """
    e, logarithm, inverse = _gaussian(out, target, eps, log_variance)
    loss: Array = 0.5 * (logarithm + e * e * inverse) + (0.5 * math.log(2 * math.pi) if full else 0)
    return loss


def gaussian_nll_df(
    out: Array,
    target: Array,
    *,
    full: bool = False,
    eps: float = 1e-6,
    log_variance: bool = True,
) -> Array:
    """Return the gradient by means and variances; where v is eps, that of the formula at eps."""
    del full
    e, _, inverse = _gaussian(out, target, eps, log_variance)
    slope = 0.5 * (1 - e * e * inverse)
    if log_variance:  # dv/dout is exp(out), which is less than v where v is eps
        spread = np.split(out, 2, axis=1)[1]
        slope = slope * np.exp(np.minimum(spread - np.log(out.dtype.type(eps)), 0))
    else:
        slope = slope * inverse
    return np.concatenate([e * inverse, slope], axis=1)


def above_least_variance(
    out: Array, *, eps: float = 1e-6, log_variance: bool = True, **_hyper: Any
) -> Array:
    """Return outputs whose variances are above eps, where the derivative is that of the loss."""
    mean, spread = np.split(out, 2, axis=1)
    least = math.log(eps) if log_variance else eps
    return np.concatenate([mean, np.maximum(spread, least + 0.01)], axis=1)


def gaussian_moments(out: Array, *, log_variance: bool = True, **_hyper: Any) -> Array:
    """Return the means, then the variances."""
    if not log_variance:
        return out
    mean, spread = np.split(out, 2, axis=1)
    with np.errstate(over="ignore"):
        return np.concatenate([mean, np.exp(spread)], axis=1)


def gaussian_range(*, log_variance: bool = True, **_hyper: Any) -> tuple[float, float]:
    """Return the range of variances among the outputs."""
    return (-np.inf, np.inf) if log_variance else (0, np.inf)


def two_outputs(**_hyper: Any) -> int:
    """Return the number of outputs for each target: mean and variance."""
    return 2


def at_least_zero(**_hyper: Any) -> Range:
    return (0, np.inf)


def second_half(k: int) -> int:
    return k // 2


def _gaussian_in_torch(module: Any, out: Any, y: Any, *, log_variance: bool = True) -> Any:
    """Call torch's loss, which takes means and variances as two arguments."""
    mean, spread = out.tensor_split(2, dim=1)
    return module(mean, y, spread.exp() if log_variance else spread)


LOSSES_OF_NUMBERS = {
    "mse": Loss("MSELoss", f=mse, df=mse_df),
    "half_mse": Loss(
        "HalfMSELoss",
        f=half_mse,
        df=half_mse_df,
        torch=Torch("MSELoss", factor=0.5),
    ),
    "l1": Loss("L1Loss", f=l1, df=l1_df, jumps=True),
    "huber": Loss("HuberLoss", f=huber, df=huber_df),
    "smooth_l1": Loss("SmoothL1Loss", f=smooth_l1, df=smooth_l1_df),
    "log_cosh": Loss("LogCoshLoss", f=log_cosh, df=log_cosh_df, torch=None),
    "quantile": Loss(
        "QuantileLoss",
        f=quantile,
        df=quantile_df,
        outputs_per_target=quantile_outputs,
        jumps=True,
        torch=None,
    ),
    "poisson_nll": Loss(
        "PoissonNLLLoss",
        f=poisson_nll,
        df=poisson_nll_df,
        link=poisson_rates,
        target_range=at_least_zero,
        output_range=poisson_range,
        tolerance=10,  # exp(out) - target cancels digits where a rate is right
    ),
    "poisson_deviance": Loss(
        "PoissonDevianceLoss",
        f=poisson_deviance,
        df=poisson_deviance_df,
        link=poisson_rates,
        target_range=at_least_zero,
        torch=None,
        tolerance=100,  # its terms cancel digits where a rate is right
    ),
    "gaussian_nll": Loss(
        "GaussianNLLLoss",
        f=gaussian_nll,
        df=gaussian_nll_df,
        mean="targets",
        outputs_per_target=two_outputs,
        link=gaussian_moments,
        output_range=gaussian_range,
        first_bounded=second_half,
        smooth=above_least_variance,
        torch=Torch(call=_gaussian_in_torch, own=("log_variance",), at_extremes=None),
    ),
}
