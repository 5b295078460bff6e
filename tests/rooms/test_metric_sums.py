# SPDX-License-Identifier: BSD-3-Clause
"""Metrics that the engine sums over rows: against the twin, and their figures against scikit-learn.

They are summed in fit, over training and validation rows, and in evaluate.
"""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest

import fastnn.metrics as figures_of
from fastnn import _core, nn, optim, reference

N, IN, K = 331, 4, 3  # a batch of 150 rows has several chunks
ROWS = {row["name"]: row for row in _core.registries()["losses"]}
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


def kind_of(loss: str, k: int) -> str:
    task = ROWS[loss]["task"]
    if task == "binary":
        return "flag" if k == 1 else "flags"
    return "classes" if task == "multiclass" else "numbers"


def defined(loss: str, k: int) -> list[str]:
    """Return the metrics that are defined for a loss on k outputs, by the twin."""
    kind = kind_of(loss, k)
    found = [name for name, row in reference.METRICS.items() if kind in row.outputs]
    if reference.LOSSES[loss].outputs_per_target() > 1:
        found = []
    return [name for name in found if name != "log_loss" or not ROWS[loss]["predicts"]]


def problem(rng: Any, loss: str, k: int) -> tuple[Any, Any, Any, Any]:
    """Return x, targets for the loss, the truth that metrics see, and weights."""
    x = rng.normal(size=(N, IN))
    w = rng.uniform(0.5, 3.0, N) * (rng.random(N) > 0.1)
    kind = kind_of(loss, k)
    if kind == "classes":
        y = rng.integers(0, k, N)
        return x, y, y, w
    if kind == "numbers":
        y = rng.uniform(0.1, 4.0, (N, k)) + 10
        return x, y, y, w
    flags = rng.random((N, k)) < 0.4
    return x, flags.astype(float), flags, w


def network(loss: str, k: int, dtype: str, metrics: Any, seed: int = 3) -> Any:
    layers: Any = [("linear", {"in_features": IN, "out_features": k})]
    if ROWS[loss]["outputs"] == "0 to 1":
        layers.append(("sigmoid", {}))
    elif loss in ("nll", "kl_div"):
        layers.append(("log_softmax", {}))
    made = _core.Network(layers, dtype, seed)
    made.compile(loss, {}, "sgd", {"lr": 0.0}, metrics=metrics)
    return made


def twin_sums(loss: str, made: Any, metrics: Any, x: Any, truth: Any, w: Any) -> list[Any]:
    seen = {False: made.forward(x, False), True: made.predict(x)}
    found = []
    for name, hyper in metrics:
        row = reference.METRICS[name]
        flags = name == "confusion" and truth.ndim == 2
        own = hyper | ({"boundary": ROWS[loss]["boundary"]} if flags else {})
        rounded = truth.astype(made.dtype) if "numbers" in row.outputs else truth
        found.append(reference.metric_sums(name, own, seen[row.sees_predictions], rounded, w))
    return found


