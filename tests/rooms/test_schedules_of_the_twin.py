# SPDX-License-Identifier: BSD-3-Clause
"""Trainings whose rate is a schedule, in the engine and in the twin: every schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import reference
from members import Hyper, cases, linear
from pairs import Pair


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize(("name", "hyper"), cases("schedules"))
def test_a_training_is_that_of_the_twin(
    rng: np.random.Generator, name: str, hyper: Hyper, rule: str
) -> None:
    """Two fits, the second of which is a later part, batches that are accumulated, and steps."""
    x, y = rng.standard_normal((50, 5)), rng.integers(0, 3, 50)
    values = {"lr": 0.05} | ({"momentum": 0.5} if rule == "sgd" else {})
    pair = Pair([linear(5, 7), ("tanh", {}), linear(7, 3)]).compile(
        "cross_entropy",
        rule,
        values,
        groups={"0.weight": {"lr": 0.01}},
        schedule=(name, hyper),
        accumulate=2,
        penalty_in_loss=True,
    )
    logs: list[Any] = []
    for network in (pair.engine, pair.twin):
        found = []
        for first, epochs in ((0, 4), (3, 7)):
            given = {"batch_size": 8, "epochs": epochs, "initial_epoch": first, "seed": 2}
            found.append(network.fit(x, y, **given))
            network.fit(x[:20], y[:20], batch_size=10, epochs=1, shuffle=False)
        if not needs_fit(name, hyper):
            parts = [slice(at, at + 10) for at in range(0, 40, 10)]
            found += [network.train_step(x[part], y[part]) for part in parts]
        logs.append((found, network.lr))
    (ours, our_lr), (theirs, their_lr) = logs
    assert our_lr == pytest.approx(their_lr, rel=1e-14)
    for mine, other in zip(ours, theirs, strict=True):
        if isinstance(mine, float):
            assert mine == pytest.approx(other, rel=1e-12)
            continue
        assert set(other) == {"loss", "penalty", "lr"}
        for key, curve in other.items():
            np.testing.assert_allclose(mine[key], curve, rtol=1e-12, atol=1e-15)
    for mine, other in zip(pair.engine.parameters(), pair.twin.parameters(), strict=True):
        pair.close(mine["array"], other["array"], "training")


def needs_fit(name: str, hyper: Hyper) -> bool:
    length = reference.SCHEDULES[name].length
    return bool(length) and length not in hyper
