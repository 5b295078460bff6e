# SPDX-License-Identifier: BSD-3-Clause
"""How the parameters of an estimator become optimizer, schedule and loss of the model inside."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fastnn import _core, _registry, nn, optim
from fastnn._fields import default_values, joined
from fastnn._optimizer import Optimizer
from fastnn._optimizers import OPTIMIZERS
from fastnn._schedule import SCHEDULES, Schedule, rate_of
from fastnn.nn._compiled import Compiled
from fastnn.nn._members import LOSSES

from ._learning_rate import LearningRate
from ._parameters import REGRESSION_LOSSES, TAKES_PENALTY
from ._parameters import SCHEDULES as SCHEDULE_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastnn.nn._tree import Outline

__all__ = [
    "check_single_epochs",
    "class_loss",
    "compiled",
    "initial_rate",
    "link_of_numbers",
    "penalize",
    "regression_loss",
]

# scikit-learn's parameters by the core's names. A solver of the core takes them where its own
# default is theirs.
_SHARED: Mapping[str, str] = {"beta1": "beta_1", "beta2": "beta_2", "eps": "epsilon"}
_DEFAULTS = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "alpha": 1e-4}


def penalize(model: nn.Sequential, alpha: float) -> None:
    """Set another penalty from the next step on; the state of the optimizer stays."""
    compiled, network = model._compiled, model._network
    assert compiled is not None
    assert network is not None
    optimizer: Any = compiled.optimizer
    if getattr(optimizer, "form", "") != "sklearn":
        return
    changed = replace(optimizer, weight_decay=float(alpha))
    model._compiled = compiled.with_optimizer("fit", network, changed)


# Losses.


def link_of_numbers(loss: Any) -> str:
    """Return the activation of the outputs of a regressor with this loss."""
    found = regression_loss(loss)
    is_rate = found.row["predicts"] == "the rates" and found.hyper().get("log_input", True)
    return "exp" if is_rate else "identity"


def regression_loss(given: Any) -> nn.Loss:
    """Return the loss of a regressor."""
    if isinstance(given, nn.Loss):
        return given
    made: Any = LOSSES[REGRESSION_LOSSES[given]]
    more = {"quantiles": [0.5]} if given == "quantile" else {}
    found: nn.Loss = made(reduction="batchmean", **more)
    return found


def class_loss(where: str, given: Any, link: str, smoothing: float) -> nn.Loss:
    """Return the loss of a classifier; targets are smoothed already, except for softmax."""
    if isinstance(given, nn.CrossEntropyLoss) and link != "softmax":
        raise ValueError(
            f"[{where}] loss is {given!r}, for more than two classes; expected "
            "nn.BCEWithLogitsLoss(), nn.FocalLoss() or a name"
        )
    if isinstance(given, nn.CrossEntropyLoss) and smoothing:
        return replace(given, label_smoothing=float(smoothing))
    if isinstance(given, nn.Loss):
        return given
    if link == "softmax":
        if not smoothing:
            return LOSSES.with_defaults("cross_entropy")
        return nn.CrossEntropyLoss(label_smoothing=float(smoothing))
    kind: Any = nn.FocalLoss if given == "focal" else nn.BCEWithLogitsLoss
    found: nn.Loss = kind(reduction="batchmean")
    return found


# Optimizers.


def _schedule(where: str, given: Any, base: float) -> Schedule | None:
    """Return the schedule of the core for `learning_rate`; None for scikit-learn's words."""
    if isinstance(given, str):
        if given not in SCHEDULE_NAMES:
            return None
        made: Any = SCHEDULES[SCHEDULE_NAMES[given]]()
    else:
        made = rate_of(where, "learning_rate", given)
    if made.base is not None:
        return made  # type: ignore[no-any-return]
    name = "max_lr" if "max_lr" in made.hyper() else "lr"
    return replace(made, **{name: base})  # type: ignore[no-any-return]


def initial_rate(parameters: Any) -> LearningRate:
    """Return the learning rate from which a training begins, and scikit-learn's schedule of it."""
    solver, schedule = parameters.solver, parameters.learning_rate
    initial: Any = parameters.learning_rate_init
    if isinstance(solver, Optimizer):
        initial = solver.hyper()["lr"]
    is_theirs = isinstance(schedule, str) and schedule not in SCHEDULE_NAMES
    changes = is_theirs and solver != "adam"  # for which scikit-learn has no schedule
    return LearningRate(
        initial, schedule if changes else "constant", parameters.power_t, float(initial)
    )


