# SPDX-License-Identifier: BSD-3-Clause
"""Callbacks are called when they should be, and those of the package do what they promise."""

from __future__ import annotations

import inspect
import re
import sys
import threading

import numpy as np
import pytest

from fastnn import ModelBusyError, nn, optim
from fastnn import callbacks as cb
from fastnn._protocols import ModelInTraining


@pytest.fixture
def data(rng):
    x = rng.standard_normal((40, 3))
    return x, x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.standard_normal(40)


@pytest.fixture
def model():
    model = nn.Sequential(nn.Linear(3, 1), dtype=np.float64)
    model.compile(optim.SGD(lr=0.05), "mse")
    return model


def test_callbacks_know_every_property_of_the_model():
    properties = {
        name
        for name in dir(nn.Sequential)
        if isinstance(inspect.getattr_static(nn.Sequential, name), property) and name[0] != "_"
    }
    assert "lr" in properties
    assert properties <= {*dir(ModelInTraining), *ModelInTraining.__annotations__}


class Recorder(cb.Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self):
        self.calls.append("train_begin")

    def on_epoch_begin(self, epoch):
        self.calls.append(("begin", epoch))

    def on_epoch_end(self, epoch, logs):
        assert self.model.history.epoch[-1] == epoch
        self.calls.append(("end", epoch, sorted(logs)))

    def on_train_end(self):
        self.calls.append("train_end")


def test_order_of_the_hooks(model, data):
    recorder = Recorder()
    model.fit(*data, epochs=4, initial_epoch=2, validation_split=0.5, callbacks=[recorder])
    assert recorder.calls == [
        "train_begin",
        ("begin", 2),
        ("end", 2, ["loss", "val_loss"]),
        ("begin", 3),
        ("end", 3, ["loss", "val_loss"]),
        "train_end",
    ]
    assert recorder.params["metrics"] == ["loss", "val_loss"]
    assert recorder.params["epochs"] == 4


def test_callbacks_change_no_result(model, data):
    twin = nn.Sequential(nn.Linear(3, 1), dtype=np.float64)
    twin.compile(optim.SGD(lr=0.05), "mse")
    a = model.fit(*data, epochs=5)
    b = twin.fit(*data, epochs=5, callbacks=[Recorder()])
    assert a.history == b.history
    assert a.epoch == b.epoch
    np.testing.assert_array_equal(model[0].weight, twin[0].weight)


def test_stop_training(model, data):
    recorder = Recorder()
    stop = cb.LambdaCallback(
        on_epoch_end=lambda epoch, _: setattr(model, "stop_training", epoch == 1)
    )
    history = model.fit(*data, epochs=10, callbacks=[stop, recorder])
    assert history.epoch == [0, 1]
    assert recorder.calls[-2:] == [("end", 1, ["loss"]), "train_end"]
    assert model.fit(*data, epochs=2).epoch == [0, 1]  # the wish is forgotten


def test_an_exception_ends_fit_and_leaves_the_model_usable(model, data):
    def fail(epoch, logs):
        if epoch == 2:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        model.fit(*data, epochs=5, callbacks=[cb.LambdaCallback(on_epoch_end=fail)])
    assert model.history.epoch == [0, 1, 2]
    assert model.fit(*data, epochs=1).epoch == [0]


def test_fit_inside_fit_is_refused(model, data):
    again = cb.LambdaCallback(on_epoch_end=lambda *_: model.fit(*data))
    with pytest.raises(RuntimeError):
        model.fit(*data, callbacks=[again])
    model.fit(*data)


def test_other_threads_cannot_change_a_model_in_training(model, data):
    refused = []

    def from_another_thread():
        for change in (
            lambda: model.fit(*data),
            lambda: model.train_step(*data),
            lambda: model.compile("sgd", "mse"),
            lambda: model.load_state_dict(model.state_dict()),
            lambda: model.append(nn.ReLU()),
            model.freeze,
        ):
            try:
                change()
            except ModelBusyError as error:
                refused.append(str(error))

    def at_epoch_end(*_):
        thread = threading.Thread(target=from_another_thread)
        thread.start()
        thread.join()

    history = model.fit(*data, epochs=2, callbacks=[cb.LambdaCallback(on_epoch_end=at_epoch_end)])
    assert len(refused) == 12, refused
    assert model.history is history
    assert history.epoch == [0, 1]
    assert len(model) == 1
    assert not model[0].frozen


