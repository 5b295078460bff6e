# SPDX-License-Identifier: BSD-3-Clause
"""A loss of one's own: a Python function in compile, fit, evaluate and the training steps."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from fastnn import callbacks, nn, optim
from fastnn.errors import TrainingDivergedError


def squared(out: Any, y: Any) -> Any:
    """The mean of the squared errors, as MSELoss has it."""
    error = out - np.reshape(y, out.shape)
    return np.mean(error.astype(float) ** 2), (2 / out.size) * error


def weighted(out: Any, y: Any, w: Any) -> Any:
    """The same with weights: sum(w l) / sum(w)."""
    error, share = out - y, (w / w.sum())[:, None]
    k = out.shape[1]
    return np.sum(share * error.astype(float) ** 2) / k, (2 / k) * share * error


def data(dtype: Any = np.float64) -> Any:
    """Return 53 rows of three columns, two targets and weights."""
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(53, 3)), rng.normal(size=(53, 2)), rng.uniform(0.5, 2, size=53)
    return x.astype(dtype), y.astype(dtype), w


def model(loss: Any, dtype: Any = np.float64, *more: Any, **settings: Any) -> nn.Sequential:
    """Return a network with layers that take statistics and draws."""
    layers = (nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 2))
    made = nn.Sequential(*layers, *more, dtype=dtype, seed=3)
    made.compile(optim.Adam(lr=0.01), loss, **settings)
    return made


def values(made: nn.Sequential) -> Any:
    """Return all values as one array."""
    return np.concatenate([np.ravel(v) for v in made.state_dict().values()])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [{}, {"max_grad_norm": 0.1}, {"max_grad_value": 0.01}])
def test_a_fit_is_that_of_the_loss(dtype: Any, settings: Any) -> None:
    """Parameters, statistics, losses and validation are those of MSELoss."""
    x, y, _ = data(dtype)
    ours, theirs = model(squared, dtype, **settings), model("mse", dtype, **settings)
    some = {"batch_size": 16, "epochs": 4, "validation_data": (x[:9], y[:9])}
    a, b = ours.fit(x, y, **some), theirs.fit(x, y, **some)
    near = 1e-12 if dtype is np.float64 else 2e-5
    np.testing.assert_allclose(values(ours), values(theirs), rtol=near, atol=near)
    assert a.history.keys() == b.history.keys() == {"loss", "val_loss"}
    for name, curve in a.history.items():
        np.testing.assert_allclose(curve, b.history[name], rtol=10 * near)
    assert a.steps == b.steps
    np.testing.assert_allclose(
        ours.evaluate(x, y)["loss"], theirs.evaluate(x, y)["loss"], rtol=near
    )


def test_weights_of_rows() -> None:
    """A function of three arguments gets the weights of the batch."""
    x, y, w = data()
    ours, theirs = model(weighted), model("mse")
    for made, loss in ((ours, weighted), (theirs, "mse")):
        # Adam would divide the gradient of the bias before BatchNorm, which is zero.
        made.compile(optim.SGD(lr=0.1, momentum=0.9), loss)
    a = ours.fit(x, y, sample_weight=w, batch_size=16, epochs=3)
    b = theirs.fit(x, y, sample_weight=w, batch_size=16, epochs=3)
    np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-11)
    with pytest.raises(ValueError, match=r"\[Sequential.fit\] sample_weight came.*two arguments"):
        model(squared).fit(x, y, sample_weight=w)


def test_steps_are_those_of_fit() -> None:
    """train_step, and loss_and_grad with apply_gradients, make the numbers of MSELoss."""
    x, y, _ = data()
    ours, theirs = model(squared), model("mse")
    for first in range(0, 48, 16):
        batch = x[first : first + 16], y[first : first + 16]
        loss = ours.train_step(*batch)
        assert loss == pytest.approx(theirs.train_step(*batch), rel=1e-12)
    np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-12, atol=1e-13)
    (a, da), (b, db) = ours.loss_and_grad(x, y), theirs.loss_and_grad(x, y)
    assert a == pytest.approx(b, rel=1e-12)
    for key, gradient in da.items():
        np.testing.assert_allclose(gradient, db[key], rtol=1e-9, atol=1e-13)


def test_the_same_bits_on_any_threads() -> None:
    """The number of threads changes nothing."""
    x, y, _ = data(np.float32)
    found = set()
    for threads in (1, 2, 3, 8):
        made = model(squared, np.float32)
        made.fit(x, y, batch_size=16, epochs=2, n_threads=threads)
        found.add(values(made).tobytes())
    assert len(found) == 1


def large(loss: Any, dtype: Any = np.float64, rate: float = 0.01, *more: Any) -> nn.Sequential:
    """Return a network that is larger than a batch of four rows, so that steps do not copy it."""
    layers = (nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 2), *more)
    made = nn.Sequential(*layers, dtype=dtype, seed=3)
    made.compile(optim.SGD(lr=rate, momentum=0.9), loss)
    return made


def test_steps_of_a_large_model() -> None:
    """They are those of MSELoss, and an exception leaves nothing of a step."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4, 40)), rng.normal(size=(5, 4, 2))
    raises = [False]

    def sometimes(out: Any, y: Any) -> Any:
        if raises[0]:
            raise KeyError("mine")
        return squared(out, y)

    ours, theirs = large(sometimes), large("mse")
    for batch in zip(x, y, strict=True):
        raises[0] = True
        with pytest.raises(KeyError, match="mine"):
            ours.train_step(*batch)
        raises[0] = False
        theirs.train_step(*batch)
        ours.train_step(*batch, n_threads=2)
    np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("last", [(), (nn.LeakyReLU(0.5),)], ids=["linear", "leaky_relu"])
