# SPDX-License-Identifier: BSD-3-Clause
"""Every schedule, average, initializer and metric is kept: in files, pickles, copies, and resumed.

The cases are made from the rows, so a new member is one of them. tests/nn/test_config.py has the
layers, activations, losses and optimizers.
"""

from __future__ import annotations

import copy
import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, metrics, nn, optim
from fastnn._schedule import SCHEDULES
from fastnn.metrics._chosen import BY_NAME
from members import cases, names, paired, row_of
from models import pickled
from saved import F, K, again, goes_on_alike, rows, same_state

DOCS = Path(__file__).parents[2] / "docs"
BATCH = 8  # five steps an epoch
WAYS = {"config": again, "pickle": pickled, "deepcopy": copy.deepcopy}
every_way = pytest.mark.parametrize("way", WAYS)


def model_of(
    optimizer: Any = "adam", loss: str = "cross_entropy", **settings: Any
) -> nn.Sequential:
    layers = nn.Linear(F, 6), nn.Tanh(), nn.Linear(6, K if loss == "cross_entropy" else 1)
    model = nn.Sequential(*layers, dtype="float64", seed=3)
    model.compile(optimizer, loss, **settings)
    return model


# -- schedules -------------------------------------------------------------------------------------


def scheduled(name: str, hyper: dict[str, Any]) -> nn.Sequential:
    params = [param["name"] for param in row_of("schedules", name)["params"]]
    rate = "lr" if "lr" in params else params[0]  # that of a cycle is the highest
    schedule = SCHEDULES[name](**{rate: 0.1} | paired("schedules", name, hyper))
    # A cycle may change the momentum.
    return model_of(optim.SGD(lr=schedule, momentum=0.5))


@pytest.mark.parametrize(("name", "hyper"), cases("schedules"))
def test_every_schedule_goes_on_where_it_was(name: str, hyper: dict[str, Any]) -> None:
    x, y = rows()
    model = scheduled(name, hyper)
    model.fit(x, y, batch_size=BATCH, epochs=2)
    for copied in WAYS.values():
        other = copied(model)
        assert other.optimizer == model.optimizer
        assert other._network.schedule_position() == model._network.schedule_position()
        same_state(model, other)
    for each in (model, other):
        each.fit(x, y, batch_size=BATCH, epochs=2)
    same_state(model, other)
    assert model.history.history == other.history.history


