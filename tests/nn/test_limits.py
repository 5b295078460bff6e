# SPDX-License-Identifier: BSD-3-Clause
"""TimeLimit ends a training on time, TerminateOnPlateau by scikit-learn's rule."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from fastnn import callbacks as cb
from fastnn import nn, optim


@pytest.fixture
def data(rng):
    return rng.standard_normal((64, 8)), rng.integers(0, 3, 64)


def compiled(hidden=16):
    model = nn.Sequential(nn.Linear(8, hidden), nn.ReLU(), nn.Linear(hidden, 3))
    model.compile("adam", "cross_entropy")
    return model


def long_epoch():
    """A model and rows whose epoch takes minutes."""
    rows = 1 << 22
    x = np.lib.stride_tricks.as_strided(
        np.linspace(-1, 1, 64, dtype=np.float32), (rows, 64), (0, 4)
    )
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.Linear(256, 1))
    model.compile(optim.SGD(lr=1e-4), "mse")
    return model, x, np.broadcast_to(np.float32(1), rows)


@pytest.mark.parametrize("hooks", [False, True])
def test_the_time_limit_holds_inside_an_epoch(hooks):
    model, x, y = long_epoch()
    model.fit(x[:512], y[:512])
    seconds, ended = 0.8, []
    more = [cb.LambdaCallback(on_train_end=lambda: ended.append(True))]
    if hooks:
        more.append(cb.LambdaCallback(on_train_batch_end=lambda *_: None))
    limit = cb.TimeLimit(seconds)
    began = time.perf_counter()
    history = model.fit(x, y, batch_size=64, epochs=3, shuffle=False, callbacks=[limit, *more])
    spent = time.perf_counter() - began
    assert seconds <= spent <= 1.05 * seconds + 0.05  # 0.05: other programs on this machine
    assert abs(limit.spent - spent) < 0.05
    assert history.epoch == []
    assert ended == [True]
    # What is trained stays: the steps of a loop of as many.
    twin, *_ = long_epoch()
    twin.fit(x[:512], y[:512])
    assert history.steps > 10
    some = 64 * history.steps
    twin.fit(x[:some], y[:some], batch_size=64, shuffle=False)
    assert model[0].weight.tobytes() == twin[0].weight.tobytes()


def test_the_time_limit_is_exact():
    """The clock is looked at when the time has come, not with the signals each 50 ms."""
    model, x, y = long_epoch()
    model.fit(x[:512], y[:512])
    late = []
    for k in range(8):
        seconds = 0.11 + 0.005 * k
        began = time.perf_counter()
        model.fit(x, y, batch_size=64, shuffle=False, callbacks=[cb.TimeLimit(seconds)])
        late.append(time.perf_counter() - began - seconds)
    assert min(late) >= 0
    assert np.median(late) < 0.012


def test_the_time_limit_holds_while_validating():
    model, x, y = long_epoch()
    began = time.perf_counter()
    history = model.fit(x[:64], y[:64], validation_data=(x, y), callbacks=cb.TimeLimit(0.4))
    assert 0.4 <= time.perf_counter() - began < 0.6
    assert history.epoch == []


def test_epochs_before_the_limit_count(data):
    model = compiled()
    history = model.fit(*data, epochs=10**9, callbacks=cb.TimeLimit(0.1))
    assert 1 < len(history.epoch) < 10**6
    assert history.epoch == list(range(len(history.epoch)))
    assert model.fit(*data, epochs=3).epoch == [0, 1, 2]  # the next fit has no limit


def test_the_time_limit_of_another_process_counts(data):
    limit = cb.TimeLimit(100.0)
    limit.model = model = compiled()
    limit.on_train_begin()
    limit.load_state_dict({"spent": 99.95})
    assert 99.95 <= limit.state_dict()["spent"] < 100
    model._network.stop = False  # as fit does before its callbacks are called

    class Earlier(cb.Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 0:
                limit.load_state_dict({"spent": 99.95})

    began = time.perf_counter()
    model.fit(*data, epochs=10**9, callbacks=[limit, Earlier()])
    assert 0.05 <= time.perf_counter() - began < 1
    assert 100 <= limit.spent < 101
    over = cb.LambdaCallback(on_train_begin=lambda: limit.load_state_dict({"spent": 100.5}))
    assert model.fit(*data, epochs=5, callbacks=[limit, over]).epoch == []
    with pytest.raises(ValueError, match=r"^\[TimeLimit\] spent is -1.0; expected"):
        limit.load_state_dict({"spent": -1.0})


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "1", None, True])
def test_a_time_limit_is_a_number(seconds):
    with pytest.raises((TypeError, ValueError), match=r"^\[TimeLimit\] seconds is .*above 0"):
        cb.TimeLimit(seconds)


def test_stop_after_some_seconds_from_another_thread(data):
    model = compiled()
    timer = threading.Timer(0.05, lambda: model.stop(after=0.1))
    timer.start()
    began = time.perf_counter()
    model.fit(*data, epochs=10**9)
    assert 0.14 <= time.perf_counter() - began < 0.6
    model.stop(after=0.01)
    assert model.fit(*data, epochs=2).epoch == [0, 1]
    with pytest.raises(ValueError, match=r"^\[Sequential.stop\] after is -1; expected"):
        model.stop(after=-1)
    model.stop(after=1e300)
    nn.Sequential().stop(after=1)


# --- TerminateOnPlateau ---------------------------------------------------------------------------


class Model:
    stop_training = False


def plateau(curve, state=None, **given):
    stop = cb.TerminateOnPlateau(monitor="loss", **given)
    stop.model, stop.params = Model(), {"metrics": ["loss"]}
    stop.on_train_begin()
    if state is not None:
        stop.load_state_dict(state)
    for epoch, value in curve:
        stop.on_epoch_end(epoch, {"loss": value})
        if stop.model.stop_training:
            break
    return stop


def sklearn_stops(curve, tol, n_iter_no_change, largest=False):
    """The rule of scikit-learn, as its _update_no_improvement_count states it."""
    best, count = (-np.inf if largest else np.inf), 0
    for epoch, value in enumerate(curve):
        worse = value < best + tol if largest else value > best - tol
        count = count + 1 if worse else 0
        best = max(best, value) if largest else min(best, value)
        if count > n_iter_no_change:
            return epoch
    return None


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_rule_of_scikit_learn(rng, mode):
    stops = 0
    for _ in range(200):
        curve = np.round(np.cumsum(rng.normal(-0.02, 0.1, 40)), 2).tolist()
        if mode == "max":
            curve = [-value for value in curve]
        tol, n = rng.choice([0.0, 0.01, 0.1]), int(rng.integers(1, 6))
        expected = sklearn_stops(curve, tol, n, mode == "max")
        stop = plateau(enumerate(curve), tol=float(tol), n_iter_no_change=n, mode=mode)
        assert stop.stopped_epoch == expected
        assert stop.model.stop_training == (expected is not None)
        stops += expected is not None
        # And from the state of any epoch.
        half = plateau(enumerate(curve[:7]), tol=float(tol), n_iter_no_change=n, mode=mode)
        if expected is not None and expected > 7:
            again = plateau(
                list(enumerate(curve))[7:],
                half.state_dict(),
                tol=float(tol),
                n_iter_no_change=n,
                mode=mode,
            )
            assert again.stopped_epoch == expected
            assert (again.best, again.best_epoch) == (stop.best, stop.best_epoch)
    assert 20 < stops < 200


def test_the_epochs_of_scikit_learn_itself(data):
    """MLPClassifier stops after the very epoch, on its own losses."""
    neural = pytest.importorskip("sklearn.neural_network")
    x, y = data
    theirs = neural.MLPClassifier(
        (4,), learning_rate_init=0.05, n_iter_no_change=4, tol=1e-2, random_state=1, max_iter=900
    )
    theirs.fit(x, y)
    curve = theirs.loss_curve_
    assert 10 < len(curve) < 900
    assert plateau(enumerate([*curve, 9.0]), tol=1e-2, n_iter_no_change=4).stopped_epoch == (
        len(curve) - 1
    )


def test_a_plateau_in_fit(data):
    model = compiled()
    model.compile(optim.SGD(lr=0.0), "cross_entropy")
    stop = cb.TerminateOnPlateau(n_iter_no_change=3)
    history = model.fit(*data, epochs=50, callbacks=[stop])
    assert history.epoch == [0, 1, 2, 3, 4]
    assert (stop.stopped_epoch, stop.best_epoch) == (4, int(np.argmin(history.history["loss"])))
    with pytest.raises(ValueError, match=r"^\[TerminateOnPlateau\] monitor is 'val_loss'; the"):
        model.fit(*data, callbacks=cb.TerminateOnPlateau(monitor="val_loss"))
    with pytest.raises(ValueError, match=r"^\[TerminateOnPlateau\] tol is -1; expected"):
        cb.TerminateOnPlateau(tol=-1)
    with pytest.raises(ValueError, match=r"^\[TerminateOnPlateau\] n_iter_no_change is 0"):
        cb.TerminateOnPlateau(n_iter_no_change=0)
