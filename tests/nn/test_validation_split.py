# SPDX-License-Identifier: BSD-3-Clause
"""Which rows validate: the last ones, drawn ones, and the same share of every class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn import nn
from fastnn.nn import _rows
from fastnn.reference import random


def parts(y: Any, share: float, seed: int = 0, **more: Any) -> tuple[list[int], list[int]]:
    """Return the numbers of the training and of the validation rows."""
    x = np.arange(len(y), dtype=float)[:, None]
    train, held_out, numbers = _rows.split(
        "fit", _rows.Rows(x, np.asarray(y), None), share, seed=seed, **more
    )
    assert held_out is not None
    for part, kind in ((train, ""), (held_out, "validation ")):
        np.testing.assert_array_equal(part.x[:, 0], numbers[kind])
    for part in (train, held_out):
        np.testing.assert_array_equal(part.y, np.asarray(y)[part.x[:, 0].astype(int)])
    return train.x[:, 0].astype(int).tolist(), held_out.x[:, 0].astype(int).tolist()


def test_the_last_rows_by_default():
    assert parts(np.zeros(10), 0.3) == ([*range(7)], [7, 8, 9])


def test_drawn_rows():
    train, held_out = parts(np.zeros(50), 0.3, seed=3, shuffle=True)
    order = random.permutation(50, 3, 2**62)  # the twin's Philox
    assert held_out == sorted(order[35:])
    assert train == sorted(order[:35])
    assert (train, held_out) == parts(np.zeros(50), 0.3, seed=3, shuffle=True)
    assert held_out != parts(np.zeros(50), 0.3, seed=4, shuffle=True)[1]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(2, 30), min_size=2, max_size=5),
    st.floats(0.05, 0.95),
    st.integers(0, 1000),
)
def test_shares_are_those_of_scikit_learn(sizes: list[int], share: float, seed: int) -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    n = len(y) - _rows._training_rows(len(y), share)
    if min(n, len(y) - n) < len(sizes):
        return
    _, held_out = parts(y, share, seed=seed, classes=len(sizes))
    assert len(held_out) == n
    ours = np.bincount(y[held_out], minlength=len(sizes))
    _, theirs = selection.train_test_split(y, test_size=n, stratify=y, random_state=seed)
    theirs = np.bincount(theirs, minlength=len(sizes))
    exact = np.array(sizes) * n / len(y)
    train_exact = np.array(sizes) - exact
    fractions = np.sort(train_exact % 1)
    if np.diff(fractions).min() > 1e-9 and np.diff(np.sort(exact % 1)).min() > 1e-9:
        assert ours.tolist() == theirs.tolist()  # no equal remainders
    # What rounding leaves goes to the largest remainders; of equal ones scikit-learn draws.
    assert sorted(ours) == sorted(theirs) or np.abs(ours - theirs).max() <= 1
    assert (np.abs(ours - exact) < 2).all()


def test_equal_shares():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    _, held_out = parts(y, 0.2, classes=3)
    assert np.bincount(y[held_out]).tolist() == [12, 6, 2]


def test_fit_stratifies(rng):
    x = rng.normal(size=(100, 2))
    y = np.repeat([0, 1], [80, 20])
    seen: dict[str, Any] = {}

    def share(y_true: Any, y_pred: Any) -> float:
        seen["y"] = y_true
        return float(np.mean(y_true))

    model = nn.Sequential(nn.Linear(2, 1), seed=5)
    model.compile("sgd", "bce_with_logits", metrics=[share])
    assert model.fit(x, y, validation_split=0.2).history["val_share"] == [1.0]
    assert model.fit(x, y, validation_split=0.2, stratify=True).history["val_share"] == [0.2]
    assert len(seen["y"]) == 20
    model.fit(x, y, np.ones(100).size, validation_split=0.25, shuffle_split=True)
    assert len(seen["y"]) == 25


def test_weights_go_with_their_rows(rng):
    w = np.arange(20.0)
    x = w[:, None].copy()
    given = _rows.Rows(x, np.zeros(20), w)
    for part in _rows.split("fit", given, 0.5, shuffle=True)[:2]:
        assert part is not None
        np.testing.assert_array_equal(part.w, part.x[:, 0])


def compiled(loss: str, outputs: int) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, outputs))
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("row", [3, 11, 17, 19])
def test_a_refused_cell_is_named_as_it_came(rng, row, drawn, own):
    """Whatever part it is in, and wherever it is there."""
    x, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    x[row, 1] = np.inf

    def squared(out: Any, target: Any) -> tuple[float, Any]:
        return float(((out - target[:, None]) ** 2).mean()), (out - target[:, None]) / len(out)

    model = compiled(squared if own else "mse", 1)
    more = {"validation_split": 0.4, "shuffle_split": drawn}
    with pytest.raises(ValueError, match=rf"^\[Sequential\.fit\] X has inf at row {row}, col"):
        model.fit(x, y, **more)
    if not own:
        with pytest.raises(ValueError, match=rf"^\[Sequential\.fit\] y has nan at row {row}"):
            model.fit(np.ones((20, 2)), np.where(np.arange(20) == row, np.nan, y), **more)
    good = np.ones((20, 2))
    with pytest.raises(ValueError, match=r"\] validation X has inf at row 3, column 1;"):
        model.fit(good, y, validation_data=(x[row - 3 :], y[row - 3 :]))


WRONG: list[tuple[Any, ...]] = [
    (
        "mse",
        1,
        np.zeros(10),
        {"stratify": True},
        "MSELoss on 1 outputs has no one class a row: use",
    ),
    ("bce_with_logits", 2, np.zeros((10, 2)), {"stratify": True}, "on 2 outputs has no one class"),
    ("cross_entropy", 3, np.repeat([0, 1, 2], [8, 1, 1]), {"stratify": True}, "a class has 1 row"),
    (
        "cross_entropy",
        3,
        np.repeat([0, 1, 2], [4, 3, 3]),
        {"stratify": True, "validation_split": 0.2},
        "8 training and 2 validation rows for 3 classes",
    ),
    ("cross_entropy", 3, np.full((10, 3), 1 / 3), {"stratify": True}, "expected one class a row"),
    ("bce_with_logits", 1, np.linspace(0, 1, 10), {"stratify": True}, "10 different numbers"),
    ("mse", 1, np.zeros(10), {"stratify": 1}, "stratify is 1; expected"),
    ("mse", 1, np.zeros(10), {"shuffle_split": "yes"}, "shuffle_split is 'yes'; expected"),
]


@pytest.mark.parametrize(("loss", "outputs", "y", "more", "message"), WRONG)
def test_refusals(loss, outputs, y, more, message):
    with pytest.raises((ValueError, TypeError), match=message):
        compiled(loss, outputs).fit(np.zeros((10, 2)), y, **({"validation_split": 0.4} | more))
