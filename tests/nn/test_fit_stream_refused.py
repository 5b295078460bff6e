# SPDX-License-Identifier: BSD-3-Clause
"""What fit_stream refuses, in words and with the number of the part, and what is left then."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import numpy as np
import pytest

from fastnn import ModelBusyError, TrainingDivergedError, data, nn, optim
from fastnn import callbacks as cb
from streams import cut, given, model, state

X, Y, W = given()
PARTS = [5, 17, 3, 28]


def once() -> Any:
    return iter(cut((X, Y, W), PARTS))


def refusal(
    parts: Any, words: str, kind: type[Exception] = ValueError, made: Any = None, **more: Any
) -> nn.Sequential:
    """Check the words of a refusal; the model has to be as before."""
    made = model() if made is None else made
    before = state(made)
    with pytest.raises(kind, match=rf"^\[Sequential\.fit_stream\] {re.escape(words)}"):
        made.fit_stream(parts, **{"epochs": 1, "batch_size": 8} | more)
    assert state(made) == before
    return made


# --- parts --------------------


def test_what_can_be_gone_through_once() -> None:
    words = "which can be gone through once, for 3 epochs; expected a list, or a function"
    made = model()
    with pytest.raises(ValueError, match=words):
        made.fit_stream(once(), epochs=3)
    with pytest.raises(ValueError, match="for 2 epochs"):
        made.fit_stream(zip([X], [Y], strict=True), epochs=4, initial_epoch=2)
    assert made.history is None
    made.fit_stream(once(), epochs=3, initial_epoch=2)
    assert made.history.epoch == [2]


def test_a_function_that_returns_what_is_used_up() -> None:
    parts = once()
    made = model()
    words = "the function parts returned the same list_iterator in epoch 1 as before"
    with pytest.raises(ValueError, match=words):
        made.fit_stream(lambda: parts, 2, 8)
    assert made.history.epoch == [0]


def test_other_things() -> None:
    expected = "an iterable of parts (X, y) or (X, y, sample_weight), or a function"
    refusal(None, f"parts is None; expected {expected}", TypeError)
    refusal(3, f"parts is 3; expected {expected}", TypeError)
    refusal(lambda _: [], "parts is a function, which cannot be called without", TypeError)
    refusal(lambda: 3, "the function parts returned 3; expected an iterable", TypeError)
    refusal(np.array(3.0), "parts is array(3.), which cannot be gone through", TypeError)


def test_parts_that_are_no_pairs() -> None:
    words = "expected (X, y) or (X, y, sample_weight)"
    refusal(
        X,
        f"part 0 of epoch 0: it is an array of {X.dtype} with shape {X.shape[1:]}; {words}",
        TypeError,
    )
    refusal((X, Y), f"part 0 of epoch 0: it is an array of {X.dtype}", TypeError)
    refusal([(X, Y, W), (X,)], f"part 1 of epoch 0: it is a tuple; {words}", TypeError)
    refusal("ab", f"part 0 of epoch 0: it is 'a'; {words}", TypeError)
    refusal([(X, None)], "part 0 of epoch 0: y has dtype object", TypeError)


def test_no_rows() -> None:
    words = "the parts of epoch 0 have no rows; expected at least one"
    refusal([], words)
    refusal(iter(()), words)
    refusal(cut((X, Y), [0, 0]), words)


def test_another_number_of_rows() -> None:
    words = "part 3 of epoch 0: the parts have at least 53 rows; expected 50"
    refusal(once, words, rows=50)
    refusal(once, "the parts of epoch 0 have 53 rows; expected 60", rows=60)


def test_settings() -> None:
    refusal(once, "rows is 0; expected an integer of at least 1", rows=0)
    refusal(once, "prefetch is -1; expected an integer of at least 0", prefetch=-1)
    refusal(once, "drop_last=True leaves no batch of 53 rows", batch_size=60, drop_last=True)
    refusal([(X, Y)], "drop_last=True leaves no", batch_size=60, drop_last=True)
    words = "class_weight is 'balanced'; expected a dictionary {0: 2.0}; balanced weights are n / ("
    refusal(once, words, TypeError, class_weight="balanced")


def test_batches_of_one_row() -> None:
    refusal(once, "batch_size is 1; layer 1 (BatchNorm1d(16", batch_size=1)
    refusal([(X[:1], Y[:1])], "there is 1 row to train on; layer 1 (BatchNorm1d(16")
    model().fit_stream([(X[:8], Y[:8]), (X[8:9], Y[8:9])], batch_size=8)


def test_a_schedule_that_needs_the_number_of_rows() -> None:
    rate = optim.lr_scheduler.CosineAnnealingLR(0.1)
    made = model(optimizer=optim.SGD(lr=rate))
    words = "the learning rate is CosineAnnealingLR, which lasts the fit and is counted in steps"
    refusal(once, words, made=made)
    made = model(optimizer=optim.SGD(lr=0.1))

    def parts() -> Any:
        yield X, Y
        made.lr = rate

    with pytest.raises(
        ValueError, match=r"^\[Sequential\.lr\] the learning rate is CosineAnnealingLR, which"
    ):
        made.fit_stream(parts)
    made.fit_stream(parts, rows=53)


def test_standardize_and_a_model_that_is_not_compiled() -> None:
    with pytest.raises(ValueError, match=r"^\[Sequential.fit_stream\] the model is not comp"):
        nn.Sequential(nn.Linear(6, 3)).fit_stream(once)
    layer = nn.Standardize()
    made = nn.Sequential(layer, nn.Linear(6, 3))
    made.compile("sgd", "cross_entropy")
    with pytest.raises(ValueError, match=r"^\[Sequential.fit_stream\] Standardize has no statis"):
        made.fit_stream(once)
    layer.adapt(lambda: [(X[:0], Y[:0]), *once(), X[:0]])
    np.testing.assert_allclose(layer.mean, X.mean(axis=0, dtype=float), rtol=1e-12)
    made.fit_stream(once, 2, 8)
    with pytest.raises(ValueError, match=r"^\[Standardize\.adapt\] X has no rows; expected at le"):
        layer.adapt(iter([X[:0]]))


# --- kinds --------------------


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ((X[:, :5], Y, W), "X has 5 columns, the model expects 6"),
        ((X, Y[:5], W), "y has 5 rows, X has 53"),
        ((X, Y, W[:5]), "sample_weight has 5 rows, X has 53"),
        ((X.astype(complex), Y, W), "X has dtype complex128; expected bool"),
        ((X.astype(float), Y, W), "X has float64 and rows of shape (6,); expected float32"),
        ((X, Y.astype("i2"), W), "y has int16 and rows of shape (); expected int64"),
        ((X, Y[:, None], W), "y has int64 and rows of shape (1,); expected int64"),
        ((X, Y, W.astype("f4")), "sample_weight has float32 and rows of"),
        ((X, Y), "sample_weight is missing; the first part has it"),
        ((X, Y, None), "sample_weight is missing; the first part has it"),
        ((X.astype(">f4"), Y, W), "X has >f4 and rows of shape (6,)"),
        (([[1, 2], [3]], Y, W), "X is no rectangular array of numbers"),
    ],
)
def test_of_another_part(second: Any, words: str) -> None:
    kind = TypeError if "complex" in words else ValueError
    refusal([(X, Y, W), second], f"part 1 of epoch 0: {words}", kind)


def test_weights_that_only_later_parts_have() -> None:
    words = "part 1 of epoch 0: sample_weight came; the first part has none"
    refusal([(X, Y), (X, Y, W)], words)


# --- cells --------------------


@pytest.mark.parametrize("row", [0, 3, 4, 5, 21, 22, 24, 25, 30, 52])
def test_every_row_has_its_part(row: int) -> None:
    x = X.copy()
    x[row, 2] = np.nan
    number = int(np.searchsorted(np.cumsum(PARTS), row, side="right"))
    place = row - sum(PARTS[:number])
    words = f"part {number} of epoch 0: X has nan at row {place}, column 2; expected finite"
    made = refusal(cut((x, Y), PARTS), words)
    assert made.history.epoch == []


def test_other_cells() -> None:
    y, w = Y.copy(), W.copy()
    y[40], w[41] = 3, -1
    words = "part 3 of epoch 0: y has 3 at row 15, column 0; expected class numbers 0 to 2"
    refusal(cut((X, y), PARTS), words)
    words = "part 3 of epoch 0: sample_weight has -1 at row 16, column 0; expected finite"
    refusal(cut((X, Y, w), PARTS), words)
    words = "part 3 of epoch 0: y has 3 at row 15, column 0; expected class numbers 0 to 2"
    refusal(cut((X, y), PARTS), words, class_weight={0: 2.0})
    words = "validation X has inf at row 1, column 0"
    refusal(once, words, validation_data=(np.where(X[1, 0] == X, np.inf, X), Y))


def test_weights_that_are_all_zero() -> None:
    refusal(cut((X, Y, 0 * W), PARTS), "sample_weight is zero for all rows; expected")
    w = np.concatenate([np.zeros(22), np.ones(31)])
    model().fit_stream(cut((X, Y, w), PARTS), 2, 8)


def test_a_later_epoch_returns_to_the_end_of_the_one_before() -> None:
    x = X.copy()
    x[30, 1] = np.inf
    epochs = iter([X, x])
    made, twin = model(), model()
    words = r"part 3 of epoch 1: X has inf at row 5, column 1"
    with pytest.raises(ValueError, match=words):
        made.fit_stream(lambda: cut((next(epochs), Y), PARTS), 2, 8)
    twin.fit_stream(cut((X, Y), PARTS), 1, 8)
    assert state(made) == state(twin)
    assert made.history.history == twin.history.history


def test_divergence_counts_the_batches_of_the_epoch() -> None:
    made = nn.Sequential(nn.Linear(6, 3))
    made.compile(optim.SGD(lr=0.01), "mse")
    x = np.where(np.arange(53) < 40, 1, 1e30)[:, None] * np.ones((53, 6), "f4")
    before = state(made)
    with pytest.raises(TrainingDivergedError, match="diverged in epoch 0, batch 5: the loss"):
        made.fit_stream(cut((x, x[:, :3]), PARTS), 1, 8)
    assert state(made) == before


class OwnError(Exception):
    pass


def failing(error: type[BaseException], epoch: int, made: Any = None) -> Any:
    """Return a function of parts that raises after three parts of an epoch."""
    passes = iter(range(100))

    def parts() -> Any:
        fails = next(passes) == epoch
        for k, part in enumerate(cut((X, Y, W), PARTS)):
            if fails and k == 3:
                raise error("in the iterator")
            yield part

    return parts


# --- exceptions --------------------


@pytest.mark.parametrize("prefetch", [0, 1])
@pytest.mark.parametrize("callbacks", [None, [cb.Callback()]])
def test_of_the_iterator(prefetch: int, callbacks: Any) -> None:
    """It comes out as itself, and the model is as at the end of the last epoch."""
    made, twin = model(), model()
    with pytest.raises(OwnError, match=r"^in the iterator$"):
        made.fit_stream(failing(OwnError, 2), 5, 8, prefetch=prefetch, callbacks=callbacks)
    twin.fit_stream(once, 2, 8)
    assert state(made) == state(twin)
    assert made.history.history == twin.history.history
    assert (made.history.epoch, made.history.steps) == ([0, 1], 14)
    assert not [t for t in threading.enumerate() if t.name.startswith("fastnn-prefetch")]
    made.fit_stream(once, 3, 8, initial_epoch=2)
    twin.fit_stream(once, 3, 8, initial_epoch=2)
    assert state(made) == state(twin)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_the_iterator_leaves_the_steps_so_far(error: Any) -> None:
    made, twin = model(), model()
    with pytest.raises(error, match="in the iterator"):
        made.fit_stream(failing(error, 0), 5, 8)
    # Of the 25 rows of three parts, 24 are whole batches.
    for rows in data.batches(np.arange(24), batch_size=8):
        twin.train_step(X[rows], Y[rows], sample_weight=W[rows])
    ours, theirs = state(made), state(twin)
    assert {k: v for k, v in ours.items() if k != "config"} == {
        k: v for k, v in theirs.items() if k != "config"
    }
    assert made.history.epoch == []


def test_ctrl_c_while_a_part_is_trained_on() -> None:
    import _thread

    made = model()
    x, y = np.tile(X, (2000, 1)), np.tile(Y, 2000)

    def parts() -> Any:
        yield x[:100], y[:100]
        threading.Timer(0.1, _thread.interrupt_main).start()
        for _ in range(10**6):
            yield x, y

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        made.fit_stream(parts, 1, 8)
    assert time.perf_counter() - start < 5
    assert made._network.step > 12
    assert made._network.draw == 0


def test_a_hook_of_a_batch_that_raises_leaves_the_steps_so_far() -> None:
    def fail(batch: int, logs: Any) -> None:
        if batch == 4:
            raise OwnError

    made = model(accumulate=3)
    with pytest.raises(OwnError):
        made.fit_stream(once, 2, 8, callbacks=cb.LambdaCallback(on_train_batch_end=fail))
    assert made._network.step == 1
    # No batch waits for an update: three calls are the next group.
    for _ in range(3):
        assert made._network.step == 1
        made.train_step(X, Y)
    assert made._network.step == 2


def test_stop_in_the_iterator() -> None:
    made, twin = model(), model()

    def parts() -> Any:
        yield X[:16], Y[:16]
        made.stop()
        yield X[16:], Y[16:]

    history = made.fit_stream(parts, 5, 8)
    assert (history.epoch, history.steps) == ([], 1)
    twin.train_step(X[:8], Y[:8])
    assert made.state_dict()["0.weight"].tobytes() == twin.state_dict()["0.weight"].tobytes()


def test_values_that_are_exchanged_for_averages_are_refused() -> None:
    made = model(average="ema")

    def parts() -> Any:
        yield X, Y
        with made.averaged():
            yield X, Y

    made.fit_stream([(X, Y)], 1, 8)
    with pytest.raises(ValueError, match="the model has its averaged values"):
        made.fit_stream(parts, 1, 8)
    made.fit_stream([(X, Y)], 1, 8)


def test_a_fit_inside_the_iterator_is_refused() -> None:
    made = model()

    def parts() -> Any:
        yield X, Y
        made.fit(X, Y)

    with pytest.raises(ModelBusyError, match=r"\[Sequential\.fit\] the model is being trained"):
        made.fit_stream(parts)
