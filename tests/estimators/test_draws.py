# SPDX-License-Identifier: BSD-3-Clause
"""What estimators draw is what scikit-learn's draw, from the same generator in the same order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn.neural_network

import fastnn
from fastnn import MLPClassifier, MLPRegressor, _core
from fastnn._refusals import Refused

GENERATORS = [np.random.MT19937, np.random.PCG64]
X = np.random.RandomState(0).normal(size=(90, 3))
Y = (X[:, 0] > 0).astype(int)
SMALL: dict[str, Any] = {"hidden_layer_sizes": (3,), "max_iter": 4, "batch_size": 32}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def state_of(generator: np.random.RandomState) -> str:
    return repr(generator.get_state(legacy=False))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 127, 128, 129, 256, 257, 1797, 2**16 + 1])
def test_shuffles_are_those_of_numpy(n: int, make: Any, shared: bool) -> None:
    mine, other = (np.random.RandomState(make(7)) for _ in range(2))
    for each in mine, other:
        each.normal()  # whose second half is kept in the state
    orders, expected = _core.NumpyOrders(mine._bit_generator, n, shared), np.arange(n)
    for _ in range(4):
        other.shuffle(expected)
        assert (orders.next() == expected).all()
        assert mine.randint(10) == other.randint(10)  # another draw between two
    if make is np.random.MT19937:
        assert state_of(mine) == state_of(other)
    assert mine.normal() == other.normal()


def test_an_order_from_any_position_of_the_state() -> None:
    for drawn in range(0, 1300, 7):
        mine, other = (np.random.RandomState(3) for _ in range(2))
        for each in mine, other:
            each.randint(2**32, size=drawn, dtype=np.uint32)
        orders, expected = _core.NumpyOrders(mine._bit_generator, 40, False), np.arange(40)
        other.shuffle(expected)
        assert (orders.next() == expected).all()
        assert state_of(mine) == state_of(other)


@pytest.mark.parametrize("n", [-1, 2**32 + 1])
def test_numbers_of_rows_that_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=r"\[NumpyOrders\] n = "):
        _core.NumpyOrders(np.random.MT19937(0), n)


def test_what_is_no_generator_is_refused() -> None:
    with pytest.raises(AttributeError):
        _core.NumpyOrders(object(), 5)


def test_orders_of_other_rows_are_refused() -> None:
    model = MLPClassifier(random_state=0, **SMALL).fit(X, Y)
    orders = _core.NumpyOrders(np.random.MT19937(0), 5)
    with pytest.raises(ValueError, match="orders are of 5 rows; expected 90"):
        model.network_._network.fit(X, Y.astype(bool), orders=orders)


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0,), (1,), (311,), (600,), (3, 0), (1, 7), (40, 33)])
def test_uniform_numbers_are_those_of_numpy(shape: tuple[int, ...], dtype: Any, make: Any) -> None:
    mine, other = (np.random.RandomState(make(7)) for _ in range(2))
    parts = [(0.3, np.empty(shape, dtype)), (7.0, np.empty((*shape[:-1], 2 * shape[-1]))[..., ::2])]
    for _ in range(2):
        _core.numpy_uniform(mine._bit_generator, parts)
        for bound, out in parts:
            expected = other.uniform(-bound, bound, shape).astype(out.dtype)
            np.testing.assert_array_equal(out, expected)
        assert mine.randint(10) == other.randint(10)  # another draw between two
    if make is np.random.MT19937:
        assert state_of(mine) == state_of(other)


def test_what_uniform_numbers_are_not_drawn_into() -> None:
    generator = np.random.MT19937(0)
    fixed = np.zeros(3)
    fixed.flags.writeable = False
    for out in (np.zeros(3, int), np.zeros(3, np.float16), np.zeros(3, ">f8"), [0.0], fixed):
        with pytest.raises(Refused):
            _core.numpy_uniform(generator, [(1.0, out)])
    for shape in ((), (1, 1, 1)):
        with pytest.raises(ValueError, match=f"out has {len(shape)} dimensions; expected 1 or 2"):
            _core.numpy_uniform(generator, [(1.0, np.zeros(shape))])
    with pytest.raises(AttributeError):
        _core.numpy_uniform(object(), [])


def test_lbfgs_begins_with_values_of_the_dtype_of_x() -> None:
    drawn = []
    for dtype in (np.float32, np.float64):
        model: Any = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs")
        model._initialize("fit", [3, 5, 1], np.dtype(dtype), np.random.RandomState(0))
        assert all(each.dtype == np.float64 for each in model._values)
        drawn.append(model._values)
    for single, double in zip(*drawn, strict=True):
        np.testing.assert_array_equal(single, double.astype(np.float32))


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "in order": {"shuffle": False},
    "early stopping": {"early_stopping": True},
    "restarts": {"n_init": 3},
    "stops by itself": {"tol": 10.0, "n_iter_no_change": 1},
    "watched": {"learning_rate": "invscaling", "solver": "sgd"},
}


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("name", SETTINGS)
def test_the_generator_after_fits(name: str, make: Any) -> None:
    """Fits, also warm ones, and calls of partial_fit leave it as scikit-learn's do."""
    ends = []
    for module in (sklearn.neural_network, fastnn):
        state = np.random.RandomState(make(5))
        settings = SMALL | SETTINGS[name]
        if module is not fastnn:
            settings.pop("n_init", None)
        model = module.MLPClassifier(random_state=state, warm_start=True, **settings)
        model.fit(X, Y).fit(X[:70], Y[:70])
        if not model.early_stopping:
            model.partial_fit(X, Y)
        ends.append((state.normal(), state.randint(2**31)))
    assert ends[0] == ends[1]


