# SPDX-License-Identifier: BSD-3-Clause
"""Schedules: their values against the twin and torch, and what a training makes of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from fastnn import TrainingDivergedError, _core, callbacks, nn, optim, reference
from fastnn._schedule import SCHEDULES
from fastnn.optim import lr_scheduler
from members import Hyper, beside, cases, row_of

STEPS, EPOCH_STEPS, BATCH = 300, 6, 8
# Epochs that get better, that stay where they are, and that get worse.
LOSSES = [*np.linspace(1, 0.5, 8), *[0.5] * 20, 0.2, *np.linspace(0.3, 0.6, 21)]
TORCH = [
    case
    for case in cases("schedules")
    if reference.SCHEDULES[case.values[0]].torch is not None
    and not {"warmup", "warmup_factor", "by"} & set(case.values[1])
]


def with_length(name: str, hyper: Hyper, n: int) -> Hyper:
    """Return `hyper` with the length that a fit of n steps would give."""
    length = reference.SCHEDULES[name].length
    return {length: n} | hyper if length else hyper


@pytest.mark.parametrize(("name", "hyper"), cases("schedules"))
def test_values_are_those_of_the_twin(name: str, hyper: Hyper) -> None:
    args = {"epoch_steps": EPOCH_STEPS, "batch_size": BATCH, "losses": LOSSES}
    ours = _core.schedule_values(name, hyper, 0.3, STEPS, **args)
    twin = reference.schedule_values(name, hyper, 0.3, STEPS, **args)
    np.testing.assert_allclose(ours, twin, rtol=4e-15, atol=2e-16)
    if reference.SCHEDULES[name].momentum is not None and hyper.get("cycle_momentum", True):
        ours = _core.schedule_values(name, hyper, 0.3, STEPS, momentum=True, **args)
        twin = reference.schedule_values(name, hyper, 0.3, STEPS, momentum=True, **args)
        np.testing.assert_allclose(ours, twin, rtol=1e-15)


@pytest.mark.parametrize("name", reference.SCHEDULES)
def test_every_parameter_makes_a_difference(name: str) -> None:
    params = row_of("schedules", name)["params"]
    args = {"epoch_steps": EPOCH_STEPS, "batch_size": BATCH, "losses": LOSSES}

    def both(hyper: Hyper) -> list[Any]:
        cycles = reference.SCHEDULES[name].momentum is not None
        cycles = cycles and hyper.get("cycle_momentum", True)
        return [
            _core.schedule_values(name, hyper, 0.3, STEPS, momentum=momentum, **args).tolist()
            for momentum in ([False, True] if cycles else [False])
        ]

    for param in params:
        if param["name"] in ("lr", "max_lr"):  # the base, which is given
            continue
        assert param["tries"] is not None or param["name"] == "warmup_factor", param["name"]
        value = 0.1 if param["tries"] is None else param["tries"]
        more = beside("schedules", name, {param["name"]: value})
        without = {key: v for key, v in more.items() if key != param["name"]}
        assert both(more) != both(without), param["name"]


def scheduler(torch: Any, name: str, hyper: Hyper, rule: str = "SGD") -> Any:
    """Return torch's scheduler with a step size of 0.3, and its optimizer."""
    w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([w], lr=0.3, momentum=0.9)
    given = {key: value for key, value in hyper.items() if key != "lr"}
    if name == "one_cycle_lr":
        given = {"max_lr": 0.3} | {key: v for key, v in given.items() if key != "max_lr"}
    for key in ("T_max", "total_iters", "total_steps", "T_0", "T_mult"):
        if key in given:
            given[key] = int(given[key])
    if name == "multi_step_lr":
        given["milestones"] = list(given["milestones"])
    made = getattr(torch.optim.lr_scheduler, row_of("schedules", name)["class_name"])
    return made(optimizer, **given), optimizer


