# SPDX-License-Identifier: BSD-3-Clause
"""What `bench.estimators` measures: each row has two functions that are timed in turns.

Both libraries are given the same data, the same settings and the same random state.
"""

from __future__ import annotations

import os
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
import numpy as np
from bench.turns import alternate, per_call, shown
from scipy.sparse import csr_array
from sklearn import neural_network as theirs
from sklearn.datasets import load_digits, make_classification
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn import _core

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MODULES", "Aim", "Case", "Row", "rows"]

MODULES = {"scikit-learn": theirs, "fastnn": fastnn}
GRID = {
    "hidden_layer_sizes": [(50,), (100,), (50, 50)],
    "alpha": [1e-5, 1e-4, 1e-3, 1e-2],
    "learning_rate_init": [1e-3, 3e-3],
}
FOLDS = 5
# Seconds between turns: after scikit-learn's, the threads of OpenBLAS spin for a tenth of a second
# (2^28 cycles), in which a fit of ours with two threads takes a third longer.
PAUSE = 0.2
# How far the losses of the first five epochs may differ in the median: scikit-learn cuts losses off
# where a probability rounds to 0, so that those of a first epoch may differ by more.
SAME = {"float64": 1e-9, "float32": 1e-3}


class Aim(NamedTuple):
    """What a row should reach: its words, and the rule for the seconds of both functions."""

    text: str = ""
    is_reached: Callable[[float, float], bool] = lambda _first, _second: True


def times_faster(ratio: float) -> Aim:
    """Return the aim that the second function takes so many times less than the first."""
    return Aim(f">= {ratio:g}x", lambda first, second: first >= ratio * second)


def at_most(seconds: float) -> Aim:
    """Return the aim that the second function takes at most that."""
    return Aim(f"<= {shown(seconds)}", lambda _first, second: second <= seconds)


def more_by_at_most(seconds: float) -> Aim:
    """Return the aim that the first function takes at most so much more than the second."""
    return Aim(f"<= {shown(seconds)}", lambda first, second: first - second <= seconds)


class Case(NamedTuple):
    """Two functions that do the same.

    Attributes
    ----------
    measure : callable
        Given a number of rounds, returns the seconds of each round by the function's name.
    flops : dict
        Operations of the products by library, filled in by `measure` at the latest; empty for
        calls and for sparse rows.
    dtype : str
    """

    measure: Callable[[int], dict[str, list[float]]]
    flops: dict[str, float] = {}  # noqa: RUF012
    dtype: str = "float64"


class Row(NamedTuple):
    """A case to be made, the table that it belongs to, and what it should reach.

    Attributes
    ----------
    table : str
        "estimators" (scikit-learn and fastnn), "estimator_jobs" (one and two jobs of a search with
        fastnn) or "estimator_overhead" (a call of an estimator, and the core's part of it).
    make : callable
    aim : Aim
    rounds : int
        More are not worth their minutes.
    """

    table: str
    make: Callable[[], Case]
    aim: Aim = Aim()
    rounds: int = 100


def in_turns(turns: dict[str, Callable[[], float]], **more: Any) -> Case:
    """Return the case of functions that give their seconds."""
    return Case(partial(alternate, turns, pause=PAUSE), **more)


def flops_of(model: Any, n_rows: int) -> float:
    """Return the operations of the products of a fit: x W, x^T dy, and but for the first dy W^T."""
    units = [model.coefs_[0].shape[0], *(each.shape[1] for each in model.coefs_)]
    sizes = [a * b for a, b in pairwise(units)]
    return 2.0 * n_rows * model.n_iter_ * (3 * sum(sizes) - sizes[0])