def check_single_epochs(where: str, parameters: Any) -> None:
    """Refuse, for partial_fit, a schedule that lasts a fit: each call would be all of it."""
    schedule = _schedule(where, parameters.learning_rate, 1.0)
    values = {} if schedule is None else schedule.hyper()
    open_ended = [name for name, value in values.items() if value is None]
    if open_ended:
        raise ValueError(
            f"[{where}] learning_rate is {parameters.learning_rate!r}, which lasts a fit; expected "
            f"a schedule whose {open_ended[0]} is a number"
        )


def _optimizer(where: str, parameters: Any, rate: LearningRate) -> Optimizer:
    lr: Any = float(rate.learning_rate)
    schedule = _schedule(where, parameters.learning_rate, lr)
    lr = lr if schedule is None else schedule
    solver, decay = parameters.solver, parameters.weight_decay
    if isinstance(solver, Optimizer):
        changed: dict[str, Any] = {} if schedule is None else {"lr": lr}
        if decay is not None:
            changed["weight_decay"] = float(decay)
        described: Any = solver
        return replace(described, **changed) if changed else solver
    penalty = {"form": "sklearn", "weight_decay": float(parameters.alpha)}
    own = {"decay_bias": False} | ({} if decay is None else {"weight_decay": float(decay)})
    form: dict[str, Any] = penalty if solver in TAKES_PENALTY and decay is None else own
    if form is own and parameters.alpha not in (0, _DEFAULTS["alpha"]):
        warnings.warn(
            f"[{where}] alpha = {parameters.alpha} has no effect with solver={solver!r}"
            f"{'' if decay is None else ' and weight_decay'}; expected weight_decay alone",
            stacklevel=10,
        )
    if solver == "sgd":
        momentum = float(parameters.momentum)
        nesterov = bool(parameters.nesterovs_momentum) and momentum > 0
        form |= {"momentum": momentum, "nesterov": nesterov}
    else:
        form |= {name: float(getattr(parameters, name)) for name in _SHARED.values()}
    return _made(solver, lr=lr, **form) if schedule is None else _new(solver, lr=lr, **form)


def _new(solver: str, **given: Any) -> Optimizer:
    """Return the optimizer with these values, some of which have scikit-learn's names."""
    if solver == "sgd":
        return OPTIMIZERS[solver](**given)
    params = _registry.rows("optimizers")[solver]["params"]
    values: dict[str, Any] = default_values(params)
    for name, theirs in _SHARED.items():
        value = given.pop(theirs)
        if values.get(name) == _DEFAULTS[theirs]:
            values[name] = value
    return OPTIMIZERS[solver](**(joined(params, values) | given))


# The fits of a search have the same numbers often. Schedules may be made of arrays.
_made = lru_cache(maxsize=64, typed=True)(_new)


def compiled(where: str, model: nn.Sequential, parameters: Any, rate: LearningRate | None) -> None:
    """Compile the model, with a new state of the optimizer.

    Parameters
    ----------
    where : str
        Name of the call, for messages.
    model : Sequential
    parameters : MLPClassifier or MLPRegressor
    rate : LearningRate or None
        None for the solver "lbfgs", which uses the model's loss and gradients alone.
    """
    loss = parameters._described_loss(where)
    settings: dict[str, Any] = {}
    if rate is None:
        optimizer: Any = optim.SGD(form="sklearn", weight_decay=float(parameters.alpha))
    else:
        optimizer = _optimizer(where, parameters, rate)
        settings = {"penalty_in_loss": True, "max_grad_norm": parameters.max_grad_norm}
    with model._call("compile") as call:
        call.where = where
        outline = model._tree.outline
        plain = optimizer.schedule is None and not isinstance(loss, nn.FunctionLoss)
        if outline is None or not plain or any(getattr(each, "frozen", False) for each in model):
            model._compile(call, optimizer, loss, **settings)
        else:
            model._compile_as(call, *_chosen(outline, where, optimizer, loss, **settings))


@lru_cache(maxsize=64, typed=True)
def _chosen(
    outline: Outline, where: str, optimizer: Optimizer, loss: nn.Loss, **settings: Any
) -> tuple[Compiled, _core.CompileSpec]:
    """Return the settings of compile for the models of an outline, here and in the core."""
    found = Compiled.of(where, optimizer, loss, None, None, **settings)
    found.check_outputs(where, outline.n_outputs)
    return found, found.spec(where, outline)
