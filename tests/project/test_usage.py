# SPDX-License-Identifier: BSD-3-Clause
"""Two programs that use the names of a model and of the functions as they were agreed on.

They are read from top to bottom; a name or an argument that is renamed fails here. Schedules are
the `lr` of an optimizer, under torch's names, in place of a callback; everything else stands as it
was proposed.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn as fn
import fastnn.functional as F
from fastnn import callbacks as cb
from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Iterator

RNG = np.random.default_rng(0)


def images(rows: int) -> tuple[np.ndarray, np.ndarray]:
    y = RNG.integers(0, 10, rows)
    x = RNG.integers(0, 100, (rows, 784)).astype(np.uint8)
    x[np.arange(rows), y] = 255
    return x, y


def read_parts(folder: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for path in sorted(Path(folder).glob("*.npz")):
        with np.load(path) as file:
            yield file["x"], file["y"]


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Rescale(1 / 255),
        nn.Linear(784, 256),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 64),
        nn.GELU(),
        nn.Linear(64, 10),
        dtype=np.float32,
        seed=0,
    )


def test_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    (x, y), (xv, yv) = images(512), images(128)
    w = RNG.uniform(0.5, 1, len(x))
    model = network()
    model.summary()
    schedule = optim.lr_scheduler.OneCycleLR(max_lr=1e-2)
    model.compile(
        optimizer=optim.AdamW(lr=schedule, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2),
        loss=nn.CrossEntropyLoss(label_smoothing=0.1),
        metrics=["accuracy"],
    )
    hist = model.fit(
        x,
        y,
        batch_size=128,
        epochs=3,
        validation_data=(xv, yv),
        sample_weight=w,
        class_weight={0: 2.0},
        verbose=1,
        n_threads=2,
        callbacks=[
            cb.EarlyStopping(monitor="val_loss", patience=5),
            cb.ModelCheckpoint("best.safetensors"),
            cb.ProgressBar(),
        ],
    )
    assert len(hist.history["loss"]) == len(hist.history["val_accuracy"]) == 3
    assert len(hist.history["lr"]) == 3
    assert Path("best.safetensors").exists()

    model.lr = 1e-3  # the cycle lasts a fit
    for xb, yb in fn.data.batches(x, y, batch_size=64, shuffle=True, seed=1):
        loss = model.train_step(xb, yb)
    my_dlogits = np.full((len(xb), 10), 1e-3, np.float32)
    model.train_step(xb, grad=my_dlogits)
    logits = model.forward(xb, training=True)
    loss, dlogits = nn.CrossEntropyLoss()(logits, yb)
    assert loss > 0
    dx = model.backward(dlogits, need_dx=True)
    assert dx is not None
    assert dx.shape == xb.shape
    model.clip_grad_norm(1.0)
    model.apply_gradients()

    assert model.predict(xv).shape == model.predict_proba(xv).shape == (128, 10)
    assert set(model.evaluate(xv, yv)) == {"loss", "accuracy"}
    assert model.state_dict()["0.weight"].shape == (256, 784)
    body = model[:-1].freeze()
    head = nn.Sequential(*body, nn.Linear(64, 3))
    assert [layer.frozen for layer in head if isinstance(layer, nn.Linear)] == [True, True, False]
    Path("data").mkdir()
    for k in range(2):
        np.savez(f"data/{k}.npz", x=x[k::2], y=y[k::2])
    model.fit_stream(lambda: read_parts("data/"), epochs=3)
    assert len(model.history.history["loss"]) == 3
    model.save("m.safetensors")
    again = fn.load("m.safetensors")
    with fn.threads(1):
        np.testing.assert_array_equal(again.predict(x[:1]), model.predict(x[:1]))
    assert {"isa", "openmp", "eigen", "threads"} <= set(fn.build_info())


def test_values_of_torch(torch: Any) -> None:
    model = network()
    theirs = model.to_torch().state_dict()
    assert model.load_state_dict({k: v.numpy() for k, v in theirs.items()}) is not None


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="draws")
def test_plots_of_a_model() -> None:
    import matplotlib.pyplot as plt

    x2d = RNG.uniform(-1, 1, (40, 2))
    y2d = (x2d[:, 0] > 0).astype(int)
    model = nn.Sequential(nn.Linear(2, 2))
    model.compile("adam", "cross_entropy")
    hist = model.fit(x2d, y2d, epochs=2)
    assert len(fn.plot.history(hist)) == 1
    assert fn.plot.decision_boundary(model, x2d, y2d).images
    plt.close("all")


def test_functions() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((128, 784), dtype=np.float32)
    y = rng.integers(0, 10, 128)
    W1, b1 = F.init.xavier_uniform((784, 64), seed=1), np.zeros(64, np.float32)
    W2, b2 = F.init.kaiming_uniform((64, 10), seed=2), np.zeros(10, np.float32)

    # forward by hand
    z1 = F.linear(x, W1, b1)
    a1 = F.relu(z1)
    z2 = F.linear(a1, W2, b2)
    p = F.softmax(z2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    loss, dz2 = F.cross_entropy(z2, y)
    mse, dpred = F.mse_loss(z2, F.one_hot(y, 10))
    assert loss > 0 < mse
    assert dpred.shape == (128, 10)
    for function in (F.l1_loss, F.huber_loss, F.bce_with_logits):
        assert function(z2, F.one_hot(y, 10))[0] > 0

    # backward by hand
    da1, dW2, db2 = F.linear_backward(dz2, a1, W2)
    assert da1 is not None
    dz1 = F.relu_backward(da1, a1)
    _, dW1, db1 = F.linear_backward(dz1, x, W1, need_dx=False)

    # update: in place on one's own arrays
    state = F.adam_state([W1, b1, W2, b2])
    F.adam_step_([W1, b1, W2, b2], [dW1, db1, dW2, db2], state, lr=1e-3)
    F.sgd_step_([W1], [dW1], lr=0.1)
    F.clip_grad_norm_([dW1, dW2], max_norm=1.0)
    assert F.cross_entropy(F.linear(F.relu(F.linear(x, W1, b1)), W2, b2), y)[0] < loss

    # check one's own NumPy code
    def mine(W: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ W
        return float((z**2).mean()), 2 * x.T @ z / z.size

    report = F.check_gradient(mine, W1.astype(np.float64), eps=1e-6, n_samples=50)
    assert report.max_rel_error < 1e-6
    assert F.compare(F.linear(x, W1, b1), x @ W1 + b1, rtol=1e-5)

    # perceptron and logic gates with the step function
    gate = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    both = F.step(F.linear(gate, np.array([[1.0], [1.0]]), np.array([-1.5])))
    assert both.ravel().tolist() == [0, 0, 0, 1]
    w, b, n_err = F.perceptron(gate, np.array([0, 1, 1, 1]), lr=0.1, epochs=20)
    assert n_err == 0
    assert F.step(F.linear(gate, w, b)).tolist() == [0, 1, 1, 1]

    out = np.empty((128, 10), np.float32)
    assert F.linear(a1, W2, b2, out=out) is out
    np.testing.assert_array_equal(F.matmul(x, W1, n_threads=2)[::2], F.matmul(x[::2], W1))
    assert F.dropout_mask((128, 64), p=0.2, seed=3, step=0).shape == (128, 64)
