# SPDX-License-Identifier: BSD-3-Clause
"""The members of all rooms as cases for tests, made from the registries' rows and the twin's.

A row of the registry says which parameters there are and a value of each to try; a row of the twin
says the rest: kinks, ranges, what torch calls it, how exact it can be. Whatever is added to a
registry is a case of every test that is made from here, without a line of its own.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from fastnn import _core, reference

Layers = list[tuple[str, dict[str, Any]]]
Hyper = dict[str, Any]

REGISTRIES = _core.registries()
TWINS: dict[str, dict[str, Any]] = {
    "activations": reference.ACTIVATIONS,
    "losses": reference.LOSSES,
    "optimizers": reference.OPTIMIZERS,
    "schedules": reference.SCHEDULES,
    "inputs": reference.INPUTS,
    "layers": reference.LAYERS,
}
NO_MEMBER = "no such member"  # a name with blanks: no room can have it


def names(room: str) -> list[str]:
    return [row["name"] for row in REGISTRIES[room]]


def row_of(room: str, name: str) -> dict[str, Any]:
    return next(row for row in REGISTRIES[room] if row["name"] == name)


# -- values of parameters --------------------------------------------------------------------------


class PerOutput:
    """A list of numbers, one for each output: a pattern, repeated for as many as there are."""

    def __init__(self, pattern: tuple[float, ...]) -> None:
        self.pattern, self.__name__ = pattern, "a list"

    def __call__(self, outputs: int) -> list[float]:
        return [self.pattern[k % len(self.pattern)] for k in range(outputs)]


def other_values(room: str, name: str) -> Hyper:
    """Return the value to try of every parameter that has one; the others are sizes of arrays."""
    given = [p for p in row_of(room, name)["params"] if p["tries"] is not None]
    return {p["name"]: PerOutput(p["tries"]) if p["per_output"] else p["tries"] for p in given}


def beside(room: str, name: str, hyper: Hyper) -> Hyper:
    """Return `hyper`, and with its parameters the values without which they change nothing."""
    needed = getattr(TWINS[room][name], "beside", {})
    return hyper | {k: v for p in needed if p in hyper for k, v in needed[p].items()}


def paired(room: str, name: str, hyper: Hyper) -> Hyper:
    """Return `hyper` as users write it: two halves become torch's one pair.

    A half that `hyper` does not have is the default of the row.
    """
    rows = row_of(room, name)["params"]
    pair_of = {p["name"]: p["pair"] for p in rows if p["pair"]}
    found: Hyper = {}
    for key, value in hyper.items():
        if key in pair_of:
            halves = [p for p in rows if p["pair"] == pair_of[key]]
            found[pair_of[key]] = tuple(hyper.get(p["name"], p["default"]) for p in halves)
        else:
            found[key] = value
    return found


def learned(name: str, columns: int) -> Hyper:
    """Return what a preparation learns from rows before any can be predicted, for tests of calls
    that have not seen any."""
    return for_columns(reference.INPUTS[name].learned, columns)


def hyper_cases(room: str, name: str) -> list[Hyper]:
    """Return the defaults, each parameter with another value, and all of them together.

    Values that the twin's row says to try are among them.
    """
    others = other_values(room, name)
    found = [{}, *(beside(room, name, {p: value}) for p, value in others.items())]
    found += getattr(TWINS[room][name], "tries", ())
    return found + ([others] if len(others) > 1 else [])


def cases(room: str) -> list[Any]:
    """Return (name, hyper) of every member of a room, for pytest.mark.parametrize."""
    return [
        pytest.param(name, hyper, id="-".join([name, *map(spelled, hyper.values())]))
        for name in names(room)
        for hyper in hyper_cases(room, name)
    ]


def spelled(value: Any) -> str:
    return value.__name__.strip("_") if callable(value) else str(value)


def for_columns(hyper: Hyper, columns: int) -> Hyper:
    """Return `hyper` with the values that depend on the number of columns."""
    return {key: v(columns) if callable(v) else v for key, v in hyper.items()}


# -- data ------------------------------------------------------------------------------------------


def numbers_in(rng: np.random.Generator, allowed: tuple[float, float], shape: Any) -> np.ndarray:
    """Return numbers inside of a range, normal ones where it has no end."""
    low, high = allowed
    if np.isfinite(low) and np.isfinite(high):
        return rng.uniform(low + 0.02 * (high - low), high - 0.02 * (high - low), shape)
    if np.isfinite(low):
        return low + 0.02 + rng.exponential(1.0, shape)
    return 2 * rng.standard_normal(shape)


def fitted(loss: str, hyper: Hyper, k: int) -> tuple[Hyper, int]:
    """`hyper` for k outputs, or for as many more as the loss needs; and how many there are."""
    plain = {p: v for p, v in hyper.items() if p != "reduction" and not callable(v)}
    each = reference.LOSSES[loss].outputs_per_target(**plain)
    k = -(-k // each) * each
    return for_columns(hyper, k), k


def without_reduction(hyper: Hyper) -> Hyper:
    return {p: v for p, v in hyper.items() if p != "reduction"}


def targets(
    rng: np.random.Generator,
    loss: str,
    n: int,
    k: int,
    dtype: str = "float64",
    hyper: Hyper | None = None,
) -> Any:
    """Targets for k outputs, or for as many more as the loss needs."""
    row, own = reference.LOSSES[loss], without_reduction(hyper or {})
    if row.target == "class":
        return rng.integers(0, k, n)
    shape = (n, -(-k // row.outputs_per_target(**own)))
    return numbers_in(rng, row.target_range(**own), shape).astype(dtype)


def outputs(
    rng: np.random.Generator,
    loss: str,
    n: int,
    k: int,
    dtype: str = "float64",
    hyper: Hyper | None = None,
) -> Any:
    allowed = reference.LOSSES[loss].output_range(**without_reduction(hyper or {}))
    return numbers_in(rng, allowed, (n, k)).astype(dtype)


def off_kinks(name: str, hyper: Hyper, z: np.ndarray) -> np.ndarray:
    """Return `z`, moved away from the places where the derivative of an activation jumps."""
    for kink in reference.ACTIVATIONS[name].kinks(**hyper):
        z = np.where(abs(z - kink) < 0.01, kink + np.copysign(0.01, z - kink), z)
    return z


# -- networks --------------------------------------------------------------------------------------


def arguments_of(name: str) -> list[inspect.Parameter]:
    """Return the arguments of a layer or a preparation, as the twin has them."""
    made = (reference.INPUTS | reference.LAYERS).get(name)
    return list(inspect.signature(made).parameters.values()) if made else []


def sizes_of(name: str) -> list[str]:
    """Return the parameters that the input or the output decides: those without a default."""
    return [p.name for p in arguments_of(name) if p.default is p.empty]


def defaults_of(name: str) -> Hyper:
    """Return the other parameters of a layer, and what they are unless they are given."""
    return {p.name: p.default for p in arguments_of(name) if p.default is not p.empty}


def linear(n_in: int, n_out: int, bias: bool = True) -> tuple[str, Hyper]:
    return ("linear", {"in_features": n_in, "out_features": n_out, "bias": bias})


def network_with(name: str, hyper: Hyper, n_in: int, width: int, n_out: int) -> Layers:
    """Return a network around one layer or activation, which has `width` columns below it."""
    if name in reference.INPUTS:
        first = (name, learned(name, n_in) | for_columns(hyper, n_in))
        return [first, linear(n_in, width), ("tanh", {}), linear(width, n_out)]
    hyper = for_columns(hyper, width) | dict.fromkeys(sizes_of(name), width)
    # If the layer above cancels a bias, the gradient of that bias is rounding noise.
    bias = not getattr(reference.LAYERS.get(name), "cancels_bias", False)
    return [linear(n_in, width, bias), (name, hyper), linear(width, n_out)]


def scaling() -> list[str]:
    """Return the preparations that scale the columns, of which a network has one at most."""
    return [row["name"] for row in REGISTRIES["inputs"] if row["scales"]]


def everything(n_in: int, width: int, n_out: int, *, smooth: bool = False) -> Layers:
    """Return every layer and activation, one after the other, with Linear between them.

    With a way past each activation, the gradients of the first layers are as large as the last's; a
    LayerNorm before each keeps its inputs small.
    `smooth` leaves out activations whose derivative jumps somewhere.
    """
    preparing = [name for name in names("inputs") if name not in scaling()[:-1]]
    layers: Layers = [(name, learned(name, n_in)) for name in preparing]
    layers += [linear(n_in, width, bias=False)]
    for name in names("layers"):
        if name != "linear":
            layers += network_with(name, {}, width, width, width)[1:]
    for name in names("activations"):
        if not (smooth and reference.ACTIVATIONS[name].kinks()):
            norm = ("layer_norm", {"normalized_shape": width})
            layers += [("residual", {"layers": [norm, (name, {}), linear(width, width)]})]
    return [*layers, linear(width, n_out)]


def ending(loss: str, outputs: int, hyper: Hyper | None = None) -> Layers:
    """Return what has to end a network with so many outputs so that they fit the loss: as many more
    as it needs, and what keeps them in its range."""
    _, k = fitted(loss, hyper or {}, outputs)
    more = [] if k == outputs else [linear(outputs, k)]
    return more + _in_range(loss, hyper or {})


def _in_range(loss: str, hyper: Hyper) -> Layers:
    if reference.LOSSES[loss].ends:
        return [(reference.LOSSES[loss].ends, {})]
    low, high = reference.LOSSES[loss].output_range(**without_reduction(hyper))
    if np.isinf((low, high)).all():
        return []
    anything = np.linspace(-30, 30, 61)
    for name, row in reference.ACTIVATIONS.items():
        a = row.f(anything[:, None])
        if low < a.min() and a.max() <= high:
            return [(name, {})]
    raise AssertionError(f"no activation ends inside {low} to {high}, which {loss} expects")
