# SPDX-License-Identifier: BSD-3-Clause
"""What the estimators have more than scikit-learn's: each addition does what the core does."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.utils.class_weight import compute_sample_weight

from fastnn import MLPClassifier, MLPRegressor, _registry, callbacks, nn, optim
from fastnn.optim import lr_scheduler
from fastnn.sklearn import _parameters

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_digits(return_X_y=True)
X = X / 16
X_VAL, Y_VAL = X[300:400], Y[300:400]
X, Y = X[:300], Y[:300]
SMALL: dict[str, Any] = {"hidden_layer_sizes": (12, 9), "max_iter": 4, "random_state": 0}
ESTIMATORS = [MLPClassifier, MLPRegressor]


def one_step(model: MLPClassifier, **compiled: Any) -> Any:
    """Return the weights after one step of the core on all rows, from the same initial values."""
    fresh = clone(model).set_params(max_iter=1, learning_rate_init=1e-300, solver="adamw")
    network = fresh.fit(X, Y).network_
    network.compile(**compiled)
    network.train_step(X, Y)
    return network[0].weight


@pytest.mark.parametrize("name", list(_registry.rows("optimizers")))
def test_every_solver_is_that_of_the_core(name: str) -> None:
    """With alpha=0 or a decay of its own, a step is that of the optimizer with this rate."""
    model = MLPClassifier(
        solver=name, weight_decay=0.1, learning_rate_init=0.02, batch_size=300, shuffle=False
    )
    model.set_params(**SMALL | {"max_iter": 1}).fit(X, Y)
    made: Any = getattr(optim, _registry.rows("optimizers")[name]["class_name"])
    more = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
    own = made(lr=0.02, weight_decay=0.1, decay_bias=False, **more)
    expected = one_step(model, optimizer=own, loss=nn.CrossEntropyLoss())
    np.testing.assert_allclose(model.network_[0].weight, expected, rtol=1e-12)
    assert not np.array_equal(model.coefs_[0], MLPClassifier(**SMALL).fit(X, Y).coefs_[0])


def test_solvers_take_parameters_whose_defaults_are_theirs() -> None:
    settings = {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 0.1}
    model = MLPClassifier(solver="adamw", **SMALL, **settings).fit(X, Y)
    assert model.network_.optimizer == optim.AdamW(
        0.001, betas=(0.5, 0.9), eps=0.1, decay_bias=False
    )
    assert MLPClassifier(solver="rmsprop", **SMALL, **settings).fit(
        X, Y
    ).network_.optimizer == optim.RMSprop(0.001, eps=0.1, decay_bias=False)
    own = optim.RMSprop(lr=0.01, momentum=0.9)
    assert MLPClassifier(solver=own, **SMALL).fit(X, Y).network_.optimizer == own
    with pytest.warns(
        UserWarning, match=r"\[MLPClassifier.fit\] alpha = 0.5 has no effect"
    ) as all_:
        MLPClassifier(solver="adamw", alpha=0.5, **SMALL).fit(X, Y)
    assert {warning.filename for warning in all_} == {__file__}  # where the user has called fit


@pytest.mark.parametrize("name", sorted(_parameters.ACTIVATIONS))
def test_every_activation_is_that_of_the_core(name: str) -> None:
    kind = getattr(nn, _registry.rows("activations")[_parameters.ACTIVATIONS[name]]["class_name"])
    model = MLPClassifier(activation=name, **SMALL).fit(X, Y)
    assert [type(layer) for layer in model.network_][1::2] == [kind, kind]
    assert np.isfinite(model.predict_proba(X)).all()


def test_activations_for_each_layer() -> None:
    model = MLPRegressor(activation=[nn.LeakyReLU(0.2), "gelu"], **SMALL).fit(X, Y)
    assert (model.network_[1], model.network_[3]) == (nn.LeakyReLU(0.2), nn.GELU())
    assert clone(model).fit(X, Y).predict(X).tolist() == model.predict(X).tolist()


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("kind", sorted(_parameters.NORMALIZATIONS))
def test_dropout_and_normalization(cls: Any, kind: str) -> None:
    model = cls(dropout=[0.25, 0], normalization=kind, early_stopping=True, **SMALL).fit(X, Y)
    names = [type(layer).__name__ for layer in model.network_]
    norm = {"batch": "BatchNorm1d", "layer": "LayerNorm", "rms": "RMSNorm"}[kind]
    assert names == ["Linear", norm, "ReLU", "Dropout", "Linear", norm, "ReLU", "Linear"]
    again = cls(dropout=[0.25, 0], normalization=kind, early_stopping=True, **SMALL).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    other = cls(dropout=[0, 0], normalization=kind, early_stopping=True, **SMALL).fit(X, Y)
    assert not np.array_equal(other.coefs_[0], model.coefs_[0])
    twin = pickle.loads(pickle.dumps(model))
    for part in (model, twin):
        part.set_params(early_stopping=False).partial_fit(X, Y)
    np.testing.assert_array_equal(twin.coefs_[0], model.coefs_[0])
    model.coefs_ = [array.copy() for array in model.coefs_]  # taken over, with the norms kept
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))


def test_early_stopping_returns_to_the_statistics_of_the_best_epoch() -> None:
    """The score of the values that are kept is the best score."""
    model = MLPClassifier(
        normalization="batch", early_stopping=True, learning_rate_init=1.0, max_iter=13
    )
    model.set_params(hidden_layer_sizes=(9,), random_state=3).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.best_validation_score_ > model.validation_scores_[-1]
    assert model.score(X_VAL, Y_VAL) == model.best_validation_score_


@pytest.mark.parametrize("name", sorted(_parameters.SCHEDULES))
def test_every_schedule_is_that_of_the_core(name: str) -> None:
    solver = "adam" if name == "one_cycle" else "rmsprop"
    model = MLPClassifier(
        solver=solver, learning_rate=name, learning_rate_init=0.01, batch_size=100, **SMALL
    ).fit(X, Y)
    schedule = model.network_.optimizer.schedule
    assert schedule.registry_name == _parameters.SCHEDULES[name]
    expected = schedule.rates(12, steps_per_epoch=3)[2::3]
    np.testing.assert_allclose(model.history_.history["lr"], expected, rtol=1e-12)


def test_schedules_of_other_kinds() -> None:
    for given, expected in (
        (lr_scheduler.ExponentialLR(gamma=0.5, by="epoch"), [0.02, 0.01, 0.005, 0.0025]),
        (lr_scheduler.ExponentialLR(0.4, gamma=0.5, by="epoch"), [0.4, 0.2, 0.1, 0.05]),
        (lambda epoch: 0.1 / (epoch + 1), [0.1, 0.05, 0.1 / 3, 0.025]),
        ([0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]),
    ):
        model = MLPRegressor(learning_rate=given, learning_rate_init=0.02, batch_size=300, **SMALL)
        model.fit(X, Y)
        np.testing.assert_allclose(model.history_.history["lr"], expected, rtol=1e-12)
    steps = MLPRegressor(learning_rate=lr_scheduler.CosineAnnealingLR(T_max=6), **SMALL)
    for k in range(3):  # of two steps each
        steps.partial_fit(X, Y)
        assert steps.network_.lr == pytest.approx(0.0005 * (1 + np.cos(np.pi * (k + 1) / 3)))
    with pytest.raises(ValueError, match=r"partial_fit. learning_rate is 'cosine', which lasts a"):
        MLPRegressor(learning_rate="cosine").partial_fit(X, Y)
    for name in ("invscaling", "adaptive"):  # scikit-learn's, with the solvers that are added
        model = MLPRegressor(solver="rmsprop", learning_rate=name, tol=1e9, n_iter_no_change=1)
        model.set_params(**SMALL | {"max_iter": 8}).fit(X, Y)
        assert model.network_.lr < model.learning_rate_init


def test_class_weights_are_weights_of_rows() -> None:
    names = np.where(Y < 2, "few", np.where(Y < 6, "more", "many"))
    given = np.linspace(0.5, 2, len(X))
    for weights in (None, given):
        rows = np.array([{"few": 3.0, "more": 1.0, "many": 0.5}[name] for name in names])
        rows = rows if weights is None else rows * weights
        model = MLPClassifier(class_weight={"few": 3.0, "many": 0.5}, **SMALL)
        model.fit(X, names, weights)
        expected = MLPClassifier(**SMALL).fit(X, names, rows)
        np.testing.assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-12)
    for labels in (names, names == "few", np.c_[Y < 3, Y > 5].astype(int)):
        model = MLPClassifier(class_weight="balanced", **SMALL).fit(X, labels)
        rows = compute_sample_weight("balanced", labels)
        expected = MLPClassifier(**SMALL).fit(X, labels, rows)
        np.testing.assert_allclose(model.coefs_[0], expected.coefs_[0], rtol=1e-12)
    repeats = np.where(Y < 2, 3, 1)
    weighted = MLPClassifier(class_weight="balanced", batch_size=300, **SMALL)
    repeated = clone(weighted).set_params(batch_size=int(repeats.sum()))
    weighted.fit(X, names, repeats)
    repeated.fit(np.repeat(X, repeats, axis=0), np.repeat(names, repeats))
    assert weighted.loss_curve_[0] == pytest.approx(repeated.loss_curve_[0], rel=1e-9)
    with pytest.raises(AttributeError) as info:
        MLPClassifier(class_weight="balanced").partial_fit(X, Y, classes=np.unique(Y))
    assert "'balanced', which needs all labels at once" in str(info.value.__cause__)
    half = MLPClassifier(class_weight={"few": 3.0}, **SMALL)
    for _ in range(2):
        half.partial_fit(X[:50], names[:50], classes=["few", "many", "more"])
    rows = np.where(names == "few", 3.0, 1.0)[:50]
    plain = MLPClassifier(**SMALL)
    for _ in range(2):
        plain.partial_fit(X[:50], names[:50], rows, classes=["few", "many", "more"])
    np.testing.assert_allclose(half.coefs_[0], plain.coefs_[0], rtol=1e-12)


@pytest.mark.parametrize("name", sorted(_parameters.REGRESSION_LOSSES))
def test_losses_of_numbers(name: str) -> None:
    """The loss of the first batch is that of the core for the initial values."""
    targets = np.c_[Y, Y[::-1]] / 10
    model = MLPRegressor(loss=name, alpha=0, batch_size=300, **SMALL).fit(X, targets)
    network = MLPRegressor(loss=name, learning_rate_init=1e-300, **SMALL).fit(X, targets).network_
    assert model.loss_curve_[0] == pytest.approx(network.evaluate(X, targets)["loss"], rel=1e-9)
    assert type(network.loss).registry_name == _parameters.REGRESSION_LOSSES[name]
    assert model.predict(X).shape == (300, 2)
    assert model.out_activation_ == ("exp" if "poisson" in name else "identity")
    mean = MLPRegressor(loss="squared_error", **SMALL).fit(X, targets)
    assert mean.network_.loss == nn.HalfMSELoss(reduction="batchmean")


def test_losses_of_numbers_find_what_they_should() -> None:
    rng = np.random.default_rng(0)
    x, noise = np.zeros((400, 1)), rng.exponential(size=400)
    for loss, expected in (
        ("quantile", np.median(noise)),
        ("absolute_error", np.median(noise)),
        (nn.QuantileLoss(quantiles=[0.9]), np.quantile(noise, 0.9)),
        ("squared_error", noise.mean()),
        ("poisson", noise.mean()),
    ):
        model = MLPRegressor(loss=loss, hidden_layer_sizes=(), learning_rate_init=0.1)
        model.set_params(learning_rate="cosine", n_iter_no_change=np.inf, max_iter=400)
        model.set_params(random_state=0).fit(x, noise)
        assert model.predict(x)[0] == pytest.approx(expected, abs=0.05)


def test_losses_of_classes() -> None:
    for labels, outputs in ((Y < 5, 1), (Y, 10), (np.c_[Y < 3, Y > 5].astype(int), 2)):
        model = MLPClassifier(loss="focal", early_stopping=True, **SMALL).fit(X, labels)
        assert model.out_activation_ == "logistic"
        assert model.n_outputs_ == outputs
        assert type(model.network_.loss) is nn.FocalLoss
        model.set_params(early_stopping=False).partial_fit(X[:100], labels[:100])
        if np.ndim(labels) == 1:
            np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-12)
            found = model.classes_[model.predict_proba(X).argmax(axis=1)]
            np.testing.assert_array_equal(found, model.predict(X))
    model = MLPClassifier(loss="focal", learning_rate_init=0.02, max_iter=60, random_state=0)
    assert model.fit(X, Y).score(X, Y) > 0.95
    own = nn.FocalLoss(gamma=0.0, alpha=0.5, reduction="batchmean")
    assert MLPClassifier(loss=own, **SMALL).fit(X, Y).network_.loss == own
    with pytest.raises(ValueError, match=r"\[MLPClassifier.fit\] loss is CrossEntropyLoss"):
        MLPClassifier(loss=nn.CrossEntropyLoss(), **SMALL).fit(X, Y < 5)


def test_label_smoothing() -> None:
    """Two classes as one output and as two, with tied weights, have the same loss."""
    several = MLPClassifier(label_smoothing=0.2, **SMALL).fit(X, Y)
    assert several.network_.loss == nn.CrossEntropyLoss(label_smoothing=0.2)
    two = MLPClassifier(label_smoothing=0.2, alpha=0, batch_size=300, early_stopping=True, **SMALL)
    two.fit(X, Y < 5, X_val=X_VAL, y_val=Y_VAL < 5)
    frozen = clone(two).set_params(learning_rate_init=1e-300).fit(X, Y < 5, X_val=X, y_val=Y < 5)
    p = frozen.predict_proba(X)
    loss = nn.CrossEntropyLoss(label_smoothing=0.2)
    net = nn.Sequential(nn.Identity(), nn.Linear(2, 2), dtype=np.float64)
    net.load_state_dict({"1.weight": np.eye(2), "1.bias": np.zeros(2)})
    net.compile("sgd", loss)
    expected = net.evaluate(np.log(p), (Y < 5).astype(int))["loss"]
    assert two.loss_curve_[0] == pytest.approx(expected, rel=1e-9)
    assert frozen.validation_loss_curve_[0] == pytest.approx(expected, rel=1e-9)
    assert two.best_validation_score_ == two.score(X_VAL, Y_VAL < 5)


def test_gradients_are_clipped() -> None:
    model = MLPClassifier(
        solver="sgd", alpha=0, weight_decay=0.0, max_grad_norm=0.01, momentum=0, batch_size=300
    )
    model.set_params(learning_rate_init=1.0, **SMALL | {"max_iter": 1}).fit(X, Y)
    start = clone(model).set_params(learning_rate_init=1e-300).fit(X, Y)
    before = [*start.coefs_, *start.intercepts_]
    moved = [a - b for a, b in zip([*model.coefs_, *model.intercepts_], before, strict=True)]
    norm = np.sqrt(sum((part**2).sum() for part in moved))
    assert norm == pytest.approx(0.01, rel=1e-5)  # torch's, with 1e-6 beside the norm


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_dtype(cls: Any) -> None:
    small = X.astype(np.float32)
    for given in ("float32", np.float32, np.dtype("float32")):
        model = cls(dtype=given, **SMALL).fit(X, Y)
        assert {a.dtype for a in model.coefs_} == {np.dtype(np.float32)}
        np.testing.assert_array_equal(model.coefs_[0], cls(**SMALL).fit(small, Y).coefs_[0])
    assert cls(dtype="float64", **SMALL).fit(small, Y).coefs_[0].dtype == np.float64


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_the_best_of_several_restarts_is_kept(cls: Any) -> None:
    """The first one is that without restarts; the others draw from generators of their own."""
    given = {"X_val": X_VAL, "y_val": Y_VAL}
    for validates, figure in (({}, "loss_"), (given, "validation_loss_curve_")):
        seeds = [5, *np.random.RandomState(5).randint(2**31 - 1, size=3)]
        runs = [cls(**SMALL | {"random_state": k}).fit(X, Y, **validates) for k in seeds]
        losses = [np.ravel(getattr(run, figure))[-1] for run in runs]
        assert len(set(losses)) == 4
        model = cls(n_init=4, **SMALL | {"random_state": np.random.RandomState(5)})
        model.fit(X, Y, **validates)
        assert np.ravel(getattr(model, figure))[-1] == min(losses)
        best = runs[int(np.argmin(losses))]
        np.testing.assert_array_equal(model.predict(X), best.predict(X))
        assert model.loss_curve_ == best.loss_curve_ == model.history_.history["loss"]
    model = cls(n_init=3, early_stopping=True, **SMALL).fit(X, Y, **given)
    assert model.score(X_VAL, Y_VAL) == pytest.approx(model.best_validation_score_, rel=1e-12)
    single = cls(early_stopping=True, **SMALL).fit(X, Y, **given)
    assert model.best_validation_score_ >= single.best_validation_score_
    first = cls(**SMALL).fit(X, Y).coefs_[0]
    warm = cls(n_init=3, warm_start=True, **SMALL).fit(X, Y)
    warm.fit(X, Y)
    assert len(warm.loss_curve_) == 8
    np.testing.assert_array_equal(cls(n_init=1, **SMALL).fit(X, Y).coefs_[0], first)
    several = cls(n_init=3, solver="lbfgs", **SMALL).fit(X, Y)
    assert several.loss_ <= cls(solver="lbfgs", **SMALL).fit(X, Y).loss_


def test_callbacks_of_fastnn() -> None:
    seen: list[Any] = []
    watch = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)))
    stop = callbacks.EarlyStopping("val_loss", patience=2, min_delta=10)
    model = MLPClassifier(callbacks=[watch, stop], **SMALL | {"max_iter": 50})
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert [logs["val_loss"] for _, logs in seen] == model.validation_loss_curve_
    assert model.n_iter_ == len(model.loss_curve_) == 3
    low = callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=100, factor=0.5)
    slow = MLPRegressor(callbacks=low, **SMALL).fit(X, Y)
    assert slow.history_.history["lr"][-1] < slow.learning_rate_init
    batches: list[int] = []
    count = callbacks.LambdaCallback(on_train_batch_end=lambda batch, _: batches.append(batch))
    other = MLPClassifier(callbacks=[count], batch_size=100, **SMALL)
    other.partial_fit(X, Y, classes=np.arange(10)).partial_fit(X[:100], Y[:100])
    assert batches == [0, 1, 2, 0]
    clone(model).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    with pytest.raises(ValueError, match="callbacks has a BackupAndRestore"):
        MLPClassifier(callbacks=callbacks.BackupAndRestore("x.npz"), **SMALL).fit(X, Y)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_rows_for_validation(cls: Any) -> None:
    plain = cls(**SMALL).fit(X, Y)
    assert plain.validation_loss_curve_ is None
    weights = np.linspace(0.1, 2, len(X_VAL))
    given = {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": weights}
    model = cls(**SMALL).fit(X, Y, **given)
    np.testing.assert_array_equal(model.coefs_[0], plain.coefs_[0])
    last = model.network_.evaluate(X_VAL, Y_VAL, sample_weight=weights)["loss"]
    assert model.validation_loss_curve_[-1] == pytest.approx(last, rel=1e-9)
    assert model.history_.history["val_loss"] == model.validation_loss_curve_
    assert model.history_ is model.network_.history
    assert len(model.validation_loss_curve_) == 4
    warm = cls(warm_start=True, **SMALL).fit(X, Y, **given).fit(X, Y, **given)
    assert len(warm.validation_loss_curve_) == 8
    early = cls(early_stopping=True, **SMALL).fit(X, Y, **given)
    assert early.best_validation_score_ == pytest.approx(
        early.score(X_VAL, Y_VAL, sample_weight=weights), rel=1e-12
    )
    held = cls(early_stopping=True, **SMALL).fit(X, Y)
    assert len(held.validation_loss_curve_) == len(held.validation_scores_) == 4


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_refused_additions(cls: Any) -> None:
    """Messages say where, what came and what was expected; the estimator stays unfitted."""
    given: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"dropout": 1}, {}, r"The 'dropout' parameter of .* must be a float in the range \[0"),
        ({"dropout": [0.1]}, {}, "dropout has 1 entries; expected one for each of 2"),
        ({"dropout": [0.1, 1.5]}, {}, "dropout has 1.5; expected at least 0 and below 1"),
        ({"activation": "rectifier"}, {}, "The 'activation' parameter of .* must be a str among"),
        ({"activation": ["relu", "reul"]}, {}, "unknown activation 'reul'.*Did you mean 'relu'"),
        ({"activation": ["relu"]}, {}, "activation has 1 entries; expected one for each of 2"),
        ({"normalization": "group"}, {}, "The 'normalization' parameter of"),
        ({"solver": "adamx"}, {}, "The 'solver' parameter of"),
        ({"learning_rate": "warm"}, {}, "The 'learning_rate' parameter of"),
        ({"weight_decay": -1}, {}, "The 'weight_decay' parameter of"),
        ({"max_grad_norm": 0}, {}, "The 'max_grad_norm' parameter of"),
        ({"dtype": "float16"}, {}, "The 'dtype' parameter of"),
        ({"dtype": np.dtype("int8")}, {}, "int8.*; expected float32 or float64"),
        ({"n_init": 0}, {}, "The 'n_init' parameter of"),
        ({"max_time": 0}, {}, "The 'max_time' parameter of"),
        ({"n_jobs": 0}, {}, "The 'n_jobs' parameter of"),
        ({"callbacks": [1]}, {}, "fit. callbacks has 1; expected objects of fastnn.callbacks"),
        ({"solver": "lbfgs", "dropout": 0.1}, {}, "dropout came with solver='lbfgs'"),
        ({"solver": "lbfgs"}, {"X_val": X, "y_val": Y}, "X_val came with solver='lbfgs'"),
        ({}, {"X_val": X}, "X_val is provided, but y_val was not provided"),
        ({}, {"y_val": Y}, "y_val is provided, but X_val was not provided"),
        ({}, {"sample_weight_val": Y}, "sample_weight_val is provided, but X_val was not"),
        ({}, {"X_val": X[:, :3], "y_val": Y}, "X has 3 features, but .* is expecting 64"),
        ({}, {"X_val": X, "y_val": Y[:-1]}, "inconsistent numbers of samples"),
        ({}, {"X_val": X, "y_val": np.c_[Y, Y]}, "y_val has|multioutput"),
        ({"loss": "hing"}, {}, "The 'loss' parameter of"),
    ]
    if cls is MLPClassifier:
        given += [
            ({}, {"X_val": X, "y_val": Y + 5}, "y_val has the classes .*; expected only those of"),
            ({"label_smoothing": 1}, {}, "The 'label_smoothing' parameter of"),
            ({"class_weight": "even"}, {}, "The 'class_weight' parameter of"),
            ({"class_weight": {"a": 1}}, {}, "class"),
            ({"class_weight": {0: 2}}, {"y": np.c_[Y < 3, Y > 5]}, "class_weight is .0: 2. and y"),
        ]
    for settings, more, message in given:
        model = cls(**SMALL | settings)
        with pytest.raises((ValueError, TypeError), match=message):
            model.fit(X, **{"y": Y} | more)
        assert not [name for name in vars(model) if name.endswith("_")]


def test_a_callback_that_fails_leaves_the_fitted_model() -> None:
    """Also in a later epoch of a warm start and of a partial_fit, whose values had changed."""

    def fail(epoch: int, logs: Any) -> None:
        raise RuntimeError("enough")

    for cls in ESTIMATORS:
        model = cls(warm_start=True, **SMALL).fit(X, Y)
        before, state = model.predict(X), dict(vars(model))
        model.set_params(callbacks=callbacks.LambdaCallback(on_epoch_end=fail))
        for train in (model.fit, model.partial_fit):
            with pytest.raises(RuntimeError, match="enough"):
                train(X, Y)
            np.testing.assert_array_equal(model.predict(X), before)
            assert all(vars(model)[name] is state[name] for name in state if name.endswith("_"))
            assert len(model.loss_curve_) == 4
        model.set_params(callbacks=None).partial_fit(X, Y)
