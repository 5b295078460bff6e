# SPDX-License-Identifier: BSD-3-Clause
"""Targets and outputs outside of a loss's range are refused by row, in every call."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import _core, nn, reference
from fastnn.functional._functions import loss_name
from layouts import DTYPES
from members import REGISTRIES, linear, names
from pairs import Pair, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

N = 75
ROWS = {row["name"]: row for row in REGISTRIES["losses"]}
DENSE = [name for name in names("losses") if ROWS[name]["target"] == "dense"]
BINARY = [name for name in DENSE if ROWS[name]["targets"] == "0 to 1"]
# Two labels, and the one of them that is wrong; in every dtype that holds both.
LABELS = [(-1, 1, -1), (1, 2, 2), (0, 255, 255)]
LABELS_OF_DTYPES = [
    (labels, kind)
    for labels in LABELS
    for kind in ["i1", "u1", "i8", "f2", "f4", "f8"]
    if np.array_equal(np.array(labels, float).astype("i8").astype(kind), labels)
]


def model_of(name: str, k: int = 1, dtype: str = "float32") -> nn.Sequential:
    end = [nn.Sigmoid()] if ROWS[name]["outputs"] else []
    model = nn.Sequential(nn.Linear(4, k), *end, dtype=dtype)
    model.compile("sgd", name, ["accuracy"])
    return model


def data(low: float, high: float, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    return rng.standard_normal((N, 4)), np.where(rng.random((N, k)) < 0.5, float(low), high)


def calls_of(model: nn.Sequential, x: Any, y: Any) -> dict[str, Callable[[], Any]]:
    good = np.zeros_like(y)
    out = np.full(y.shape, 0.5)
    name = type(model.loss).__name__
    function = loss_name(ROWS[model.loss.registry_name])  # type: ignore[union-attr]
    return {
        "fit": lambda: model.fit(x, y, batch_size=16, shuffle=False),
        "fit, validation": lambda: model.fit(x, good, validation_data=(x, y)),
        "train_step": lambda: model.train_step(x, y),
        "loss_and_grad": lambda: model.loss_and_grad(x, y),
        "evaluate": lambda: model.evaluate(x, y),
        name: lambda: model.loss(out, y),  # type: ignore[misc]
        function: lambda: getattr(F, function)(out, y),
    }


def named(where: str) -> str:
    """Return the name of the call as messages have it."""
    name = where.partition(",")[0]
    return f"Sequential.{name}" if hasattr(nn.Sequential, name) else name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("labels", "kind"), LABELS_OF_DTYPES, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_labels_that_are_no_probabilities(
    name: str, labels: tuple[int, int, int], kind: str, dtype: str
) -> None:
    low, high, wrong = labels
    x, y = data(low, high)
    y = y.astype(kind)[:, 0]
    row = int(np.flatnonzero(y == wrong)[0])
    model = model_of(name, 1, dtype)
    before = snapshot(model._network)
    for where, call in calls_of(model, x, y).items():
        what = "y" if where[0].islower() and where not in F.__all__ else "target"
        what = "validation y" if where == "fit, validation" else what
        text = (
            f"[{named(where)}] {what} has {wrong} at row {row}, column 0; "
            f"{ROWS[name]['class_name']} expects 0 to 1"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            call()
        if where != "fit, validation":
            for now, was in zip(snapshot(model._network), before, strict=True):
                np.testing.assert_array_equal(now, was)


@pytest.mark.parametrize("k", [2, 7, 8, 17, 33])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_cell_is_named(k: int, dtype: str) -> None:
    """It may be in any column, in whole vectors of columns and in the rest."""
    x, y = data(0, 1, k)
    model = model_of("bce_with_logits", k, dtype)
    for column in range(k):
        wrong = y.copy()
        value = wrong[61, column] = -0.5 if column % 3 else 1.5
        text = rf"y has {value} at row 61, column {column}; BCEWithLogitsLoss expects 0 to 1$"
        with pytest.raises(ValueError, match=rf"^\[Sequential.evaluate\] {text}"):
            model.evaluate(x, wrong)
        with pytest.raises(ValueError, match=rf"^\[Sequential.fit\] {text}"):
            model.fit(x, wrong, batch_size=16, n_threads=2)


def test_just_outside() -> None:
    """The number is shown in as many digits as it takes, and judged in the dtype of the model."""
    x, y = data(0, 1)
    y[3] = 1 + 1e-10
    with pytest.raises(ValueError, match=r"y has 1\.0000000001\d* at row 3, column 0; BCE"):
        model_of("bce_with_logits", dtype="float64").evaluate(x, y)
    model_of("bce_with_logits", dtype="float32").evaluate(x, y)


def test_soft_targets_are_targets() -> None:
    x, y = data(0.1, 0.9)
    for name in BINARY:
        model = model_of(name)
        for call in calls_of(model, x, y).values():
            call()


@pytest.mark.parametrize("name", [n for n in DENSE if ROWS[n]["targets"] == ""])
def test_other_losses_take_any_numbers(name: str) -> None:
    assert ROWS[name]["outputs"] == ""
    x, y = data(-1e4, 1e4)
    model = nn.Sequential(nn.Linear(4, ROWS[name]["outputs_per_target"]))
    model.compile("sgd", name)
    assert np.isfinite(model.evaluate(x, y)["loss"])


@pytest.mark.parametrize(
    ("name", "hyper", "k", "y", "words"),
    [
        (
            "poisson_nll",
            {},
            1,
            -1,
            r"y has -1 at row 3, column 0; PoissonNLLLoss expects at least",
        ),
        ("kl_div", {}, 1, -0.5, r"y has -0\.5 at row 3, column 0; KLDivLoss expects at least 0"),
        ("hinge", {}, 1, 2, r"y has 2 at row 3, column 0; HingeLoss expects -1 to 1"),
        ("squared_hinge", {}, 1, -3, r"y has -3 at row 3, column 0; SquaredHingeLoss expects -1"),
        ("cross_entropy", {}, 2, 1.5, r"y has 1\.5 at row 3, column 1; CrossEntropyLoss expects 0"),
    ],
)
def test_targets_out_of_range(
    name: str, hyper: dict[str, Any], k: int, y: float, words: str
) -> None:
    x, good = data(0, 1, k)
    good[3, k - 1] = y
    model = nn.Sequential(nn.Linear(4, k))
    model.compile("sgd", getattr(nn, ROWS[name]["class_name"])(**hyper))
    with pytest.raises(ValueError, match=rf"^\[Sequential.fit\] {words}"):
        model.fit(x, good)
    with pytest.raises(ValueError, match=rf"^\[Sequential.evaluate\] {words}"):
        model.evaluate(x, good)


def test_rates_and_variances_that_are_negative() -> None:
    x, y = data(0, 1)
    out = np.array([[-3.0, 2.0], [-3.0, -0.25]])
    model = nn.Sequential(nn.Linear(4, 2))
    model.compile("sgd", nn.GaussianNLLLoss(log_variance=False))
    for array in model.state_dict().values():
        array[...] = 0
    model.state_dict()["0.bias"][...] = [-3, -0.25]
    words = "expects at least 0: variances cannot be negative .a Softplus or Exp at the end"
    with pytest.raises(ValueError, match=rf"outputs have -0.25 at row 0; GaussianNLLLoss {words}"):
        model.fit(x, y, shuffle=False)
    with pytest.raises(ValueError, match=rf"out has -0.25 at row 1, column 1; .* {words}"):
        F.gaussian_nll_loss(out, y[:2], log_variance=False)
    with pytest.raises(ValueError, match="out has -3 at row 0, column 0; PoissonNLLLoss"):
        F.poisson_nll_loss(out, np.ones((2, 2)), log_input=False)


def interval(low: float, high: float) -> str:
    if np.isinf([low, high]).all():
        return ""
    return f"at least {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


def test_the_twin_has_the_same_ranges() -> None:
    for name, row in ROWS.items():
        twin = reference.LOSSES[name]
        assert row["targets"] == interval(*twin.target_range())
        assert row["outputs"] == interval(*twin.output_range())
    half = np.full((2, 1), 0.5)
    for name in BINARY:
        with pytest.raises(ValueError, match="targets have -1; expected 0 to 1"):
            reference.loss(name, {}, half, [[0], [-1]])
    with pytest.raises(ValueError, match=r"outputs have 1\.5; expected 0 to 1"):
        reference.loss("bce", {}, half + 1, [[0], [1]])


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sigmoid_that_is_missing(k: int, dtype: str) -> None:
    x, y = data(0, 1, k)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, k), dtype=dtype)
    model.compile("adam", "bce", ["accuracy"])
    out = model.predict(x)
    row = int(np.flatnonzero(((out < 0) | (out > 1)).any(axis=1))[0])
    before = snapshot(model._network)
    calls: dict[str, Callable[[], Any]] = {
        "fit": lambda: model.fit(x, y, batch_size=16, shuffle=False),
        "train_step": lambda: model.train_step(x, y),
        "loss_and_grad": lambda: model.loss_and_grad(x, y),
        "evaluate": lambda: model.evaluate(x, y, n_threads=2),
        "predict_proba": lambda: model.predict_proba(x),
    }
    for where, call in calls.items():
        text = (
            rf"^\[Sequential.{where}\] the outputs have \S+ at row {row}; BCELoss expects 0 to 1: a"
        )
        with pytest.raises(ValueError, match=text) as caught:
            call()
        assert "learning rate" not in str(caught.value)
        for now, was in zip(snapshot(model._network), before, strict=True):
            np.testing.assert_array_equal(now, was)
    for call in (lambda: nn.BCELoss()(out, y), lambda: F.bce_loss(out, y)):
        with pytest.raises(ValueError, match=rf" out has \S+ at row {row}.*: a Sigmoid is missing"):
            call()


def test_a_validation_that_needs_a_sigmoid() -> None:
    """The row that is named is one of the validation data."""
    model = nn.Sequential(nn.Linear(4, 1))
    model.compile("sgd", "bce")
    for array in model.state_dict().values():
        array[...] = 0.1
    x, y = np.ones((N, 4)), np.ones(N)
    bad = x.copy()
    bad[41] = 5
    text = r"^\[Sequential.fit\] the validation outputs have \S+ at row 41; BCELoss expects 0 to 1"
    with pytest.raises(ValueError, match=text):
        model.fit(x, y, validation_data=(bad, y))


def test_outputs_that_are_no_number_are_no_missing_sigmoid() -> None:
    assert np.isnan(F.bce_loss([np.nan, 0.5], [0.0, 1.0])[0])
    assert np.isnan(F.bce_with_logits([0.5, 0.5], [np.nan, 1.0])[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoids_end_inside(dtype: str) -> None:
    """This holds at any logit, so that nobody who has a sigmoid is told that it is missing."""
    z = np.concatenate([np.linspace(-120, 120, 20001), [-1e30, 1e30, 17.3, 36.8, 88.8]])
    p = F.sigmoid(z.astype(dtype))
    for y in (0.0, 1.0):
        assert np.isfinite(F.bce_loss(p, np.full(p.shape, y, dtype))[0])


def test_one_output_is_no_choice() -> None:
    network = _core.Network([linear(4, 1)])
    with pytest.raises(
        ValueError, match=r"^\[compile\] CrossEntropyLoss on 1 output; expected one"
    ):
        network.compile("cross_entropy", {}, "sgd", {"lr": 0.1})
    with pytest.raises(ValueError, match=r"\[fit\] the model is not compiled; expected"):
        network.fit(np.ones((3, 4)), np.zeros(3), batch_size=1, epochs=1)


def test_a_sigmoid_below_is_enough() -> None:
    pair = Pair([linear(4, 3), ("sigmoid", {})]).compile("bce")
    x, y = data(0, 1, 3)
    assert np.isfinite(pair.engine.fit(x, y, batch_size=16, epochs=2)["loss"]).all()
