# SPDX-License-Identifier: BSD-3-Clause
"""The result of compile in Python: descriptions of optimizer and loss, metrics and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn import _core, _registry
from fastnn._describe import described
from fastnn._fields import checked, default_values
from fastnn._optimizer import LIMIT, Average, Optimizer
from fastnn._optimizers import AVERAGES, OPTIMIZERS
from fastnn._refusals import Words, refused
from fastnn._schedule import LambdaLR

from . import _state
from ._figures import Figures
from ._function_loss import FunctionLoss
from ._loss import Loss
from ._members import LOSSES
from ._tree import Outline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastnn._validate import Array
    from fastnn.metrics import Metric

__all__ = ["Compiled"]

# The names of states besides those of an optimizer.
AVERAGE, ACCUMULATED = "average", "accumulated"


class Compiled(NamedTuple):
    """The settings of one call of compile."""

    optimizer: Optimizer
    loss: Loss
    figures: Figures  # of the metrics
    average: Average | None
    settings: Mapping[str, Any]

    @classmethod
    def of(
        cls, where: str, optimizer: Any, loss: Any, metrics: Any, average: Any, **settings: Any
    ) -> Compiled:
        """Return the checked arguments of compile, with names replaced by descriptions.

        `settings` are the parameters of the core's settings row "compile"; one that is None or
        the default counts as not given.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        if {"max_grad_norm", "max_grad_value"} <= set(given):
            raise ValueError(
                f"[{where}] max_grad_norm and max_grad_value came together; expected one of them"
            )
        params = _registry.row(where, "settings", "compile")["params"]
        default = default_values(params)
        known = {k: v for k, v in checked(where, params, given).items() if v != default[k]}
        if callable(loss) and not isinstance(loss, (Loss, type)):
            loss = FunctionLoss(loss)
        if isinstance(loss, FunctionLoss):
            for name in ("accumulate", "penalty_in_loss"):
                if name in known:
                    raise ValueError(
                        f"[{where}] {name} came with a Python function as loss; expected a loss of "
                        "fastnn's, or compile without it"
                    )
        chosen = described(where, "optimizer", optimizer, OPTIMIZERS, Optimizer)
        if "max_grad_value" in known:
            for pattern, values in chosen.group_hyper().items():
                if values.get(LIMIT) is not None:
                    raise ValueError(
                        f"[{where}] max_grad_value and {LIMIT} of param_groups[{pattern!r}] came "
                        "together; expected one of them"
                    )
        measured = described(where, "loss", loss, LOSSES, Loss)
        return cls(
            optimizer=chosen,
            loss=measured,
            figures=Figures(_chosen_metrics(where, metrics), measured),
            average=None
            if average is None
            else described(where, "average", average, AVERAGES, Average),
            settings=known,
        )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, in the order of their figures."""
        return self.figures.metrics

    def check_outputs(self, where: str, k: int) -> None:
        """Refuse a loss over classes on a single output, and metrics that do not fit."""
        if self.loss.row["task"] == "multiclass" and k < 2:
            raise ValueError(
                f"[{where}] {type(self.loss).__name__} on 1 output; expected one output a class "
                "(BCEWithLogitsLoss is for one output)"
            )
        self.figures.check(where, k)

    def need_classes(self, where: str) -> None:
        """Refuse losses for regression, in calls that return classes."""
        if self.loss.row["task"] == "regression":
            raise ValueError(
                f"[{where}] {type(self.loss).__name__} is for regression; expected a loss of "
                "classes"
            )

    def need_probabilities(self, where: str) -> None:
        """Refuse losses without probabilities of classes."""
        self.need_classes(where)
        if self.loss.row["predicts"]:
            raise ValueError(
                f"[{where}] {type(self.loss).__name__} has no probabilities, predict gives "
                f"{self.loss.row['predicts']}; expected a loss with probabilities"
            )

    def probabilities(self, p: Array) -> Array:
        """Return the predictions p as probabilities (n, classes).

        One output of a binary loss becomes two columns. A loss that takes probabilities has no link
        to make them, so the outputs of the last layer are checked here.
        """
        row = self.loss.row
        if row["outputs"]:
            wrong = (p < 0) | (p > 1)
            if wrong.any():
                r, column = map(int, np.argwhere(wrong)[0])
                raise refused(
                    "output",
                    "outputs",
                    row=r,
                    value=float(p[r, column]),
                    highest=1.0,
                    by=type(self.loss).__name__,
                    remedy=row["outputs_remedy"],
                )
        return np.hstack([1 - p, p]) if row["task"] == "binary" and p.shape[1] == 1 else p

    def apply(self, where: str, network: _core.Network) -> None:
        """Compile the core's network with these settings."""
        with Words(where):
            network.compile_as(self.spec(where, network))

    def spec(self, where: str, network: _core.Network | Outline) -> _core.CompileSpec:
        """Return what the core's compile needs, for such a network."""
        average = self.average
        return _core.CompileSpec(
            self.loss.registry_name,
            self.loss.hyper(),
            self.optimizer.registry_name,
            self.optimizer.core_hyper(),
            self._groups(where, network),
            self._schedule(),
            None if average is None else (average.registry_name, average.hyper()),
            self._limits(where, network),
            self.figures.core_sums(),
            **self.settings,
        )

    def with_lr(self, where: str, network: _core.Network, lr: Any, epochs: int) -> Compiled:
        """Set another learning rate from the next step on; return the settings with it.

        `epochs`: up to which epoch a schedule has to be known; it begins now.
        """
        optimizer: Any = self.optimizer
        return self.with_optimizer(where, network, replace(optimizer, lr=lr), epochs)

    def with_scaled_lr(
        self, where: str, network: _core.Network, factor: float, lowest: float
    ) -> Compiled:
        """Multiply the learning rates of all groups, down to `lowest`; a schedule is refused."""
        optimizer: Any = self.optimizer
        if optimizer.schedule is not None:
            raise ValueError(
                f"[{where}] the learning rate is a schedule: {optimizer.schedule!r}; expected a "
                "number"
            )

        def scaled(rate: Any) -> Any:
            return max(rate * factor, lowest) if rate > lowest else rate

        groups = {
            pattern: {k: scaled(v) if k == "lr" else v for k, v in values.items()}
            for pattern, values in optimizer.param_groups.items()
        }
        changed = replace(optimizer, lr=scaled(optimizer.hyper()["lr"]), param_groups=groups)
        return self.with_optimizer(where, network, changed)

    def with_optimizer(
        self, where: str, network: _core.Network, optimizer: Optimizer, epochs: int = 0
    ) -> Compiled:
        """Set other hyperparameters from the next step on; return the settings with them."""
        changed = self._replace(optimizer=optimizer)
        network.set_optimizer_params(
            optimizer.core_hyper(),
            changed._groups(where, network),
            changed._schedule(0, epochs),
            limits=changed._limits(where, network),
        )
        return changed

    def follow(self, where: str, network: _core.Network, epochs: int) -> None:
        """Prepare the schedule for a fit of so many epochs, which the core runs on its own."""
        if not isinstance(self.optimizer.schedule, LambdaLR):
            return
        first = int((network.schedule_position() or {})["epochs"] or 0)
        network.set_optimizer_params(
            self.optimizer.core_hyper(),
            self._groups(where, network),
            self._schedule(first, first + epochs),
            continues=True,
            limits=self._limits(where, network),
        )

    def _schedule(self, first: int = 0, last: int = 0) -> tuple[str, dict[str, Any]] | None:
        """Return the schedule for the core, for these epochs since it began."""
        schedule = self.optimizer.schedule
        return None if schedule is None else schedule.core(first, last)

    def states(self, where: str, keys: Sequence[str]) -> list[str]:
        """The states that a network with these parameters has, in their order.

        They are those of the optimizer, the average of the parameters, and gradients that are
        accumulated. A state is there for all parameters as soon as one of them needs it.
        """
        optimizer, row = self.optimizer, self.optimizer.row
        own = optimizer.hyper_of(where, keys) if optimizer.group_hyper() else {}
        rules = [own[key] for key in own] + ([{}] if len(own) < len(keys) else [])
        used: set[str] = set()
        for rule in {tuple(sorted(rule.items())): rule for rule in rules}.values():
            used.update(_core.states_of(row["name"], optimizer.core_hyper() | rule))
        names = [name for name in row["states"] if name in used]
        names += [] if self.average is None else [AVERAGE]
        return names + ([ACCUMULATED] if self.settings.get("accumulate", 1) > 1 else [])

    def _groups(self, where: str, network: _core.Network | Outline) -> dict[str, dict[str, Any]]:
        """Return the hyperparameters of single parameters, by key, that differ from the others."""
        optimizer = self.optimizer
        if optimizer.decays_all and not optimizer.group_hyper():
            return {}
        trained = _trained(network)
        vectors = [key for key, dimensions in trained if dimensions == 1]
        return optimizer.hyper_of(where, (key for key, _ in trained), vectors)

    def _limits(
        self, where: str, network: _core.Network | Outline
    ) -> list[tuple[float | None, list[str]]]:
        """Return the limits of the gradients' norm that groups have, with their keys."""
        if not any(LIMIT in values for values in self.optimizer.group_hyper().values()):
            return []
        return self.optimizer.norm_limits(where, (key for key, _ in _trained(network)))


def _trained(network: _core.Network | Outline) -> list[tuple[str, int]]:
    """Return key and number of dimensions of each parameter that trains."""
    return network.parameters if isinstance(network, Outline) else _state.trained(network)


def _chosen_metrics(where: str, given: Any) -> tuple[Metric, ...]:
    if given is None:
        return ()
    from fastnn.metrics._chosen import chosen  # imported only when it is needed

    return chosen(where, given)
