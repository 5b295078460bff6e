# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C before any line of Python that a fit runs: the estimator is as before, or fitted whole.

A trace function raises KeyboardInterrupt before the line with a given number, as a signal that
comes there would. Afterwards the call has either failed, and the estimator is as it was; or its
records are those of the first epochs of the same training without the interrupt, and its values
those of that epoch, or of the next one, which was trained and not recorded any more.
"""

from __future__ import annotations

import copy
import sys
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.sparse import csr_matrix

import fastnn
from fastnn import MLPClassifier, MLPRegressor, callbacks
from fastnn.sklearn._training import INTERRUPTED, Training

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings(f"ignore:{INTERRUPTED}"),
]

PACKAGE = str(Path(fastnn.__file__).parent)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
GIVEN = {"X_val": X[:8], "y_val": Y[:8]}
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (3,),
    "max_iter": 3,
    "random_state": 0,
    "batch_size": 12,
    "learning_rate_init": 0.1,
}


class Lines:
    """A trace function that counts the lines of the package, and raises before one of them."""

    def __init__(self, below: str, at: int = -1) -> None:
        self._below, self._at = f"{PACKAGE}/{below}", at
        self.seen: list[tuple[str, int]] = []

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(self._below):
            return None
        if event == "line":
            self.seen.append((name[len(PACKAGE) + 1 :], frame.f_lineno))
            if len(self.seen) == self._at + 1:
                raise KeyboardInterrupt
        return self

    def run(self, call: Callable[[], Any]) -> None:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            call()
        finally:
            sys.settrace(before)


class Instructions(Lines):
    """The same before one of the instructions of a function: between parts of a line, too."""

    def __init__(self, function: Any, at: int = -1) -> None:
        super().__init__("", at)
        self._code = function.__code__

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code is not self._code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.seen.append((self._code.co_name, frame.f_lasti))
            if len(self.seen) == self._at + 1:
                raise KeyboardInterrupt
        return self


def records(model: Any) -> dict[str, Any]:
    """Return what a training records of its epochs."""
    curves = ("loss_curve_", "validation_loss_curve_", "validation_scores_")
    numbers = ("t_", "n_iter_", "best_loss_", "best_validation_score_", "_no_improvement_count")
    held = vars(model)
    found = {name: copy.copy(held.get(name)) for name in curves}
    found |= {name: held.get(name) for name in (*numbers, "loss_")}
    if "loss_curve_" in held:
        history = model.network_.history
        found["history"] = [] if history is None else history.history.get("loss", [])[:]
        found["epochs"] = len(found["history"]) if history is None else len(history.epoch)
        found["rates"] = (model.network_.lr, model._optimizer.learning_rate)
    if not held.get("loss_curve_"):
        found["loss_"] = None  # NaN, or that of the initial values
    return found


def values(model: Any) -> str:
    return str(joblib.hash(model.network_.state_dict()))


def everything(model: Any) -> str:
    if hasattr(model, "network_"):
        model.network_.stop_training = False  # a request, which each training takes back
    state = {name: value for name, value in model.__getstate__().items() if name != "callbacks"}
    return str(joblib.hash(state))


@dataclass
class Case:
    """A training: an estimator, and the call that trains it."""

    make: Callable[[], Any]
    train: Callable[[Any], Any]

    def ended(self, **parameters: Any) -> Any:
        """Return the estimator after the training with these parameters."""
        model = self.make().set_params(**parameters)
        self.train(model)
        return model

    @cached_property
    def states(self) -> list[tuple[dict[str, Any], set[str]]]:
        """Records after each number of epochs, and the values that go with them."""
        first = self.make()
        seeds = [0, *np.random.RandomState(0).randint(2**31 - 1, size=first.n_init - 1)]
        found = []
        for seed in seeds:
            alone = {"random_state": seed, "n_init": 1}
            ends = [self._begun(alone)]
            ends += [self.ended(**alone, max_iter=n + 1) for n in range(first.max_iter)]
            for model, after in zip(ends, [*ends[1:], ends[-1]], strict=True):
                found.append((records(model), {values(model)}))
                if not (first.early_stopping and model.n_iter_):  # else it has the best values
                    found[-1][1].add(values(after))
        return found

    def _begun(self, alone: dict[str, Any]) -> Any:
        """Return the estimator after a training that was interrupted before its first epoch."""
        if self.make().solver == "lbfgs":
            return self.ended(**alone, max_time=1e-9)

        def interrupt() -> None:
            raise KeyboardInterrupt

        return self.ended(
            **alone, callbacks=callbacks.LambdaCallback(on_train_begin=lambda *_: interrupt())
        )

    def lines(self, below: str) -> list[tuple[str, int]]:
        """Return the lines that run, in their order."""
        known = [found for found, _ in self.states]  # first: some lines run once in a process,
        self.train(self.make())  # and some once for parameters that are remembered
        model, lines = self.make(), Lines(below)
        lines.run(lambda: self.train(model))
        assert records(model) in known
        return lines.seen

    def check(self, lines: Lines) -> str | None:
        """Train with an interrupt where `lines` raises it; return what is wrong afterwards."""
        model = self.make()
        before = everything(model)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                lines.run(lambda: self.train(model))
            except KeyboardInterrupt:
                if everything(model) == before:
                    return self._goes_on(model)
            else:
                if not any(str(each.message) == INTERRUPTED for each in caught):
                    return "the interrupt was lost"
        found = records(model)
        known = [values for records, values in self.states if records == found]
        if not known:
            return f"half recorded: {found}"
        if not any(values(model) in each for each in known):
            return "the values belong to no epoch"
        if {*vars(model)} != self.attributes:
            return f"attributes: {self.attributes.symmetric_difference(vars(model))}"
        return self._goes_on(model)

    @cached_property
    def attributes(self) -> set[str]:
        return {*vars(self.ended())}

    @cached_property
    def fresh(self) -> Any:
        return type(self.make())(**SMALL).fit(X, Y)

    def _goes_on(self, model: Any) -> str | None:
        """Another training from the beginning is that of a new estimator."""
        again = model.set_params(**self.fresh.get_params()).fit(X, Y)
        same = records(again) == records(self.fresh) and values(again) == values(self.fresh)
        return None if same else "the next fit is another one"


def fits(cls: Any, **settings: Any) -> Case:
    return Case(lambda: cls(**SMALL | settings), lambda model: model.fit(X, Y))


def warm(cls: Any, **settings: Any) -> Case:
    return Case(
        lambda: cls(warm_start=True, **SMALL | settings).fit(X, Y), lambda model: model.fit(X, Y)
    )


def first_step(model: Any) -> None:
    model.partial_fit(X, Y, **({"classes": [0, 1]} if isinstance(model, MLPClassifier) else {}))


def partial(cls: Any, batch_size: int, **settings: Any) -> Case:
    given = SMALL | {"batch_size": batch_size, "max_iter": 1} | settings

    def make() -> Any:
        model = cls(**given)
        first_step(model)
        return model

    return Case(make, lambda model: model.partial_fit(X, Y))


SGD = {"solver": "sgd", "tol": 10.0, "n_iter_no_change": 1}
CASES = {
    "adam": fits(MLPClassifier),
    "early": fits(MLPClassifier, early_stopping=True, n_init=2, learning_rate_init=1.0),
    "adaptive": fits(MLPRegressor, learning_rate="adaptive", **SGD),
    "invscaling": fits(MLPRegressor, learning_rate="invscaling", **SGD),
    "lbfgs": fits(MLPRegressor, solver="lbfgs", n_init=2),
    "warm": warm(MLPClassifier),
    "warm early": warm(MLPRegressor, early_stopping=True),
    "warm lbfgs": warm(MLPClassifier, solver="lbfgs"),
    "first": Case(lambda: MLPClassifier(**SMALL | {"max_iter": 1}), first_step),
    "step": partial(MLPRegressor, 24),
    "epoch": partial(MLPRegressor, 7),
    "epoch watched": partial(
        MLPClassifier, 7, learning_rate="invscaling", callbacks=[callbacks.Callback()], **SGD
    ),
    "sparse": Case(lambda: MLPClassifier(**SMALL), lambda model: model.fit(csr_matrix(X), Y)),
    "validated": Case(lambda: MLPRegressor(**SMALL), lambda model: model.fit(X, Y, **GIVEN)),
}


def problems(case: Case, below: str, numbers: list[int]) -> list[str]:
    lines = case.lines(below)
    found = [(at, case.check(Lines(below, at))) for at in numbers]
    return [f"{lines[at][0]}:{lines[at][1]}: {wrong}" for at, wrong in found if wrong]


@pytest.mark.parametrize("name", CASES)
def test_before_some_lines(name: str) -> None:
    """The last time that a line runs, for every twentieth line, others in each case."""
    case = CASES[name]
    last = {line: at for at, line in enumerate(case.lines("sklearn"))}
    some = sorted(last.values())[list(CASES).index(name) :: 20]
    assert problems(case, "sklearn", some) == []


def test_before_every_instruction_of_a_single_step() -> None:
    """The step is made and its loss is kept by one of them, or by none."""
    case, function = CASES["step"], Training._in_one_step
    model, instructions = case.make(), Instructions(function)
    instructions.run(lambda: case.train(model))
    assert len(instructions.seen) > 10
    found = {
        place: case.check(Instructions(function, at))
        for at, (_, place) in enumerate(instructions.seen)
    }
    assert {place: wrong for place, wrong in found.items() if wrong} == {}


@pytest.mark.nightly
@pytest.mark.parametrize("name", CASES)
def test_before_every_line(name: str) -> None:
    """Every time that a line of the estimators runs, and once for those of the rest."""
    case = CASES[name]
    lines = case.lines("sklearn")
    assert problems(case, "sklearn", [*range(len(lines))]) == []
    last = {line: at for at, line in enumerate(case.lines(""))}
    assert problems(case, "", sorted(last.values())) == []
