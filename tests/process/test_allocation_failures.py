# SPDX-License-Identifier: BSD-3-Clause
"""Every allocation of a call fails in turn: MemoryError, and the model stays usable.

Runs in builds with FASTNN_TESTING only (`nox -s asan`); the growth test runs everywhere.
"""

from __future__ import annotations

import gc
import os
import resource
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import _core
from members import NO_MEMBER

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, FEATURES, CLASSES = 150, 7, 3
LAYERS = [
    ("linear", {"in_features": FEATURES, "out_features": 20}),
    ("batch_norm1d", {"num_features": 20}),
    ("relu", {}),
    ("dropout", {"p": 0.2}),
    ("linear", {"in_features": 20, "out_features": CLASSES}),
]
RNG = np.random.default_rng(0)
X = np.asfortranarray(RNG.standard_normal((ROWS, FEATURES)).astype(np.float32))
Y = RNG.integers(0, CLASSES, ROWS)
GRAD = RNG.standard_normal((ROWS, CLASSES)).astype(np.float32)


def network(clip: float | None = None) -> Any:
    net = _core.Network(LAYERS, "float32", 0)
    net.compile("cross_entropy", {}, "adam", {}, max_grad_norm=clip)
    return net


def fit(net: Any, n_threads: int) -> None:
    net.fit(X, Y, batch_size=40, epochs=2, validation=(X, Y, None), n_threads=n_threads)


def own_loop(net: Any, n_threads: int) -> None:
    net.forward(X, True, n_threads)
    net.backward(GRAD, need_dx=True, n_threads=n_threads)
    net.clip_grad_norm(1.0)
    net.apply_gradients(n_threads)


CALLS: dict[str, Callable[[Any, int], object]] = {
    "fit": fit,
    "train_step": lambda net, n: net.train_step(X, Y, None, n),
    "train_step_grad": lambda net, n: net.train_step_grad(X, GRAD, n),
    "own loop": own_loop,
    "evaluate": lambda net, n: net.evaluate(X, Y, None, True, n),
    "predict": lambda net, n: net.predict(X, n_threads=n),
}


def numbers(net: Any) -> list[bytes]:
    return [row["array"].tobytes() for row in net.parameters()]


@pytest.mark.skipif(
    not hasattr(_core.testing, "fail_allocation"), reason="not a build with FASTNN_TESTING"
)
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_every_allocation_may_fail(name: str, n_threads: int) -> None:
    call = CALLS[name]
    for n in range(1, 5000):
        net = network()
        before = numbers(net)
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
            assert numbers(net) == before
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
