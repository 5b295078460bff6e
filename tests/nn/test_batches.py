# SPDX-License-Identifier: BSD-3-Clause
"""Training and validation rows are split, ordered and cut into batches as documented."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import fastnn as fn
from fastnn import _core, callbacks, data, nn, optim
from fastnn.nn._rows import Rows, split


def make(dtype: Any = np.float64, seed: int = 3) -> nn.Sequential:
    layers = [nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.2), nn.Linear(5, 1)]
    model = nn.Sequential(*layers, dtype=dtype, seed=seed)
    model.compile(optim.Adam(0.01), "mse")
    return model


def rows(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    return rng.standard_normal((n, 3)), rng.standard_normal(n)


def parts(n: int, share: Any) -> tuple[int, int]:
    x, y = rows(n)
    train, held_out = split("here", Rows(x, y, None), share)[:2]
    assert held_out is not None
    return len(train[0]), len(held_out[0])


@pytest.mark.parametrize(
    ("n", "share", "expected"),
    [
        (10, 0.9, (1, 9)),
        (10, 0.8, (2, 8)),
        (10, 0.1, (9, 1)),
        (10, 0.25, (7, 3)),  # rows that train are counted down, as in Keras
        (9, 0.5, (4, 5)),
        (3, 1 / 3, (2, 1)),
        (9, 2 / 3, (3, 6)),
        (10, 0.1 + 0.2, (7, 3)),
        (10, 1 - 0.9, (9, 1)),
        (10, np.float32(0.8), (2, 8)),
        (10, np.float16(0.9), (1, 9)),
        (10_000_000, 0.9, (1_000_000, 9_000_000)),
    ],
)
def test_a_split_counts_in_decimals(n: int, share: Any, expected: tuple[int, int]) -> None:
    if n > 1000:
        x = np.empty((n, 0))
        train, held_out = split("here", Rows(x, x, None), share)[:2]
        assert held_out is not None
        assert (len(train[0]), len(held_out[0])) == expected
        return
    assert parts(n, share) == expected


def test_every_hundredth_of_every_number_of_rows() -> None:
    for n in range(2, 300):
        for percent in range(1, 100):
            expected = n * (100 - percent) // 100
            if expected not in (0, n):
                assert parts(n, percent / 100) == (expected, n - expected), (n, percent)


def test_a_split_of_ten_rows_trains() -> None:
    x, y = rows(10)
    for share in (0.9, 0.8):
        history = make().fit(x, y, validation_split=share)
        assert "val_loss" in history.history


def ids(batches: Any) -> list[int]:
    return [int(i) for batch in batches for i in batch]


def test_each_pass_over_batches_has_an_order_of_its_own() -> None:
    batches = data.batches(np.arange(50), batch_size=8, shuffle=True, seed=5, epoch=2)
    assert len(batches) == 7
    for epoch in (2, 3, 4):
        assert ids(batches) == _core.permutation(50, 5, epoch).tolist()
    again = data.batches(np.arange(50), batch_size=8, shuffle=True, seed=5, epoch=2)
    assert ids(again) == _core.permutation(50, 5, 2).tolist()
    still = data.batches(np.arange(50), batch_size=8)
    assert ids(still) == ids(still) == list(range(50))
    one, other = iter(again), iter(again)  # two passes at once
    assert ids(one) != ids(other)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("n", [50, 48, 9, 8])
def test_a_loop_over_batches_is_fit(n: int, drop_last: bool) -> None:
    x, y = rows(n)
    fitted, looped = make(seed=7), make(seed=7)
    history = fitted.fit(x, y, batch_size=8, epochs=3, drop_last=drop_last)
    batches = data.batches(x, y, 8, shuffle=True, seed=7, drop_last=drop_last)
    assert len(batches) == history.params["steps"] == history.steps / 3
    for epoch in range(3):
        losses, sizes = [], []
        for xb, yb in batches:
            losses.append(looped.train_step(xb, yb))
            sizes.append(len(xb))
        if drop_last:
            assert set(sizes) == {8}
        expected = np.average(losses, weights=sizes)  # of the rows that were trained on
        assert history.history["loss"][epoch] == pytest.approx(expected, rel=1e-14)
    for key, value in fitted.state_dict().items():
        np.testing.assert_array_equal(value, looped.state_dict()[key], err_msg=key)


def test_without_shuffle_the_last_rows_are_left_out() -> None:
    x, y = rows(50)
    whole, part = make(), make()
    whole.fit(x, y, batch_size=8, epochs=2, shuffle=False, drop_last=True)
    x[48:] = np.nan  # nobody reads them
    part.fit(x, y, batch_size=8, epochs=2, shuffle=False, drop_last=True)
    np.testing.assert_array_equal(whole[0].weight, part[0].weight)


@pytest.mark.parametrize("role", ["x", "y", "w"])
def test_a_bad_row_that_the_first_epoch_leaves_out(role: str) -> None:
    x, y = rows(50)
    w = np.ones(50)
    model = make(seed=1)
    left_out = int(_core.permutation(50, 1, 0)[-1])
    {"x": x, "y": y, "w": w}[role][left_out] = np.nan
    before = copy.deepcopy(model)
    with pytest.raises(
        ValueError, match=rf"\[(Sequential\.)?fit\] .*(row {left_out}|{left_out}\])"
    ):
        model.fit(x, y, batch_size=8, epochs=2, drop_last=True, sample_weight=w)
    np.testing.assert_array_equal(model[0].weight, before[0].weight)


def test_drop_last_has_to_leave_a_batch() -> None:
    x, y = rows(7)
    model = make()
    text = r"^\[Sequential.fit\] drop_last=True leaves no batch of 7 rows; expected a batch_size of"
    with pytest.raises(ValueError, match=text):
        model.fit(x, y, batch_size=8, drop_last=True)
    with pytest.raises(TypeError, match=r"drop_last is 1; expected True or False"):
        model.fit(x, y, drop_last=1)  # type: ignore[arg-type]
    assert ids(data.batches(x, batch_size=8, drop_last=True)) == []
    told: list[int] = []
    steps = callbacks.LambdaCallback(on_train_begin=lambda: told.append(steps.params["steps"]))
    model.fit(x, y, batch_size=3, drop_last=True, callbacks=[steps])
    assert told == [2]


SEEDED = {
    "Sequential": lambda seed: nn.Sequential(nn.Linear(2, 2), seed=seed)[0].weight,
    "batches": lambda seed: next(iter(data.batches(np.arange(9), shuffle=True, seed=seed))),
    "init.uniform": lambda seed: fn.functional.init.uniform(5, seed=seed),
    "init.kaiming_uniform": lambda seed: fn.functional.init.kaiming_uniform((2, 3), seed=seed),
    "init.xavier_uniform": lambda seed: fn.functional.init.xavier_uniform((2, 3), seed=seed),
    "dropout_mask": lambda seed: fn.functional.dropout_mask((9, 9), 0.5, seed),
    "check_gradient": lambda seed: (
        fn.functional.check_gradient(
            lambda v: ((v**2).sum(), 2 * v), np.arange(90.0), seed=seed
        ).n_checked
    ),
}


@pytest.mark.parametrize("where", SEEDED)
def test_seeds_have_one_range(where: str) -> None:
    draw = SEEDED[where]
    for seed in (0, 2**63, 2**64 - 1):
        np.testing.assert_array_equal(draw(seed), draw(np.uint64(seed)))
    np.testing.assert_array_equal(draw(7), draw(np.int8(7)))
    for wrong in (-1, 2**64, 10**30):
        expected = f"expected an integer of at least 0 and at most {2**64 - 1}$"
        text = rf"^\[{where}\] seed is {wrong}; {expected}"
        with pytest.raises(ValueError, match=text):
            draw(wrong)
    for kind in (1.0, "1", None, True, [1]):
        with pytest.raises(TypeError, match=rf"^\[{where}\] seed is "):
            draw(kind)


LARGEST = {"float32": float(np.finfo(np.float32).max), "float64": float(np.finfo(np.float64).max)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_never_returns_its_upper_end(dtype: Any) -> None:
    uniform = fn.functional.init.uniform
    kind = np.dtype(dtype).type
    ends = [(0.0, 1.0), (1.0, float(np.nextafter(kind(1), kind(2)))), (-0.3, 0.7), (16.0, 17.0)]
    ends += [(-1e-3, 1e-3), (1e6, 1e6 + 1), (-LARGEST[dtype], LARGEST[dtype]), (0, LARGEST[dtype])]
    for low, high in ends:
        for seed in range(3):
            drawn = uniform(20_000, low, high, seed=seed, dtype=dtype)
            assert drawn.dtype == dtype
            assert np.isfinite(drawn).all()
            assert (drawn >= kind(low)).all(), (low, high)
            assert (drawn < kind(high)).all(), (low, high)
            share = drawn.astype(np.float64) / high  # sums of the largest numbers are none
            spread = 1 - low / high
            if spread > 1e-6:
                assert abs(np.mean(share) - (low / high + 1) / 2) < spread / 50
    np.testing.assert_array_equal(uniform(4, 2, 2, dtype=dtype), np.full(4, 2, dtype))


def test_uniform_of_float32_reaches_the_last_number_below() -> None:
    """One draw in 2^25 would round to the end of the range; it becomes the number before it."""
    from fastnn.functional import _draws

    original = _draws._core.uniform
    try:
        _draws._core.uniform = lambda n, *_: np.full(n, 1 - 2.0**-53)
        drawn = _draws.uniform(3)
    finally:
        _draws._core.uniform = original
    np.testing.assert_array_equal(drawn, np.full(3, np.nextafter(np.float32(1), np.float32(0))))


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (1.0, 0.0, r"low is 1.0 and high 0.0; expected finite, low <= high"),
        (0.0, np.inf, r"high is inf; expected a finite number"),
        (np.nan, 1.0, r"low is nan; expected a finite number"),
        (0.0, 1e39, r"high is 1e\+39; expected a number that float32 holds"),
        ("a", 1.0, r"low is 'a'; expected a finite number"),
        (0.0, None, r"high is None; expected a finite number"),
    ],
)
def test_uniform_refuses_what_is_no_interval(low: Any, high: Any, text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^\[init.uniform\] {text}$"):
        fn.functional.init.uniform(3, low, high)
