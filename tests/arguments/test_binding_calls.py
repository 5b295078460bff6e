# SPDX-License-Identifier: BSD-3-Clause
"""Short calls of predict and of steps take the arguments and give the bits of long ones."""

from __future__ import annotations

import gc
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from border import assert_worded
from fastnn import ModelBusyError, _core, callbacks, nn, optim
from members import linear
from pairs import bits

N, F, K = 5, 3, 2
X = np.random.default_rng(5).standard_normal((N, F)).astype(np.float32)
Y = np.arange(N) % K
GRAD = np.ones((N, K), np.float32)


def network(loss: str = "cross_entropy", dtype: str = "float32") -> Any:
    net = _core.Network([linear(F, 4), ("tanh", {}), linear(4, K)], dtype, 3)
    net.compile(loss, {}, "sgd", {"lr": 0.1})
    return net


ARGUMENTS: dict[str, dict[str, Any]] = {
    "predict": {"x": X, "link": True, "out": None, "n_threads": 1},
    "train_step": {"x": X, "y": Y, "sample_weight": None, "n_threads": 1},
    "train_step_grad": {"x": X, "grad": GRAD, "n_threads": 1},
}


def called(name: str, *args: Any, **kwargs: Any) -> tuple[bytes, list[Any]]:
    """Return the answer of a call and the network after it, as bits."""
    net = network()
    answer = np.asarray(getattr(net, name)(*args, **kwargs)).tobytes()
    return answer, bits(net)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_by_position_and_by_name(name):
    arguments = ARGUMENTS[name]
    expected = called(name, *arguments.values())
    for order in itertools.permutations(arguments):
        assert called(name, **{key: arguments[key] for key in order}) == expected
    for n in range(1, len(arguments)):
        rest = dict(list(arguments.items())[n:])
        assert called(name, *list(arguments.values())[:n], **rest) == expected
    defaults = {key: value for key, value in arguments.items() if key in {"x", "y", "grad"}}
    assert called(name, **defaults) == expected


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda args: (args[:0], {}), "got no x; expected x, "),
        (lambda args: ((*args, 1), {}), r"got \d arguments; expected x, "),
        (lambda args: (args, {"x": X}), "got x twice; expected x, "),
        (lambda args: (args[:2], {"threads": 1}), "got an argument 'threads'; expected x, "),
        (lambda args: (args[:2], {"n_threads": "2"}), "n_threads is '2'; expected an integer"),
        (lambda args: (args[:2], {"n_threads": 1.5}), "n_threads is 1.5; expected an integer"),
        (lambda args: (args[:2], {"n_threads": 2**40}), "n_threads is 1099511627776; expected"),
    ],
)
def test_arguments_that_are_refused(name, change, text):
    args, kwargs = change(tuple(ARGUMENTS[name].values()))
    net = network()
    short = name.removesuffix("_grad")
    with pytest.raises(TypeError, match=rf"^\[{short}\] {text}") as caught:
        getattr(net, name)(*args, **kwargs)
    assert_worded(caught.value)
    assert net.step == 0
    with pytest.raises(TypeError, match=r"link is 'no'; expected True or False"):
        net.predict(X, "no")


@pytest.mark.parametrize("name", ARGUMENTS)
def test_self_is_a_network(name):
    arguments = ARGUMENTS[name].values()
    method = getattr(_core.Network, name)
    with pytest.raises(TypeError):
        method(None, *arguments)
    with pytest.raises(TypeError):
        method()
    with pytest.raises((TypeError, ValueError)):
        method(_core.Network.__new__(_core.Network), *arguments)

    class Other:
        pass

    class Mixed(_core.Network, Other):
        pass

    layers: list[Any] = [("linear", {"in_features": F, "out_features": K})]
    net = Mixed(layers, "float32", 3)
    assert net.predict(X).tobytes() == _core.Network(layers, "float32", 3).predict(X).tobytes()


