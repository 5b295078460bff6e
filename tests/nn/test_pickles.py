# SPDX-License-Identifier: BSD-3-Clause
"""What pickles hold, where they can be loaded, and states that are wrong."""

from __future__ import annotations

import copy
import os
import pickle
import pickletools
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from fastnn import _core, nn, optim
from fastnn.errors import TrainingDivergedError
from mutated_values import mutations
from saved import WIDTH, F, goes_on_alike, mixed, rows, same_state

LEVELS = sorted(set(_core.built) & set(_core.runnable))


class Own(nn.Linear):
    """A layer with a constructor and an attribute of its own."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, WIDTH)
        self.note = ["a"]


class Block(nn.Residual):
    def __init__(self, width: int) -> None:
        super().__init__(nn.LayerNorm(width), nn.Dropout(0.25), Own(width))
        self._width = width


class OwnLoss(nn.CrossEntropyLoss):
    pass


class Model(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(Own(F), Block(WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3), seed=3, n_threads=2)
        self.parts = {"head": self[-1], "act": self[2], "body": [self[0], self[1], self[1][1]]}
        self.label = "mine"
        self.itself = self


def trained(model: nn.Sequential) -> nn.Sequential:
    groups = {"*.bias": {"lr": 0.05, "betas": [0.5, 0.75]}}
    model.compile(optim.Adam(0.02, param_groups=groups), OwnLoss(), ["accuracy"])
    model.fit(*rows(), batch_size=9, epochs=2)
    return model


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIES = {"pickle": pickled, "deepcopy": copy.deepcopy, "copy": copy.copy}


def joblib_copy(value: Any) -> Any:
    joblib = pytest.importorskip("joblib")
    import io

    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def cloudpickle_copy(value: Any) -> Any:
    return pickle.loads(pytest.importorskip("cloudpickle").dumps(value))


every_copy = pytest.mark.parametrize("how", [*COPIES, "joblib", "cloudpickle"])
ALL_COPIES = {**COPIES, "joblib": joblib_copy, "cloudpickle": cloudpickle_copy}


@every_copy
def test_a_copy_goes_on_and_keeps_what_a_subclass_adds(how: str) -> None:
    model = trained(Model())
    other = ALL_COPIES[how](model)
    assert type(other) is Model
    assert type(other[0]) is Own
    assert type(other[1]) is Block
    assert type(other.loss) is OwnLoss
    assert (other.label, other[0].note, other[1]._width) == ("mine", ["a"], WIDTH)
    assert other.itself is (model if how == "copy" else other)
    assert other.parts["head"] is other[-1]
    assert other.parts["act"] is other[2]
    body = [other[0], other[1], other[1][1]]
    assert all(a is b for a, b in zip(other.parts["body"], body, strict=True))
    assert model.parts["head"] is model[-1]
    assert other.optimizer == model.optimizer
    assert other._threads == 2
    assert (other.history.seconds, other.history.threads_used) == (
        model.history.seconds,
        model.history.threads_used,
    )
    x, y = rows()
    np.testing.assert_array_equal(model.predict(x), other.predict(x))
    for each in (model, other):
        each.fit(x, y, epochs=2)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


@every_copy
def test_layers_and_descriptions_by_themselves(how: str) -> None:
    x, _ = rows()
    model = trained(Model())
    model[0].freeze()
    for layer in model:
        other = ALL_COPIES[how](layer)
        assert type(other) is type(layer)
        assert repr(other) == repr(layer)
    joined = nn.Sequential(*map(ALL_COPIES[how], model))
    assert joined[0].frozen
    np.testing.assert_array_equal(joined.forward(x), model.forward(x))
    rescale = nn.Rescale(np.arange(3.0), 2)
    assert ALL_COPIES[how](rescale).scale.tolist() == [0, 1, 2]
    for value in (model.optimizer, model.loss, nn.LeakyReLU(0.25), nn.Flatten()):
        other = ALL_COPIES[how](value)
        assert repr(other) == repr(value)
    assert hash(ALL_COPIES[how](model.optimizer)) == hash(model.optimizer)


def names_in(data: bytes) -> set[str]:
    """The modules and classes that a pickle imports."""
    texts = [arg for op, arg, _ in pickletools.genops(data) if isinstance(arg, str)]
    return {text for text in texts if text.split(".")[0] in ("fastnn", "numpy", "copyreg")}


def test_a_pickle_holds_config_and_arrays_alone() -> None:
    model = mixed("float32")
    model.compile(optim.Adam(param_groups={"0.*": {"lr": 0.5}}), "cross_entropy")
    model.fit(*rows())
    assert {n for n in names_in(pickle.dumps(model)) if n.startswith("fastnn")} == {
        "fastnn.nn._sequential"
    }
    state = model.__getstate__()
    assert set(state) == {"config", "arrays", "foreign", "fit", "n_threads", "attributes"}
    assert not state["foreign"]
    assert all(type(array) is np.ndarray for array in state["arrays"].values())
    assert names_in(pickle.dumps(optim.Adam(param_groups={"*": {"lr": 1.0}}))) == {"fastnn.optim"}


LOAD = """
import pickle, sys
from fastnn import _core
model, x = pickle.loads(sys.stdin.buffer.read())
model.fit(x, [0, 1, 2, 0, 1] * 8, epochs=1)
sys.stdout.buffer.write(pickle.dumps((_core.isa, model)))
"""


@pytest.mark.parametrize("level", LEVELS)
def test_in_another_process_on_another_level(level: str) -> None:
    x, _ = rows()
    model = mixed("float64")
    model.compile("adam", "cross_entropy")
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=pickle.dumps((model, x)),
        capture_output=True,
        check=True,
        env={**os.environ, "FASTNN_ISA": level},
    )
    isa, other = pickle.loads(done.stdout)
    assert isa == level
    model.fit(x, np.array([0, 1, 2, 0, 1] * 8), epochs=1)
    np.testing.assert_allclose(other.predict(x), model.predict(x), rtol=1e-9)
    if level == _core.isa:
        same_state(model, other)


def test_an_older_state_or_none_is_refused() -> None:
    model = mixed("float32")
    with pytest.raises(TypeError, match=r"^\[Sequential\] the state: the state is None"):
        model.__setstate__(None)
    with pytest.raises(ValueError, match=r"the state lacks config, arrays, .*unknown '_tree'"):
        model.__setstate__({"_tree": 1})
    with pytest.raises(ValueError, match="'_tree' is no attribute that a Sequential may have"):
        model.__setstate__({**model.__getstate__(), "attributes": {"_tree": 1}})
    with pytest.raises(ValueError, match="'fit' is no attribute that a Sequential may have"):
        model.__setstate__({**model.__getstate__(), "attributes": {"fit": 1}})
    goes_on_alike_itself(model)


def goes_on_alike_itself(model: nn.Sequential) -> None:
    x, y = rows()
    other = mixed("float32")
    for each in (model, other):
        each.compile("sgd", "cross_entropy")
    goes_on_alike(model, other, x, y)


def test_attributes_that_refer_to_themselves_or_are_deep() -> None:
    model = Model()
    circle: list[Any] = [model[0]]
    circle.append(circle)
    model.circle = circle
    assert pickled(model).circle[0] is not model[0]
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    state = {**mixed("float32").__getstate__(), "attributes": {"_deep": deep}}
    with pytest.raises(ValueError, match="recursion"):
        mixed("float32").__setstate__(state)


# -- states with something wrong in them -----------------------------------------------------------


def sources() -> dict[str, Any]:
    """An object of each kind that has a state."""
    plain = mixed("float32")
    plain.compile(optim.AdamW(0.1, param_groups={"0.*": {"lr": 0.5}}), "mse", max_grad_norm=1.0)
    x, _ = rows()
    plain.fit(x, np.ones((len(x), 3)), epochs=2)
    return {
        "model": plain,
        "subclass": trained(Model()),
        "double": mixed("float64"),
        "linear": plain[1],
        "batch_norm": plain[2],
        "rescale": plain[0],
        "residual": plain[3],
        "dropout": plain[4],
        "own": Own(4),
        "leaky": nn.LeakyReLU(0.1),
        "adam": optim.Adam(0.1, param_groups={"0.*": {"betas": [0.5, 0.5]}}),
        "loss": nn.HuberLoss(delta=0.5),
    }


def use(value: Any) -> None:
    """A state that is accepted has made something that works, or says why it does not."""
    repr(value)
    if isinstance(value, nn.Sequential):
        x, y = rows()
        for call in (
            lambda: value.predict(x),
            lambda: value.train_step(x, y),
            lambda: pickled(value),
            lambda: value.fit(x, np.ones((len(x), 3)), epochs=1),
        ):
            try:
                call()
            except (TypeError, ValueError, TrainingDivergedError, pickle.PicklingError):
                continue
    elif isinstance(value, nn.Layer):
        try:
            nn.Sequential(value)
        except (TypeError, ValueError):
            return


def refused_or_made(n: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for name, source in sources().items():
        for k, state in enumerate(mutations(source.__getstate__(), n, seed=len(name))):
            made = object.__new__(type(source))
            try:
                made.__setstate__(state)
            except (TypeError, ValueError):
                assert not vars(made), (name, k)
                counts["refused"] += 1
            else:
                use(made)
                counts["made"] += 1
    return counts


def test_a_wrong_state_is_refused_or_makes_something_that_works() -> None:
    counts = refused_or_made(40)
    assert counts["refused"] > 5 * counts["made"] / 10


def test_a_layer_does_not_stand_for_a_container() -> None:
    state = trained(Model()).__getstate__()
    state["foreign"]["1"] = state["foreign"]["0"]
    with pytest.raises(ValueError, match="layer 1: the Own in its place has other settings"):
        Model.__new__(Model).__setstate__(state)


@pytest.mark.nightly
def test_ten_thousand_wrong_states(capsys: pytest.CaptureFixture[str]) -> None:
    counts = refused_or_made(10_000 // len(sources()) + 1)
    with capsys.disabled():
        print(f"\n{sum(counts.values())} states: {dict(counts)}")
    assert counts["refused"] > counts["made"]
