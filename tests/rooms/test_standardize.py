# SPDX-License-Identifier: BSD-3-Clause
"""Standardize learns mean and scale of each column in one pass, of any dtype and layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, nn, reference
from layouts import DTYPES, LAYOUTS
from models import COPIES, WITH_ITS_LAYERS

KINDS = ["?", "i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8"]


def model_of(**given: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Standardize(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), **given)
    model.compile("adam", "mse")
    return model


def rows(rng: np.random.Generator, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((n, 4)) * [1, 100, 1e-3, 5] + [1e8, -3, 0, 40]
    return x, rng.standard_normal(n)


@pytest.mark.parametrize("layout", [None, *LAYOUTS])
@pytest.mark.parametrize("kind", KINDS)
def test_statistics_of_any_array(rng: np.random.Generator, kind: str, layout: str | None) -> None:
    x = rng.integers(0, 2 if kind == "?" else 100, (75, 21)).astype(kind)
    given = x
    if layout is not None and not (layout == "misaligned" and x.itemsize == 1):
        given = LAYOUTS[layout](x)
    for found, expected in zip(
        _core.column_statistics(given), reference.column_statistics(x), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("n", [1, 31, 32, 2047, 2049, 30_000])
def test_badly_scaled_columns(rng: np.random.Generator, n: int) -> None:
    """A mean of 1e8 and a deviation of 1, as NumPy's two passes have them."""
    x = rng.standard_normal((n, 3)) + [1e8, -1e8, 0]
    mean, std = _core.column_statistics(x)
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(std, x.std(axis=0), rtol=1e-9, atol=0)


def test_bits_do_not_depend_on_threads(rng: np.random.Generator) -> None:
    x = (rng.standard_normal((30_011, 7)) + 1e6).astype(np.float32)
    first = _core.column_statistics(x, n_threads=1)
    for n_threads in (2, 3, 8):
        for a, b in zip(first, _core.column_statistics(x, n_threads=n_threads), strict=True):
            np.testing.assert_array_equal(a, b)


def test_columns_of_equal_values() -> None:
    x = np.column_stack([np.full(50, 0.1), np.full(50, -7.0), np.arange(50.0)])
    mean, std = _core.column_statistics(x)
    assert mean[:2].tolist() == [0.1, -7.0]
    assert std[:2].tolist() == [0, 0]
    layer = nn.Standardize()
    layer.adapt(x)
    assert layer.scale[:2].tolist() == [1, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_fit_learns_from_its_training_rows(rng: np.random.Generator, dtype: str) -> None:
    x, y = rows(rng)
    model = model_of(dtype=dtype)
    model.fit(x, y, epochs=2, validation_split=0.25, batch_size=8)
    np.testing.assert_allclose(model[0].mean, x[:45].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model[0].scale, x[:45].std(axis=0), rtol=1e-9)
    kept = model[0].mean
    model.fit(2 * x, y)
    np.testing.assert_array_equal(model[0].mean, kept)
    model[0].adapt(x)
    np.testing.assert_allclose(model[0].mean, x.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_trains_as_on_scaled_rows(rng: np.random.Generator, dtype: str) -> None:
    x, y = rows(rng)
    model = model_of(dtype=dtype)
    model.fit(x, y, epochs=3, batch_size=16)
    scaled = ((x - model[0].mean) * (1 / model[0].scale)).astype(dtype)
    plain = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), dtype=dtype)
    plain.compile("adam", "mse")
    plain.fit(scaled, y, epochs=3, batch_size=16)
    np.testing.assert_array_equal(model.predict(x), plain.predict(scaled))
    assert model.evaluate(x, y) == plain.evaluate(scaled, y)


def test_digits_of_float32_survive(rng: np.random.Generator) -> None:
    """The mean is subtracted before anything is rounded."""
    x = (rng.standard_normal((500, 4)) + 1e5).astype(np.float32)
    model = nn.Sequential(nn.Standardize(), nn.Linear(4, 4))
    model[0].adapt(x)
    model[1].weight[...], model[1].bias[...] = np.eye(4), 0
    wide = x.astype(np.float64)
    error = model.predict(x) - (wide - wide.mean(axis=0)) / wide.std(axis=0)
    assert np.ptp(error, axis=0).max() < 2e-6  # the mean itself is rounded, to 0.004


def test_before_it_has_learned(rng: np.random.Generator) -> None:
    x, y = rows(rng)
    model = model_of()
    for call in (
        lambda: model.predict(x),
        lambda: model.train_step(x, y),
        lambda: model.evaluate(x, y),
        lambda: model.forward(x),
    ):
        with pytest.raises(ValueError, match=r"Standardize has no statistics yet; expected fit"):
            call()
    model[0].adapt(x)
    model.train_step(x, y)
    assert np.isfinite(model.predict(x)).all()


@pytest.mark.parametrize("how", ["file", *COPIES, *WITH_ITS_LAYERS])
@pytest.mark.parametrize("learned", [False, True])
def test_copies_keep_it(rng: np.random.Generator, how: str, learned: bool, tmp_path: Any) -> None:
    x, y = rows(rng)
    model = model_of(seed=3)
    if learned:
        model[0].adapt(x)
    if how == "file":
        model.save(tmp_path / "model.safetensors")
        other = fastnn.load(tmp_path / "model.safetensors")
    else:
        other = (COPIES | WITH_ITS_LAYERS)[how](model)
    assert repr(other) == repr(model)
    other.compile("adam", "mse")
    model.compile("adam", "mse")
    assert model.fit(x, y).history == other.fit(x, y).history
    np.testing.assert_array_equal(model.predict(x), other.predict(x))


def test_other_libraries(rng: np.random.Generator, torch: Any) -> None:
    x, y = rows(rng)
    model = model_of(dtype="float64")
    model.fit(x, y)
    module = model.to_torch().eval()
    theirs = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model.forward(x), theirs, rtol=0, atol=1e-12)
    assert repr(nn.from_torch(module)) == repr(model)


def test_refusals(rng: np.random.Generator) -> None:
    x, y = rows(rng)
    x[7, 2] = np.nan
    model = model_of()
    with pytest.raises(ValueError, match=r"^\[Sequential\.fit\] X has nan at row 7, column 2"):
        model.fit(x, y)
    assert model[0].mean is None
    with pytest.raises(ValueError, match=r"^\[Standardize\.adapt\] X has nan at row 7, column 2"):
        model[0].adapt(x)
    with pytest.raises(ValueError, match=r"^\[Standardize\.adapt\] X has 3 columns"):
        model[0].adapt(x[:, :3])
    with pytest.raises(AttributeError, match=r"call adapt\(X\)"):
        model[0].mean = np.zeros(4)
    for given, text in (
        ({"mean": [1.0]}, "one of mean and scale came"),
        ({"mean": [1.0], "scale": [0.0]}, "not above 0"),
        ({"mean": [1.0, 2.0], "scale": [1.0]}, "expected as many"),
    ):
        with pytest.raises(ValueError, match=text):
            nn.Standardize(**given)
    with pytest.raises(ValueError, match=r"\[standardize\] comes after Rescale"):
        nn.Sequential(nn.Rescale(2.0), nn.Standardize(), nn.Linear(4, 1))
