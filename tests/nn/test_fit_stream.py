# SPDX-License-Identifier: BSD-3-Clause
"""fit_stream has the bits of one fit on all parts in a row, wherever the parts begin and end.

What it refuses, and what an exception leaves, is in test_fit_stream_refused.py.
"""

from __future__ import annotations

import copy
import itertools
import threading
from typing import Any

import numpy as np
import pytest

from fastnn import callbacks as cb
from fastnn import nn, optim
from streams import cut, given, model, state

# The numbers of rows of parts, of 53 rows in all; batches have 8.
CUTS: dict[str, list[int]] = {
    "one part": [53],
    "whole batches": [8, 16, 24, 5],
    "whole batches, all": [24, 24],
    "uneven": [5, 17, 3, 28],
    "one row each": [1] * 53,
    "one row, many rows": [1, 51, 1],
    "empty parts": [0, 0, 20, 0, 33, 0],
    "all but one batch": [47, 6],
    "seven": [7] * 7 + [4],
    "nine": [9] * 5 + [8],
}


def same(a: nn.Sequential, b: nn.Sequential) -> None:
    """Compare everything that training changes, bit for bit."""
    ours, theirs = state(a), state(b)
    assert ours.keys() == theirs.keys()
    assert not [key for key in ours if ours[key] != theirs[key]]
    assert a.history.history == b.history.history
    assert (a.history.epoch, a.history.steps) == (b.history.epoch, b.history.steps)


def compare(
    rows: Any, cuts: list[int], made: nn.Sequential | None = None, **more: Any
) -> nn.Sequential:
    """Train by fit and by fit_stream; return the model of fit_stream."""
    rows = [None if each is None else each[: sum(cuts)] for each in rows]
    made = model() if made is None else made
    twin = copy.deepcopy(made)
    some = {"batch_size": 8, "epochs": 3} | more
    twin.fit(rows[0], rows[1], sample_weight=rows[2], shuffle=False, **copy.deepcopy(some))
    made.fit_stream(cut(rows, cuts), **some)
    same(made, twin)
    return made


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("weights", [False, True])
def test_bits_do_not_depend_on_the_parts(cuts: list[int], drop_last: bool, weights: bool) -> None:
    x, y, w = given()
    compare((x, y, w if weights else None), cuts, drop_last=drop_last)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_threads", [None, 1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 13, 53, 1000])
def test_batches_threads_and_dtypes(dtype: str, n_threads: int | None, batch_size: int) -> None:
    made = model(dtype=dtype, norm=batch_size > 1)
    compare(given(dtype), [5, 17, 3, 28], made, batch_size=batch_size, n_threads=n_threads)


@pytest.mark.parametrize(
    "settings",
    [
        {"accumulate": 3},
        {"accumulate": 4, "max_grad_norm": 0.5},
        {"average": optim.EMA(0.9)},
        {"average": optim.SWA(start_epoch=1)},
        {"penalty_in_loss": True},
        {"max_grad_value": 0.01, "metrics": ["accuracy"]},
    ],
    ids=str,
)
@pytest.mark.parametrize("cuts", [[16, 16, 21], [5, 17, 3, 28], [7] * 7])
@pytest.mark.parametrize("drop_last", [False, True])
def test_what_depends_on_the_last_batch(settings: Any, cuts: list[int], drop_last: bool) -> None:
    """The last update of an epoch takes the batches that are left, and SWA averages after it."""
    made = model(optimizer=optim.SGD(lr=0.05, momentum=0.9, weight_decay=0.01), **settings)
    compare(given(), cuts, made, drop_last=drop_last)


@pytest.mark.parametrize(
    "rate",
    [
        optim.lr_scheduler.CosineAnnealingLR(0.1),
        optim.lr_scheduler.OneCycleLR(0.1),
        optim.lr_scheduler.PolynomialLR(0.1, by="epoch"),
        optim.lr_scheduler.InvScalingLR(0.1),
        optim.lr_scheduler.AdaptiveLR(0.1),
        optim.lr_scheduler.StepLR(0.1, step_size=5),
        [0.1, 0.05, 0.01],
        lambda epoch: 0.1 / (epoch + 1),
    ],
    ids=lambda rate: getattr(
        rate, "__name__", type(rate).__name__
    ),  # no address: the same in each run
)
def test_schedules(rate: Any) -> None:
    """A list of parts has a known number of rows; so schedules may last the fit."""
    compare(given(), [5, 17, 3, 28], model(optimizer=optim.SGD(lr=rate, momentum=0.9)))


