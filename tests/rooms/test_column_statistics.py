# SPDX-License-Identifier: BSD-3-Clause
"""Mean and standard deviation of columns are measured in one pass, whatever X is, with all digits.

It is the pass of Standardize, whose other tests are in test_standardize.py.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import _core, nn, reference
from layouts import LAYOUTS

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ["?", "i1", "u1", "i4", "i8", "u8", "f2", "f4", "f8"]


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
        made = list(parts())
        for given in (parts, iter(parts()), *([made] if isinstance(made[0], tuple) else [])):
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
        ([x[:0], x[:0]], "X has no rows; expected at least one"),
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


def test_the_core_checks_moments(rng: np.random.Generator) -> None:
    n, moments = _core.column_moments(rng.standard_normal((5, 3)))
    assert n == 5
    for wrong in ((0, moments), (5, moments[:4]), (5, moments[0]), (5, moments[:, :0])):
        with pytest.raises(ValueError, match="are not those of a call of column_moments"):
            _core.column_statistics(wrong)
        with pytest.raises(ValueError, match="are not those of a call of column_moments"):
            _core.column_moments(moments, before=wrong)