def test_a_step_that_may_overflow(last: tuple[Any, ...]) -> None:
    """If it does not, it is that of MSELoss, with one call; if it does, the model is as before.

    The backward pass of an activation as last layer takes the memory of the function's gradient.
    """
    x, y = np.full((4, 40), 1e6, np.float32), np.full((4, 2), 1e14, np.float32)
    calls = []

    def counted(out: Any, y: Any) -> Any:
        calls.append(len(out))
        return squared(out, y)

    ours, theirs = (large(loss, np.float32, 1e-22, *last) for loss in (counted, "mse"))
    for _ in range(3):
        ours.train_step(x, y)
        theirs.train_step(x, y)
    assert calls == [4, 4, 4]
    np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-5)
    assert not np.array_equal(values(ours), values(large("mse", np.float32, 0.01, *last)))
    before = values(ours)
    with pytest.raises(TrainingDivergedError):
        ours.train_step(x, y * np.float32(1e22))
    np.testing.assert_array_equal(values(ours), before)


def test_targets_come_as_they_are() -> None:
    """Targets of any kind reach the function, in the order of the batch's rows."""
    x, _, _ = data()
    names = np.array([f"row {n}" for n in range(len(x))], dtype=object)
    seen: list[str] = []

    def reads(out: Any, y: Any) -> Any:
        seen.extend(y)
        return 0.0, np.zeros_like(out)

    model(reads).fit(x, names, batch_size=10)
    assert sorted(seen) == sorted(names)
    assert seen != list(names)
    seen.clear()
    model(reads).fit(x, names, batch_size=10, shuffle=False)
    assert seen == list(names)


def test_an_exception_ends_training() -> None:
    """It comes out as itself, and the model is as at the beginning of the epoch."""
    x, y, _ = data()
    calls = [0]

    def fails(out: Any, y: Any) -> Any:
        calls[0] += 1
        if calls[0] == 6:
            raise KeyError("mine")
        return squared(out, y)

    made, whole = model(fails), model(squared)
    whole.fit(x, y, batch_size=16)
    with pytest.raises(KeyError, match="mine"):
        made.fit(x, y, batch_size=16, epochs=3)
    np.testing.assert_array_equal(values(made), values(whole))
    assert made.history is not None
    assert len(made.history.epoch) == 1
    before = values(made)
    calls[0] = 5
    with pytest.raises(KeyError, match="mine"):
        made.train_step(x, y)
    np.testing.assert_array_equal(values(made), before)
    made.fit(x, y)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (1.0, TypeError, "expected a pair"),
        (("a", 0), TypeError, "expected one number"),
        ((1.0, "a"), TypeError, "expected numbers"),
        ((1.0, np.zeros((2, 2))), ValueError, r"shape \(2, 2\); expected .* \(53, 2\)"),
        ((1.0, np.full((53, 2), np.inf)), ValueError, "inf at row 0 of the batch, column 0"),
    ],
)
def test_wrong_answers(answer: Any, kind: Any, text: str) -> None:
    """They are refused by the function's name, with what was expected."""
    x, y, _ = data()

    def wrong(out: Any, y: Any) -> Any:
        return answer

    made = model(wrong)
    for call in (lambda: made.fit(x, y, batch_size=64), lambda: made.train_step(x, y)):
        with pytest.raises(kind, match=r"\[loss wrong\].*" + text):
            call()


