# SPDX-License-Identifier: BSD-3-Clause
"""Settings of layers may change after the model was made, in every layer that has any.

The layers, their settings and the values to try come from the registries' rows and the classes.
"""

from __future__ import annotations

import copy
import threading
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastnn import _core, callbacks, nn, optim
from fastnn.errors import ModelBusyError
from layouts import DTYPES
from members import (
    TWINS,
    defaults_of,
    for_columns,
    learned,
    linear,
    names,
    other_values,
    row_of,
    sizes_of,
)
from models import COPIES, WITH_ITS_LAYERS, class_of, layer_of
from pairs import bits, same_bits

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
COLUMNS, WIDTH, OUTPUTS = 4, 6, 2


class Changed(NamedTuple):
    """A setting of a layer that may be assigned, its default, and another value of it."""

    room: str
    layer: str
    name: str
    default: Any
    other: Any

    @property
    def cls(self) -> Any:
        return class_of(self.layer)


def changeable() -> list[Changed]:
    """Return every setting of every layer that may change between steps."""
    found = []
    for room in ("inputs", "layers"):
        for layer in names(room):
            others = [for_columns(hyper, COLUMNS) for hyper in TWINS[room][layer].tries]
            others.append(other_values(room, layer))
            for name in class_of(layer)._settings():
                default = defaults_of(layer)[name]
                tried = next(hyper[name] for hyper in reversed(others) if name in hyper)
                found.append(Changed(room, layer, name, default, tried))
    return found


CHANGES = changeable()
every_setting = pytest.mark.parametrize(
    "it", CHANGES, ids=lambda it: f"{it.cls.__name__}.{it.name}"
)


def model_of(it: Changed | None = None, value: Any = None, dtype: str = "float32") -> nn.Sequential:
    """Return a model of every layer of the registries, in one of which a setting has this value."""

    def made(room: str, layer: str) -> nn.Layer:
        given = {c.name: c.default for c in CHANGES if (c.room, c.layer) == (room, layer)}
        if it is not None and (it.room, it.layer) == (room, layer):
            given[it.name] = value
        return layer_of(layer, dict.fromkeys(sizes_of(layer), WIDTH) | given)

    first = [made("inputs", layer) for layer in names("inputs") if not learned(layer, COLUMNS)]
    between = [made("layers", layer) for layer in names("layers") if layer != "linear"]
    layers = [*first, nn.Linear(COLUMNS, WIDTH), *between, nn.Linear(WIDTH, OUTPUTS)]
    return compiled(nn.Sequential(*layers, dtype=dtype, seed=3))


def compiled(model: nn.Sequential) -> nn.Sequential:
    model.compile(optim.SGD(lr=0.05, momentum=0.9), "mse")
    return model


def the(model: nn.Sequential, cls: type) -> Any:
    """Return the only layer of this class."""
    return next(layer for layer in model if type(layer) is cls)


def of(model: nn.Sequential, it: Changed) -> Any:
    """Return the layer of a model that has this setting."""
    return the(model, it.cls)


def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((50, COLUMNS)).astype(np.float32)
    return x, rng.standard_normal((50, OUTPUTS))


def test_settings_are_those_of_the_rows() -> None:
    """A setting is a parameter of the layer, under the same name."""
    assert {it.layer for it in CHANGES} >= {"rescale", "dropout", "batch_norm1d", "layer_norm"}
    for it in CHANGES:
        row = row_of(it.room, it.layer)["params"]
        assert it.name in ([p["name"] for p in row] or defaults_of(it.layer))
        assert np.any(it.other != it.default)


@every_setting
@both_dtypes
def test_a_changed_setting_trains_as_one_given_at_the_start(
    rng: np.random.Generator, it: Changed, dtype: str
) -> None:
    """It counts in every call, from the first step on, not only in repr and in copies."""
    x, y = data(rng)
    model, other = model_of(dtype=dtype), model_of(it, it.other, dtype)
    # A setting that showed nowhere would make the rest hold by itself.
    for each in (model, other):
        each.fit(x, y, batch_size=16)
    assert bits(model._network) != bits(other._network)
    model, other = model_of(dtype=dtype), model_of(it, it.other, dtype)
    setattr(of(model, it), it.name, it.other)
    np.testing.assert_array_equal(getattr(of(model, it), it.name), it.other)
    assert repr(model) == repr(other)
    assert model.train_step(x, y) == other.train_step(x, y)
    assert model.fit(x, y, batch_size=16).history == other.fit(x, y, batch_size=16).history
    np.testing.assert_array_equal(model.forward(x, True), other.forward(x, True))
    np.testing.assert_array_equal(model.predict(x), other.predict(x))
    assert model.evaluate(x, y) == other.evaluate(x, y)
    same_bits(model._network, other._network)


