# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's own callbacks, where its version has them, are told of the epochs of our fits."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from fastnn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (5,),
    "learning_rate_init": 0.05,
    "max_iter": 4,
    "random_state": 0,
}
ESTIMATORS = [MLPClassifier, MLPRegressor]


def test_without_them_nothing_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """In versions before 1.9 the estimators have no set_callbacks, and train as ever."""
    import builtins
    import importlib

    from fastnn.sklearn import _notices

    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "sklearn.callback":
            raise ImportError(name)
        return real(name, *more)

    spec = _notices.__spec__
    assert spec is not None
    older = importlib.util.module_from_spec(spec)
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", without)
        assert spec.loader is not None
        spec.loader.exec_module(older)
    assert not hasattr(older.CallbackSupportMixin(), "set_callbacks")
    assert older.Notices.of(MLPClassifier(), X, Y, None, 4, "epoch") is None


sklearn_callback = pytest.importorskip("sklearn.callback")


class Watch:
    """Writes down what it is told."""

    def __init__(self, stop_after: int = 10**9, fail_after: int = 10**9) -> None:
        self.tasks: list[Any] = []
        self.scores: list[float] = []
        self.torn_down = 0
        self.stop_after, self.fail_after = stop_after, fail_after

    def setup(self, estimator: Any, context: Any) -> None:
        self.tasks.append(("setup", context.max_subtasks))

    def teardown(self, estimator: Any, context: Any) -> None:
        self.torn_down += 1

    def on_fit_task_begin(self, estimator: Any, context: Any, *, X: Any = None) -> None:
        self.tasks.append(("begin", context.task_name, context.task_id, X.shape))

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: Any = None,
        fitted_estimator: Any = None,
    ) -> bool:
        self.tasks.append(("end", context.task_name, context.task_id, metadata))
        if fitted_estimator is not None:
            self.scores.append(fitted_estimator.score(X, y))
            assert fitted_estimator is not estimator
        ended = sum(task[0] == "end" for task in self.tasks)
        if ended >= self.fail_after:
            raise RuntimeError("enough")
        return ended >= self.stop_after


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_they_are_told_of_every_epoch(cls: Any) -> None:
    watch = Watch()
    weights = np.ones(len(X))
    model = cls(**SMALL).set_callbacks(watch).fit(X, Y, weights)
    names = [task[:3] for task in watch.tasks]
    epochs = [(kind, "epoch", k) for k in range(4) for kind in ("begin", "end")]
    assert names == [("setup", 4), ("begin", "fit", 0), *epochs, ("end", "fit", 0)]
    assert watch.tasks[1][3] == X.shape
    assert list(watch.tasks[-1][3]) == ["sample_weight"]
    assert watch.torn_down == 1
    assert len(watch.scores) == 5
    assert len(set(watch.scores)) > 1  # each epoch has values of its own
    assert watch.scores[-1] == watch.scores[-2] == model.score(X, Y)
    np.testing.assert_array_equal(model.predict(X), cls(**SMALL).fit(X, Y, weights).predict(X))
    assert not [name for name in vars(model) if "teardown" in name or "_ctx" in name]


def test_they_are_told_of_iterations_of_lbfgs() -> None:
    watch = Watch()
    model = MLPClassifier(solver="lbfgs", **SMALL).set_callbacks(watch).fit(X, Y)
    ended = [task for task in watch.tasks if task[:2] == ("end", "iteration")]
    assert model.n_iter_ == 4
    assert len(ended) in (4, 5)  # the iteration after the last one begins, and is empty
    assert len(watch.scores) == 5
    assert watch.scores[-1] == model.score(X, Y)
    stopped = MLPClassifier(solver="lbfgs", **SMALL).set_callbacks(Watch(stop_after=2)).fit(X, Y)
    assert stopped.n_iter_ == 2
    assert np.isfinite(stopped.loss_)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_they_may_stop_and_fail(cls: Any) -> None:
    stopped = cls(**SMALL).set_callbacks(Watch(stop_after=2)).fit(X, Y)
    assert stopped.n_iter_ == 2
    watch = Watch(fail_after=3)
    model = cls(**SMALL).set_callbacks(watch)
    with pytest.raises(RuntimeError, match="enough"):
        model.fit(X, Y)
    assert watch.torn_down == 1
    assert not [name for name in vars(model) if name.endswith("_") or "_ctx" in name]


def test_scoring_monitor_and_searches() -> None:
    monitor = sklearn_callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(n_init=2, **SMALL).set_callbacks(monitor)
    model.fit(X, Y)
    rows = monitor.get_logs().data
    assert len(rows) == 2 * 4 + 1
    twin = pickle.loads(pickle.dumps(clone(model)))
    assert len(twin._skl_callbacks) == 1
    search = GridSearchCV(MLPClassifier(**SMALL), {"alpha": [1e-4, 1e-2]}, cv=2)
    if hasattr(search, "set_callbacks"):
        search.set_callbacks(sklearn_callback.ScoringMonitor(scoring="accuracy"))
    assert search.fit(X, Y).best_score_ > 0


def test_progress_bar() -> None:
    pytest.importorskip("rich")
    model = MLPClassifier(**SMALL).set_callbacks(sklearn_callback.ProgressBar())
    assert model.fit(X, Y).n_iter_ == 4
