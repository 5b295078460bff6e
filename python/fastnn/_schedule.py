# SPDX-License-Identifier: BSD-3-Clause
"""The base of the schedules' classes, and what an optimizer takes as its learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import _core, _validate
from ._describe import Description, Members
from ._docstrings import sentence
from ._fields import Value, checked
from ._hints import shown

if TYPE_CHECKING:
    from ._registry import Row
    from ._validate import Array

__all__ = ["LEARNING_RATE", "SCHEDULES", "LambdaLR", "LearningRate", "Schedule", "rate_of"]

_BASES = ("lr", "max_lr")  # the names that the rate which a schedule changes has


class Schedule(Description):
    """Base of the schedules: immutable descriptions of the learning rate over the training.

    A model counts the steps since its schedule began; the schedule itself counts nothing, so one
    object may be used for several models.

    Examples
    --------
    >>> from fastnn import nn, optim
    >>> rate = optim.lr_scheduler.ExponentialLR(0.1, gamma=0.5)
    >>> isinstance(rate, optim.lr_scheduler.Schedule), rate.rates(3).tolist()
    (True, [0.1, 0.05, 0.025])
    >>> model = nn.Sequential(nn.Linear(4, 2))
    >>> model.compile(optim.SGD(lr=rate), "mse")
    >>> model.lr
    0.1
    """

    room: ClassVar[str] = "schedules"

    @classmethod
    def _documentation(cls, row: Row) -> tuple[str, Sequence[str], str]:
        notes = []
        if any(param["name"] == "by" for param in row["params"]):
            notes.append("t is the number of steps, or of epochs, after the warm-up.")
        return sentence(row["formula"]), notes, ""

    @property
    def base(self) -> float | None:
        """The rate that is changed; None stands for the optimizer's default."""
        values: Any = self.hyper()
        found: float | None = next(values[name] for name in _BASES if name in values)
        return found

    @property
    def cycles_momentum(self) -> bool:
        """Whether it changes the optimizer's momentum, too."""
        return bool(getattr(self, "cycle_momentum", False))

    def core(self, first: int, last: int) -> tuple[str, dict[str, Value]]:
        """Return name and parameters for the core, for epochs `first` to `last` of the model."""
        return self.registry_name, self.hyper()

    def rates(
        self,
        n: int,
        lr: float | None = None,
        *,
        steps_per_epoch: int = 1,
        batch_size: int = 1,
        losses: Sequence[float] = (),
    ) -> Array:
        """Return the learning rates of the first n steps.

        Parameters
        ----------
        n : int
        lr : float, optional
            The rate that is changed, where the schedule has none of its own, or another one.
        steps_per_epoch : int, default 1
        batch_size : int, default 1
            Rows of a step, for schedules that count rows.
        losses : sequence of float, optional
            The training loss of each epoch, for schedules that read it.

        Returns
        -------
        ndarray of float64, shape (n,)
            A schedule that lasts a fit lasts these steps.

        Raises
        ------
        ValueError, TypeError
            A number out of its range, or no rate.

        Examples
        --------
        >>> from fastnn.optim import lr_scheduler
        >>> lr_scheduler.PolynomialLR(0.5).rates(4).tolist()
        [0.5, 0.375, 0.25, 0.125]
        >>> lr_scheduler.StepLR(0.1, step_size=1, by="epoch").rates(3, steps_per_epoch=2).tolist()
        [0.1, 0.1, 0.010000000000000002]
        """
        return self._series("rates", n, lr, steps_per_epoch, batch_size, losses, momentum=False)

    def momenta(self, n: int, *, steps_per_epoch: int = 1) -> Array:
        """Return the momenta of the first n steps, of a schedule that changes the momentum.

        Parameters
        ----------
        n : int
        steps_per_epoch : int, default 1

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        ValueError, TypeError
            A number out of its range, or a schedule that leaves the momentum as it is.

        Examples
        --------
        >>> from fastnn.optim import lr_scheduler
        >>> cycle = lr_scheduler.OneCycleLR(0.1, pct_start=0.5, anneal_strategy="linear")
        >>> cycle.momenta(10).round(3).tolist()
        [0.95, 0.925, 0.9, 0.875, 0.85, 0.87, 0.89, 0.91, 0.93, 0.95]
        """
        return self._series("momenta", n, 0.0, steps_per_epoch, 1, (), momentum=True)

    def _series(
        self,
        call: str,
        n: int,
        lr: float | None,
        steps_per_epoch: int,
        batch_size: int,
        losses: Sequence[float],
        *,
        momentum: bool,
    ) -> Array:
        where = f"{type(self).__name__}.{call}"
        count = _validate.integer(where, "n", n, 0)
        steps = _validate.integer(where, "steps_per_epoch", steps_per_epoch)
        rows = _validate.integer(where, "batch_size", batch_size)
        if momentum and not self.cycles_momentum:
            raise ValueError(f"[{where}] this schedule does not change the momentum")
        base = self.base if lr is None else _validate.not_negative(where, "lr", lr)
        if base is None:
            raise ValueError(f"[{where}] lr is None, and the schedule has none; expected a number")
        name, params = self.core(0, -(-count // steps))
        known = [float(_validate.number(where, "losses", loss)) for loss in losses]
        return _core.schedule_values(name, params, base, count, steps, rows, known, momentum)


SCHEDULES = Members(Schedule, "fastnn.optim.lr_scheduler")


@dataclass(repr=False, eq=False)
class LambdaLR(Schedule):
    """The rate times a function of the epoch, which is counted from 0 since the schedule began.

    ``fit`` calls the function before its first epoch, for each of its epochs and the one after
    them. In loops of ``train_step`` no epoch ends. A model with such a schedule cannot be saved to
    a file, which holds no code; it can be copied, and pickled if the function can.

    Parameters
    ----------
    lr_lambda : callable
        Function of the number of the epoch; returns a factor of at least 0.
    lr : float, optional
        The rate that is multiplied; by default the optimizer's.

    Raises
    ------
    ValueError, TypeError
        `lr_lambda` is no function, or a number is out of its range.

    Examples
    --------
    >>> from fastnn.optim import lr_scheduler
    >>> lr_scheduler.LambdaLR(lambda epoch: 0.5**epoch, lr=0.4).rates(3).tolist()
    [0.4, 0.2, 0.1]
    """

    lr_lambda: Callable[[int], float]
    lr: float | None = None

    registry_name: ClassVar[str] = "array_lr"

    def hyper(self) -> dict[str, Value]:
        """Return the rate; the function is no value."""
        where, given = type(self).__name__, vars(self)
        if not callable(given["lr_lambda"]):
            raise TypeError(
                f"[{where}] lr_lambda is {shown(given['lr_lambda'])}; expected a function of the "
                "epoch"
            )
        if given["lr"] is None:
            return {"lr": None}
        return {"lr": float(_validate.not_negative(where, "lr", given["lr"]))}

    def core(self, first: int, last: int) -> tuple[str, dict[str, Value]]:
        """Return an array with the function's values in these epochs."""
        where = f"{type(self).__name__}.lr_lambda"
        own = [
            float(_validate.not_negative(where, f"its value in epoch {n}", self.lr_lambda(n)))
            for n in range(first, last + 1)
        ]
        values: dict[str, Any] = {"values": own[:1] * first + own, "by": "epoch"}
        return self.registry_name, checked(where, self.row["params"], values)


LearningRate = float | Schedule | Sequence[float] | Callable[[int], float]
LEARNING_RATE = "LearningRate"  # as source, for stubs


def rate_of(where: str, name: str, given: Any) -> Any:
    """Return what an optimizer takes as `lr`: a schedule for a list or a function.

    `name` is the parameter's name in messages.

    A number is returned as it is, and checked with the other hyperparameters.
    """
    if isinstance(given, Schedule):
        return given
    if isinstance(given, type) and issubclass(given, Schedule):
        raise TypeError(f"[{where}] {name} is the class {given.__name__}; write {given.__name__}()")
    if isinstance(given, str):
        raise TypeError(
            f"[{where}] {name} is {given!r}; expected a number, a list of the rates of steps, a "
            "function of the epoch, or a schedule such as optim.lr_scheduler.CosineAnnealingLR(0.1)"
        )
    if isinstance(given, (list, tuple)) or (isinstance(given, np.ndarray) and given.ndim > 0):
        array: Any = SCHEDULES["array_lr"]
        return array(given)
    return LambdaLR(given, 1.0) if callable(given) else given
