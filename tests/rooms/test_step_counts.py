# SPDX-License-Identifier: BSD-3-Clause
"""Each parameter counts its own updates: layers frozen for a while follow torch and the twin."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import _core, nn, optim, reference
from fastnn.errors import TrainingDivergedError

if TYPE_CHECKING:
    from collections.abc import Callable

NO_LIMIT = 1e30  # of the gradients' norm: the materialised form, without a change of any bit
STEPS, ROWS, FEATURES, CLASSES = 24, 30, 5, 3
# When which layers are frozen: by number in the model, from one step to another.
SCHEDULES = {
    "the body for a while": [(0, 0, 8)],
    "the body for a while, later again": [(0, 0, 5), (0, 12, 18)],
    "the head in between": [(2, 4, 10)],
    "all, one after the other": [(0, 0, 9), (2, 3, 12), (4, 7, 8)],
}
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "Adam": ("adam", {"lr": 0.02}),
    "AdamW": ("adamw", {"lr": 0.02, "weight_decay": 0.1}),
    "SGD, dampened momentum": ("sgd", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4}),
    "SGD, Nesterov": ("sgd", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
}
every_rule = pytest.mark.parametrize("rule", RULES)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES)


def linear(inputs: int, outputs: int) -> tuple[str, dict[str, Any]]:
    return "linear", {"in_features": inputs, "out_features": outputs}


LAYERS = [linear(FEATURES, 9), ("tanh", {}), linear(9, 8), ("tanh", {}), linear(8, CLASSES)]


def batches(dtype: str = "float64") -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((STEPS, ROWS, FEATURES)).astype(dtype)
    return list(zip(x, rng.integers(0, CLASSES, (STEPS, ROWS)), strict=True))


def frozen_at(schedule: str, step: int) -> set[int]:
    return {layer for layer, first, end in SCHEDULES[schedule] if first <= step < end}


def counted(schedule: str) -> dict[str, int]:
    counts = dict.fromkeys(("0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"), 0)
    for step in range(STEPS):
        for key in counts:
            counts[key] += int(key[0]) not in frozen_at(schedule, step)
    return counts


def trained(
    network: Any,
    rule: str,
    schedule: str,
    clip: float | None,
    groups: dict[str, dict[str, float]] | None = None,
) -> Any:
    network.compile("cross_entropy", {}, *RULES[rule], groups or {}, max_grad_norm=clip)
    for step, (x, y) in enumerate(batches()):
        for layer in (0, 2, 4):
            network.set_frozen(str(layer), layer in frozen_at(schedule, step))
        network.train_step(x, y)
    return network


def numbers(network: Any) -> list[np.ndarray]:
    states = network.optimizer_state()["state"]
    return [row["array"] for rows in (network.parameters(), *states) for row in rows]


@every_schedule
@every_rule
def test_as_torch(rule: str, schedule: str) -> None:
    torch = pytest.importorskip("torch")
    network = _core.Network(LAYERS, "float64", 1)
    modules = [
        torch.nn.Linear(FEATURES, 9, dtype=torch.float64),
        torch.nn.Tanh(),
        torch.nn.Linear(9, 8, dtype=torch.float64),
        torch.nn.Tanh(),
        torch.nn.Linear(8, CLASSES, dtype=torch.float64),
    ]
    theirs = torch.nn.Sequential(*modules)
    values = {f"{row['layer']}.{row['name']}": row["array"].T for row in network.parameters()}
    theirs.load_state_dict({key: torch.from_numpy(v.copy()) for key, v in values.items()})
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    optimizer = kind[RULES[rule][0]](theirs.parameters(), **RULES[rule][1])
    for step, (x, y) in enumerate(batches()):
        for layer in (0, 2, 4):
            theirs[layer].requires_grad_(layer not in frozen_at(schedule, step))
        if frozen_at(schedule, step) == {0, 2, 4}:
            continue  # nothing to differentiate
        optimizer.zero_grad(set_to_none=True)
        out = theirs(torch.from_numpy(x))
        torch.nn.functional.cross_entropy(out, torch.from_numpy(y)).backward()
        optimizer.step()
    trained(network, rule, schedule, None)
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(values[key], value.numpy(), rtol=1e-11, atol=1e-12, err_msg=key)
    steps = network.optimizer_state()["steps"]
    assert steps == counted(schedule)
    if rule.startswith("Adam"):
        names = dict(zip(theirs.parameters(), dict(theirs.named_parameters()), strict=True))
        assert steps == {names[p]: int(s["step"]) for p, s in optimizer.state.items()}


@every_schedule
@every_rule
def test_as_the_twin_in_both_forms(rule: str, schedule: str) -> None:
    twin = reference.Network(LAYERS, "float64", 1)
    fused, materialised = (_core.Network(LAYERS, "float64", 1) for _ in range(2))
    for a, b, c in zip(
        twin.parameters(), fused.parameters(), materialised.parameters(), strict=True
    ):
        b["array"][...] = c["array"][...] = a["array"]
    for network, clip in ((twin, None), (fused, None), (materialised, NO_LIMIT)):
        trained(network, rule, schedule, clip)
    for ours, theirs in zip(numbers(fused), numbers(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)
    assert [a.tobytes() for a in numbers(fused)] == [a.tobytes() for a in numbers(materialised)]
    assert twin.optimizer_state()["steps"] == fused.optimizer_state()["steps"] == counted(schedule)


@every_rule
def test_layers_with_settings_of_their_own(rule: str) -> None:
    twin, engine = (kind.Network(LAYERS, "float64", 1) for kind in (reference, _core))
    for a, b in zip(twin.parameters(), engine.parameters(), strict=True):
        b["array"][...] = a["array"]
    own = {
        "2.weight": {"lr": 0.003},
        "2.bias": {"lr": 0.003, "weight_decay": 0.1},
        "4.weight": {"weight_decay": 0.2},
    }
    for network in (twin, engine):
        trained(network, rule, "the head in between", None, own)
    for ours, theirs in zip(numbers(engine), numbers(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


def model_of(rule: str) -> nn.Sequential:
    kinds = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}
    name, hyper = RULES[rule]
    model = nn.Sequential(
        nn.Linear(FEATURES, 9), nn.Tanh(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, CLASSES)
    )
    model.compile(kinds[name](**hyper), nn.CrossEntropyLoss())
    return model


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@every_rule
def test_copies_go_on_counting(rule: str, how: Callable[[nn.Sequential], nn.Sequential]) -> None:
    model = model_of(rule)
    model[0].freeze()
    for x, y in batches("float32")[:7]:
        model.train_step(x, y)
    twin = how(model)
    assert twin._network.optimizer_state()["steps"]["0.weight"] == 0
    for each in (model, twin):
        each[0].unfreeze()
        for x, y in batches("float32")[7:]:
            each.train_step(x, y)
    ours, theirs = (numbers(each._network) for each in (model, twin))
    assert [a.tobytes() for a in ours] == [a.tobytes() for a in theirs]


@every_rule
def test_an_update_that_is_taken_back_is_not_counted(rule: str) -> None:
    model = model_of(rule)
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
    model = model_of("Adam")
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
