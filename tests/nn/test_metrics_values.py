# SPDX-License-Identifier: BSD-3-Clause
"""Metrics against scikit-learn, over drawn targets, predictions and weights."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastnn import metrics

sk = pytest.importorskip("sklearn.metrics")

few = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, equal_nan=True)


def quietly(function: Any, *args: Any, **kwargs: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


@st.composite
def drawn(draw: Any, kind: str) -> tuple[Any, Any, Any, Any, int]:
    """Draw truth, labels, scores (probabilities with ties), weights and the number of columns."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 25))
    k = draw(st.integers(3, 5)) if kind == "classes" else draw(st.integers(2, 4))
    grid = draw(st.sampled_from([3, 5, 1000]))  # few different scores make ties
    if kind == "flags":
        truth = rng.integers(0, 2, (n, k))
        scores = rng.integers(0, grid, (n, k)) / grid
        labels = (scores > 0.5).astype(int)
    elif kind == "binary":
        truth = rng.integers(0, draw(st.sampled_from([1, 2, 2, 2])), n)
        scores = rng.integers(0, grid, n) / grid
        labels = (scores > 0.5).astype(int)
    else:
        truth = rng.integers(0, draw(st.sampled_from([1, 2, k, k])), n)
        raw = rng.integers(1, grid + 1, (n, k)).astype(float)
        scores = raw / raw.sum(axis=1, keepdims=True)
        labels = scores.argmax(axis=1)
    weights = draw(st.sampled_from(["none", "some"]))
    w = None if weights == "none" else rng.integers(0, 4, n) + (np.arange(n) == 0) + 0.0
    return truth, labels, scores, w, k