def test_a_schedule_of_the_fit_with_the_number_of_rows() -> None:
    rate = optim.lr_scheduler.CosineAnnealingLR(0.1)
    by_list, by_rows = (model(optimizer=optim.SGD(lr=rate)) for _ in range(2))
    parts = cut(given(), [5, 17, 3, 28])
    by_list.fit_stream(parts, epochs=2, batch_size=8)
    by_rows.fit_stream(lambda: iter(parts), epochs=2, batch_size=8, rows=53)
    same(by_list, by_rows)


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss(reduction="sum")], ids=str)
def test_weights_of_classes(weights: bool, loss: Any) -> None:
    x, y, w = given()
    made = model(loss=loss)
    compare((x, y, w if weights else None), [5, 17, 3, 28], made, class_weight={0: 3.0, 2: 0.3})


def test_a_loss_of_ones_own() -> None:
    def squared(out: Any, y: Any, w: Any) -> Any:
        error = out - y
        return np.average(error**2, axis=0, weights=w).mean(), 2 * error * w[:, None] / w.sum() / 3

    x, _, w = given("float64")
    y = np.random.default_rng(5).standard_normal((len(x), 3))
    made = model(dtype="float64", loss=squared)
    compare((x, y, w), [5, 17, 3, 28], made, validation_data=(x[:9], y[:9], w[:9]))


def test_validation_and_metrics() -> None:
    x, y, w = given()
    made = model(metrics=["accuracy", "f1"])
    compare((x, y, w), [20, 33], made, validation_data=(x[:9], y[:9]), callbacks=cb.Callback())
    names = ["loss", "accuracy", "f1"]
    assert list(made.history.history) == [*names, *(f"val_{name}" for name in names)]


@pytest.mark.parametrize("kind", ["uint8", "int16", "float16", ">f4", ">i8", "bool", "columns"])
def test_rows_of_any_dtype_and_layout(kind: str) -> None:
    x, y, w = given()
    x = np.asfortranarray(x) if kind == "columns" else (x * 50).astype(kind)
    compare((x, y.astype(">i2"), w.astype("f4")), [5, 17, 3, 28])


def test_rows_of_several_dimensions() -> None:
    x, y, w = given()
    made = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    made.compile("adam", "cross_entropy")
    compare((x.reshape(-1, 2, 3), y, w), [5, 17, 3, 28], made)


