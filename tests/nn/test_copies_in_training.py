# SPDX-License-Identifier: BSD-3-Clause
"""Copies of a model in training have the values of one moment, or are refused."""

from __future__ import annotations

import copy
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import callbacks, nn, optim
from fastnn.errors import ModelBusyError
from models import COPIES, WITH_ITS_LAYERS, pickled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS, FEATURES, WIDTH, CLASSES = 600, 12, 96, 3
EPOCHS = 60
RNG = np.random.default_rng(5)
X = RNG.standard_normal((ROWS, FEATURES)).astype(np.float32)
Y = RNG.integers(0, CLASSES, ROWS)


def model_of(hidden: int = 4) -> nn.Sequential:
    layers: list[nn.Layer] = [nn.Linear(FEATURES, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU()]
    for _ in range(hidden):
        layers += [nn.Linear(WIDTH, WIDTH), nn.Dropout(0.1)]
    model = nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES), seed=3)
    model.compile(optim.Adam(), nn.CrossEntropyLoss())
    return model


def own(values: Any) -> dict[str, np.ndarray]:
    return {key: np.array(value) for key, value in values.items()}


WAYS: dict[str, Callable[[nn.Sequential], nn.Sequential | dict[str, np.ndarray]]] = {
    **COPIES,
    **WITH_ITS_LAYERS,
    "state_dict": lambda m: own(m.state_dict()),
}
every_way = pytest.mark.parametrize("how", WAYS)


def values_of(copied: nn.Sequential | dict[str, np.ndarray]) -> bytes:
    state = copied if isinstance(copied, dict) else copied.state_dict()
    return b"".join(np.ascontiguousarray(state[key]).tobytes() for key in sorted(state))


@pytest.fixture
def often() -> Iterator[None]:
    """Let threads take turns a thousand times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def beside_a_fit(
    model: nn.Sequential, look: Callable[[], Any], end: Callable[[], Any]
) -> tuple[list[Any], int]:
    """Call `look` in another thread during a fit, from the end of its first epoch on.

    Return what it gave, and how often it was refused. `end` is called at the end of each epoch.
    """
    found: list[Any] = []
    refused = 0
    begun = threading.Event()  # before, state_dict gives views, which show what comes

    def ended(*_: object) -> None:
        end()
        begun.set()

    def watch() -> None:
        nonlocal refused
        begun.wait(20)
        while fit.is_alive():
            try:
                found.append(look())
            except ModelBusyError:
                refused += 1

    hook = callbacks.LambdaCallback(on_epoch_end=ended)
    fit = threading.Thread(target=lambda: model.fit(X, Y, epochs=EPOCHS, callbacks=[hook]))
    watcher = threading.Thread(target=watch)
    for thread in (fit, watcher):
        thread.start()
    for thread in (fit, watcher):
        thread.join()
    return found, refused


@every_way
@pytest.mark.usefixtures("often")
def test_another_thread_gets_the_end_of_an_epoch_or_is_refused(how: str) -> None:
    model = model_of()
    model.fit(X[:64], Y[:64])
    states = [values_of(model)]
    copies, refused = beside_a_fit(
        model, lambda: values_of(WAYS[how](model)), lambda: states.append(values_of(model))
    )
    assert len(states) == EPOCHS + 1
    assert set(copies) <= set(states)
    assert refused
    assert values_of(WAYS[how](model)) == states[-1]


@every_way
def test_callbacks_copy_the_end_of_the_epoch(how: str) -> None:
    model = model_of()
    taken: list[Any] = []

    def end(epoch: int, logs: dict[str, float]) -> None:
        del epoch, logs
        taken.append((WAYS[how](model), model.predict(X).tobytes()))

    hook = callbacks.LambdaCallback(on_epoch_end=end)
    model.fit(X, Y, epochs=3, shuffle=False, callbacks=[hook])
    for epoch, (copied, predicted) in enumerate(taken):
        again = model_of()
        again.fit(X, Y, epochs=epoch + 1, shuffle=False)
        assert values_of(copied) == values_of(again)
        if isinstance(copied, dict):
            continue
        if how in WITH_ITS_LAYERS:
            copied.compile(optim.Adam(), nn.CrossEntropyLoss())
        assert copied.predict(X).tobytes() == predicted
        if how in COPIES:  # they go on as the model did
            assert copied.history is not None
            assert copied.history.epoch == list(range(epoch + 1))
            for each in (copied, again):
                each.fit(X, Y, epochs=2, shuffle=False)
            assert values_of(copied) == values_of(again)


@pytest.mark.parametrize("get", [copy.deepcopy, pickled])
@pytest.mark.usefixtures("often")
def test_a_layer_by_itself_is_of_one_moment_too(get: Callable[[Any], Any]) -> None:
    model = model_of(0)

    def layer_of(layer: Any) -> bytes:
        return b"".join(np.ascontiguousarray(v).tobytes() for v in layer.values().values())

    states = [layer_of(model[0])]
    found, _ = beside_a_fit(
        model,
        lambda: layer_of(get(model[0])),
        lambda: states.append(layer_of(model[0])),
    )
    assert set(found) <= set(states)


def test_views_taken_before_a_fit_are_read_only_while_it_runs() -> None:
    model = model_of()
    model.loss_and_grad(X[:20], Y[:20])
    views = [*model.state_dict().values(), *model.gradients().values()]
    views += [model[0].weight, model[0].bias, model[1].running_var]
    views = [view for view in views if view.ndim]
    locked = model[0].weight
    locked.flags.writeable = False  # by its owner, for good
    seen: list[bool] = []

    def end(epoch: int, logs: dict[str, float]) -> None:
        del epoch, logs
        seen.extend(view.flags.writeable for view in [*views, *model.state_dict().values()])
        with pytest.raises(ValueError, match="read-only"):
            views[0][...] = 0
        now = model.state_dict()["0.weight"]
        assert np.array_equal(now, views[0])
        assert not np.shares_memory(now, views[0])  # the next epoch leaves it alone

    hook = callbacks.LambdaCallback(on_epoch_end=end)
    model.fit(X, Y, callbacks=[hook])
    assert seen
    assert not any(seen)
    assert all(view.flags.writeable for view in views)
    assert not locked.flags.writeable
    views[0][...] = 1
    assert (model[0].weight == 1).all()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_views_are_writable_again_however_a_fit_ends(error: type[BaseException]) -> None:
    model = model_of()
    view = model[0].weight

    def end(*_: object) -> None:
        raise error

    with pytest.raises(error):
        model.fit(X, Y, callbacks=[callbacks.LambdaCallback(on_epoch_end=end)])
    assert view.flags.writeable


def test_views_do_not_pile_up() -> None:
    """The model has weak references to its views, and removes those of deleted arrays."""
    model = model_of()
    kept = model[0].weight
    for _ in range(100_000):
        model[0].bias  # noqa: B018
    model.fit(X[:64], Y[:64])
    assert kept.flags.writeable
