# SPDX-License-Identifier: BSD-3-Clause
"""Every public function and method takes or refuses whatever comes in place of any argument.

A refusal is a TypeError or ValueError in this package's words: [where] what came; what was
expected. Nothing of the bindings' own text comes through, and nothing crashes. The file is one
table of calls, and therefore over 450 lines long.
"""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import fractions
import inspect
import io
import pathlib
import re
import tempfile
from typing import Any

import numpy as np
import pytest

from fastnn import callbacks, data, nn, optim, threads
from fastnn import functional as F
from fastnn.functional._functions import loss_name
from members import TWINS, defaults_of, fitted, names, outputs, paired, row_of, sizes_of, targets
from models import class_of

SMALL: dict[str, Any] = {
    "None": None,
    "True": True,
    "0": 0,
    "-1": -1,
    "3": 3,
    "1.5": 1.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "1e300": 1e300,
    "1e-300": -1e-300,
    "a": "a",
    "'3'": "3",
    "bytes": b"3",
    "[]": [],
    "[None]": [None],
    "['a']": ["a", "b"],
    "ragged": [[1, 2], [3]],
    "nested": [[[1.0]]],
    "(1, 2, 3)": (1, 2, 3),
    "{}": {},
    "{'a': 1}": {"a": 1},
    "{0: None}": {0: None},
    "a set": {1, 2},
    "an object": object(),
    "a function": len,
    "a lambda": lambda: None,
    "a class": int,
    "a module": io,
    "a generator": (i for i in range(3)),
    "a range": range(3),
    "a slice": slice(None),
    "a path": pathlib.Path("x.csv"),
    "a file": io.StringIO("1,2"),
    "1j": 1j,
    "a Fraction": fractions.Fraction(1, 3),
    "a Decimal": decimal.Decimal("0.5"),
    "a date": dt.date(2020, 1, 1),
    "an exception": ValueError("mine"),
    "...": ...,
    "empty": np.array([]),
    "0-d": np.array(3.0),
    "0-d objects": np.array(None),
    "text": np.array(["a", "b"]),
    "objects": np.array([[object(), 1]], object),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "complex": np.ones((2, 2), complex),
    "long doubles": np.ones((2, 2), np.longdouble),
    "fields": np.zeros(2, "f4,i4"),
    "(2, 2)": np.ones((2, 2)),
    "(1, 6)": np.ones((1, 6), int),
    "(6, 0)": np.ones((6, 0)),
    "4-d": np.ones((1, 2, 3, 4)),
    "a matrix": np.eye(3).view(np.matrix),
    "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "float32": np.float32(0.5),
    "int8": np.int8(2),
    "a dtype": np.dtype("f4"),
    "a bool of NumPy": np.bool_(True),
    "a layer": nn.Linear(2, 2),
    "a class of layers": nn.ReLU,
    "an optimizer": optim.SGD(lr=0.1),
    "a loss": nn.MSELoss(),
    "a model": nn.Sequential(nn.Linear(2, 2)),
}
LARGE = {"2**31": 2**31, "2**63": 2**63, "2**64": 2**64, "-2**63": -(2**63), "10**400": 10**400}
try:
    import pandas as pd

    SMALL["a frame"] = pd.DataFrame({"age": [1.0, 2.0], "city": ["a", "b"]})
    SMALL["a series"] = pd.Series(["a", "b"])
except ImportError:
    pass

X = np.random.default_rng(0).standard_normal((6, 4))
Y, CLASSES = X[:, :2] + 1, np.array([0, 1, 0, 1, 1, 0])
FOLDER = tempfile.TemporaryDirectory()
WEIGHTS, HIDDEN = np.ones(6), np.ones((6, 3))


def model(loss: str = "mse") -> nn.Sequential:
    made = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2))
    made.compile(optim.Adam(), loss)
    return made


def method(name: str, after: str = "") -> Any:
    """Return a call of a method of a new model, after another call where it needs one."""

    def call(*args: Any, **kwargs: Any) -> Any:
        made = model("cross_entropy" if "class_weight" in kwargs else "mse")
        if after == "forward":
            made.forward(X, training=True)
        if after == "loss_and_grad":
            made.loss_and_grad(X, Y)
        return getattr(made, name)(*args, **kwargs)

    return call