def fits(name: str, x: Any, y: Any, **settings: Any) -> Case:
    """Return the case of a fit; its measurement fails if the losses differ."""
    flops: dict[str, float] = {}
    losses: dict[str, Any] = {}

    def timed(library: str, module: Any) -> Callable[[], float]:
        def run() -> float:
            model = getattr(module, name)(random_state=0, **settings)
            start = perf_counter()
            model.fit(x, y)
            spent = perf_counter() - start
            losses[library] = np.array(model.loss_curve_[:5])
            if isinstance(x, np.ndarray):
                flops[library] = flops_of(model, x.shape[0])
            return spent

        return run

    turns = {library: timed(library, module) for library, module in MODULES.items()}

    def measure(rounds: int) -> dict[str, list[float]]:
        found = alternate(turns, rounds, PAUSE)
        ours, other = (losses[library] for library in ("fastnn", "scikit-learn"))
        if not np.median(abs(ours / other - 1)) <= SAME[x.dtype.name]:
            raise SystemExit(f"{name}: the first losses are {ours}; scikit-learn has {other}")
        return found

    return Case(measure, flops, x.dtype.name)


def calls(make: Callable[[Any], Callable[[], Any]], seconds: float) -> Case:
    """Return the case of a call that takes microseconds; `make` is given a library's module."""

    def timed(call: Callable[[], Any]) -> Callable[[], float]:
        return lambda: per_call(call, seconds) / 1e6

    return in_turns({library: timed(make(module)) for library, module in MODULES.items()})


# -- fits beside scikit-learn ----------------------------------------------------------------------


def digits_fit() -> Case:
    """Return a fit of digits with defaults."""
    return fits("MLPClassifier", *load_digits(return_X_y=True))


def tabular(module_rows: int = 20_000, **settings: Any) -> tuple[Any, Any]:
    """Return rows of 17 columns and six classes."""
    return make_classification(
        module_rows, 17, n_informative=12, n_classes=6, random_state=0, **settings
    )


def tabular_fit() -> Case:
    """Return 20 epochs of (64, 32)."""
    return fits("MLPClassifier", *tabular(), hidden_layer_sizes=(64, 32), max_iter=20)


def california_fit() -> Case:
    """Return a fit of California housing with defaults."""
    from bench.figures import california_rows

    x, y = california_rows()
    return fits("MLPRegressor", StandardScaler().fit_transform(x), y)


def mnist_fit() -> Case:
    """Return a fit of MNIST that ends by scikit-learn's own rule, as in its bench_mnist.py."""
    from bench import mnist

    x, y = mnist.load("train")
    settings = {"hidden_layer_sizes": (100, 100), "max_iter": 400}
    return fits("MLPClassifier", x / np.float32(255), y, **settings)


def sparse_rows(n: int, columns: int, share: float) -> csr_array:
    """Return rows of random numbers, each with the same number of stored cells."""
    rng, each = np.random.default_rng(0), round(columns * share)
    # Sorted numbers with repetitions, spread by 0, 1, 2, ...: sorted numbers without.
    places = np.sort(rng.integers(0, columns - each + 1, (n, each)), axis=1) + np.arange(each)
    starts = np.arange(0, n * each + 1, each)
    cells = (rng.random(n * each), places.ravel().astype(np.int32), starts.astype(np.int32))
    return csr_array(cells, shape=(n, columns))


def sparse_fit() -> Case:
    """Return an epoch of rows as texts have them: many columns, of which few are not zero."""
    x = sparse_rows(20_000, 50_000, 0.002)
    y = np.random.default_rng(1).integers(0, 20, x.shape[0])
    return fits("MLPClassifier", x, y, max_iter=1)


# -- calls beside scikit-learn ---------------------------------------------------------------------


def fitted(module: Any) -> Any:
    """Return an estimator that was fitted to digits."""
    return module.MLPClassifier(max_iter=20, random_state=0).fit(*load_digits(return_X_y=True))


def one_row(seconds: float, form: Callable[[Any], Any] = np.asarray) -> Case:
    """Return predict of one row."""
    x = form(load_digits().data[:1])
    return calls(lambda module: partial(fitted(module).predict, x), seconds)


def one_row_inside(seconds: float) -> Case:
    """Return predict of one row, by fastnn's network itself."""
    x = load_digits().data[:1]

    def make(module: Any) -> Callable[[], Any]:
        model = fitted(module)
        return partial((model.network_ if module is fastnn else model).predict, x)

    return calls(make, seconds)


def many_rows(seconds: float) -> Case:
    """Return predict_proba of 100,000 rows."""
    x = np.random.default_rng(0).random((100_000, 64))
    return calls(lambda module: partial(fitted(module).predict_proba, x), seconds)