def test_numbers_of_steps_and_names_are_those_of_a_fit() -> None:
    calls: list[Any] = []

    class Recorder(cb.Callback):
        def on_train_begin(self) -> None:
            calls.append(dict(self.params))

        def on_epoch_begin(self, epoch: int) -> None:
            calls.append(("epoch", epoch))

        def on_train_batch_begin(self, batch: int) -> None:
            calls.append(("begin", batch))

        def on_train_batch_end(self, batch: int, logs: Any) -> None:
            calls.append(("end", batch, logs["loss"]))

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            calls.append(dict(logs))

    compare(given(), [5, 17, 3, 28], callbacks=Recorder())
    assert len(calls) == 2 * (1 + 3 * (2 + 2 * 7))
    assert calls[: len(calls) // 2] == calls[len(calls) // 2 :]
    calls.clear()
    made = model()
    made.fit_stream(lambda: iter(cut(given(), [53])), 2, 8, callbacks=Recorder())
    assert calls[0]["steps"] is None
    assert (made.history.params["steps"], made.history.steps) == (7, 14)


def test_a_hook_of_a_batch_ends_the_epoch_and_no_part_is_made_after_it() -> None:
    made, twin, taken = model(), model(), []

    def parts() -> Any:
        for k, part in enumerate(cut(given(), [10, 10, 10, 10, 13])):
            taken.append(k)
            yield part

    def end(trained: nn.Sequential) -> cb.Callback:
        def stop(batch: int, logs: Any) -> None:
            trained.stop_training = batch == 2

        return cb.LambdaCallback(on_train_batch_end=stop)

    made.fit_stream(parts, 5, 8, callbacks=end(made))
    x, y, w = given()
    twin.fit(x, y, 8, 5, sample_weight=w, shuffle=False, callbacks=end(twin))
    same(made, twin)
    assert taken == [0, 1, 2]


def test_parts_may_share_their_memory() -> None:
    rows = given()
    room = [np.empty_like(each[:20]) for each in rows]

    def parts() -> Any:
        for part in cut(rows, [5, 17, 3, 20, 8]):
            for memory, each in zip(room, part, strict=True):
                memory[: len(each)] = each
            yield tuple(memory[: len(part[0])] for memory in room)
            for memory in room:
                memory[:] = 7

    made, twin = model(), model()
    made.fit_stream(parts, 2, 8)
    twin.fit(rows[0], rows[1], 8, 2, sample_weight=rows[2], shuffle=False)
    same(made, twin)


@pytest.mark.parametrize("counts", [(5, 53, 20), (53, 5, 40), (3, 3, 7), (53, 52, 51)])
def test_epochs_of_different_lengths(counts: tuple[int, ...]) -> None:
    """Each epoch is that of a fit on its own rows."""
    rows = given()
    epochs = iter([cut([each[:n] for each in rows], [4] * (n // 4) + [n % 4]) for n in counts])
    made, twin = model(), model()
    made.fit_stream(lambda: iter(next(epochs)), 3, 8)
    losses, steps = [], 0
    for epoch, n in enumerate(counts):
        history = twin.fit(
            *(each[:n] for each in rows[:2]),
            8,
            epoch + 1,
            sample_weight=rows[2][:n],
            shuffle=False,
            initial_epoch=epoch,
        )
        losses += history.history["loss"]
        steps += history.steps
    assert state(made) == state(twin)
    assert made.history.history == {"loss": losses}
    assert made.history.steps == steps


def test_parts_made_ahead_are_the_same() -> None:
    rows, threads = given(), set()

    def parts() -> Any:
        for part in cut(rows, [5, 17, 3, 28]):
            threads.add(threading.current_thread().name)
            yield part

    made, twin = model(), model()
    made.fit_stream(parts, 3, 8, prefetch=2)
    twin.fit_stream(parts, 3, 8)
    same(made, twin)
    assert len(threads) == 2
    assert threading.current_thread().name in threads
    assert not [t for t in threading.enumerate() if t.name.startswith("fastnn-prefetch")]


def test_the_iterator_may_predict_and_set_the_rate() -> None:
    made, seen = model(optimizer=optim.SGD(lr=0.5)), []

    def parts() -> Any:
        for k, part in enumerate(cut(given(), [16, 16, 21])):
            seen.append(float(made.predict(part[0]).sum()))
            made.lr = 0.1 / (k + 1)
            yield part

    made.fit_stream(parts, 1, 8)
    assert len(seen) == 3
    assert made.history.history["lr"] == [0.1 / 3]


def test_a_backup_goes_on(tmp_path: Any) -> None:
    class CutError(Exception):
        pass

    def cut_before(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise CutError

    def trained(*callbacks: cb.Callback) -> nn.Sequential:
        made = model(optimizer=optim.SGD(lr=optim.lr_scheduler.StepLR(0.1, step_size=9)))
        some = [cb.BackupAndRestore(tmp_path / "backup.npz"), *callbacks]
        made.fit_stream(lambda: iter(parts), 5, 8, callbacks=some)
        return made

    parts = cut(given(), [5, 17, 3, 28])
    with pytest.raises(CutError):
        trained(cb.LambdaCallback(on_epoch_end=cut_before))
    again, whole = trained(), trained()
    same(again, whole)


def test_random_parts(rng: np.random.Generator) -> None:
    for _, drop_last in itertools.product(range(20), (False, True)):
        cuts = [*rng.integers(0, 9, 8).tolist(), 20]
        if sum(cuts) <= 53:
            compare(given(), cuts, drop_last=drop_last, batch_size=int(rng.integers(2, 20)))