def states(kind: Any) -> Any:
    def call(params: Any, **kwargs: Any) -> Any:
        like = [np.ones((2, 2)), np.ones(3)]
        return kind(params, [np.ones((2, 2)), np.ones(3)], F.adam_state(like), **kwargs)

    return call


def hashable(value: Any) -> list[Any]:
    """Return a list of `value` alone, or an empty one if no dictionary takes it as a key."""
    try:
        hash(value)
    except TypeError:
        return []
    return [value]


def params() -> list[np.ndarray]:
    return [np.ones((2, 2)), np.ones(3)]


FIT = {"x": X, "y": Y, "batch_size": 2, "epochs": 1, "verbose": 0, "callbacks": None}
FIT |= {"validation_split": 0.0, "validation_data": (X, Y), "shuffle": True, "drop_last": False}
FIT |= {"sample_weight": WEIGHTS, "initial_epoch": 0, "n_threads": 1}
ARRAYS_OF_FIT = {"x", "y", "sample_weight", "validation_split", "shuffle"}
LINEAR = {"x": X, "w": np.ones((4, 3)), "b": np.ones(3), "out": None, "n_threads": 1}

# Where the words come from, the call, and arguments that fit.
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Sequential.fit": (method("fit"), FIT),
    "Sequential.fit of classes": (
        method("fit"),
        FIT
        | {"y": CLASSES, "class_weight": {0: 1.0}, "validation_data": None}
        | {"validation_split": 0.34, "shuffle_split": True, "stratify": True},
    ),
    "Sequential.fit_stream": (
        method("fit_stream"),
        {"parts": [(X, Y, WEIGHTS)], "rows": 6, "prefetch": 0}
        | {k: v for k, v in FIT.items() if k not in ARRAYS_OF_FIT},
    ),
    "Sequential.fit_stream of classes": (
        method("fit_stream"),
        {"parts": [(X, CLASSES)], "class_weight": {0: 1.0}},
    ),
    "Sequential.fit_stream of a part": (
        lambda x, y, w: method("fit_stream")([(x, y, w)]),
        {"x": X, "y": Y, "w": WEIGHTS},
    ),
    "Sequential.train_step": (
        method("train_step"),
        {"x": X, "y": Y, "sample_weight": WEIGHTS, "n_threads": 1},
    ),
    "Sequential.train_step of a gradient": (method("train_step"), {"x": X, "grad": Y}),
    "Sequential.evaluate": (
        method("evaluate"),
        {"x": X, "y": Y, "sample_weight": WEIGHTS, "n_threads": 1},
    ),
    "Sequential.predict": (method("predict"), {"x": X, "out": None, "n_threads": 1}),
    "Sequential.predict_proba": (method("predict_proba"), {"x": X, "n_threads": 1}),
    "Sequential.forward": (method("forward"), {"x": X, "training": True, "n_threads": 1}),
    "Sequential.backward": (
        method("backward", "forward"),
        {"dout": Y, "need_dx": True, "n_threads": 1},
    ),
    "Sequential.loss_and_grad": (
        method("loss_and_grad"),
        {"x": X, "y": Y, "sample_weight": WEIGHTS, "training": True, "n_threads": 1},
    ),
    "Sequential.update_batch_norm": (
        method("update_batch_norm"),
        {"x": X, "batch_size": 2},
    ),
    "Sequential.clip_grad_norm": (method("clip_grad_norm", "loss_and_grad"), {"max_norm": 1.0}),
    "Sequential.apply_gradients": (method("apply_gradients", "loss_and_grad"), {"n_threads": 1}),
    "Sequential.compile": (
        method("compile"),
        {
            "optimizer": "adam",
            "loss": "cross_entropy",
            "metrics": ["accuracy"],
            "max_grad_norm": 1,
            "max_grad_value": None,
            "penalty_in_loss": True,
            "accumulate": 2,
            "average": "ema",
        },
    ),
    "Sequential.save": (
        method("save"),
        {"path": f"{FOLDER.name}/model.npz", "include_optimizer": True},
    ),
    "Sequential.append": (method("append"), {"layer": nn.Linear(2, 2)}),
    "Sequential.load_state_dict": (
        method("load_state_dict"),
        {"state_dict": model().state_dict(), "strict": True},
    ),
    "Sequential.load_state_dict of a value": (
        lambda value: method("load_state_dict")({"0.bias": value}, strict=False),
        {"value": np.ones(3)},
    ),
    "Sequential.load_state_dict of a counter": (
        lambda value: method("load_state_dict")({"1.num_batches_tracked": value}, strict=False),
        {"value": 3},
    ),
    "Sequential[...]": (method("__getitem__"), {"index": 0}),
    "Sequential": (
        lambda layer, dtype, seed, n_threads: nn.Sequential(
            layer, dtype=dtype, seed=seed, n_threads=n_threads
        ),
        {"layer": nn.Linear(2, 2), "dtype": "float32", "seed": 0, "n_threads": 1},
    ),
    "Residual": (lambda layer: nn.Residual(nn.ReLU(), layer), {"layer": nn.Linear(2, 2)}),
    "Adam of one group": (
        lambda lr: method("compile")(optim.Adam(param_groups={"0.*": {"lr": lr}}), "mse"),
        {"lr": 0.1},
    ),
    "Adam of groups": (
        lambda k: method("compile")(
            optim.Adam(param_groups={key: {} for key in hashable(k)}), "mse"
        ),
        {"k": "*"},
    ),
    "EarlyStopping": (
        callbacks.EarlyStopping,
        {
            "monitor": "loss",
            "min_delta": 0.0,
            "patience": 0,
            "mode": "auto",
            "restore_best_weights": True,
            "start_from_epoch": 0,
        },
    ),
    "LambdaCallback": (
        callbacks.LambdaCallback,
        {"on_train_begin": len, "on_epoch_begin": len, "on_epoch_end": len, "on_train_end": len}
        | {"on_train_batch_begin": len, "on_train_batch_end": len},
    ),
    "TimeLimit": (callbacks.TimeLimit, {"seconds": 1.0}),
    "TerminateOnPlateau": (
        callbacks.TerminateOnPlateau,
        {"tol": 1e-4, "n_iter_no_change": 10, "monitor": "loss", "mode": "auto"},
    ),
    "CSVLogger": (callbacks.CSVLogger, {"path": "log.csv", "separator": ",", "append": False}),
    "LossWarning": (callbacks.LossWarning, {"every": None, "monitor": "loss"}),
    "Sequential.stop": (method("stop"), {"after": 0.0}),
    "ProgressBar": (callbacks.ProgressBar, {"bar": None, "batches": True}),
    "ModelCheckpoint": (
        callbacks.ModelCheckpoint,
        {
            "path": "model-{epoch}.npz",
            "monitor": "loss",
            "save_best_only": False,
            "every": 1,
            "keep": None,
            "mode": "auto",
            "include_optimizer": True,
        },
    ),
    "BackupAndRestore": (
        callbacks.BackupAndRestore,
        {"path": "backup.npz", "every": 1, "delete": True},
    ),
    "batches": (
        lambda **kwargs: list(data.batches(**kwargs)),
        {"x": X, "y": Y, "batch_size": 4, "shuffle": True, "seed": 0, "epoch": 0}
        | {"drop_last": False},
    ),
    "threads": (threads, {"n": 1}),
    "linear": (F.linear, LINEAR),
    "matmul": (F.matmul, {k: v for k, v in LINEAR.items() if k != "b"}),
    "linear_backward": (
        F.linear_backward,
        {"dy": HIDDEN, "x": X, "w": np.ones((4, 3)), "need_dx": True, "n_threads": 1}
        | dict.fromkeys(["dx", "dw", "db"]),
    ),
    "softmax": (F.softmax, {"z": X, "out": None}),
    "log_softmax": (F.log_softmax, {"z": X, "out": None}),
    "step": (F.step, {"z": X, "out": None}),
    "one_hot": (F.one_hot, {"y": CLASSES, "n_classes": 2, "dtype": "float32", "out": None}),
    "dropout_mask": (
        F.dropout_mask,
        {"shape": (2, 3), "p": 0.5, "seed": 1, "step": 0, "layer": 0, "draw": 0}
        | {"dtype": "float32", "out": None},
    ),
    "init.uniform": (
        F.init.uniform,
        {"shape": (2, 3), "low": 0.0, "high": 1.0, "seed": 0, "dtype": "float32", "out": None},
    ),
    "init.xavier_uniform": (
        F.init.xavier_uniform,
        {"shape": (2, 3), "gain": 1.0, "seed": 0, "dtype": "float32", "out": None},
    ),
    "init.kaiming_uniform": (
        F.init.kaiming_uniform,
        {"shape": (2, 3), "seed": 0, "dtype": "float32", "out": None},
    ),
    "clip_grad_norm_": (F.clip_grad_norm_, {"grads": params(), "max_norm": 1.0}),
    "perceptron": (F.perceptron, {"X": X, "y": CLASSES, "lr": 0.1, "epochs": 2, "out": None}),
    "perceptron_step": (
        F.perceptron_step,
        {"X": X, "y": CLASSES, "w": np.zeros(4), "b": 0.0, "lr": 0.1, "out": None},
    ),
    "compare": (F.compare, {"a": X, "b": X, "rtol": 1e-5}),
    "check_gradient": (
        F.check_gradient,
        {"f": lambda v: ((v**2).sum(), 2 * v), "x": X, "eps": 1e-6, "n_samples": 5, "seed": 0},
    ),
}