def partial_fits(seconds: float) -> Case:
    """Return partial_fit of 100 rows."""
    x, y = (part[:100] for part in load_digits(return_X_y=True))
    return calls(lambda module: partial(fitted(module).partial_fit, x, y), seconds)


# -- searches --------------------------------------------------------------------------------------


def search(estimator: Any, grid: Any, data: Any, jobs: int, backend: str = "loky") -> float:
    """Return the seconds of a grid search with 5 folds."""
    with joblib.parallel_config(backend):
        start = perf_counter()
        GridSearchCV(estimator, grid, cv=FOLDS, n_jobs=jobs).fit(*data)
        return perf_counter() - start


def digits_search() -> Case:
    """Return a search with two jobs of each library."""
    data = load_digits(return_X_y=True)
    models = {
        library: module.MLPClassifier(max_iter=50, random_state=0)
        for library, module in MODULES.items()
    }
    # This also starts joblib's processes and lets them import both libraries, which each does once.
    flops = {"fastnn": flops_of_search(models["fastnn"], GRID, data)}
    turns = {library: partial(search, model, GRID, data, 2) for library, model in models.items()}
    return in_turns(turns, flops=flops)


def flops_of_search(estimator: Any, grid: Any, data: Any) -> float:
    """Return the operations of the products of all fits of a search but for the last one."""
    scoring = partial(_flops_as_score, len(data[0]))
    tried = GridSearchCV(estimator, grid, cv=FOLDS, n_jobs=2, scoring=scoring, refit=False)
    return FOLDS * float(tried.fit(*data).cv_results_["mean_test_score"].sum())


def _flops_as_score(n: int, model: Any, x: Any, _y: Any) -> float:
    return flops_of(model, n - len(x))


def jobs(estimator: Any, grid: Any, data: Any, backend: str) -> Case:
    """Return the same search with one and with two jobs."""
    start_workers()
    turns = {f"n_jobs={n}": partial(search, estimator, grid, data, n, backend) for n in (1, 2)}
    return in_turns(turns)


def start_workers() -> None:
    """Start joblib's processes and let them import both libraries, which each does once."""
    data = tuple(part[:100] for part in load_digits(return_X_y=True))
    for module in MODULES.values():
        search(module.MLPClassifier((4,), max_iter=2), {"alpha": [0.1, 0.2]}, data, 2)


def searches() -> dict[str, tuple[Any, Any, Callable[[], Any]]]:
    """Return estimator, grid and data of the searches with one and two jobs, by name.

    The search of an estimator that does nothing shows what belongs to joblib and scikit-learn.
    """
    four, many = ({"alpha": list(np.logspace(-5, 0, points))} for points in (4, 24))
    classifier = partial(fastnn.MLPClassifier, random_state=0)
    return {
        "24 points, digits": (
            classifier(max_iter=50),
            GRID,
            lambda: load_digits(return_X_y=True),
        ),
        "24 points, 200 x 17, (16,)": (
            classifier((16,), max_iter=50),
            many,
            lambda: tabular(200),
        ),
        "4 points, 20,000 x 17, (64, 32)": (
            classifier((64, 32), max_iter=5),
            four,
            tabular,
        ),
        "100 points, 200 x 17, DummyClassifier": (
            DummyClassifier(),
            {"constant": list(range(100))},
            lambda: tabular(200),
        ),
        "4 points, 20,000 x 17, (512, 512), float32": (
            classifier((512, 512), max_iter=1, batch_size=1000, dtype="float32"),
            four,
            tabular,
        ),
    }


# -- what the estimators add to the core -----------------------------------------------------------


def step_overhead(seconds: float) -> Case:
    """Return partial_fit of 100 rows of digits, and the core's step on them."""
    x, y = (part[:100] for part in load_digits(return_X_y=True))
    model = fitted(fastnn)
    core: Any = model.network_._network
    turns = {
        "whole": lambda: per_call(lambda: model.partial_fit(x, y), seconds) / 1e6,
        "core": lambda: per_call(lambda: core.train_step(x, y, None), seconds) / 1e6,
    }
    return in_turns(turns)


