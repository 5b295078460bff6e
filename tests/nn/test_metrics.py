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
        assert found[name] == pytest.approx(getattr(metrics, name)(y, p), rel=1e-12)
    single = compiled("mse", 1, metrics=["mae"])
    alone = metrics.mae(y[:, 0], single.predict(x)[:, 0])
    assert single.evaluate(x, y[:, 0])["mae"] == pytest.approx(alone, rel=1e-12)


def test_fit_logs_the_figures_of_training_and_validation_rows(rows):
    x, y = rows
    seen: list[dict[str, float]] = []
    each = callbacks.LambdaCallback(on_epoch_end=lambda _, logs: seen.append(dict(logs)))
    model = compiled(metrics=["accuracy", "f1", weighted])
    history = model.fit(x[:60], y[:60], epochs=3, validation_data=(x[60:], y[60:]), callbacks=each)
    held_out = ["val_loss", "val_accuracy", "val_f1", "val_weighted"]
    assert list(history.history) == ["loss", "accuracy", "f1", *held_out]
    assert [list(logs) for logs in seen] == [list(history.history)] * 3
    assert history.history["val_f1"][-1] == model.evaluate(x[60:], y[60:])["f1"]
    assert history.history["val_weighted"] == [-1.0] * 3
    quiet = compiled(metrics=["accuracy", "f1", weighted])
    again = quiet.fit(x[:60], y[:60], epochs=3, validation_data=(x[60:], y[60:], np.ones(30)))
    assert again.history["val_f1"] == history.history["val_f1"]
    assert again.history["val_weighted"] == [30.0] * 3
    assert again.steps == history.steps
    assert quiet.history.history["f1"] == history.history["f1"]
    assert list(compiled(metrics=["f1", "auc"]).fit(x, y).history) == ["loss", "f1"]


def test_training_figures_are_those_of_the_outputs_of_the_steps(rows):
    """Of batches before their updates, with dropout, and with the weights of classes."""
    x, y = rows
    model = compiled(metrics=["f1", "log_loss"])
    expected = []
    twin = compiled(metrics=["f1", "log_loss"])
    for at in range(0, 90, 30):
        expected.append(twin.predict(x[at : at + 30]))
        twin.train_step(x[at : at + 30], y[at : at + 30])
    p = np.concatenate(expected)
    curves = model.fit(x, y, 30, shuffle=False).history
    assert curves["f1"][0] == pytest.approx(metrics.f1(y, p.argmax(axis=1), average="macro"))
    assert curves["log_loss"][0] == pytest.approx(curves["loss"][0], rel=1e-12)
    still = compiled(metrics=[metrics.Recall("weighted"), "top_k"])
    still.compile(optim.SGD(lr=0.0), "cross_entropy", [metrics.F1("weighted"), "hamming"])
    table = {0: 2.0, 1: 0.5, 2: 1.0}
    w, labels = np.take([2.0, 0.5, 1.0], y), still.predict(x).argmax(axis=1)
    curves = still.fit(x, y, 7, class_weight=table, validation_data=(x, y)).history
    f1 = [metrics.f1(y, labels, average="weighted", sample_weight=each) for each in (w, None)]
    assert curves["f1_weighted"][0] == pytest.approx(f1[0], rel=1e-12)
    assert curves["val_f1_weighted"][0] == pytest.approx(f1[1], rel=1e-12)
    dropping = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.9), nn.Linear(8, 3), dtype="float64")
    dropping.compile(optim.SGD(lr=0.0), "cross_entropy", ["log_loss"])
    curves = dropping.fit(x, y, epochs=2, validation_data=(x, y)).history
    assert curves["log_loss"] == pytest.approx(curves["loss"], rel=1e-12)
    assert curves["log_loss"][0] != curves["log_loss"][1] != curves["val_log_loss"][1]


def test_groups_of_batches_and_penalties_change_no_figure(rows):
    x, y = rows
    still = {"optimizer": optim.SGD(lr=0.0, weight_decay=0.1), "loss": "cross_entropy"}
    curves = []
    for more in ({}, {"accumulate": 4}, {"penalty_in_loss": True}):
        model = compiled()
        model.compile(**still, metrics=["f1", "accuracy", "auc"], **more)  # type: ignore[arg-type]
        curves.append(model.fit(x, y, 8, 2, validation_split=0.2).history)
    for name in ("f1", "accuracy", "val_f1", "val_accuracy", "val_auc"):
        assert curves[0][name] == curves[1][name] == curves[2][name]
    order = ["loss", "penalty", "f1", "accuracy", "val_loss", "val_f1", "val_accuracy", "val_auc"]
    assert list(curves[2]) == order