@pytest.mark.parametrize(("name", "hyper"), TORCH)
def test_values_are_those_of_torch(torch: Any, name: str, hyper: Hyper) -> None:
    defaults = {p["name"]: p["default"] for p in row_of("schedules", name)["params"]}
    left = ("warmup", "warmup_factor", "by", "lr", "max_lr")
    given = {k: v for k, v in (defaults | hyper).items() if v is not None and k not in left}
    n = int(hyper.get("total_steps", STEPS))  # torch refuses more steps
    given = with_length(name, given, n)
    theirs, optimizer = scheduler(torch, name, given)
    rates, momenta = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(n):
            rates.append(optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            theirs.step() if len(rates) < n else None
    ours = SCHEDULES[name](**hyper).rates(n, 0.3)
    np.testing.assert_allclose(ours, rates, rtol=0, atol=1e-12)
    if SCHEDULES[name](**hyper).cycles_momentum:
        np.testing.assert_allclose(SCHEDULES[name](**hyper).momenta(n), momenta, rtol=0, atol=1e-12)


def test_a_warm_up_is_torchs_linear_one(torch: Any) -> None:
    w = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([w], lr=0.3)
    all_of = torch.optim.lr_scheduler
    parts = [
        all_of.LinearLR(optimizer, start_factor=0.2, total_iters=10),
        all_of.CosineAnnealingLR(optimizer, T_max=40),
    ]
    theirs, rates = all_of.SequentialLR(optimizer, parts, milestones=[10]), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(50):
            rates.append(optimizer.param_groups[0]["lr"])
            theirs.step()
    ours = lr_scheduler.CosineAnnealingLR(0.3, T_max=40, warmup=10, warmup_factor=0.2)
    np.testing.assert_allclose(ours.rates(50), rates, rtol=0, atol=1e-12)
    # A length that is not given is what the fit leaves after the warm-up.
    whole = lr_scheduler.CosineAnnealingLR(0.3, warmup=10, warmup_factor=0.2)
    np.testing.assert_array_equal(whole.rates(50), ours.rates(50))


def test_known_values_are_exact() -> None:
    cosine = lr_scheduler.CosineAnnealingLR(0.5, T_max=4).rates(9)
    assert cosine[[0, 2, 4, 6, 8]].tolist() == [0.5, 0.25, 0, 0.25, 0.5]
    assert lr_scheduler.ExponentialLR(1.0, gamma=0.5).rates(20).tolist() == [
        0.5**k for k in range(20)
    ]
    assert lr_scheduler.PolynomialLR(1.0, total_iters=4, power=2).rates(6).tolist() == [
        1, 0.5625, 0.25, 0.0625, 0, 0
    ]  # fmt: skip
    assert lr_scheduler.StepLR(0.3, step_size=1, gamma=0.0).rates(3).tolist() == [0.3, 0, 0]
    long = lr_scheduler.ExponentialLR(1.0, gamma=1 - 2**-23).rates(10_000_001)[-1]
    assert long == pytest.approx(np.exp(1e7 * np.log1p(-(2.0**-23))), rel=1e-14)


def test_scikit_learns_rates() -> None:
    """The learning rates of scikit-learn's own optimizer, epoch by epoch."""
    theirs_module = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    SGDOptimizer = theirs_module.SGDOptimizer
    theirs = SGDOptimizer([np.zeros(1)], 0.1, "invscaling", power_t=0.3)
    rates = []
    for epoch in range(20):
        rates.append(theirs.learning_rate)
        theirs.iteration_ends((epoch + 1) * 48)
    ours = lr_scheduler.InvScalingLR(0.1, power_t=0.3)
    found = ours.rates(20 * 6, steps_per_epoch=6, batch_size=8)
    np.testing.assert_allclose(found, np.repeat(rates, 6), rtol=1e-15)

    theirs = SGDOptimizer([np.zeros(1)], 0.1, "adaptive")
    rates, best, waited = [], np.inf, 0
    for loss in LOSSES:  # as in _update_no_improvement_count and _fit_stochastic
        rates.append(theirs.learning_rate)
        waited = waited + 1 if loss > best - 1e-4 else 0
        best = min(best, loss)
        if waited > 3:
            theirs.trigger_stopping("", verbose=False)  # a rate of 1e-6 stays
            waited = 0
    ours = lr_scheduler.AdaptiveLR(0.1, n_iter_no_change=3)
    assert ours.rates(len(LOSSES), losses=LOSSES).tolist() == rates
    assert len(set(rates)) > 3


# -- in a training ---------------------------------------------------------------------------------

ROWS = 50


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((ROWS, 5)), rng.integers(0, 3, ROWS)


def model_of(optimizer: Any, dtype: str = "float64", seed: int = 3) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), dtype=dtype, seed=seed)
    model.compile(optimizer, "cross_entropy")
    return model