CASES = [(loss, k) for loss in ROWS for k in (1, K) if k > 1 or ROWS[loss]["target"] != "class"]
# Rows of more than one cache line, whose last one is not full.
WIDE = [("cross_entropy", 37), ("bce_with_logits", 19), ("mse", 19)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("loss", "k"), CASES + WIDE)
def test_sums_are_those_of_the_twin(rng, loss, k, dtype):
    metrics = [(name, {}) for name in defined(loss, k)]
    metrics += [("top_k", {"k": 2})] if kind_of(loss, k) == "classes" else []
    if not metrics:
        return
    x, y, truth, w = problem(rng, loss, k)
    made = network(loss, k, dtype, metrics)
    w = w.astype(dtype).astype(float)
    for weights in (None, w):
        expected = twin_sums(loss, made, metrics, x, truth, weights)
        scores = made.evaluate(x, y, weights)
        every = [scores["sums"]]
        for batch_size in (16, 150):
            data = {"validation": (x, y, weights)}
            report = made.fit(x, y, weights, batch_size=batch_size, epochs=1, **data)
            every += [*report["sums"], *report["val_sums"]]
        for weight, unit, sums in every:
            assert weight * unit == pytest.approx(N if weights is None else w.sum(), rel=1e-12)
            for (name, _), ours, theirs in zip(metrics, sums, expected, strict=True):
                scale: Any = unit
                if name == "target_spread":  # rows, weight; and mean, spread, range of outputs
                    scale = np.array([1, unit, *np.repeat([1, unit, 1, 1], k)])
                if name == "confusion":
                    scale = np.repeat([unit, unit, unit, 1], len(ours) // 4)
                np.testing.assert_allclose(
                    ours * scale, theirs, rtol=TOLERANCE[dtype], err_msg=name
                )


@pytest.mark.parametrize(("loss", "k"), CASES)
def test_others_are_refused(loss, k):
    for name in set(reference.METRICS) - set(defined(loss, k)):
        with pytest.raises(
            ValueError, match=f"{name} is not defined for {ROWS[loss]['class_name']}"
        ):
            network(loss, k * ROWS[loss]["outputs_per_target"], "float32", [(name, {})])


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits", "mse"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_do_not_depend_on_threads(rng, loss, dtype):
    x, y, _, w = problem(rng, loss, K)
    x, y, w = (np.tile(a, (4, 1))[: 4 * N] if a.ndim == 2 else np.tile(a, 4) for a in (x, y, w))
    found = set()
    for n_threads in (1, 2, 3):
        made = network(loss, K, dtype, [(name, {}) for name in defined(loss, K)])
        report = made.fit(
            x, y, w, batch_size=130, epochs=1, validation=(x, y, w), n_threads=n_threads
        )
        scores = made.evaluate(x, y, w, n_threads=n_threads)["sums"]
        found.add(
            repr(
                [
                    [each.tobytes() for each in sums]
                    for _, _, sums in (report["sums"][0], report["val_sums"][0], scores)
                ]
            )
        )
    assert len(found) == 1


def test_the_function_of_an_epoch_gets_the_sums(rng):
    """They are no figures, so that the history has them only if there is no such function."""
    x, y, _, _ = problem(rng, "cross_entropy", K)
    made = network("cross_entropy", K, "float32", [("confusion", {})])
    seen: list[Any] = []

    def on_epoch(_epoch: int, logs: dict[str, Any]) -> bool:
        seen.append((logs["sums"], logs["val_sums"]))
        return True

    given: dict[str, Any] = {"batch_size": 16, "epochs": 2, "validation": (x, y, None)}
    report = made.fit(x, y, on_epoch=on_epoch, **given)
    assert set(report) & {"loss", "sums", "val_sums"} == {"loss"}
    made = network("cross_entropy", K, "float32", [("confusion", {})])
    report = made.fit(x, y, **given)
    assert repr(list(zip(report["sums"], report["val_sums"], strict=True))) == repr(seen)


# -- figures ---------------------------------------------------------------------------------------

sk = pytest.importorskip("sklearn.metrics")


def model_of(loss: Any, k: int, metrics: Any, dtype: Any = "float64") -> nn.Sequential:
    layers = [nn.Linear(IN, k)] + ([nn.Sigmoid()] if loss == "bce" else [])
    model = nn.Sequential(*layers, dtype=dtype, seed=5)
    model.compile(optim.SGD(lr=0.0), loss, metrics)
    return model


def everywhere(model: Any, x: Any, y: Any, w: Any) -> list[dict[str, float]]:
    """Return the figures of evaluate, and of training and validation rows; no step changes them."""
    names = [name for name in model.evaluate(x, y, w) if name != "loss"]
    data = (x, y) if w is None else (x, y, w)
    curves = model.fit(x, y, 17, 2, sample_weight=w, validation_data=data).history
    assert list(curves) == ["loss", *names, "val_loss", *(f"val_{name}" for name in names)]
    return [
        model.evaluate(x, y, w),
        {name: curves[name][1] for name in names},
        {name: curves[f"val_{name}"][1] for name in names},
    ]


AVERAGES = ["micro", "macro", "weighted"]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "k"),
    [
        ("cross_entropy", K),
        ("bce_with_logits", 1),
        ("hinge", 1),
        ("bce", K),
        ("focal", K),
        ("cross_entropy", 2),
    ],
)
def test_figures_of_counts_are_scikit_learns(rng, loss, k, weighted):
    x, y, truth, w = problem(rng, loss, k)
    if k == K and truth.ndim == 1:
        y = truth = np.where(truth == 1, 0, truth)  # a class that is no target
    w = w if weighted else None
    kinds = {"precision": figures_of.Precision, "recall": figures_of.Recall, "f1": figures_of.F1}
    metrics: list[Any] = ["accuracy", "hamming", "confusion_counts"]
    for cls, average in itertools.product(kinds.values(), [*AVERAGES, None]):
        metrics.append(cls(average, 1.0 if average == "macro" else 0.0))
    if truth.shape[-1] == 1 or k == 2:
        metrics.append(figures_of.F1("binary"))
    model = model_of(loss, k, metrics)
    p = model.predict(x)
    labels = p.argmax(axis=1) if truth.ndim == 1 else p > (0 if loss == "hinge" else 0.5)
    truth, labels = (a[:, 0] if a.ndim == 2 and a.shape[1] == 1 else a for a in (truth, labels))
    several = truth.ndim == 2
    classes = range(k if several or k > 1 else 2)
    for found in everywhere(model, x, y, w):
        assert found["hamming"] == pytest.approx(sk.hamming_loss(truth, labels, sample_weight=w))
        assert found["accuracy"] == pytest.approx(1 - found["hamming"], rel=1e-12)
        for name in kinds:
            function = getattr(sk, f"{name}_score")
            for average in AVERAGES:
                zero = 1.0 if average == "macro" else 0.0
                theirs = function(
                    truth, labels, average=average, sample_weight=w, zero_division=zero
                )
                assert found[f"{name}_{average}"] == pytest.approx(theirs, rel=1e-12), average
            each = function(
                truth,
                labels,
                average=None,
                sample_weight=w,
                zero_division=0.0,
                **({} if several else {"labels": classes}),
            )
            ours = [found[f"{name}_{c}"] for c in classes]
            np.testing.assert_allclose(ours, each, rtol=1e-12)
        matrices = sk.multilabel_confusion_matrix(
            truth, labels, sample_weight=w, **({} if several else {"labels": classes})
        )
        four = {"tn": (0, 0), "fp": (0, 1), "fn": (1, 0), "tp": (1, 1)}
        for name, (row, column) in four.items():
            theirs = matrices[:, row, column]
            ours = [
                found[f"confusion_counts_{name}" + ("" if k == 1 else f"_{c}")]
                for c in ([1] if k == 1 else classes)
            ]
            np.testing.assert_allclose(
                ours, theirs[1:] if k == 1 else theirs, rtol=1e-12, atol=1e-12
            )
        if "f1_binary" in found:
            theirs = sk.f1_score(truth, labels, sample_weight=w)
            assert found["f1_binary"] == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, K])
