# SPDX-License-Identifier: BSD-3-Clause
"""If an allocation of a call fails, the call raises MemoryError and the model stays what it was.

The tests that make allocations fail run in builds with FASTNN_TESTING only (`nox -s asan`, where an
access to freed memory is seen as well). The test of growth runs everywhere.
"""

from __future__ import annotations

import copy
import gc
import itertools
import os
import resource
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import _core, nn, optim
from members import NO_MEMBER, linear
from models import pickled
from pairs import bits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

can_fail = pytest.mark.skipif(
    not hasattr(_core.testing, "fail_allocation"), reason="not a build with FASTNN_TESTING"
)
ROWS, FEW, FEATURES, CLASSES = 150, 20, 7, 3  # FEW is all that a used model has met
RNG = np.random.default_rng(0)
X = np.asfortranarray(RNG.standard_normal((ROWS, FEATURES)).astype(np.float32))
Y = RNG.integers(0, CLASSES, ROWS)
GRAD = RNG.standard_normal((ROWS, CLASSES)).astype(np.float32)


# -- a new network ---------------------------------------------------------------------------------


def network(clip: float | None = None) -> Any:
    layers = [linear(FEATURES, 20), ("batch_norm1d", {"num_features": 20}), ("relu", {})]
    net = _core.Network([*layers, ("dropout", {"p": 0.2}), linear(20, CLASSES)], "float32", 0)
    net.compile("cross_entropy", {}, "adam", {}, max_grad_norm=clip)
    return net


def fit(net: Any, n_threads: int) -> None:
    net.fit(X, Y, batch_size=40, epochs=2, validation=(X, Y, None), n_threads=n_threads)


def own_loop(net: Any, n_threads: int) -> None:
    net.forward(X, True, n_threads)
    net.backward(GRAD, need_dx=True, n_threads=n_threads)
    net.clip_grad_norm(1.0)
    net.apply_gradients(n_threads)


OF_A_NETWORK: dict[str, Callable[[Any, int], object]] = {
    "fit": fit,
    "train_step": lambda net, n: net.train_step(X, Y, None, n),
    "train_step_grad": lambda net, n: net.train_step_grad(X, GRAD, n),
    "own loop": own_loop,
    "evaluate": lambda net, n: net.evaluate(X, Y, None, True, n),
    "predict": lambda net, n: net.predict(X, n_threads=n),
}


@can_fail
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", OF_A_NETWORK)
def test_every_allocation_of_a_new_network_may_fail(name: str, n_threads: int) -> None:
    call = OF_A_NETWORK[name]
    for n in range(1, 5000):
        net = network()
        before = bits(net)
        _core.testing.fail_allocation(n)
        try:
            call(net, n_threads)
        except MemoryError:
            failed = True
        else:
            failed = False
        finally:
            _core.testing.fail_allocation(0)
        if not failed:
            assert n > 1
            return
        if name in ("train_step", "train_step_grad", "evaluate", "predict"):
            assert bits(net) == before
        assert not net.busy
        call(net, n_threads)  # the model is usable
    pytest.fail("it never succeeded")


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="ASan keeps freed memory")
def test_fits_and_failing_calls_do_not_grow() -> None:
    net = network(clip=1.0)
    bad = X.copy()
    bad[3, 2] = np.nan

    def round_of(times: int) -> int:
        for k in range(times):
            fit(net, 1 + k % 2)
            for call in (
                lambda: net.fit(bad, Y, batch_size=40, epochs=1),
                lambda: net.train_step(X[:, :3], Y),
                lambda: net.compile(NO_MEMBER, {}, "adam", {}),
                lambda: network().predict(bad),
            ):
                with pytest.raises(ValueError):
                    call()
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    round_of(300)
    before = round_of(200)
    assert round_of(1000) - before < 1024, "kilobytes of growth over 5,000 calls"


OBJECTS: dict[str, Callable[[], Any]] = {
    "LayerSpecs": lambda: _core.LayerSpecs([("relu", {}), ("tanh", {})]),
    "CompileSpec": lambda: _core.CompileSpec("mse", {}, "sgd", {}, {"0.bias": {"lr": 0.2}}),
    "NumpyOrders": lambda: _core.NumpyOrders(np.random.MT19937(0), 40),
}