def same_values(a: nn.Sequential, b: nn.Sequential) -> None:
    other = b.state_dict()
    for key, value in a.state_dict().items():
        np.testing.assert_array_equal(value, other[key])


@pytest.mark.parametrize("name", reference.SCHEDULES)
def test_a_fit_takes_the_rates_of_the_schedule(name: str, data: Any) -> None:
    """By hand: a loop of train_step in which model.lr is set before each step."""
    x, y = data
    schedule = SCHEDULES[name](**({} if name == "array_lr" else {next(iter(base(name))): 0.2}))
    hyper: Hyper = {"momentum": 0.95}
    model = model_of(optim.SGD(lr=schedule, **hyper))
    history = model.fit(x, y, batch_size=8, epochs=4, shuffle=False)
    steps = -(-ROWS // 8)
    rates = schedule.rates(
        4 * steps, steps_per_epoch=steps, batch_size=8, losses=history.history["loss"]
    )
    if name == "inv_scaling_lr":  # whose last batch is shorter
        rates = np.repeat([0.2 / np.sqrt(k * ROWS + 1) for k in range(4)], steps)
    np.testing.assert_allclose(history.history["lr"], rates[steps - 1 :: steps], rtol=1e-14)
    if schedule.cycles_momentum:
        return
    other = model_of(optim.SGD(lr=0.2, **hyper))
    for k in range(4 * steps):
        other.lr = rates[k]
        at = k % steps * 8
        other.train_step(x[at : at + 8], y[at : at + 8])
    if name == "inv_scaling_lr":
        np.testing.assert_allclose(model.predict(x), other.predict(x), rtol=1e-12)
    else:
        same_values(model, other)


def base(name: str) -> dict[str, Any]:
    key, default = reference.SCHEDULES[name].base
    return {key: default}


@pytest.mark.parametrize("rule", ["SGD", "Adam", "RMSprop"])
def test_a_cycle_is_that_of_torch(torch: Any, data: Any, rule: str) -> None:
    """Rates and momenta in a training: SGD's momentum, Adam's beta1."""
    x, y = data
    cycle = lr_scheduler.OneCycleLR(0.05, total_steps=30)
    model = model_of(getattr(optim, rule)(lr=cycle))
    other = torch.nn.Sequential(
        torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)
    ).double()
    other.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in model.state_dict().items()})
    optimizer = getattr(torch.optim, rule)(other.parameters())
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps=30)
    for _ in range(30):
        model.train_step(x, y)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(
            other(torch.from_numpy(x)), torch.from_numpy(y)
        ).backward()
        optimizer.step()
        theirs.step()
    for key, value in other.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=0, atol=1e-12)


def test_groups_keep_their_ratio(torch: Any, data: Any) -> None:
    x, y = data
    schedule = lr_scheduler.StepLR(0.1, step_size=5, gamma=0.5)
    model = model_of(optim.Adam(lr=schedule, param_groups={"0.*": {"lr": 0.01}}))
    other = torch.nn.Sequential(
        torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)
    ).double()
    other.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in model.state_dict().items()})
    groups = [{"params": other[0].parameters(), "lr": 0.01}, {"params": other[2].parameters()}]
    optimizer = torch.optim.Adam(groups, lr=0.1)
    theirs = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
    for _ in range(20):
        assert model.lr == pytest.approx(optimizer.param_groups[1]["lr"], rel=1e-14)
        model.train_step(x, y)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(
            other(torch.from_numpy(x)), torch.from_numpy(y)
        ).backward()
        optimizer.step()
        theirs.step()
    for key, value in other.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=0, atol=1e-12)


