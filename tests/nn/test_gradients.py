# SPDX-License-Identifier: BSD-3-Clause
"""Gradients as results of a model: of X as it was given, by torch's keys, and without a trace."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import in_torch
from differences import LIMIT
from fastnn import callbacks, nn, reference
from members import cases, ending, fitted, linear, names, network_with, row_of, targets
from models import layer_of

DTYPES = [np.float32, np.float64]
SMOOTH_LIMIT = 1e-9  # of a Hessian where no derivative of an activation jumps


def made(dtype: Any = np.float64, loss: str = "cross_entropy") -> nn.Sequential:
    model = nn.Sequential(
        nn.Rescale(0.25, [1.0, -2.0, 0.5, 0.0]),
        nn.Linear(4, 9),
        nn.BatchNorm1d(9),
        nn.Tanh(),
        nn.Dropout(0.4),
        nn.Residual(nn.LayerNorm(9), nn.Linear(9, 9), nn.GELU()),
        nn.Linear(9, 3),
        dtype=dtype,
        seed=4,
    )
    model.compile("adam", loss)
    return model


def data(rng: np.random.Generator, n: int = 300) -> tuple[Any, Any]:
    return rng.integers(0, 100, (n, 4)), rng.integers(0, 3, n)


def differentiated(model: nn.Sequential, x: Any, y: Any, **options: Any) -> dict[str, Any]:
    """Return the results of all calls that differentiate rows."""
    found = {
        "input": model.input_gradient(x, y, **options),
        "raw": model.jacobian(x, **options),
        "predictions": model.jacobian(x, outputs="predictions", **options),
    }
    return found | model.per_sample_gradients(x, y, **options)


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert list(one) == list(other)
    for key, array in one.items():
        np.testing.assert_array_equal(array, other[key], err_msg=key)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_on_any_number_of_threads(rng: np.random.Generator, dtype: Any) -> None:
    model, (x, y) = made(dtype), data(rng)
    model.fit(x, y, epochs=1)
    one = differentiated(model, x, y, n_threads=1)
    assert {array.dtype for array in one.values()} == {np.dtype(dtype)}
    for n_threads in (2, 3, 8, None):
        same(one, differentiated(model, x, y, n_threads=n_threads))


@pytest.mark.parametrize("kind", ["uint8", "int32", "float16", "float32", "list", "strided"])
def test_any_rows_of_x(rng: np.random.Generator, kind: str) -> None:
    """The chain rule goes to X as it was given, whatever its dtype."""
    model, (x, y) = made(), data(rng, 40)
    given: Any = x.tolist() if kind == "list" else np.asfortranarray(x)
    if kind not in ("list", "strided"):
        given = x.astype(kind)
    same(differentiated(model, x.astype(float), y), differentiated(model, given, y))


def test_they_belong_to_x_as_it_was_given(rng: np.random.Generator) -> None:
    model, x = made(), rng.standard_normal((5, 4))
    step = 1e-5 * np.eye(4)[2]
    slope = (model.predict(x + step) - model.predict(x - step)) / 2e-5
    jacobian = model.jacobian(x, outputs="predictions")
    np.testing.assert_allclose(jacobian[:, :, 2], slope, rtol=0, atol=1e-8)


def test_images_have_a_column_for_each_pixel(rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    model.compile("sgd", "mse")
    x = rng.standard_normal((3, 2, 3))
    assert model.jacobian(x).shape == (3, 2, 6)
    assert model.input_gradient(x, np.zeros((3, 2))).shape == (3, 6)


def test_no_rows_have_no_gradients() -> None:
    model, x, y = made(), np.zeros((0, 4)), np.zeros(0, int)
    shapes = {key: array.shape for key, array in differentiated(model, x, y).items()}
    assert shapes["input"] == (0, 4)
    assert shapes["raw"] == shapes["predictions"] == (0, 3, 4)
    assert {key: (0, *shape) for key, shape in model_shapes(model).items()} == {
        key: shape for key, shape in shapes.items() if "." in key
    }


def model_shapes(model: nn.Sequential) -> dict[str, tuple[int, ...]]:
    return {key: array.shape for key, array in model.gradients().items()}


def test_nothing_changes_in_the_model(rng: np.random.Generator) -> None:
    model, (x, y) = made(), data(rng, 60)
    model.fit(x, y)
    _, gradients = model.loss_and_grad(x, y)
    kept = {key: gradient.copy() for key, gradient in gradients.items()}
    before = pickle.dumps(model)
    differentiated(model, x, y)
    model.hessian_vector_product(x, y, kept)
    assert pickle.dumps(model) == before
    same(kept, model.gradients())
    model.apply_gradients()  # they are still there


def test_a_forward_pass_may_still_go_back(rng: np.random.Generator) -> None:
    one, other = made(), made()
    x, y = data(rng, 20)
    for model in (one, other):
        model.forward(x, training=True)
        if model is other:
            differentiated(model, x, y)
        model.backward(np.ones((20, 3)))
    same(one.gradients(), other.gradients())


def test_frozen_layers_have_no_entry(rng: np.random.Generator) -> None:
    model, (x, y) = made(), data(rng, 12)
    all_of_them = model.per_sample_gradients(x, y)
    model[1].freeze()
    left = model.per_sample_gradients(x, y)
    assert set(all_of_them) - set(left) == {"0.weight", "0.bias"}
    same({key: all_of_them[key] for key in left}, left)
    v = {key: rng.standard_normal(array.shape[1:]) for key, array in left.items()}
    assert set(model.hessian_vector_product(x, y, v)) == set(left)
    model.freeze()
    assert model.per_sample_gradients(x, y) == {}
    assert model.input_gradient(x, y).any()


def test_callbacks_may_ask_for_them(rng: np.random.Generator) -> None:
    model, (x, y) = made(), data(rng, 40)
    seen = []

    def note(*_: object) -> None:
        seen.append(np.abs(model.input_gradient(x, y)).mean())

    model.fit(x, y, epochs=3, callbacks=callbacks.LambdaCallback(on_epoch_end=note))
    assert len(set(seen)) == 3


def test_what_is_refused(rng: np.random.Generator) -> None:
    model, (x, y) = made(), data(rng, 12)
    with pytest.raises(ValueError, match=r"\[Sequential.jacobian\] outputs is 'proba'; expected"):
        model.jacobian(x, outputs="proba")
    with pytest.raises(ValueError, match=r"^\[Sequential.input_gradient\] y has 3"):
        model.input_gradient(x, np.full(12, 3))
    wrong = x.astype(float)
    wrong[7, 2] = np.nan
    for call in (model.jacobian, lambda x: model.per_sample_gradients(x, y)):
        with pytest.raises(ValueError, match="X has nan at row 7, column 2"):
            call(wrong)
    raw = nn.Sequential(nn.Linear(2, 1))
    raw.jacobian([[1, 2]])
    for call in (
        lambda: raw.jacobian([[1, 2]], outputs="predictions"),
        lambda: raw.input_gradient([[1, 2]], [1]),
        lambda: raw.per_sample_gradients([[1, 2]], [1]),
        lambda: raw.hessian_vector_product([[1, 2]], [1], {}),
    ):
        with pytest.raises(ValueError, match="is not compiled"):
            call()


# -- the Hessian -----------------------------------------------------------------------------------


def direction(rng: np.random.Generator, model: nn.Sequential) -> dict[str, np.ndarray]:
    return {key: rng.standard_normal(shape) for key, shape in model_shapes(model).items()}


def product(one: dict[str, Any], other: dict[str, Any]) -> float:
    return float(sum((one[key] * other[key]).sum() for key in one))


def check_symmetry(
    rng: np.random.Generator, model: nn.Sequential, x: np.ndarray, y: np.ndarray
) -> None:
    """U H v = v H u, and both are the second difference of the loss."""
    u, v = direction(rng, model), direction(rng, model)
    hu, hv = (model.hessian_vector_product(x, y, along) for along in (u, v))
    scale = np.sqrt(product(hv, hv) * product(u, u)) + np.sqrt(product(hu, hu) * product(v, v))
    assert abs(product(u, hv) - product(v, hu)) <= LIMIT * scale
    values = {key: array.copy() for key, array in model.state_dict().items()}

    def loss(step: float) -> float:
        model.load_state_dict(values | {key: values[key] + step * v[key] for key in v})
        return model.loss_and_grad(x, y, training=False)[0]

    h = 1e-3
    second = -loss(2 * h) + 16 * loss(h) - 30 * loss(0) + 16 * loss(-h) - loss(-2 * h)
    model.load_state_dict(values)
    scale = np.sqrt(product(hv, hv) * product(v, v)) + abs(loss(0))
    assert abs(second / (12 * h * h) - product(v, hv)) <= 1e-5 * scale


SMOOTH = [name for name in names("activations") if not reference.ACTIVATIONS[name].kinks()]


@pytest.mark.parametrize("name", [*SMOOTH, *names("layers"), *names("inputs")])
def test_hessian_of_layers(rng: np.random.Generator, name: str) -> None:
    layers = [layer_of(*layer) for layer in network_with(name, {}, 5, 7, 3)]
    model = nn.Sequential(*layers, dtype="float64", seed=2)
    model.compile("sgd", "mse")
    check_symmetry(rng, model, rng.standard_normal((9, 5)), rng.standard_normal((9, 3)))


@pytest.mark.parametrize(("name", "hyper"), cases("losses"))
def test_hessian_of_losses(rng: np.random.Generator, name: str, hyper: dict[str, Any]) -> None:
    hyper, k = fitted(name, hyper, 3)
    layers = [linear(5, 7), ("tanh", {}), linear(7, 3), *ending(name, 3, hyper)]
    model = nn.Sequential(*(layer_of(*layer) for layer in layers), dtype="float64", seed=2)
    model.compile("sgd", loss_of(name, hyper))
    y = targets(rng, name, 9, k, hyper=hyper)
    x = rng.standard_normal((9, 5))
    u, v = direction(rng, model), direction(rng, model)
    hu, hv = (model.hessian_vector_product(x, y, along) for along in (u, v))
    scale = np.sqrt(product(hv, hv) * product(u, u)) + np.sqrt(product(hu, hu) * product(v, v))
    assert abs(product(u, hv) - product(v, hu)) <= LIMIT * scale


def loss_of(name: str, hyper: dict[str, Any]) -> nn.Loss:
    made_of: Any = getattr(nn, row_of("losses", name)["class_name"])
    return made_of(**hyper)


# torch has no second derivative of Hardsigmoid.
TWICE = [name for name in in_torch.torch_names("activations") if name != "hardsigmoid"]


@pytest.mark.parametrize("name", TWICE)
def test_hessian_in_torch(rng: np.random.Generator, torch: Any, name: str) -> None:
    """Of ReLU as well: torch's derivative is exact, whichever side of a kink a unit is on."""
    kinks = reference.ACTIVATIONS[name].kinks()
    layers = [linear(6, 40), (name, {}), linear(40, 30), (name, {}), linear(30, 3)]
    model = nn.Sequential(*(layer_of(*layer) for layer in layers), dtype="float64", seed=2)
    model.compile("sgd", "cross_entropy")
    x, y = rng.standard_normal((64, 6)), rng.integers(0, 3, 64)
    v = direction(rng, model)
    module = in_torch.network(torch, layers, model._network)
    values = dict(module.named_parameters())
    out = module(torch.from_numpy(x))
    loss = torch.nn.functional.cross_entropy(out, torch.from_numpy(y))
    gradients = torch.autograd.grad(loss, list(values.values()), create_graph=True)
    along = [torch.from_numpy(v[key]) for key in values]
    slope = sum((g * a).sum() for g, a in zip(gradients, along, strict=True))
    expected = [h.numpy() for h in torch.autograd.grad(slope, list(values.values()))]
    found = model.hessian_vector_product(x, y, v)
    largest = max(np.abs(theirs).max() for theirs in expected)
    for key, theirs in zip(values, expected, strict=True):
        limit = {"rtol": 0, "atol": (LIMIT if kinks else SMOOTH_LIMIT) * largest}
        np.testing.assert_allclose(found[key], theirs, err_msg=key, **limit)


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1e6])
def test_a_hessian_is_linear(rng: np.random.Generator, size: float) -> None:
    model, (x, y) = made(), data(rng, 30)
    v = direction(rng, model)
    one = model.hessian_vector_product(x, y, v)
    other = model.hessian_vector_product(x, y, {key: size * v[key] for key in v})
    for key in one:
        np.testing.assert_allclose(other[key], size * one[key], rtol=1e-6, atol=1e-9 * size)