@pytest.mark.parametrize("how", ["deepcopy", "pickle", *WITH_ITS_LAYERS])
@every_setting
def test_copies_keep_it_and_are_on_their_own(
    rng: np.random.Generator, it: Changed, how: str
) -> None:
    x, y = data(rng)
    model = model_of()
    setattr(of(model, it), it.name, it.other)
    other = (COPIES | WITH_ITS_LAYERS)[how](model)
    assert repr(other) == repr(model)
    np.testing.assert_array_equal(getattr(of(other, it), it.name), it.other)
    setattr(of(model, it), it.name, it.default)
    assert model.train_step(x, y) == model_of().train_step(x, y)
    assert compiled(other).train_step(x, y) == model_of(it, it.other).train_step(x, y)
    np.testing.assert_array_equal(getattr(of(other, it), it.name), it.other)


@every_setting
def test_before_a_model_has_the_layer(rng: np.random.Generator, it: Changed) -> None:
    x, y = data(rng)
    layers = [copy.deepcopy(layer) for layer in model_of()]
    layer = next(layer for layer in layers if type(layer) is it.cls)
    setattr(layer, it.name, it.other)
    model = compiled(nn.Sequential(*layers, seed=3))
    assert model.train_step(x, y) == model_of(it, it.other).train_step(x, y)
    setattr(layer, it.name, it.default)  # the layer has become this model's
    again = model_of(it, it.other)
    again.train_step(x, y)
    setattr(of(again, it), it.name, it.default)
    assert model.train_step(x, y) == again.train_step(x, y)
    model.append(nn.ReLU())  # makes a new network inside
    setattr(layer, it.name, it.other)
    np.testing.assert_array_equal(
        model.forward(x, True), np.maximum(copy.deepcopy(model)[:-1].forward(x, True), 0)
    )


def test_one_dropout_at_two_places(rng: np.random.Generator) -> None:
    x, _ = data(rng)
    drop = nn.Dropout(0.5)
    model = nn.Sequential(nn.Linear(4, 9), drop, nn.Tanh(), drop, nn.Linear(9, 9), drop)
    drop.p = 0.0
    np.testing.assert_array_equal(model.forward(x, training=True), model.predict(x))
    other = nn.Sequential(*model)
    assert other[1] is other[3] is other[5] is not drop
    other[1].p = 1
    assert not other.forward(x, training=True).any()
    np.testing.assert_array_equal(model.forward(x, training=True), model.predict(x))


def test_a_pass_in_flight_keeps_what_it_began_with(rng: np.random.Generator) -> None:
    x, _ = data(rng)
    model, other = model_of(), model_of()
    dout = rng.standard_normal((50, OUTPUTS))
    for each in (model, other):
        each.forward(x, training=True)
    for it in CHANGES:
        if it.room == "layers":
            setattr(of(model, it), it.name, it.other)
    np.testing.assert_array_equal(model.backward(dout, True), other.backward(dout, True))
    model.forward(x)
    the(model, nn.Rescale).scale = 3
    with pytest.raises(ValueError, match="call forward first"):
        model.backward(dout, True)


def refusals() -> list[tuple[Changed, Any, type[Exception], str]]:
    """Return values that each setting refuses by its row, and arrays that Rescale refuses."""
    found: list[tuple[Changed, Any, type[Exception], str]] = []
    for it in CHANGES:
        named = rf"\[{it.cls.__name__}\] {it.name} "
        row = next((p for p in row_of(it.room, it.layer)["params"] if p["name"] == it.name), None)
        if row is None:  # a setting of Rescale, which may be an array
            continue
        found += [(it, "half", TypeError, named + "is 'half'; expected a number")]
        if row["default"] is not None:
            found += [(it, None, TypeError, named + "is None; expected a number")]
        found += [(it, np.nan, ValueError, named + "= nan; expected ")]
        for value in (row["lowest"] - 1, row["highest"] + 1):
            if np.isfinite(value):
                found += [(it, value, ValueError, named + f"= {value}; expected ")]
    by_name = {it.name: it for it in CHANGES if it.layer == "rescale"}
    for name, value, text in (
        ("scale", np.inf, r"\[Rescale\] scale has a value that is not finite"),
        ("scale", np.ones((2, 2)), r"\[Rescale\] scale has shape \(2, 2\)"),
        ("shift", [1, 2], r"\[rescale\] shift has 2 values, expected 1 or 4"),
    ):
        found.append((by_name[name], value, ValueError, text))
    return found


