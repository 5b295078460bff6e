# SPDX-License-Identifier: BSD-3-Clause
"""The functions of layers are the layers of a model: values, gradients, statistics, draws."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import pytest

import fastnn.functional as F
from differences import assert_slopes, differences
from fastnn import _registry, nn, reference
from fastnn.functional._functions import loss_name
from fastnn.functional._layer_functions import layer_name
from layouts import DTYPES, LAYOUTS, close, draws
from members import cases, for_columns, names, sizes_of

WITHOUT_LINEAR = [case for case in cases("layers") if case.values[0] != "linear"]
N, K = 27, 7


class Layer:
    """The function of a layer, its backward pass, its twin and arrays to call them with."""

    def __init__(self, rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str):
        row = _registry.rows("layers")[name]
        self.forward = getattr(F, layer_name(row))
        self.back = getattr(F, f"{layer_name(row)}_backward")
        hyper = for_columns(hyper, K)
        self.twin = reference.LAYERS[name](**dict.fromkeys(sizes_of(name), K) | hyper)
        self.twin.build(dtype, 0, 0)
        arrays = {**self.twin.params, **getattr(self.twin, "statistics", {})}
        for array in arrays.values():
            array[...] += rng.uniform(0.1, 0.5, array.shape)
        known = inspect.signature(self.forward).parameters
        # Arrays stand for flags and for sizes.
        flags = {p["name"] for p in row["params"] if p["kind"] == "flag"}
        given = {key: value for key, value in hyper.items() if key in known and key not in flags}
        self.trains = "training" in known
        self.options = given | {key: a.copy() for key, a in arrays.items() if key in known}

    def mode(self, training: bool) -> dict[str, Any]:
        return {"training": training} if self.trains else {}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), WITHOUT_LINEAR)
def test_as_the_twin(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str, training: bool
) -> None:
    layer = Layer(rng, name, hyper, dtype)
    options, mode = layer.options, layer.mode(training)
    for shape in ((N, K), (130, K)):
        x, dy = draws(rng, shape, dtype), draws(rng, shape, dtype)
        before = copy.deepcopy(options)
        expected = layer.twin.forward(x, training, 0)
        y = layer.forward(x, **options, **mode)
        close(y, expected, dtype, "layer")
        for key, value in getattr(layer.twin, "statistics", {}).items():
            if key in options:
                close(options[key], value, dtype, "layer")
        theirs = layer.twin.backward(dy)
        ours = layer.back(dy, x, **before, **mode)
        dx, *gradients = ours if isinstance(ours, tuple) else (ours,)
        close(dx, theirs, dtype, "layer")
        for found, wanted in zip(gradients, layer.twin.grads.values(), strict=False):
            close(found, wanted, dtype, "layer")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "hyper"), WITHOUT_LINEAR)
def test_gradients_are_those_of_differences(
    rng: np.random.Generator, name: str, hyper: dict[str, Any], training: bool
) -> None:
    layer = Layer(rng, name, hyper, "float64")
    options, mode = layer.options, layer.mode(training)
    x, dy = rng.standard_normal((N, K)), rng.standard_normal((N, K))

    def value() -> float:
        kept = copy.deepcopy(options)  # statistics move
        return float((dy * layer.forward(x, **kept, **mode)).sum())

    ours = layer.back(dy, x, **options, **mode)
    dx, *gradients = ours if isinstance(ours, tuple) else (ours,)
    assert_slopes(dx, differences(value, x))
    for key, found in zip(layer.twin.params, gradients, strict=False):
        assert_slopes(found, differences(value, options[key]))


@pytest.mark.parametrize("name", [name for name in names("layers") if name != "linear"])
def test_arrays_of_any_kind(rng: np.random.Generator, name: str) -> None:
    layer = Layer(rng, name, {}, "float32")
    x = draws(rng, (9, K), "float32")
    y = layer.forward(x)
    for change in LAYOUTS.values():
        np.testing.assert_array_equal(layer.forward(change(x)), y)
    np.testing.assert_array_equal(layer.forward(x.reshape(3, 3, K)), y.reshape(3, 3, K))
    assert layer.forward(np.zeros((0, K), "f4")).shape == (0, K)
    assert layer.forward([[1, 2, 3]]).dtype == np.float64


def test_dropout_is_that_of_a_model(rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Linear(4, K), nn.Dropout(0.3), seed=5)
    x = rng.standard_normal((6, 4)).astype("f4")
    linear = F.linear(x, model[0].weight.T, model[0].bias)
    expected = model.forward(x, training=True)
    np.testing.assert_array_equal(F.dropout(linear, p=0.3, seed=5, layer=1), expected)
    np.testing.assert_array_equal(F.dropout(linear, p=0.3, training=False), linear)
    assert (F.dropout(linear, p=0.3, seed=5, layer=1, step=1) != expected).any()


def test_running_statistics_move_in_place(rng: np.random.Generator) -> None:
    x = rng.standard_normal((50, 3)) * 2 + 5
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(200):
        y = F.batch_norm(x, running_mean=mean, running_var=var, training=True)
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-8)
    np.testing.assert_allclose(var, x.var(axis=0, ddof=1), rtol=1e-8)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-4)


def test_what_is_refused() -> None:
    x = np.ones((4, 3))
    with pytest.raises(ValueError, match=r"^\[layer_norm\] weight has 2 numbers; expected 3"):
        F.layer_norm(x, weight=[1, 2])
    with pytest.raises(ValueError, match=r"^\[layer_norm\] weight is 2-d with shape"):
        F.layer_norm(x, weight=np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"^\[layer_norm_backward\] dy has shape \(3,\)"):
        F.layer_norm_backward(np.ones(3), x)
    with pytest.raises(ValueError, match=r"^\[layer_norm\] eps"):
        F.layer_norm(x, eps=-1)
    with pytest.raises(TypeError, match=r"^\[dropout\] training"):
        F.dropout(x, training=1)
    with pytest.raises(TypeError, match=r"^\[batch_norm\] running_mean is list; expected a NumPy"):
        F.batch_norm(x, running_mean=[0, 0, 0], training=True)


def test_every_member_has_its_functions() -> None:
    """A forward and a backward pass, or a step and its state; and a twin."""
    for name in _registry.rows("activations"):
        assert callable(getattr(F, name))
        assert callable(getattr(F, f"{name}_backward"))
        assert name in reference.ACTIVATIONS
    for name, row in _registry.rows("layers").items():
        assert callable(getattr(F, layer_name(row)))
        assert callable(getattr(F, f"{layer_name(row)}_backward"))
        assert name in reference.LAYERS
    for name, row in _registry.rows("losses").items():
        assert callable(getattr(F, loss_name(row)))
        assert name in reference.LOSSES
    for name, row in _registry.rows("optimizers").items():
        assert callable(getattr(F, f"{name}_step_"))
        assert not row["states"] or callable(getattr(F, f"{name}_state"))
        assert name in reference.OPTIMIZERS