def given_by_default(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.name != "self"}


def defaults(room: str, name: str) -> dict[str, Any]:
    rows = row_of(room, name)["params"]
    return paired(room, name, {p["name"]: p["default"] for p in rows})


def adapt(**given: Any) -> None:
    nn.Standardize().adapt(**given)


def add_calls_with_defaults() -> None:
    """Add the calls of which the test has nothing of its own but the data."""
    rows = {"x": X, "y": Y, "n_threads": 1}
    direction = {key: np.zeros_like(grad) for key, grad in model().loss_and_grad(X, Y)[1].items()}
    own = {
        "diagnose": {"x": X, "y": Y},
        "input_gradient": rows,
        "per_sample_gradients": rows,
        "jacobian": {"x": X, "n_threads": 1},
        "hessian_vector_product": rows | {"v": direction},
        "lr_find": rows | {"sample_weight": WEIGHTS, "steps": 4, "batch_size": 2},
    }
    CALLS["Standardize.adapt"] = adapt, {"x": X, "n_threads": 1}
    for name, given in own.items():
        every = given_by_default(getattr(nn.Sequential, name)) | given
        CALLS[f"Sequential.{name}"] = method(name), every
    for name in F.__all__:  # the layers as functions
        function = getattr(F, name)
        given = given_by_default(function) if inspect.isfunction(function) else {}
        if name not in CALLS and "x" in given:
            CALLS[name] = function, given | dict.fromkeys({"x", "dy"} & {*given}, X)
    plateau = callbacks.ReduceLROnPlateau
    CALLS["ReduceLROnPlateau"] = plateau, given_by_default(plateau)
    CALLS["LearningRateScheduler"] = callbacks.LearningRateScheduler, {"schedule": min}
    CALLS["schedule"] = F.schedule, given_by_default(F.schedule) | {"rate": 0.1, "n": 3}


