# SPDX-License-Identifier: BSD-3-Clause
"""Standardize learns mean and scale of each column in one pass, of any dtype and layout.

What all preparations have in common is tested with the other members of the registries.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, callbacks, nn, reference
from fastnn.errors import TrainingDivergedError
from fastnn.nn import _rows
from layouts import DTYPES, LAYOUTS
from models import COPIES, WITH_ITS_LAYERS

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ["?", "i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8"]
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def statistics(x: Any, n_threads: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return _core.column_statistics(_core.column_moments(x, n_threads=n_threads))


def exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the columns, from exact sums."""
    found = []
    for column in x.astype(np.float64).T:
        mean = math.fsum(column) / len(column)
        # The deviations from the rounded mean are those from the mean, but for their own mean.
        squares = math.fsum((column - mean) ** 2) / len(column)
        off = math.fsum(column - mean) / len(column)
        found.append((mean, math.sqrt(max(squares - off**2, 0))))
    mean, std = np.array(found).T
    return mean, std


def model_of(**given: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Standardize(), nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), **given)
    model.compile("adam", "mse")
    return model


def rows(rng: np.random.Generator, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((n, 4)) * [1, 100, 1e-3, 5] + [1e8, -3, 0, 40]
    return x, rng.standard_normal(n)


# -- the pass over X -------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [None, *LAYOUTS])
@pytest.mark.parametrize("kind", KINDS)
def test_any_array(rng: np.random.Generator, kind: str, layout: str | None) -> None:
    x = rng.integers(0, 2 if kind == "?" else 100, (75, 21)).astype(kind)
    given = x
    if layout is not None and not (layout == "misaligned" and x.itemsize == 1):
        given = LAYOUTS[layout](x)
    bits = statistics(x)
    for found, plain, exactly, twin in zip(
        statistics(given), bits, exact(x), reference.column_statistics(x), strict=True
    ):
        np.testing.assert_array_equal(found, plain)
        np.testing.assert_allclose(found, exactly, rtol=4e-16, atol=0)
        np.testing.assert_allclose(twin, exactly, rtol=1e-14, atol=0)


def test_a_file_and_rows_of_several_dimensions(rng: np.random.Generator, tmp_path: Path) -> None:
    x = rng.integers(0, 256, (300, 2, 3)).astype("u1")
    x.tofile(tmp_path / "x.raw")
    mapped = np.memmap(tmp_path / "x.raw", "u1", "r", shape=x.shape)
    for found, flat in zip(statistics(mapped), statistics(x.reshape(300, 6)), strict=True):
        np.testing.assert_array_equal(found, flat)


@pytest.mark.parametrize("n", [1, 2, 31, 33, 2047, 2049, 30_000])
def test_digits_beside_a_large_mean(rng: np.random.Generator, n: int) -> None:
    """The variance is that of the rows minus one of them, and so is the mean."""
    x = rng.standard_normal((n, 5)) + np.array([1e8, -1e8, 0, 1e12, 1e-3])
    x[:, 3] = np.round(x[:, 3])  # as far apart as numbers of that size are, and some more
    mean, std = exact(x)
    found = statistics(x)
    assert (abs(found[0] - mean) <= np.spacing(abs(mean)) + 1e-15 * std).all()
    np.testing.assert_allclose(found[1], std, rtol=1e-13, atol=0)


def test_columns_of_any_size(rng: np.random.Generator) -> None:
    """Also wide rows, of which few are converted at a time."""
    for columns in (1, 7, 513, 5000):
        x = rng.standard_normal((70, columns)) * np.geomspace(1e-100, 1e100, columns)
        found, (mean, std) = statistics(x), exact(x)
        assert (abs(found[0] - mean) <= 1e-15 * (abs(mean) + std)).all()
        np.testing.assert_allclose(found[1], std, rtol=1e-13, atol=0)


def test_bits_do_not_depend_on_threads(rng: np.random.Generator) -> None:
    """There is more than one phase: 600,000 rows are more than are merged at once."""
    x = (rng.standard_normal((600_011, 2)) + 1e3).astype(np.float16)
    first = statistics(x, n_threads=1)
    for n_threads in (2, 3, 8):
        for a, b in zip(first, statistics(x, n_threads=n_threads), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(first[1], x.astype("f8").std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_ctrl_c_ends_the_pass(n_threads: int) -> None:
    x = np.broadcast_to(np.ones((1, 4), np.float32), (2**36, 4))  # minutes
    layer, sent = nn.Standardize(), []

    def interrupt() -> None:
        time.sleep(0.15)
        sent.append(time.perf_counter())
        signal.raise_signal(signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        layer.adapt(x, n_threads=n_threads)
    waited = time.perf_counter() - sent[0]
    sender.join()
    assert waited < 0.5  # 0.1 on a machine of its own
    assert layer.mean is None


def test_parts(rng: np.random.Generator) -> None:
    """Whole granules give the bits of all rows at once, other parts the same but for rounding."""
    x = rng.standard_normal((10_000, 3)) + np.array([1e8, 0, -5])
    whole, layer = nn.Standardize(), nn.Standardize()
    whole.adapt(x)
    for size, parts in (
        (2048, lambda: (x[at : at + 2048] for at in range(0, len(x), 2048))),
        (4096, lambda: [(x[at : at + 4096], "y") for at in range(0, len(x), 4096)]),
        (999, lambda: ((x[at : at + 999], "y", "w") for at in range(0, len(x), 999))),
    ):
        for given in (parts, iter(parts())):
            layer.adapt(given)
            tolerance = {"rtol": 0 if size % 2048 == 0 else 1e-14}
            np.testing.assert_allclose(layer.mean, whole.mean, **tolerance)
            np.testing.assert_allclose(layer.scale, whole.scale, **tolerance)
            layer = nn.Standardize()


def test_parts_that_do_not_fit(rng: np.random.Generator) -> None:
    x = rng.standard_normal((9, 3))
    layer = nn.Standardize()
    bad = x.copy()
    bad[4, 1] = np.inf
    for parts, text in (
        ([], "X has no rows; expected at least one"),
        ([x, x[:0]], "X of part 1 has no rows; expected at least one"),
        ([x, x[:, :2]], "X of part 1 has 2 columns, the model expects 3"),
        ([x, x, bad], "X of part 2 has inf at row 4, column 1; expected finite numbers"),
        ([x, "text"], "X of part 1 has dtype"),
        ([()], "X of part 0 has shape"),
    ):
        with pytest.raises((ValueError, TypeError), match=rf"^\[Standardize\.adapt\] {text}"):
            layer.adapt(iter(parts))
        assert layer.mean is None


def test_a_function_that_gives_no_parts() -> None:
    with pytest.raises(
        TypeError, match=r"^\[Standardize\.adapt\] X\(\) returned 7; expected an it"
    ):
        nn.Standardize().adapt(lambda: 7)


def test_columns_that_do_not_differ(rng: np.random.Generator) -> None:
    """They get the scale 1, as with scikit-learn, also if their values differ by rounding."""
    x = np.column_stack(
        [
            np.full(3000, 0.1),
            np.full(3000, -7e8),
            np.zeros(3000),
            rng.choice([0.1 + 0.2, 0.3], 3000),
            rng.choice([1e8, np.nextafter(1e8, 2e8)], 3000),
            rng.choice([1e8, 1e8 + 1e-6], 3000),
            np.arange(3000.0),
        ]
    )
    mean, std = statistics(x)
    assert mean[:3].tolist() == [0.1, -7e8, 0]
    assert (std > 0).tolist() == [False] * 5 + [True] * 2
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    layer, theirs = nn.Standardize(), preprocessing.StandardScaler()
    certain = [0, 1, 2, 3, 6]  # theirs takes column 5 for constant: its own error is larger
    layer.adapt(x[:, certain])
    theirs.fit(x[:, certain])
    np.testing.assert_allclose(layer.scale, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(layer.mean, theirs.mean_, rtol=1e-12)


def test_numbers_without_a_variance() -> None:
    for x in ([[1e308], [-1e308]], [[1e200], [-1e200]]):
        with pytest.raises(ValueError, match=r"variance of column 0 of X is infinite in float64"):
            nn.Standardize().adapt(x)


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
    with pytest.raises(ValueError, match="y has nan at row 17"):
        model.fit(x, wrong)
    assert model[0].mean is None
    with pytest.raises(StopError):
        model.fit(x, y, callbacks=raising(on_epoch_begin=True))
    assert model[0].mean is None
    with pytest.raises(ValueError, match="validation y has nan"):
        model.fit(x, y, validation_data=(x, wrong))
    assert model[0].mean is None
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


def test_the_core_checks_moments(rng: np.random.Generator) -> None:
    n, moments = _core.column_moments(rng.standard_normal((5, 3)))
    assert n == 5
    for wrong in ((0, moments), (5, moments[:4]), (5, moments[0]), (5, moments[:, :0])):
        with pytest.raises(ValueError, match="are not those of a call of column_moments"):
            _core.column_statistics(wrong)
        with pytest.raises(ValueError, match="are not those of a call of column_moments"):
            _core.column_moments(moments, before=wrong)