def test_functions_of_other_arguments() -> None:
    """They are refused when the model is compiled, not by the first batch."""
    for function in (lambda: 0, lambda _: 0, lambda *_, key: key):
        with pytest.raises(TypeError, match="takes other arguments"):
            model(function)
    model(divmod)  # takes two
    model(print)  # takes any number


def test_a_function_that_needs_weights_gets_none_without_them() -> None:
    x, y, w = data()
    seen: list[Any] = []

    def needs(out: Any, y: Any, w: Any) -> Any:
        seen.append(w)
        return squared(out, y)

    made = model(needs)
    made.fit(x, y, batch_size=64, validation_data=(x, y))
    made.train_step(x, y)
    copy.deepcopy(made).evaluate(x, y)
    assert seen == [None] * 4
    made.train_step(x, y, sample_weight=w)
    np.testing.assert_array_equal(seen[-1], w)


def test_validation_rows_that_are_not_finite_are_refused_before_training() -> None:
    x, y, _ = data()
    wrong = x.copy()
    wrong[7, 1] = np.nan
    for loss in (squared, "mse"):
        made = model(loss)
        before = values(made)
        with pytest.raises(ValueError, match="validation X has nan at row 7, column 1"):
            made.fit(x, y, validation_data=(wrong, y))
        np.testing.assert_array_equal(values(made), before)


def test_a_loss_that_is_not_finite() -> None:
    """Training ends as with every other loss."""
    x, y, _ = data()
    made = model(lambda out, _: (np.nan, np.zeros_like(out)))
    before = values(made)
    with pytest.raises(TrainingDivergedError, match="the loss is nan"):
        made.fit(x, y)
    np.testing.assert_array_equal(values(made), before)


def test_calls_that_need_another_loss() -> None:
    """What a function cannot give is refused, and not computed as zero."""
    x, y, _ = data()
    made = model(squared)
    with pytest.raises(ValueError, match="accuracy needs a loss of classes"):
        made.compile("sgd", squared, metrics=["accuracy"])
    with pytest.raises(ValueError, match="class_weight needs one class a row"):
        made.fit(x, y, class_weight={0: 2.0})
    with pytest.raises(ValueError, match="y has shape"):
        made.fit(x, y[:-1])


def test_copies_and_files(tmp_path: Any) -> None:
    """Copies and pickles keep the function by reference; files refuse it."""
    x, y, _ = data()
    made = model(squared)
    made.fit(x, y)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other.loss == made.loss
        assert other.fit(x, y).history == copy.deepcopy(made).fit(x, y).history
    with pytest.raises(TypeError, match="loss is of the class FunctionLoss"):
        made.save(tmp_path / "m.safetensors")


def test_callbacks_and_stop() -> None:
    """Callbacks see the losses, and may use the model; the function may use it as well."""
    x, y, _ = data()
    seen: list[Any] = []
    made = model(squared)
    watch = callbacks.LambdaCallback(
        on_epoch_end=lambda _, logs: seen.append((logs, made.predict(x[:1])))
    )
    stop = callbacks.EarlyStopping(monitor="val_loss", patience=0, min_delta=1e9)
    made.fit(x, y, epochs=9, callbacks=[watch, stop], validation_split=0.2)
    assert [sorted(logs) for logs, _ in seen] == [["loss", "val_loss"]] * len(seen)
    assert len(seen) < 9


def test_draws_before_a_fit() -> None:
    """Passes that have drawn masks before do not change the steps that follow."""
    x, y, _ = data()
    found = []
    for loss in (squared, "mse"):
        made = model(loss)
        made.compile(optim.SGD(lr=0.1), loss)
        made.forward(x, training=True)
        made.fit(x, y, batch_size=64, shuffle=False)
        found.append(values(made))
    np.testing.assert_allclose(*found, rtol=1e-11, atol=1e-12)


