# SPDX-License-Identifier: BSD-3-Clause
"""A model as plain config and arrays, and back: every member of every room, to the same bits."""

from __future__ import annotations

import inspect
import json
import math
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import members
from fastnn import callbacks, nn, optim
from fastnn.errors import ModelBusyError
from fastnn.nn import _entries
from fastnn.nn._config import Saved, made, taken
from layouts import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, F, WIDTH, K = 40, 5, 6, 3
CONTAINERS = Path(__file__).resolve().parents[2] / "cpp/graph/containers.h"
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def through_json(saved: Saved) -> Saved:
    """The same as a file would have it: text of strict JSON, and arrays that are copies."""
    text = json.dumps(saved.config, allow_nan=False)
    return Saved(json.loads(text), {key: np.array(a, order="C") for key, a in saved.arrays.items()})


def again(model: nn.Sequential, **options: Any) -> nn.Sequential:
    return made("load", through_json(taken("save", model, **options)), nn.Sequential)


def layer_of(name: str, hyper: dict[str, Any]) -> nn.Layer:
    """The public layer that an entry of `members.network_with` stands for."""
    cls = _entries._class_of(name)
    if name in members.names("inputs"):  # what the core has a default for, and the class has not
        needed = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
        hyper = {**{p.name: 0.5 for p in needed}, **members.for_columns(hyper, F)}
    return (
        cls(**members.paired("activations", name, hyper)) if name in ACTIVATIONS else cls(**hyper)
    )


ACTIVATIONS = members.names("activations")
CASES = [*members.cases("inputs"), *members.cases("layers"), *members.cases("activations")]


def model_of(layers: Any, dtype: str) -> nn.Sequential:
    model = nn.Sequential(*(layer_of(*entry) for entry in layers), dtype=dtype, seed=2**63 + 5)
    model.compile(optim.Adam(0.01), nn.CrossEntropyLoss(), ["accuracy"], max_grad_norm=1.5)
    return model


def rows(loss: str = "cross_entropy", k: int = K, dtype: str = "float64") -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    return rng.standard_normal((ROWS, F)).astype(dtype), members.targets(rng, loss, ROWS, k)


def same_state(a: nn.Sequential, b: nn.Sequential) -> None:
    first, second = taken("a", a), taken("b", b)
    assert first.config == second.config
    assert first.arrays.keys() == second.arrays.keys()
    for key, array in first.arrays.items():
        assert array.dtype == second.arrays[key].dtype, key
        assert array.tobytes() == second.arrays[key].tobytes(), key


def goes_on_alike(model: nn.Sequential, other: nn.Sequential, x: Any, y: Any) -> None:
    same_state(model, other)
    assert repr(model) == repr(other)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))
    for each in (model, other):
        each.fit(x, y, batch_size=7, epochs=2)
        each.train_step(x, y)
    same_state(model, other)


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
    layers = [members.linear(F, WIDTH), ("tanh", {}), members.linear(WIDTH, K)]
    model = nn.Sequential(*(layer_of(*e) for e in layers + members.ending(name)), dtype=dtype)
    x, y = rows(name, dtype=dtype)
    loss = _entries.LOSSES[name](**members.paired("losses", name, hyper))
    model.compile(optim.SGD(0.01, momentum=0.5), loss, max_grad_value=0.5)
    model.fit(x, y, batch_size=7)
    goes_on_alike(model, again(model), x, y)
    assert again(model).loss == model.loss


def mixed(dtype: str) -> nn.Sequential:
    return nn.Sequential(
        nn.Rescale(np.linspace(0.5, 2, F), 0.25),
        nn.Linear(F, WIDTH, bias=False),
        nn.BatchNorm1d(WIDTH, momentum=0.3),
        nn.Residual(nn.LayerNorm(WIDTH), nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU())),
        nn.Dropout(0.3),
        nn.Linear(WIDTH, WIDTH).freeze(),
        nn.LeakyReLU(0.3),
        nn.Linear(WIDTH, K),
        dtype=dtype,
        seed=7,
    )


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


def test_of_one_moment_or_refused_while_another_thread_trains() -> None:
    x, y = rows()
    model = mixed("float32")
    model.compile("adam", "cross_entropy")
    found: list[Saved] = []
    refused: list[int] = []
    ended = threading.Event()
    hook = callbacks.LambdaCallback(on_epoch_end=lambda *_: None)

    def train() -> None:
        for _ in range(3):
            model.fit(x, y, epochs=120, batch_size=20, callbacks=[hook])
        ended.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    thread = threading.Thread(target=train)
    thread.start()
    try:
        while not ended.is_set():
            try:
                found.append(taken("save", model))
            except ModelBusyError:
                refused.append(1)
    finally:
        thread.join()
        sys.setswitchinterval(before)
    assert found
    assert refused
    for each in found:
        seen, epochs = each.config["epochs"], each.config["history"]
        assert each.config["step"] == 2 * seen
        assert epochs is None or len(epochs["epoch"]) == (seen - 1) % 120 + 1 or seen % 120 == 0


