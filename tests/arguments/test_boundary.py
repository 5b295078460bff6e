# SPDX-License-Identifier: BSD-3-Clause
"""Bad input is refused, and the message says where, what came and what was expected."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fn
from fastnn import nn

N, COLUMNS = 20, 4


@pytest.fixture
def x(rng):
    return rng.standard_normal((N, COLUMNS)).astype(np.float32)


@pytest.fixture
def y(rng):
    return rng.integers(0, 3, N)


def classifier():
    model = nn.Sequential(nn.Linear(COLUMNS, 3))
    model.compile("sgd", "cross_entropy", metrics=["accuracy"])
    return model


def regressor(k=1):
    model = nn.Sequential(nn.Linear(COLUMNS, k))
    model.compile("sgd", "mse")
    return model


CALLS = {
    "fit": lambda m, x, y: m.fit(x, y),
    "evaluate": lambda m, x, y: m.evaluate(x, y),
    "train_step": lambda m, x, y: m.train_step(x, y),
    "loss_and_grad": lambda m, x, y: m.loss_and_grad(x, y),
    "predict": lambda m, x, _: m.predict(x),
    "forward": lambda m, x, _: m.forward(x),
}
TARGET_CALLS = ["fit", "evaluate", "train_step", "loss_and_grad"]

MASKED = np.ma.masked_array(np.ones((N, COLUMNS)), mask=np.eye(N, COLUMNS, dtype=bool))

BAD_X = [
    (np.ones((N, 3)), ValueError, "X has 3 columns, the model expects 4"),
    (np.ones(COLUMNS), ValueError, r"X has shape \(4,\); expected \(n, 4\); one row is X.reshape"),
    (np.ones((2, 2, 4)), ValueError, r"X has shape \(2, 2, 4\); expected \(n, 4\); put nn.Flatten"),
    (np.float64(3), ValueError, r"X has shape \(\); expected \(n, 4\)"),
    (np.ones((N, COLUMNS), object), TypeError, "X has dtype object; expected bool, integers"),
    (np.ones((N, COLUMNS), complex), TypeError, "X has dtype complex128; expected"),
    (np.full((N, COLUMNS), "a"), TypeError, "X has dtype <U1; expected"),
    (np.zeros((N, COLUMNS), "M8[s]"), TypeError, r"X has dtype datetime64\[s\]; expected"),
    (np.zeros((N, COLUMNS), "f4,f4"), TypeError, "X has dtype .*; expected"),
    (np.ones((N, COLUMNS), np.longdouble), TypeError, "X has dtype float128; expected"),
    (MASKED, ValueError, "X has masked cells; expected an array without them"),
    ([[1, 2, 3, 4], [1, 2]], ValueError, "X is no rectangular array of numbers"),
    (None, TypeError, "X has dtype object; expected"),
    ("iris.csv", TypeError, "X has dtype <U8; expected"),
    ({"a": 1}, TypeError, "X has dtype object; expected"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("bad", "kind", "text"), BAD_X)
def test_bad_x(call, bad, kind, text, y):
    with pytest.raises(kind, match=rf"^\[Sequential\.{call}\] {text}"):
        CALLS[call](classifier(), bad, y)


@pytest.mark.parametrize("call", TARGET_CALLS)
@pytest.mark.parametrize(
    ("bad", "kind", "text"),
    [
        (
            np.zeros((N, 4)),
            ValueError,
            r"y has shape \(20, 4\); CrossEntropyLoss expects class ind",
        ),
        (np.zeros(N - 1, int), ValueError, "y has 19 rows, X has 20"),
        (np.full(N, "cat"), TypeError, "y has dtype <U3; expected"),
        (None, TypeError, "y has dtype object; expected"),
    ],
)
def test_bad_classes(call, bad, kind, text, x):
    if call == "train_step" and bad is None:
        kind, text = ValueError, "got neither; expected y or grad"
    if call in ("fit", "evaluate") and bad is None:
        kind, text = ValueError, r"y was not given, so the targets are X, which has shape \(20, 4\)"
    with pytest.raises(kind, match=rf"^\[Sequential\.{call}\] {text}"):
        CALLS[call](classifier(), x, bad)


@pytest.mark.parametrize("call", TARGET_CALLS)
@pytest.mark.parametrize("bad", [3, -1, 2**40, 0.5])
def test_classes_out_of_range(call, bad, x, y):
    model = classifier()
    before = model[0].weight.copy()
    targets = y.astype(np.result_type(bad, np.int64) if bad != 0.5 else float)
    targets[7] = bad
    with pytest.raises(
        ValueError, match=r"y has .* at row 7, column 0; expected class numbers 0 to 2"
    ):
        CALLS[call](model, x, targets)
    np.testing.assert_array_equal(model[0].weight, before)


@pytest.mark.parametrize("call", TARGET_CALLS)
def test_bad_numbers(call, x):
    with pytest.raises(
        ValueError, match=r"y has shape \(20, 2\); MSELoss on 1 output expects \(20,"
    ):
        CALLS[call](regressor(), x, np.zeros((N, 2)))
    with pytest.raises(
        ValueError, match=r"y has shape \(20,\); MSELoss on 2 outputs expects \(20, 2"
    ):
        CALLS[call](regressor(2), x, np.zeros(N))


@pytest.mark.parametrize("call", TARGET_CALLS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(call, value, x, y):
    model = classifier()
    before = model[0].weight.copy()
    x[5, 2] = value
    with pytest.raises(ValueError, match=r"X.*5.*2"):
        CALLS[call](model, x, y)
    x[5, 2] = 0
    target = np.zeros(N)
    target[3] = value
    with pytest.raises(ValueError, match=r"y.*3"):
        CALLS[call](regressor(), x, target)
    np.testing.assert_array_equal(model[0].weight, before)
    CALLS[call](model, x, y)


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_step", "loss_and_grad"])
def test_no_rows(call, x, y):
    with pytest.raises(ValueError, match=rf"^\[Sequential.{call}\] X has no rows; expected"):
        CALLS[call](classifier(), x[:0], y[:0])


@pytest.mark.parametrize("call", TARGET_CALLS)
def test_not_compiled(call, x, y):
    with pytest.raises(ValueError, match=rf"^\[Sequential.{call}\] the model is not compiled"):
        CALLS[call](nn.Sequential(nn.Linear(COLUMNS, 3)), x, y)


@pytest.mark.parametrize("call", CALLS)
def test_no_layers(call, x, y):
    with pytest.raises(ValueError, match=rf"^\[Sequential.{call}\] no layer of the model"):
        CALLS[call](nn.Sequential(nn.ReLU()), x, y)


@pytest.mark.parametrize("call", ["fit", "evaluate", "train_step", "loss_and_grad"])
@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (np.ones(N - 1), "sample_weight has 19 rows, X has 20"),
        (np.ones((N, 2)), r"sample_weight has shape \(20, 2\); expected \(20,\)"),
        (
            np.eye(1, N)[0] * -1,
            "sample_weight has -1 at row 0, column 0; expected finite numbers of at least 0",
        ),
        (np.where(np.arange(N) == 4, np.nan, 1), "sample_weight has nan at row 4, column 0; exp"),
        (np.zeros(N), "sample_weight is zero for all rows; expected a positive one"),
    ],
)
def test_bad_sample_weight(call, weights, text, x, y):
    model = classifier()
    if call == "train_step" and not weights.any():
        # Batches of fit may weigh nothing as well: nothing happens.
        assert model.train_step(x, y, sample_weight=weights) == 0
        return
    with pytest.raises(ValueError, match=text):
        getattr(model, call)(x, y, sample_weight=weights)


@pytest.mark.parametrize(
    ("kwargs", "kind", "text"),
    [
        ({"batch_size": 0}, ValueError, "batch_size is 0; expected an integer of at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size is 2.5; expected an integer of at least 1"),
        ({"batch_size": True}, TypeError, "batch_size is True; expected an integer"),
        ({"epochs": -1}, ValueError, "epochs is -1; expected"),
        ({"epochs": "5"}, TypeError, "epochs is '5'; expected"),
        ({"initial_epoch": -1}, ValueError, "initial_epoch is -1; expected"),
        ({"n_threads": 0}, ValueError, "n_threads is 0; expected an integer of at least 1"),
        ({"shuffle": "batch"}, TypeError, "shuffle is 'batch'; expected True or False"),
        ({"verbose": 3}, ValueError, "verbose is 3; expected 0 "),
        ({"validation_split": 1.0}, ValueError, "validation_split is 1.0; expected"),
        ({"validation_split": 0.999}, ValueError, "validation_split = 0.999 of 20 rows leaves"),
        ({"validation_data": 3}, ValueError, "validation_data is no pair"),
        ({"validation_data": (np.ones((2, 3)), [0, 1])}, ValueError, "validation X has 3 columns"),
        ({"validation_data": (np.ones((2, 4)), [0])}, ValueError, "validation y has 1 rows"),
        ({"class_weight": {3: 1.0}}, ValueError, "class_weight names class 3; the model has 3"),
        ({"class_weight": {0: -1.0}}, ValueError, r"class_weight\[0\] is -1.0; expected"),
        ({"class_weight": "balanced"}, TypeError, "class_weight is 'balanced'; expected a dict"),
        ({"callbacks": [print]}, TypeError, "callbacks has .*; expected"),
    ],
)
def test_bad_settings_of_fit(kwargs, kind, text, x, y):
    with pytest.raises(kind, match=rf"^\[Sequential.fit\] {text}"):
        classifier().fit(x, y, **kwargs)


def test_class_weight_needs_classes(x):
    with pytest.raises(ValueError, match="class_weight needs one class a row; MSELoss"):
        regressor().fit(x, np.zeros(N), class_weight={0: 1.0})


def test_bad_own_loops(x, y):
    model = classifier()
    with pytest.raises(ValueError, match=r"\[Sequential.train_step\] got both; expected y or grad"):
        model.train_step(x, y, grad=np.zeros((N, 3)))
    with pytest.raises(ValueError, match=r"grad has shape \(20, 2\); expected \(20, 3\)"):
        model.train_step(x, grad=np.zeros((N, 2)))
    with pytest.raises(ValueError, match="grad has 19 rows, X has 20"):
        model.train_step(x, grad=np.zeros((N - 1, 3)))
    with pytest.raises(ValueError, match="sample_weight came with grad"):
        model.train_step(x, grad=np.zeros((N, 3)), sample_weight=np.ones(N))
    with pytest.raises(ValueError, match=r"\[Sequential.backward\] dout has shape \(3,\)"):
        model.backward(np.zeros(3))
    with pytest.raises(ValueError, match="max_norm is 0; expected a finite number above 0"):
        model.clip_grad_norm(0)
    with pytest.raises(ValueError, match="out"):
        model.predict(x, out=np.zeros((N, 3), np.float32)[:-1])
    read_only = np.zeros((N, 3), np.float32)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        model.predict(x, out=read_only)


def test_bad_calls_of_losses(y):
    with pytest.raises(ValueError, match=r"\[CrossEntropyLoss\] out has shape \(\); expected"):
        nn.CrossEntropyLoss()(3.0, y)
    with pytest.raises(ValueError, match=r"\[MSELoss\] target has shape \(2, 2\); MSELoss on 1"):
        nn.MSELoss()(np.zeros((2, 1)), np.zeros((2, 2)))


def test_bad_batches(x, y):
    # refused at the call, before the first batch is asked for
    with pytest.raises(ValueError, match=r"\[batches\] y has 3 rows, X has 20"):
        fn.data.batches(x, y[:3])
    with pytest.raises(ValueError, match=r"\[batches\] batch_size is 0"):
        fn.data.batches(x, batch_size=0)


def test_good_things_that_look_odd(x, y):
    model = classifier()
    assert model.evaluate(np.ma.masked_array(x), y) == model.evaluate(x, y)
    assert model.evaluate(x[::-1][::-1], y.astype(np.uint8)) == model.evaluate(x, y)
    assert model.evaluate(x, y.astype(float)) == model.evaluate(x, y)
    read_only = x.copy()
    read_only.flags.writeable = False
    model.fit(read_only, y)
    model.fit(np.asfortranarray(x), y)
    assert isinstance(model.train_step(np.ma.masked_array(x), y), float)