def add_members() -> None:
    """Add the classes of all rooms, and the functions of activations, losses and optimizers."""
    rng = np.random.default_rng(1)
    for name in names("inputs") + names("layers"):
        room = "inputs" if name in TWINS["inputs"] else "layers"
        given = dict.fromkeys(sizes_of(name), 2) | defaults_of(name)
        CALLS[row_of(room, name)["class_name"]] = class_of(name), given
    for name in names("activations"):
        given = defaults("activations", name)
        CALLS[row_of("activations", name)["class_name"]] = class_of(name), given
        CALLS[name] = getattr(F, name), {"z": X} | given
    for name in names("losses"):
        row, given = row_of("losses", name), defaults("losses", name)
        _, k = fitted(name, {}, 2)
        out, target = outputs(rng, name, 6, k), targets(rng, name, 6, k)
        arrays = {"out": out, "target": target, "sample_weight": WEIGHTS}
        made = getattr(nn, row["class_name"])
        CALLS[row["class_name"]] = made(), arrays
        CALLS[f"{row['class_name']}()"] = made, given
        CALLS[loss_name(row)] = getattr(F, loss_name(row)), arrays | {"dout": None} | given
    for name in names("optimizers"):
        given = defaults("optimizers", name)
        class_name = row_of("optimizers", name)["class_name"]
        CALLS[class_name] = getattr(optim, class_name), given | {"param_groups": {}}
        make = getattr(F, f"{name}_state", None)  # of rules that keep nothing there is none
        state = make(params()) if make else None
        if make:
            CALLS[f"{name}_state"] = make, {"params": params()}
        given = {"params": params(), "grads": params(), "state": state} | given
        CALLS[f"{name}_step_"] = getattr(F, f"{name}_step_"), given
    for name in names("averages"):
        function = getattr(F, f"{name}_")
        given = given_by_default(function) | {"averages": params(), "params": params(), "n": 2}
        CALLS[f"{name}_"] = function, given


