# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""The schedules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ._describe import Members
from ._schedule import Schedule

__all__ = [
    "AdaptiveLR",
    "ArrayLR",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "InvScalingLR",
    "InverseSquareRootLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "StepLR",
]

@dataclass(repr=False, eq=False)
class ConstantLR(Schedule):
    """Rate = lr factor for t < total_iters, then lr.

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    factor: float = ...
    total_iters: int = 5
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class StepLR(Schedule):
    """Rate = lr gamma^floor(t / step_size).

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    step_size: int = 30
    gamma: float = 0.1
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class MultiStepLR(Schedule):
    """Rate = lr gamma^k, k the number of milestones <= t.

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    milestones: Sequence[float] = (30.0, 80.0)
    gamma: float = 0.1
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class ExponentialLR(Schedule):
    """Rate = lr gamma^t.

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    gamma: float = 0.95
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class LinearLR(Schedule):
    """Rate = lr (start_factor + (end_factor - start_factor) t / total_iters), t at most total_iters.

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    start_factor: float = ...
    end_factor: float = 1.0
    total_iters: int = 5
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class PolynomialLR(Schedule):
    """Rate = lr (1 - t / total_iters)^power, then 0.

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    total_iters: float | None = None
    power: float = 1.0
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class CosineAnnealingLR(Schedule):
    """Rate = eta_min + (lr - eta_min) (1 + cos(pi t / T_max)) / 2.

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    T_max: float | None = None
    eta_min: float = 0.0
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class CosineAnnealingWarmRestarts(Schedule):
    """Rate = eta_min + (lr - eta_min) (1 + cos(pi s / T)) / 2, s the time since the last restart, T the time between two.

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    T_0: int = 10
    T_mult: int = 1
    eta_min: float = 0.0
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class OneCycleLR(Schedule):
    """rate: up from max_lr / div_factor to max_lr, down to max_lr / (div_factor final_div_factor).

    t is the number of steps, or of epochs, after the warm-up.
    """

    max_lr: float | None = None
    total_steps: float | None = None
    pct_start: float = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    cycle_momentum: bool = True
    base_momentum: float = 0.85
    max_momentum: float = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 10000.0
    three_phase: bool = False
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class InverseSquareRootLR(Schedule):
    """Rate = lr / sqrt(1 + t / timescale).

    t is the number of steps, or of epochs, after the warm-up.
    """

    lr: float | None = None
    timescale: float = 10000.0
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

@dataclass(repr=False, eq=False)
class InvScalingLR(Schedule):
    """Rate = lr / (n + 1)^power_t, n the rows trained on before the present epoch."""

    lr: float | None = None
    power_t: float = 0.5

@dataclass(repr=False, eq=False)
class AdaptiveLR(Schedule):
    """Rate = lr, divided by factor whenever the training loss stays where it is."""

    lr: float | None = None
    tol: float = 0.0001
    n_iter_no_change: int = 10
    factor: float = 5.0
    min_lr: float = 1e-06

@dataclass(repr=False, eq=False)
class ArrayLR(Schedule):
    """Rate = lr values[t], then the last of them.

    t is the number of steps, or of epochs, after the warm-up.
    """

    values: Sequence[float] = (1.0,)
    lr: float = 1.0
    warmup: int = 0
    warmup_factor: float = ...
    by: Literal["step", "epoch"] = "step"

SCHEDULES: Members[Schedule]
