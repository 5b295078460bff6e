# SPDX-License-Identifier: BSD-3-Clause
"""Fifty batches in torch: an optimizer together with all that may be around it.

Those are a rate that changes, batches that are accumulated, an average of the parameters, groups,
limits of gradients, weights of rows, and a model that is saved or copied in the middle and goes on.
Every one of them is crossed with every optimizer in the quick cases, and with each other in the
nightly ones. The losses take turns, with all their parameters: sums, weights of classes, smoothed
labels, targets that are probabilities.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import fastnn
import in_torch
from fastnn import nn, optim, reference
from fastnn._optimizers import OPTIMIZERS
from fastnn._schedule import SCHEDULES, LambdaLR
from fastnn.nn import _entries
from members import TWINS, Hyper, ending, fitted, linear, names, paired, row_of, targets
from models import layer_of

if TYPE_CHECKING:
    from pathlib import Path

# Odd numbers of rows, also in a group of three batches: see test_fifty_steps.
ROWS, N_IN, N_OUT, BATCHES, EPOCHS = 17, 7, 3, 10, 5
FUNCTION = "a function of the epoch"


class Measure(NamedTuple):
    """A loss with its parameters; `soft`: its targets are probabilities of classes."""

    name: str
    hyper: Hyper
    soft: bool = False


def measures() -> list[Measure]:
    """Return all losses that torch has, with each of their parameters and with all of them."""
    found = []
    for name, hyper in (case.values for case in in_torch.torch_cases("losses")):
        if reference.LOSSES[name].outputs_per_target() > 1 or hyper.get("log_input") is False:
            continue  # outputs of the latter have to be positive
        made, _ = fitted(name, hyper, N_OUT)
        found.append(Measure(name, made))
        if name == "cross_entropy":
            found.append(Measure(name, made, soft=True))
    return found


LOSSES = measures()
ACTIVATIONS = [
    name
    for name in in_torch.torch_names("activations")
    if not reference.ACTIVATIONS[name].kinks()
    and TWINS["activations"][name].torch.gradients <= 1e-12
    and not row_of("activations", name)["whole_rows"]
    and name != "exp"  # whose outputs grow without a limit
]


class Training(NamedTuple):
    """What is around the optimizer."""

    schedule: str
    accumulate: int
    average: str
    clip: str
    groups: bool
    resume: str
    fits: bool  # fit, or a loop of train_step
    by: str
    weights: bool
    lr: float = 0.004


CHOICES: dict[str, list[Any]] = {
    "schedule": ["", FUNCTION, *in_torch.torch_names("schedules")],
    "accumulate": [1, 3],
    "average": ["", "ema", "swa"],
    "clip": ["", "norm", "value", "group"],
    "groups": [True, False],
    "resume": [".npz", "", ".safetensors", "copy"],
    "fits": [True, False],
    "by": ["epoch", "step"],
    "weights": [False, True],
}
SETTINGS: dict[str, Hyper] = {
    "": {},
    "norm": {"max_grad_norm": 0.1},
    "value": {"max_grad_value": 0.01},
    "group": {"max_grad_norm": 0.05},
}
OWN_LIMIT = ("2.*", 0.02)


def training(k: int) -> Training:
    """Return the k-th training, made of choices that are drawn by lot."""
    rng = np.random.default_rng(k)
    return Training(*(values[rng.integers(len(values))] for values in CHOICES.values()))


def plain_and_full() -> list[tuple[str, Hyper]]:
    every = [tuple(case.values) for case in in_torch.torch_cases("optimizers")]
    return [
        found[at]
        for name in in_torch.torch_names("optimizers")
        for found in [[case for case in every if case[0] == name]]
        for at in (0, -1)
    ]


def groups_of(rule: str, hyper: Hyper, how: Training) -> dict[str, Hyper]:
    groups: dict[str, Hyper] = {}
    if how.groups:
        groups = {"0.*": {"lr": 0.3 * how.lr}, "*.bias": {"weight_decay": 0.02}}
    if how.clip == "group":
        groups[OWN_LIMIT[0]] = {"max_grad_norm": OWN_LIMIT[1]}
    return groups


def factor(epoch: int) -> float:
    return 1 / (1 + 0.3 * epoch)


def rate_of(rule: str, how: Training) -> Any:
    """Return the rate for fastnn. The length of a schedule that has one is that of the fit."""
    if not how.schedule:
        return how.lr
    if how.schedule == FUNCTION:
        return LambdaLR(factor, lr=how.lr)
    row = reference.SCHEDULES[how.schedule]
    given: Hyper = {row.base[0]: how.lr, "by": how.by}
    if row.length and not how.fits:
        given[row.length] = updates_of(how)
    if row.momentum is not None:
        given["cycle_momentum"] = bool(row_of("optimizers", rule)["momentum"])
    return SCHEDULES[how.schedule](**given)


def updates_of(how: Training) -> int:
    each = -(-BATCHES // how.accumulate)
    return each * EPOCHS if how.fits else BATCHES * EPOCHS // how.accumulate


def scheduler(torch: Any, rule: str, how: Training, optimizer: Any) -> Any:
    if not how.schedule:
        return None
    if how.schedule == FUNCTION:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    row, defaults = reference.SCHEDULES[how.schedule], row_of("schedules", how.schedule)["params"]
    left = ("warmup", "warmup_factor", "by", row.base[0])
    given = {p["name"]: p["default"] for p in defaults if p["name"] not in left}
    if row.length and (given[row.length] is None or not how.fits):
        given[row.length] = EPOCHS if how.by == "epoch" and how.fits else updates_of(how)
    if row.base[0] == "max_lr":
        given["max_lr"] = [group["lr"] for group in optimizer.param_groups]
        given["cycle_momentum"] = bool(row_of("optimizers", rule)["momentum"])
    given = {k: list(map(int, v)) if k == "milestones" else v for k, v in given.items()}
    made = getattr(torch.optim.lr_scheduler, row_of("schedules", how.schedule)["class_name"])
    return made(optimizer, **given)


def averages_of(how: Training) -> tuple[Any, Any]:
    """Return the average for fastnn, and whether it takes (epoch, step, last of the epoch)."""
    if how.average == "ema":
        return optim.EMA(0.8, start_step=3), lambda _epoch, step, _last: step >= 3
    if how.average == "swa" and how.fits:
        return optim.SWA(start_epoch=1), lambda epoch, _step, last: last and epoch >= 1
    return (
        optim.SWA(unit="steps", start_step=2, every=3) if how.average else None,
        lambda _epoch, step, _last: step >= 2 and (step - 2) % 3 == 0,
    )


def trained_in_torch(
    torch: Any, other: Any, optimizer: tuple[str, Hyper], loss: Measure, how: Training, data: Any
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the parameters after the training, and their averages."""
    rule, hyper = optimizer
    groups = []
    for key, parameter in other.named_parameters():
        groups.append({"params": [parameter]})
        for pattern, values in groups_of(rule, hyper, how).items():
            if fnmatchcase(key, pattern):
                groups[-1] |= {k: v for k, v in values.items() if k != "max_grad_norm"}
    step_of = in_torch.optimizer(torch, rule, hyper | {"lr": how.lr}, groups)
    schedule = scheduler(torch, rule, how, step_of)
    average, counts = averages_of(how)
    mean = None
    waiting: list[Any] = []
    step = 0
    for batch in range(BATCHES * EPOCHS):
        epoch, last = batch // BATCHES, how.fits and batch % BATCHES == BATCHES - 1
        rows = slice(batch % BATCHES * ROWS, (batch % BATCHES + 1) * ROWS)
        waiting.append([None if part is None else torch.from_numpy(part[rows]) for part in data])
        if len(waiting) < how.accumulate and not last:
            continue
        step_of.zero_grad()
        backward(torch, other, loss, waiting)
        waiting = []
        clip(torch, other, how)
        step_of.step()
        if average is not None:
            mean = mean or averaged_model(torch, other, how)
            if counts(epoch, step, last):
                mean.update_parameters(other)
        step += 1
        if schedule is not None and (last if by_epoch(how) else True):
            schedule.step()
    assert step == updates_of(how)
    return in_torch.values(other), in_torch.values(mean.module) if mean is not None else {}


