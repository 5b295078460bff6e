# SPDX-License-Identifier: BSD-3-Clause
"""Preparation of the input has the results of the same arithmetic done before.

nn.Rescale computes in double if the source has more digits than the model, and refuses scales that
become zero or infinite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from border import EXAMPLES
from fastnn import _core, nn, reference
from layouts import DTYPES, LAYOUTS, close, draws
from members import linear
from pairs import Pair

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
WIDE = ["i4", "i8", "u4", "u8", "f8"]
NARROW = ["?", "i1", "u1", "i2", "u2", "f2", "f4"]
SECONDS = 1_700_000_000
COLUMNS = 21  # whole vectors of them, and some left over


def through(scale: Any, shift: Any, columns: int, dtype: str = "float32") -> Any:
    """Return a network whose output is its scaled input."""
    layers = [("rescale", {"scale": scale, "shift": shift}), linear(columns, columns)]
    network = _core.Network(layers, dtype, 0)
    weight, bias = (entry["array"] for entry in network.parameters())
    weight[...], bias[...] = np.eye(columns), 0
    return network


@pytest.mark.parametrize("kind", WIDE)
def test_seconds_of_an_hour(kind: str) -> None:
    """2,000 different times must not become fewer different numbers by rounding before scaling."""
    x = (SECONDS + np.arange(2000)).astype(kind)[:, None]
    model = nn.Sequential(nn.Rescale(1 / 2000, -SECONDS / 2000), nn.Linear(1, 1))
    model[1].weight[...], model[1].bias[...] = 1, 0
    expected = np.arange(2000) / 2000
    for out in (model.predict(x), model.forward(x), model.forward(x, training=True)):
        assert len(np.unique(out)) == 2000
        np.testing.assert_allclose(out[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("layout", [None, *LAYOUTS])
@pytest.mark.parametrize("kind", [*WIDE, *NARROW])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rounded_once(kind: str, dtype: str, layout: str | None) -> None:
    """Bits are those of the model's dtype if it represents the source, otherwise those of
    double."""
    rng = np.random.default_rng(6)
    x = rng.integers(0, 2 if kind == "?" else 100, (37, COLUMNS)).astype(kind)
    if kind in WIDE:
        x += np.array(10**9 + 7).astype(kind)
    scale, shift = rng.uniform(0.5, 2, COLUMNS), rng.standard_normal(COLUMNS)
    if dtype == "float32" and kind in WIDE:
        expected = (x.astype("f8") * scale + shift).astype(dtype)
    else:
        expected = x.astype(dtype) * scale.astype(dtype) + shift.astype(dtype)
    one_byte = layout == "misaligned" and x.itemsize == 1  # which is aligned anywhere
    given_x = x if layout is None or one_byte else LAYOUTS[layout](x)
    network = through(scale, shift, COLUMNS, dtype)
    np.testing.assert_array_equal(network.predict(given_x), expected)
    np.testing.assert_array_equal(network.predict(given_x[:1]), expected[:1])
    layers = [("rescale", {"scale": scale, "shift": shift}), ("flatten", {})]
    twin = reference.Network(layers, dtype)
    np.testing.assert_array_equal(twin.forward(x), expected)


@EXAMPLES
@given(
    st.integers(-(2**53), 2**53),
    st.floats(1e-30, 1e9),
    st.floats(-1e9, 1e9),
)
def test_any_numbers(value: int, scale: float, shift: float) -> None:
    expected = np.float32(np.float64(value) * scale + shift)
    if np.isfinite(expected) and (expected == 0 or abs(expected) >= np.finfo("f4").tiny):
        for kind in ("i8", "f8"):
            x = np.full((3, 2), value, kind)
            np.testing.assert_array_equal(through(scale, shift, 2).predict(x), expected)


def test_values_that_only_scaling_makes_small() -> None:
    """1e39 is outside the range of float32, but in range after scaling by 1e-6."""
    network = through(1e-6, 0.0, 2)
    np.testing.assert_array_equal(network.predict(np.full((2, 2), 1e39)), np.float32(1e33))
    x = np.full((5, 2), 1.0)
    x[3, 1] = 1e45
    with pytest.raises(ValueError, match=r"^\[predict\] X has 1e\+45 at row 3, column 1; expected"):
        network.predict(x)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"^\[predict\] X has -?nan at row 3, column 1; expected"):
        network.predict(x)


@pytest.mark.parametrize(
    ("dtype", "scale", "word"),
    [
        ("float32", 1e39, "infinite"),
        ("float32", -1e39, "infinite"),
        ("float32", 1e-46, "zero"),
        ("float32", -1e-40, "zero"),
    ],
)
def test_scales_that_lose_everything(dtype: str, scale: float, word: str) -> None:
    text = rf"\[rescale\] scale has {scale:g}".replace("+", r"\+") + rf".* is {word} as {dtype}"
    for given_scale in (scale, [1.0, scale]):
        with pytest.raises(ValueError, match=text):
            nn.Sequential(nn.Rescale(given_scale), nn.Linear(2, 1), dtype=dtype)
    model = nn.Sequential(nn.Rescale(2.0, 1.0), nn.Linear(2, 1), dtype=dtype)
    x = np.ones((3, 2))
    before = model.predict(x)
    with pytest.raises(ValueError, match=text):
        model[0].scale = [1.0, scale]
    np.testing.assert_array_equal(model.predict(x), before)
    assert model[0].scale == 2.0


def test_shifts() -> None:
    for shift in (1e39, [0.0, -1e39]):
        with pytest.raises(
            ValueError, match=r"\[rescale\] shift has -?1e\+39.* infinite as float32"
        ):
            nn.Sequential(nn.Rescale(1.0, shift), nn.Linear(2, 1))
    nn.Sequential(nn.Rescale(1.0, 1e-46), nn.Linear(2, 1))  # changes nothing, and loses nothing
    nn.Sequential(nn.Rescale(1e39, 1e39), nn.Linear(2, 1), dtype="float64")


def test_zero_switches_a_column_off() -> None:
    x = np.array([[3.0, 5.0], [7.0, 5.0]])
    for kind in ("f4", "f8", "u1"):
        out = through([0.0, 1.0], 0.0, 2).predict(x.astype(kind))
        assert out.tolist() == [[0, 5], [0, 5]]


@pytest.mark.parametrize("kind", ["f4", "f8", "i8"])
def test_a_live_change_reaches_both_ways(kind: str) -> None:
    """There is one way in the model's dtype and one in double."""
    x = np.arange(6).reshape(3, 2).astype(kind)
    changed = nn.Sequential(nn.Rescale(3.0, 1.0), nn.Linear(2, 1), seed=4)
    made = nn.Sequential(nn.Rescale([0.1, 0.7], 0.3), nn.Linear(2, 1), seed=4)
    changed[0].scale, changed[0].shift = [0.1, 0.7], 0.3
    np.testing.assert_array_equal(changed.predict(x), made.predict(x))