def test_early_stopping_restores_the_best_epoch(model, data):
    x, y = data
    kept = []
    keep = cb.LambdaCallback(
        on_epoch_end=lambda _, logs: kept.append(
            (logs["val_loss"], {k: v.copy() for k, v in model.state_dict().items()})
        )
    )
    model.compile(optim.SGD(lr=0.4), "mse")  # too large: the loss goes down, then up and down
    stop = cb.EarlyStopping(patience=2)
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(len(y))
    history = model.fit(
        x, y + noise, epochs=200, validation_data=(x, y - noise), callbacks=[keep, stop]
    )
    assert len(history.epoch) < 200
    assert stop.stopped_epoch == history.epoch[-1] == stop.best_epoch + 2
    losses = history.history["val_loss"]
    assert stop.best == min(losses) == losses[stop.best_epoch]
    np.testing.assert_array_equal(model[0].weight, kept[stop.best_epoch][1]["0.weight"])
    assert model.evaluate(x, y - noise)["loss"] == stop.best


def test_early_stopping_restores_the_best_epoch_of_a_whole_training(model, data):
    """The best weights come back even if patience has not run out."""
    x, y = data
    model.compile(optim.SGD(lr=0.4), "mse")
    kept = {}
    keep = cb.LambdaCallback(
        on_epoch_end=lambda epoch, _: kept.update({epoch: model[0].weight.copy()})
    )
    stop = cb.EarlyStopping(patience=1000)
    noise = np.random.default_rng(3).standard_normal(len(y))
    history = model.fit(
        x, y + noise, epochs=40, validation_data=(x, y - noise), callbacks=[keep, stop]
    )
    losses = history.history["val_loss"]
    assert stop.stopped_epoch is None
    assert stop.best_epoch == np.argmin(losses) < 39
    np.testing.assert_array_equal(model[0].weight, kept[stop.best_epoch])
    assert not np.array_equal(model[0].weight, kept[39])


@pytest.mark.parametrize(
    ("kwargs", "curve", "stopped", "best"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1], 3, 1),
        ({"patience": 0}, [3, 2, 2.5, 1], 2, 1),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.9, 1], 1, 0),
        ({"patience": 1, "mode": "max"}, [1, 2, 3, 2.5, 9], 3, 2),
        ({"patience": 1, "start_from_epoch": 2}, [1, 2, 3, 2, 4], 4, 3),
        ({"patience": 2}, [float("nan"), 2, float("nan"), 1, 0.5], None, 4),
    ],
)
def test_early_stopping_rules(kwargs, curve, stopped, best):
    class Model:
        stop_training = False

    stop = cb.EarlyStopping("figure", restore_best_weights=False, **kwargs)
    stop.model, stop.params = Model(), {"metrics": ["figure"]}
    stop.on_train_begin()
    for epoch, value in enumerate(curve):
        stop.on_epoch_end(epoch, {"figure": value})
        if stop.model.stop_training:
            break
    assert stop.stopped_epoch == stopped
    assert stop.best_epoch == best


def test_early_stopping_wants_what_is_measured(model, data):
    with pytest.raises(ValueError, match="the logs have loss; give fit validation_data"):
        model.fit(*data, callbacks=[cb.EarlyStopping()])
    with pytest.raises(ValueError, match="expected 'auto', 'min' or 'max'"):
        cb.EarlyStopping(mode="least")
    auto = cb.EarlyStopping("val_accuracy")
    assert auto.best == -np.inf


