# SPDX-License-Identifier: BSD-3-Clause
"""Estimators beside scikit-learn's, in turns: `python -m bench.estimators`.

Prints the median seconds (or microseconds) of both and scikit-learn's time over ours. Both may take
two threads. Fits have two more columns: the time that their products take at the measured peak of
the cores that may be used, and scikit-learn's time over that, which no library can exceed. With
`--long` also a grid search and, if FASTNN_DATA names a folder, California housing and MNIST until
scikit-learn's own rule ends the training. `--only` names words of the cases to measure.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import warnings
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from bench.compare.peak import Peak
from bench.turns import alternate, finish, parser, per_call, say, table
from sklearn import neural_network as theirs
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn.sklearn import _draws, _training

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

MODULES = {"scikit-learn": theirs, "fastnn": fastnn}
GRID = {
    "hidden_layer_sizes": [(50,), (100,), (50, 50)],
    "alpha": [1e-5, 1e-4, 1e-3, 1e-2],
    "learning_rate_init": [1e-3, 3e-3],
}
SEEDS = range(5)  # of MNIST's test error
PUBLISHED = 0.0224  # by scikit-learn's benchmarks/bench_mnist.py


class Case(NamedTuple):
    """What both libraries do in turns.

    Attributes
    ----------
    turns : dict
        For each library a function that gives seconds.
    flops : dict
        Operations of the products, which a first call of a turn fills in; empty for other cases.
    dtype : str
    """

    turns: dict[str, Callable[[], float]]
    flops: dict[str, float] = {}  # noqa: RUF012
    dtype: str = "float64"


def flops_of(model: Any, rows: int) -> float:
    """Return the operations of the products of a fit: x W, x^T dy, and but for the first dy W^T."""
    units = [model.coefs_[0].shape[0], *(each.shape[1] for each in model.coefs_)]
    sizes = [a * b for a, b in pairwise(units)]
    return 2.0 * rows * model.n_iter_ * (3 * sum(sizes) - sizes[0])


def fits(name: str, x: Any, y: Any, **settings: Any) -> Case:
    """Return the case of a fit."""
    flops: dict[str, float] = {}

    def timed(library: str, module: Any) -> Callable[[], float]:
        def run() -> float:
            model = getattr(module, name)(random_state=0, **settings)
            start = perf_counter()
            model.fit(x, y)
            spent = perf_counter() - start
            flops[library] = flops_of(model, len(x))
            return spent

        return run

    turns = {library: timed(library, module) for library, module in MODULES.items()}
    return Case(turns, flops, x.dtype.name)


def calls(make: Callable[[Any], Callable[[], Any]], seconds: float) -> Case:
    """Return the case of a call that takes microseconds."""

    def timed(call: Callable[[], Any]) -> Callable[[], float]:
        return lambda: per_call(call, seconds) / 1e6

    return Case({library: timed(make(module)) for library, module in MODULES.items()})


def quick(seconds: float) -> dict[str, Callable[[], Case]]:
    """Return the cases that take seconds."""
    digits, labels = load_digits(return_X_y=True)

    def fitted(module: Any) -> Any:
        return module.MLPClassifier(max_iter=20, random_state=0).fit(digits, labels)

    def step(module: Any) -> Callable[[], Any]:
        model = fitted(module)
        return lambda: model.partial_fit(digits[:100], labels[:100])

    def tabular() -> Case:
        x, y = make_classification(20_000, 17, n_informative=12, n_classes=6, random_state=0)
        return fits("MLPClassifier", x, y, hidden_layer_sizes=(64, 32), max_iter=20)

    def many() -> Case:
        rows = np.random.default_rng(0).random((100_000, 64))
        return calls(lambda module: _bound(fitted(module).predict_proba, rows), seconds)

    return {
        "fit, digits, defaults": lambda: fits("MLPClassifier", digits, labels),
        "fit, 20,000 x 17, six classes, (64, 32)": tabular,
        "predict, one row": lambda: calls(
            lambda module: _bound(fitted(module).predict, digits[:1]), seconds
        ),
        "predict_proba, 100,000 x 64": many,
        "partial_fit, 100 rows": lambda: calls(step, seconds),
    }


def _bound(call: Callable[[Any], Any], x: Any) -> Callable[[], Any]:
    return lambda: call(x)


def long() -> dict[str, Callable[[], Case]]:
    """Return the cases that take minutes, those of real data if they are there."""
    cases: dict[str, Callable[[], Case]] = {"24-point search, 5 folds, digits": _search}
    if "FASTNN_DATA" in os.environ:
        cases["fit, California housing, MLPRegressor"] = _california
        cases["fit, MNIST, (100, 100), to its end"] = _mnist
    return cases


def _search() -> Case:
    return Case({name: search(each, 2) for name, each in MODULES.items()})


def search(module: Any, jobs: int) -> Callable[[], float]:
    """Return a function that searches the grid on digits and gives the seconds."""
    digits, labels = load_digits(return_X_y=True)

    def run() -> float:
        model = module.MLPClassifier(max_iter=50, random_state=0)
        start = perf_counter()
        GridSearchCV(model, GRID, cv=5, n_jobs=jobs).fit(digits, labels)
        return perf_counter() - start

    return run


def _california() -> Case:
    from bench.figures import california_rows

    x, y = california_rows()
    return fits("MLPRegressor", StandardScaler().fit_transform(x), y)


def _mnist() -> Case:
    from bench import mnist

    x, y = mnist.load("train")
    settings = {"hidden_layer_sizes": (100, 100), "max_iter": 400}
    return fits("MLPClassifier", x / np.float32(255), y, **settings)


def overhead() -> tuple[float, float]:
    """Return seconds of a fit of digits: all of it, and what is not the core's training.

    The core calls back after each epoch, and for the order of the next; that is not its own time.
    """
    digits, labels = load_digits(return_X_y=True)
    spent = {"core": 0.0, "back": 0.0}

    def timed(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = perf_counter()
            try:
                return call(*arguments)
            finally:
                spent[what] += perf_counter() - start

        return run

    model = fastnn.MLPClassifier(random_state=0)
    kept = _training.Training._in_core, _training.Training.epoch_end, _draws.Order.__call__
    _training.Training._in_core = timed("core", kept[0])  # type: ignore[method-assign]
    _training.Training.epoch_end = timed("back", kept[1])  # type: ignore[method-assign]
    _draws.Order.__call__ = timed("back", kept[2])  # type: ignore[method-assign]
    try:
        start = perf_counter()
        model.fit(digits, labels)
        whole = perf_counter() - start
    finally:
        _training.Training._in_core = kept[0]  # type: ignore[method-assign]
        _training.Training.epoch_end = kept[1]  # type: ignore[method-assign]
        _draws.Order.__call__ = kept[2]  # type: ignore[method-assign]
    return whole, whole - spent["core"] + spent["back"]


def steps_alone(seconds: float) -> tuple[float, float]:
    """Return seconds of partial_fit with 100 rows of digits, and of the core's step alone."""
    digits, labels = load_digits(return_X_y=True)
    model = fastnn.MLPClassifier(max_iter=20, random_state=0).fit(digits, labels)
    x, y = digits[:100], labels[:100]
    core: Any = model.network_._network
    found = alternate(
        {
            "whole": lambda: per_call(lambda: model.partial_fit(x, y), seconds),
            "core": lambda: per_call(lambda: core.train_step(x, y, None), seconds),
        },
        5,
    )
    whole, alone = (statistics.median(found[name]) / 1e6 for name in ("whole", "core"))
    return whole, alone


