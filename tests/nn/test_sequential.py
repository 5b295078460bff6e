# SPDX-License-Identifier: BSD-3-Clause
"""fit, single steps, own loops and inference of nn.Sequential give the same results."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fn
from fastnn import nn, optim
from fastnn.reference import Network
from models import same_values


def make_data(rng, n=120, columns=7, classes=3):
    x = rng.standard_normal((n, columns)).astype(np.float32)
    return x, rng.integers(0, classes, n)


def make_model(dtype=np.float64, **kwargs):
    return nn.Sequential(
        nn.Linear(7, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 3), dtype=dtype, **kwargs
    )


def compiled(model, optimizer="adam", loss="cross_entropy", **kwargs):
    model.compile(optimizer, loss, **kwargs)
    return model


def test_fit_learns_and_keeps_history(rng):
    x, _ = make_data(rng)
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)
    model = compiled(make_model(np.float32), optim.Adam(lr=0.01), metrics=["accuracy"])
    history = model.fit(x, y, batch_size=16, epochs=40, validation_data=(x[:30], y[:30]))
    assert history is model.history
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert history.epoch == list(range(40))
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    assert history.history["val_accuracy"][-1] > 0.85
    assert history.params["steps"] == 8
    assert history.steps == 40 * 8
    assert history.seconds > 0
    assert history.threads_used >= 1
    result = model.evaluate(x[:30], y[:30])
    assert result["loss"] == history.history["val_loss"][-1]
    assert result["accuracy"] == history.history["val_accuracy"][-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_is_a_loop_of_train_step(rng, dtype):
    x, y = make_data(rng)
    one, other = (compiled(make_model(dtype, seed=5)) for _ in range(2))
    history = one.fit(x, y, batch_size=32, epochs=2, shuffle=False)
    losses = [
        [other.train_step(xb, yb) for xb, yb in fn.data.batches(x, y, batch_size=32)]
        for _ in range(2)
    ]
    means = [np.average(row, weights=[32, 32, 32, 24]) for row in losses]
    np.testing.assert_allclose(history.history["loss"], means, rtol=1e-14)
    same_values(one, other)


def test_batches_go_through_the_epochs_of_fit(rng):
    x, y = make_data(rng)
    one, other = (compiled(make_model(seed=11)) for _ in range(2))
    one.fit(x, y, batch_size=50, epochs=3)
    for epoch in range(3):
        for xb, yb in fn.data.batches(x, y, 50, shuffle=True, seed=11, epoch=epoch):
            other.train_step(xb, yb)
    same_values(one, other)


def test_epochs_shuffle_anew_from_fit_to_fit(rng):
    x, y = make_data(rng)
    one, other = (compiled(make_model()) for _ in range(2))
    one.fit(x, y, epochs=4)
    for _ in range(4):
        history = other.fit(x, y, epochs=1)
        assert history.epoch == [0]
    same_values(one, other)
    # epochs is the number of the last one, as in Keras
    assert one.fit(x, y, epochs=6, initial_epoch=4).epoch == [4, 5]
    assert one.fit(x, y, epochs=4, initial_epoch=4).epoch == []


def test_own_loop_equals_train_step(rng):
    x, y = make_data(rng)
    models = [compiled(make_model()) for _ in range(4)]
    loss = models[0].train_step(x, y)
    assert models[1].loss_and_grad(x, y)[0] == loss
    models[1].apply_gradients()
    out = models[2].forward(x, training=True)
    value, dout = nn.CrossEntropyLoss()(out, y)
    assert value == pytest.approx(loss, rel=1e-14)
    dx = models[2].backward(dout, need_dx=True)
    assert dx.shape == x.shape
    models[2].apply_gradients()
    assert models[3].train_step(x, grad=dout) is None
    for model in models[1:]:
        for key, value in models[0].state_dict().items():
            np.testing.assert_allclose(model.state_dict()[key], value, rtol=1e-9, atol=1e-12)


def test_gradients_are_named_and_laid_out_as_torch_does(rng):
    x, y = make_data(rng)
    model = compiled(make_model())
    loss, grads = model.loss_and_grad(x, y)
    assert {k: v.shape for k, v in grads.items()} == {
        "0.weight": (16, 7),
        "0.bias": (16,),
        "3.weight": (3, 16),
        "3.bias": (3,),
    }
    norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    assert model.clip_grad_norm(norm / 2) == pytest.approx(norm, rel=1e-12)
    after = np.sqrt(sum(np.sum(g**2) for g in model.gradients().values()))
    assert after == pytest.approx(norm / 2, rel=1e-4)
    assert loss > 0
    out = model.forward(x)
    assert model.backward(nn.CrossEntropyLoss()(out, y)[1]) is None
    with pytest.raises(ValueError, match="call forward first"):
        model.backward(np.zeros((120, 3)))


def test_the_twin_trains_the_same(rng):
    x, y = make_data(rng)
    model = compiled(make_model(seed=3), optim.Adam(lr=0.01, betas=(0.8, 0.99)))
    twin = Network([layer.spec() for layer in model], dtype="float64", seed=3)
    twin.compile("cross_entropy", {}, "adam", {"lr": 0.01, "beta1": 0.8, "beta2": 0.99})
    mine = model.fit(x, y, batch_size=32, epochs=5).history["loss"]
    theirs = twin.fit(x, y, batch_size=32, epochs=5, seed=3)["loss"]
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_modes(rng):
    x, _ = make_data(rng)
    model = make_model()
    raw = model.predict(x)
    np.testing.assert_array_equal(raw, model.predict(x))  # predict drops nothing
    np.testing.assert_allclose(raw, model.forward(x), rtol=1e-12)
    assert not np.allclose(raw, model.forward(x, training=True))
    compiled(model)
    p = model.predict(x)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(p, model.predict_proba(x))
    out = np.empty_like(p)
    assert model.predict(x, out=out) is out
    np.testing.assert_array_equal(out, p)
    assert model.predict(x[:0]).shape == (0, 3)


def test_binary_probabilities(rng):
    x, _ = make_data(rng)
    for k, shape in ((1, (120, 2)), (3, (120, 3))):
        model = nn.Sequential(nn.Linear(7, k))
        model.compile("sgd", "bce_with_logits")
        p = model.predict_proba(x)
        assert p.shape == shape
        assert p.min() >= 0
        assert p.max() <= 1
        yes = model.predict(x)  # of one output: the second column is the class 1
        np.testing.assert_array_equal(p, np.hstack([1 - yes, yes]) if k == 1 else yes)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"predict_proba\] MSELoss is for regression"):
        model.predict_proba(x)


def test_compile_again_resets_the_optimizer(rng):
    x, y = make_data(rng)
    model = compiled(make_model(), optim.Adam(lr=0.01))
    model.fit(x, y, epochs=2)
    again = make_model()
    again.load_state_dict(model.state_dict())
    compiled(again, optim.Adam(lr=0.01))
    compiled(model, optim.Adam(lr=0.01))
    assert model._network.step == 0
    assert model.evaluate(x, y) == again.evaluate(x, y)
    without_dropout = [m[:2].append(m[-1]) for m in (model, again)]
    for m in without_dropout:
        compiled(m).train_step(x, y)
    same_values(*without_dropout)


def test_groups_of_parameters_and_freezing(rng):
    x, y = make_data(rng)
    model = make_model()
    before = {k: v.copy() for k, v in model.state_dict().items()}
    compiled(model, optim.SGD(lr=0.1, param_groups={"0.*": {"lr": 0.0}}))
    model.fit(x, y)
    after = model.state_dict()
    np.testing.assert_array_equal(after["0.weight"], before["0.weight"])
    assert not np.array_equal(after["3.weight"], before["3.weight"])
    compiled(model, optim.SGD(lr=0.1))
    kept = after["3.bias"].copy()
    assert model[3].freeze() is model[3]
    assert model[3].frozen
    model.fit(x, y)
    np.testing.assert_array_equal(model[3].bias, kept)
    assert not np.array_equal(model[0].weight, before["0.weight"])
    model.unfreeze().fit(x, y)
    assert not np.array_equal(model[3].bias, kept)


def test_weights_of_rows_and_classes(rng):
    x, y = make_data(rng)
    w = rng.random(len(x)) + 0.1
    factors = {0: 2.0, 2: 0.5}
    per_row = w * np.array([2.0, 1.0, 0.5])[y]
    one, other = (compiled(make_model()) for _ in range(2))
    one.fit(x, y, sample_weight=w, class_weight=factors, epochs=2)
    other.fit(x, y, sample_weight=per_row, epochs=2)
    same_values(one, other)
    assert one.evaluate(x, y, per_row) != one.evaluate(x, y)


def test_validation_split_takes_the_last_rows(rng):
    x, y = make_data(rng)
    one, other = (compiled(make_model()) for _ in range(2))
    # 120 (1 - 0.31) is 82.8: whole rows train, the rest of a row validates.
    for share, n in ((0.25, 90), (0.31, 82)):
        a = one.fit(x, y, epochs=2, validation_split=share)
        b = other.fit(x[:n], y[:n], epochs=2, validation_data=(x[n:], y[n:]))
        assert a.history == b.history
        same_values(one, other)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "float16", "float32", "float64", "bool", ">f4"]
)
def test_x_is_read_in_any_dtype(rng, dtype):
    x = rng.integers(0, 2 if dtype == "bool" else 100, (40, 7)).astype(dtype)
    y = rng.integers(0, 3, 40)
    model, expected = (
        compiled(nn.Sequential(nn.Rescale(0.01, -0.5), nn.Linear(7, 3), dtype=np.float64))
        for _ in range(2)
    )
    model.fit(x, y, epochs=2)
    expected.fit(x.astype(np.float64), y, epochs=2)
    same_values(model, expected)


def test_lists_frames_and_columns_are_taken(rng):
    x, y = make_data(rng, n=10)
    model = compiled(make_model(np.float32))
    loss = model.evaluate(x, y)["loss"]
    assert model.evaluate(x.tolist(), y.tolist())["loss"] == pytest.approx(loss, rel=1e-6)
    assert model.evaluate(x, y[:, None])["loss"] == loss
    assert isinstance(model.train_step(x.tolist(), y.tolist()), float)
    regression = nn.Sequential(nn.Linear(7, 1))
    regression.compile("sgd", "mse")
    target = x[:, 0]
    assert regression.evaluate(x, target) == regression.evaluate(x, target[:, None])


def test_flatten_reads_images(rng):
    images = rng.integers(0, 256, (20, 4, 5), dtype=np.uint8)
    model = nn.Sequential(nn.Rescale(1 / 255), nn.Flatten(), nn.Linear(20, 3))
    compiled(model)
    flat = images.reshape(20, -1)
    np.testing.assert_array_equal(model.predict(images), model.predict(flat))
    turned = np.ascontiguousarray(images.transpose(2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_array_equal(model.predict(turned), model.predict(flat))
    assert list(model.state_dict()) == ["1.weight", "1.bias"]


def test_threads_are_obeyed_and_change_nothing(rng):
    x, y = make_data(rng, n=600)
    models = [compiled(make_model(n_threads=k)) for k in (1, 2, 3)]
    for k, model in enumerate(models, 1):
        assert model.threads_used == 0
        assert model.fit(x, y, batch_size=200).threads_used == k
        assert model.threads_used == k
        assert model.fit(x, y, batch_size=200, n_threads=2).threads_used == 2
    same_values(models[0], models[1])
    same_values(models[0], models[2])