def backward(torch: Any, other: Any, loss: Measure, batches: list[Any]) -> None:
    """Compute the gradient of the loss of all rows of some batches, one batch after the other.

    The mean of a loss is that of the rows, each with its weight, times that of its class.
    """
    measure = in_torch.loss_of(torch, loss.name, loss.hyper, torch.float64)
    of_classes = loss.hyper.get("weight") if not loss.soft else None
    shares = []
    for _, y, w in batches:
        share = torch.ones(len(y), dtype=torch.float64) if w is None else w
        shares.append(share if of_classes is None else share * torch.tensor(of_classes)[y])
    sums = loss.hyper.get("reduction") == "sum"
    total = 1 if sums else sum(share.sum() for share in shares)
    for (x, y, w), share in zip(batches, shares, strict=True):
        out = other(x)
        if w is None:
            value = measure(out, y) * (1 if sums else share.sum())
        else:
            each = torch.stack([measure(out[r : r + 1], y[r : r + 1]) for r in range(len(y))])
            value = ((w if sums else share) * each).sum()
        (value / total).backward()


def by_epoch(how: Training) -> bool:
    return how.fits and (how.by == "epoch" or how.schedule == FUNCTION)


def averaged_model(torch: Any, other: Any, how: Training) -> Any:
    swa = torch.optim.swa_utils
    ema = {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.8)} if how.average == "ema" else {}
    return swa.AveragedModel(other, **ema)