def test_progress_lines(model, data, capsys):
    model.fit(*data, epochs=2, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ")
    model.fit(*data, epochs=2)
    assert capsys.readouterr().out == ""


def test_progress_without_tqdm(model, data, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model.fit(*data, epochs=3, verbose=1)
    assert capsys.readouterr().out.count("\n") == 3


def test_progress_bar(model, data, capsys):
    pytest.importorskip("tqdm")
    model.fit(*data, epochs=3, verbose=1)
    assert "3/3" in capsys.readouterr().out
    model.fit(*data, epochs=3, verbose=1, callbacks=[cb.ProgressBar(bar=False)])
    assert capsys.readouterr().out.count("epoch") == 3  # one display, the user's


def test_early_stopping_goes_on_with_its_state(model, data):
    """A second callback that takes the state of the first one ends as the first one does."""
    x, y = data
    noise = np.random.default_rng(3).standard_normal(len(y))
    model.compile(optim.SGD(lr=0.05), "mse")
    first = cb.EarlyStopping(patience=5)
    states = []
    keep = cb.LambdaCallback(on_epoch_end=lambda *_: states.append(first.state_dict()))
    held_out = (x, y - noise)
    history = model.fit(
        x, y + noise, epochs=200, validation_data=held_out, callbacks=[first, keep]
    ).history["val_loss"]
    best = {key: np.array(value) for key, value in model.state_dict().items()}
    assert 0 < first.best_epoch < len(history) - 5 < 195
    for epoch, state in enumerate(states):
        second = cb.EarlyStopping(patience=5)
        second.model, second.params = model, {"metrics": ["loss", "val_loss"]}
        second.on_train_begin()
        second.load_state_dict(state)
        model.stop_training = False
        for later in range(epoch + 1, len(history)):
            second.on_epoch_end(later, {"val_loss": history[later]})
        assert (second.best, second.best_epoch) == (first.best, first.best_epoch)
        assert second.stopped_epoch == first.stopped_epoch == len(history) - 1
        second.close()
        if epoch >= first.best_epoch:
            np.testing.assert_array_equal(model[0].weight, best["0.weight"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"monitor": "loss"}, "monitor is 'val_loss'; the state is of 'loss'"),
        ({"best": "1"}, "best in the state is '1'; expected float"),
        ({"best_epoch": 1.5}, "best_epoch in the state is 1.5; expected int or None"),
        ({"waited": True}, "waited in the state is True; expected int"),
        ({"stopped_epoch": [1]}, r"stopped_epoch in the state is \[1\]; expected int or None"),
        ({"values": None}, "no values of the best epoch"),
        ({"values": {"0.weight": np.ones((2, 2))}}, "expected arrays in the shapes of 0.weight"),
        ({"values": 3}, "values in the state is 3; expected dict or None"),
        (None, "monitor in the state is missing; expected str"),
    ],
)
def test_early_stopping_refuses_states_of_others(model, data, changed, message):
    stop = cb.EarlyStopping()
    model.fit(*data, validation_split=0.5, callbacks=[stop])
    taken = {"monitor": "val_loss", "best": 0.5, "best_epoch": 3, "stopped_epoch": None}
    taken |= {"waited": 1, "values": {"0.weight": np.ones((1, 3)), "0.bias": np.ones(1)}}
    stop.load_state_dict(taken)
    assert (stop.best, stop.best_epoch) == (0.5, 3)
    with pytest.raises(ValueError, match=rf"^\[EarlyStopping\] .*{message}"):
        stop.load_state_dict({} if changed is None else taken | changed)


@pytest.mark.parametrize("name", cb.__all__)
def test_callbacks_show_the_arguments_of_their_constructors(name, tmp_path):
    """And nothing else: what is shown makes an equal callback."""
    kind = getattr(cb, name)
    required = {"path": str(tmp_path / "x.csv"), "schedule": len, "seconds": 3.0}
    names = inspect.signature(kind).parameters
    made = kind(**{each: value for each, value in required.items() if each in names})
    shown = repr(made)
    if name == "LambdaCallback":
        assert shown == "LambdaCallback()"
        assert "(on_epoch_end=<built-in function print>)" in repr(kind(on_epoch_end=print))
        return
    assert re.findall(r"(\w+)=", shown) == list(names)
    if name != "LearningRateScheduler":
        assert repr(eval(shown, vars(cb).copy())) == shown


def test_ones_own_callback_shows_what_it_keeps(model):
    class Report(cb.Callback):
        def __init__(self, every, rows, forgotten):
            self.every, self.rows = every, rows

    assert repr(cb.Callback()) == "Callback()"
    found = repr(Report(2, np.zeros((3, 4)), 1))
    assert found == "Report(every=2, rows=an array of float64 with shape (3, 4))"
    stop = cb.EarlyStopping(mode="max", patience=2)
    assert "mode='max', restore" in repr(stop)
    assert "patience=2, mode='max'" in repr(stop)