add_members()
add_calls_with_defaults()

# Arguments that would take as much memory or time as their value says.
SIZES = {"shape", "epochs", "n_classes", "initial_epoch", "n", "steps", "prefetch"}
SIZES |= {size for name in names("layers") for size in sizes_of(name)}
PAIRS = [(call, argument) for call, (_, given) in CALLS.items() for argument in given]
IDS = [f"{call}, {argument}" for call, argument in PAIRS]
# Values that run into the caller's own function, or that no dictionary takes as a key.
OWN = {("check_gradient", "f"): ["a lambda", "a class", "a class of layers", "a loss"]}
OWN |= {("schedule", "rate"): ["a function", "a lambda", "a class", "a class of layers", "a loss"]}
OWN |= {("Standardize.adapt", "x"): ["a function", "a lambda", "a loss"]}
OWN |= {("check_gradient", "eps"): ["1e300"]}
OWN |= {("check_gradient", "x"): ["1e300", "-2**63", "2**64"]}
FOREIGN = re.compile("incompatible function|Unable to cast|_core|pybind|Invoked with|nullptr")


def refused(call: str, argument: str, name: str, value: Any) -> str | None:
    """Say what is wrong with the refusal of `value`; None if nothing is, or if it was taken."""
    function, given = CALLS[call]
    try:
        given = {k: v if k == argument else copy.deepcopy(v) for k, v in given.items()}
        function(**given | {argument: value})
    except (TypeError, ValueError) as error:
        text = str(error)
        if FOREIGN.search(text) or not re.match(r"\[[A-Za-z_][\w., \[\]()'*]*\] ", text):
            return f"{name}: {type(error).__name__}: {text}"
    except IndexError as error:
        return None if str(error).startswith("[Sequential] no layer ") else f"{name}: {error}"
    except Exception as error:
        return f"{name}: {type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize(("call", "argument"), PAIRS, ids=IDS)
def test_whatever_comes_is_taken_or_refused_in_words(call: str, argument: str) -> None:
    values = SMALL | ({} if argument in SIZES else LARGE)
    for name in OWN.get((call, argument), []):
        values.pop(name, None)
    values |= {"a generator": (i for i in range(3)), "a file": io.StringIO("1,2")}
    wrong = [refused(call, argument, name, value) for name, value in values.items()]
    assert not list(filter(None, wrong))


def test_the_calls_are_those_that_exist() -> None:
    """A new public function, callback or argument has its row here."""
    called = {f"F.{name}" for name in CALLS}
    for name in F.__all__:
        function = getattr(F, name)
        if not inspect.isfunction(function) or name.removesuffix("_backward") in names(
            "activations"
        ):
            continue
        assert f"F.{name}" in called, name
        assert set(CALLS[name][1]) == set(inspect.signature(function).parameters), name
    for name in set(callbacks.__all__) - {"Callback"}:
        parameters = inspect.signature(getattr(callbacks, name)).parameters
        assert set(CALLS[name][1]) == set(parameters), name
    for name, function in inspect.getmembers(nn.Sequential, inspect.isfunction):
        parameters = set(inspect.signature(function).parameters) - {"self", "print_fn"}
        if name.startswith("_") or not parameters or name == "to_onnx":  # needs onnx
            continue
        rows = [set(given) for call, (_, given) in CALLS.items() if f"Sequential.{name}" in call]
        assert set().union(*rows) >= parameters, name


def test_valid_arguments_fit() -> None:
    for function, given in CALLS.values():
        if function is not CALLS["Sequential.predict_proba"][0]:
            function(**copy.deepcopy(given))