def test_figures_of_numbers_are_scikit_learns(rng, k, weighted):
    x, y, _, w = problem(rng, "mse", k)
    y[:, -1] *= 1 if k == 1 else 1e-3
    w = w if weighted else None
    model = model_of("huber", k, ["mae", "mse", "rmse", "mape", "r2"])
    p = model.predict(x)
    functions = {
        "mae": sk.mean_absolute_error,
        "mse": sk.mean_squared_error,
        "rmse": sk.root_mean_squared_error,
        "mape": sk.mean_absolute_percentage_error,
        "r2": sk.r2_score,
    }
    for found in everywhere(model, x, y, w):
        for name, function in functions.items():
            assert found[name] == pytest.approx(function(y, p, sample_weight=w), rel=1e-12), name


def test_r2_of_targets_far_from_zero(rng):
    """Sums of squares would lose all digits; targets that are all equal have no spread at all."""
    x = rng.normal(size=(N, IN))
    y = 1e9 + rng.normal(size=(N, 2))
    model = model_of("mse", 2, ["r2"])
    model[0].bias[...] = 1e9
    p = model.predict(x)
    for found in everywhere(model, x, y, None):
        assert found["r2"] == pytest.approx(sk.r2_score(y, p), rel=1e-12)
    y[:, 1] = 1e9 + 0.1  # whose mean is rounded
    for found in everywhere(model, x, y, None):
        assert found["r2"] == pytest.approx(sk.r2_score(y[:, 0], p[:, 0]) / 2, rel=1e-12)
    model[0].weight[...], model[0].bias[...] = 0, y[0]
    assert model.evaluate(x[:, :], np.tile(y[:1], (N, 1)))["r2"] == 1
    assert math.isnan(model.evaluate(x[:1], y[:1])["r2"])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "k"), [("cross_entropy", K + 2), ("bce_with_logits", 1)])
