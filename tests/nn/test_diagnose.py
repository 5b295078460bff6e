# SPDX-License-Identifier: BSD-3-Clause
"""`diagnose` finds each fault in a model that has it, none in sound ones, and changes nothing."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fastnn import diagnose, nn, optim
from members import cases, ending, fitted, linear, network_with, row_of, targets
from models import layer_of

if TYPE_CHECKING:
    from collections.abc import Callable

Case = tuple[nn.Sequential, Any, Any]


def data(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).standard_normal((n, 4))
    return x, (x[:, 0] > 0) * 1 + (x[:, 1] > 0)


def sound(*layers: nn.Layer, optimizer: Any = "adam", **options: Any) -> nn.Sequential:
    layers = layers or (nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    model = nn.Sequential(*layers, seed=1, **options)
    model.compile(optimizer, "cross_entropy")
    return model


def healthy() -> Case:
    return sound(), *data()


def unscaled_pixels() -> Case:
    x, y = data()
    return sound(), (100 + 50 * x).round(), y


def tiny_numbers() -> Case:
    x, y = data()
    return sound(), 1e-4 * x, y


def constant_column() -> Case:
    x, y = data()
    x[:, 2] = 1.5
    return sound(), x, y


def one_class() -> Case:
    x, y = data()
    return sound(), x, np.ones_like(y)


def dead_relus(where: str = "0") -> Case:
    model = sound()
    model[int(where)].bias[...] = -100
    return model, *data()


def dead_inside() -> Case:
    model = sound(
        nn.Linear(4, 8),
        nn.Residual(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)),
        nn.Linear(8, 3),
    )
    model[1][0].bias[...] = -100
    return model, *data()


def saturated_sigmoids() -> Case:
    model = sound(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3))
    model[0].bias[...] = 50
    return model, *data()


def many_sigmoids() -> Case:
    deep = [layer for _ in range(10) for layer in (nn.Linear(8, 8), nn.Sigmoid())]
    return sound(nn.Linear(4, 8), *deep, nn.Linear(8, 3)), *data()


def growing_layers() -> Case:
    deep = [nn.Linear(8, 8) for _ in range(6)]
    model = sound(nn.Linear(4, 8), *deep, nn.Linear(8, 3))
    for layer in deep:
        layer.weight[...] = 30 * np.eye(8)
    return model, *data()


def confident() -> Case:
    model = sound()
    model[3].bias[...] = [0, 0, 40]
    return model, *data()


def far_targets() -> Case:
    x, _ = data()
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1), seed=1)
    model.compile("adam", "mse")
    return model, x, 1000 + x[:, 0]


def two_softmaxes() -> Case:
    return sound(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax()), *data()


def noise_as_targets() -> Case:
    """Equal rows with different targets."""
    _, y = data()
    return sound(), np.tile([1.0, -1.0, 0.5, 0.0], (300, 1)), y


def everything_frozen() -> Case:
    return sound().freeze(), *data()


def large_rate() -> Case:
    return sound(optimizer=optim.SGD(lr=1e4)), *data()


def small_rate() -> Case:
    return sound(optimizer=optim.SGD(lr=1e-7)), *data()


# What has to be found; other faults that follow from it may be found as well.
FAULTS: dict[Callable[[], Case], tuple[str, str]] = {
    unscaled_pixels: ("unscaled_inputs", "X"),
    tiny_numbers: ("unscaled_inputs", "X"),
    constant_column: ("constant_columns", "X"),
    one_class: ("constant_targets", "y"),
    dead_relus: ("dead_units", "layer 1, ReLU"),
    dead_inside: ("dead_units", "layer 1.1, ReLU"),
    saturated_sigmoids: ("dead_units", "layer 1, Sigmoid"),
    many_sigmoids: ("vanishing_gradients", "parameter 0.weight"),
    growing_layers: ("exploding_gradients", "parameter 0.weight"),
    confident: ("large_first_loss", "loss"),
    far_targets: ("large_first_loss", "loss"),
    two_softmaxes: ("softmax_twice", "outputs"),
    noise_as_targets: ("cannot_overfit", "model"),
    everything_frozen: ("cannot_overfit", "model"),
    large_rate: ("rate_too_large", "optimizer"),
    small_rate: ("rate_too_small", "optimizer"),
}


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.__name__)
def test_a_fault_is_found_and_nothing_changes(case: Callable[[], Case]) -> None:
    model, x, y = case()
    before = pickle.dumps(model)
    report = model.diagnose(x, y)
    assert pickle.dumps(model) == before
    assert FAULTS[case] in [(finding.name, finding.where) for finding in report.findings]
    text = str(report)
    for finding in report.findings:
        assert finding.name in text
        assert len(finding.what) > 20
        assert len(finding.advice) > 20
    assert max(map(len, text.splitlines())) <= 100 or "dead_units:" in text
    assert json.loads(json.dumps(report.to_dict()))["findings"][0]["advice"]


SOUND: dict[str, Callable[[], Case]] = {
    "classes": healthy,
    "float64": lambda: (sound(dtype="float64"), *data()),
    "tanh": lambda: (sound(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3)), *data()),
    "norms": lambda: (
        sound(
            nn.Linear(4, 32),
            nn.BatchNorm1d(32),
            nn.GELU(),
            nn.Residual(nn.ReLU(), nn.Linear(32, 32)),
            nn.LayerNorm(32),
            nn.Linear(32, 3),
        ),
        *data(),
    ),
    "pixels": lambda: (
        sound(nn.Rescale(1 / 50, -2.0), nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3)),
        (100 + 50 * data()[0]).round(),
        data()[1],
    ),
    "few rows": lambda: (sound(), *data(6)),
    "lists": lambda: (sound(), *(a.tolist() for a in data())),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_where_nothing_is_wrong(name: str) -> None:
    model, x, y = SOUND[name]()
    report = model.diagnose(x, y)
    assert report.findings == (), str(report)
    assert "nothing was found" in str(report)
    assert report.figures["learned_by_heart"]["accuracy"] >= 0.9


def test_the_first_loss_stands_beside_that_of_a_constant() -> None:
    model, x, y = healthy()
    figures = model.diagnose(x, y).figures
    assert figures["loss_of_a_constant"] == pytest.approx(np.log(3), rel=1e-6)
    assert figures["first_loss"] == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-6)
    far, x, y = far_targets()
    assert far.diagnose(x, y).figures["loss_of_a_constant"] == pytest.approx(y.var(), rel=1e-6)


def test_a_training_goes_on_as_it_would_have() -> None:
    one, x, y = healthy()
    other, _, _ = healthy()
    for model in (one, other):
        model.fit(x, y)
    one.diagnose(x, y)
    for model in (one, other):
        model.fit(x, y)
    assert pickle.dumps(one) == pickle.dumps(other) or one.history.history == other.history.history
    for key, value in one.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[key])


def test_layers_that_draw_are_quiet_when_rows_are_learned_by_heart() -> None:
    for noise in (nn.Dropout(0.95), nn.GaussianNoise(30.0)):
        model = sound(nn.Linear(4, 16), nn.ReLU(), noise, nn.Linear(16, 3))
        report = model.diagnose(*data())
        assert report.figures["learned_by_heart"]["accuracy"] >= 0.9
        assert "cannot_overfit" not in [finding.name for finding in report.findings]


def test_the_rate_is_that_of_lr_find() -> None:
    model, x, y = healthy()
    report = model.diagnose(x, y)
    found = model.lr_find(x, y, batch_size=32)
    assert report.figures["rate"] == {"lr": 1e-3, "suggestion": found.suggestion}


def test_models_of_a_subclass() -> None:
    class Own(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), seed=1)

    model = Own()
    model.compile("adam", "cross_entropy")
    assert model.diagnose(*data()).findings == ()


def test_a_schedule_is_judged_by_its_first_rate() -> None:
    model, x, y = healthy()
    for rate, found in ((0.1, []), (1e4, ["rate_too_large"])):
        schedule = optim.lr_scheduler.CosineAnnealingLR(rate)  # it lasts a fit
        model.compile(optim.SGD(lr=schedule), "cross_entropy")
        assert [finding.name for finding in model.diagnose(x, y).findings] == found


def test_it_has_to_be_compiled() -> None:
    with pytest.raises(ValueError, match=r"^\[Sequential.diagnose\] the model is not compiled"):
        nn.Sequential(nn.Linear(4, 2)).diagnose(*data())


@pytest.mark.parametrize(("name", "hyper"), cases("losses"))
def test_every_loss(rng: np.random.Generator, name: str, hyper: dict[str, Any]) -> None:
    hyper, k = fitted(name, hyper, 3)
    layers = [linear(5, 7), ("tanh", {}), linear(7, 3), *ending(name, 3, hyper)]
    model = nn.Sequential(*(layer_of(*layer) for layer in layers), seed=2)
    loss: Any = getattr(nn, row_of("losses", name)["class_name"])
    model.compile("adam", loss(**hyper))
    y = targets(rng, name, 9, k, hyper=hyper)
    report = model.diagnose(rng.standard_normal((9, 5)), y)
    assert not {"unscaled_inputs", "constant_columns", "dead_units"} & {
        finding.name for finding in report.findings
    }
    assert np.isfinite(report.figures["loss_of_a_constant"])


@pytest.mark.parametrize(
    ("name", "hyper"), cases("activations") + cases("layers") + cases("inputs")
)
def test_every_layer(rng: np.random.Generator, name: str, hyper: dict[str, Any]) -> None:
    layers = [layer_of(*layer) for layer in network_with(name, hyper, 5, 7, 3)]
    model = nn.Sequential(*layers, seed=2)
    model.compile("adam", "mse")
    report = model.diagnose(rng.standard_normal((9, 5)), rng.standard_normal((9, 3)))
    assert isinstance(report, diagnose.Report)
