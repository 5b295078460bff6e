# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of layers, descriptions, whole arrays of values and facts of a model cannot be assigned."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from fastnn import nn, optim
from members import names, sizes_of
from models import layer_of, pickled


def model_of() -> nn.Sequential:
    model = nn.Sequential(
        nn.Rescale(0.5),
        nn.Linear(4, 6),
        nn.BatchNorm1d(6),
        nn.Dropout(0.5),
        nn.Linear(6, 2),
        seed=3,
    )
    model.compile(optim.SGD(lr=0.05, momentum=0.9), "mse")
    return model


SIZES = r"fixed when the layer is made. Put a new layer in its place, model\[i\] = layer, and"
ANEW = r"fixed when the object is made. Make a new one, and compile"


@pytest.mark.parametrize(
    ("layer", "size"), [(layer, size) for layer in names("layers") for size in sizes_of(layer)]
)
def test_sizes_are_fixed(layer: str, size: str) -> None:
    made = layer_of(layer, dict.fromkeys(sizes_of(layer), 6))
    text = rf"^\[{type(made).__name__}\] {size} cannot be assigned: it is {SIZES}"
    for each in (made, nn.Sequential(made)[0]):
        with pytest.raises(AttributeError, match=text):
            setattr(each, size, 7)
        assert getattr(each, size) == 6


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(
    ("place", "name", "text"),
    [
        (1, "has_bias", rf"\[Linear\] has_bias cannot be assigned: it is {SIZES}"),
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
    assert repr(made) == kept == repr(copy.deepcopy(made)) == repr(pickled(made))


def test_groups_of_parameters_cannot_be_changed() -> None:
    given = {"1.*": {"lr": 0.5, "betas": [0.5, 0.75]}}
    adam = optim.Adam(param_groups=given)
    given["1.*"]["lr"] = 0.25
    for mapping, key in ((adam.param_groups, "1.*"), (adam.param_groups["1.*"], "lr")):
        with pytest.raises(TypeError, match=r"\[Optimizer\] param_groups cannot be changed: make"):
            mapping[key] = {}  # type: ignore[index]
    for other in (adam, copy.deepcopy(adam), pickled(adam)):
        assert other == adam
        assert other.param_groups == {"1.*": {"lr": 0.5, "betas": [0.5, 0.75]}}
        assert repr(other).endswith(
            "param_groups={'1.*': {'lr': 0.5, 'betas': [0.5, 0.75]}}, decay_bias=True)"
        )


def test_another_layer_takes_the_place(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((50, 4)).astype(np.float32), rng.standard_normal((50, 2))
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
