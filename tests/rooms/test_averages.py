# SPDX-License-Identifier: BSD-3-Clause
"""compile(average=...): EMA and SWA as in torch, and the average in the place of the values."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn
from fastnn import _core, callbacks, nn, optim, reference
from fastnn._optimizers import AVERAGES
from layouts import DTYPES
from pairs import Pair

if TYPE_CHECKING:
    from pathlib import Path

ROWS, BATCH, EPOCHS = 50, 8, 4  # seven updates an epoch
LAYERS: Any = [
    ("linear", {"in_features": 5, "out_features": 17}),
    ("relu", {}),
    ("linear", {"in_features": 17, "out_features": 3}),
]


def model_of(average: Any, dtype: str = "float64", *more: Any, **settings: Any) -> nn.Sequential:
    layers = (nn.Linear(5, 17), *more, nn.ReLU(), nn.Linear(17, 3))
    model = nn.Sequential(*layers, dtype=dtype, seed=3)
    model.compile(optim.SGD(lr=0.1), "cross_entropy", average=average, **settings)
    return model


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((ROWS, 5)), rng.integers(0, 3, ROWS)


def values(model: nn.Sequential) -> dict[str, np.ndarray]:
    return {key: value.copy() for key, value in model.state_dict().items()}


def averages(model: nn.Sequential) -> dict[str, np.ndarray]:
    with model.averaged():
        return values(model)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray], tolerance: float = 0) -> None:
    assert list(one) == list(other)
    for key, value in one.items():
        np.testing.assert_allclose(other[key], value, rtol=tolerance, atol=tolerance)


def differs(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return any((other[key] != value).any() for key, value in one.items())


def in_torch(torch: Any, model: nn.Sequential, data: Any, averaged: Any) -> None:
    """Train a copy in torch; `averaged` is called after each update."""
    other = model.to_torch()
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    x, y = map(torch.from_numpy, data)
    for _ in range(EPOCHS):
        for first in range(0, ROWS, BATCH):
            rows = slice(first, first + BATCH)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(other(x[rows]), y[rows]).backward()
            optimizer.step()
            averaged(other)


@pytest.mark.parametrize(
    ("average", "updates"),
    [
        (optim.EMA(0.9), range(28)),
        (optim.EMA(0.7, every=3, start_step=4), range(4, 28, 3)),
        (optim.SWA(), (6, 13, 20, 27)),
        (optim.SWA(start_epoch=1), (13, 20, 27)),
        (optim.SWA(every=2), (6, 20)),
        (optim.SWA(1, unit="steps", every=2), range(8, 28, 2)),
    ],
    ids=repr,
)
def test_averages_are_those_of_torch(torch: Any, data: Any, average: Any, updates: Any) -> None:
    model = model_of(average)
    swa = torch.optim.swa_utils
    made: list[Any] = []
    step = 0

    def averaged(other: Any) -> None:
        nonlocal step
        if not made:
            of = (
                {}
                if not hasattr(average, "decay")
                else {"multi_avg_fn": swa.get_ema_multi_avg_fn(average.decay)}
            )
            made.append(swa.AveragedModel(other, **of))
        if step in updates:
            made[0].update_parameters(other)
        step += 1

    in_torch(torch, model, data, averaged)
    model.fit(*data, BATCH, EPOCHS, shuffle=False)
    expected = {k: v.numpy() for k, v in made[0].module.state_dict().items()}
    same(expected, averages(model), 1e-13)
    assert model._network.snapshot()["averaged"] == int(made[0].n_averaged)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        (row["name"], hyper)
        for row in _core.registries()["averages"]
        for hyper in (
            {},
            *({p["name"]: p["tries"]} for p in row["params"]),
            {p["name"]: p["tries"] for p in row["params"] if p["name"] != "unit"},
        )
    ],
    ids=str,
)
def test_averages_are_those_of_the_twin(data: Any, name: str, hyper: Any, dtype: str) -> None:
    pair = Pair(LAYERS, dtype).compile("cross_entropy", "adam", average=(name, hyper))
    for network in (pair.engine, pair.twin):
        network.fit(*data, batch_size=BATCH, epochs=5, seed=4)
        network.train_step(*data)
    assert pair.engine.snapshot()["averaged"] == pair.twin.averaged > 0
    pair.engine.use_averages(True)
    twins = {f"{key}.{name}": value for (key, name), value in pair.twin.averages.items()}
    for entry in pair.engine.parameters():
        pair.close(entry["array"], twins[entry["key"]], "training")


def test_rows_classes_and_the_twin_have_the_same_parameters() -> None:
    for row in _core.registries()["averages"]:
        cls, twin = AVERAGES[row["name"]], reference.AVERAGES[row["name"]]
        assert cls.__name__ == row["class_name"] == twin.class_name
        assert cls().hyper() == twin.hypers
        assert cls.__name__ in optim.__all__


def test_bias_correction_is_that_of_adam(data: Any) -> None:
    """The share (1 - d) / (1 - d^n) is a mean that began at zero, divided by 1 - d^n."""
    model = model_of(optim.EMA(0.8, bias_correction=True))
    mean = np.zeros_like(model[0].weight)
    for _ in range(6):
        model.train_step(*data)
        mean = 0.8 * mean + 0.2 * model[0].weight
    np.testing.assert_allclose(averages(model)["0.weight"], mean / (1 - 0.8**6), rtol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "settings", [{}, {"accumulate": 2}, {"max_grad_norm": 0.1}, {"penalty_in_loss": True}], ids=str
)
def test_the_bits_do_not_depend_on_threads(data: Any, dtype: str, settings: Any) -> None:
    plain = model_of(None, dtype, **settings)
    plain.fit(*data, BATCH, 3)
    found = []
    for threads in (1, 2, 3, 8):
        model = model_of(optim.EMA(0.9), dtype, **settings)
        model.fit(*data, BATCH, 3, n_threads=threads)
        same(values(plain), values(model))  # an average changes nothing of the training
        found.append(averages(model))
    for other in found[1:]:
        same(found[0], other)


@pytest.mark.parametrize("rows", [1, 3, 33])
def test_single_rows_and_parts_of_steps_count(data: Any, rows: int) -> None:
    x, y = data[0][:rows], data[1][:rows]
    whole, parts = model_of(optim.EMA(0.5)), model_of(optim.EMA(0.5))
    for _ in range(3):
        whole.train_step(x, y)
        parts.loss_and_grad(x, y)
        parts.apply_gradients()
    same(averages(whole), averages(parts), 1e-14)
    assert differs(values(whole), averages(whole))


def test_a_block_shows_the_averages_and_leaves_the_model_as_it_was(data: Any) -> None:
    model = model_of(optim.SWA())
    history = model.fit(*data, BATCH, 4)
    before, view = values(model), model[0].weight
    outputs, loss = model.predict(data[0]), model.evaluate(*data)
    with model.averaged() as inside:
        assert inside is model
        assert differs(before, values(model))
        assert (view == model[0].weight).all()
        assert (model.predict(data[0]) != outputs).any()
        assert model.evaluate(*data) != loss
    same(before, values(model))
    with pytest.raises(KeyError), model.averaged():
        raise KeyError
    same(before, values(model))
    assert model.evaluate(*data) == loss
    model.fit(*data, BATCH, 5, initial_epoch=4)
    assert len(history.epoch) == 4


def test_nothing_trains_in_a_block(data: Any, tmp_path: Path) -> None:
    model = model_of(optim.EMA())
    model.fit(*data, BATCH)
    with model.averaged():
        for call in (
            lambda: model.fit(*data),
            lambda: model.train_step(*data),
            lambda: model.compile("sgd", "mse"),
            model[0].freeze,
            lambda: model.averaged().__enter__(),
            lambda: model.save(tmp_path / "m.npz"),
            lambda: copy.deepcopy(model),
        ):
            with pytest.raises(ValueError, match="averaged values"):
                call()
        model.loss_and_grad(*data)
        with pytest.raises(ValueError, match="averaged values"):
            model.apply_gradients()
        model.save(tmp_path / "m.npz", include_optimizer=False)
        saved = fastnn.load(tmp_path / "m.npz")
    same(averages(model), values(saved))
    with pytest.raises(ValueError, match="no update has been added"), saved.averaged():
        pass
    with (
        pytest.raises(ValueError, match=r"\[Sequential.averaged\] the model keeps no average"),
        model_of(None).averaged(),
    ):
        pass


def test_callbacks_use_the_averages(data: Any) -> None:
    seen = []

    class Watch(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            with self.model.averaged():
                seen.append(self.model.evaluate(*data)["loss"])

    plain, watched = model_of(optim.EMA(0.9)), model_of(optim.EMA(0.9))
    plain.fit(*data, BATCH, 3)
    watched.fit(*data, BATCH, 3, callbacks=[Watch()])
    same(values(plain), values(watched))
    with plain.averaged():
        assert plain.evaluate(*data)["loss"] == seen[-1]

    class Left(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.block = self.model.averaged()
            self.block.__enter__()

    left = Left()
    with pytest.raises(ValueError, match="averaged values"):
        watched.fit(*data, BATCH, 3, callbacks=[left])
    left.block.__exit__(None, None, None)
    watched.fit(*data, BATCH, 1)


def test_frozen_layers_keep_their_values(data: Any) -> None:
    model = model_of(optim.EMA(0.9))
    model[0].freeze()
    model.fit(*data, BATCH)
    frozen = model[0].weight.copy()
    np.testing.assert_array_equal(averages(model)["0.weight"], frozen)
    model[0].unfreeze()  # as if its average had been its value
    model.train_step(*data)
    np.testing.assert_allclose(
        averages(model)["0.weight"], frozen + 0.1 * (model[0].weight - frozen), rtol=1e-13
    )


def test_statistics_of_the_averages(torch: Any, data: Any) -> None:
    x, y = data[0][:48], data[1][:48]
    model = model_of(optim.SWA(), "float64", nn.BatchNorm1d(17))
    model.fit(x, y, BATCH, 3)
    before, momentum = values(model), model[1].momentum
    with model.averaged():
        np.testing.assert_array_equal(model[1].running_mean, before["1.running_mean"])
        module = model.to_torch()
        torch.optim.swa_utils.update_bn(torch.from_numpy(x).split(BATCH), module)
        model.update_batch_norm(x, BATCH)
        expected = {key: value.numpy() for key, value in module.state_dict().items()}
        same(expected, values(model), 1e-13)
        with pytest.raises(ValueError, match="X has nan"):
            model.update_batch_norm(np.where(np.arange(48)[:, None] > 40, np.nan, x), BATCH)
        same(expected, values(model), 1e-13)
    same(before, values(model))
    assert model[1].momentum == momentum


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("average", [optim.EMA(0.9, warmup=True), optim.SWA(1)], ids=repr)
def test_saved_pickled_and_resumed_to_the_bit(
    data: Any, tmp_path: Path, suffix: str, average: Any
) -> None:
    settings = {"dtype": "float32", "accumulate": 2, "penalty_in_loss": True}
    whole = model_of(average, **settings)
    whole.fit(*data, BATCH, 4)
    halves = model_of(average, **settings)
    halves.fit(*data, BATCH, 2)
    halves.save(tmp_path / f"half{suffix}")
    for model in (fastnn.load(tmp_path / f"half{suffix}"), copy.deepcopy(halves)):
        model.fit(*data, BATCH, 4, initial_epoch=2)
        same(values(whole), values(model))
        same(averages(whole), averages(model))
    with pytest.raises(ValueError, match="every"):
        optim.SWA(every=0)


def test_an_epoch_that_fails_is_undone_in_the_average(data: Any) -> None:
    x, y = data
    model = model_of(optim.EMA(0.9), "float32")
    model.fit(x, y, BATCH)
    before = averages(model)
    model.lr = 1e38
    with pytest.raises(fastnn.TrainingDivergedError):
        model.fit(x * 1e3, y, BATCH, 2)
    same(before, averages(model))
