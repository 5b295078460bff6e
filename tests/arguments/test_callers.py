# SPDX-License-Identifier: BSD-3-Clause
"""A failure begins with the name of the public call that the user made, whatever fails in it."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import nn, optim
from fastnn.callbacks import LambdaCallback
from fastnn.errors import ModelBusyError, TrainingDivergedError

if TYPE_CHECKING:
    from collections.abc import Callable

Model = nn.Sequential
X = np.random.default_rng(5).standard_normal((12, 3))
Y = X[:, :1] * 2
LISTS = X.tolist(), Y.tolist()  # the path with conversions


def made(lr: float = 0.01) -> Model:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    model.compile(optim.SGD(lr=lr), "mse")
    return model


def set_lr(model: Model, lr: float = 0.5) -> None:
    model.lr = lr


def set_layer(model: Model) -> None:
    model[1] = nn.ReLU()


def set_rate(model: Model) -> None:
    model[2].p = 0.25


# What is refused while another call trains the model: by the name in front of the message.
BUSY: dict[str, list[Callable[[Model], object]]] = {
    "Sequential.compile": [lambda m: m.compile("sgd", "mse")],
    "Sequential.fit": [lambda m: m.fit(X, Y), lambda m: m.fit(*LISTS)],
    "Sequential.fit_stream": [lambda m: m.fit_stream([(X, Y)])],
    "Sequential.train_step": [
        lambda m: m.train_step(X, Y),
        lambda m: m.train_step(*LISTS),
        lambda m: m.train_step(X, grad=Y),
    ],
    "Sequential.evaluate": [lambda m: m.evaluate(X, Y)],
    "Sequential.lr_find": [lambda m: m.lr_find(X, Y)],
    "Sequential.averaged": [lambda m: m.averaged().__enter__()],
    "Sequential.update_batch_norm": [lambda m: m.update_batch_norm(X)],
    "Sequential.predict": [lambda m: m.predict(X), lambda m: m.predict(LISTS[0])],
    "Sequential.forward": [lambda m: m.forward(X)],
    "Sequential.backward": [lambda m: m.backward(Y)],
    "Sequential.gradients": [lambda m: m.gradients()],
    "Sequential.clip_grad_norm": [lambda m: m.clip_grad_norm(1.0)],
    "Sequential.apply_gradients": [lambda m: m.apply_gradients()],
    "Sequential.loss_and_grad": [lambda m: m.loss_and_grad(X, Y)],
    "Sequential.input_gradient": [lambda m: m.input_gradient(X, Y)],
    "Sequential.diagnose": [lambda m: m.diagnose(X, Y)],
    "Sequential.jacobian": [lambda m: m.jacobian(X)],
    "Sequential.per_sample_gradients": [lambda m: m.per_sample_gradients(X, Y)],
    "Sequential.hessian_vector_product": [lambda m: m.hessian_vector_product(X, Y, {})],
    "Sequential.state_dict": [lambda m: m.state_dict()],
    "Sequential.load_state_dict": [lambda m: m.load_state_dict({})],
    "Sequential.save": [lambda m: m.save("unwritten.npz")],
    "Sequential.to_torch": [lambda m: m.to_torch()],
    "Sequential.to_onnx": [lambda m: m.to_onnx()],
    "Sequential.freeze": [lambda m: m.freeze()],
    "Sequential.unfreeze": [lambda m: m.unfreeze()],
    "Sequential.lr": [set_lr],
    "Sequential.append": [lambda m: m.append(nn.ReLU())],
    "Sequential.__setitem__": [set_layer],
    "Sequential": [lambda m: m[:1], lambda m: nn.Sequential(*m)],
    "Linear.freeze": [lambda m: m[0].freeze()],
    "BatchNorm1d.unfreeze": [lambda m: m[1].unfreeze()],
    "Linear.weight": [lambda m: m[0].weight],
    "BatchNorm1d.running_var": [lambda m: m[1].running_var],
    "Linear.values": [lambda m: m[0].values()],
    "Dropout": [set_rate],
    "copy of Sequential": [copy.deepcopy, pickle.dumps, copy.copy],
    "copy of Linear": [lambda m: copy.deepcopy(m[0]), lambda m: pickle.dumps(m[0])],
}
# They read or write nothing of the network that training changes.
FREE = {"stop", "summary", "predict_proba"}


@pytest.mark.parametrize("name", BUSY)
def test_a_model_that_is_being_trained(name: str) -> None:
    model = made()
    said = []

    def in_the_middle(_: int) -> Any:  # neither a callback nor its window
        for call in BUSY[name]:
            with pytest.raises(ModelBusyError) as caught:
                call(model)
            said.append(str(caught.value))
        return np.arange(len(X))

    model._network.fit(X, Y, orders=in_the_middle)
    assert len(said) == len(BUSY[name])
    for text in said:
        assert text.startswith(f"[{name}] the model is being trained by another call; wait for it")


def test_every_method_is_looked_at() -> None:
    methods = {
        name
        for name, _ in inspect.getmembers(Model, inspect.isfunction)
        if not name.startswith("_")
    }
    looked_at = {name.removeprefix("Sequential.") for name in BUSY}
    assert methods - looked_at - FREE == set()


def test_predict_proba() -> None:
    model = nn.Sequential(nn.Linear(3, 1))
    model.compile("sgd", "bce_with_logits")

    def in_the_middle(_: int) -> Any:
        with pytest.raises(ModelBusyError, match=r"^\[Sequential.predict_proba\] the model is"):
            model.predict_proba(X)
        return np.arange(len(X))

    model._network.fit(X, Y > 0, orders=in_the_middle)


DIVERGING: dict[str, list[Callable[[Model], object]]] = {
    "fit": [lambda m: m.fit(X, Y, epochs=30), lambda m: m.fit(*LISTS, epochs=30)],
    "train_step": [
        lambda m: [m.train_step(X, Y) for _ in range(30)],
        lambda m: [m.train_step(*LISTS) for _ in range(30)],
        lambda m: [m.train_step(X, grad=1e30 * Y) for _ in range(30)],
        lambda m: [m.train_step(LISTS[0], grad=1e30 * Y) for _ in range(30)],
    ],
    "apply_gradients": [
        lambda m: (m.loss_and_grad(X, Y), set_lr(m, 1e308), m.apply_gradients()),
    ],
}


@pytest.mark.parametrize("name", DIVERGING)
def test_training_that_diverges(name: str) -> None:
    for call in DIVERGING[name]:
        with pytest.raises(TrainingDivergedError) as caught:
            call(made(lr=1e30))
        assert str(caught.value).startswith(f"[Sequential.{name}] training diverged")


@pytest.mark.parametrize("name", ["forward", "loss_and_grad", "fit", "train_step"])
def test_statistics_that_are_not_finite(name: str) -> None:
    """With eps = 0, a column of equal values has no finite result."""
    model = nn.Sequential(nn.BatchNorm1d(3, eps=0), nn.Linear(3, 1))
    model.compile("sgd", "mse")
    given = (np.ones((12, 3)), True) if name == "forward" else (np.ones((12, 3)), Y)
    with pytest.raises(TrainingDivergedError) as caught:
        getattr(model, name)(*given)
    assert str(caught.value).startswith(f"[Sequential.{name}] training diverged")


def test_epochs_are_numbered_as_in_the_history() -> None:
    for first in (0, 7):
        model = made()
        model.fit(X, Y, epochs=5)
        model.lr = 1e30
        with pytest.raises(TrainingDivergedError, match=rf"diverged in epoch {first + 1}, batch 0"):
            model.fit(X, Y, initial_epoch=first, epochs=first + 9)
        assert model.history is not None
        assert model.history.epoch == [first]


def test_the_innermost_public_call_is_named() -> None:
    """What a callback does and does not catch is not the fault of fit."""
    model, other = made(), made(lr=1e30)

    def diverge(*_: object) -> None:
        for _step in range(30):
            other.train_step(X, Y)

    with pytest.raises(
        TrainingDivergedError, match=r"^\[Sequential.train_step\] training diverged"
    ):
        model.fit(X, Y, callbacks=[LambdaCallback(on_epoch_end=diverge)])


def test_an_exception_can_be_pickled() -> None:
    with pytest.raises(TrainingDivergedError) as caught:
        made(lr=1e30).fit(X, Y, epochs=30)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