@can_fail
@pytest.mark.parametrize("only", [False, True])
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_are_made_whole_or_not_at_all(name: str, only: bool) -> None:
    OBJECTS[name]()
    for n in range(1, 1000):
        _core.testing.fail_allocation(n, only)
        try:
            OBJECTS[name]()
        except MemoryError:
            continue
        finally:
            left = _core.testing.fail_allocation(0)
        if left > 0:
            assert n > 1
            return
    pytest.fail("it never succeeded")


# -- a model in use -------------------------------------------------------------------------------


def used(n_threads: int) -> nn.Sequential:
    """Return a trained model with gradients, after a forward pass that waits for its backward."""
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


OF_A_MODEL: dict[str, Callable[[nn.Sequential], Any]] = {
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
    "pickle": lambda m: pickled(m).state_dict(),
    "slice": lambda m: m[:3].state_dict(),
    "append": lambda m: m.append(nn.Linear(CLASSES, CLASSES)) and None,
}
COPIES = {"deepcopy", "pickle", "slice", "append"}
IN_STEPS = {"fit"}  # some of its steps may be done before an allocation fails
ANSWERS_LATER = ("there are no gradients", "no forward pass", "is not compiled", "number")


def plain(value: Any) -> Any:
    """Return `value` with arrays as bytes, which can be compared."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value.tobytes() if isinstance(value, np.ndarray) else value


def outcome(call: Callable[[nn.Sequential], Any], model: nn.Sequential) -> Any:
    """Return what a call gave and left behind, or None if the model has nothing for it."""
    try:
        answer = plain(call(model))
    except ValueError as error:
        if not any(words in str(error) for words in ANSWERS_LATER):
            raise
        return None
    return answer, bits(model._network)


def views_of(model: nn.Sequential) -> list[np.ndarray]:
    rows = model._network.optimizer_state()["state"]
    states = [entry["array"] for entries in rows for entry in entries]
    return [*model.gradients().values(), *model.state_dict().values(), *states]


def failures(name: str, n_threads: int, only: bool) -> Iterator[tuple[int, nn.Sequential, bool]]:
    """Let each allocation of a call fail; yield its number, the model, and whether it is unchanged.

    A call that copies the model makes hundreds of allocations: only every eighth is handed on.
    """
    model = None
    for n in range(1, 5000):
        if model is None:
            model = used(n_threads)
            views, before = views_of(model), bits(model._network)
        _core.testing.fail_allocation(n, only)
        raised = False
        try:
            OF_A_MODEL[name](model)
        except MemoryError:
            raised = True
        finally:
            left = _core.testing.fail_allocation(0)
        if left > (0 if only else 1):  # the call makes fewer allocations
            return
        for view in views:  # they are the model's, or memory of their own
            assert np.isfinite(view).all()
        unchanged = bits(model._network) == before
        if not raised:
            model = None
            continue
        assert unchanged or name in IN_STEPS
        if name not in COPIES or n % 8 == 0:
            yield n, model, unchanged
            model = None
    pytest.fail("it never succeeded")


@can_fail
@pytest.mark.parametrize(
    ("n_threads", "only"), [(1, False), (2, True)], ids=["and all after it", "alone"]
)
@pytest.mark.parametrize("name", OF_A_MODEL)
def test_a_used_model_outlives_every_failed_allocation(
    name: str, n_threads: int, only: bool
) -> None:
    expected = {other: outcome(call, used(n_threads)) for other, call in OF_A_MODEL.items()}
    failed = 0  # allocations
    for n, model, unchanged in failures(name, n_threads, only):
        failed += 1
        assert not model._network.busy
        # Three other calls follow, each time from another one on, so that every call has its turn.
        for place, other in enumerate(itertools.islice(itertools.cycle(OF_A_MODEL), n, n + 3)):
            found = outcome(OF_A_MODEL[other], model)
            if place == 0 and unchanged:
                assert found in (None, expected[other]), other
        assert np.isfinite(model.predict(X)).all()
    assert failed or name == "freeze"  # which needs no memory
