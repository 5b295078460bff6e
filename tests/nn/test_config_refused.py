# SPDX-License-Identifier: BSD-3-Clause
"""Configs and arrays of which no model is made: each is refused quickly, and without memory."""

from __future__ import annotations

import math
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import nn, optim
from fastnn.nn._config import Saved, made, taken
from saved import WIDTH, F, mixed, rows, through_json

if TYPE_CHECKING:
    from collections.abc import Callable


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
    (change("num_batches"), 3, "unknown 'num_batches'"),
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
    (change("compiled", "metrics"), ["bleu"], "unknown metric 'bleu'"),
    (change("compiled", "metrics"), "accuracy", "metrics is 'accuracy'"),
    (change("compiled", "metrics"), [3], "a metric is 3; expected a name"),
    (change("compiled", "metrics"), [{"metric": "function", "name": "f"}], "unknown metric"),
    (change("compiled", "metrics"), [{"metric": "top_k"}], "the metric top_k lacks k"),
    (change("compiled", "metrics"), [{"metric": "top_k", "k": 0}], "k is 0; expected an integer"),
    (change("compiled", "metrics"), ["f1", "f1"], "two metrics are called 'f1'"),
    (change("compiled", "settings"), {"where": 1}, "expected a dictionary of accumulate"),
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
        (single("1.num_batches_tracked", -1), "'1.num_batches_tracked' is -1; expected an integer"),
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