@every_way
@pytest.mark.parametrize("name", names("schedules"))
def test_a_fit_in_two_halves_has_the_rates_of_one(name: str, way: str) -> None:
    x, y = rows()
    whole, half = scheduled(name, {}), scheduled(name, {})
    rates = whole.fit(x, y, batch_size=BATCH, epochs=4).history["lr"]

    class Stop(fastnn.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.model.stop_training = epoch == 1

    first = half.fit(x, y, batch_size=BATCH, epochs=4, callbacks=[Stop()]).history["lr"]
    half = WAYS[way](half)
    second = half.fit(x, y, batch_size=BATCH, epochs=4, initial_epoch=2).history["lr"]
    assert first + second == rates
    np.testing.assert_array_equal(whole.predict(x), half.predict(x))


# -- averages and initializers ---------------------------------------------------------------------

AVERAGES = [
    pytest.param(name, hyper, id=f"{name} {hyper}")
    for name in names("averages")
    for hyper in ({}, *({p["name"]: p["tries"]} for p in row_of("averages", name)["params"]))
]


@every_way
@pytest.mark.parametrize(("name", "hyper"), AVERAGES)
def test_every_average_goes_on_where_it_was(name: str, hyper: dict[str, Any], way: str) -> None:
    x, y = rows()
    average = getattr(optim, row_of("averages", name)["class_name"])(**hyper)
    model = model_of(average=average)
    model.fit(x, y, batch_size=BATCH, epochs=2)
    goes_on_alike(model, WAYS[way](model), x, y)


@every_way
@pytest.mark.parametrize("name", names("initializers"))
def test_every_initializer_draws_the_same_again(name: str, way: str) -> None:
    """A layer keeps how it begins, for models that are made of it."""
    made = getattr(nn.init, row_of("initializers", name)["class_name"])()
    model = nn.Sequential(nn.Linear(F, K, init=made), nn.Tanh(), nn.Linear(K, K), seed=4)
    other = WAYS[way](model)
    same_state(model, other)
    assert repr(other) == repr(model)
    assert other[0].init == model[0].init
    fresh = [nn.Sequential(nn.Linear(F, K, init=m[0].init), seed=9) for m in (model, other)]
    np.testing.assert_array_equal(fresh[0][0].weight, fresh[1][0].weight)


# -- metrics ---------------------------------------------------------------------------------------

TRIES = {
    "average": ["micro", "macro", "weighted", None],
    "k": [1, 2],
    "multi_class": ["ovo"],
    "zero_division": [1.0, float("nan")],
}


def metrics_of(name: str) -> list[metrics.Metric]:
    """A metric with its defaults, and with each parameter another value."""
    found = [BY_NAME[name]()]
    for parameter in inspect.signature(BY_NAME[name]).parameters:
        assert parameter in TRIES, "say which values to try"
        for value in TRIES[parameter]:
            try:
                found.append(BY_NAME[name](**{parameter: value}))
            except ValueError:  # some averages are not those of all metrics
                continue
    return [metric for at, metric in enumerate(found) if metric not in found[:at]]


METRICS = [pytest.param(m, id=repr(m)) for name in BY_NAME for m in metrics_of(name)]


def measured(metric: metrics.Metric) -> tuple[nn.Sequential, Any, Any]:
    """A model of a loss for which the metric is."""
    try:
        return model_of(loss="cross_entropy", metrics=[metric]), *rows()
    except ValueError:
        return model_of(loss="mse", metrics=[metric]), *rows("mse", 1)


@every_way
@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_kept(metric: metrics.Metric, way: str) -> None:
    if metric == metrics.TopK():
        metric = metrics.TopK(K - 1)  # there are not as many classes as its default
    model, x, y = measured(metric)
    model.fit(x, y, batch_size=BATCH, epochs=2, validation_data=(x, y))
    other = WAYS[way](model)
    assert other._compiled.metrics == model._compiled.metrics  # type: ignore[union-attr]
    np.testing.assert_equal(other.evaluate(x, y), model.evaluate(x, y))
    assert set(model.evaluate(x, y)) > {"loss"}
    for each in (model, other):
        each.fit(x, y, batch_size=BATCH, validation_data=(x, y))
    np.testing.assert_equal(other.history.history, model.history.history)
    figures = [name for name in model.history.history if name.startswith("val_")]
    assert [model.history.best(f) for f in figures] == [other.history.best(f) for f in figures]


# -- what is written about them --------------------------------------------------------------------


def test_every_row_is_exported_and_written_about() -> None:
    pages = {
        name: (DOCS / name).read_text(encoding="utf-8")
        for name in ("learning-rates.md", "metrics.md", "optimizers.md")
    }
    tables = (DOCS / "api" / "tables.md").read_text(encoding="utf-8")
    homes = {"schedules": optim.lr_scheduler, "averages": optim, "initializers": nn.init}
    texts = {
        "schedules": pages["learning-rates.md"],
        "averages": pages["optimizers.md"],
        "initializers": tables,
    }
    for room, home in homes.items():
        for row in _core.registries()[room]:
            cls = row["class_name"]
            assert cls in home.__all__
            assert f"| `{row['name']}` | `{cls}` |" in tables
            assert re.search(rf"\b{cls}\b", texts[room]), f"{cls} is not in docs"
    for name, made in BY_NAME.items():
        assert made.__name__ in metrics.__all__
        assert f"`{name}`" in pages["metrics.md"]
        assert f"`{made.__name__}`" in pages["metrics.md"]
        assert f"| `{name}` | `{made.__name__}` |" in tables
