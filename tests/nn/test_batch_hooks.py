# SPDX-License-Identifier: BSD-3-Clause
"""Hooks of batches see every batch, change no bit unless they mean to, and cost nobody else."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import _core, nn, optim
from fastnn import callbacks as cb
from fastnn.callbacks._callback import overrides


@pytest.fixture
def data(rng):
    return rng.standard_normal((50, 6)), rng.integers(0, 3, 50)


def compiled(optimizer=None, **more):
    model = nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3), **more
    )
    model.compile(optimizer or optim.Adam(lr=0.01), "cross_entropy")
    return model


class Recorder(cb.Callback):
    def __init__(self):
        self.calls = []

    def on_epoch_begin(self, epoch):
        self.calls.append(("epoch", epoch))

    def on_train_batch_begin(self, batch):
        self.calls.append(("begin", batch))

    def on_train_batch_end(self, batch, logs):
        assert list(logs) == ["loss"]
        self.calls.append(("end", batch))

    def on_epoch_end(self, epoch, logs):
        self.calls.append(("epoch end", epoch))


def values(model):
    return {key: value.tobytes() for key, value in model.state_dict().items()}


def test_order_of_the_hooks(data):
    seen = Recorder()
    compiled().fit(*data, batch_size=20, epochs=2, callbacks=[seen])
    one = [(what, batch) for batch in range(3) for what in ("begin", "end")]
    assert seen.calls == [
        *[("epoch", 0), *one, ("epoch end", 0)],
        *[("epoch", 1), *one, ("epoch end", 1)],
    ]
    seen.calls.clear()
    compiled().fit(*data, batch_size=20, drop_last=True, callbacks=[seen])
    assert len(seen.calls) == 6


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
@pytest.mark.parametrize("n_threads", [None, 1, 3])
def test_bits_are_those_without_hooks(data, hook, n_threads):
    plain, seen = compiled(), compiled()
    calls = []
    callback = cb.LambdaCallback(**{hook: lambda *given: calls.append(given)})
    more = {"batch_size": 16, "epochs": 3, "validation_split": 0.2, "n_threads": n_threads}
    a = plain.fit(*data, **more)
    b = seen.fit(*data, **more, callbacks=callback)
    assert len(calls) == 9
    assert values(plain) == values(seen)
    assert (a.history, a.epoch, a.steps) == (b.history, b.epoch, b.steps)


def test_losses_of_the_batches_are_those_of_train_step(data):
    losses = []
    keep = cb.LambdaCallback(on_train_batch_end=lambda _, logs: losses.append(logs["loss"]))
    model, twin = compiled(), compiled()
    model.fit(*data, batch_size=20, epochs=2, shuffle=False, callbacks=keep)
    x, y = data
    steps = [twin.train_step(x[k : k + 20], y[k : k + 20]) for _ in range(2) for k in (0, 20, 40)]
    assert losses == steps


def test_a_learning_rate_set_for_each_batch(data):
    rates = [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]
    left, read = list(rates), []
    model, twin = (compiled(optim.SGD(lr=1.0, momentum=0.9)) for _ in range(2))

    def begin(_):
        read.append(model.lr)
        model.lr = left.pop(0)

    model.fit(
        *data,
        batch_size=20,
        epochs=2,
        shuffle=False,
        callbacks=cb.LambdaCallback(on_train_batch_begin=begin),
    )
    assert read == [1.0, *rates[:-1]]
    x, y = data
    for step, rate in enumerate(rates):
        twin.lr = rate
        k = 20 * (step % 3)
        twin.train_step(x[k : k + 20], y[k : k + 20])
    assert values(model) == values(twin)


def test_values_and_predictions_are_those_of_the_batch(data):
    x, y = data
    model, twin = compiled(), compiled()
    taken = []

    def end(batch, _):
        taken.append((values(model), model.predict(x[:3]).tobytes()))

    model.fit(
        x, y, batch_size=20, shuffle=False, callbacks=cb.LambdaCallback(on_train_batch_end=end)
    )
    for k, (state, predicted) in zip((0, 20, 40), taken, strict=True):
        twin.train_step(x[k : k + 20], y[k : k + 20])
        assert state == values(twin)
        assert predicted == twin.predict(x[:3]).tobytes()


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
def test_stop_training_cuts_the_epoch_short(data, hook):
    """As in Keras: the epoch ends with what it has, and fit with it."""
    x, y = data
    model, twin = compiled(), compiled()
    seen = Recorder()

    def at(batch, *_):
        model.stop_training = len(model.history.epoch) == 1 and batch == 1

    stop = cb.LambdaCallback(**{hook: at})
    history = model.fit(
        x,
        y,
        batch_size=20,
        epochs=9,
        shuffle=False,
        validation_data=data,
        callbacks=[seen, stop],
    )
    assert seen.calls[-2:] == [("end", 1), ("epoch end", 1)]
    assert (history.epoch, history.steps) == ([0, 1], 5)
    losses = [twin.train_step(x[k : k + 20], y[k : k + 20]) for k in (0, 20, 40, 0, 20)]
    assert values(model) == values(twin)
    np.testing.assert_allclose(history.history["loss"][1], np.mean(losses[3:]), rtol=1e-6)
    assert history.history["val_loss"][1] == twin.evaluate(*data)["loss"]
    assert model.fit(*data, epochs=2).epoch == [0, 1]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
def test_stop_ends_fit_without_the_epoch(data, hook, batch):
    model, ended = compiled(), []
    stop = cb.LambdaCallback(
        on_epoch_end=lambda epoch, _: ended.append(epoch),
        on_train_end=lambda: ended.append("train"),
        **{hook: lambda number, *_: model.stop() if ended and number == batch else None},
    )
    history = model.fit(*data, batch_size=20, epochs=9, callbacks=[stop])
    assert history.epoch == [0]
    assert ended == [0, "train"]
    assert history.steps == 3 + batch + (hook == "on_train_batch_end")


@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
def test_a_hook_that_raises_leaves_whole_steps(data, hook):
    x, y = data
    model, twin = compiled(), compiled()

    def fail(batch, *_):
        if len(model.history.epoch) == 1 and batch == 1:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        model.fit(
            x,
            y,
            batch_size=20,
            epochs=9,
            shuffle=False,
            callbacks=cb.LambdaCallback(**{hook: fail}),
        )
    assert model.history.epoch == [0]
    steps = (0, 20, 40, 0) + ((20,) if hook == "on_train_batch_end" else ())
    for k in steps:
        twin.train_step(x[k : k + 20], y[k : k + 20])
    assert values(model) == values(twin)
    assert model.train_step(x[:20], y[:20]) == twin.train_step(x[:20], y[:20])
    assert values(model) == values(twin)  # state and counts of the optimizer, too
    assert model.fit(*data).epoch == [0]


def test_nobody_is_called_who_has_no_hook(data, monkeypatch):
    """The core is given nothing to call, and so goes through whole epochs."""
    given = []

    class Network:
        def __init__(self, network):
            self._network = network

        def __getattr__(self, name):
            return getattr(self._network, name)

        def fit(self, *args, **kwargs):
            given.append(kwargs["on_batch"])
            return self._network.fit(*args, **kwargs)

    model = compiled()
    monkeypatch.setattr(model._tree, "network", Network(model._tree.network))
    model.fit(*data, callbacks=[cb.LambdaCallback(on_epoch_end=print), cb.ProgressBar(bar=False)])
    model.fit(*data, callbacks=[cb.LambdaCallback(on_train_batch_begin=lambda _: None)])
    assert given[0] is None
    assert given[1] is not None


def test_which_hooks_are_the_users():
    class Mine(cb.Callback):
        def on_train_batch_end(self, batch, logs):
            pass

    assert overrides(Mine(), "on_train_batch_end")
    assert not overrides(Mine(), "on_train_batch_begin")
    assert overrides(cb.LambdaCallback(on_train_batch_begin=print), "on_train_batch_begin")
    assert not overrides(cb.LambdaCallback(), "on_train_batch_begin")


def test_the_core_wants_an_answer():
    network = _core.Network([("linear", {"in_features": 1, "out_features": 1})])
    network.compile("mse", {}, "sgd", {})
    x = np.ones((4, 1))
    with pytest.raises(TypeError, match=r"\[fit\] on_batch returned None; expected True or False"):
        network.fit(x, x, on_batch=lambda *_: None, batch_size=2, epochs=1)