def test_metrics_of_an_average(rows):
    x, y = rows
    model = compiled(metrics=["f1", "auc"], average=optim.SWA())
    model.fit(x, y, epochs=3)
    last = model.evaluate(x, y)
    with model.averaged():
        found, p = model.evaluate(x, y), model.predict(x)
        labels = p.argmax(axis=1)
        assert found["f1"] == pytest.approx(metrics.f1(y, labels, average="macro"), rel=1e-12)
        assert found["auc"] == metrics.auc(y, p)
    assert found != last == model.evaluate(x, y)


def test_metrics_of_an_autoencoder(rows):
    x, _ = rows
    model = compiled("mse", 4, metrics=["mae", "r2", "rmse"])
    curves = model.fit(x, epochs=2, validation_data=(x[:20],)).history
    assert list(curves)[:4] == ["loss", "mae", "r2", "rmse"]
    found, p = model.evaluate(x), model.predict(x)
    for name in ("mae", "r2", "rmse"):
        assert found[name] == pytest.approx(getattr(metrics, name)(x, p), rel=1e-12)
        assert curves[f"val_{name}"][-1] == model.evaluate(x[:20])[name]


def test_a_function_as_loss_leaves_metrics_to_predictions(rows):
    x, _ = rows
    y = x[:, :1] * 2

    def squared(out: Any, target: Any) -> Any:
        return float(np.mean((out - target) ** 2)), 2 * (out - target) / out.size

    model = compiled(squared, 1, metrics=["mae", "r2"])
    curves = model.fit(x, y, epochs=2, validation_data=(x, y)).history
    assert list(curves) == ["loss", "val_loss", "val_mae", "val_r2"]
    assert model.evaluate(x, y)["mae"] == curves["val_mae"][-1] == metrics.mae(y, model.predict(x))


def test_the_loss_and_the_metrics_take_one_pass(rows, monkeypatch):
    """AUC needs predictions, which are kept from the pass that computes the loss."""
    x, y = rows
    model = compiled(metrics=["auc", "f1"])
    network: Any = type(model._network)
    monkeypatch.setattr(network, "predict", None)
    assert list(model.fit(x, y, validation_split=0.5).history)[-1] == "val_f1"
    assert model.evaluate(x, y)["auc"] > 0


def test_callbacks_see_figures_of_training_rows(rows):
    x, y = rows
    stop = callbacks.EarlyStopping("f1", patience=2)
    model = compiled(metrics=["f1"])
    history = model.fit(x, y, epochs=40, callbacks=[stop])
    assert stop.best == max(history.history["f1"])
    with pytest.raises(ValueError, match="auc"):
        compiled(metrics=["auc"]).fit(x, y, callbacks=callbacks.EarlyStopping("auc"))


def test_rows_that_come_in_parts_have_the_same_figures(rows):
    x, y = rows
    kinds = ["accuracy", "f1", "log_loss", "auc"]
    whole, parts = compiled(metrics=kinds), compiled(metrics=kinds)
    curves = whole.fit(x, y, 16, 3, shuffle=False, validation_data=(x[:20], y[:20])).history
    given = [(x[at : at + 25], y[at : at + 25]) for at in range(0, 90, 25)]
    stream = parts.fit_stream(given, 3, 16, validation_data=(x[:20], y[:20]))
    assert stream.history == curves
    assert list(curves)[:4] == ["loss", "accuracy", "f1", "log_loss"]


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


class Doubled(metrics.F1):
    def compute(self, kind: Any, y: Any, p: Any, w: Any) -> Any:
        return 2 * super().compute(kind, y, p, w)


def test_a_class_derived_from_a_metric_is_asked(rng):
    """It computes from predictions, whatever the sums of its base are."""
    x = rng.normal(size=(60, 4))
    y = (x[:, 0] > 0.3).astype(int)
    own, plain = (compiled("hinge", 1, metrics=[cls()]) for cls in (Doubled, metrics.F1))
    assert own.evaluate(x, y)["f1"] == 2 * plain.evaluate(x, y)["f1"]
    assert list(own.fit(x, y, validation_split=0.5).history) == ["loss", "val_loss", "val_f1"]


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
