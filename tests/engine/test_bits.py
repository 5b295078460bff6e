# SPDX-License-Identifier: BSD-3-Clause
"""Training gives the same bits on any number of threads and wherever the inputs lie."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fastnn import _core
from layouts import DTYPES
from members import Layers, everything, hyper_cases, linear, names, scaling
from pairs import bits

THREADS = (1, 2, 3, 5, 8)

PLAIN: Layers = [
    linear(37, 70),
    ("relu", {}),
    linear(70, 33),
    ("tanh", {}),
    linear(33, 5),
]
NORMED: Layers = [
    ("rescale", {"scale": 0.5, "shift": 0.1}),
    linear(37, 70),
    ("batch_norm1d", {"num_features": 70}),
    ("gelu", {}),
    ("dropout", {"p": 0.3}),
    linear(70, 48),
    ("batch_norm1d", {"num_features": 48}),
    ("sigmoid", {}),
    ("dropout", {"p": 0.1}),
    linear(48, 5),
]
# 37 x 4096 and 4096 x 96 exceed a core's L2 cache, and have phases of their own.
WIDE: Layers = [
    linear(37, 4096),
    ("relu", {}),
    ("dropout", {"p": 0.2}),
    linear(4096, 96),
    ("leaky_relu", {}),
    linear(96, 5),
]
NETS = {"plain": PLAIN, "normed": NORMED, "wide": WIDE, "everything": everything(37, 33, 5)}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any], float | None]] = {
    name: (name, hyper_cases("optimizers", name)[-1] | {"lr": 1e-3}, None)
    for name in names("optimizers")
}
OPTIMIZERS["clipped"] = ("sgd", {"lr": 0.05}, 0.3)
CASES = [("everything", name) for name in OPTIMIZERS]
CASES += [(net, name) for net in ("plain", "normed", "wide") for name in ("adamw", "clipped")]


def problem(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, 37)).astype(np.float32), rng.integers(0, 5, rows)


def trained(
    net: str,
    optimizer: str,
    dtype: str,
    n_threads: int,
    *,
    rows: int = 300,
    batch_size: int = 140,
    epochs: int = 2,
    x: np.ndarray | None = None,
) -> tuple[list[Any], int]:
    """Return every number that a training leaves behind, and how many threads it used."""
    data, labels = problem(rows)
    model = _core.Network(NETS[net], dtype, 7)
    name, hyper, clip = OPTIMIZERS[optimizer]
    model.compile("cross_entropy", {}, name, hyper, max_grad_norm=clip)
    used = data if x is None else x
    report = model.fit(
        used, labels, batch_size=batch_size, epochs=epochs, seed=3, n_threads=n_threads,
        validation=(used[:200], labels[:200], None), metrics=True,
    )  # fmt: skip
    numbers = bits(model)
    numbers += [repr(report[key]).encode() for key in ("loss", "accuracy", "val_loss")]
    numbers.append(model.predict(used, n_threads=n_threads).tobytes())
    return numbers, report["threads_used"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("net", "optimizer"), CASES)
def test_any_number_of_threads_gives_one_set_of_bits(net: str, optimizer: str, dtype: str) -> None:
    first, _ = trained(net, optimizer, dtype, 1)
    for n in THREADS:
        again, used = trained(net, optimizer, dtype, n)
        assert used == n
        assert again == first, f"{n} threads"


@pytest.mark.parametrize(("rows", "batch_size"), [(9, 1), (20, 64), (131, 130), (1, 1)])
@pytest.mark.parametrize("net", NETS)
def test_small_and_ragged_batches(net: str, rows: int, batch_size: int) -> None:
    first, _ = trained(net, "adamw", "float32", 1, rows=rows, batch_size=batch_size)
    for n in THREADS[1:]:
        again, used = trained(net, "adamw", "float32", n, rows=rows, batch_size=batch_size)
        assert used == n
        assert again == first, f"{n} threads"


def test_weights_in_panels() -> None:
    """Batches of 512 rows and more read W of wide layers from panels."""
    first, _ = trained("wide", "adamw", "float32", 1, rows=1100, batch_size=520)
    for n in THREADS[1:]:
        again, _ = trained("wide", "adamw", "float32", n, rows=1100, batch_size=520)
        assert again == first, f"{n} threads"


def test_automatic_choice_of_threads_gives_the_same_bits() -> None:
    first, _ = trained("normed", "adamw", "float32", 1, epochs=20)
    again, _ = trained("normed", "adamw", "float32", 0, epochs=20)
    assert again == first


@pytest.mark.parametrize("net", NETS)
def test_where_the_input_lies_does_not_matter(net: str) -> None:
    data, _ = problem(300)
    first, _ = trained(net, "sgd", "float32", 2)
    memory = np.zeros(data.size + 1, np.float32)
    shifted = memory[1:].reshape(data.shape)  # four bytes further on
    shifted[:] = data
    layouts = {
        "shifted": shifted,
        "fortran": np.asfortranarray(data),
        "reversed": data[::-1].copy()[::-1],
        "other byte order": data.astype(data.dtype.newbyteorder()),
    }
    if NETS[net][0][0] not in scaling():  # which take wider values in double
        layouts["float64"] = data.astype(np.float64)
    for name, x in layouts.items():
        assert trained(net, "sgd", "float32", 2, x=x)[0] == first, name


def test_a_split_by_threads_would_be_seen() -> None:
    """A deliberate fault, chunks that depend on the number of threads, changes the order of sums.

    It shows in float64. In float32 few numbers change, or none, since more roundings hide it.
    """
    results = []
    try:
        for n in (1, 3):
            _core.testing.inject_split(n)
            results.append(trained("normed", "sgd", "float64", n)[0])
    finally:
        _core.testing.inject_split(0)
    assert results[0] != results[1]


@pytest.mark.parametrize(
    "shape",
    [[(37, 70), (70, 33), (33, 5)], [(4, 3)], [(784, 128), (128, 10)], [(100, 4096), (4096, 10)],
     [(784, 512), (512, 512), (512, 10)]],
)  # fmt: skip
@pytest.mark.parametrize("rows", [128, 137, 145, 200, 1000, 10_000])
def test_every_rows_phase_has_work_for_eight_cores(shape: list[tuple[int, int]], rows: int) -> None:
    phases = _core.testing.phase_items(shape, rows)
    assert {kind for kind, *_ in phases} <= {
        "rows", "blocks", "repack", "transpose", "parts", "tiles"
    }  # fmt: skip
    for kind, items, _ in phases:
        if kind in ("rows", "blocks", "transpose"):
            assert items >= 8, phases
        if kind in ("parts", "tiles") and sum(i * o for i, o in shape) > 4096:
            assert items >= 8, phases


@pytest.mark.parametrize("threads", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("rows", [1, 32, 200])
@pytest.mark.parametrize(
    "shape", [[(4, 3)], [(8, 100), (100, 1)], [(64, 100), (100, 10)], [(784, 300), (300, 10)]]
)
def test_shares_of_the_tiles_are_of_the_same_work(
    shape: list[tuple[int, int]], rows: int, threads: int
) -> None:
    work_before, good_ends, ends = _core.testing.tile_shares(shape, rows, threads)
    assert len(good_ends) == len(shape) - 1
    assert ends == sorted(ends)
    assert ends[-1] == len(work_before) - 1
    largest = max(after - before for before, after in itertools.pairwise(work_before))
    share = work_before[-1] / threads
    for t, end in enumerate(ends):
        assert abs(work_before[end] - (t + 1) * share) <= max(largest / 2, share / 5) + 1


def test_a_share_ends_between_two_layers_of_about_the_same_work() -> None:
    """The tiles of a layer read the same activations, which one thread then reads alone."""
    _, (second,), (first_share, _) = _core.testing.tile_shares([(16, 100), (100, 1)], 200, 2)
    assert first_share == second
    _, (second,), (first_share, _) = _core.testing.tile_shares([(64, 100), (100, 10)], 200, 2)
    assert first_share < second