def test_figures_of_scores_are_scikit_learns(rng, loss, k, weighted):
    x, y, _, w = problem(rng, loss, k)
    w = w if weighted else None
    if k > 1:
        y[:k] = np.arange(k)
    several: dict[str, int] = {"top_2": 2, "top_4": 4} if k > 1 else {}
    model = model_of(loss, k, ["log_loss", *map(figures_of.TopK, several.values())])
    p, labels = model.predict(x), y.reshape(-1).astype(int)
    scores = p if k > 1 else p[:, 0]
    for found in everywhere(model, x, y, w):
        theirs = sk.log_loss(labels, scores, sample_weight=w, labels=range(max(2, k)))
        assert found["log_loss"] == pytest.approx(theirs, rel=1e-12)
        for name, most in several.items():
            theirs = sk.top_k_accuracy_score(labels, p, k=most, sample_weight=w)
            assert found[name] == pytest.approx(theirs, rel=1e-12)


def test_equal_outputs_count_as_in_scikit_learn():
    model = model_of("cross_entropy", K, [figures_of.TopK(2)])
    model[0].weight[...], model[0].bias[...] = 0, [1.0, 1.0, 0.0]
    x, y = np.zeros((3, IN)), np.arange(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sk.top_k_accuracy_score(y, model.predict(x), k=2, labels=range(K))
    assert model.evaluate(x, y)["top_2"] == theirs == pytest.approx(2 / 3)
    model[0].bias[...] = 0
    scores = [model.evaluate(x[:1], y[[c]])["top_2"] for c in range(K)]
    assert scores == [0, 1, 1]


@pytest.mark.parametrize("scale", [1e-300, 1e300, 3.0])
def test_only_ratios_of_weights_matter(rng, scale):
    x, y, _, w = problem(rng, "cross_entropy", K)
    model = model_of("cross_entropy", K, ["f1", "log_loss", "confusion_counts"])
    plain = everywhere(model, x, y, w)
    for ours, theirs in zip(everywhere(model, x, y, w * scale), plain, strict=True):
        for name in ("f1", "log_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-12)
        for name in theirs:
            if name.startswith("confusion"):
                assert ours[name] / scale == pytest.approx(theirs[name], rel=1e-9, abs=1e-12)
    numbers = problem(rng, "mse", 1)
    model = model_of("mse", 1, ["r2", "rmse"])
    for ours, theirs in zip(
        everywhere(model, numbers[0], numbers[1], w * scale),
        everywhere(model, numbers[0], numbers[1], w),
        strict=True,
    ):
        assert ours["r2"] == pytest.approx(theirs["r2"], rel=1e-12)


def test_weights_that_differ_by_far_between_batches(rng):
    """Sums of batches are in different units, which are brought to a common one."""
    x, y, _, w = problem(rng, "mse", 2)
    w[:40] *= 1e-20
    w[40] = 1
    model = model_of("mse", 2, ["r2", "mae"])
    p = model.predict(x)
    for found in everywhere(model, x, y, w):
        assert found["r2"] == pytest.approx(sk.r2_score(y, p, sample_weight=w), rel=1e-12)
        theirs = sk.mean_absolute_error(y, p, sample_weight=w)
        assert found["mae"] == pytest.approx(theirs, rel=1e-12)


def test_classes_whose_rows_have_no_weight_occur():
    """An average over classes counts them, as in scikit-learn."""
    model = model_of("cross_entropy", K, [figures_of.F1("macro")])
    model[0].weight[...], model[0].bias[...] = 0, [1.0, 0.0, 0.0]
    y, w = np.array([0, 0, 1]), np.array([1.0, 2.0, 0.0])
    for found in everywhere(model, np.zeros((3, IN)), y, w):
        theirs = sk.f1_score(y, [0, 0, 0], average="macro", sample_weight=w, zero_division=0)
        assert found["f1_macro"] == theirs == 0.5


def test_probabilities_of_classes_as_targets(rng):
    x, y, _, _ = problem(rng, "cross_entropy", K)
    soft = np.full((N, K), 0.2)
    soft[np.arange(N), y] = 0.6
    chosen = ["accuracy", "f1", "top_k", "log_loss", "confusion_counts"]
    model = model_of("cross_entropy", K, chosen)
    hard, ours = model.evaluate(x, y), model.evaluate(x, soft)
    assert {n: v for n, v in ours.items() if n != "loss"} == {
        n: v for n, v in hard.items() if n != "loss"
    }


def test_predictions_are_what_predict_gives(rng):
    """Errors are of the rates, not of the outputs, which are their logarithms."""
    x, y, _, _ = problem(rng, "poisson_nll", 2)
    model = model_of("poisson_nll", 2, ["mae", "mape"])
    p = model.predict(x)
    for found in everywhere(model, x, y, None):
        assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, p), rel=1e-12)


