# SPDX-License-Identifier: BSD-3-Clause
"""Schedules: the learning rate at a time t, counted from 0 in steps or in epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn.reference._describe import SAME, Torch, hypers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastnn.reference._describe import Array

__all__ = ["SCHEDULES", "Clock", "Fit", "Schedule", "schedule_values", "standstill"]

WARMUP: dict[str, Any] = {"warmup": 0, "warmup_factor": 1 / 3, "by": "step"}


@dataclass(frozen=True)
class Schedule:
    """A row of the table.

    Parameters
    ----------
    class_name : str
    rate : (base, t, own parameters) -> learning rate; with `counts`, (base, Counts, parameters)
    length : the parameter that is a length and may be that of the fit; empty: there is none
    momentum : as `rate`, without a base; None: the momentum stays as it is
    counts : whether the rate depends on rows or losses instead of the time
    beside : {parameter: values of others without which it changes nothing}
    base : the name and the default of the rate that is changed
    torch : what it is in torch; None: torch does not have it
    """

    class_name: str
    rate: Callable[..., float]
    length: str = ""
    momentum: Callable[..., float] | None = None
    counts: bool = False
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    base: tuple[str, float | None] = ("lr", None)
    torch: Torch | None = SAME

    @property
    def hypers(self) -> dict[str, Any]:
        """Names and defaults of all parameters."""
        own = {self.base[0]: self.base[1]} | hypers_of(self.rate)
        return own if self.counts else own | WARMUP


@dataclass
class Counts:
    """What has happened before the present step."""

    rows: int = 0  # in whole epochs
    best: float = math.inf  # the smallest training loss
    waited: int = 0  # epochs without a smaller one
    reduced: int = 0  # how often the rate was reduced


def _annealed(start: float, end: float, share: float) -> float:
    """Half a period of the cosine, from `start` to `end`."""
    return float(end + (start - end) * (1 + math.cos(math.pi * (share % 2))) / 2)


def constant(base: float, t: float, *, factor: float = 1 / 3, total_iters: int = 5) -> float:
    """Return the rate times a factor for a while, and then the rate."""
    return base * factor if t < total_iters else base


def step(base: float, t: float, *, step_size: int = 30, gamma: float = 0.1) -> float:
    """Return the rate times gamma for each step that has passed."""
    return float(base * gamma ** (t // step_size))


def multi_step(
    base: float, t: float, *, milestones: Sequence[float] = (30.0, 80.0), gamma: float = 0.1
) -> float:
    """Return the rate times gamma for each milestone that has passed."""
    return float(base * gamma ** sum(at <= t for at in milestones))


def exponential(base: float, t: float, *, gamma: float = 0.95) -> float:
    """Return the rate times gamma^t."""
    return float(base * gamma**t)


def linear(
    base: float,
    t: float,
    *,
    start_factor: float = 1 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
) -> float:
    """Return the rate times a factor that changes linearly, and then stays."""
    return base * (start_factor + (end_factor - start_factor) * min(t, total_iters) / total_iters)


def polynomial(base: float, t: float, *, total_iters: Any = None, power: float = 1.0) -> float:
    """Return the rate times a power of the time that is left."""
    return float(base * (1 - min(t, total_iters) / total_iters) ** power)


def cosine_annealing(base: float, t: float, *, T_max: Any = None, eta_min: float = 0.0) -> float:
    """Return half a period of the cosine in T_max, and the same way back."""
    return _annealed(base, eta_min, t / T_max)


def cosine_restarts(
    base: float, t: float, *, T_0: int = 10, T_mult: int = 1, eta_min: float = 0.0
) -> float:
    """Return half a period of the cosine, again and again, each T_mult times as long."""
    length = T_0
    while t >= length:
        t, length = t - length, length * T_mult
    return _annealed(base, eta_min, t / length)


def one_cycle(
    base: float,
    t: float,
    *,
    total_steps: Any = None,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> float:
    """Return the rate of a rise and a fall."""
    del cycle_momentum, base_momentum, max_momentum  # of the momentum alone
    first, last = base / div_factor, base / div_factor / final_div_factor
    corners = [first, base, first, last] if three_phase else [first, base, last]
    return _on_cycle(t, total_steps, pct_start, anneal_strategy, corners)


def one_cycle_momentum(t: float, **hyper: Any) -> float:
    """Return the momentum of a rise and a fall, which goes the opposite way."""
    given = hypers_of(one_cycle) | hyper
    low, high = given["base_momentum"], given["max_momentum"]
    corners = [high, low, high, high] if given["three_phase"] else [high, low, high]
    return _on_cycle(t, given["total_steps"], given["pct_start"], given["anneal_strategy"], corners)


def _on_cycle(t: float, total: float, share: float, how: str, corners: list[float]) -> float:
    """Return the value at time t between the corners of a cycle."""
    ends = [share * total - 1, total - 1]
    if len(corners) == 4:
        ends.insert(1, 2 * share * total - 2)
    begin = 0.0
    for start, goal, end in zip(corners[:-1], corners[1:], ends, strict=True):
        if t <= end or end is ends[-1]:
            part = min(1.0, (t - begin) / (end - begin)) if end > begin else 1.0
            if how == "linear":
                return start + (goal - start) * part
            return _annealed(start, goal, part)
        begin = end
    raise AssertionError("the last end holds every time")


def inverse_square_root(base: float, t: float, *, timescale: float = 10000.0) -> float:
    """Return the rate divided by the root of the time."""
    return base / math.sqrt(1 + t / timescale)


def inv_scaling(base: float, counts: Counts, *, power_t: float = 0.5) -> float:
    """Return the rate divided by a power of the number of rows in earlier epochs."""
    return float(base / (counts.rows + 1) ** power_t)


def adaptive(
    base: float,
    counts: Counts,
    *,
    tol: float = 1e-4,
    n_iter_no_change: int = 10,
    factor: float = 5.0,
    min_lr: float = 1e-6,
) -> float:
    """Return the rate, divided by `factor` as often as the loss did not become smaller."""
    del tol, n_iter_no_change  # _epoch_end reads them
    for _ in range(counts.reduced):
        base = base / factor if base > min_lr else base
    return base


def array(base: float, t: float, *, values: Sequence[float] = (1.0,)) -> float:
    """Return the value of this time, or the last one."""
    return base * values[min(int(t), len(values) - 1)]


class Fit(NamedTuple):
    """A moment in a fit: its epochs, the steps of one, the present epoch, and the steps in it."""

    epochs: int
    epoch_steps: int
    epoch: int
    step: int


class Clock:
    """A schedule in a training, which counts what has happened since it began.

    Parameters
    ----------
    name, hyper
        The schedule; of its parameters those that are not the defaults.
    """

    def __init__(self, name: str, hyper: Mapping[str, Any]) -> None:
        self.row = SCHEDULES[name]
        self.hyper = self.row.hypers | dict(hyper)
        self.counts = Counts()
        self.steps = self.epochs = 0
        self.fit: Fit | None = None  # the running one

    def rate(self, base: float) -> float:
        """Return the rate of the next step, in the place of `base`."""
        if self.row.counts:
            return self.row.rate(base, self.counts, **self._own())
        t, own = self._time()
        first, length = self.hyper["warmup_factor"], self.hyper["warmup"]
        share = first + (1 - first) * t / length if t < length else 1.0
        return self.row.rate(base, max(0, t - length), **own) * share

    def momentum(self) -> float:
        """Return the momentum of the next step."""
        assert self.row.momentum is not None
        t, own = self._time()
        return self.row.momentum(max(0, t - self.hyper["warmup"]), **own)

    @property
    def cycles_momentum(self) -> bool:
        """Whether the momentum changes, too."""
        return self.row.momentum is not None and bool(self.hyper["cycle_momentum"])

    def _own(self) -> dict[str, Any]:
        own = hypers_of(self.row.rate)
        return {key: value for key, value in self.hyper.items() if key in own}

    def _time(self) -> tuple[int, dict[str, Any]]:
        """Return the time, and the parameters with a length that is not given: the fit's."""
        own, by_epoch = self._own(), self.hyper["by"] == "epoch"
        if not self.row.length or own[self.row.length] is not None:
            return self.epochs if by_epoch else self.steps, own
        fit = self.fit or Fit(10**9, 1, 0, 0)  # outside of a fit it does not begin
        t, length = fit.epoch * fit.epoch_steps + fit.step, fit.epochs * fit.epoch_steps
        if by_epoch:
            t, length = fit.epoch, fit.epochs
        return t, own | {self.row.length: max(1, length - self.hyper["warmup"])}

    def end_step(self) -> None:
        """Count an update."""
        self.steps += 1
        if self.fit is not None:
            self.fit = self.fit._replace(step=self.fit.step + 1)

    def end_epoch(self, rows: int, loss: float | None) -> None:
        """Count an epoch of so many rows, and take its loss into account."""
        counts, hyper = self.counts, self.hyper
        self.epochs += 1
        counts.rows += rows
        if loss is None or "n_iter_no_change" not in hyper:
            return
        counts.waited = counts.waited + 1 if loss > counts.best - hyper["tol"] else 0
        counts.best = min(counts.best, loss)
        if counts.waited > hyper["n_iter_no_change"]:
            counts.waited, counts.reduced = 0, counts.reduced + 1


