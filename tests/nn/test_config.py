# SPDX-License-Identifier: BSD-3-Clause
"""A model as plain config and arrays, and back: every member of every room, to the same bits."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import members
from fastnn import callbacks, nn, optim
from fastnn.errors import ModelBusyError
from fastnn.nn import _config, _entries
from fastnn.nn._config import Saved, made, taken
from fastnn.nn._tree import Tree
from layouts import DTYPES
from models import layer_of
from saved import WIDTH, F, K, again, goes_on_alike, mixed, rows, same_state, through_json

CONTAINERS = Path(__file__).resolve().parents[2] / "cpp/graph/containers.h"
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


CASES = [*members.cases("inputs"), *members.cases("layers"), *members.cases("activations")]


def model_of(layers: Any, dtype: str) -> nn.Sequential:
    model = nn.Sequential(*(layer_of(*entry) for entry in layers), dtype=dtype, seed=2**63 + 5)
    model.compile(optim.Adam(0.01), nn.CrossEntropyLoss(), ["accuracy"], max_grad_norm=1.5)
    return model


@both_dtypes
@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_every_layer(name: str, hyper: dict[str, Any], dtype: str) -> None:
    model = model_of(members.network_with(name, hyper, F, WIDTH, K), dtype)
    x, y = rows()
    model.fit(x, y, batch_size=7, epochs=2)
    goes_on_alike(model, again(model), x, y)


@both_dtypes
@pytest.mark.parametrize(("name", "hyper"), members.cases("losses"))
def test_every_loss(name: str, hyper: dict[str, Any], dtype: str) -> None:
    hyper, _ = members.fitted(name, hyper, K)
    layers = [members.linear(F, WIDTH), ("tanh", {}), members.linear(WIDTH, K)]
    layers += members.ending(name, K, hyper)
    model = nn.Sequential(*(layer_of(*e) for e in layers), dtype=dtype)
    x, y = rows(name, dtype=dtype, hyper=hyper)
    loss = _entries.LOSSES[name](**members.paired("losses", name, hyper))
    model.compile(optim.SGD(0.01, momentum=0.5), loss, max_grad_value=0.5)
    model.fit(x, y, batch_size=7)
    goes_on_alike(model, again(model), x, y)
    assert again(model).loss == model.loss


@both_dtypes
@pytest.mark.parametrize(("name", "hyper"), members.cases("optimizers"))
def test_every_optimizer_goes_on_where_it_was(name: str, hyper: dict[str, Any], dtype: str) -> None:
    """25 and 25 steps are 50 steps, with everything that has a state or a random stream."""
    values = members.paired("optimizers", name, hyper)
    other = members.other_values("optimizers", name)["lr"]
    groups = {"*.bias": {"lr": other}, "0.*": {**values, "lr": other / 2}}
    optimizer = _entries.OPTIMIZERS[name](**values, param_groups=groups)
    whole, half = mixed(dtype), mixed(dtype)
    for model in (whole, half):
        model.compile(optimizer, "cross_entropy")
    x, y = rows()
    for _ in range(5):
        whole.fit(x, y, batch_size=8, epochs=5)
        half.fit(x, y, batch_size=8, epochs=5)
        half = again(half)
        same_state(whole, half)
    assert whole._network.step == 125  # type: ignore[union-attr]
    assert half.optimizer == whole.optimizer


def test_each_parameter_keeps_its_own_count_of_updates() -> None:
    x, y = rows()
    model = mixed("float64")
    model.compile(optim.Adam(0.05), "cross_entropy")
    model[1].freeze()
    model.fit(x, y)
    model[1].unfreeze()
    model.fit(x, y)
    updates = taken("save", model).config["compiled"]["updates"]
    assert updates["0.weight"] == 2 < updates["1.weight"] == 4
    assert updates["4.weight"] == 0
    goes_on_alike(model, again(model), x, y)


def test_draws_and_loops_of_steps_go_on() -> None:
    x, y = rows()
    model = mixed("float32")
    model.forward(x, training=True)
    other = again(model)
    np.testing.assert_array_equal(model.forward(x, True), other.forward(x, True))
    model.compile("adamw", "cross_entropy")
    model.train_step(x, y)
    model.loss_and_grad(x, y)
    goes_on_alike(model, again(model), x, y)


def test_settings_that_changed_later_are_kept() -> None:
    x, y = rows()
    model = mixed("float64")
    model.compile(optim.SGD(0.1, momentum=0.9), "cross_entropy")
    model.fit(x, y)
    model.lr = 0.025
    model[4].p = 0.6
    model[2].eps = 0.5
    model[0].shift = np.arange(F)
    other = again(model)
    assert other.lr == 0.025
    goes_on_alike(model, other, x, y)


def test_a_layer_in_two_places_stays_one() -> None:
    drop = nn.Dropout(0.25)
    model = nn.Sequential(nn.Linear(F, 4), drop, nn.Residual(nn.Linear(4, 4), drop), drop)
    config = taken("save", model).config
    assert config["layers"][2]["layers"][1] == config["layers"][3] == {"same_as": "1"}
    other = again(model)
    assert other[1] is other[2][1] is other[3]
    other[1].p = 0.75
    assert again(other)[3].p == 0.75


def test_models_that_were_never_compiled_or_have_no_parameters() -> None:
    for model in (mixed("float32"), nn.Sequential(), nn.Sequential(nn.ReLU(), nn.Dropout(0.1))):
        same_state(model, again(model))
    assert again(mixed("float64")).optimizer is None


def test_without_the_optimizer_it_is_as_if_just_compiled() -> None:
    x, y = rows()
    model = mixed("float32")
    model.compile(optim.Adam(0.01), "cross_entropy", ["accuracy"])
    model.fit(x, y, epochs=2)
    saved = taken("save", model, optimizer=False)
    assert not [key for key in saved.arrays if key.startswith("optimizer")]
    other = made("load", through_json(saved), nn.Sequential)
    model.compile(model.optimizer, model.loss, ["accuracy"])
    goes_on_alike(model, other, x, y)


def test_equal_trainings_have_equal_configs() -> None:
    x, y = rows()
    configs = []
    for n_threads in (1, 2):
        model = mixed("float32")
        model.compile("adam", "cross_entropy")
        model.fit(x, y, epochs=2, n_threads=n_threads)
        configs.append(json.dumps(taken("save", model).config))
        time.sleep(0.01)
    assert configs[0] == configs[1]


def test_figures_that_json_does_not_have() -> None:
    model = mixed("float32")
    model.history = nn.History(
        {"verbose": np.int64(0)}, {"f": [math.inf, -math.inf, math.nan, 0.1]}
    )
    model.history.epoch = [0, 1, 2, 3]
    history = again(model).history
    assert str(history.history["f"]) == "[inf, -inf, nan, 0.1]"
    assert history.params == {"verbose": 0}


def test_objects_of_users_are_refused() -> None:
    class Own(nn.Linear):
        pass

    class OwnLoss(nn.MSELoss):
        pass

    model = nn.Sequential(Own(3, 2))
    with pytest.raises(
        TypeError, match=r"^\[save\] layer 0 is of the class Own, .*Pickle the model"
    ):
        taken("save", model)
    model = nn.Sequential(nn.Linear(3, 2))
    model.compile("sgd", OwnLoss())
    with pytest.raises(TypeError, match=r"^\[save\] loss is of the class OwnLoss"):
        taken("save", model)
    model.compile("sgd", "mse")
    model.history = [1]
    with pytest.raises(TypeError, match=r"history is \[1\]; .*set model.history = None"):
        taken("save", model)


def test_in_callbacks_it_is_the_end_of_the_epoch() -> None:
    x, y = rows()
    model = mixed("float32")
    model.compile("adam", "cross_entropy")
    saved: list[Saved] = []
    hook = callbacks.LambdaCallback(on_epoch_end=lambda *_: saved.append(taken("save", model)))
    model.fit(x, y, epochs=3, callbacks=[hook])
    for n, each in enumerate(saved):
        other = mixed("float32")
        other.compile("adam", "cross_entropy")
        history = other.fit(x, y, epochs=n + 1)
        assert each.config["history"]["history"] == history.history
        assert each.config["history"]["params"].pop("epochs") == 3
        assert each.config["epochs"] == history.params.pop("epochs") == n + 1
        goes_on_alike(made("load", each, nn.Sequential), other, x, y)


@pytest.mark.parametrize("slow", ["add", "as_config"])
def test_of_one_moment_or_refused_while_another_thread_trains(
    slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads take turns where the history is written, or where it is read."""
    given = getattr(nn.History, slow)

    def slowly(*args: Any) -> Any:
        time.sleep(0.002)
        return given(*args)

    x, y = rows()
    model = mixed("float32")
    model.compile("adam", "cross_entropy")
    found: list[Saved] = []
    refused: list[int] = []
    hook = callbacks.LambdaCallback(on_epoch_end=lambda *_: time.sleep(0.001))
    fit = {"epochs": 20, "batch_size": 20, "callbacks": [hook]}
    threads = [threading.Thread(target=lambda: [model.fit(x, y, **fit) for _ in range(3)])]
    monkeypatch.setattr(nn.History, slow, slowly)
    threads[0].start()
    while threads[0].is_alive():
        try:
            found.append(taken("save", model))
        except ModelBusyError:
            refused.append(1)
    threads[0].join()
    assert len(found) + len(refused) > 10
    for each in found:
        assert each.config["step"] == 2 * each.config["epochs"]
        if each.config["epochs"] % 20 != 0:  # there, a fit may have just begun
            assert len(each.config["history"]["epoch"]) == each.config["epochs"] % 20


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_only_finite_values_are_taken(bad: float) -> None:
    """Also where a sum overflows, or two infinities have none."""
    largest = float(np.finfo(np.float32).max)
    for values in ([largest, largest], [largest, -largest]):
        model = nn.Sequential(nn.Linear(2, 1))
        model[0].weight[0] = values
        assert taken("save", model).arrays["0.weight"].tolist() == [values]
        model[0].weight[0, 1] = bad
        with pytest.raises(
            ValueError, match=r"^\[save\] '0.weight' has values that are not finite"
        ):
            taken("save", model)


def test_the_call_is_named_if_the_history_lags_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network may be free when the state is taken, and in training again right afterwards."""
    x, y = rows(dtype="float32")
    model = mixed("float32")
    model.compile("adam", "cross_entropy")
    network, taken_before = model._tree.network, model._tree.snapshot()
    assert network is not None
    monkeypatch.setattr(_config, "_is_of", lambda *_: False)
    monkeypatch.setattr(Tree, "snapshot", lambda _: taken_before)
    said = []

    def in_the_middle(_: int) -> Any:
        with pytest.raises(ModelBusyError) as caught:
            taken("Sequential.save", model)
        said.append(str(caught.value))
        return np.arange(len(x))

    network.fit(x, y, orders=in_the_middle)
    assert said[0].startswith("[Sequential.save] the model is being trained by another call")


def test_the_config_knows_every_member() -> None:
    known = _entries._registry_names()
    for room in ("inputs", "layers", "containers", "activations"):
        assert set(members.names(room)) <= set(known)
    text = CONTAINERS.read_text(encoding="utf-8")
    assert f"kMostNested = {_entries.MOST_NESTED};" in text
