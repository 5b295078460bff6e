# SPDX-License-Identifier: BSD-3-Clause
"""Metrics of a model: in compile, fit, evaluate, history, callbacks, copies and files."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, metrics, nn, optim
from models import COPIES


def mean_error(y_true: Any, y_pred: Any) -> float:
    return float(np.mean(y_true - y_pred[:, 0]))


def weighted(y_true: Any, y_pred: Any, sample_weight: Any) -> float:
    return -1.0 if sample_weight is None else float(sample_weight.sum())


@pytest.fixture
def rows(rng: np.random.Generator) -> tuple[Any, Any]:
    x = rng.normal(size=(90, 4))
    return x, np.digitize(x[:, 0], [-0.5, 0.5])


def compiled(loss: Any = "cross_entropy", outputs: int = 3, **more: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs), dtype="float64")
    model.compile(optim.Adam(lr=0.02), loss, **more)
    return model


OF_CLASSES = ["accuracy", "f1", "auc", "top_k", "log_loss", "hamming", "average_precision"]


def test_figures_are_those_of_the_functions(rows):
    x, y = rows
    model = compiled(metrics=[*OF_CLASSES, metrics.TopK(2), metrics.Recall("micro")])
    w = np.linspace(0, 1, len(y))
    found = model.evaluate(x, y, w)
    p = model.predict(x)
    labels = p.argmax(axis=1)
    expected = {
        "accuracy": metrics.accuracy(y, labels, sample_weight=w),
        "f1": metrics.f1(y, labels, average="macro", sample_weight=w),
        "auc": metrics.auc(y, p, sample_weight=w),
        "top_k": 1.0,
        "log_loss": found["loss"],
        "hamming": metrics.hamming(y, labels, sample_weight=w),
        "average_precision": metrics.average_precision(y, p, sample_weight=w),
        "top_2": metrics.top_k(y, p, k=2, sample_weight=w),
        "recall_micro": metrics.recall(y, labels, average="micro", sample_weight=w),
    }
    assert list(found) == ["loss", *expected]
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("loss", ["bce_with_logits", "bce", "hinge"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_yes_and_no(rng, loss, outputs):
    x = rng.normal(size=(60, 4))
    flags = x[:, :outputs] > 0.3
    y = np.where(flags, 1, -1) if loss == "hinge" else flags.astype(int)
    layers = [nn.Linear(4, outputs)] + ([nn.Sigmoid()] if loss == "bce" else [])
    model = nn.Sequential(*layers, dtype="float64")
    model.compile(optim.Adam(lr=0.1), loss, metrics=["accuracy", "f1", "hamming", "auc"])
    model.fit(x, y, epochs=10)
    found = model.evaluate(x, y)
    p = model.predict(x)
    labels = (p > (0 if loss == "hinge" else 0.5)).astype(int)
    average: Any = "binary" if outputs == 1 else "macro"
    assert found["accuracy"] == pytest.approx(1 - found["hamming"], rel=1e-12)
    assert found["f1"] == metrics.f1(flags, labels, average=average)
    assert found["auc"] == metrics.auc(flags, p)
    assert found["f1"] > 0.5


def test_figures_of_every_class(rows):
    x, y = rows
    model = compiled(metrics=[metrics.F1(None), "confusion_counts"])
    found = model.evaluate(x, np.where(y == 2, 0, y))  # class 2 is not among the targets
    assert [name for name in found if name.startswith("f1")] == ["f1_0", "f1_1", "f1_2"]
    assert sum(found[f"confusion_counts_{each}_1"] for each in ("tn", "fp", "fn", "tp")) == len(y)
    assert found["confusion_counts_tp_2"] == 0
    assert len(found) == 1 + 3 + 12


def test_regression(rng):
    x = rng.normal(size=(60, 4))
    y = x[:, :2] @ np.array([[1.0, 2.0], [0.5, -1.0]])
    model = compiled("mse", 2, metrics=["mae", "mse", "rmse", "mape", "r2"])
    model.fit(x, y, epochs=20)
    found, p = model.evaluate(x, y), model.predict(x)
    assert found["mse"] == pytest.approx(found["loss"], rel=1e-12)
    for name in ("mae", "rmse", "mape", "r2"):
        assert found[name] == getattr(metrics, name)(y, p)
    single = compiled("mse", 1, metrics=["mae"])
    assert single.evaluate(x, y[:, 0])["mae"] == metrics.mae(y[:, 0], single.predict(x)[:, 0])


def test_fit_logs_the_figures_of_validation_rows(rows):
    x, y = rows
    seen: list[dict[str, float]] = []
    each = callbacks.LambdaCallback(on_epoch_end=lambda _, logs: seen.append(dict(logs)))
    model = compiled(metrics=["accuracy", "f1", weighted])
    history = model.fit(x[:60], y[:60], epochs=3, validation_data=(x[60:], y[60:]), callbacks=each)
    held_out = ["val_loss", "val_accuracy", "val_f1", "val_weighted"]
    assert list(history.history) == ["loss", "accuracy", *held_out]
    assert [list(logs) for logs in seen] == [list(history.history)] * 3
    assert history.history["val_f1"][-1] == model.evaluate(x[60:], y[60:])["f1"]
    assert history.history["val_weighted"] == [-1.0] * 3
    quiet = compiled(metrics=["accuracy", "f1", weighted])
    again = quiet.fit(x[:60], y[:60], epochs=3, validation_data=(x[60:], y[60:], np.ones(30)))
    assert again.history["val_f1"] == history.history["val_f1"]
    assert again.history["val_weighted"] == [30.0] * 3
    assert again.steps == history.steps
    assert list(compiled(metrics=["f1"]).fit(x, y).history) == ["loss"]


def test_callbacks_know_which_figures_are_to_be_large(rows):
    x, y = rows
    for name in ("val_f1", "val_top_3", "val_auc_ovo", "val_f1_macro", "val_r2", "my_accuracy"):
        assert metrics.larger_is_better(name), name
        assert callbacks.EarlyStopping(name)._sign == -1
    for name in ("val_loss", "val_log_loss", "hamming", "mae", "confusion_counts_fp", "mean_error"):
        assert not metrics.larger_is_better(name), name
    stop = callbacks.EarlyStopping("val_f1", patience=3)
    model = compiled(metrics=["f1"])
    history = model.fit(x, y, epochs=30, validation_split=0.3, callbacks=[stop])
    curve = history.history["val_f1"]
    assert stop.best == max(curve)
    assert stop.best_epoch == history.best("val_f1") == curve.index(max(curve))
    losses = history.history["val_loss"]
    assert history.best_epoch == losses.index(min(losses))


def test_best_epochs():
    history = nn.History(history={"loss": [3.0, float("nan"), 2.0, 2.0]}, epoch=[5, 6, 7, 8])
    assert history.best_epoch == 7
    assert history.best("loss", "max") == 5
    assert nn.History().best_epoch is None
    assert nn.History(history={"loss": [float("nan")]}, epoch=[0]).best_epoch is None
    with pytest.raises(ValueError, match="monitor is 'f1'; the history has loss"):
        history.best("f1")
    with pytest.raises(ValueError, match="mode is 'least'"):
        history.best("loss", "least")


def test_an_error_of_a_function_comes_out_as_itself(rows):
    x, y = rows
    calls = []

    def fails(y_true: Any, y_pred: Any) -> float:
        calls.append(len(y_true))
        if len(calls) == 2:
            raise KeyError("mine")
        return 0.0

    model = compiled(metrics=[fails])
    with pytest.raises(KeyError, match="mine"):
        model.fit(x, y, epochs=5, validation_split=0.5)
    assert calls == [45, 45]
    assert len(model.history.history["loss"]) == 1  # the second epoch has no figures
    assert model.evaluate(x, y)["fails"] == 0.0  # and the model is usable


def test_a_function_may_use_the_model(rows):
    x, y = rows

    def spread(y_true: Any, y_pred: Any) -> float:
        return float(np.ptp(model.predict(x)) + np.ptp(y_pred))

    model = compiled(metrics=[spread])
    assert model.fit(x, y, epochs=2, validation_split=0.5).history["val_spread"][0] > 0


@pytest.mark.parametrize("way", COPIES)
def test_copies_have_the_metrics(rows, way):
    x, y = rows
    model = compiled(
        metrics=["f1", metrics.TopK(2), metrics.F1("weighted", float("nan")), weighted]
    )
    copied = COPIES[way](model)
    assert copied.evaluate(x, y) == model.evaluate(x, y)
    assert copied._compiled.metrics == model._compiled.metrics


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_files_have_the_metrics(rows, tmp_path, suffix):
    x, y = rows
    model = compiled(metrics=["accuracy", metrics.TopK(2), metrics.F1(None, float("nan"))])
    model.fit(x, y, epochs=2, validation_split=0.5)
    model.save(tmp_path / f"model.{suffix}")
    loaded: Any = fastnn.load(tmp_path / f"model.{suffix}")
    assert loaded.evaluate(x, y) == model.evaluate(x, y)
    assert loaded.history.history == model.history.history
    assert loaded.history.best("val_top_2") == model.history.best("val_top_2")


def test_files_refuse_functions(rows, tmp_path):
    model = compiled(metrics=["f1", weighted])
    with pytest.raises(
        TypeError, match=r"metric weighted is of the class function, .*Pickle the model"
    ):
        model.save(tmp_path / "model.npz")


class OwnClass(metrics.Metric):
    registry_name = "own_class"

    def compute(self, kind: Any, y: Any, p: Any, w: Any) -> float:
        return float(len(y))


def test_a_class_of_ones_own(rows, tmp_path):
    x, y = rows
    model = compiled(metrics=[OwnClass()])
    assert model.evaluate(x, y)["own_class"] == 90
    assert COPIES["pickle"](model).evaluate(x, y)["own_class"] == 90
    with pytest.raises(TypeError, match="metric own_class is of the class OwnClass"):
        model.save(tmp_path / "model.npz")


def anonymous() -> Any:
    return lambda *_: 0.0


WRONG: list[tuple[Any, Any, type[Exception], str]] = [
    ("cross_entropy", ["bleu"], ValueError, "unknown metric 'bleu'; known: AUC|unknown metric"),
    ("cross_entropy", "f1", TypeError, "metrics is 'f1'; expected a list"),
    ("cross_entropy", [metrics.F1], TypeError, r"metrics has the class F1; write it with \(\)"),
    ("cross_entropy", [3], ValueError, "unknown metric 3"),
    ("cross_entropy", ["f1", metrics.F1(None)], ValueError, "two metrics are called 'f1'"),
    ("cross_entropy", ["mae"], ValueError, "mae needs a loss of numbers; CrossEntropyLoss is for"),
    ("cross_entropy", [metrics.F1("binary")], ValueError, "f1_binary is of the classes 0 and 1"),
    ("cross_entropy", [anonymous()], ValueError, "without a name; expected a function made by def"),
    ("cross_entropy", [functools.partial(weighted)], ValueError, "without a name"),
    ("mse", ["f1"], ValueError, "f1 needs a loss of classes; MSELoss is for regression"),
    ("mse", ["accuracy"], ValueError, "accuracy needs a loss of classes; MSELoss"),
    ("bce", ["top_k"], ValueError, "top_k needs a loss of several classes; BCELoss"),
    ("hinge", ["log_loss"], ValueError, "log_loss needs the probabilities of one class a row"),
]


@pytest.mark.parametrize(("loss", "given", "kind", "message"), WRONG)
def test_compile_refuses(loss, given, kind, message):
    with pytest.raises(kind, match=message):
        compiled(loss, metrics=given)


@pytest.mark.parametrize("value", ["much", None, [1, 2]])
def test_a_function_has_to_return_a_number(rows, value):
    def mine(y_true: Any, y_pred: Any) -> Any:
        return value

    with pytest.raises(TypeError, match=r"mine returned .*; expected a number"):
        compiled(metrics=[mine]).evaluate(*rows)


@pytest.mark.parametrize("make", [lambda: metrics.F1("samples"), lambda: metrics.AUC("binary")])
def test_averages_are_checked(make):
    with pytest.raises(ValueError, match="expected one of"):
        make()
    with pytest.raises(ValueError, match="with 'ovo'"):
        metrics.AUC(None, "ovo")
    assert metrics.F1(zero_division=float("nan")) == metrics.F1(zero_division=float("nan"))
    assert metrics.F1() != metrics.F1("macro")
