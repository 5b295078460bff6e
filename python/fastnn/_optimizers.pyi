# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""Optimizers and averages."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from ._describe import Members
from ._optimizer import Average, Optimizer
from ._schedule import LearningRate

__all__ = [
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "EMA",
    "Lion",
    "NAdam",
    "RAdam",
    "RMSprop",
    "SGD",
    "SWA",
]

@dataclass(repr=False, eq=False)
class SGD(Optimizer):
    """w -= lr v, v = momentum v + (1 - dampening) g.

    States of each parameter, if the values need them, under torch's names: `momentum_buffer`.
    """

    lr: LearningRate = 0.001
    _: KW_ONLY
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    l1: float = 0.0
    form: Literal["torch", "sklearn"] = "torch"
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class Adam(Optimizer):
    """w -= lr m / (sqrt(v) + eps), m and v bias-corrected means of g and g^2.

    States of each parameter, if the values need them, under torch's names: `exp_avg`, `exp_avg_sq`
    and `max_exp_avg_sq`.
    """

    lr: LearningRate = 0.001
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-08
    weight_decay: float = 0.0
    amsgrad: bool = False
    decoupled_weight_decay: bool = False
    form: Literal["torch", "sklearn"] = "torch"
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class AdamW(Optimizer):
    """w *= 1 - lr weight_decay, then as adam.

    States of each parameter, if the values need them, under torch's names: `exp_avg`, `exp_avg_sq`
    and `max_exp_avg_sq`.
    """

    lr: LearningRate = 0.001
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-08
    weight_decay: float = 0.01
    amsgrad: bool = False
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class RMSprop(Optimizer):
    """w -= lr g / (sqrt(v) + eps), v a mean of g^2.

    States of each parameter, if the values need them, under torch's names: `square_avg`, `grad_avg`
    and `momentum_buffer`.
    """

    lr: LearningRate = 0.01
    _: KW_ONLY
    alpha: float = 0.99
    eps: float = 1e-08
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class Adagrad(Optimizer):
    """w -= lr g / (sqrt(s) + eps), s the sum of g^2.

    States of each parameter, if the values need them, under torch's names: `sum`.
    """

    lr: LearningRate = 0.01
    _: KW_ONLY
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class Adadelta(Optimizer):
    """w -= lr d, d = g sqrt(a + eps) / sqrt(v + eps), v and a means of g^2 and d^2.

    States of each parameter, if the values need them, under torch's names: `square_avg` and
    `acc_delta`.
    """

    lr: LearningRate = 1.0
    _: KW_ONLY
    rho: float = 0.9
    eps: float = 1e-06
    weight_decay: float = 0.0
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class Adamax(Optimizer):
    """w -= lr m / u, m a bias-corrected mean of g, u the largest |g| with decay.

    States of each parameter, if the values need them, under torch's names: `exp_avg` and `exp_inf`.
    """

    lr: LearningRate = 0.002
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-08
    weight_decay: float = 0.0
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class NAdam(Optimizer):
    """As adam, with Nesterov's look-ahead in m.

    States of each parameter, if the values need them, under torch's names: `exp_avg` and
    `exp_avg_sq`.
    """

    lr: LearningRate = 0.002
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-08
    weight_decay: float = 0.0
    momentum_decay: float = 0.004
    decoupled_weight_decay: bool = False
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class RAdam(Optimizer):
    """As adam, with steps that are rectified while v has few terms.

    States of each parameter, if the values need them, under torch's names: `exp_avg` and
    `exp_avg_sq`.
    """

    lr: LearningRate = 0.001
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-08
    weight_decay: float = 0.0
    decoupled_weight_decay: bool = False
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class Lion(Optimizer):
    """w *= 1 - lr weight_decay, then w -= lr sign(m), m a mean of g.

    States of each parameter, if the values need them, under torch's names: `exp_avg`.
    """

    lr: LearningRate = 0.0001
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...
    decay_bias: bool = True

@dataclass(repr=False, eq=False)
class EMA(Average):
    """Average = decay average + (1 - decay) w, in the first update w."""

    decay: float = 0.999
    _: KW_ONLY
    bias_correction: bool = False
    warmup: bool = False
    start_epoch: int = 0
    start_step: int = 0
    every: int = 1
    unit: Literal["steps", "epochs"] = "steps"

@dataclass(repr=False, eq=False)
class SWA(Average):
    """The mean of w after the updates that count."""

    start_epoch: int = 0
    _: KW_ONLY
    start_step: int = 0
    every: int = 1
    unit: Literal["steps", "epochs"] = "epochs"

OPTIMIZERS: Members[Optimizer]

AVERAGES: Members[Average]
