# SPDX-License-Identifier: BSD-3-Clause
"""Learning rates around a model: what is kept of a schedule, callbacks that change the rate, and
the search for one."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.functional as F
from fastnn import callbacks, nn, optim, reference
from fastnn._schedule import SCHEDULES
from fastnn.optim import lr_scheduler
from members import hyper_cases, paired
from saved import again, mixed, rows, same_state

X, Y = rows()


def compiled(rate: Any, dtype: str = "float64", **hyper: Any) -> nn.Sequential:
    model = mixed(dtype)
    model.compile(optim.SGD(lr=rate, **hyper), "cross_entropy")
    return model


@pytest.mark.parametrize("way", [again, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("name", reference.SCHEDULES)
def test_a_schedule_is_kept_with_its_position(name: str, way: Any) -> None:
    """A copy made between two fits goes on to the same bits and has the same history."""
    values = paired("schedules", name, hyper_cases("schedules", name)[-1])
    if name == "adaptive_lr":  # which waits once and reduces before and after the copy
        values |= {"tol": 10.0, "n_iter_no_change": 1}
    model = compiled(SCHEDULES[name](**values), momentum=0.9)
    model.fit(X, Y, batch_size=8, epochs=3)
    other = way(model)
    assert other.optimizer == model.optimizer
    assert other.lr == model.lr
    same_state(model, other)
    histories = [each.fit(X, Y, batch_size=8, epochs=3).history for each in (model, other)]
    assert histories[0] == histories[1]
    assert len(histories[0]["lr"]) == 3
    same_state(model, other)


def test_a_step_of_a_loop_is_kept() -> None:
    model = compiled([0.1, 0.2, 0.3, 0.4])
    model.train_step(X, Y)
    model.train_step(X, Y)
    assert again(model).lr == 0.3
    assert again(model, optimizer=False).lr == 0.1  # as if just compiled


def test_a_function_is_kept_by_copies_and_refused_by_files() -> None:
    model = compiled(lambda epoch: 0.5**epoch)
    model.fit(X, Y, epochs=2)
    other = copy.deepcopy(model)
    assert other.lr == model.lr == 0.25
    for each in (model, other):
        assert each.fit(X, Y, epochs=2).history["lr"] == [0.25, 0.125]
    with pytest.raises(TypeError, match=r"\[save\] optimizer has the schedule LambdaLR, which is"):
        again(model)
    trained = compiled(halved)
    trained.fit(X, Y, epochs=2)
    other = pickle.loads(pickle.dumps(trained))
    assert other.fit(X, Y, epochs=1).history["lr"] == [0.025]


def halved(epoch: int) -> float:
    return 0.1 / 2**epoch


def position(**changes: Any) -> Any:
    model = compiled([0.1, 0.2])
    model.train_step(X, Y)
    saved = fastnn.nn._config.taken("save", model)
    saved.config["compiled"]["position"].update(changes)
    return saved


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["position"].update(steps=-1), "steps is -1; expected an integer of at least"),
        (lambda c: c["position"].pop("rows"), r"compiled.position lacks rows; expected steps"),
        (lambda c: c["position"].update(best=float("nan")), "best = nan; expected a finite"),
        (lambda c: c.update(updates=None), "no schedule that has begun"),
        (lambda c: c["optimizer"]["schedule"].update(schedule="cosine"), "unknown schedule"),
        (lambda c: c["optimizer"]["schedule"].update(values=[-1]), r"values\[0\] = -1"),
        (lambda c: c["optimizer"].update(schedule=[]), "schedule has no name; expected one of"),
        (lambda c: c["optimizer"].update(lr=0.5), "do not belong to SGD"),
    ],
)
def test_a_wrong_position_is_refused(change: Any, words: str) -> None:
    saved = position()
    change(saved.config["compiled"])
    if saved.config["compiled"]["updates"] is None:
        for key in [key for key in saved.arrays if key.startswith("optimizer.")]:
            del saved.arrays[key]
    with pytest.raises((ValueError, TypeError), match=words):
        fastnn.nn._config.made("load", saved, nn.Sequential)


class PowerCutError(Exception):
    pass


class Halve(callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == 2:
            self.model.lr /= 2


RATES: dict[str, tuple[Any, Any]] = {
    "by step": (lr_scheduler.ExponentialLR(0.1, gamma=0.9), list),
    "by epoch": (lr_scheduler.StepLR(0.1, step_size=2, by="epoch"), list),
    "of the fit": (lr_scheduler.OneCycleLR(0.1), list),
    "by rows": (lr_scheduler.InvScalingLR(0.1), list),
    "by losses": (lr_scheduler.AdaptiveLR(0.1, tol=10, n_iter_no_change=1), list),
    "plateau": (
        0.1,
        lambda: [callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=10, cooldown=1)],
    ),
    "by function": (
        0.1,
        lambda: [callbacks.LearningRateScheduler(lambda epoch, lr: lr * (0.5 + epoch % 2))],
    ),
    "by hand": (0.1, lambda: [Halve()]),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_killed_training_goes_on_with_its_rate(tmp_path: Any, name: str, cut: int) -> None:
    rate, more = RATES[name]

    def trained(*others: Any) -> tuple[nn.Sequential, Any]:
        model = compiled(rate, momentum=0.9)
        return model, model.fit(X, Y, batch_size=16, epochs=6, callbacks=[*more(), *others])

    whole, history = trained()
    assert len(set(history.history["lr"])) > 1

    def power_cut(epoch: int) -> None:
        if epoch == cut + 1:  # after the backup of epoch `cut`
            raise PowerCutError

    path = tmp_path / "backup.npz"
    with pytest.raises(PowerCutError):
        trained(
            callbacks.BackupAndRestore(path), callbacks.LambdaCallback(on_epoch_begin=power_cut)
        )
    model, resumed = trained(callbacks.BackupAndRestore(path))
    assert resumed.history == history.history
    for key, value in whole.state_dict().items():
        np.testing.assert_array_equal(value, model.state_dict()[key])
    assert model.lr == whole.lr


# -- callbacks -------------------------------------------------------------------------------------


class Figures(callbacks.Callback):
    """Replaces the loss in the logs, for callbacks after it."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = losses

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        logs["loss"] = self.losses[epoch]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 0},
        {"patience": 2, "cooldown": 3},
        {"patience": 3, "min_delta": 0.2, "min_lr": 0.004},
        {"patience": 1, "factor": 0.9, "cooldown": 1},
        {"patience": 2, "mode": "max"},
    ],
)
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras with torch
def test_rates_on_a_plateau_are_those_of_keras(options: Any) -> None:
    keras = pytest.importorskip("keras")
    losses = [1, 0.9, 0.9, 0.95, 0.9, 0.91, 0.7, 0.8, 0.7, 0.7, 0.7, 0.7, 0.69, 0.7, 0.75, 0.71]
    given = {"patience": 3, "factor": 0.5, "mode": "min"} | options
    theirs = keras.callbacks.ReduceLROnPlateau(monitor="loss", **given)
    other = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    other.compile(keras.optimizers.SGD(0.1), "mse")
    theirs.set_model(other)
    theirs.on_train_begin()
    rates = []
    for epoch, loss in enumerate(losses):
        rates.append(float(keras.ops.convert_to_numpy(other.optimizer.learning_rate)))
        theirs.on_epoch_end(epoch, {"loss": loss})
    model = compiled(0.1)
    ours = [Figures([float(loss) for loss in losses])]
    ours += [callbacks.ReduceLROnPlateau("loss", **given)]  # type: ignore[list-item]
    history = model.fit(X, Y, epochs=len(losses), callbacks=ours)
    np.testing.assert_allclose(history.history["lr"], rates, rtol=1e-6)
    assert len(set(rates)) > 1


