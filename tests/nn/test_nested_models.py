# SPDX-License-Identifier: BSD-3-Clause
"""A Residual or a Sequential inside another keeps torch's keys and values.

A layer inside a container can be read, changed, frozen and copied like any other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import in_torch
from fastnn import nn, optim
from models import COPIES, same_values

F, K = 6, 3


def make(**options: Any) -> nn.Sequential:
    body = nn.Residual(nn.LayerNorm(8), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.2))
    head = nn.Sequential(nn.Linear(8, 5), nn.Residual(nn.Linear(5, 5), nn.BatchNorm1d(5)))
    return nn.Sequential(nn.Linear(F, 8), body, head, nn.Linear(5, K), **options)


def data(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, F)).astype(np.float32), rng.integers(0, K, n)


def compiled(model: nn.Sequential) -> nn.Sequential:
    model.compile(optim.AdamW(lr=0.01), "cross_entropy", metrics=["accuracy"])
    return model


def fitted(model: nn.Sequential, **options: Any) -> nn.Sequential:
    compiled(model).fit(*data(), epochs=2, **options)
    return model


def values(model: nn.Sequential) -> dict[str, np.ndarray]:
    state = model.state_dict().items()
    return {key: np.array(value) for key, value in state if "num_batches" not in key}


def torch_twin(torch: Any) -> Any:
    residual, sequential, t = in_torch.residual_class(torch), torch.nn.Sequential, torch.nn
    body = residual(t.LayerNorm(8), t.Linear(8, 8), t.ReLU(), t.Dropout(0.2))
    head = sequential(t.Linear(8, 5), residual(t.Linear(5, 5), t.BatchNorm1d(5)))
    return sequential(t.Linear(F, 8), body, head, t.Linear(5, K))


def test_values_go_to_torch_and_back(torch: Any) -> None:
    model, other = fitted(make()), torch_twin(torch).eval()
    assert list(model.state_dict()) == list(other.state_dict())
    x, _ = data()
    fresh = make(seed=3)
    fresh.load_state_dict(other.state_dict())
    np.testing.assert_allclose(
        fresh.forward(x), other(torch.from_numpy(x)).detach().numpy(), atol=1e-6
    )
    state = model.state_dict().items()
    other.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state})
    np.testing.assert_allclose(
        model.forward(x), other(torch.from_numpy(x)).detach().numpy(), atol=1e-5
    )


def test_a_nested_model_is_the_flat_one() -> None:
    """Values from a seed and bits of a training are the same; only the keys differ."""
    layers: list[Any] = [nn.Linear(F, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, K)]
    flat = fitted(nn.Sequential(*layers))
    inner = nn.Sequential(nn.ReLU(), nn.Dropout(0.3))
    nested = fitted(nn.Sequential(nn.Sequential(nn.Linear(F, 8), inner), nn.Linear(8, K)))
    assert list(nested.state_dict()) == ["0.0.weight", "0.0.bias", "1.weight", "1.bias"]
    for ours, theirs in zip(values(nested).values(), values(flat).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_inside_another_keeps_its_values_and_stays_its_own() -> None:
    inner = fitted(nn.Sequential(nn.Linear(F, F), nn.Tanh(), nn.Linear(F, K)))
    before = values(inner)
    outer = nn.Sequential(inner, nn.Linear(K, K))
    for key, value in before.items():
        np.testing.assert_array_equal(outer.state_dict()[f"0.{key}"], value)
    fitted(outer)
    assert (outer.state_dict()["0.0.weight"] != before["0.weight"]).any()
    for key, value in values(inner).items():
        np.testing.assert_array_equal(value, before[key])


def test_layers_inside_are_layers_of_the_model() -> None:
    model = fitted(make())
    assert isinstance(model[1], nn.Residual)
    assert [len(model), len(model[1]), len(model[2])] == [4, 4, 2]
    assert [type(layer) for layer in model[1]] == [nn.LayerNorm, nn.Linear, nn.ReLU, nn.Dropout]
    assert model[2][-1][0].weight.shape == (5, 5)
    model[1][1].weight[...] = 0  # a view
    assert not model.state_dict()["1.1.weight"].any()
    for index, error in ((4, IndexError), ("0", TypeError), (slice(1), TypeError)):
        with pytest.raises(error, match=r"\[Residual\]"):
            model[1][index]
    with pytest.raises(TypeError):
        model[1][0] = nn.ReLU()  # type: ignore[index]


def test_shown() -> None:
    text = """Sequential(
  (0): Linear(in_features=6, out_features=8, bias=True)
  (1): Residual(
    (0): LayerNorm(8, eps=1e-05, elementwise_affine=True, bias=True)
    (1): Linear(in_features=8, out_features=8, bias=True)
    (2): ReLU()
    (3): Dropout(p=0.2)
  )
  (2): Sequential(
    (0): Linear(in_features=8, out_features=5, bias=True)
    (1): Residual(
      (0): Linear(in_features=5, out_features=5, bias=True)
      (1): BatchNorm1d(5, eps=1e-05, momentum=0.1)
    )
  )
  (3): Linear(in_features=5, out_features=3, bias=True)
)"""
    assert repr(make()) == text


def test_summary() -> None:
    model = make()
    model[1].freeze()
    summary = model.summary(print_fn=None)
    assert [row.key for row in summary.rows] == [
        "0", "1", "1.0", "1.1", "1.2", "1.3", "2", "2.0", "2.1", "2.1.0", "2.1.1", "3",
    ]  # fmt: skip
    trainable = {key for key in model.state_dict() if not key.startswith("1.")}
    trainable = {key for key in trainable if "running" not in key and "num_batches" not in key}
    assert summary.trainable == sum(model.state_dict()[key].size for key in trainable)
    assert summary.flops == model._network.flops_per_row  # type: ignore[union-attr]
    assert [row.output for row in summary.rows] == [8, 8, 8, 8, 8, 8, 5, 5, 5, 5, 5, 3]


def test_freezing_a_container() -> None:
    model = compiled(make())
    assert model[1].freeze() is model[1]
    assert model[1].frozen
    assert not model[2].frozen
    before = values(model)
    model.fit(*data(), epochs=1)
    for key, value in values(model).items():
        assert (value == before[key]).all() == key.startswith("1."), key
    model[1].unfreeze()
    model[2][1].freeze()
    before = values(model)
    model.fit(*data(), epochs=1)
    for key, value in values(model).items():
        assert (value == before[key]).all() == key.startswith("2.1."), key
    again = nn.Sequential(*make()[:2])
    again[1].freeze()
    assert again[1][0].frozen


@pytest.mark.parametrize("how", COPIES)
def test_copies_of_the_model(how: str) -> None:
    model = fitted(make())
    other = COPIES[how](model)
    same_values(model, other)
    for each in (model, other):
        each.fit(*data(), epochs=1)
    same_values(model, other)
    other[1][1].weight[...] = 0
    assert model[1][1].weight.any()


@pytest.mark.parametrize("how", COPIES)
def test_copies_of_a_container(how: str) -> None:
    model = fitted(make())
    block = COPIES[how](model[1])
    assert repr(block) == repr(model[1])
    np.testing.assert_array_equal(block[1].weight, model[1][1].weight)
    other = nn.Sequential(nn.Linear(F, 8), block)
    np.testing.assert_array_equal(other[1][1].weight, model[1][1].weight)
    other[1][1].weight[...] = 0
    assert model[1][1].weight.any()


def test_slices_and_appended_blocks() -> None:
    model = fitted(make())
    part = model[:2]
    assert list(part.state_dict()) == [k for k in model.state_dict() if k[0] in "01"]
    np.testing.assert_array_equal(part[1][1].weight, model[1][1].weight)
    part.append(nn.Residual(nn.Linear(8, 8))).append(nn.Sequential(nn.Tanh(), nn.Linear(8, K)))
    np.testing.assert_array_equal(part[1][1].weight, model[1][1].weight)
    assert list(part.state_dict())[-4:] == ["2.0.weight", "2.0.bias", "3.1.weight", "3.1.bias"]
    fitted(part)
    joined = nn.Sequential(*part[:3], *model[2:])
    np.testing.assert_array_equal(joined[2][0].weight, part[2][0].weight)
    model[1] = nn.Residual(nn.Linear(8, 8))
    assert "1.0.weight" in model.state_dict()
    assert "1.1.weight" not in model.state_dict()


def test_settings_change_inside() -> None:
    changed, given = compiled(make()), make()
    changed[1][3].p = 0.7
    changed[1][0].eps = 0.5
    changed[2][1][1].momentum = 0.5
    given[1][3].p, given[1][0].eps, given[2][1][1].momentum = 0.7, 0.5, 0.5
    for model in (changed, compiled(given)):
        model.fit(*data(), epochs=2)
    same_values(changed, given)
    assert (values(changed)["1.1.weight"] != values(fitted(make()))["1.1.weight"]).any()


def test_gradients_have_the_same_keys() -> None:
    model = compiled(make())
    x, y = data()
    _, gradients = model.loss_and_grad(x, y)
    assert list(gradients) == [
        key for key in model.state_dict() if "running" not in key and "num_batches" not in key
    ]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (nn.Residual, ValueError, r"\[Residual\] no layers came; expected at least one"),
        (lambda: nn.Residual(nn.Linear), TypeError, r"\[Residual\] layer 0 is the class Linear"),
        (lambda: nn.Residual([nn.ReLU()]), TypeError, r"\[Residual\] layer 0 is a list"),
        (lambda: nn.Residual(3), TypeError, r"\[Residual\] layer 0 is int; expected a layer"),
        (lambda: nn.Residual(nn.ReLU(), nn.Rescale(2.0)), ValueError, "layer 1 .*prepares the inp"),
        (
            lambda: nn.Sequential(nn.Sequential(nn.Flatten())),
            ValueError,
            "layer 0 .*prepares the i",
        ),
        (lambda: nn.Sequential(nn.Sequential()), ValueError, r"\[Sequential\] no layers came"),
        (
            lambda: nn.Sequential(nn.Linear(4, 8), nn.Residual(nn.Linear(8, 7))),
            ValueError,
            r"\[Sequential: layer 1\] the layers of Residual make 7 columns of 8; expected as many",
        ),
        (
            lambda: nn.Sequential(nn.Linear(4, 8), nn.Residual(nn.ReLU(), nn.Linear(7, 8))),
            ValueError,
            r"\[Sequential: layer 1\.1\] Linear\(.*\) comes after 8 columns; expected 7",
        ),
        (
            lambda: nn.Sequential(nn.Residual(nn.Linear(4, 5))),
            ValueError,
            r"the layers of 0 make 5 columns of 4",
        ),
    ],
)
def test_refusals(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_one_layer_stands_in_one_place() -> None:
    tied = nn.Linear(8, 8)
    with pytest.raises(ValueError, match="layer 1 is the same object as layer 0"):
        nn.Sequential(tied, nn.Residual(tied))
    block = nn.Residual(tied)
    with pytest.raises(ValueError, match="tied weights do not exist here"):
        nn.Sequential(block, nn.ReLU(), block)


def test_layer_norm_takes_torchs_arguments(torch: Any) -> None:
    x = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    for options in ({}, {"eps": 0.1}, {"elementwise_affine": False}, {"bias": False}):
        model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8, **options))
        other = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8, **options))
        assert list(model.state_dict()) == list(other.state_dict())
        model.load_state_dict(other.state_dict())
        np.testing.assert_allclose(
            model.forward(x), other(torch.from_numpy(x)).detach().numpy(), atol=1e-5
        )
    assert nn.LayerNorm(8, bias=False).bias is None
    assert nn.LayerNorm(8, elementwise_affine=False).weight is None
    with pytest.raises(ValueError, match="comes after 8 columns; expected 7"):
        nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(7))