@both_dtypes
def test_rescale_is_arithmetic_done_before(rng: np.random.Generator, dtype: str) -> None:
    scale, shift = rng.uniform(0.5, 2, 6), rng.standard_normal(6)
    rescale = ("rescale", {"scale": scale, "shift": shift})
    with_it, without = (Pair([*first, linear(6, 4)], dtype).engine for first in ([rescale], []))
    for source in (np.uint8, np.int16, np.float32, np.float64):
        x = (20 * rng.random((9, 6))).astype(source)
        prepared = (x.astype(dtype) * scale.astype(dtype)) + shift.astype(dtype)
        if not np.can_cast(source, dtype):  # in double, and rounded once
            prepared = (x * scale + shift).astype(dtype)
        close(with_it.predict(x), without.predict(prepared), dtype, "layer")
        dy = draws(rng, (9, 4), dtype)
        with_it.forward(x, training=True)
        without.forward(prepared, training=True)
        close(
            with_it.backward(dy, need_dx=True),
            without.backward(dy, need_dx=True) * scale.astype(dtype),
            dtype,
            "layer",
        )


@both_dtypes
def test_flatten_takes_images(rng: np.random.Generator, dtype: str) -> None:
    layers = [("rescale", {"scale": 1 / 255}), ("flatten", {}), linear(24, 5)]
    pair = Pair(layers, dtype)
    images = rng.integers(0, 256, (7, 2, 3, 4)).astype(np.uint8)
    ours, theirs = (net.forward(images, training=True) for net in (pair.engine, pair.twin))
    close(ours, theirs, dtype, "layer")
    np.testing.assert_array_equal(pair.engine.predict(images.reshape(7, 24)), ours)
    dy = draws(rng, (7, 5), dtype)
    their_dx = pair.twin.backward(dy, True)
    close(pair.engine.backward(dy, True), their_dx.reshape(7, 24), dtype, "layer")