@pytest.mark.parametrize("kind", ["binary", "classes", "flags"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_figures_of_counts(kind: str, name: str) -> None:
    ours, theirs = getattr(metrics, name), getattr(sk, f"{name}_score")
    averages = ["micro", "macro", "weighted"] + (["binary"] if kind == "binary" else [])

    @few
    @given(drawn(kind), st.sampled_from(averages), st.sampled_from([0.0, 1.0, math.nan]))
    def same(arrays: Any, average: str, zero: float) -> None:
        truth, labels, _, w, _ = arrays
        more: Any = {"average": average, "zero_division": zero, "sample_weight": w}
        close(ours(truth, labels, **more), quietly(theirs, truth, labels, **more))
        each: Any = {**more, "average": None}
        found = ours(truth, labels, **each)
        if kind != "flags":
            each["labels"] = range(len(found))
        close(found, quietly(theirs, truth, labels, **each))

    same()


@pytest.mark.parametrize("kind", ["binary", "classes", "flags"])
def test_accuracy_hamming_and_counts(kind: str) -> None:
    @few
    @given(drawn(kind))
    def same(arrays: Any) -> None:
        truth, labels, _, w, _ = arrays
        close(
            metrics.hamming(truth, labels, sample_weight=w),
            sk.hamming_loss(truth, labels, sample_weight=w),
        )
        close(
            metrics.accuracy(truth, labels, sample_weight=w),
            1 - metrics.hamming(truth, labels, sample_weight=w),
        )
        if kind != "flags":
            score = sk.accuracy_score(truth, labels, sample_weight=w)
            close(metrics.accuracy(truth, labels, sample_weight=w), score)
        counts = metrics.confusion_counts(truth, labels, sample_weight=w)
        known = {} if kind == "flags" else {"labels": range(len(counts.tp))}
        table = sk.multilabel_confusion_matrix(truth, labels, sample_weight=w, **known)
        close(np.stack(counts, axis=1).reshape(-1, 2, 2), table)

    same()


@pytest.mark.parametrize("kind", ["binary", "classes", "flags"])
def test_areas(kind: str) -> None:
    averages = ["macro", "weighted", "micro", None] if kind != "binary" else ["macro"]

    @few
    @given(drawn(kind), st.sampled_from(averages))
    def same(arrays: Any, average: str | None) -> None:
        truth, _, scores, w, k = arrays
        more: Any = {"average": average, "sample_weight": w}
        several = {"multi_class": "ovr", "labels": range(k)} if kind == "classes" else {}
        close(
            metrics.auc(truth, scores, **more),
            quietly(sk.roc_auc_score, truth, scores, **more, **several),
        )
        flags = truth[:, None] == np.arange(k) if kind == "classes" else truth
        close(
            metrics.average_precision(truth, scores, **more),
            quietly(sk.average_precision_score, flags, scores, **more),
        )

    same()


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_area_of_pairs(average: Any) -> None:
    @few
    @given(drawn("classes"))
    def same(arrays: Any) -> None:
        truth, _, scores, _, k = arrays
        truth = np.concatenate([np.arange(k), truth])  # a row of each class
        scores = np.concatenate([np.full((k, k), 1 / k), scores])
        more = {"average": average, "multi_class": "ovo"}
        close(metrics.auc(truth, scores, **more), sk.roc_auc_score(truth, scores, **more))

    same()


@few
@given(drawn("classes"), st.integers(1, 4))
def test_metrics_of_probabilities(arrays: Any, most: int) -> None:
    truth, _, scores, w, k = arrays
    more = {"labels": range(k), "sample_weight": w}
    close(metrics.log_loss(truth, scores, sample_weight=w), sk.log_loss(truth, scores, **more))
    close(
        metrics.top_k(truth, scores, k=most, sample_weight=w),
        quietly(sk.top_k_accuracy_score, truth, scores, k=most, **more),
    )


@few
@given(drawn("binary"))
def test_log_loss_of_one_output(arrays: Any) -> None:
    truth, _, scores, w, _ = arrays
    expected = sk.log_loss(truth, scores, labels=[0, 1], sample_weight=w)
    close(metrics.log_loss(truth, scores, sample_weight=w), expected)


NUMBERS = {
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "mape": "mean_absolute_percentage_error",
    "r2": "r2_score",
}


@pytest.mark.parametrize("name", NUMBERS)
def test_metrics_of_numbers(name: str) -> None:
    @few
    @given(
        st.integers(0, 2**32 - 1),
        st.integers(1, 20),
        st.integers(1, 3),
        st.booleans(),
        st.sampled_from([1.0, 1e6, 0.0]),
    )
    def same(seed: int, n: int, outputs: int, weighted: bool, offset: float) -> None:
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=(n, outputs)) + offset
        if not weighted and seed % 3 == 0:
            truth[:, 0] = 2.0
        seen = truth + (seed % 4 > 0) * rng.normal(size=(n, outputs))
        w = rng.random(n) + 0.1 if weighted else None
        expected = quietly(getattr(sk, NUMBERS[name]), truth, seen, sample_weight=w)
        close(getattr(metrics, name)(truth, seen, sample_weight=w), expected)

    same()


WRONG: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
    (metrics.f1, ([0, 1], [0]), {}, r"\[f1\] y_true has 2 rows and y_pred 1"),
    (metrics.f1, ([0, 2], [0, 1]), {}, "average='binary' is of the classes 0 and 1"),
    (metrics.f1, ([0, 1], [0, 1]), {"average": "samples"}, "average is 'samples'; expected one of"),
    (metrics.f1, ([0, 1], [0, 1]), {"zero_division": 2}, "zero_division is 2; expected 0, 1"),
    (metrics.f1, ([0, 0.5], [0, 1]), {}, "y_true has other numbers; expected classes"),
    (metrics.f1, ([0, 1], [0, 1]), {"sample_weight": [1, -1]}, "sample_weight is not finite"),
    (metrics.f1, ([0, 1], [0, 1]), {"sample_weight": [1]}, r"sample_weight has shape \(1,\)"),
    (metrics.accuracy, ([[0, 2]], [[0, 1]]), {}, "other numbers than 0 and 1"),
    (metrics.mae, ([], []), {}, r"y_true has shape \(0,\)"),
    (metrics.mae, ([[1.0, 2.0]], [[1.0]]), {}, "expected the same"),
    (metrics.log_loss, ([0, 1], [0.1, 1.5]), {}, "numbers outside 0 to 1"),
    (metrics.top_k, ([0, 3], np.ones((2, 3))), {}, "y_true has the class 3; expected 0 to 2"),
    (metrics.top_k, ([0, 1], [0.1, 0.2]), {}, "expected \\(n, classes\\)"),
    (metrics.auc, ([0, 1], [0.1, math.nan]), {}, "y_pred has Inf or NaN"),
    (metrics.auc, ([0, 2], [0.1, 0.2]), {}, "numbers up to 2"),
    (metrics.auc, ([0, 1], [0.1, 0.2]), {"multi_class": "all"}, "multi_class is 'all'"),
    (metrics.confusion_counts, ([0, 4], [0, 1]), {"n_classes": 3}, "there is the class 4"),
]


@pytest.mark.parametrize(("function", "args", "kwargs", "message"), WRONG)
def test_wrong_arrays(function: Any, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(*args, **kwargs)


def test_macro_is_the_mean_over_the_classes_that_occur() -> None:
    truth, labels = [0, 3, 3, 0], [0, 3, 0, 0]
    for name in ("precision", "recall", "f1"):
        expected = getattr(sk, f"{name}_score")(truth, labels, average="macro")
        close(getattr(metrics, name)(truth, labels, average="macro"), expected)
        assert expected > 0.7  # a mean over four classes is at most 1 / 2
