# SPDX-License-Identifier: BSD-3-Clause
"""Every function that returns arrays fills the caller's: `out`, or one for each result by its name.

The calls are made from the registries' rows and a table of the functions that have no row; a public
function that returns an array and is in neither of them fails.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import _registry
from fastnn.functional._functions import loss_name
from fastnn.functional._layer_functions import layer_name
from layouts import DTYPES, read_only
from members import fitted, names, outputs, targets

if TYPE_CHECKING:
    from collections.abc import Callable

N, K = 6, 5
FIXED = {"perceptron": "float64", "perceptron_step": "float64", "schedule": "float64"}


class Call(NamedTuple):
    """A function, arguments to call it with, and the names of its arrays for results."""

    function: Callable[..., Any]
    given: dict[str, Any]
    outs: list[str]

    def __call__(self, **more: Any) -> list[np.ndarray]:
        """The arrays that the function returns."""
        found = self.function(**self.given | more)
        several = found if isinstance(found, tuple) else (found,)
        return [each for each in several if isinstance(each, np.ndarray)]


def function_of(name: str) -> Callable[..., Any]:
    return getattr(F.init, name.removeprefix("init.")) if "." in name else getattr(F, name)


def outs_of(name: str) -> list[str]:
    known = inspect.signature(function_of(name)).parameters.values()
    return [p.name for p in known if p.annotation in ("Array | None", "NDArray[Any] | None")]


def public() -> list[str]:
    """The functions whose results have an array; names with `_` at the end change their own."""
    every = [*F.__all__, *(f"init.{name}" for name in F.init.__all__)]
    found = [n for n in every if inspect.isfunction(function_of(n)) and not n.endswith("_")]
    returns = {n: str(inspect.signature(function_of(n)).return_annotation) for n in found}
    return [n for n in found if "Array" in returns[n]]


def calls(dtype: str) -> dict[str, Call]:
    rng = np.random.default_rng(4)

    def draw(*shape: int) -> np.ndarray:
        return rng.uniform(0.1, 0.9, shape).astype(dtype)

    found: dict[str, dict[str, Any]] = {}
    for name in names("activations"):
        found[name] = {"z": draw(N, K)}
        found[f"{name}_backward"] = {"dy": draw(N, K), "saved": draw(N, K)}
    for name, row in _registry.rows("losses").items():
        _, k = fitted(name, {}, K)
        given = {"out": outputs(rng, name, N, k, dtype), "target": targets(rng, name, N, k, dtype)}
        found[loss_name(row)] = given | {"sample_weight": draw(N)}
    for name, row in _registry.rows("layers").items():
        if name != "linear":
            forward = layer_name(row)
            known = inspect.signature(getattr(F, forward)).parameters.values()
            given = {p.name: draw(K) for p in known if p.annotation == "ArrayLike | None"}
            found[forward] = {"x": draw(N, K), **given}
            found[f"{forward}_backward"] = {"dy": draw(N, K), "x": draw(N, K), **given}
    for name in F.init.__all__:
        found[f"init.{name}"] = {"shape": (N, K), "seed": 3, "dtype": dtype}
    found |= {
        "linear": {"x": draw(N, K), "w": draw(K, 3), "b": draw(3)},
        "linear_backward": {"dy": draw(N, 3), "x": draw(N, K), "w": draw(K, 3)},
        "matmul": {"x": draw(N, K), "w": draw(K, 3)},
        "one_hot": {"y": np.arange(N) % 3, "n_classes": 3, "dtype": dtype},
        "dropout_mask": {"shape": (N, K), "p": 0.5, "seed": 1, "dtype": dtype},
        "perceptron": {"X": draw(N, K), "y": np.arange(N) % 2, "epochs": 2},
        "perceptron_step": {"X": draw(N, K), "y": np.arange(N) % 2, "w": draw(K)},
        "schedule": {"rate": lambda epoch: 0.5**epoch, "n": N},
    }
    wanted = {n: g for n, g in found.items() if FIXED.get(n, dtype) == dtype}
    return {n: Call(function_of(n), given, outs_of(n)) for n, given in wanted.items()}


CALLS = {dtype: calls(dtype) for dtype in DTYPES}
NAMES = list(CALLS["float64"])


def dtypes_of(name: str) -> list[tuple[str, Call]]:
    return [(dtype, CALLS[dtype][name]) for dtype in DTYPES if name in CALLS[dtype]]


def test_each_function_that_returns_arrays_is_tried() -> None:
    assert sorted(CALLS["float64"]) == sorted(public())


def test_outs_are_named_as_the_results() -> None:
    """`out` of one array; by the names of the results of more; `dout` of a loss."""
    losses = {loss_name(row) for row in _registry.rows("losses").values()}
    for name, call in CALLS["float64"].items():
        several = len(call()) > 1
        assert len(call.outs) == len(call()), name
        assert call.outs == ["dout" if name in losses else "out"] or several, name
        assert not several or call.outs[0] == "dx", name


def laid(result: np.ndarray, order: str) -> tuple[np.ndarray, np.ndarray]:
    """An array like `result` in such an order, of NaN; and the memory that it is a view of."""
    if order == "strided":
        memory = np.full(tuple(2 * n for n in result.shape), np.nan, result.dtype)
        return memory[tuple(slice(None, None, 2) for _ in result.shape)], memory
    array = np.full(result.shape, np.nan, result.dtype, order=order)  # type: ignore[call-overload]
    return array, array


@pytest.mark.parametrize("name", NAMES)
def test_the_callers_arrays_are_filled_and_returned(name: str) -> None:
    for dtype, call in dtypes_of(name):
        expected = call()
        for order in ("C", "F", "strided"):
            assert_filled(call, expected, dtype, order)
        for what, wanted in zip(call.outs, expected, strict=True):  # each by itself
            array = np.empty_like(wanted)
            assert call(**{what: array})[call.outs.index(what)] is array
            np.testing.assert_array_equal(array, wanted)


def assert_filled(call: Call, expected: list[np.ndarray], dtype: str, order: str) -> None:
    pairs = [laid(each, order) for each in expected]
    given = {what: array for what, (array, _) in zip(call.outs, pairs, strict=True)}
    found = call(**given)
    assert [id(each) for each in found] == [id(each) for each in given.values()]
    for each, wanted, (array, memory) in zip(found, expected, pairs, strict=True):
        assert each.dtype == wanted.dtype == dtype
        np.testing.assert_array_equal(each, wanted)
        outside = np.isnan(memory).sum() - np.isnan(wanted).sum()
        assert outside == memory.size - array.size  # nothing else was written


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_take_a_result_is_refused(name: str) -> None:
    for dtype, call in dtypes_of(name):
        assert_refused(name, call, dtype)


def assert_refused(name: str, call: Call, dtype: str) -> None:
    other = next(kind for kind in DTYPES if kind != dtype)
    for what, result in zip(call.outs, call(), strict=True):
        where = rf"^\[{name.replace('.', '[.]')}\] {what} "
        bad: list[tuple[type[Exception], str, Any]] = [
            (ValueError, f"is {other} with shape", np.empty(result.shape, other)),
            (ValueError, "is .* with shape .*; expected", np.empty((*result.shape, 1), dtype)),
            (ValueError, "is read-only", read_only(np.empty_like(result))),
            (TypeError, "has dtype int32", np.empty(result.shape, np.int32)),
            (TypeError, "has dtype >f", np.empty_like(result).astype(f">{result.dtype.str[1:]}")),
            (TypeError, "is list; expected", result.tolist()),
        ]
        for kind, text, out in bad:
            with pytest.raises(kind, match=where + text):
                call(**{what: out})


@pytest.mark.parametrize("name", NAMES)
def test_memory_of_an_input_is_refused(name: str) -> None:
    """Unless it is the very array, an out must not overlap an input; nor outs each other."""
    for dtype, call in dtypes_of(name):
        assert_apart(call, dtype)


def assert_apart(call: Call, dtype: str) -> None:
    results = call()
    for what, result in zip(call.outs, results, strict=True):
        for argument, array in call.given.items():
            if not isinstance(array, np.ndarray) or array.dtype != result.dtype:
                continue
            memory = np.zeros(array.size + result.size + 1, dtype)
            given = memory[: array.size].reshape(array.shape)
            given[...] = array
            out = memory[1 : 1 + result.size].reshape(result.shape)
            with pytest.raises(ValueError, match=rf"{what} shares memory with an input; expected"):
                call(**{argument: given, what: out})
            np.testing.assert_array_equal(given, array)
    memory = np.zeros(sum(result.size for result in results), dtype)
    for what, result in zip(call.outs[1:], results[1:], strict=True):
        first = memory[: results[0].size].reshape(results[0].shape)
        out = memory[results[0].size - 1 :][: result.size].reshape(result.shape)
        with pytest.raises(ValueError, match=rf"{what} shares memory with dx; expected"):
            call(**{"dx": first, what: out})


@pytest.mark.parametrize("name", NAMES)
def test_an_input_may_take_the_result(name: str) -> None:
    """As each docstring says: "it may be `z` itself"."""
    call = CALLS["float64"][name]
    text = " ".join((call.function.__doc__ or "").split())
    said = [a for a in call.given if f"may be `{a}`" in text or f"or `{a}` itself" in text]
    expected = call()
    for argument in said:
        own = call.given[argument].copy()
        assert call(**{argument: own, call.outs[0]: own})[0] is own
        np.testing.assert_array_equal(own, expected[0])
    if name.endswith("_backward") and name != "linear_backward":
        assert said, name


@pytest.mark.parametrize("name", names("losses"))
def test_a_refused_number_leaves_dout_as_it_is(name: str) -> None:
    row = _registry.rows("losses")[name]
    call = CALLS["float64"][loss_name(row)]
    for what in ("out", "target"):
        given = call.given[what].astype(float)
        given[-1] = -1e30 if what == "out" else -7.25
        dout = np.full_like(call.given["out"], 3.0)
        try:
            call(**{what: given, "dout": dout})
        except ValueError:
            assert (dout == 3).all()