def schedule_values(
    name: str,
    hyper: Mapping[str, Any],
    base: float,
    n: int,
    *,
    epoch_steps: int = 1,
    batch_size: int = 1,
    losses: Sequence[float] = (),
    momentum: bool = False,
) -> Array:
    """Return the rates of n steps, or their momenta.

    Parameters
    ----------
    name, hyper
        The schedule; of its parameters those that are not the defaults.
    base : float
        The rate that is changed.
    n, epoch_steps, batch_size : int
        Steps in all, steps of an epoch, rows of a step.
    losses : sequence of float
        The training loss of each epoch.
    momentum : bool
    """
    clock = Clock(name, hyper)
    epochs = -(-n // epoch_steps)
    found = []
    for k in range(n):
        clock.fit = Fit(epochs, epoch_steps, k // epoch_steps, k % epoch_steps)
        found.append(clock.momentum() if momentum else clock.rate(base))
        clock.end_step()
        if (k + 1) % epoch_steps == 0:
            at = min(k // epoch_steps, len(losses) - 1)
            clock.end_epoch(epoch_steps * batch_size, losses[at] if losses else None)
    return np.array(found, np.float64)


_WARM = {"warmup_factor": {"warmup": 3}}

SCHEDULES = {
    "constant_lr": Schedule("ConstantLR", constant, beside=_WARM),
    "step_lr": Schedule("StepLR", step, beside=_WARM | {"gamma": {"step_size": 4}}),
    "multi_step_lr": Schedule(
        "MultiStepLR", multi_step, beside=_WARM | {"gamma": {"milestones": (3.0, 8.0)}}
    ),
    "exponential_lr": Schedule("ExponentialLR", exponential, beside=_WARM),
    "linear_lr": Schedule("LinearLR", linear, beside=_WARM),
    "polynomial_lr": Schedule("PolynomialLR", polynomial, length="total_iters", beside=_WARM),
    "cosine_annealing_lr": Schedule("CosineAnnealingLR", cosine_annealing, "T_max", beside=_WARM),
    "cosine_annealing_warm_restarts": Schedule(
        "CosineAnnealingWarmRestarts", cosine_restarts, beside=_WARM
    ),
    "one_cycle_lr": Schedule(
        "OneCycleLR",
        one_cycle,
        "total_steps",
        momentum=one_cycle_momentum,
        beside=_WARM,
        base=("max_lr", None),
    ),
    "inverse_square_root_lr": Schedule(
        "InverseSquareRootLR", inverse_square_root, beside=_WARM, torch=None
    ),
    "inv_scaling_lr": Schedule("InvScalingLR", inv_scaling, counts=True, torch=None),
    "adaptive_lr": Schedule(
        "AdaptiveLR",
        adaptive,
        counts=True,
        beside={"min_lr": {"n_iter_no_change": 2}},
        torch=None,
    ),
    "array_lr": Schedule(
        "ArrayLR",
        array,
        beside=_WARM | {"by": {"values": (0.1, 0.05)}},
        base=("lr", 1.0),
        torch=None,
    ),
}


def standstill(
    losses: Sequence[float], tol: float, best: float = np.inf, waited: int = 0
) -> tuple[float, int]:
    """Return the smallest loss, and the epochs without an improvement, after those of `losses`.

    An improvement is below the smallest loss before by `tol` at least. `best` and `waited` are what
    they were before.
    """
    for loss in losses:
        waited = waited + 1 if loss > best - tol else 0
        best = min(best, loss)
    return best, waited