def test_nothing_is_kept():
    """Neither answers nor refusals leave references behind."""
    net, out = network(), np.zeros((N, K), np.float32)
    x, y, wrong = X.copy(), Y.copy(), np.zeros((N, F + 1))
    kept = [x, y, out, wrong, net]

    def counts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(thing) for thing in kept]

    before = counts()
    for _ in range(50):
        assert net.predict(x, out=out) is out
        net.train_step(x, y)
        answer = net.predict(x)
        assert sys.getrefcount(answer) <= 2
        assert answer.base is None
        assert answer.flags.c_contiguous
        for refused in (lambda: net.predict(wrong), lambda: net.train_step(x, wrong)):
            with pytest.raises(ValueError, match=r"^\["):
                refused()
    del refused
    assert counts() == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits", "mse"])
def test_a_short_call_gives_the_bits_of_a_long_one(loss, dtype):
    """Few rows run on the calling thread, which keeps the GIL; a team computes the same."""
    net = network(loss, dtype)
    for rows in range(1, N + 1):
        for link in (True, False):
            short = net.predict(X[:rows], link, None, 1)
            assert short.tobytes() == net.predict(X[:rows], link, None, 2).tobytes()
    y = Y if loss == "cross_entropy" else (GRAD * 0.5)
    other = network(loss, dtype)
    for _ in range(3):
        assert net.train_step(X, y, None, 1) == other.train_step(X, y, None, 2)
    assert net.predict(X).tobytes() == other.predict(X).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("classes", [2, 3, 7, 8, 10, 16, 17, 31, 32, 33, 100])
def test_a_row_has_the_same_probabilities_alone_and_among_others(classes, dtype):
    """Softmax takes short rows side by side; its results must not depend on how many there are."""
    net = _core.Network([("linear", {"in_features": K, "out_features": classes})], dtype)
    net.compile("cross_entropy", {}, "sgd", {})
    x = 3 * np.random.default_rng(2).standard_normal((21, K))
    alone = [net.predict(x[r : r + 1]) for r in range(len(x))]
    for rows in (2, 3, 4, 5, 8, 9, 12, 21):
        assert net.predict(x[:rows]).tobytes() == np.concatenate(alone[:rows]).tobytes()
    np.testing.assert_allclose(np.concatenate(alone).sum(axis=1), 1, rtol=1e-6)


def test_may_share_memory_is_numpys():
    net = _core.Network([("linear", {"in_features": K, "out_features": K})])
    memory = np.zeros((40, K), np.float32)
    views = [memory[a:b:s] for a, b, s in ((0, 9, 1), (9, 18, 1), (8, 17, 1), (4, 22, 2))]
    views += [memory[0:9][::-1], memory[17:8:-1], memory[0:9, ::-1], memory[9:18][:, ::-1]]
    for x, out in itertools.product(views, views[:4]):
        if np.may_share_memory(x, out):
            with pytest.raises(ValueError, match="out shares memory with X"):
                net.predict(x, False, out)
        else:
            assert net.predict(x, False, out) is out


def test_one_row_while_another_thread_trains():
    """A call is refused while fit runs, and answered in the callbacks of fit and after it."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4000, 17)).astype(np.float32)
    y = rng.integers(0, 6, 4000)
    model = nn.Sequential(nn.Linear(17, 64), nn.ReLU(), nn.Linear(64, 6))
    model.compile(optim.SGD(lr=1e-3), "cross_entropy")
    begun = threading.Event()

    def look() -> list[int]:
        counts, row = [0, 0], x[:1]
        begun.wait(20)
        while thread.is_alive():
            for call in (lambda: model.predict(row), lambda: model.train_step(row, y[:1])):
                try:
                    call()
                    counts[0] += 1
                except ModelBusyError:
                    counts[1] += 1
        return counts

    begin = callbacks.LambdaCallback(on_epoch_end=lambda *_: begun.set())
    thread = threading.Thread(target=lambda: model.fit(x, y, epochs=30, callbacks=[begin]))
    with ThreadPoolExecutor(2) as team:
        looks = [team.submit(look) for _ in range(2)]
        thread.start()
        assert sum(look.result()[1] for look in looks) > 0
    thread.join()
    assert model.predict(x[:1]).shape == (1, 6)


def test_short_calls_in_many_threads():
    net = network()
    expected = net.predict(X[:1]).tobytes()
    with ThreadPoolExecutor(8) as team:
        rows = [X[:1], X[:1], X]
        answers = list(team.map(lambda k: net.predict(rows[k % 3])[:1].tobytes(), range(3000)))
    assert {answers[k] for k in range(0, 3000, 3)} == {expected}