def test_errors() -> list[float]:
    """Return the share of wrong labels of MNIST's test part, for each seed."""
    from bench import mnist

    (x, y), (x_test, y_test) = (mnist.load(part) for part in ("train", "t10k"))
    found = []
    for seed in SEEDS:
        model = fastnn.MLPClassifier((100, 100), max_iter=400, random_state=seed)
        model.fit(x / np.float32(255), y)
        found.append(1 - float(model.score(x_test / np.float32(255), y_test)))
        say(f"MNIST, seed {seed}: {found[-1]:.4f} after {model.n_iter_} epochs")
    return found


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=5, seconds=0.2)
    options.add_argument("--long", action="store_true", help="also what takes minutes")
    options.add_argument("--only", default="", metavar="WORD", help="cases with this in their name")
    options.add_argument("--errors", action="store_true", help="the test errors of MNIST alone")
    given = options.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if given.errors:
        errors = test_errors()
        print(f"test error, median: {statistics.median(errors):.4f}; published: {PUBLISHED}")
        finish(given.json, errors=errors)
        return
    cases = quick(given.seconds) | (long() if given.long else {})
    record, lines = {}, []
    for name, made in cases.items():
        if given.only not in name:
            continue
        case = made()
        times = alternate(case.turns, given.rounds)
        record[name] = times
        lines.append([name, *_cells(case, times)])
        say(" | ".join(lines[-1]))
    print(table(["", *MODULES, "ratio", "at the peak", "largest ratio"], lines))
    if given.long and given.only in "24-point search":
        jobs = {f"n_jobs={number}": search(fastnn, number) for number in (1, 2)}
        found = alternate(jobs, given.rounds)
        texts = [f"{name} {_shown(statistics.median(each))}" for name, each in found.items()]
        print(f"the search with fastnn: {', '.join(texts)}")
    if given.only in "partial_fit, overhead":
        whole, alone = steps_alone(given.seconds)
        print(f"partial_fit of 100 rows: {_shown(whole)}; the core's step alone: {_shown(alone)}")
        rest = statistics.median(overhead()[1] for _ in range(given.rounds))
        print(f"fit of digits: {_shown(rest)} are not the core's training")
    finish(given.json, estimators=record)


def _cells(case: Case, times: dict[str, list[float]]) -> list[str]:
    medians = {library: statistics.median(each) for library, each in times.items()}
    ratio = medians["scikit-learn"] / medians["fastnn"]
    cells = [*(_shown(medians[library]) for library in MODULES), f"{ratio:.1f}x"]
    bound = _at_the_peak(case)
    if bound is None:
        return [*cells, "", ""]
    return [*cells, _shown(bound), f"{medians['scikit-learn'] / bound:.1f}x"]


def _at_the_peak(case: Case) -> float | None:
    """Return the seconds that the products of our fit take at the peak of all cores."""
    if "fastnn" not in case.flops:
        return None
    with tempfile.TemporaryDirectory() as folder:
        speeds = Peak(case.dtype, Path(folder)).measure(0.3)
    return case.flops["fastnn"] / max(speeds.values()) if speeds else None


def _shown(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


if __name__ == "__main__":
    main()
