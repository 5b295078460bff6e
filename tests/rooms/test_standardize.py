# SPDX-License-Identifier: BSD-3-Clause
"""Standardize learns mean and scale of each column from the rows that train, and keeps them.

The pass over X is tested in test_column_statistics.py, and what all preparations have in common
with the other members of the registries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, nn
from fastnn.errors import TrainingDivergedError
from fastnn.nn import _rows
from layouts import DTYPES
from models import COPIES, WITH_ITS_LAYERS

if TYPE_CHECKING:
    from pathlib import Path

both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def model_of(**given: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Standardize(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), **given)
    model.compile("adam", "mse")
    return model


def rows(rng: np.random.Generator, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((n, 4)) * [1, 100, 1e-3, 5] + [1e8, -3, 0, 40]
    return x, rng.standard_normal(n)


# -- training --------------------------------------------------------------------------------------


@both_dtypes
@pytest.mark.parametrize("drawn", [False, True])
def test_fit_learns_from_its_training_rows(
    rng: np.random.Generator, dtype: str, drawn: bool
) -> None:
    x, y = rows(rng)
    model = model_of(dtype=dtype)
    model.fit(x, y, epochs=2, validation_split=0.25, batch_size=8, shuffle_split=drawn)
    train = _rows._drawn("", 60, 45, None, model.seed)[0] if drawn else np.arange(45)
    np.testing.assert_allclose(model[0].mean, x[train].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model[0].scale, x[train].std(axis=0), rtol=1e-8)
    kept = model[0].mean
    model.fit(2 * x, y)
    np.testing.assert_array_equal(model[0].mean, kept)
    model[0].adapt(x)
    np.testing.assert_allclose(model[0].mean, x.mean(axis=0), rtol=1e-12)


def test_validation_data_are_not_seen(rng: np.random.Generator) -> None:
    x, y = rows(rng)
    alone, beside = model_of(), model_of()
    alone.fit(x, y, sample_weight=np.ones(60))
    beside.fit(x, y, sample_weight=rng.uniform(0, 9, 60), validation_data=(x + 7, y))
    np.testing.assert_array_equal(alone[0].mean, beside[0].mean)
    np.testing.assert_array_equal(alone[0].scale, beside[0].scale)


@both_dtypes
@pytest.mark.parametrize("kind", ["f8", "f4", "i8", "i2"])
def test_it_trains_as_on_scaled_rows(rng: np.random.Generator, dtype: str, kind: str) -> None:
    """Scaled in the model's dtype if that represents X, and otherwise in double."""
    x, y = rows(rng)
    x = np.round(x % 1000).astype(kind)
    model = model_of(dtype=dtype)
    model.fit(x, y, epochs=3, batch_size=16)
    wide = np.float64 if not np.can_cast(x.dtype, dtype, "safe") else np.dtype(dtype)
    mean, inverse = model[0].mean.astype(wide), (1 / model[0].scale).astype(wide)
    scaled = ((x.astype(wide) - mean) * inverse).astype(dtype)
    plain = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), dtype=dtype)
    plain.compile("adam", "mse")
    plain.fit(scaled, y, epochs=3, batch_size=16)
    np.testing.assert_array_equal(model.predict(x), plain.predict(scaled))
    np.testing.assert_array_equal(model.predict(x[:1]), plain.predict(scaled[:1]))
    assert model.evaluate(x, y) == plain.evaluate(scaled, y)


def test_a_difference_that_overflows_is_refused_with_its_cell() -> None:
    model = nn.Sequential(nn.Standardize([0.0, -3e38], [1.0, 1e30]), nn.Linear(2, 1))
    x = np.ones((5, 2), np.float32)
    model.predict(x)
    x[3, 1] = 3e38
    with pytest.raises(ValueError, match=r"X has 3e\+38 at row 3, column 1; expected finite"):
        model.predict(x)
    assert np.isfinite(model.predict(x.astype("f8"))).all()  # in double


