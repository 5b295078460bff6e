# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""The optimizers."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from ._describe import Members, Optimizer

__all__ = [
    "Adam",
    "AdamW",
    "RMSprop",
    "SGD",
]

@dataclass(repr=False, eq=False)
class SGD(Optimizer):
    """w -= lr v, v = momentum v + (1 - dampening) g.

    What it remembers of a parameter, under torch's names: `momentum_buffer`.
    """

    lr: float = 0.001
    _: KW_ONLY
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...

@dataclass(repr=False, eq=False)
class Adam(Optimizer):
    """w -= lr m / (sqrt(v) + eps), m and v bias-corrected means of g and g^2.

    What it remembers of a parameter, under torch's names: `exp_avg` and `exp_avg_sq`.
    """

    lr: float = 0.001
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-08
    weight_decay: float = 0.0
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...

@dataclass(repr=False, eq=False)
class AdamW(Optimizer):
    """w *= 1 - lr weight_decay, then as adam.

    What it remembers of a parameter, under torch's names: `exp_avg` and `exp_avg_sq`.
    """

    lr: float = 0.001
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-08
    weight_decay: float = 0.01
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...

@dataclass(repr=False, eq=False)
class RMSprop(Optimizer):
    """w -= lr g / (sqrt(v) + eps), v a mean of g^2.

    What it remembers of a parameter, under torch's names: `square_avg` and `grad_avg` and
    `momentum_buffer`.
    """

    lr: float = 0.01
    _: KW_ONLY
    alpha: float = 0.99
    eps: float = 1e-08
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    l1: float = 0.0
    param_groups: Mapping[str, Mapping[str, Any]] = ...

OPTIMIZERS: Members[Optimizer]
