# SPDX-License-Identifier: BSD-3-Clause
"""The pictures show curves, regions and counts as they are; matplotlib is optional."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn, optim, plot

GATE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
CORNERS = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]


@pytest.fixture
def plt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give pyplot, which draws into memory; figures are closed after the test."""
    pytest.importorskip("matplotlib").use("agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def trained(**options: Any) -> nn.History:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2), seed=1)
    schedule = optim.lr_scheduler.StepLR(0.5, step_size=2, by="epoch")
    model.compile(optim.SGD(lr=schedule), "cross_entropy", metrics=["accuracy"])
    return model.fit(GATE, [0, 1, 1, 0], epochs=5, **options)


def test_without_matplotlib_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = trained()
    model = nn.Sequential(nn.Linear(2, 1))
    model.compile("sgd", "mse")
    found = model.lr_find(GATE, np.ones(4), steps=3)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    calls = {
        "history": lambda: plot.history(record),
        "decision_boundary": lambda: plot.decision_boundary(model, GATE, [0, 1, 1, 0]),
        "confusion": lambda: plot.confusion([0, 1], [0, 1]),
        "lr_find": lambda: plot.lr_find(found),
    }
    assert sorted(calls) == sorted(plot.__all__)
    for name, call in calls.items():
        text = rf"^\[plot\.{name}\] matplotlib is not installed; expected it: pip install fastnn"
        with pytest.raises(ImportError, match=text):
            call()


# -- history ---------------------------------------------------------------------------------------


def test_a_history_has_axes_for_each_figure(plt: Any) -> None:
    record = trained(validation_data=(GATE[:3], [0, 1, 1]))
    axes = plot.history(record)
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy", "learning rate"]
    for name, ax in zip(("loss", "accuracy"), axes, strict=False):
        training, validation, best = ax.lines
        assert training.get_ydata().tolist() == record.history[name]
        assert validation.get_ydata().tolist() == record.history[f"val_{name}"]
        assert training.get_xdata().tolist() == record.epoch
        assert set(best.get_xdata()) == {record.best_epoch}
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert labels == ["training", "validation", f"best epoch: {record.best_epoch}"]
    assert axes[2].get_yscale() == "log"
    assert axes[2].lines[0].get_ydata().tolist() == record.history["lr"]


def test_figures_and_axes_can_be_chosen(plt: Any) -> None:
    record = trained()
    _, ax = plt.subplots()
    assert plot.history(record, ["accuracy"], ax=ax) == [ax]
    assert ax.lines[0].get_label() == "training"
    _, pair = plt.subplots(2)
    assert plot.history(record, ["lr", "loss"], ax=pair) == list(pair)
    assert pair[1].get_ylabel() == "loss"
    curves = {"loss": [3.0, 1.0, 2.0], "val_loss": [3.0, 2.0, 1.0]}  # Keras', or one's own
    (ax,) = plot.history(curves)
    assert ax.lines[-1].get_label() == "best epoch: 2"
    (ax,) = plot.history({"loss": [1.0]})
    assert ax.lines[0].get_marker() == "o"


def test_a_history_is_refused(plt: Any) -> None:
    record = trained()
    cases: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
        (TypeError, "record is 3; expected what fit returns", (3,), {}),
        (ValueError, "no epochs or no figures; expected some", (nn.History(),), {}),
        (ValueError, "record has 'loss' with shape", ({"loss": 1.0},), {}),
        (ValueError, "figures has 'auc'; expected some of: 'loss', 'acc", (record, ["auc"]), {}),
        (TypeError, "figures is 'loss'; expected a list", (record, "loss"), {}),
        (TypeError, "ax is .*; expected 3 axes", (record,), {"ax": plt.figure().gca()}),
        (TypeError, "ax is 'here'; expected 1 axes", (record, ["loss"]), {"ax": "here"}),
    ]
    for kind, text, args, options in cases:
        with pytest.raises(kind, match=rf"^\[plot\.history\] .*{text}"):
            plot.history(*args, **options)


# -- decision boundaries ---------------------------------------------------------------------------


def shown_classes(ax: Any) -> list[str]:
    """Return the class whose colour the picture has at each point that is drawn."""
    from matplotlib.colors import to_rgb

    (image,) = ax.images
    pixels, (left, right, low, high) = np.asarray(image.get_array()), image.get_extent()
    colours = {
        to_rgb(points.get_facecolor()[0]): points.get_label()
        for points in ax.collections
        if points.get_label() in labels_of(ax)
    }
    found = []
    for x, y in CORNERS:
        row = int((y - low) / (high - low) * len(pixels))
        column = int((x - left) / (right - left) * len(pixels))
        found.append(colours[tuple(pixels[row, column])])
    return found