def test_an_autoencoder_has_the_numbers_of_x_as_targets(rng: np.random.Generator) -> None:
    x, _ = rows(rng)
    model, other = (nn.Sequential(nn.Standardize(), nn.Linear(4, 4)) for _ in range(2))
    for each in (model, other):
        each.compile("sgd", "mse")
    assert model.fit(x).history == other.fit(x, x).history


def test_digits_of_float32_survive(rng: np.random.Generator) -> None:
    """The mean is subtracted before anything is rounded."""
    x = (rng.standard_normal((500, 4)) + 1e5).astype(np.float32)
    model = nn.Sequential(nn.Standardize(), nn.Linear(4, 4))
    model[0].adapt(x)
    model[1].weight[...], model[1].bias[...] = np.eye(4), 0
    wide = x.astype(np.float64)
    error = model.predict(x) - (wide - wide.mean(axis=0)) / wide.std(axis=0)
    assert np.ptp(error, axis=0).max() < 2e-6  # the mean itself is rounded, to 0.004


def test_before_it_has_learned(rng: np.random.Generator, tmp_path: Path) -> None:
    x, y = rows(rng)
    model = model_of()
    for call in (
        lambda: model.predict(x),
        lambda: model.predict(x[:1]),
        lambda: model.train_step(x, y),
        lambda: model.train_step(x, grad=y[:, None]),
        lambda: model.evaluate(x, y),
        lambda: model.forward(x),
        lambda: model.loss_and_grad(x, y),
        lambda: model.input_gradient(x, y),
        lambda: model.jacobian(x),
        lambda: model.to_onnx(tmp_path / "model.onnx"),
    ):
        with pytest.raises(ValueError, match=r"Standardize has no statistics yet; expected fit"):
            call()
    model[0].adapt(x)
    model.train_step(x, y)
    assert np.isfinite(model.predict(x)).all()


def test_what_looks_at_a_model_before_its_first_fit(rng: np.random.Generator) -> None:
    """The search for a learning rate and the diagnosis learn for their copies."""
    x, y = rows(rng)
    model = model_of()
    adapted = model_of()
    adapted[0].adapt(x)
    found, expected = (each.lr_find(x, y, steps=20) for each in (model, adapted))
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert "unscaled_inputs" not in [each.name for each in model.diagnose(x, y).findings]
    assert model[0].mean is None


# -- a fit that fails ------------------------------------------------------------------------------


class StopError(Exception):
    pass


def raising(**hooks: Any) -> callbacks.Callback:
    def stop(*_: Any) -> None:
        raise StopError

    return callbacks.LambdaCallback(**dict.fromkeys(hooks, stop))


def test_a_first_fit_that_trains_nothing_teaches_nothing(rng: np.random.Generator) -> None:
    """Rows that were refused must not count when the others come."""
    x, y = rows(rng)
    model, other = model_of(), model_of()
    wrong = y.copy()
    wrong[17] = np.nan

    def nothing_is_learned() -> None:
        assert model[0].mean is None
        with pytest.raises(ValueError, match="has no statistics yet"):
            model.predict(x)

    with pytest.raises(ValueError, match="y has nan at row 17"):
        model.fit(x, wrong)
    nothing_is_learned()
    with pytest.raises(StopError):
        model.fit(x, y, callbacks=raising(on_epoch_begin=True))
    nothing_is_learned()
    with pytest.raises(ValueError, match="validation y has nan"):
        model.fit(x, y, validation_data=(x, wrong))
    nothing_is_learned()
    model.lr = 1e38
    with pytest.raises(TrainingDivergedError):
        model.fit(x, y, epochs=50)
    model = model_of()
    good = np.arange(60) != 17
    assert model.fit(x[good], y[good]).history == other.fit(x[good], y[good]).history


