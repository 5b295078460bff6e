# SPDX-License-Identifier: BSD-3-Clause
"""Each parameter counts its own updates: layers frozen for a while follow torch and the twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import in_torch
from fastnn import _core, nn, optim, reference
from fastnn.errors import TrainingDivergedError
from members import Hyper, linear, paired, row_of
from models import COPIES
from pairs import same_bits, snapshot

NO_LIMIT = 1e30  # of the gradients' norm: the materialised form, without a change of any bit
STEPS, ROWS, FEATURES, CLASSES = 24, 30, 5, 3
# Which layers are frozen when: the number of a layer, the first step, and the step after the last.
SCHEDULES = {
    "the body for a while": [(0, 0, 8)],
    "the body for a while, later again": [(0, 0, 5), (0, 12, 18)],
    "the head in between": [(2, 4, 10)],
    "all, one after the other": [(0, 0, 9), (2, 3, 12), (4, 7, 8)],
}
LAYERS = [linear(FEATURES, 9), ("tanh", {}), linear(9, 8), ("tanh", {}), linear(8, CLASSES)]
# The defaults, and the cases of several parameters, such as dampened and Nesterov momentum.
RULES = [case for case in in_torch.torch_cases("optimizers") if len(case.values[1]) != 1]
every_rule = pytest.mark.parametrize(("name", "hyper"), RULES)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES)


def batches(dtype: str = "float64") -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((STEPS, ROWS, FEATURES)).astype(dtype)
    return list(zip(x, rng.integers(0, CLASSES, (STEPS, ROWS)), strict=True))


def frozen_at(schedule: str, step: int) -> set[int]:
    return {layer for layer, first, end in SCHEDULES[schedule] if first <= step < end}


def counted(schedule: str) -> dict[str, int]:
    """Return how often each parameter is updated."""
    counts = dict.fromkeys(("0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"), 0)
    for step in range(STEPS):
        for key in counts:
            counts[key] += int(key[0]) not in frozen_at(schedule, step)
    return counts


def trained(
    network: Any,
    name: str,
    hyper: Hyper,
    schedule: str,
    *,
    clip: float | None = None,
    groups: dict[str, dict[str, float]] | None = None,
) -> Any:
    network.compile(
        "cross_entropy", {}, name, hyper | {"lr": 0.02}, groups or {}, max_grad_norm=clip
    )
    for step, (x, y) in enumerate(batches()):
        for layer in (0, 2, 4):
            network.set_frozen(str(layer), layer in frozen_at(schedule, step))
        network.train_step(x, y)
    return network


def from_the_same_values(*kinds: Any) -> list[Any]:
    """Return networks of the twin or of the core with equal values."""
    networks = [kind.Network(LAYERS, "float64", 1) for kind in kinds]
    for rows in zip(*(network.parameters() for network in networks), strict=True):
        for row in rows:
            row["array"][...] = rows[0]["array"]
    return networks


def close(ours: list[np.ndarray], theirs: list[np.ndarray], name: str) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        rtol = 1e-11 * reference.OPTIMIZERS[name].tolerance
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=rtol / 10)


@pytest.mark.usefixtures("exact_scalars")
@every_schedule
@every_rule
def test_as_torch(torch: Any, name: str, hyper: Hyper, schedule: str) -> None:
    network = _core.Network(LAYERS, "float64", 1)
    theirs = in_torch.network(torch, LAYERS, network)
    optimizer = in_torch.optimizer(torch, name, hyper | {"lr": 0.02}, theirs.parameters())
    for step, (x, y) in enumerate(batches()):
        for layer in (0, 2, 4):
            theirs[layer].requires_grad_(layer not in frozen_at(schedule, step))
        if frozen_at(schedule, step) == {0, 2, 4}:
            continue  # there is nothing to differentiate
        optimizer.zero_grad(set_to_none=True)
        out = theirs(torch.from_numpy(x))
        torch.nn.functional.cross_entropy(out, torch.from_numpy(y)).backward()
        optimizer.step()
    trained(network, name, hyper, schedule)
    values = in_torch.values(theirs)
    rows = network.parameters()
    close([row["array"] for row in rows], [values[row["key"]] for row in rows], name)
    steps = network.optimizer_state()["steps"]
    assert steps == counted(schedule)
    keys = {p: key for key, p in theirs.named_parameters()}
    in_theirs = {keys[p]: int(s["step"]) for p, s in optimizer.state.items() if "step" in s}
    assert in_theirs in ({}, steps)  # SGD in torch does not count


@every_schedule
@every_rule
def test_as_the_twin_in_both_forms(name: str, hyper: Hyper, schedule: str) -> None:
    twin, fused, materialised = from_the_same_values(reference, _core, _core)
    for network, clip in ((twin, None), (fused, None), (materialised, NO_LIMIT)):
        trained(network, name, hyper, schedule, clip=clip)
    close(snapshot(fused), snapshot(twin), name)
    same_bits(fused, materialised)
    assert twin.optimizer_state()["steps"] == fused.optimizer_state()["steps"] == counted(schedule)


@every_rule
def test_layers_with_settings_of_their_own(name: str, hyper: Hyper) -> None:
    twin, engine = from_the_same_values(reference, _core)
    own = {
        "2.weight": {"lr": 0.003},
        "2.bias": {"lr": 0.003, "weight_decay": 0.1},
        "4.weight": {"weight_decay": 0.2},
    }
    for network in (twin, engine):
        trained(network, name, hyper, "the head in between", groups=own)
    close(snapshot(engine), snapshot(twin), name)


def model_of(name: str, hyper: Hyper) -> nn.Sequential:
    layers = nn.Linear(FEATURES, 9), nn.Tanh(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, CLASSES)
    model = nn.Sequential(*layers)
    optimizer = getattr(optim, row_of("optimizers", name)["class_name"])
    given = paired("optimizers", name, hyper | {"lr": 0.02})
    model.compile(optimizer(**given), nn.CrossEntropyLoss())
    return model


@pytest.mark.parametrize("how", COPIES)
@every_rule
def test_copies_go_on_counting(name: str, hyper: Hyper, how: str) -> None:
    model = model_of(name, hyper)
    model[0].freeze()
    for x, y in batches("float32")[:7]:
        model.train_step(x, y)
    twin = COPIES[how](model)
    assert twin._network.optimizer_state()["steps"]["0.weight"] == 0
    for each in (model, twin):
        each[0].unfreeze()
        for x, y in batches("float32")[7:]:
            each.train_step(x, y)
    for ours, theirs in zip(snapshot(model._network), snapshot(twin._network), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@every_rule
def test_an_update_that_is_taken_back_is_not_counted(name: str, hyper: Hyper) -> None:
    model = model_of(name, hyper)
    (x, y), *_ = batches("float32")
    model.train_step(x, y)
    net = model._network
    before = net.optimizer_state()["steps"]
    with pytest.raises(TrainingDivergedError):
        model.train_step(x, grad=np.full((ROWS, CLASSES), 3e38, np.float32))
    assert net.optimizer_state()["steps"] == before
    net.set_progress(net.step, 11)
    model.load_state_dict({key: np.array(value) for key, value in model.state_dict().items()})
    assert net.optimizer_state()["steps"] == before
    bad = x.copy()
    bad[-1, 0] = np.nan
    with pytest.raises(ValueError, match="row 29"):
        model.fit(bad, y, batch_size=10, shuffle=False)
    assert net.optimizer_state()["steps"] == before
    model.fit(x, y, batch_size=10, epochs=2)
    assert set(net.optimizer_state()["steps"].values()) == {7}
    model.compile("adam", "cross_entropy")
    assert set(net.optimizer_state()["steps"].values()) == {0}


def test_gradients_of_a_layer_that_was_frozen_are_not_applied() -> None:
    model = model_of("adam", {})
    (x, y), *_ = batches("float32")
    model[0].freeze()
    model.loss_and_grad(x, y)
    model[0].unfreeze()
    with pytest.raises(ValueError, match="there are no gradients"):
        model.apply_gradients()


def test_wrong_counts_are_refused() -> None:
    network = _core.Network(LAYERS, "float32", 1)
    with pytest.raises(ValueError, match="is not compiled"):
        network.set_optimizer_steps({"0.weight": 1})
    network.compile("cross_entropy", {}, "adam", {})
    for steps in ({"0.weight": -1}, {"0.weight": 3, "9.bias": 1}):
        with pytest.raises(ValueError, match=r"set_optimizer_steps"):
            network.set_optimizer_steps(steps)
    assert set(network.optimizer_state()["steps"].values()) == {0}