def test_a_plateau_reduces_the_rates_of_all_groups() -> None:
    model = mixed("float64")
    key = next(key for key in model.state_dict() if key.endswith("bias"))
    groups = {key: {"lr": 0.04, "weight_decay": 0.5}}
    model.compile(optim.SGD(lr=0.1, param_groups=groups), "cross_entropy")
    reduce = callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=100, min_lr=0.03)
    model.fit(X, Y, epochs=3, callbacks=[reduce])
    assert model.optimizer == optim.SGD(
        lr=0.03, param_groups={key: {"lr": 0.03, "weight_decay": 0.5}}
    )


def always(value: Any) -> Any:
    return lambda epoch, lr: value  # noqa: ARG005


def test_what_callbacks_refuse() -> None:
    for factor in (1, 1.5):
        with pytest.raises(ValueError, match=r"\[ReduceLROnPlateau\] factor is .*below 1"):
            callbacks.ReduceLROnPlateau(factor=factor)
    model = compiled(lr_scheduler.StepLR(0.1))
    with pytest.raises(ValueError, match=r"the learning rate is StepLR\(.*\); expected a number"):
        model.fit(X, Y, callbacks=[callbacks.ReduceLROnPlateau("loss")])
    with pytest.raises(ValueError, match=r"monitor is 'val_loss'; the logs have loss"):
        compiled(0.1).fit(X, Y, callbacks=[callbacks.ReduceLROnPlateau()])
    with pytest.raises(TypeError, match=r"schedule is 0.1; expected a function"):
        callbacks.LearningRateScheduler(0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"schedule cannot be called with the epoch"):
        callbacks.LearningRateScheduler(lambda: 0.1)
    for value, error in ((-1.0, ValueError), ("slow", TypeError), (None, TypeError)):
        bad = callbacks.LearningRateScheduler(always(value))
        with pytest.raises(error, match="what schedule returned for epoch 0 is"):
            compiled(0.1).fit(X, Y, callbacks=[bad])


def test_a_function_of_the_epoch_alone_will_do() -> None:
    only = callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    assert compiled(1.0).fit(X, Y, epochs=3, callbacks=[only]).history["lr"] == [0.1, 0.05, 0.1 / 3]