def fit_overhead(fits: int = 1, **settings: Any) -> Case:
    """Return a fit of digits, or the median of several, and the part that is the core's."""
    data = load_digits(return_X_y=True)

    def median() -> tuple[float, float]:
        return sorted(one_fit(data, **settings) for _ in range(fits))[fits // 2]

    def measure(rounds: int) -> dict[str, list[float]]:
        pairs = [median() for _ in range(rounds)]
        return {"whole": [whole for whole, _ in pairs], "core": [core for _, core in pairs]}

    return Case(measure)


def one_fit(data: tuple[Any, Any], **settings: Any) -> tuple[float, float]:
    """Return the seconds of a fit of digits, and those of them that the core trains.

    Where the core calls Python back, that is not its own time. It draws the orders of the rows.
    """
    model = fastnn.MLPClassifier(random_state=0, **settings)
    spent = {"core": 0.0, "back": 0.0}

    def timed(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            start = perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                spent[what] += perf_counter() - start

        return run

    train = _core.Network.fit

    def with_timed_callbacks(network: Any, **named: Any) -> Any:
        callbacks = {name: timed("back", each) for name, each in named.items() if callable(each)}
        return timed("core", train)(network, **named | callbacks)

    _core.Network.fit = with_timed_callbacks  # type: ignore[method-assign, assignment]
    try:
        start = perf_counter()
        model.fit(*data)
        whole = perf_counter() - start
    finally:
        _core.Network.fit = train  # type: ignore[method-assign]
    return whole, spent["core"] - spent["back"]


# -- all rows --------------------------------------------------------------------------------------


def rows(seconds: float, *, long: bool) -> dict[str, Row]:
    """Return the rows by name: those that take seconds, and with `long` those of minutes."""
    made = {
        "fit, digits, defaults": Row("estimators", digits_fit, times_faster(8)),
        "fit, 20,000 x 17, six classes, (64, 32)": Row("estimators", tabular_fit, times_faster(10)),
        "predict, one row": Row("estimators", partial(one_row, seconds), at_most(15e-6)),
        "predict, one row, by network_": Row(
            "estimators", partial(one_row_inside, seconds), at_most(2e-6)
        ),
        "predict, one row as CSR": Row("estimators", partial(one_row, seconds, csr_array)),
        "predict_proba, 100,000 x 64": Row(
            "estimators", partial(many_rows, seconds), times_faster(2)
        ),
        "partial_fit, 100 rows": Row("estimators", partial(partial_fits, seconds)),
        "overhead, partial_fit of 100 rows": Row(
            "estimator_overhead", partial(step_overhead, seconds), more_by_at_most(40e-6)
        ),
        "overhead, fit of digits": Row("estimator_overhead", fit_overhead, more_by_at_most(1e-3)),
        "overhead, fits of one epoch of digits": Row(
            "estimator_overhead", partial(fit_overhead, 51, max_iter=1), more_by_at_most(1e-3)
        ),
    }
    return made | (long_rows() if long else {})


def long_rows() -> dict[str, Row]:
    """Return the rows that take up to some minutes, those of real data if they are there."""
    made = {
        "search, 24 points, 5 folds, digits, two jobs": Row(
            "estimators", digits_search, times_faster(8), 3
        ),
        "fit, 20,000 x 50,000 sparse, 0.2 % stored": Row("estimators", sparse_fit, rounds=3),
    }
    if "FASTNN_DATA" in os.environ:
        made["fit, California housing, MLPRegressor"] = Row(
            "estimators", california_fit, times_faster(8)
        )
        made["fit, MNIST, (100, 100), to its end"] = Row(
            "estimators", mnist_fit, times_faster(4), 2
        )
    for name, (estimator, grid, data) in searches().items():
        for backend in ("loky", "threading"):
            made[f"jobs, {name}, {backend}"] = Row(
                "estimator_jobs",
                lambda e=estimator, g=grid, d=data, b=backend: jobs(e, g, d(), b),
                times_faster(1) if isinstance(estimator, fastnn.MLPClassifier) else Aim(),
                5,
            )
    return made