def test_steps_and_epochs_go_on_and_a_fit_begins_anew(data: Any) -> None:
    x, y = data

    def rates(schedule: Any) -> list[float]:
        model = model_of(optim.SGD(lr=schedule))
        return [
            rate
            for _ in range(2)
            for rate in model.fit(x, y, batch_size=10, epochs=3).history["lr"]
        ]

    by_step = rates(lr_scheduler.ExponentialLR(1.0, gamma=0.5))
    # Powers are exact here, but not at v2, whose products are rounded once more: 29 steps, 7 ulp.
    most = 4e-15 if _core.isa == "v2" else 0
    assert by_step == pytest.approx([0.5 ** (5 * k + 4) for k in range(6)], rel=most, abs=0)
    by_epoch = rates(lr_scheduler.ExponentialLR(1.0, gamma=0.5, by="epoch"))
    assert by_epoch == [0.5**k for k in range(6)]
    of_fit = rates(lr_scheduler.PolynomialLR(1.0))
    assert of_fit == pytest.approx(2 * [1 - (5 * k + 4) / 15 for k in range(3)], abs=1e-15)
    of_epochs = rates(lr_scheduler.PolynomialLR(1.0, by="epoch"))
    assert of_epochs == pytest.approx(2 * [1, 2 / 3, 1 / 3], abs=1e-15)


def test_a_later_part_of_a_fit_has_its_place_in_it(data: Any) -> None:
    """initial_epoch counts as trained: the second part goes on where the first one ended."""
    x, y = data
    rate = lr_scheduler.CosineAnnealingLR(0.2)
    whole = model_of(optim.Adam(lr=rate))
    whole.fit(x, y, epochs=6)
    model = model_of(optim.Adam(lr=rate))

    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.model.stop_training = epoch == 2

    model.fit(x, y, epochs=6, callbacks=[Stop()])
    model.fit(x, y, epochs=6, initial_epoch=3)
    same_values(model, whole)
    assert model.lr == 0.2  # no fit is running


def test_the_rate_of_the_next_step_is_read(data: Any) -> None:
    x, y = data
    model = model_of(optim.SGD(lr=[0.1, 0.05, 0.01]))
    seen = []
    for _ in range(4):
        seen.append(model.lr)
        model.train_step(x, y)
    assert seen == [0.1, 0.05, 0.01, 0.01]
    assert model.optimizer is not None
    assert model.optimizer.lr == lr_scheduler.ArrayLR((0.1, 0.05, 0.01))
    assert model_of(optim.Adam(lr=lr_scheduler.OneCycleLR(0.1))).lr == pytest.approx(0.004)
    assert model_of(optim.Adam(lr=lr_scheduler.CosineAnnealingLR())).lr == 1e-3  # Adam's own


def test_a_rate_that_is_set_ends_the_schedule_and_one_begins_when_it_is_set(data: Any) -> None:
    x, y = data
    model = model_of(optim.Adam(lr=lr_scheduler.ExponentialLR(0.1, gamma=0.5)))
    model.train_step(x, y)
    model.lr = 0.3
    model.train_step(x, y)
    assert model.lr == 0.3
    model.lr = lr_scheduler.ExponentialLR(0.1, gamma=0.5)
    assert model.lr == 0.1
    model.train_step(x, y)
    assert model.lr == 0.05
    snapshot = model._network.snapshot()
    assert set(snapshot["steps"].values()) == {3}


def test_a_function_of_the_epoch(data: Any) -> None:
    x, y = data
    asked = []

    def rate(epoch: int) -> float:
        asked.append(epoch)
        return 0.1 / (1 + epoch)

    model = model_of(optim.SGD(lr=rate))
    for first in (0, 3):
        rates = model.fit(x, y, epochs=3).history["lr"]
        assert rates == [0.1 / (1 + first + k) for k in range(3)]
    assert set(asked) == set(range(7))
    factor = lr_scheduler.LambdaLR(lambda epoch: 0.5**epoch, lr=0.2)
    assert model_of(optim.SGD(lr=factor)).fit(x, y, epochs=3).history["lr"] == [0.2, 0.1, 0.05]
    model.lr = lambda epoch: -1.0 if epoch else 0.1
    with pytest.raises(ValueError, match=r"its value in epoch 1 is -1\.0; expected a finite"):
        model.fit(x, y, epochs=2)


