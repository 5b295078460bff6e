# SPDX-License-Identifier: BSD-3-Clause
"""A group of parameters may have a limit of its own: its norm and factor are those of torch."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn
from fastnn import nn, optim
from layouts import DTYPES
from members import Layers, linear
from pairs import Pair

if TYPE_CHECKING:
    from pathlib import Path

ROWS, BATCH, STEPS = 60, 10, 30
LAYERS: Layers = [linear(5, 9), ("tanh", {}), linear(9, 8), ("tanh", {}), linear(8, 3)]
# Patterns of keys, the limit of the others, and which keys have which limit: those that a later
# pattern takes are no part of an earlier group, and patterns with the same limit are two groups.
CASES: dict[str, Any] = {
    "one": ({"0.*": 0.01}, None, [(0.01, ["0.weight", "0.bias"])]),
    "and others": ({"0.*": 0.01}, 0.05, [(0.01, ["0.weight", "0.bias"])]),
    "exempt": ({"0.*": None}, 0.05, [(None, ["0.weight", "0.bias"])]),
    "equal": (
        {"0.*": 0.02, "4.*": 0.02},
        None,
        [(0.02, ["0.weight", "0.bias"]), (0.02, ["4.weight", "4.bias"])],
    ),
    "overlapping": (
        {"*": 0.03, "*.bias": 0.004, "2.*": 0.02},
        0.01,
        [
            (0.03, ["0.weight", "4.weight"]),
            (0.004, ["0.bias", "4.bias"]),
            (0.02, ["2.weight", "2.bias"]),
        ],
    ),
    "covered": ({"0.bias": 0.01, "0.*": 0.02}, None, [(0.02, ["0.weight", "0.bias"])]),
}
every_case = pytest.mark.parametrize("case", CASES)


def groups_of(case: str, **more: Any) -> dict[str, dict[str, Any]]:
    return {pattern: {"max_grad_norm": limit} | more for pattern, limit in CASES[case][0].items()}


def model_of(
    case: str,
    *more: Any,
    dtype: str = "float64",
    rule: str = "SGD",
    values: Any = None,
    **rest: Any,
) -> nn.Sequential:
    layers = [nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 8), nn.Tanh(), *more, nn.Linear(8, 3)]
    model = nn.Sequential(*layers, dtype=dtype, seed=3)
    values = {"lr": 0.5, "momentum": 0.9} if values is None else values
    made = getattr(optim, rule)(param_groups=groups_of(case), **values)
    model.compile(made, "cross_entropy", max_grad_norm=CASES[case][1], **rest)
    return model


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((ROWS, 5)), rng.integers(0, 3, ROWS)


def same(one: nn.Sequential, other: nn.Sequential, tolerance: float = 0.0) -> None:
    for key, value in one.state_dict().items():
        np.testing.assert_allclose(other.state_dict()[key], value, rtol=0, atol=tolerance)


def in_torch(torch: Any, model: nn.Sequential, data: Any, case: str, accumulate: int) -> Any:
    """Train a copy in torch; after the first half the first layer is frozen."""
    other = model.to_torch()
    named = dict(other.named_parameters())
    _, limit, groups = CASES[case]
    own = [key for _, keys in groups for key in keys]
    groups = [*groups, (limit, [key for key in named if key not in own])]
    optimizer = torch.optim.SGD(other.parameters(), lr=0.5, momentum=0.9)
    x, y = map(torch.from_numpy, data)
    shrunk = set()
    for step in range(STEPS):
        if step == STEPS // 2:
            other[0].requires_grad_(False)
        optimizer.zero_grad()
        for part in range(accumulate):
            first = (step * accumulate + part) % 6 * BATCH
            rows = slice(first, first + BATCH)
            loss = torch.nn.functional.cross_entropy(other(x[rows]), y[rows])
            (loss / accumulate).backward()
        for at, (most, keys) in enumerate(groups):
            if most is not None and keys:
                norm = torch.nn.utils.clip_grad_norm_([named[key] for key in keys], most)
                shrunk |= {at} if norm > most else set()
        optimizer.step()
    assert shrunk == {at for at, (most, keys) in enumerate(groups) if most is not None and keys}
    return other


@pytest.mark.parametrize("accumulate", [1, 3])
@every_case
def test_norms_are_those_of_torch(torch: Any, data: Any, case: str, accumulate: int) -> None:
    model = model_of(case, accumulate=accumulate)
    other = in_torch(torch, model, data, case, accumulate)
    for step in range(STEPS * accumulate):
        if step == STEPS // 2 * accumulate:
            model[0].freeze()
        first = step % 6 * BATCH
        model.train_step(data[0][first : first + BATCH], data[1][first : first + BATCH])
    for key, value in other.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", ["sgd", "adam"])
@every_case
def test_norms_are_those_of_the_twin(data: Any, case: str, rule: str, dtype: str) -> None:
    _, limit, groups = CASES[case]
    pair = Pair(LAYERS, dtype).compile(
        "cross_entropy", rule, {"lr": 0.02}, limits=groups, max_grad_norm=limit, accumulate=2
    )
    pair.freeze("2")
    for network in (pair.engine, pair.twin):
        network.fit(*data, batch_size=BATCH, epochs=3, seed=4)
    for ours, theirs in zip(pair.engine.parameters(), pair.twin.parameters(), strict=True):
        pair.close(ours["array"], theirs["array"], "training")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_do_not_depend_on_threads(data: Any, dtype: str) -> None:
    models = []
    for threads in (1, 2, 3, 8):
        model = model_of("overlapping", nn.Dropout(0.3), dtype=dtype, accumulate=2)
        model.fit(*data, BATCH, 3, n_threads=threads)
        models.append(model)
    for model in models[1:]:
        same(models[0], model)


@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_one_group_of_everything_is_the_limit_of_compile(data: Any, rule: str) -> None:
    plain, grouped, loose = (
        nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 3), seed=1) for _ in range(3)
    )
    everything = {"*": {"max_grad_norm": 0.1}}
    plain.compile(getattr(optim, rule)(), "cross_entropy", max_grad_norm=0.1)
    grouped.compile(getattr(optim, rule)(param_groups=everything), "cross_entropy")
    loose.compile(getattr(optim, rule)(), "cross_entropy")
    for model in (plain, grouped, loose):
        model.fit(*data, BATCH, 3)
        model.train_step(data[0][:1], data[1][:1])  # a single row, whose gradient is two factors
    same(plain, grouped)
    assert (loose[0].weight != plain[0].weight).any()


def test_a_new_rate_keeps_the_limits(data: Any) -> None:
    model, other = model_of("overlapping"), model_of("overlapping")
    for step in range(6):
        if step == 3:
            model.lr = 0.1
            other.lr = optim.lr_scheduler.ConstantLR(0.1, factor=1.0)
        model.train_step(*data)
        other.train_step(*data)
    same(model, other)
    free = model_of("one", values={"lr": 0.5})
    limited = model_of("one", values={"lr": 0.5})
    free.compile(optim.SGD(lr=0.5), "cross_entropy")
    for each in (free, limited):
        each.lr = 0.25
        each.train_step(*data)
    assert (free[0].weight != limited[0].weight).any()
    np.testing.assert_array_equal(free[2].weight, limited[2].weight)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@every_case
def test_saved_copied_and_resumed_to_the_bit(
    data: Any, tmp_path: Path, suffix: str, case: str
) -> None:
    settings: dict[str, Any] = {"dtype": "float32", "accumulate": 2, "rule": "AdamW"}
    settings["values"] = {"betas": (0.8, 0.99)}
    whole, halves = (model_of(case, **settings) for _ in range(2))
    whole.fit(*data, BATCH, 4)
    halves.fit(*data, BATCH, 2)
    halves.save(tmp_path / f"half{suffix}")
    loaded = fastnn.load(tmp_path / f"half{suffix}")
    assert loaded.optimizer == halves.optimizer
    for model in (loaded, copy.deepcopy(halves)):
        model.fit(*data, BATCH, 4, initial_epoch=2)
        same(whole, model)


def test_a_loss_of_ones_own_and_a_given_gradient(data: Any) -> None:
    x, y = data
    loss = nn.CrossEntropyLoss()
    plain, own, given = (model_of("overlapping") for _ in range(3))
    own.compile(own.optimizer, functools.partial(loss), max_grad_norm=0.01)
    for _ in range(3):
        plain.train_step(x, y)
        own.train_step(x, y)
        given.train_step(x, grad=loss(given.forward(x), y)[1])
    same(plain, own, 1e-13)
    same(plain, given, 1e-13)


def test_apply_gradients_does_not_clip(data: Any) -> None:
    """In loops by hand, clip_grad_norm clips; the factor of a step before does not count."""
    model, plain = (model_of("one", values={"lr": 0.5}) for _ in range(2))
    plain.compile(optim.SGD(lr=0.5), "cross_entropy")
    model.train_step(*data)
    plain.load_state_dict(model.state_dict())
    for each in (model, plain):
        each.loss_and_grad(*data)
        each.apply_gradients()
    same(model, plain)


def test_a_gradient_that_is_not_finite_is_found_in_its_group(data: Any) -> None:
    model = model_of("one", dtype="float32")
    before = {key: value.copy() for key, value in model.state_dict().items()}
    with pytest.raises(fastnn.TrainingDivergedError):
        model.train_step(data[0], grad=np.full((ROWS, 3), 1e38))
    for key, value in before.items():
        np.testing.assert_array_equal(model.state_dict()[key], value)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (
            lambda: optim.SGD(param_groups={"*": {"max_grad_norm": 0}}),
            ValueError,
            r"\[SGD.param_groups\['\*'\]\] max_grad_norm = 0; expected above 0 and finite",
        ),
        (
            lambda: optim.SGD(param_groups={"*": {"max_grad_norm": "1"}}),
            TypeError,
            "max_grad_norm is '1'; expected a number",
        ),
        (
            lambda: optim.SGD(param_groups={"*": {"max_norm": 1.0}}),
            ValueError,
            "unknown parameter 'max_norm'; known: lr, .*, max_grad_norm. Did you mean 'max_grad_n",
        ),
        (
            lambda: model_of("one", max_grad_value=1.0),
            ValueError,
            r"max_grad_value and max_grad_norm of param_groups\['0.\*'\] came together; expected",
        ),
        (
            lambda: nn.Sequential(nn.Linear(2, 1)).compile(
                optim.SGD(param_groups={"3.*": {"max_grad_norm": 1.0}}), "mse"
            ),
            ValueError,
            r"param_groups has '3.\*', which is no parameter's key; the parameters are: 0.weight",
        ),
    ],
)
def test_what_is_refused(make: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_the_core_refuses_what_is_no_limit() -> None:
    network = fastnn._core.Network(LAYERS)
    for limit, key in ((0.0, "0.bias"), (float("nan"), "0.bias"), (1.0, "0.gain")):
        with pytest.raises(ValueError, match=r"max_grad_norm = |no parameter is called '0.gain'"):
            network.compile("mse", {}, "sgd", {}, limits=[(limit, [key])])