def test_a_hessian_of_float32_is_computed_in_float64(rng: np.random.Generator) -> None:
    single, double = made(np.float32), made(np.float64)
    double.load_state_dict(single.state_dict())
    x, y = data(rng, 30)
    v = direction(rng, single)
    found, expected = (model.hessian_vector_product(x, y, v) for model in (single, double))
    for key in found:
        assert found[key].dtype == np.float32
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-6, atol=1e-9)
    zeros = {key: np.zeros_like(array) for key, array in v.items()}
    same(single.hessian_vector_product(x, y, zeros), {k: a.astype("f4") for k, a in zeros.items()})


def test_a_kink_is_told(rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1), dtype="float64")
    model.compile("sgd", "mse")
    model[0].bias[...] = 0  # and a row of zeros: every ReLU is at its kink
    x = np.vstack([np.zeros(3), rng.standard_normal((8, 3))])
    with pytest.warns(RuntimeWarning, match=r"^\[Sequential.hessian_vector_product\] the diff"):
        model.hessian_vector_product(x, np.ones(9), direction(rng, model))


def test_directions_that_do_not_fit(rng: np.random.Generator) -> None:
    model, (x, y) = made(), data(rng, 12)
    v = direction(rng, model)
    call = model.hessian_vector_product
    with pytest.raises(TypeError, match=r"^\[Sequential.hessian_vector_product\] v is \[1\]; exp"):
        call(x, y, [1])
    with pytest.raises(ValueError, match=r"missing: none; unexpected: 7.weight; the parameters"):
        call(x, y, v | {"7.weight": 1})
    with pytest.raises(ValueError, match=r"v\['0.bias'\] has shape \(4,\); expected \(9,\)"):
        call(x, y, v | {"0.bias": np.ones(4)})
    with pytest.raises(ValueError, match=r"v\['0.bias'\] has numbers that are not finite"):
        call(x, y, v | {"0.bias": np.full(9, np.inf)})