def test_each_epoch_begins_with_sums_of_its_own(rng):
    """A sum that overflowed would make NaN of the next one, and rows would be counted again."""
    x, y, _, _ = problem(rng, "l1", 1)
    y[7] = 1e200
    for found in everywhere(model_of("l1", 1, ["mse"]), x, y, None):
        assert found["mse"] == np.inf
    made = network("cross_entropy", K, "float64", [("confusion", {})])
    x, y, _, _ = problem(rng, "cross_entropy", K)
    report = made.fit(x, y, batch_size=16, epochs=3, validation=(x, y, None))
    for kind in ("sums", "val_sums"):
        first, *others = [counts.tolist() for _, _, (counts,) in report[kind]]
        assert others == [first, first]


def test_no_probabilities(rng):
    x, y, _, _ = problem(rng, "nll", K)
    model = model_of("nll", K, ["log_loss"])
    model[0].bias[...] = 1  # no LogSoftmax: exp(out) is above 1
    with pytest.raises(ValueError, match=r"log_loss\] y_pred has numbers outside 0 to 1"):
        model.evaluate(x, y)
    with pytest.raises(ValueError, match=r"log_loss\] y_pred has numbers outside 0 to 1"):
        model.fit(x, y, epochs=3)
    assert len(model.history.history["loss"]) == 1


WRONG = [
    ("gaussian_nll", 2, "mae", "mae needs one output for each target; GaussianNLLLoss has 2"),
    ("quantile", 3, "r2", "r2 needs one output for each target; QuantileLoss has 3"),
    ("bce_with_logits", 1, "top_k", "top_k needs a loss of several classes"),
    ("bce_with_logits", 2, "log_loss", "log_loss needs the probabilities of one class a row"),
]


@pytest.mark.parametrize(("loss", "k", "metric", "message"), WRONG)
def test_compile_refuses_what_is_not_defined(loss, k, metric, message):
    with pytest.raises(ValueError, match=rf"\[Sequential.compile\] {message}"):
        model_of(loss, k, [metric])


def test_one_quantile_is_one_output(rng):
    x, y, _, _ = problem(rng, "mse", 1)
    model = model_of(nn.QuantileLoss(quantiles=[0.5]), 1, ["mae"])
    p = model.predict(x)
    assert model.evaluate(x, y)["mae"] == pytest.approx(sk.mean_absolute_error(y, p), rel=1e-12)