# -- the search for a rate -------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.0, lr_scheduler.OneCycleLR(0.1)])
def test_a_search_leaves_the_model_as_it_was(rate: Any) -> None:
    model = compiled(rate, momentum=0.9)
    model.fit(X, Y, epochs=2)
    before = copy.deepcopy(model)
    found = model.lr_find(X, Y, steps=30, batch_size=8)
    same_state(model, before)
    assert model.optimizer == before.optimizer
    assert len(found.rates) == len(found.losses) == len(found.smoothed) > 5
    np.testing.assert_array_equal(found.rates, np.geomspace(1e-6, 10, 30)[: len(found.rates)])
    for each in (model, before):
        each.fit(X, Y, epochs=2)
    same_state(model, before)


def test_the_losses_of_a_search_are_those_of_steps() -> None:
    """With groups, whose ratio stays, and with weights; by hand with the rates that it returns."""
    w = np.linspace(0.5, 2, len(X))
    groups = {"*.bias": {"lr": 0.01}}
    model, other = mixed("float64"), mixed("float64")
    for each in (model, other):
        each.compile(optim.SGD(lr=0.1, param_groups=groups), "cross_entropy")
    found = model.lr_find(X, Y, w, lr_min=1e-3, lr_max=1.0, steps=4, batch_size=20, smoothing=0)
    order = np.concatenate([fastnn._core.permutation(len(X), other.seed, k) for k in range(2)])
    losses = []
    for k, rate in enumerate(found.rates):
        groups = {"*.bias": {"lr": rate / 10}}
        other._compiled = other._compiled.with_optimizer(
            "test", other._network, optim.SGD(lr=rate, param_groups=groups)
        )
        at = order[20 * k : 20 * k + 20]
        losses.append(other.train_step(X[at], Y[at], sample_weight=w[at]))
    np.testing.assert_allclose(found.losses, losses, rtol=1e-13)
    np.testing.assert_array_equal(found.smoothed, found.losses)


def test_a_search_ends_when_the_loss_diverges_and_suggests_a_rate_that_trains() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 10))
    y = x @ rng.standard_normal(10)
    model = nn.Sequential(nn.Linear(10, 1), dtype="float64")
    model.compile("sgd", "mse")
    found = model.lr_find(x, y, lr_max=1e6, steps=200)
    assert len(found.rates) < 180
    assert found.smoothed[-1] <= 4 * found.smoothed.min()
    assert found.suggestion is not None
    assert 3e-3 < found.suggestion < 0.5
    model.lr = found.suggestion
    assert model.fit(x, y, epochs=5).history["loss"][-1] < 0.01 * found.losses[0]
    assert model.lr_find(x, y, lr_min=1e3, lr_max=1e300, steps=3).suggestion is None
    assert repr(found).startswith(f"<RateSearch of {len(found.rates)} steps: suggestion 0.")


def test_a_search_has_a_rate_for_each_group_of_batches() -> None:
    x, y = np.random.default_rng(0).standard_normal((20, 4)), np.arange(20) % 3
    whole, parts = (nn.Sequential(nn.Linear(4, 3), dtype="float64") for _ in range(2))
    whole.compile("sgd", "cross_entropy")
    parts.compile("sgd", "cross_entropy", accumulate=4)
    expected = whole.lr_find(x, y, steps=5, batch_size=20, smoothing=0)
    found = parts.lr_find(x, y, steps=5, batch_size=5, smoothing=0)
    np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-12)
    np.testing.assert_array_equal(found.rates, expected.rates)


def test_averages_are_corrected_for_their_bias() -> None:
    found = compiled(0.1).lr_find(X, Y, steps=10, lr_max=1e-5, smoothing=0.9)
    weights = 0.9 ** np.arange(10)[::-1]
    expected = np.sum(weights * found.losses) / np.sum(weights)
    assert found.smoothed[-1] == pytest.approx(expected, rel=1e-12)
    assert found.smoothed[0] == pytest.approx(found.losses[0], rel=1e-15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr_min": 0}, "expected 0 < lr_min < lr_max"),
        ({"lr_max": 1e-7}, "expected 0 < lr_min < lr_max"),
        ({"steps": 1}, "steps is 1; expected an integer of at least 2"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"smoothing": 1}, "smoothing is 1.0; expected a number below 1"),
        ({"divergence": 1}, "divergence is 1.0; expected a number above 1"),
    ],
)
def test_what_a_search_refuses(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=rf"\[Sequential.lr_find\] .*{words}"):
        compiled(0.1).lr_find(X, Y, **options)


def test_schedules_as_arrays() -> None:
    np.testing.assert_array_equal(F.schedule(0.25, 3), [0.25] * 3)
    np.testing.assert_array_equal(F.schedule([0.3, 0.2], 3), [0.3, 0.2, 0.2])
    cosine = lr_scheduler.CosineAnnealingLR(by="epoch")
    twin = reference.schedule_values("cosine_annealing_lr", {"by": "epoch"}, 0.2, 12, epoch_steps=3)
    np.testing.assert_allclose(F.schedule(cosine, 12, 0.2, steps_per_epoch=3), twin, rtol=1e-14)
    for wrong in ("fast", -0.1, None):
        with pytest.raises((ValueError, TypeError), match=r"\[schedule\] rate is"):
            F.schedule(wrong, 3)  # type: ignore[arg-type]
