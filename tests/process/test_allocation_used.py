# SPDX-License-Identifier: BSD-3-Clause
"""Every allocation of every call fails on a model in use: it is as before, for every other call.

Runs in builds with FASTNN_TESTING only (`nox -s asan`, where a dangling view is seen as well).
"""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import _core, nn, optim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(
    not hasattr(_core.testing, "fail_allocation"), reason="not a build with FASTNN_TESTING"
)

ROWS, FEW, FEATURES, CLASSES = 150, 20, 7, 3  # FEW: all that the model has met
RNG = np.random.default_rng(0)
X = np.asfortranarray(RNG.standard_normal((ROWS, FEATURES)).astype(np.float32))
Y = RNG.integers(0, CLASSES, ROWS)
GRAD = RNG.standard_normal((ROWS, CLASSES)).astype(np.float32)


def used(n_threads: int) -> nn.Sequential:
    """A model that was trained, has gradients, and waits for the backward of a forward pass."""
    model = nn.Sequential(
        nn.Linear(FEATURES, 20),
        nn.BatchNorm1d(20),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(20, CLASSES),
        n_threads=n_threads,
    )
    model.compile(
        optim.Adam(param_groups={"4.*": {"lr": 0.01}}), nn.CrossEntropyLoss(), ["accuracy"]
    )
    model.fit(X[:FEW], Y[:FEW], batch_size=FEW // 2)
    model.predict(X[:FEW])
    model.loss_and_grad(X[:FEW], Y[:FEW])
    model.forward(X[:FEW])
    return model


def recompile(model: nn.Sequential) -> None:
    optimizer = optim.SGD(lr=0.1, momentum=0.9, param_groups={"0.*": {"lr": 0.2}})
    model.compile(optimizer, nn.CrossEntropyLoss(), max_grad_norm=1.0)


def load(model: nn.Sequential) -> None:
    model.load_state_dict({key: np.array(value) for key, value in model.state_dict().items()})


CALLS: dict[str, Callable[[nn.Sequential], Any]] = {
    "fit": lambda m: m.fit(X, Y, batch_size=40, epochs=2, validation_data=(X, Y)).history,
    "train_step": lambda m: m.train_step(X, Y),
    "train_step, grad": lambda m: m.train_step(X, grad=GRAD),
    "loss_and_grad": lambda m: m.loss_and_grad(X, Y),
    "backward": lambda m: m.backward(GRAD[:FEW], need_dx=True),
    "forward": lambda m: m.forward(X, training=True),
    "clip_grad_norm": lambda m: m.clip_grad_norm(0.01),
    "apply_gradients": lambda m: m.apply_gradients(),
    "gradients": lambda m: m.gradients(),
    "evaluate": lambda m: m.evaluate(X, Y),
    "predict": lambda m: m.predict(X),
    "state_dict": lambda m: m.state_dict(),
    "load_state_dict": load,
    "freeze": lambda m: m[0].freeze() and None,
    "compile": recompile,
    "deepcopy": lambda m: copy.deepcopy(m).state_dict(),
    "pickle": lambda m: pickle.loads(pickle.dumps(m)).state_dict(),
    "slice": lambda m: m[:3].state_dict(),
    "append": lambda m: m.append(nn.Linear(CLASSES, CLASSES)) and None,
}
COPIES = {"deepcopy", "pickle", "slice", "append"}
IN_STEPS = {"fit"}  # may have come some way before one failed
ANSWERS_LATER = ("there are no gradients", "no forward pass", "is not compiled", "number")


def plain(value: Any) -> Any:
    """Arrays as bytes, to be compared."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value.tobytes() if isinstance(value, np.ndarray) else value


def everything(model: nn.Sequential) -> Any:
    """Values, optimizer state and counters."""
    network = model._network
    lists = [network.parameters(), *network.optimizer_state()["state"]]
    return [[plain(row) for row in rows] for rows in lists], network.step, network.num_batches


def outcome(call: Callable[[nn.Sequential], Any], model: nn.Sequential) -> Any:
    """What a call gave and left behind; None if the model says that it has nothing for it."""
    try:
        answer = plain(call(model))
    except ValueError as error:
        if not any(words in str(error) for words in ANSWERS_LATER):
            raise
        return None
    return answer, everything(model)


def views_of(model: nn.Sequential) -> list[np.ndarray]:
    entries = model._network.optimizer_state()["state"]
    states = [entry["array"] for rows in entries for entry in rows]
    return [*model.gradients().values(), *model.state_dict().values(), *states]


def failures(name: str, n_threads: int, only: bool) -> Iterator[tuple[int, nn.Sequential, bool]]:
    """A used model for each allocation of the call, which failed; and whether it is unchanged.

    Of the calls that copy the model, which make hundreds, only every eighth is handed on.
    """
    model = None
    for n in range(1, 5000):
        if model is None:
            model = used(n_threads)
            views, before = views_of(model), everything(model)
        _core.testing.fail_allocation(n, only)
        raised = False
        try:
            CALLS[name](model)
        except MemoryError:
            raised = True
        finally:
            left = _core.testing.fail_allocation(0)
        if left > (0 if only else 1):  # the call makes fewer allocations
            return
        for view in views:  # they are the model's, or memory of their own
            assert np.isfinite(view).all()
        unchanged = everything(model) == before
        if not raised:
            model = None
            continue
        assert unchanged or name in IN_STEPS
        if name not in COPIES or n % 8 == 0:
            yield n, model, unchanged
            model = None
    pytest.fail("it never succeeded")


@pytest.mark.parametrize(
    ("n_threads", "only"), [(1, False), (2, True)], ids=["and all after it", "alone"]
)
@pytest.mark.parametrize("name", CALLS)
def test_a_used_model_outlives_every_failed_allocation(
    name: str, n_threads: int, only: bool
) -> None:
    expected = {other: outcome(call, used(n_threads)) for other, call in CALLS.items()}
    failed = 0  # allocations
    for n, model, unchanged in failures(name, n_threads, only):
        failed += 1
        assert not model._network.busy
        # Three others, beginning elsewhere each time: all of them in turn, alone and in a row.
        for place, other in enumerate(itertools.islice(itertools.cycle(CALLS), n, n + 3)):
            found = outcome(CALLS[other], model)
            if place == 0 and unchanged:
                assert found in (None, expected[other]), other
        assert np.isfinite(model.predict(X)).all()
    assert failed or name == "freeze"  # which needs no memory