def test_a_fit_that_has_trained_has_taught(rng: np.random.Generator) -> None:
    x, y = rows(rng)
    for hook in ("on_epoch_end", "on_train_batch_end", "on_train_end"):
        model = model_of()
        with pytest.raises(StopError):
            model.fit(x, y, epochs=3, callbacks=raising(**{hook: True}))
        assert model[0].mean is not None
        assert np.isfinite(model.predict(x)).all()


# -- copies, files, other libraries ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["safetensors", "npz", *COPIES, *WITH_ITS_LAYERS])
@pytest.mark.parametrize("learned", [False, True])
@both_dtypes
def test_copies_keep_it(
    rng: np.random.Generator, how: str, learned: bool, dtype: str, tmp_path: Path
) -> None:
    x, y = rows(rng)
    model = model_of(seed=3, dtype=dtype)
    if learned:
        model[0].adapt(x)
    if how in ("safetensors", "npz"):
        model.save(tmp_path / f"model.{how}")
        other = fastnn.load(tmp_path / f"model.{how}")
    else:
        other = (COPIES | WITH_ITS_LAYERS)[how](model)
    assert repr(other) == repr(model)
    other.compile("adam", "mse")
    model.compile("adam", "mse")
    assert model.fit(x, y).history == other.fit(x, y).history
    np.testing.assert_array_equal(model.predict(x), other.predict(x))
    np.testing.assert_array_equal(model[0].mean, other[0].mean)


def test_a_training_goes_on_from_its_file(rng: np.random.Generator, tmp_path: Path) -> None:
    """With other rows than the first ones, which the statistics are still of."""
    x, y = rows(rng)
    whole = model_of()
    whole.fit(x, y, epochs=2)
    whole.save(tmp_path / "model.npz")
    later = fastnn.load(tmp_path / "model.npz")
    whole.fit(x[:30], y[:30], epochs=4, initial_epoch=2)
    later.fit(x[:30], y[:30], epochs=4, initial_epoch=2)
    np.testing.assert_array_equal(whole.predict(x), later.predict(x))


def test_a_backup_has_the_statistics(rng: np.random.Generator, tmp_path: Path) -> None:
    """They are those of the process that has begun, and are not measured again."""
    x, y = rows(rng)
    path = tmp_path / "backup.npz"

    def cut(epoch: int) -> None:
        if epoch == 2:
            raise StopError

    def run(*more: Any, rows_of: Any = x) -> nn.Sequential:
        model = model_of()
        backup = callbacks.BackupAndRestore(path)
        model.fit(rows_of, y, epochs=4, callbacks=[backup, *more])
        return model

    with pytest.raises(StopError):
        run(callbacks.LambdaCallback(on_epoch_begin=cut))
    resumed = run()
    whole = run()
    np.testing.assert_array_equal(resumed.predict(x), whole.predict(x))
    with pytest.raises(StopError):
        run(callbacks.LambdaCallback(on_epoch_begin=cut))
    other = run(rows_of=x + 1)
    np.testing.assert_array_equal(other[0].mean, whole[0].mean)


@both_dtypes
@pytest.mark.parametrize("kind", DTYPES)
def test_torch(rng: np.random.Generator, torch: Any, dtype: str, kind: str) -> None:
    x, y = rows(rng)
    x = x.astype(kind)
    model = model_of(dtype=dtype)
    with pytest.raises(ValueError, match=r"^\[Sequential\.to_torch\] Standardize has no stat"):
        model.to_torch()
    model.fit(x, y)
    module = model.to_torch().eval()
    theirs = module(torch.from_numpy(x)).detach().numpy()
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(model.forward(x), theirs, rtol=0, atol=tolerance)
    again = nn.from_torch(module)
    np.testing.assert_array_equal(again.forward(x), model.forward(x))
    assert repr(again) == repr(model)