# -- what cannot be made ---------------------------------------------------------------------------


def plain() -> Saved:
    x, y = rows()
    model = mixed("float32")
    groups = {"*.bias": {"lr": 0.5}}
    model.compile(optim.Adam(0.01, param_groups=groups), "cross_entropy", ["accuracy"])
    model.fit(x, y)
    return through_json(taken("save", model))


def change(*path: Any) -> Callable[[Saved, Any], None]:
    def apply(saved: Saved, value: Any) -> None:
        at: Any = saved.config
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return apply


def deep(n: int) -> list[Any]:
    layers: list[Any] = [{"layer": "relu"}]
    for _ in range(n):
        layers = [{"layer": "residual", "layers": layers}]
    return layers


LINEAR = {"layer": "linear", "in_features": F, "out_features": WIDTH, "bias": False}
WRONG: list[tuple[Callable[[Saved, Any], None], Any, str]] = [
    (change("dtype"), "float16", "dtype is 'float16'; expected float32 or float64"),
    (change("dtype"), "float64", "is float32 of shape .*; expected float64"),
    (change("seed"), -1, "seed is -1"),
    (change("step"), 2**63, "step is 9223372036854775808"),
    (change("draw"), True, "draw is True"),
    (change("epochs"), 1.0, "epochs is 1.0"),
    (change("num_batches"), 3, "num_batches_tracked' is 2; expected 3"),
    (change("more"), 1, "the config has|unknown 'more'"),
    (change("layers"), {}, r"layers is \{\}; expected a list"),
    (change("layers"), [], "compiled.updates lacks nothing and has the unknown '0.weight'"),
    (change("layers"), deep(65), "more than 64 containers stand inside each other"),
    (change("layers"), deep(100_000), "more than 64 containers stand inside each other"),
    (change("layers"), [{"layer": "relu"}] * 100_001, "there are 100001 layers; expected at most"),
    (change("layers", 1), None, r"layers\[1\] has no name of a layer"),
    (change("layers", 1), {"layer": "lineer"}, "unknown layer 'lineer'; .*Did you mean 'linear'"),
    (change("layers", 1), {"layer": "os.system"}, "unknown layer 'os.system'"),
    (change("layers", 1), {**LINEAR, "path": "x"}, "layer 0 .*unknown 'path'"),
    (change("layers", 1), {**LINEAR, "in_features": 10**6}, "comes after|'0.weight' is float32 of"),
    (change("layers", 1), {**LINEAR, "out_features": 10**9}, "'0.weight' is float32 of shape"),
    (change("layers", 1), {**LINEAR, "out_features": 10**30}, "out_features is 1000000"),
    (change("layers", 1), {**LINEAR, "out_features": -4}, "out_features is -4"),
    (change("layers", 1), {**LINEAR, "out_features": 6.0}, "out_features is 6.0"),
    (change("layers", 1), {**LINEAR, "bias": True}, "compiled.updates lacks 0.bias"),
    (change("layers", 1), {**LINEAR, "bias": 0}, "bias is 0; expected True or False"),
    (change("layers", 1), {"same_as": "4"}, "is the same as '4'; expected the key of a layer"),
    (change("layers", 1), {"same_as": []}, r"is the same as \[\]; expected the key of a layer"),
    (change("layers", 4, "p"), 2, "p = 2; expected 0 to 1"),
    (change("layers", 4, "p"), None, "layer 3: p is none; expected a number, or the array '3.p'"),
    (change("layers", 4, "p"), [1], r"layer 3: p is \[1\]"),
    (change("layers", 0, "scale"), 1.0, "unexpected: input.0.scale"),
    (change("layers", 3), {"layer": "residual", "layers": []}, "no layers came"),
    (change("layers", 2, "num_features"), 7, "shape"),
    (change("frozen"), ["9"], "frozen has '9'; expected keys of layers with values: 0, 1, 2.0"),
    (change("frozen"), "0", "frozen is '0'"),
    (change("compiled"), 3, "compiled is 3"),
    (change("compiled", "loss"), {"loss": "eval"}, "unknown loss 'eval'"),
    (change("compiled", "loss", "reduction"), "max", "unknown reduction 'max'"),
    (change("compiled", "optimizer", "lr"), -1.0, "lr = -1.0"),
    (change("compiled", "optimizer", "lr"), "1", "lr is '1'; expected a number"),
    (change("compiled", "optimizer", "beta1"), 1.0, "betas.*1.0"),
    (change("compiled", "optimizer", "param_groups"), [["7.*", {"lr": 1.0}]], "no parameter's key"),
    (change("compiled", "optimizer", "param_groups"), [["0.*", {"lo": 1.0}]], "parameter 'lo'"),
    (change("compiled", "optimizer", "param_groups"), [["*", {}]] * 1001, "at most 1000"),
    (change("compiled", "metrics"), ["auc"], "unknown metric 'auc'"),
    (change("compiled", "metrics"), "accuracy", "metrics is 'accuracy'"),
    (change("compiled", "settings"), {"where": 1}, "expected a dictionary of max_grad_norm"),
    (change("compiled", "settings"), {"max_grad_norm": 0.0}, "max_grad_norm = 0.0"),
    (change("compiled", "updates"), {}, "compiled.updates lacks 0.weight"),
    (change("compiled", "updates"), None, "unexpected: optimizer.exp_avg.0.weight"),
    (change("compiled", "updates", "0.weight"), -1, r"updates\['0.weight'\] is -1"),
    (change("history"), [], "history is not a record"),
    (
        change("history", "history", "loss"),
        ["Inf"],
        "history has 'Inf' in 'loss'; expected numbers",
    ),
    (change("history", "history", "loss"), [math.inf], "history has inf"),
    (change("history", "epoch"), [-1], "an epoch of history is -1"),
    (change("history", "params", "verbose"), [], r"history has \[\] in 'verbose'"),
]


