# SPDX-License-Identifier: BSD-3-Clause
"""Losses with lists among their parameters, probabilities as targets, and several outputs for each
target; and what predict gives."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

import in_torch
from differences import assert_slopes, differences
from fastnn import _core, nn, reference
from fastnn import functional as F
from layouts import DTYPES, close
from members import linear
from pairs import Pair

ROWS = reference.LOSSES
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)

SMOOTHED = [
    {},
    {"label_smoothing": 0.1},
    {"weight": True},
    {"weight": True, "label_smoothing": 0.3},
]


def with_weights(hyper: dict[str, Any], k: int) -> dict[str, Any]:
    weights = {"weight": [0.5 + j for j in range(k)]} if "weight" in hyper else {}
    return {**hyper, **weights}


@both_dtypes
@pytest.mark.parametrize("k", [2, 3, 17, 40])
@pytest.mark.parametrize("hyper", SMOOTHED, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_probabilities_of_classes(
    rng: np.random.Generator,
    torch: Any,
    hyper: dict[str, Any],
    k: int,
    reduction: str,
    dtype: str,
) -> None:
    """As targets of cross-entropy, with the twin, differences and torch; in networks, too."""
    hyper = with_weights(hyper, k) | {"reduction": reduction}
    out = (3 * rng.standard_normal((9, k))).astype(dtype)
    y = rng.dirichlet(np.ones(k), 9).astype(dtype)
    w = rng.uniform(0.5, 2, 9)
    for weights in (None, w):
        value, dout = _core.loss("cross_entropy", hyper, out, y, weights)
        expected, gradient = reference.loss("cross_entropy", hyper, out.astype(float), y, weights)
        close(value, expected, dtype, "loss")
        close(dout, gradient, dtype, "loss")
    if dtype == "float64":
        value, dout = _core.loss("cross_entropy", hyper, out, y)
        slopes = differences(lambda: _core.loss("cross_entropy", hyper, out, y)[0], out)
        assert_slopes(dout, slopes)
        expected, gradient = in_torch.loss(torch, "cross_entropy", hyper, out, y)
        assert value == pytest.approx(expected, rel=1e-13)
        np.testing.assert_allclose(dout, gradient, rtol=1e-12, atol=1e-15)
    pair = Pair([linear(4, k)], dtype).compile("cross_entropy", loss_hyper=hyper)
    x = rng.standard_normal((9, 4)).astype(dtype)
    pair.close(*(net.loss_and_grad(x, y, w) for net in (pair.engine, pair.twin)), "linear")
    pair.same_gradients("linear")
    ours, theirs = (net.evaluate(x, y, w, metrics=True) for net in (pair.engine, pair.twin))
    pair.close(ours["loss"], theirs["loss"], "linear")
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"])


@pytest.mark.parametrize("k", [3, 40])
def test_one_hot_rows_are_their_classes(rng: np.random.Generator, k: int) -> None:
    out, labels = rng.standard_normal((8, k)), rng.integers(0, k, 8)
    for hyper in ({}, {"label_smoothing": 0.2}):
        value, dout = _core.loss("cross_entropy", hyper, out, labels)
        soft, dsoft = _core.loss("cross_entropy", hyper, out, np.eye(k)[labels])
        assert soft == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(dsoft, dout, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("name", ["cross_entropy", "nll"])
def test_weights_of_classes_over_an_epoch(rng: np.random.Generator, name: str) -> None:
    """The loss of an epoch is the mean over all its rows, which a larger batch has at once."""
    hyper = {"weight": [0.0, 0.5, 3.0, 1.0]}
    pair = Pair([linear(4, 4)]).compile(name, "sgd", {"lr": 0.0}, loss_hyper=hyper)
    x, y, w = rng.standard_normal((23, 4)), rng.integers(0, 4, 23), rng.uniform(0.5, 2, 23)
    for weights in (None, w):
        at_once = pair.twin.evaluate(x, y, weights, metrics=True)
        for n_threads in (1, 3):
            report = pair.engine.fit(
                x, y, weights, batch_size=5, epochs=1, metrics=True, n_threads=n_threads
            )
            assert report["loss"][0] == pytest.approx(at_once["loss"], rel=1e-12)
            assert report["accuracy"][0] == pytest.approx(at_once["accuracy"], rel=1e-12)
        ours = pair.engine.evaluate(x, y, weights, metrics=True)
        assert ours["loss"] == pytest.approx(at_once["loss"], rel=1e-12)


def test_outputs_that_a_loss_cannot_have() -> None:
    cases_of: list[tuple[str, dict[str, Any], int, str]] = [
        ("gaussian_nll", {}, 3, r"GaussianNLLLoss on 3 outputs; expected a multiple of 2: 2 out"),
        ("quantile", {}, 4, r"QuantileLoss on 4 outputs; expected a multiple of 3: 3 outputs for"),
        ("nll", {"weight": [1.0, 2.0]}, 3, r"NLLLoss weight has 2 numbers; expected one for each"),
        ("bce_with_logits", {"pos_weight": [1.0]}, 2, r"pos_weight has 1 number; expected one for"),
        ("bce_with_logits", {"pos_weight": [-1.0]}, 1, r"pos_weight has -1; expected a list of f"),
        ("quantile", {"quantiles": []}, 3, r"quantiles is empty; expected a list of finite num"),
        ("quantile", {"quantiles": [0.5, 1.5]}, 2, r"quantiles has 1\.5; expected a list of fini"),
    ]
    network = _core.Network([linear(2, 6)])
    network.compile("quantile", {}, "sgd", {})
    with pytest.raises(ValueError, match=r"y has shape \(4, 4\); QuantileLoss on 6 outputs exp"):
        network.evaluate(np.zeros((4, 2)), np.zeros((4, 4)))
    for name, hyper, k, text in cases_of:
        network = _core.Network([linear(2, k)])
        with pytest.raises(ValueError, match=text):
            network.compile(name, hyper, "sgd", {})
        y = np.zeros(4, int) if ROWS[name].target == "class" else np.zeros((4, k))
        with pytest.raises(ValueError, match=text):
            _core.loss(name, hyper, np.zeros((4, k)), y)


def test_blocks_of_outputs() -> None:
    """Means come before variances, and all outputs of a quantile before those of the next."""
    out = np.array([[1.0, 2.0, 0.5, 4.0]])
    value, dout = _core.loss("gaussian_nll", {"log_variance": False}, out, np.array([[1.0, 4.0]]))
    assert value == pytest.approx((np.log(0.5) + np.log(4.0) + 1) / 4, rel=1e-15)
    np.testing.assert_allclose(dout, [[0, -0.25, 0.5, 0]], atol=1e-16)
    value, dout = _core.loss("quantile", {"quantiles": [0.25, 0.9]}, out, np.array([[2.0, 2.0]]))
    assert value == pytest.approx((0.25 * 1 + 0 + 0.9 * 1.5 + 0.1 * 2) / 4, rel=1e-14)
    np.testing.assert_allclose(dout, np.array([[-0.25, 0, -0.9, 0.1]]) / 4, rtol=1e-14)


@both_dtypes
def test_small_errors_keep_their_digits(dtype: str) -> None:
    """log(cosh(e)) is e^2 / 2 there, where |e| - log(2) + ... would be rounding noise."""
    e = np.array([[1e-3], [1e-5], [0.3], [0.999], [1.001], [50.0]], dtype)
    for row in e:
        value, _ = _core.loss("log_cosh", {}, row[None], np.zeros((1, 1), dtype))
        exact = np.log(np.cosh(np.longdouble(row[0])))
        if row[0] < 1e-2:
            exact = np.longdouble(row[0]) ** 2 / 2 - np.longdouble(row[0]) ** 4 / 12
        assert value == pytest.approx(float(exact), rel=8 * float(np.finfo(dtype).eps))


def test_focal_of_easy_rows_keeps_its_digits(rng: np.random.Generator) -> None:
    """At z = 30 the probability lacks 1e-13 to 1, and the loss is a product of such numbers."""
    value, dout = _core.loss("focal", {"alpha": -1.0}, np.array([[30.0]]), np.ones((1, 1)))
    q = np.exp(-30.0) / (1 + np.exp(-30.0))
    assert value == pytest.approx(q**2 * np.log1p(np.exp(-30.0)), rel=1e-13)
    assert dout[0, 0] == pytest.approx(-3 * q**3, rel=1e-9)


def test_lists_of_numbers_are_values() -> None:
    """Arrays and lists become tuples, so that a description cannot change and can be compared."""
    given = np.array([1.0, 2.0, 0.5])
    loss = nn.CrossEntropyLoss(weight=given, label_smoothing=0.1)
    given[0] = 7
    assert repr(loss) == (
        "CrossEntropyLoss(reduction='mean', weight=(1.0, 2.0, 0.5), label_smoothing=0.1)"
    )
    assert loss == nn.CrossEntropyLoss(weight=[1, 2, 0.5], label_smoothing=0.1) != nn.NLLLoss()
    assert hash(loss) == hash(nn.CrossEntropyLoss(weight=(1.0, 2.0, 0.5), label_smoothing=0.1))
    assert nn.CrossEntropyLoss().weight is None
    assert json.loads(json.dumps(loss.hyper()))["weight"] == [1.0, 2.0, 0.5]
    model = nn.Sequential(nn.Linear(4, 3))
    model.compile("sgd", loss)
    x, y = np.ones((5, 4)), np.array([0, 1, 2, 1, 0])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.loss == loss
        assert other.evaluate(x, y) == model.evaluate(x, y)
    with pytest.raises(ValueError, match=r"^\[Sequential.compile\] NLLLoss weight has 2 numbers; "):
        model.compile("sgd", nn.NLLLoss(weight=[1.0, 2.0]))
    with pytest.raises(ValueError, match=r"^\[Sequential.compile\] GaussianNLLLoss on 3 outputs; "):
        model.compile("sgd", "gaussian_nll")
    with pytest.raises(ValueError, match=r"^\[nll_loss\] NLLLoss weight has 1 number; expected"):
        F.nll_loss(np.zeros((2, 3)), [0, 1], weight=[1.0])
    refusals: list[tuple[Any, type[Exception], str]] = [
        ([], ValueError, r"\[NLLLoss\] weight is empty; expected numbers"),
        (2.0, TypeError, r"\[NLLLoss\] weight is 2\.0; expected a list of numbers"),
        ("12", TypeError, r"\[NLLLoss\] weight is '12'; expected a list of numbers"),
        ([[1.0]], TypeError, r"\[NLLLoss\] weight\[0\] is \[1\.0\]; expected a number"),
        ([1.0, -1.0], ValueError, r"\[NLLLoss\] weight\[1\] = -1\.0; expected at least 0 and fin"),
        ([1.0, np.nan], ValueError, r"\[NLLLoss\] weight\[1\] = nan; expected at least 0 and fin"),
        ([True], TypeError, r"\[NLLLoss\] weight\[0\] is True; expected a number"),
    ]
    for value, kind, text in refusals:
        with pytest.raises(kind, match=text):
            nn.NLLLoss(weight=value)
    with pytest.raises(TypeError, match=r"\[QuantileLoss\] quantiles is None; expected a list of"):
        nn.QuantileLoss(quantiles=None)


def test_what_predict_gives(rng: np.random.Generator) -> None:
    """Rates, probabilities, variances and scores, as the loss says."""
    x, n = rng.standard_normal((6, 4)), 6
    for loss, k, link in (
        (nn.PoissonNLLLoss(), 3, np.exp),
        (nn.PoissonNLLLoss(log_input=False), 3, None),
        (nn.KLDivLoss(), 3, np.exp),
        (nn.NLLLoss(), 3, np.exp),
        (nn.FocalLoss(), 3, reference.logistic),
        (nn.HingeLoss(), 3, None),
        (nn.QuantileLoss(), 3, None),
        (nn.GaussianNLLLoss(log_variance=False), 4, None),
        (nn.GaussianNLLLoss(), 4, lambda out: np.hstack([out[:, :2], np.exp(out[:, 2:])])),
    ):
        model = nn.Sequential(nn.Linear(4, k), dtype="float64")
        raw = model.predict(x)
        model.compile("sgd", loss)
        expected = raw if link is None else link(raw)
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-14)
        assert model.predict(x).shape == (n, k)
    model.compile("sgd", "hinge")
    text = r"\[Sequential.predict_proba\] HingeLoss has no probabilities, predict gives the scores"
    with pytest.raises(ValueError, match=text):
        model.predict_proba(x)


def test_one_row_of_scores_with_probabilities() -> None:
    """A vector is one row, and so are its probabilities."""
    loss, grad = F.cross_entropy([0.0, 0.0, 0.0], [0.25, 0.5, 0.25])
    assert loss == pytest.approx(np.log(3))
    np.testing.assert_allclose(grad, [1 / 3 - 0.25, 1 / 3 - 0.5, 1 / 3 - 0.25], rtol=1e-14)
    model = nn.Sequential(nn.Linear(4, 3))
    model.compile("sgd", "cross_entropy")
    with pytest.raises(ValueError, match=r"class_weight needs class indices; y has 3 columns"):
        model.fit(np.ones((2, 4)), np.eye(3)[:2], class_weight={0: 2.0})