def labels_of(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


class Estimator:
    """Has classes that are strings, as those of scikit-learn."""

    classes_ = np.array(["left", "right"])

    def predict_proba(self, x: Any) -> np.ndarray:
        right = 1 / (1 + np.exp(-5 * x[:, 0]))
        return np.stack([1 - right, right], axis=1)


def split_on_x(outputs: int, *, loss: str | None) -> nn.Sequential:
    """A network whose output 1, or only output, grows with the first column."""
    model = nn.Sequential(nn.Linear(2, outputs), dtype="float64")
    model[0].weight[...] = 0
    model[0].weight[outputs - 1, 0] = 3
    model[0].bias[...] = 0
    if loss is not None:
        model.compile("sgd", loss)
    return model


MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "an estimator": (Estimator(), {}),
    "one probability": (split_on_x(1, loss="bce_with_logits"), {}),
    "two probabilities": (split_on_x(2, loss="cross_entropy"), {}),
    "a score": (split_on_x(1, loss="hinge"), {"level": 0}),
    "a number": (split_on_x(1, loss="mse"), {"level": 0.0}),
    "not compiled": (split_on_x(2, loss=None), {}),
    "a function of scores": (lambda x: x[:, 0] + 0.5, {}),
    "a function of classes": (lambda x: F.step(x[:, 0]), {}),
}


@pytest.mark.parametrize("name", MODELS)
def test_regions_are_those_of_the_model(plt: Any, name: str) -> None:
    model, options = MODELS[name]
    y: Any = [0, 0, 1, 1] if name != "an estimator" else ["left", "left", "right", "right"]
    ax = plot.decision_boundary(model, CORNERS, y, resolution=50, **options)
    assert labels_of(ax) == [str(each) for each in np.unique(y)]
    assert shown_classes(ax) == [str(each) for each in y]
    lines = [part for part in ax.collections if hasattr(part, "levels")]
    assert len(lines) == 1  # the boundary
    across = np.concatenate([path.vertices for path in lines[0].get_paths()])[:, 0]
    assert abs(across).max() < 0.06


def test_regions_of_several_classes(plt: Any) -> None:
    def scores(x: Any) -> Any:
        return np.stack([-x[:, 0] - 1, x[:, 0] + x[:, 1] - 1, x[:, 0] - x[:, 1] - 1], axis=1)

    _, given = plt.subplots()
    ax = plot.decision_boundary(scores, CORNERS, [0, 0, 2, 1], resolution=80, ax=given)
    assert ax is given
    assert shown_classes(ax) == ["0", "0", "2", "1"]
    ax = plot.decision_boundary(scores, CORNERS, [0, 0, 0, 0], resolution=80)
    assert labels_of(ax) == ["0", "1", "2"]  # also those that no row has


def test_a_boundary_is_refused(plt: Any) -> None:
    good = lambda x: x[:, 0]  # noqa: E731
    cases: list[tuple[type[Exception], str, tuple[Any, ...]]] = [
        (ValueError, r"X has shape \(4, 3\); expected finite", (good, np.ones((4, 3)), [0] * 4)),
        (ValueError, r"X has shape \(0, 2\); expected finite", (good, np.ones((0, 2)), [])),
        (ValueError, "X has shape .*; expected finite", (good, GATE * np.nan, [0] * 4)),
        (ValueError, "y has 3 rows, X has 4", (good, GATE, [0, 1, 1])),
        (ValueError, "y has dtype complex128", (good, GATE, [1j] * 4)),
        (TypeError, "model is 'tree'; expected a model", ("tree", GATE, [0] * 4)),
        (ValueError, r"model gives shape \(\) for 25 rows", (len, GATE, [0, 1, 1, 0])),
        (ValueError, "one number for each row, and y has 3 classes", (good, GATE, [0, 1, 2, 0])),
    ]
    for kind, text, args in cases:
        with pytest.raises(kind, match=rf"^\[plot\.decision_boundary\] .*{text}"):
            plot.decision_boundary(*args, resolution=5)


# -- the others ------------------------------------------------------------------------------------


def test_confusion(plt: Any, rng: np.random.Generator) -> None:
    truth, guess = rng.integers(0, 3, 50), rng.integers(1, 4, 50)
    _, given = plt.subplots()
    ax = plot.confusion(truth, guess, ax=given)
    assert ax is given
    expected = [[int(np.sum((truth == i) & (guess == k))) for k in range(4)] for i in range(4)]
    assert np.asarray(ax.images[0].get_array()).tolist() == expected
    assert [text.get_text() for text in ax.texts] == [str(n) for row in expected for n in row]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "2", "3"]
    with pytest.raises(ValueError, match=r"^\[plot\.confusion\] y_pred has 2 rows, y_true has 3"):
        plot.confusion([0, 1, 1], [0, 1])
    with pytest.raises(ValueError, match=r"^\[plot\.confusion\] y_true has .* shape \(1, 2\)"):
        plot.confusion([[0, 1]], [0, 1])


def test_a_search_for_the_rate(plt: Any, rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Linear(4, 1))
    model.compile("sgd", "mse")
    x = rng.standard_normal((200, 4))
    found = model.lr_find(x, x.sum(axis=1), steps=40)
    _, given = plt.subplots()
    ax = plot.lr_find(found, ax=given)
    assert ax is given
    assert ax.lines[0].get_xdata().tolist() == found.rates.tolist()
    assert ax.lines[0].get_ydata().tolist() == found.smoothed.tolist()
    assert set(ax.lines[1].get_xdata()) == {found.suggestion}
    with pytest.raises(TypeError, match=r"^\[plot\.lr_find\] found is 0\.1; expected what model"):
        plot.lr_find(0.1)  # type: ignore[arg-type]