def test_the_global_generator() -> None:
    ends = []
    for module in (sklearn.neural_network, fastnn):
        np.random.seed(3)
        module.MLPRegressor(**SMALL).fit(X, Y)
        ends.append(np.random.normal())
    assert ends[0] == ends[1]


def test_an_interrupted_fit_has_drawn_the_orders_of_its_epochs() -> None:
    def interrupt(epoch: int, _logs: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    mine, other = (np.random.RandomState(5) for _ in range(2))
    watch = fastnn.callbacks.LambdaCallback(on_epoch_end=interrupt)
    with pytest.warns(UserWarning, match="interrupted"):
        MLPRegressor(random_state=mine, callbacks=[watch], **SMALL).fit(X, Y)
    MLPRegressor(random_state=other, **SMALL | {"max_iter": 3}).fit(X, Y)
    assert state_of(mine) == state_of(other)


def test_a_callback_draws_from_the_same_generator() -> None:
    """It gets the numbers after the order of its epoch, and the next order follows them."""
    state, drawn = np.random.RandomState(5), []
    watch = fastnn.callbacks.LambdaCallback(on_epoch_end=lambda *_: drawn.append(state.randint(99)))
    MLPRegressor(random_state=state, callbacks=[watch], **SMALL).fit(X, Y)
    other, expected = np.random.RandomState(5), []
    MLPRegressor(random_state=other, **SMALL | {"max_iter": 1, "shuffle": False}).fit(X, Y)
    order = np.arange(len(X))
    for _ in range(4):
        other.shuffle(order)
        expected.append(other.randint(99))
    assert drawn == expected
    assert state_of(state) == state_of(other)


def test_threads_that_draw_from_one_generator() -> None:
    """Their fits take turns in drawing; together they draw as many orders as one after another."""
    mine, other = (np.random.RandomState(5) for _ in range(2))
    orders = [_core.NumpyOrders(mine._bit_generator, 300) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: [each.next() for _ in range(200)], orders))
    numbers = np.random.RandomState(5)
    for _ in range(800):
        numbers.shuffle(np.arange(300))
    assert state_of(mine) == state_of(numbers)
    assert state_of(mine) != state_of(other)
    for each in orders:
        assert sorted(each.next()) == list(range(300))