def test_history_shows_a_rate_that_changes(data: Any) -> None:
    x, y = data
    model = model_of(optim.SGD(lr=0.1))
    assert "lr" not in model.fit(x, y, epochs=3).history
    logs: list[dict[str, float]] = []

    class Halve(callbacks.Callback):
        def on_epoch_end(self, epoch: int, figures: Any) -> None:
            logs.append(dict(figures))
            if epoch == 1:
                self.model.lr /= 2

    history = model.fit(x, y, epochs=4, callbacks=[Halve()], validation_split=0.2)
    assert history.history["lr"] == [0.1, 0.1, 0.05, 0.05]
    assert [("lr" in each) for each in logs] == [False, False, True, True]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_change_bits(data: Any, dtype: str) -> None:
    x, y = data
    trained = []
    for threads in (1, 2, 3):
        model = model_of(optim.Adam(lr=lr_scheduler.OneCycleLR(0.05)), dtype)
        model.fit(x, y, epochs=3, n_threads=threads)
        trained.append(model)
    same_values(trained[0], trained[1])
    same_values(trained[0], trained[2])


def test_an_epoch_that_diverges_is_not_counted() -> None:
    x = np.full((40, 1), 1.0)
    model = nn.Sequential(nn.Linear(1, 1), dtype="float64", seed=0)
    schedule = lr_scheduler.ArrayLR([0.1] * 4 + [1e200] * 4, by="step")
    model.compile(optim.SGD(lr=schedule), "mse")
    with pytest.raises(TrainingDivergedError):
        model.fit(x, np.ones(40), batch_size=10, epochs=2)
    assert model._network.schedule_position() == {
        "steps": 4, "epochs": 1, "rows": 40, "best": None, "waited": 0, "reduced": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.SGD(lr=lr_scheduler.StepLR), r"\[SGD\] lr is the class StepLR; write"),
        (
            lambda: optim.SGD(lr="fast"),
            r"\[SGD\] lr is 'fast'; expected a number, .* or a schedule such as",
        ),
        (lambda: optim.SGD(lr=[]), r"\[ArrayLR\] values is empty"),
        (lambda: optim.SGD(lr=[0.1, -1]), r"\[ArrayLR\] values\[1\] = -1; expected at least 0"),
        (lambda: lr_scheduler.StepLR(0.1, step_size=0), r"step_size is 0; expected .* at least 1"),
        (lambda: lr_scheduler.StepLR(0.1, by="week"), r"unknown by 'week'; known: step, epoch"),
        (
            lambda: optim.Adagrad(lr=lr_scheduler.OneCycleLR(0.1)),
            r"\[Adagrad\] it has no momentum that OneCycleLR could change; expected cycle_momentum",
        ),
        (lambda: optim.NAdam(lr=lr_scheduler.OneCycleLR(0.1)), r"\[NAdam\] it has no momentum"),
        (lambda: lr_scheduler.StepLR().rates(3), r"\[StepLR.rates\] lr is None"),
        (lambda: lr_scheduler.StepLR(0.1).momenta(3), r"does not change the momentum"),
        (lambda: lr_scheduler.LambdaLR(0.1), r"lr_lambda is 0.1; expected a function"),
        (
            lambda: optim.SGD(param_groups={"*": {"lr": lr_scheduler.StepLR()}}),
            r"lr is .*StepLR.*; expected a number",
        ),
    ],
)
def test_what_is_refused(make: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        make()


def test_a_schedule_that_lasts_a_fit_needs_one(data: Any) -> None:
    x, y = data
    model = model_of(optim.Adam(lr=lr_scheduler.CosineAnnealingLR(0.1)))
    words = r"\[Sequential.train_step\] the learning rate is CosineAnnealingLR, whose length"
    with pytest.raises(ValueError, match=words):
        model.train_step(x, y)
    plain = model_of(optim.SGD(lr=0.1))
    with pytest.raises(ValueError, match="need momentum_buffer"):
        plain.lr = lr_scheduler.OneCycleLR(0.1)
    assert plain.lr == 0.1
