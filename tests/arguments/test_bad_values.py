# SPDX-License-Identifier: BSD-3-Clause
"""Numbers that cannot be trained on are refused by row and column; the model stays as it was."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from border import assert_worded
from fastnn import _core
from layouts import DTYPES
from members import linear
from pairs import bits

if TYPE_CHECKING:
    from collections.abc import Callable

N, F, K, BATCH = 75, 7, 3, 16  # the last batch is ragged
LARGEST = np.finfo(np.float64).max
NOT_FINITE = [np.nan, np.inf, -np.inf]
TOO_LARGE = [1e39, -1e39, LARGEST, -LARGEST]  # for float32
PLACES = ["first", "middle", "last"]
CELLS = {"first": (0, 0), "middle": (N // 2, F // 2), "last": (N - 1, F - 1)}


def network(dtype: str, loss: str = "mse", optimizer: str = "adam", **hyper: float) -> Any:
    layers = [linear(F, 9), ("batch_norm1d", {"num_features": 9}), ("relu", {}), linear(9, K)]
    net = _core.Network(layers, dtype, 3)
    net.compile(loss, {}, optimizer, hyper or {"lr": 0.01})
    x, y = arrays(dtype)["x"], targets(loss, dtype)
    net.train_step(x, y)  # so that state, step and statistics are not those of a new model
    return net


def arrays(dtype: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    return {
        "x": rng.standard_normal((N, F)),
        "y": rng.random((N, K)),
        "w": np.ones(N),
        "grad": rng.standard_normal((N, K)),
    }


def targets(loss: str, dtype: str) -> np.ndarray:
    return np.arange(N) % K if loss == "cross_entropy" else arrays(dtype)["y"]


def all_finite(net: Any) -> bool:
    return all(np.isfinite(row["array"]).all() for row in net.parameters())


def fit(net: Any, x: Any, y: Any, w: Any = None, **kwargs: Any) -> Any:
    return net.fit(x, y, w, **{"batch_size": BATCH, "epochs": 2, "n_threads": 1, **kwargs})


CALLS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "fit": lambda m, a: fit(m, a["x"], a["y"], a["w"]),
    "fit, two threads": lambda m, a: fit(m, a["x"], a["y"], a["w"], n_threads=2),
    "train_step": lambda m, a: m.train_step(a["x"], a["y"], a["w"]),
    "train_step_grad": lambda m, a: m.train_step_grad(a["x"], a["grad"]),
    "loss_and_grad": lambda m, a: m.loss_and_grad(a["x"], a["y"], a["w"]),
    "evaluate": lambda m, a: m.evaluate(a["x"], a["y"], a["w"], metrics=True),
    "predict": lambda m, a: m.predict(a["x"]),
    "forward": lambda m, a: m.forward(a["x"], True),
}
ROLES = {
    "fit": ["x", "y", "w"],
    "fit, two threads": ["x"],
    "train_step": ["x", "y", "w"],
    "train_step_grad": ["x", "grad"],
    "loss_and_grad": ["x", "y", "w"],
    "evaluate": ["x", "y", "w"],
    "predict": ["x"],
    "forward": ["x"],
}
PAIRS = [(call, role) for call, roles in ROLES.items() for role in roles]
WHERE = {"fit, two threads": "fit", "train_step_grad": "train_step"}
NAMES = {"x": "X", "y": "y", "w": "sample_weight", "grad": "grad"}


def refused(
    call: str, role: str, cell: tuple[int, int], net: Any, given: dict[str, np.ndarray]
) -> None:
    """Assert that one bad cell ends the call and is named, and that nothing has changed."""
    before = bits(net)
    place = rf"^\[{WHERE.get(call, call)}\] {NAMES[role]} has .* at row {cell[0]}, "
    with pytest.raises(ValueError, match=rf"{place}column {cell[1]}; expected ") as caught:
        CALLS[call](net, given)
    assert_worded(caught.value)
    assert bits(net) == before
    assert not net.busy
    assert np.isfinite(net.train_step(arrays("")["x"], arrays("")["y"]))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_that_is_not_finite(dtype, pair, place):
    call, role = pair
    # Only ratios of weights matter, so a large one need not fit into float32.
    for value in NOT_FINITE + (TOO_LARGE if dtype == "float32" and role != "w" else []):
        given = arrays(dtype)
        bad = given[role]
        row, column = CELLS[place]
        column = min(column, bad.shape[1] - 1) if bad.ndim == 2 else 0
        if place == "last" and bad.ndim == 2:
            column = bad.shape[1] - 1
        bad[(row, column)[: bad.ndim]] = value
        refused(call, role, (row, column), network(dtype), given)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", ["fit", "train_step", "evaluate", "loss_and_grad"])
def test_a_negative_weight(call, place):
    given = arrays("float32")
    row = CELLS[place][0]
    given["w"][row] = -1
    refused(call, "w", (row, 0), network("float32"), given)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("rows", [(0, 999, 500), (999, 0, 500), (7, 7, 7)])
def test_of_several_bad_cells_that_of_x_is_named(rows, threads):
    """The answer does not depend on which thread sees which cell first."""
    rng = np.random.default_rng(5)
    x, y, w = rng.standard_normal((1000, F)), rng.random((1000, K)), np.ones(1000)
    x[rows[0], 2] = y[rows[1], 1] = w[rows[2]] = np.nan
    net = network("float64")
    text = rf"^\[evaluate\] X has -?nan at row {rows[0]}, column 2"
    with pytest.raises(ValueError, match=text):
        net.evaluate(x, y, w, n_threads=threads)


@pytest.mark.parametrize("kind", ["f2", "f4", ">f8"])
@pytest.mark.parametrize("layout", ["C", "F", "backwards", "columns"])
def test_the_cell_is_named_in_any_layout(kind, layout):
    given = arrays("float32")
    given["x"][41, 5] = np.nan
    x = given["x"].astype(kind)
    given["x"] = {
        "C": lambda: x,
        "F": lambda: np.asfortranarray(x),
        "backwards": lambda: x[::-1, ::-1].copy()[::-1, ::-1],
        "columns": lambda: np.repeat(x, 2, axis=1)[:, ::2],
    }[layout]()
    for call in CALLS:
        refused(call, "x", (41, 5), network("float32"), given)


def test_the_largest_double_ends_no_model():
    """A float64 network may take it, and may then say that training diverged."""
    for call, role in PAIRS:
        given = arrays("float64")
        given[role][3] = LARGEST
        net = network("float64")
        before = bits(net)
        try:
            CALLS[call](net, given)
        except (ValueError, ArithmeticError) as error:
            text = str(error)
            assert re.match(r"^\[[a-z_]+\] ", text)
            assert bits(net) == before, f"{call} {role}: {text}"
        assert all_finite(net), f"{call} {role}"


def test_scaling_that_overflows():
    layers = [("rescale", {"scale": 1e30, "shift": 0.5}), linear(F, K)]
    net = _core.Network(layers, "float32", 1)
    x = np.zeros((N, F), np.float32)
    x[17, 4] = 1e10
    with pytest.raises(ValueError, match=r"^\[predict\] X has 1e\+10 at row 17, column 4"):
        net.predict(x)


def test_a_bad_row_of_a_later_epoch():
    """The order of the first epoch leaves the row out; the call is refused as a whole."""
    given = arrays("float32")
    given["x"][5, 1] = np.nan
    good = np.arange(N)
    good[5] = 6
    net = network("float32")
    before = bits(net)
    with pytest.raises(ValueError, match=r"^\[fit\] X has -?nan at row 5, column 1"):
        fit(net, given["x"], given["y"], orders=lambda epoch: good if epoch == 0 else np.arange(N))
    assert bits(net) == before


@pytest.mark.parametrize("role", ["x", "y", "w"])
def test_a_bad_cell_of_the_validation_data(role):
    given, bad = arrays("float32"), arrays("float32")
    bad[role][9] = np.nan
    net = network("float32")
    before = bits(net)
    text = rf"^\[fit\] validation {NAMES[role]} has -?nan at row 9, column 0; expected"
    with pytest.raises(ValueError, match=text):
        fit(net, given["x"], given["y"], validation=(bad["x"], bad["y"], bad["w"]))
    assert bits(net) == before


@pytest.mark.parametrize("value", [-1, K, 0.5, 2**31, -(2**31), 2**40, 1e300, *NOT_FINITE])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", ["fit", "train_step", "evaluate", "loss_and_grad"])
def test_a_class_that_is_none(call, place, value):
    net = network("float32", "cross_entropy")
    given: dict[str, Any] = arrays("float32")
    row = CELLS[place][0]
    given["y"] = (np.arange(N) % K).astype(float if isinstance(value, float) else np.int64)
    given["y"][row] = value
    before = bits(net)
    text = rf"^\[{call}\] y has .* at row {row}, column 0; expected class numbers 0 to {K - 1}$"
    with pytest.raises(ValueError, match=text):
        CALLS[call](net, given)
    assert bits(net) == before


def test_a_refused_forward_leaves_no_backward():
    net = network("float32")
    given = arrays("float32")
    net.forward(given["x"], True)
    before = net.predict(given["x"])
    bad = given["x"].copy()
    bad[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"^\[forward\] X has"):
        net.forward(bad[:20], True)
    with pytest.raises(ValueError, match=r"^\[backward\] no forward pass .*call forward first"):
        net.backward(given["grad"], True)
    np.testing.assert_array_equal(net.predict(given["x"]), before)


def test_weights_of_nothing():
    net = network("float32", "mse", "sgd")
    given = arrays("float32")
    assert net.train_step(given["x"], given["y"], np.zeros(N)) == 0
    with pytest.raises(
        ValueError, match=r"^\[evaluate\] sample_weight is zero for all rows; expected"
    ):
        net.evaluate(given["x"], given["y"], np.zeros(N), metrics=False)
    assert all_finite(net)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_weights_hide_no_bad_number(dtype, value):
    """predict learns from the first product whether X was finite, where X is read in place."""
    net = _core.Network([linear(F, 9), ("relu", {}), linear(9, K)], dtype, 1)
    for row in net.parameters():
        row["array"][...] = 0
    x = np.ones((N, F), dtype)
    x[N - 1, F - 1] = value
    with pytest.raises(ValueError, match=rf"^\[predict\] X has .* at row {N - 1}, column {F - 1}"):
        net.predict(x)


def test_outputs_that_overflow_are_no_bad_input():
    net = _core.Network([linear(F, K)], "float32", 1)
    for row in net.parameters():
        row["array"][...] = np.finfo(np.float32).max
    out = net.predict(np.full((N, F), 4, np.float32))
    assert np.isinf(out).all()