@pytest.mark.parametrize(("apply", "value", "text"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_config_is_refused_before_memory_is_taken(
    apply: Any, value: Any, text: str
) -> None:
    saved = plain()
    apply(saved, value)
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises((TypeError, ValueError), match=rf"^\[load.*({text})") as raised:
            made("load", saved, nn.Sequential)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(raised.value) in (TypeError, ValueError)
    assert time.perf_counter() - start < 1
    assert peak < 4e6


def array(key: str, value: Any) -> Callable[[Saved], None]:
    return lambda saved: saved.arrays.update({key: value})


def single(key: str, value: float) -> Callable[[Saved], None]:
    def apply(saved: Saved) -> None:
        saved.arrays[key].flat[0] = value

    return apply


@pytest.mark.parametrize(
    ("apply", "text"),
    [
        (array("0.weight", np.zeros((F, WIDTH), np.float32)), "expected float32 of shape"),
        (array("0.weight", np.zeros((WIDTH, F), ">f4")), "'0.weight' is >f4 of shape"),
        (array("0.weight", np.zeros((WIDTH, F), object)), "'0.weight' is object"),
        (array("0.weight", [1.0]), r"'0.weight' is \[1.0\]; expected an array"),
        (array("9.weight", np.zeros(3, np.float32)), "unexpected: 9.weight"),
        (array("optimizer.exp_avg.9.weight", np.zeros(1)), "unexpected: optimizer.exp_avg.9"),
        (array("input.0.scale", np.zeros(F - 1)), "scale has 4 columns|comes after"),
        (array("input.0.scale", np.zeros((F, 1))), "float64 with one dimension"),
        (array("input.0.scale", np.full(F, np.nan)), "scale has a value that is not finite"),
        (lambda saved: saved.arrays.pop("0.weight"), "missing: 0.weight; unexpected: none"),
        (single("0.weight", np.nan), "'0.weight' has values that are not finite"),
        (single("1.running_var", -1.0), "'1.running_var' has values below 0"),
        (
            single("optimizer.exp_avg_sq.0.weight", np.nan),
            "'optimizer.exp_avg_sq.0.weight' has NaN",
        ),
    ],
)
def test_wrong_arrays_are_refused(apply: Any, text: str) -> None:
    saved = plain()
    apply(saved)
    with pytest.raises((TypeError, ValueError), match=rf"^\[load.*({text})"):
        made("load", saved, nn.Sequential)


def test_the_config_knows_every_member() -> None:
    known = _entries._registry_names()
    for room in ("inputs", "layers", "containers", "activations"):
        assert set(members.names(room)) <= set(known)
    text = CONTAINERS.read_text(encoding="utf-8")
    assert f"kMostNested = {_entries.MOST_NESTED};" in text
