# SPDX-License-Identifier: BSD-3-Clause
"""A model and its module of torch compute the same and go on training the same, in both directions,
for every member that both have; everything else is refused by name."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import in_torch
from exchanged import (
    N_IN,
    N_OUT,
    agree,
    both_dtypes,
    every_member,
    every_network,
    model_of,
    model_with,
    rows,
    same_models,
)
from fastnn import nn, optim, reference
from fastnn.exchange import _torch
from members import Layers, everything, for_columns, names, sizes_of

TWINS = reference.INPUTS | reference.LAYERS | reference.CONTAINERS | reference.ACTIVATIONS


def output(torch: Any, module: Any, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.eval()(torch.tensor(x)).numpy()


# -- the same outputs, there and back --------------------------------------------------------------


@both_dtypes
@every_member
def test_every_member(
    torch: Any, rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str
) -> None:
    model = model_with(name, hyper, dtype, rng)
    twin = TWINS[name].torch
    if twin is None and name not in _torch._classes():
        with pytest.raises(ValueError, match="which torch does not have; expected layers that"):
            model.to_torch()
        return
    if twin is not None and set(twin.lacks) & set(hyper):
        with pytest.raises(ValueError, match="does not have; expected"):
            model.to_torch()
        return
    module, x = model.to_torch(), rows(rng, dtype)
    agree(output(torch, module, x), model.forward(x), dtype)
    same_models(nn.from_torch(module), model)


@both_dtypes
@every_network
def test_networks(torch: Any, rng: np.random.Generator, layers: Layers, dtype: str) -> None:
    model, x = model_of(layers, dtype, rng), rows(rng, dtype)
    module = model.to_torch()
    agree(output(torch, module, x), model.forward(x), dtype)
    assert list(module.state_dict()) == list(model.state_dict())
    back = nn.from_torch(module, seed=8)
    same_models(back, model)
    assert back.seed == 8


@pytest.mark.parametrize(
    ("room", "name"), [(room, n) for room in ("layers", "activations") for n in names(room)]
)
@both_dtypes
def test_from_torchs_own_modules(
    torch: Any, rng: np.random.Generator, room: str, name: str, dtype: str
) -> None:
    """All parameters of the row at once, of those that torch has."""
    for case in in_torch.torch_cases(room):
        if case.values[0] != name:
            continue
        hyper = for_columns(case.values[1], N_IN) | dict.fromkeys(sizes_of(name), N_IN)
        theirs = in_torch.module(torch, name, hyper).to(getattr(torch, dtype))
        body = torch.nn.Sequential(torch.nn.Linear(N_IN, N_IN).to(getattr(torch, dtype)), theirs)
        again = nn.from_torch(body).to_torch()
        assert repr(again[1]) == repr(theirs)
        for key, value in theirs.state_dict().items():
            assert torch.equal(again.state_dict()[f"1.{key}"], value)
        x = rows(rng, dtype)
        agree(nn.from_torch(body).forward(x), output(torch, body, x), dtype)


def test_named_children_are_numbered(torch: Any) -> None:
    t = torch.nn
    relu = t.ReLU()  # twice the same object, which has no parameters
    inner = t.Sequential()
    inner.add_module("lin", t.Linear(4, 4))
    inner.add_module("act", relu)
    module = t.Sequential()
    module.add_module("first", inner)
    module.add_module("act", relu)
    module.add_module("head", t.Linear(4, 2))
    model = nn.from_torch(module)
    assert [type(layer).__name__ for layer in model] == ["Chain", "ReLU", "Linear"]
    assert list(model.state_dict()) == ["0.0.weight", "0.0.bias", "2.weight", "2.bias"]


def test_values_are_copied(torch: Any) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2))
    model = nn.from_torch(module)
    kept, theirs = model[0].weight.copy(), module[0].weight.detach().clone()
    with torch.no_grad():
        module[0].weight.zero_()
    np.testing.assert_array_equal(model[0].weight, kept)
    back = model.to_torch()
    model[0].weight[...] = 0
    assert torch.equal(back[0].weight, theirs)


def test_torchs_random_numbers_stay(torch: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    model.to_torch()
    assert torch.equal(torch.rand(4), expected)


def test_frozen_layers(torch: Any) -> None:
    body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).freeze()
    model = nn.Sequential(body, nn.Dropout(0.2), nn.Linear(4, 2))
    module = model.to_torch()
    flags = {key: p.requires_grad for key, p in module.named_parameters()}
    assert flags == {key: key.startswith("2.") for key in flags}
    back = nn.from_torch(module)
    assert (back[0].frozen, back[2].frozen) == (True, False)
    module[2].bias.requires_grad_(False)
    with pytest.raises(
        ValueError, match=r"^\[from_torch\] module '2' has requires_grad=\{'weight'"
    ):
        nn.from_torch(module)


def test_statistics(torch: Any) -> None:
    t = torch.nn
    module = t.Sequential(t.Linear(4, 3), t.BatchNorm1d(3, eps=1e-3, momentum=0.25))
    for _ in range(5):
        module(torch.randn(16, 4))
    model = nn.from_torch(module)
    assert int(model.state_dict()["1.num_batches_tracked"]) == 5
    assert (model[1].eps, model[1].momentum) == (1e-3, 0.25)
    again = model.to_torch()
    assert torch.equal(again[1].num_batches_tracked, module[1].num_batches_tracked)
    assert torch.equal(again[1].running_var, module[1].running_var)


def test_dtypes(torch: Any) -> None:
    t = torch.nn
    assert nn.from_torch(t.Linear(2, 2, dtype=torch.float64)).dtype == "float64"
    assert nn.from_torch(t.Linear(2, 2), dtype="float64").dtype == "float64"
    assert nn.from_torch(t.Sequential(t.ReLU())).dtype == "float32"
    half = t.Linear(2, 2).to(torch.bfloat16)
    with pytest.raises(ValueError, match=r"^\[from_torch\] the parameters are bfloat16; expected"):
        nn.from_torch(half)
    model = nn.from_torch(half, dtype=np.float32)
    np.testing.assert_array_equal(model[0].weight, half.weight.detach().float().numpy())
    mixed = t.Sequential(t.Linear(2, 2), t.Linear(2, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match="are float32 and float64; expected float32 or float64 al"):
        nn.from_torch(mixed)


# -- training goes on ------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["to_torch", "from_torch"])
def test_training_goes_on(torch: Any, rng: np.random.Generator, direction: str) -> None:
    """Five steps of SGD with momentum in float64, of all members with a smooth derivative."""
    layers = [
        (name, hyper | getattr(reference.LAYERS.get(name), "silent", {}))
        for name, hyper in everything(N_IN, 8, N_OUT, smooth=True)
        if name in _torch._classes()
    ]
    model = model_of(layers, "float64", rng)
    module = model.to_torch()
    if direction == "from_torch":
        model = nn.from_torch(module)
    model.compile(optim.SGD(lr=0.05, momentum=0.9), "cross_entropy")
    theirs = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    module.train()
    for _ in range(5):
        x, y = rng.standard_normal((32, N_IN)), rng.integers(0, N_OUT, 32)
        loss = torch.nn.functional.cross_entropy(module(torch.tensor(x)), torch.tensor(y))
        theirs.zero_grad()
        loss.backward()
        theirs.step()
        assert model.train_step(x, y) == pytest.approx(loss.item(), rel=1e-10)
    for key, value in module.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[key], value, rtol=1e-9, atol=1e-10)


# -- the modules that torch lacks ------------------------------------------------------------------


def test_rescale_of_wide_numbers(torch: Any) -> None:
    """Seconds since 1970 keep their differences in a float32 model, and so do they in torch."""
    x = (1_700_000_000 + np.arange(50.0))[:, None]
    model = nn.Sequential(nn.Rescale([1 / 3600], -1_700_000_000 / 3600), nn.Linear(1, 2))
    module = model.to_torch().eval()
    for rows_of in (x, x.astype(np.int64)):
        agree(output(torch, module, rows_of), model.forward(rows_of), "float32")
    module.double()
    assert output(torch, module, x).dtype == np.float64


def test_pictures(torch: Any, rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    by_column = np.linspace(0.001, 0.01, 12)
    for scale in (1 / 255, by_column):
        model = nn.Sequential(nn.Rescale(scale, 0.5), nn.Flatten(), nn.Linear(12, 2))
        agree(output(torch, model.to_torch(), x), model.forward(x), "float32")


def test_modules_can_be_saved(torch: Any) -> None:
    model = nn.Sequential(nn.Rescale([1.0, 2.0]), nn.Residual(nn.Linear(2, 2)), nn.Linear(2, 1))
    file = io.BytesIO()
    torch.save(model.to_torch(), file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    same_models(nn.from_torch(loaded), model)
    assert "Rescale(scale=(2 values), shift=0.0)" in repr(loaded)


# -- refusals --------------------------------------------------------------------------------------


def refused(torch: Any) -> dict[str, tuple[Any, str]]:
    """Modules and what the message about them says."""
    t = torch.nn

    class Own(t.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = t.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.inner(x)

    class Skip(t.Sequential):
        def forward(self, x: Any) -> Any:
            return super().forward(x) * 2

    replaced = t.Linear(2, 2)
    replaced.forward = lambda x: 2 * x
    hooked = t.Linear(2, 2)
    hooked.register_forward_hook(lambda *_: None)
    linear = t.Linear(2, 2)
    normed = t.utils.parametrizations.weight_norm(t.Linear(2, 2))
    tied = t.Linear(2, 2)
    tied.weight = linear.weight
    lines = t.Sequential(t.Linear(2, 2), t.Sequential(t.Conv1d(2, 2, 1)))
    nan = t.Linear(2, 2)
    with torch.no_grad():
        nan.weight[1, 0] = float("nan")
    return {
        "unknown": (lines, "module '1.0' is a Conv1d; expected one of .*torch.nn.Linear"),
        "own": (t.Sequential(Own()), "module '0' is a Own; .*The forward of a class of one's own"),
        "replaced": (t.Sequential(replaced), "module '0' is a Linear whose forward was replaced"),
        "lazy": (t.Sequential(t.LazyLinear(2)), "module '0' is a LazyLinear without values"),
        "skip": (Skip(linear), "the module is a Skip; expected one of"),
        "affine": (
            t.BatchNorm1d(3, affine=False),
            "the module, BatchNorm1d, has affine=False; expected True, the only choice here",
        ),
        "statistics": (
            t.Sequential(t.BatchNorm1d(3, track_running_stats=False)),
            "module '0', BatchNorm1d, has track_running_stats=False; expected True",
        ),
        "momentum": (
            t.Sequential(t.Linear(2, 3), t.BatchNorm1d(3, momentum=None)),
            r"layer '1': \[BatchNorm1d\] momentum is None",
        ),
        "shape": (t.LayerNorm((2, 3)), r"the layer: \[LayerNorm\] normalized_shape is \(2, 3\)"),
        "flatten": (t.Flatten(0), "Flatten, has start_dim=0; expected 1, the only choice here"),
        "late": (t.Sequential(linear, t.Flatten()), "prepares the input; expected before all"),
        "hooks": (t.Sequential(hooked), "module '0' has forward hooks, which would not run"),
        "weight norm": (normed, "the module is parametrized; expected plain parameters"),
        "tied": (t.Sequential(linear, tied), "'1.weight' and '0.weight' are the same parameter"),
        "twice": (t.Sequential(linear, linear), "'1.weight' and '0.weight' are the same paramet"),
        "meta": (t.Linear(2, 2, device="meta"), "the module is on the device meta and has no val"),
        "nan": (t.Sequential(nan), r"'0.weight' has values that are not finite: nan at \[1, 0\]"),
        "empty": (t.Sequential(t.Sequential()), r"layer '0': \[Sequential\] no layers came"),
        "sizes": (t.Sequential(linear, t.Linear(3, 2)), "comes after 2 columns; expected 3"),
        "complex": (t.Linear(2, 2, dtype=torch.complex64), "the parameters are complex64; expect"),
    }


def test_refusals(torch: Any) -> None:
    for module, message in refused(torch).values():
        with pytest.raises((ValueError, TypeError), match=rf"(?s)^\[.*{message}"):
            nn.from_torch(module)


@pytest.mark.parametrize("given", [None, 3, "model.pt", {"0.weight": 1}])
def test_what_is_no_module(torch: Any, given: Any) -> None:
    with pytest.raises(TypeError, match=r"^\[from_torch\] got .*; expected a torch.nn.Sequential"):
        nn.from_torch(given)


def test_wrong_arguments(torch: Any) -> None:
    module = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"^\[from_torch\] dtype is 'float16'; expected"):
        nn.from_torch(module, dtype="float16")
    with pytest.raises(ValueError, match=r"^\[from_torch\] seed is -1; expected"):
        nn.from_torch(module, seed=-1)


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    model = nn.Sequential(nn.Linear(2, 2))
    for where, call in (
        ("from_torch", lambda: nn.from_torch(3)),
        ("Sequential.to_torch", model.to_torch),
    ):
        with pytest.raises(ImportError, match=rf"^\[{where}\] needs torch, .*: pip install torch"):
            call()


def test_import_loads_nothing_of_it() -> None:
    code = (
        "import sys, fastnn.nn; print([m for m in sys.modules if 'exchange' in m or m == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['fastnn.nn._exchange']"
