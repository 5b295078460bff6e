# SPDX-License-Identifier: BSD-3-Clause
"""Members and networks in torch, as the twin's rows describe them: the other side of a comparison.

Everything is in float64. `torch` is the module, from the fixture of that name.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from fastnn import reference
from members import (
    TWINS,
    Hyper,
    Layers,
    beside,
    cases,
    hyper_cases,
    names,
    other_values,
    paired,
    row_of,
    sizes_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


def has(room: str, name: str, hyper: Hyper | None = None) -> bool:
    """Return whether torch has this member, with these parameters."""
    torch = TWINS[room][name].torch
    return torch is not None and not set(torch.lacks) & set(hyper or {})


def torch_names(room: str) -> list[str]:
    return [name for name in names(room) if has(room, name)]


def torch_cases(room: str) -> list[Any]:
    """Return (name, hyper): the defaults, each parameter alone, and all that torch has."""
    found = [case for case in cases(room) if has(room, *case.values)]
    for name in torch_names(room):
        lacks = TWINS[room][name].torch.lacks
        others = {p: v for p, v in other_values(room, name).items() if p not in lacks}
        together = beside(room, name, others)
        if together not in hyper_cases(room, name):
            found.append(pytest.param(name, together, id=f"{name}-together"))
    return found


def options(room: str, name: str, hyper: Hyper) -> Hyper:
    """Return the parameters under torch's names."""
    words = TWINS[room][name].torch.names
    given = {words.get(key, key): value for key, value in paired(room, name, hyper).items()}
    return given | dict(TWINS[room][name].torch.options)


def torch_class(torch: Any, room: str, name: str) -> Any:
    home = torch.optim if room == "optimizers" else torch.nn
    return getattr(home, TWINS[room][name].torch.name or row_of(room, name)["class_name"])


def optimizer(torch: Any, name: str, hyper: Hyper, parameters: Any) -> Any:
    made = torch_class(torch, "optimizers", name)
    return made(parameters, **options("optimizers", name, hyper))


def loss_of(torch: Any, name: str, hyper: Hyper, dtype: Any) -> Callable[[Any, Any], Any]:
    """Return the function of outputs and targets that a loss is."""
    row = TWINS["losses"][name].torch
    given = options("losses", name, {p: v for p, v in hyper.items() if p not in row.own})
    given = {p: torch.tensor(v) if isinstance(v, list) else v for p, v in given.items()}
    made = torch_class(torch, "losses", name)(**given).to(dtype)
    own = {p: v for p, v in hyper.items() if p in row.own}

    def measure(out: Any, target: Any) -> Any:
        with warnings.catch_warnings():
            # KLDivLoss announces that its mean will be another one.
            warnings.filterwarnings("ignore", message="reduction: 'mean' divides")
            found = row.call(made, out, target, **own) if row.call else made(out, target)
        return row.factor * found

    return measure


def loss(torch: Any, name: str, hyper: Hyper, out: Any, y: Any) -> tuple[float, np.ndarray]:
    """Return value and gradient of a loss."""
    leaf = torch.tensor(out, requires_grad=True)
    value = loss_of(torch, name, hyper, leaf.dtype)(leaf, torch.tensor(y))
    value.backward()
    return value.item(), leaf.grad.numpy()


def module(torch: Any, name: str, hyper: Hyper) -> Any:
    """One layer, activation or container; sizes have no default, and stand first in torch, too."""
    if name in reference.CONTAINERS:
        inner = [module(torch, *layer) for layer in hyper["layers"]]
        made = (residual_class(torch) if name == "residual" else torch.nn.Sequential)(*inner)
        if "shortcut" in hyper:
            made.add_module("shortcut", module(torch, *hyper["shortcut"]))
        return made
    room = next(room for room in ("activations", "inputs", "layers") if name in TWINS[room])
    sizes = [hyper[p] for p in sizes_of(name)]
    rest = {p: value for p, value in hyper.items() if p not in sizes_of(name)}
    return torch_class(torch, room, name)(*sizes, **options(room, name, rest))


def residual_class(torch: Any) -> Any:
    class Residual(torch.nn.Sequential):
        def forward(self, x: Any) -> Any:
            y = x
            for name, part in self.named_children():
                y = y if name == "shortcut" else part(y)
            return y + (self.shortcut(x) if hasattr(self, "shortcut") else x)

    return Residual


def values(other: Any) -> dict[str, np.ndarray]:
    """Parameters and statistics as the engine has them: (inputs, outputs)."""
    return {key: value.numpy().T for key, value in other.state_dict().items()}


def gradients(other: Any) -> dict[str, np.ndarray]:
    return {key: p.grad.numpy().T for key, p in other.named_parameters()}


def network(torch: Any, layers: Layers, engine: Any) -> Any:
    """The same layers with the same parameters."""
    modules = [module(torch, name, hyper) for name, hyper in layers]
    other = torch.nn.Sequential(*modules).to(torch.float64)
    with torch.no_grad():
        state = other.state_dict()
        for p in engine.parameters():
            state[p["key"]].copy_(torch.from_numpy(p["array"].T.copy()))
    return other