@pytest.mark.parametrize(
    ("it", "value", "kind", "text"), [pytest.param(*row, id=row[-1]) for row in refusals()]
)
def test_wrong_values_change_nothing(
    rng: np.random.Generator, it: Changed, value: Any, kind: type[Exception], text: str
) -> None:
    x, y = data(rng)
    model, other = model_of(), model_of()
    with pytest.raises(kind, match=text):
        setattr(of(model, it), it.name, value)
    assert getattr(of(model, it), it.name) == it.default
    assert model.train_step(x, y) == other.train_step(x, y)


@pytest.mark.parametrize(
    ("keys", "kind", "settings", "text"),
    [
        (["0"], "dropout", {"p": 0.5}, "layer 0 is a linear, not a dropout"),
        (["4"], "dropout", {"p": 0.5}, "no layer has the key '4'; known: 0, 1, 2, 3"),
        (["1"], "dropout", {"q": 0.5}, r"\[dropout\] has no parameter 'q'; known: p"),
        (["1"], "dropout", {"p": 7}, r"\[dropout\] p = 7"),
        (
            ["0"],
            "linear",
            {"in_features": 3, "out_features": 5},
            "a linear has no settings that could",
        ),
        (["2"], "tanh", {}, "a tanh has no settings that could change"),
        (["3"], "step", {}, "layer 3 is a linear, not a step"),
        (["input.0"], "rescale", {"scale": 2.0}, "no layer has the key 'input.0'"),
        (["input.0"], "dropout", {"p": 0.5}, "no layer has the key 'input.0'"),
    ],
)
def test_the_core_refuses_changes(
    rng: np.random.Generator, keys: list[str], kind: str, settings: Any, text: str
) -> None:
    net, other = (
        _core.Network([linear(3, 5), ("dropout", {"p": 0.5}), ("tanh", {}), linear(5, 2)])
        for _ in range(2)
    )
    with pytest.raises(ValueError, match=text):
        net.change_layer(keys, kind, settings)
    x = rng.standard_normal((7, 3))
    np.testing.assert_array_equal(net.forward(x, True), other.forward(x, True))


# -- beside training -------------------------------------------------------------------------------


@every_setting
def test_callbacks_may_change_settings_between_epochs(
    rng: np.random.Generator, it: Changed
) -> None:
    x, y = data(rng)
    model, other = model_of(), model_of()

    def change(epoch: int, _: Any) -> None:
        if epoch == 1:
            setattr(of(model, it), it.name, it.other)

    model.fit(x, y, epochs=4, callbacks=[callbacks.LambdaCallback(on_epoch_end=change)])
    other.fit(x, y, epochs=2)
    setattr(of(other, it), it.name, it.other)
    other.fit(x, y, epochs=2)
    same_bits(model._network, other._network)


def test_another_thread_is_refused(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((20_000, COLUMNS)), rng.standard_normal((20_000, OUTPUTS))
    model, refused = model_of(), []
    dropout, going = the(model, nn.Dropout), threading.Event()

    def look(*_: Any) -> None:
        going.set()
        model.stop_training = bool(refused)

    watch = callbacks.LambdaCallback(on_epoch_end=look)
    fit = threading.Thread(target=lambda: model.fit(x, y, epochs=10_000, callbacks=[watch]))
    fit.start()
    assert going.wait(60)
    while fit.is_alive() and not refused:  # between two epochs the change is taken
        try:
            dropout.p = 0.25
        except ModelBusyError as error:
            refused.append(str(error))
    fit.join()
    assert refused
    assert refused[0].startswith("[Dropout] the model is being trained by another call")
    dropout.p = 0.125
    assert the(model, nn.Dropout).p == 0.125