def test_a_step_is_refused_where_it_is_with_every_loss() -> None:
    """With averages in the place of the values, and with a schedule that lasts a fit."""
    x, y, _ = data()
    made = model(squared, average=optim.EMA(0.9))
    made.fit(x, y)
    with made.averaged(), pytest.raises(ValueError, match=r"\[Sequential.train_step\].*average"):
        made.train_step(x, y)
    made.compile(optim.SGD(lr=optim.lr_scheduler.CosineAnnealingLR(0.1)), squared)
    with pytest.raises(ValueError, match="whose length is that of a fit"):
        made.train_step(x, y)


def test_rates_follow_the_rows_of_steps() -> None:
    """A schedule that counts rows has the rates of MSELoss."""
    x, y, _ = data()
    rates = []
    for loss in (squared, "mse"):
        made = model(loss)
        made.compile(optim.SGD(lr=optim.lr_scheduler.InvScalingLR(0.1)), loss)
        made.train_step(x, y)
        rates.append(made.lr)
    assert rates[0] == rates[1] < 0.1


def close(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9 * np.abs(theirs).max())


def test_gradients_as_results() -> None:
    """They are those of the loss of fastnn which computes the same, and leave the model alone."""
    x, y, _ = data()
    native, own = model("mse"), model(squared)
    for made in (native, own):
        made.fit(x, y, epochs=2)
        made[1].freeze()
    before = pickle.dumps(own._network.snapshot())
    close(own.input_gradient(x, y), native.input_gradient(x, y))
    ours, theirs = own.per_sample_gradients(x, y), native.per_sample_gradients(x, y)
    assert list(ours) == list(theirs)
    for key, expected in theirs.items():
        close(ours[key], expected)
    rng = np.random.default_rng(1)
    v = {key: rng.standard_normal(each.shape[1:]) for key, each in theirs.items()}
    ours, theirs = own.hessian_vector_product(x, y, v), native.hessian_vector_product(x, y, v)
    for key, expected in theirs.items():
        np.testing.assert_allclose(ours[key], expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    assert pickle.dumps(own._network.snapshot()) == before
    for call in (own.input_gradient, own.per_sample_gradients):
        with pytest.raises(ValueError, match=r"y has shape \(52, 2\); expected 53 rows"):
            call(x, y[:-1])
    with pytest.raises(ValueError, match=r"\[loss <lambda>\] the gradient has nan at row 0"):
        model(lambda out, _: (0.0, out * np.nan)).input_gradient(x, y)


def test_a_search_for_a_rate() -> None:
    x, y, w = data()
    native, own = model("mse"), model(weighted)
    theirs = native.lr_find(x, y, w, steps=40, batch_size=16)
    ours = own.lr_find(x, y, w, steps=40, batch_size=16)
    close(ours.losses, theirs.losses)
    assert ours.suggestion == pytest.approx(theirs.suggestion)


def test_a_diagnosis() -> None:
    x, y, _ = data()
    for factor, found in ((1, []), (100, ["unscaled_inputs"])):
        report = model(squared, np.float32).diagnose(factor * x, y)
        assert [f.name for f in report.findings if f.name == "unscaled_inputs"] == found
    assert report.figures["learned_by_heart"] == {}
    assert report.figures["first_loss"] == pytest.approx(
        model("mse", np.float32).diagnose(factor * x, y).figures["first_loss"]
    )
    names = np.array(["a", "b"])[np.arange(53) % 2]  # targets that are no numbers

    def by_name(out: Any, which: Any) -> Any:
        return squared(out, np.stack([which == "a", which == "b"], axis=1).astype(out.dtype))

    assert model(by_name).diagnose(x, names).figures["loss_of_a_constant"] == pytest.approx(0.25)


def test_targets_of_one_dimension_that_are_joined_with_outputs_of_two() -> None:
    def joined(out: Any, y: Any) -> Any:
        error = out - y
        return (error**2).mean(), error / error.size

    made = nn.Sequential(nn.Linear(3, 1))
    made.compile("sgd", joined)
    x, y, _ = data()
    words = (
        r"has shape \(16, 16\); expected that of the outputs, \(16, 1\); y has shape \(16,\), so"
    )
    with pytest.raises(ValueError, match=words):
        made.fit(x, y[:, 0], batch_size=16)
    made.fit(x, y[:, :1], batch_size=16)
    made.compile("sgd", lambda *_: (1.0, np.zeros((3, 3))))
    with pytest.raises(ValueError, match=r"expected that of the outputs, \(16, 1\)$"):
        made.fit(x, y[:, 0], batch_size=16)