def test_two_models_do_not_share_what_they_learn(rng: np.random.Generator) -> None:
    x, y = rows(rng)
    layer = nn.Standardize()
    first = nn.Sequential(layer, nn.Linear(4, 1))
    second = nn.Sequential(layer, nn.Linear(4, 1))
    for model, data in ((first, x), (second, x + 1)):
        model.compile("sgd", "mse")
        model.fit(data, y)
    assert first[0] is layer is not second[0]
    np.testing.assert_allclose(second[0].mean - first[0].mean, 1, rtol=1e-6)
    first.append(nn.ReLU())  # makes a new network inside
    layer.adapt(x + 2)
    np.testing.assert_array_equal(first[:1][0].mean, layer.mean)


# -- refusals --------------------------------------------------------------------------------------


def test_cells_are_named(rng: np.random.Generator) -> None:
    x, y = rows(rng)
    x[7, 2] = np.nan
    model = model_of()
    with pytest.raises(ValueError, match=r"^\[Sequential\.fit\] X has nan at row 7, column 2; exp"):
        model.fit(x, y)
    assert model[0].mean is None
    with pytest.raises(ValueError, match=r"^\[Standardize\.adapt\] X has nan at row 7, column 2;"):
        model[0].adapt(x)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(x, columns=["age", "height", "weight", "size"])
    for call in (lambda: model.fit(frame, y), lambda: model[0].adapt(frame)):
        with pytest.raises(ValueError, match=r"X has nan at row 7, column 2 \('weight'\); expec"):
            call()


def test_refusals(rng: np.random.Generator) -> None:
    x, _ = rows(rng)
    model = model_of()
    with pytest.raises(ValueError, match=r"^\[Standardize\.adapt\] X has 3 columns, the model exp"):
        model[0].adapt(x[:, :3])
    expected = "expected one array of rows, a list of parts (X, y), or an iterator"
    for parts in ([x, x[:5]], (x[:2], x[:5], x)):
        words = f"[Standardize.adapt] X is a list of {len(parts)} arrays; {expected}"
        with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
            model[0].adapt(parts)
        model[0].adapt(iter(parts))
    with pytest.raises(AttributeError, match=r"call adapt\(X\)"):
        model[0].mean = np.zeros(4)
    for given, text in (
        ({"mean": [1.0]}, "one of mean and scale came"),
        ({"mean": [1.0], "scale": [0.0]}, "not above 0"),
        ({"mean": [1.0], "scale": [np.nan]}, "not finite"),
        ({"mean": 1.0, "scale": 1.0}, "has shape"),
        ({"mean": [1.0, 2.0], "scale": [1.0]}, "expected as many"),
    ):
        with pytest.raises(ValueError, match=text):
            nn.Standardize(**given)
    with pytest.raises(ValueError, match=r"\[standardize\] comes after Rescale"):
        nn.Sequential(nn.Rescale(2.0), nn.Standardize(), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"comes after 3 columns|expects|columns"):
        nn.Sequential(nn.Standardize([0.0] * 3, [1.0] * 3), nn.Linear(4, 1))
    for mean, scale, text in (
        (1e39, 1.0, "mean has 1e\\+39 at 1, which is infinite as float32"),
        (0.0, 1e-39, "scale has 1e-39 at 1, whose inverse is infinite as float32"),
        (0.0, 1e39, "scale has 1e\\+39 at 1, whose inverse is zero as float32"),
    ):
        layer = nn.Standardize([0.0, mean], [1.0, scale])
        with pytest.raises(ValueError, match=text):
            nn.Sequential(layer, nn.Linear(2, 1))
        nn.Sequential(layer, nn.Linear(2, 1), dtype="float64")


def test_a_refused_change_changes_nothing(rng: np.random.Generator) -> None:
    x, y = rows(rng)
    model = model_of()
    model.fit(x, y)
    before = model.predict(x)
    for bad in (x * 1e40, np.full((3, 4), np.nan)):
        with pytest.raises(ValueError, match=r"infinite as float32|X has nan"):
            model[0].adapt(bad)
        np.testing.assert_array_equal(model.predict(x), before)
