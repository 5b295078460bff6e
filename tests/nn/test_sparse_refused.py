# SPDX-License-Identifier: BSD-3-Clause
"""Sparse X that is refused: in the caller's words, with the place, and before it is read."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import callbacks, nn
from sparse_rows import COLUMNS, DENSE, FIRST, N, Y, made, sparse, sparse_of

if TYPE_CHECKING:
    from collections.abc import Callable


def test_results_go_to_memory_of_their_own() -> None:
    square = sparse.csr_array(np.ones((3, 1)))
    model = nn.Sequential(nn.Linear(1, 1), dtype="float64")
    with pytest.raises(ValueError, match="out shares memory with X"):
        model.predict(square, out=square.data.reshape(3, 1))


def broken(change: Callable[[Any], None]) -> Any:
    rows = sparse_of(DENSE)
    change(rows)
    return rows


def test_places_outside_of_the_matrix_are_refused() -> None:
    model = made()
    row = int(np.flatnonzero(np.diff(sparse_of(DENSE).indptr))[3])
    first = int(sparse_of(DENSE).indptr[row])

    def put(name: str, at: int, number: int) -> Callable[[Any], None]:
        return lambda rows: getattr(rows, name).__setitem__(at, number)

    cases = {
        rf"X has a cell in column 23 at row {row}; expected columns 0 to 22": (
            "indices",
            first,
            23,
        ),
        rf"X has a cell in column -1 at row {row}; expected": ("indices", first, -1),
        r"X is no valid sparse matrix: indptr has 100000 at 60; expected": ("indptr", N, 100_000),
        r"X is no valid sparse matrix: indptr has -5 at 9": ("indptr", 9, -5),
        r"X is no valid sparse matrix: indptr has 1 at 0": ("indptr", 0, 1),
    }
    for message, change in cases.items():
        for call in (
            lambda x: model.fit(x, Y),
            model.predict,
            lambda x: model.train_step(x, Y),
            lambda x: model.evaluate(x, Y),
            model._network.predict,  # type: ignore[union-attr]
        ):
            with pytest.raises(ValueError, match=message):
                call(broken(put(*change)))
    columns = sparse_of(DENSE, "csc")
    columns.indices[3] = N
    places = sparse_of(DENSE, "coo")
    places.coords[1][3] = -2
    for x in (columns, places):
        with pytest.raises(ValueError, match=r"\[Sequential.predict\] X is no valid sparse matrix"):
            model.predict(x)
    short = sparse_of(DENSE)
    short.data = short.data[:-1]
    with pytest.raises(ValueError, match="indptr has"):
        model.predict(short)


@pytest.mark.parametrize("kind", ["csc", "bsr", "csr"])
@pytest.mark.parametrize("place", [0, 2, -1])
@pytest.mark.parametrize("start", [-(10**8), 10**9])
def test_starts_outside_of_the_matrix_are_refused(kind: str, place: int, start: int) -> None:
    """SciPy would convert such a matrix, or sort its rows, by reading wherever they point."""
    x = sparse_of(DENSE, kind)
    if kind == "csr":  # with gaps: the core cannot read it in place
        x.data = np.repeat(x.data, 2)[::2]
    x.indptr[place] = start
    with pytest.raises(ValueError, match=r"X is no valid sparse matrix: indptr "):
        made().predict(x)
    x = sparse_of(DENSE, kind)
    x.data = x.data[:-1].repeat(2, axis=0)[::2]
    with pytest.raises(ValueError, match=r"X is no valid sparse matrix: indptr "):
        made().predict(x)


@pytest.mark.parametrize("first", ["flatten", "scale and shift"])
def test_numbers_that_are_not_finite_are_refused_with_their_place(first: str) -> None:
    x = sparse_of(DENSE)
    row = int(np.flatnonzero(np.diff(x.indptr))[-1])
    x.data[x.indptr[row]] = np.nan
    column = x.indices[x.indptr[row]]
    model = made(first=FIRST[first]())
    message = f"X has nan at row {row}, column {column}; expected finite numbers"
    for call in (
        model.predict,
        lambda x: model.fit(x, Y, batch_size=8),
        lambda x: model.train_step(x, Y),
    ):
        with pytest.raises(ValueError, match=message):
            call(x)


def test_a_scaling_that_makes_zeros_infinite_is_refused_with_its_place() -> None:
    model = nn.Sequential(nn.Rescale(1.0, [0, 0, 1e39]), nn.Linear(3, 1), dtype="float64")
    small = nn.Sequential(nn.Rescale(1.0, [0, 0, 3e38]), nn.Linear(3, 1), dtype="float32")
    assert model.predict(sparse.csr_array((2, 3))).shape == (2, 1)
    x = sparse.csr_array(np.array([[0, 0, 0], [0, 0, 2e38]], np.float32))
    with pytest.raises(ValueError, match="row 1, column 2; expected finite numbers"):
        small.predict(x)


def test_other_matrices_are_refused_in_words() -> None:
    model = made()
    if hasattr(sparse, "expand_dims"):  # a version of SciPy whose arrays may have 3 dimensions
        with pytest.raises(ValueError, match="no valid sparse matrix: it has 3 dimensions"):
            model.predict(sparse.coo_array(np.ones((2, 3, COLUMNS))))
    with pytest.raises(ValueError, match=r"X has 5 columns, the model expects 23"):
        model.predict(sparse.csr_array((4, 5)))
    with pytest.raises(TypeError, match=r"X has dtype complex128; expected bool, integers[^;]*$"):
        model.predict(sparse.csr_array((4, COLUMNS), dtype=complex))
    with pytest.raises(TypeError, match=r"y was not given, so the targets are X"):
        model.fit(sparse_of(DENSE))
    with pytest.raises(TypeError, match=r"y is sparse: y\.toarray\(\)"):
        model.fit(DENSE, sparse.csr_array(Y[:, None]))
    with pytest.raises(ValueError, match="X has shape"):
        model.predict(sparse.coo_array(np.ones(COLUMNS)))
    unsorted = sparse.csr_array(([1.0, 1.0], [3, 1], [0, 2]), shape=(1, COLUMNS))
    with pytest.raises(ValueError, match="X is no valid sparse matrix: the columns of a row"):
        model._network.predict(unsorted)  # type: ignore[union-attr]


@pytest.mark.parametrize("by_batch", [False, True])
def test_a_shift_that_comes_while_stored_cells_alone_are_read_is_refused(by_batch: bool) -> None:
    seen = []

    class Shifts(callbacks.Callback):
        def shift(self, *_: Any) -> None:
            self.model[0].scale = 0.25
            try:
                self.model[0].shift = 1.0
            except ValueError as error:
                seen.append(str(error))
            assert self.model[0].shift == 0

    name = "on_train_batch_end" if by_batch else "on_epoch_end"
    setattr(Shifts, name, Shifts.shift)
    model = made(first=(nn.Rescale(0.5),))
    model.fit(sparse_of(DENSE), Y, epochs=2, batch_size=30, callbacks=[Shifts()])
    assert len(seen) == (4 if by_batch else 2)
    assert "reads only the stored cells of X" in seen[0]
    model[0].shift = 1.0
    np.testing.assert_array_equal(model.predict(sparse_of(DENSE)), model.predict(DENSE))


@pytest.mark.parametrize("by_batch", [False, True])
def test_nobody_moves_the_cells_while_they_are_read(by_batch: bool) -> None:
    """The core has checked where the cells are, and would read wherever they point."""
    x, seen = sparse_of(DENSE), []

    class Moves(callbacks.Callback):
        def move(self, *_: Any) -> None:
            for places in (x.indices, x.indptr):
                with pytest.raises(ValueError, match="read-only"):
                    places[:] = 10**9
            seen.append(self.model.predict(x))

    name = "on_train_batch_end" if by_batch else "on_epoch_end"
    setattr(Moves, name, Moves.move)
    made().fit(x, Y, epochs=2, batch_size=30, callbacks=[Moves()])
    assert len(seen) == (4 if by_batch else 2)
    assert x.indices.flags.writeable
    assert x.indptr.flags.writeable
    with pytest.raises(ValueError, match="y has"):
        made().fit(x, Y + 7)
    assert x.indices.flags.writeable


def test_the_cells_stay_where_they_are_until_the_last_of_two_calls_has_ended() -> None:
    x = sparse_of(DENSE)

    class Waits(callbacks.Callback):
        def __init__(self) -> None:
            self.inside, self.goes_on = Event(), Event()

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            self.inside.set()
            assert self.goes_on.wait(30)

    def fit(waits: Waits) -> None:
        made().fit(x, Y, callbacks=[waits])

    calls = [(waits, Thread(target=fit, args=[waits])) for waits in (Waits(), Waits())]
    for waits, thread in calls:
        thread.start()
        assert waits.inside.wait(30)
    for waits, thread in calls:
        assert not x.indices.flags.writeable
        assert not x.indptr.flags.writeable
        waits.goes_on.set()
        thread.join()
    assert x.indices.flags.writeable
    assert x.indptr.flags.writeable


def test_cells_that_their_owner_keeps_read_only_remain_so() -> None:
    x = sparse_of(DENSE)
    x.indices.flags.writeable = False
    made().fit(x, Y, validation_data=(x, Y))
    assert not x.indices.flags.writeable
    assert x.indptr.flags.writeable
