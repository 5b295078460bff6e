# SPDX-License-Identifier: BSD-3-Clause
"""A model of Keras and the one made from it compute the same, for every activation and layer that
both have, and go on training the same; everything else is refused by name."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from exchanged import N_IN, WIDTH, agree, both_dtypes, rows
from fastnn import nn, optim
from members import names


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, which computes in float64 where its weights are.

    Unless its backend is TensorFlow, Keras 3 makes float32 of the products of float64 tensors.
    """
    module = pytest.importorskip("keras", exc_type=ImportError)
    if module.backend.backend() != "torch":
        pytest.skip(f"the backend of Keras is {module.backend.backend()}; these tests need torch")
    from keras.src.backend.common import dtypes

    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    module.utils.set_random_seed(4)
    yield module
    set_dtype(module, "float32")


def set_dtype(keras: Any, dtype: str) -> None:
    """Of all layers that are made from now on."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


def chain(keras: Any, *layers: Any, shape: tuple[int, ...] = (N_IN,)) -> Any:
    model = keras.Sequential([keras.Input(shape), *layers])
    for weight in model.weights:  # off their initial zeros and ones
        if "float" in weight.dtype:
            noise = keras.random.uniform(weight.shape, -0.5, 0.5, dtype=weight.dtype)
            weight.assign_add(noise + (1 if "variance" in weight.path else 0))
    return model


def check(keras: Any, theirs: Any, x: np.ndarray, dtype: str) -> nn.Sequential:
    """Compare outputs, and return the model."""
    model = nn.from_keras(theirs)
    assert model.dtype == dtype
    agree(model.predict(x), theirs(x, training=False).detach(), dtype)
    return model


# -- activations -----------------------------------------------------------------------------------


def keras_activations(keras: Any) -> dict[str, Any]:
    found = {n: getattr(keras.activations, n) for n in dir(keras.activations)}
    return {n: f for n, f in found.items() if getattr(f, "__name__", "") == n}


@both_dtypes
def test_activations(keras: Any, rng: np.random.Generator, dtype: str) -> None:
    """As an argument of Dense, as a layer, and refused where they do not exist here."""
    set_dtype(keras, dtype)
    x, known = rows(rng, dtype) / 8, set()  # exp of exp is finite
    for name, function in keras_activations(keras).items():
        if name in ("get", "serialize", "deserialize", "glu", "threshold"):
            continue
        dense = keras.layers.Dense(WIDTH, activation=name)
        theirs = chain(keras, dense, keras.layers.Activation(function), keras.layers.Dense(2))
        try:
            model = check(keras, theirs, x, dtype)
        except ValueError as error:
            assert str(error).startswith("[from_keras] layer 'dense")  # noqa: PT017
            continue
        known |= {layer.registry_name for layer in model}
    missing = set(names("activations")) - known - NOT_IN_KERAS
    assert not missing, "activations here that no name of Keras leads to"


# Keras' "linear" is left out, and step has no name there.
NOT_IN_KERAS = {"identity", "step"}


@both_dtypes
def test_activation_layers(keras: Any, rng: np.random.Generator, dtype: str) -> None:
    set_dtype(keras, dtype)
    layers, x = keras.layers, rows(rng, dtype)
    for layer in (
        layers.ReLU(),
        layers.ReLU(negative_slope=0.25),
        layers.ReLU(max_value=2.0),
        layers.ELU(alpha=0.5),
        layers.Softmax(),
        layers.LeakyReLU(),
        layers.LeakyReLU(negative_slope=0.125),
        layers.Activation("linear"),
        layers.Identity(),
        layers.Dropout(0.4),
    ):
        check(keras, chain(keras, layers.Dense(WIDTH, activation=layer), layers.Dense(2)), x, dtype)
        check(keras, chain(keras, layers.Dense(WIDTH), layer, layers.Dense(2)), x, dtype)


@both_dtypes
@pytest.mark.parametrize("as_layer", [True, False])
def test_softmax_at_the_end(
    keras: Any, rng: np.random.Generator, dtype: str, as_layer: bool
) -> None:
    """It is the link of the loss: predict gives probabilities, forward what the softmax reads."""
    set_dtype(keras, dtype)
    layers, x = keras.layers, rows(rng, dtype)
    end = [layers.Dense(3), layers.Softmax()] if as_layer else [layers.Dense(3, "softmax")]
    model = check(keras, chain(keras, layers.Dense(WIDTH, "relu"), *end), x, dtype)
    assert type(model.loss) is nn.CrossEntropyLoss
    assert type(model[-1]) is nn.Linear


# -- layers ----------------------------------------------------------------------------------------


@both_dtypes
def test_layers(keras: Any, rng: np.random.Generator, dtype: str) -> None:
    set_dtype(keras, dtype)
    layers, x = keras.layers, rows(rng, dtype)
    for layer in (
        layers.Dense(WIDTH, use_bias=False),
        layers.BatchNormalization(),
        layers.BatchNormalization(axis=1, momentum=0.75, epsilon=1e-4),
        layers.LayerNormalization(),
        layers.LayerNormalization(epsilon=1e-5, center=False),
        layers.LayerNormalization(center=False, scale=False),
        layers.RMSNormalization(),
        layers.PReLU(),
        layers.PReLU(shared_axes=[1]),
        layers.GaussianNoise(0.3),
    ):
        check(keras, chain(keras, layers.Dense(WIDTH), layer, layers.Dense(2)), x, dtype)


def test_conventions(keras: Any) -> None:
    layers = keras.layers
    theirs = chain(keras, layers.Dense(5, "tanh"), layers.BatchNormalization(momentum=0.9))
    model = nn.from_keras(theirs)
    np.testing.assert_array_equal(model[0].weight, theirs.layers[0].kernel.value.detach().T)
    assert (model[2].eps, model[2].momentum) == (1e-3, 0.1)
    theirs.layers[0].trainable = False
    assert [layer.frozen for layer in nn.from_keras(theirs) if hasattr(layer, "frozen")] == [
        True,
        False,
    ]
    kept = model[0].weight.copy()
    theirs.layers[0].kernel.assign(0 * theirs.layers[0].kernel)
    np.testing.assert_array_equal(model[0].weight, kept)


@both_dtypes
def test_input_preparation(keras: Any, rng: np.random.Generator, dtype: str) -> None:
    set_dtype(keras, dtype)
    layers, x = keras.layers, rows(rng, dtype)
    check(keras, chain(keras, layers.Rescaling(1 / 16, offset=-0.5), layers.Dense(2)), x, dtype)
    scales = list(np.linspace(0.1, 1, N_IN))
    check(keras, chain(keras, layers.Rescaling(scales), layers.Dense(2)), x, dtype)
    for invert in (False, True):
        normal = layers.Normalization(invert=invert)
        normal.adapt(3 * x + 1)
        model = check(keras, chain(keras, normal, layers.Dense(2)), x, dtype)
        assert isinstance(model[0], nn.Rescale if invert else nn.Standardize)
    given = layers.Normalization(mean=0.5, variance=0.0, axis=None)  # std at least epsilon
    check(keras, chain(keras, given, layers.Dense(2)), x, dtype)


@both_dtypes
def test_pictures(keras: Any, rng: np.random.Generator, dtype: str) -> None:
    """Factors by channel become factors by column."""
    set_dtype(keras, dtype)
    layers = keras.layers
    x = rng.integers(0, 256, (7, 4, 5, 3)).astype(dtype)
    for prepared in (
        layers.Rescaling(1 / 255),
        layers.Rescaling([0.25, 0.5, 1.0], [0.0, 1.0, 2.0]),
    ):
        theirs = chain(keras, prepared, layers.Flatten(), layers.Dense(2), shape=(4, 5, 3))
        check(keras, theirs, x, dtype)
    normal = layers.Normalization()
    normal.adapt(x)
    theirs = chain(keras, normal, layers.Flatten(), layers.Dense(2), shape=(4, 5, 3))
    check(keras, theirs, x, dtype)


def test_structures(keras: Any, rng: np.random.Generator) -> None:
    """Sequential and functional models inside each other, and layers alone."""
    layers, x = keras.layers, rows(rng, "float32")
    start = keras.Input((N_IN,))
    inner = chain(keras, layers.Dense(WIDTH, "relu"), layers.Dropout(0.2))
    middle = layers.BatchNormalization()(inner(start))
    functional = keras.Model(start, layers.Dense(2)(middle))
    model = check(keras, functional, x, "float32")
    assert [type(layer).__name__ for layer in model] == [
        *("Linear", "ReLU", "Dropout", "BatchNorm1d", "Linear")
    ]
    shared = layers.Dense(N_IN)  # also used elsewhere, which does not matter
    shared(keras.Input((N_IN,)))
    outer = keras.Sequential([keras.Input((N_IN,)), shared, keras.Model(start, shared(start))])
    with pytest.raises(ValueError, match="is in two places; expected one each, since tied weights"):
        nn.from_keras(outer)
    check(keras, keras.Model(start, shared(start)), x, "float32")
    check(keras, shared, x, "float32")
    assert nn.from_keras(shared, dtype="float64", seed=5).dtype == "float64"


# -- training goes on ------------------------------------------------------------------------------


def test_training_goes_on(keras: Any, rng: np.random.Generator) -> None:
    """Five steps of SGD in float64. Keras' moving variance is of another formula (1/n)."""
    set_dtype(keras, "float64")
    layers, lr, momentum = keras.layers, 0.0625, 0.875  # exact in float32, as Keras keeps them
    theirs = chain(
        keras,
        layers.Dense(WIDTH, "tanh"),
        layers.BatchNormalization(),
        layers.Dense(WIDTH, "softplus"),
        layers.LayerNormalization(),
        layers.Dense(3),
    )
    model = nn.from_keras(theirs)
    model.compile(optim.SGD(lr=lr, momentum=momentum), "cross_entropy")
    theirs.compile(
        keras.optimizers.SGD(lr, momentum=momentum),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    before = {key: value.copy() for key, value in model.state_dict().items()}
    for _ in range(5):
        x, y = rng.standard_normal((32, N_IN)), rng.integers(0, 3, 32)
        theirs.train_on_batch(x, y)
        model.train_step(x, y)
    trained = nn.from_keras(theirs).state_dict()
    for key, value in model.state_dict().items():
        if not key.endswith(("running_var", "num_batches_tracked")):
            assert abs(value - before[key]).max() > 1e-3
            np.testing.assert_allclose(value, trained[key], rtol=1e-9, atol=1e-10, err_msg=key)


# -- refusals --------------------------------------------------------------------------------------


def refused(keras: Any) -> list[tuple[Any, str]]:
    """Models and what the message about them says."""
    layers = keras.layers

    class Own(layers.Dense):
        def call(self, x: Any) -> Any:
            return 2 * super().call(x)

    class Subclass(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.inner(x)

    subclass = Subclass()
    subclass(np.zeros((1, N_IN)))
    start = keras.Input((N_IN,))
    dense = layers.Dense(N_IN)(start)
    two = keras.Model([start, keras.Input((2,))], dense)
    norm, dense_of = layers.BatchNormalization, layers.Dense
    pictures = (4, 4, 3)
    return [
        (chain(keras, layers.Conv2D(2, 2), layers.Flatten(), shape=pictures), "a Conv2D; expected"),
        (chain(keras, Own(2)), "layer 'own' is a Own; expected one of Activation, BatchNorm"),
        (subclass, "is a Subclass, whose call cannot be read"),
        (keras.Model(start, layers.Add()([start, dense])), "layer 'add.*is a Add of 2 tensors"),
        (keras.Model(start, keras.ops.relu(dense)), "is the operation Relu; expected layers alone"),
        (two, "has 2 inputs and 1 outputs; expected one each"),
        (chain(keras, dense_of(3), dense_of(2), shape=(5, 4)), r"gets rows of shape \(5, 4\)"),
        (chain(keras, norm(scale=False)), r"\(BatchNormalization\) has scale=False; expected True"),
        (chain(keras, norm(axis=2), layers.Flatten(), shape=(5, 4)), "gets rows of shape"),
        (chain(keras, layers.LayerNormalization(scale=False)), "has center=True; expected False"),
        (chain(keras, layers.ReLU(threshold=1.0)), "has threshold=1.0; expected 0, the only"),
        (chain(keras, layers.Dropout(0.5, noise_shape=(None, 1))), "has noise_shape="),
        (chain(keras, dense_of(2, activation=lambda x: x)), "has the activation <function.*expe"),
        (
            chain(keras, dense_of(2, activation="sparsemax")),
            "'sparsemax', which does not exist here",
        ),
        (chain(keras, dense_of(2), layers.Rescaling(2.0)), "prepares the input; expected before"),
        (
            keras.Sequential([layers.Dense(2)]),
            "is not built and has no values; expected a keras.In",
        ),
        (layers.Dense(2), "is not built and has no values"),
    ]


def test_refusals(keras: Any) -> None:
    for model, message in refused(keras):
        with pytest.raises(ValueError, match=rf"(?s)^\[.*{message}"):
            nn.from_keras(model)


def test_dtypes(keras: Any) -> None:
    layers = keras.layers
    half = chain(keras, layers.Dense(2, dtype="bfloat16"))
    with pytest.raises(ValueError, match="the weights are bfloat16; expected float32 or float64"):
        nn.from_keras(half)
    assert nn.from_keras(half, dtype="float32").dtype == "float32"


@pytest.mark.parametrize("given", [None, 3, "model.keras", nn.Linear(2, 2)])
def test_what_is_no_model(keras: Any, given: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^\[from_keras\] got .*; expected a keras.Model or a layer"
    ):
        nn.from_keras(given)


def test_without_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError, match=r"^\[from_keras\] needs keras, .*: pip install keras$"):
        nn.from_keras(3)
