# SPDX-License-Identifier: BSD-3-Clause
"""Settings of layers that change after the model was made, and all that cannot."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest

from fastnn import _core, callbacks, nn, optim
from fastnn.errors import ModelBusyError
from layouts import DTYPES
from members import linear
from pairs import same_bits

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
COPIES = {
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    "deepcopy": copy.deepcopy,
    "slice": lambda m: m[:],
    "layers": lambda m: nn.Sequential(*m, dtype=m.dtype, seed=m.seed),
}


def model_of(
    p: float = 0.5,
    eps: float = 1e-5,
    momentum: float = 0.1,
    scale: Any = 0.5,
    shift: Any = 0.0,
    dtype: str = "float32",
) -> nn.Sequential:
    model = nn.Sequential(
        nn.Rescale(scale, shift),
        nn.Linear(4, 6),
        nn.BatchNorm1d(6, eps=eps, momentum=momentum),
        nn.Dropout(p),
        nn.Linear(6, 2),
        dtype=dtype,
        seed=3,
    )
    model.compile(optim.SGD(lr=0.05, momentum=0.9), "mse")
    return model


OTHERS: dict[str, Any] = {
    "p": 0.0,
    "eps": 0.25,
    "momentum": 0.7,
    "scale": np.array([1.0, 2.0, 0.25, -1.0]),
    "shift": -0.75,
}
WHERE = {"p": 3, "eps": 2, "momentum": 2, "scale": 0, "shift": 0}
every_setting = pytest.mark.parametrize("name", OTHERS)


def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((50, 4)).astype(np.float32), rng.standard_normal((50, 2))


@every_setting
@both_dtypes
def test_a_changed_setting_trains_as_one_given_at_the_start(
    rng: np.random.Generator, name: str, dtype: str
) -> None:
    """In every call, from the first step on; `p = 0` went into repr and copies, not training."""
    x, y = data(rng)
    model, other = model_of(dtype=dtype), model_of(dtype=dtype, **{name: OTHERS[name]})
    # A setting that showed nowhere would make the rest hold by itself. In training, batch
    # normalisation takes the shift out again; momentum shows in the running statistics alone.
    if name in ("p", "eps", "scale"):
        assert abs(model.loss_and_grad(x, y)[0] - other.loss_and_grad(x, y)[0]) > 1e-3
    elif name == "shift":
        assert np.abs(model.predict(x) - other.predict(x)).max() > 1e-3
    model, other = model_of(dtype=dtype), model_of(dtype=dtype, **{name: OTHERS[name]})
    setattr(model[WHERE[name]], name, OTHERS[name])
    np.testing.assert_array_equal(getattr(model[WHERE[name]], name), OTHERS[name])
    assert repr(model) == repr(other)
    assert model.train_step(x, y) == other.train_step(x, y)
    assert model.fit(x, y, batch_size=16).history == other.fit(x, y, batch_size=16).history
    np.testing.assert_array_equal(model.forward(x, True), other.forward(x, True))
    np.testing.assert_array_equal(model.predict(x), other.predict(x))
    assert model.evaluate(x, y) == other.evaluate(x, y)
    same_bits(model._network, other._network)


@pytest.mark.parametrize("how", COPIES)
@every_setting
def test_copies_keep_it_and_are_on_their_own(rng: np.random.Generator, name: str, how: str) -> None:
    x, y = data(rng)
    model = model_of()
    layer = model[WHERE[name]]
    setattr(layer, name, OTHERS[name])
    other = COPIES[how](model)
    assert repr(other) == repr(model)
    np.testing.assert_array_equal(getattr(other[WHERE[name]], name), OTHERS[name])
    other.compile(optim.SGD(lr=0.05, momentum=0.9), "mse")
    setattr(layer, name, 0.125)
    assert model.train_step(x, y) == model_with(name, 0.125).train_step(x, y)
    assert other.train_step(x, y) == model_with(name, OTHERS[name]).train_step(x, y)
    np.testing.assert_array_equal(getattr(other[WHERE[name]], name), OTHERS[name])


def model_with(name: str, value: Any) -> nn.Sequential:
    return model_of(**{name: value})


@every_setting
def test_before_a_model_has_the_layer(rng: np.random.Generator, name: str) -> None:
    x, y = data(rng)
    layers = list(model_of())
    layer = copy.deepcopy(layers[WHERE[name]])
    setattr(layer, name, OTHERS[name])
    first = [nn.Rescale(0.5), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2)]
    first[WHERE[name]] = layer
    model = nn.Sequential(*first, seed=3)
    model.compile(optim.SGD(lr=0.05, momentum=0.9), "mse")
    assert model.train_step(x, y) == model_with(name, OTHERS[name]).train_step(x, y)
    setattr(layer, name, 0.125)  # it has become this model's
    again = model_with(name, OTHERS[name])
    again.train_step(x, y)
    setattr(again[WHERE[name]], name, 0.125)
    assert model.train_step(x, y) == again.train_step(x, y)
    model.append(nn.ReLU())  # a new engine inside
    setattr(layer, name, OTHERS[name])
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
    dout = rng.standard_normal((50, 2))
    for each in (model, other):
        each.forward(x, training=True)
    model[3].p, model[2].eps = 1.0, 0.5
    np.testing.assert_array_equal(model.backward(dout, True), other.backward(dout, True))
    model.forward(x)
    model[0].scale = 3
    with pytest.raises(ValueError, match="call forward first"):
        model.backward(dout, True)


@pytest.mark.parametrize(
    ("place", "name", "value", "kind", "text"),
    [
        (3, "p", 1.5, ValueError, r"\[Dropout\] p = 1.5; expected 0 to 1"),
        (3, "p", "half", TypeError, r"\[Dropout\] p is 'half'; expected a number"),
        (3, "p", None, TypeError, r"\[Dropout\] p is None; expected a number"),
        (3, "p", np.nan, ValueError, r"\[Dropout\] p = nan; expected 0 to 1"),
        (2, "eps", -1, ValueError, r"\[BatchNorm1d\] eps = -1; expected at least 0"),
        (2, "momentum", 2, ValueError, r"\[BatchNorm1d\] momentum = 2; expected 0 to 1"),
        (0, "scale", np.inf, ValueError, r"\[Rescale\] scale has a value that is not finite"),
        (0, "scale", np.ones((2, 2)), ValueError, r"\[Rescale\] scale has shape \(2, 2\)"),
        (0, "shift", [1, 2], ValueError, r"\[rescale\] shift has 2 values, expected 1 or 4"),
    ],
)
def test_wrong_values_change_nothing(
    rng: np.random.Generator, place: int, name: str, value: Any, kind: type, text: str
) -> None:
    x, y = data(rng)
    model, other = model_of(), model_of()
    before = getattr(model[place], name)
    with pytest.raises(kind, match=text):
        setattr(model[place], name, value)
    assert getattr(model[place], name) == before
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
def test_callbacks_may_change_settings_between_epochs(rng: np.random.Generator, name: str) -> None:
    x, y = data(rng)
    model, other = model_of(), model_of()

    def change(epoch: int, _: Any) -> None:
        if epoch == 1:
            setattr(model[WHERE[name]], name, OTHERS[name])

    model.fit(x, y, epochs=4, callbacks=[callbacks.LambdaCallback(on_epoch_end=change)])
    other.fit(x, y, epochs=2)
    setattr(other[WHERE[name]], name, OTHERS[name])
    other.fit(x, y, epochs=2)
    same_bits(model._network, other._network)


def test_another_thread_is_refused(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((20_000, 4)), rng.standard_normal((20_000, 2))
    model, refused = model_of(), []
    going = threading.Event()

    def look(*_: Any) -> None:
        going.set()
        model.stop_training = bool(refused)

    watch = callbacks.LambdaCallback(on_epoch_end=look)
    fit = threading.Thread(target=lambda: model.fit(x, y, epochs=10_000, callbacks=[watch]))
    fit.start()
    assert going.wait(60)
    while fit.is_alive() and not refused:  # in between the epochs it may come in
        try:
            model[3].p = 0.25
        except ModelBusyError as error:
            refused.append(str(error))
    fit.join()
    assert refused
    assert refused[0].startswith("[Dropout] the model is being trained by another call")
    model[3].p = 0.125
    assert model[3].p == 0.125


# -- what cannot be assigned -----------------------------------------------------------------------

SIZES = r"fixed when the layer is made. Put a new layer in its place, model\[i\] = layer, and"
ANEW = r"fixed when the object is made. Make a new one, and compile"


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(
    ("place", "name", "text"),
    [
        (1, "has_bias", rf"\[Linear\] has_bias cannot be assigned: it is {SIZES}"),
        (1, "in_features", SIZES),
        (1, "out_features", SIZES),
        (2, "num_features", SIZES),
        (1, "trainable", r"\[Linear\] trainable cannot .*: freeze\(\) and unfreeze\(\) decide"),
        (1, "requires_grad", r"freeze\(\) and unfreeze\(\) decide what trains"),
        (1, "frozen", r"freeze\(\) and unfreeze\(\) decide what trains"),
        (3, "training", r"\[Dropout\] training cannot be assigned: there are no modes"),
        (3, "P", r"Dropout has no such attribute; can be assigned: p"),
        (2, "momentun", r"can be assigned: eps, momentum. Did you mean 'momentum'\?"),
        (0, "scales", r"can be assigned: scale, shift. Did you mean 'scale'\?"),
        (1, "wieght", r"\[Linear\] wieght cannot be assigned: Linear has no such attribute"),
        (1, "numbered", SIZES),
        (1, "spec", SIZES),
        (5, "negative_slope", rf"\[LeakyReLU\] negative_slope cannot be assigned: it is {SIZES}"),
        (5, "slope", r"LeakyReLU has no such attribute"),
        (6, "shape", r"Flatten has no such attribute"),
    ],
)
def test_the_rest_of_a_layer_refuses(place: int, name: str, text: str, joined: bool) -> None:
    layers = [*model_of(), nn.LeakyReLU(0.2), nn.Flatten()]
    if joined:
        layers[:6] = nn.Sequential(*layers[:6])
    before = {k: repr(v) for k, v in vars(layers[place]).items()}
    with pytest.raises(AttributeError, match=text):
        setattr(layers[place], name, 1)
    assert {k: repr(v) for k, v in vars(layers[place]).items()} == before
    with pytest.raises(AttributeError):
        delattr(layers[place], name)
    copy.deepcopy(layers[place])


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (optim.Adam(), "lr"),
        (optim.SGD(), "momentum"),
        (optim.SGD(), "registry_name"),
        (optim.AdamW(), "param_groups"),
        (nn.MSELoss(), "reduction"),
        (nn.MSELoss(), "room"),
    ],
    ids=str,
)
def test_descriptions_refuse(made: Any, name: str) -> None:
    kept = repr(made)
    text = "compile again" if name == "lr" else ANEW
    with pytest.raises(AttributeError, match=rf"\[{type(made).__name__}\] {name} cannot.*{text}"):
        setattr(made, name, 0.5)
    with pytest.raises(AttributeError, match="cannot be deleted"):
        delattr(made, name)
    with pytest.raises(AttributeError, match="has no such attribute"):
        made.momentun = 0.5
    assert repr(made) == kept == repr(copy.deepcopy(made)) == repr(pickle.loads(pickle.dumps(made)))


def test_groups_of_parameters_cannot_be_changed() -> None:
    given = {"1.*": {"lr": 0.5, "betas": [0.5, 0.75]}}
    adam = optim.Adam(param_groups=given)
    given["1.*"]["lr"] = 0.25
    for mapping, key in ((adam.param_groups, "1.*"), (adam.param_groups["1.*"], "lr")):
        with pytest.raises(TypeError, match=r"\[Optimizer\] param_groups cannot be changed: make"):
            mapping[key] = {}  # type: ignore[index]
    for other in (adam, copy.deepcopy(adam), pickle.loads(pickle.dumps(adam))):
        assert other == adam
        assert other.param_groups == {"1.*": {"lr": 0.5, "betas": [0.5, 0.75]}}
        assert repr(other).endswith("param_groups={'1.*': {'lr': 0.5, 'betas': [0.5, 0.75]}})")


def test_another_layer_takes_the_place(rng: np.random.Generator) -> None:
    x, y = data(rng)
    model = model_of()
    model.fit(x, y)
    weight, var = model[1].weight.copy(), model[2].running_var.copy()
    model[2].freeze()
    model[-1] = nn.Linear(6, 3)
    model[3] = nn.Dropout(0.25)
    np.testing.assert_array_equal(model[1].weight, weight)
    np.testing.assert_array_equal(model[2].running_var, var)
    assert model[2].frozen
    assert (model.n_outputs, model[3].p, len(model)) == (3, 0.25, 5)
    with pytest.raises(ValueError, match="not compiled"):
        model.fit(x, y)
    model[3].p = 0
    assert "p=0.0" in repr(copy.deepcopy(model))
    for index, layer, kind, text in (
        (1, nn.Linear(4, 7), ValueError, r"\[Sequential\[1\]: layer 2\] .* comes after 7 columns"),
        (5, nn.ReLU(), IndexError, "no layer 5; the model has 5"),
        (0, "relu", TypeError, "layer 0 is str; expected a layer"),
        (slice(0, 1), nn.ReLU(), TypeError, "the index is a slice"),
    ):
        with pytest.raises(kind, match=text):
            model[index] = layer
    assert model.forward(x).shape == (50, 3)


def test_values_are_copied_in_or_worked_on_in_place() -> None:
    model = model_of()
    for name in ("weight", "bias"):
        with pytest.raises(AttributeError, match=rf"Write layer\.{name}\[\.\.\.\] = values"):
            setattr(model[1], name, np.zeros(getattr(model[1], name).shape))
    for name in ("weight", "bias", "running_mean", "running_var"):
        with pytest.raises(AttributeError, match=rf"Write layer\.{name}\[\.\.\.\] = values"):
            setattr(model[2], name, np.zeros(6))
    before = model[1].weight.copy()
    model[1].weight *= 2
    np.testing.assert_array_equal(model[1].weight, 2 * before)
    model[1].bias -= model[1].bias
    assert not model[1].bias.any()
    model[1].weight[...] = before
    with pytest.raises(AttributeError, match="there is no weight to assign"):
        nn.Linear(3, 2).weight = np.zeros((2, 3))
    with pytest.raises(AttributeError, match="bias=False has no bias"):
        nn.Sequential(nn.Linear(3, 2, bias=False))[0].bias = np.zeros(2)
    other = copy.deepcopy(model[1])  # belongs to no model, and has values
    other.weight *= 2
    np.testing.assert_array_equal(other.weight, 2 * before)


def test_single_numbers_of_a_rescale_are_not_written() -> None:
    for rescale in (nn.Rescale([1.0, 2.0]), copy.deepcopy(nn.Rescale([1.0, 2.0]))):
        with pytest.raises(ValueError, match="read-only"):
            rescale.scale[0] = 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("dtype", r"\[Sequential\] dtype cannot be assigned: it follows from how the model"),
        ("seed", "make a new Sequential"),
        ("n_features", "make a new Sequential"),
        ("threads_used", "make a new Sequential"),
        ("optimizer", "call compile"),
        ("loss", "call compile"),
        ("learning_rate", "model.lr, or compile again"),
        ("trainable", r"freeze\(\) and unfreeze\(\)"),
        ("training", "there are no modes"),
        (
            "stop_trainig",
            r"be assigned: history, lr, stop_training. Did you mean 'stop_training'",
        ),
        ("fit", "make a new Sequential"),
    ],
)
def test_models_refuse(name: str, text: str) -> None:
    model = model_of()
    with pytest.raises(AttributeError, match=text):
        setattr(model, name, 1)
    assert name not in vars(model)


def test_subclasses_have_names_of_their_own() -> None:
    class Mine(nn.Sequential):
        def __init__(self, width: int) -> None:
            self.width = width
            super().__init__(nn.Linear(2, width))

    class Noted(nn.Dropout):
        def __init__(self, note: str) -> None:
            super().__init__(0.25)
            self.note = note

    model, layer = Mine(3), Noted("here")
    model.width, layer.note = 4, "there"
    assert (model.width, layer.note, layer.p) == (4, "there", 0.25)
    for owner, name in ((model, "dtype"), (model, "trainable"), (layer, "training")):
        with pytest.raises(AttributeError, match="cannot be assigned"):
            setattr(owner, name, 1)
