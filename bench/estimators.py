# SPDX-License-Identifier: BSD-3-Clause
"""Estimators beside scikit-learn's, in turns: `python -m bench.estimators`.

Prints the median seconds (or microseconds) of both and scikit-learn's time over ours. Both may take
two threads. With `--long` also a grid search and, if FASTNN_DATA names a folder with mnist/, MNIST.
"""

from __future__ import annotations

import os
import statistics
import warnings
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.turns import alternate, finish, parser, per_call, say, table
from sklearn import neural_network as theirs
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import fastnn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

MODULES = {"scikit-learn": theirs, "fastnn": fastnn}


def fits(name: str, x: Any, y: Any, **settings: Any) -> dict[str, Callable[[], float]]:
    """Return for each library a function that fits and gives the seconds."""

    def timed(module: Any) -> Callable[[], float]:
        def run() -> float:
            model = getattr(module, name)(random_state=0, **settings)
            start = perf_counter()
            model.fit(x, y)
            return perf_counter() - start

        return run

    return {library: timed(module) for library, module in MODULES.items()}


def calls(make: Callable[[Any], Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """Return for each library a function that gives the seconds of one call."""

    def timed(call: Callable[[], Any]) -> Callable[[], float]:
        return lambda: per_call(call, seconds) / 1e6

    return {library: timed(make(module)) for library, module in MODULES.items()}


def quick(seconds: float) -> dict[str, dict[str, Any]]:
    """Return the cases that take seconds."""
    digits, labels = load_digits(return_X_y=True)
    x, y = make_classification(20_000, 17, n_informative=12, n_classes=6, random_state=0)
    rows = np.random.default_rng(0).random((100_000, 64))

    def fitted(module: Any) -> Any:
        return module.MLPClassifier(max_iter=20, random_state=0).fit(digits, labels)

    def step(module: Any) -> Callable[[], Any]:
        model = fitted(module)
        return lambda: model.partial_fit(digits[:100], labels[:100])

    one = digits[:1]
    return {
        "fit, digits, defaults": fits("MLPClassifier", digits, labels),
        "fit, 20,000 x 17, six classes, (64, 32)": fits(
            "MLPClassifier", x, y, hidden_layer_sizes=(64, 32), max_iter=20
        ),
        "predict, one row": calls(lambda module: _bound(fitted(module).predict, one), seconds),
        "predict_proba, 100,000 x 64": calls(
            lambda module: _bound(fitted(module).predict_proba, rows), seconds
        ),
        "partial_fit, 100 rows": calls(step, seconds),
    }


def _bound(call: Callable[[Any], Any], x: Any) -> Callable[[], Any]:
    return lambda: call(x)


def long() -> dict[str, dict[str, Any]]:
    """Return the cases that take minutes, those of real data if they are there."""
    digits, labels = load_digits(return_X_y=True)
    grid = {
        "hidden_layer_sizes": [(50,), (100,), (50, 50)],
        "alpha": [1e-5, 1e-4, 1e-3, 1e-2],
        "learning_rate_init": [1e-3, 3e-3],
    }

    def search(module: Any) -> Callable[[], float]:
        def run() -> float:
            model = module.MLPClassifier(max_iter=50, random_state=0)
            start = perf_counter()
            GridSearchCV(model, grid, cv=5, n_jobs=2).fit(digits, labels)
            return perf_counter() - start

        return run

    cases = {
        "24-point search, 5 folds, digits": {name: search(each) for name, each in MODULES.items()}
    }
    if "FASTNN_DATA" in os.environ:
        from bench import mnist

        x, y = mnist.load("train")
        cases["fit, MNIST, (100, 100), 5 epochs"] = fits(
            "MLPClassifier", x / np.float32(255), y, hidden_layer_sizes=(100, 100), max_iter=5
        )
    return cases


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, rounds=5, seconds=0.2)
    options.add_argument("--long", action="store_true", help="also what takes minutes")
    given = options.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    cases = quick(given.seconds) | (long() if given.long else {})
    record, lines = {}, []
    for name, turns in cases.items():
        times = alternate(turns, given.rounds)
        medians = {library: statistics.median(each) for library, each in times.items()}
        ratio = medians["scikit-learn"] / medians["fastnn"]
        lines.append([name, *(_shown(medians[library]) for library in MODULES), f"{ratio:.1f}x"])
        record[name] = times
        say(" | ".join(lines[-1]))
    print(table(["", *MODULES, "ratio"], lines))
    finish(given.json, estimators=record)


def _shown(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


if __name__ == "__main__":
    main()