def clip(torch: Any, other: Any, how: Training) -> None:
    utils, named = torch.nn.utils, dict(other.named_parameters())
    if how.clip == "value":
        utils.clip_grad_value_(other.parameters(), SETTINGS["value"]["max_grad_value"])
    if how.clip == "norm":
        utils.clip_grad_norm_(other.parameters(), SETTINGS["norm"]["max_grad_norm"])
    if how.clip == "group":
        own = [key for key in named if fnmatchcase(key, OWN_LIMIT[0])]
        utils.clip_grad_norm_([named[key] for key in own], OWN_LIMIT[1])
        rest = [named[key] for key in named if key not in own]
        utils.clip_grad_norm_(rest, SETTINGS["group"]["max_grad_norm"])


def trained(model: nn.Sequential, how: Training, data: Any, folder: Path) -> nn.Sequential:
    """Train a model, which goes on as another one after half of the batches."""

    def resumed(model: nn.Sequential) -> nn.Sequential:
        if how.resume in ("", "copy") or how.schedule == FUNCTION:
            return copy.deepcopy(model) if how.resume else model
        model.save(folder / f"m{how.resume}")
        return fastnn.load(folder / f"m{how.resume}")

    x, y, w = data
    if how.fits:
        options: dict[str, Any] = {"batch_size": ROWS, "epochs": EPOCHS, "shuffle": False}
        options["sample_weight"] = w
        if not how.resume or how.schedule == FUNCTION:
            model.fit(x, y, **options)
            return model

        class Stop(fastnn.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                self.model.stop_training = epoch == 1

        model.fit(x, y, **options, callbacks=[Stop()])
        model = resumed(model)
        model.fit(x, y, **options, initial_epoch=2)
        return model
    for batch in range(BATCHES * EPOCHS):
        rows = slice(batch % BATCHES * ROWS, (batch % BATCHES + 1) * ROWS)
        model.train_step(x[rows], y[rows], sample_weight=None if w is None else w[rows])
        if batch == BATCHES * EPOCHS // 2 - 1:
            model = resumed(model)
    return model


def compare(torch: Any, optimizer: tuple[str, Hyper], how: Training, at: int, folder: Path) -> None:
    """Compare a training with torch's; `at` chooses the activation and the loss."""
    loss, activation = LOSSES[at % len(LOSSES)], ACTIVATIONS[at % len(ACTIVATIONS)]
    if how.schedule == FUNCTION:
        how = how._replace(fits=True, by="epoch")
    if not how.fits:  # no epoch ends there
        how = how._replace(by="step")
    if loss.hyper.get("reduction") == "sum":
        how = how._replace(lr=how.lr / ROWS)
    rule, hyper = optimizer
    layers = [linear(N_IN, 9), (activation, {}), linear(9, 8), (activation, {}), linear(8, N_OUT)]
    layers += ending(loss.name, N_OUT, loss.hyper)
    model = nn.Sequential(*(layer_of(*layer) for layer in layers), dtype="float64", seed=3)
    given = paired("optimizers", rule, hyper) | {"lr": rate_of(rule, how)}
    made = OPTIMIZERS[rule](**given, param_groups=groups_of(rule, hyper, how))
    model.compile(
        made,
        _entries.LOSSES[loss.name](**paired("losses", loss.name, loss.hyper)),
        average=averages_of(how)[0],
        accumulate=how.accumulate,
        **SETTINGS[how.clip],
    )
    rng = np.random.default_rng(at)
    n = ROWS * BATCHES
    y = rng.dirichlet(np.ones(N_OUT), n) if loss.soft else None
    y = targets(rng, loss.name, n, N_OUT, hyper=loss.hyper) if y is None else y
    data = rng.standard_normal((n, N_IN)), y, rng.uniform(0.2, 2, n) if how.weights else None
    other = in_torch.network(torch, layers, model._network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's schedulers ask for calls in another order
        expected, means = trained_in_torch(torch, other, optimizer, loss, how, data)
    model = trained(model, how, data, folder)
    tolerance = 1e-12 * TWINS["optimizers"][rule].tolerance * TWINS["losses"][loss.name].tolerance
    tolerance *= TWINS["activations"][activation].tolerance
    same(model, expected, tolerance)
    if means:
        with model.averaged():
            same(model, means, tolerance)


def same(model: nn.Sequential, expected: dict[str, np.ndarray], tolerance: float) -> None:
    largest = max(np.abs(value).max() for value in expected.values())
    assert np.isfinite(largest)
    for entry in model._network.parameters():
        gap = np.abs(entry["array"] - expected[entry["key"]]).max()
        assert gap <= tolerance * largest, entry["key"]


QUICK = [
    (tuple(case.values), training(k), k)
    for k, case in enumerate(in_torch.torch_cases("optimizers"))
]


@pytest.mark.usefixtures("exact_scalars")
@pytest.mark.parametrize(
    ("optimizer", "how", "at"), QUICK, ids=["-".join([o[0], *o[1], str(k)]) for o, _, k in QUICK]
)
def test_every_optimizer_in_trainings(
    torch: Any, tmp_path: Path, optimizer: Any, how: Training, at: int
) -> None:
    compare(torch, optimizer, how, at, tmp_path)


@pytest.mark.nightly
@pytest.mark.usefixtures("exact_scalars")
@pytest.mark.parametrize("schedule", CHOICES["schedule"])
@pytest.mark.parametrize("optimizer", plain_and_full(), ids=lambda o: "-".join([o[0], *o[1]]))
def test_the_whole_product(torch: Any, tmp_path: Path, optimizer: Any, schedule: str) -> None:
    crossed = itertools.product(*(CHOICES[name] for name in ("accumulate", "average", "clip")))
    for at, (accumulate, average, clip) in enumerate(crossed):
        for k in (at, at + 1):
            how = training(k)._replace(
                schedule=schedule, accumulate=accumulate, average=average, clip=clip
            )
            how = how._replace(fits=(k + at // 4) % 2 == 0, by=("step", "epoch")[at // 2 % 2])
            compare(torch, optimizer, how, 7 * k + at, tmp_path)


def test_the_quick_cases_have_every_choice() -> None:
    for name, values in CHOICES.items():
        assert {getattr(how, name) for _, how, _ in QUICK} == set(values)
    assert {optimizer[0] for optimizer, _, _ in QUICK} == set(names("optimizers")) - {"lion"}
