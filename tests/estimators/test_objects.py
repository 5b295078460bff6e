# SPDX-License-Identifier: BSD-3-Clause
"""Parameters that are objects of fastnn: copies, pickles, files and other libraries."""

from __future__ import annotations

import copy
import io
import pickle
from functools import partial
from typing import Any

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.special import expit, softmax
from sklearn import neural_network as theirs
from sklearn.base import clone

import fastnn
from fastnn import MLPClassifier, MLPRegressor, callbacks, nn, optim
from fastnn.optim import lr_scheduler

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
SMALL: dict[str, Any] = {
    "hidden_layer_sizes": (6, 4),
    "max_iter": 3,
    "random_state": 0,
    "batch_size": 20,
}


def rate(epoch: int) -> float:
    return 0.05 / (epoch + 1)


# The class, its parameters and the targets.
CASES: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "several classes": (
        MLPClassifier,
        {
            "solver": optim.RMSprop(lr=0.01, momentum=0.9),
            "loss": nn.FocalLoss(gamma=1.0),
            "activation": nn.LeakyReLU(0.2),
            "learning_rate": lr_scheduler.ExponentialLR(gamma=0.9, by="epoch"),
            "callbacks": [callbacks.EarlyStopping("loss", patience=50)],
        },
        Y,
    ),
    "two classes": (
        MLPClassifier,
        {
            "solver": optim.NAdam(lr=0.01),
            "loss": nn.FocalLoss(gamma=1.0),
            "activation": nn.ReLU(),
            "learning_rate": lr_scheduler.CosineAnnealingLR(T_max=6.0),
            "callbacks": callbacks.LambdaCallback(),
        },
        Y % 2,
    ),
    "lists": (
        MLPClassifier,
        {
            "activation": [nn.SELU(), "gelu"],
            "loss": nn.CrossEntropyLoss(label_smoothing=0.1),
            "learning_rate": [0.1, 0.05, 0.02],
            "dropout": [0.1, 0.2],
            "dtype": np.dtype("float32"),
            "class_weight": {0: 2.0},
        },
        Y,
    ),
    "numbers": (
        MLPRegressor,
        {
            "solver": optim.AdamW(lr=0.01),
            "loss": nn.HuberLoss(delta=0.3),
            "activation": nn.Tanh(),
            "learning_rate": np.array([0.1, 0.05, 0.02]),
        },
        X[:, 0],
    ),
    "a function": (
        MLPRegressor,
        {
            "loss": nn.QuantileLoss(quantiles=[0.9]),
            "activation": nn.ELU(0.5),
            "learning_rate": rate,
        },
        X[:, 0],
    ),
    "rates": (
        MLPRegressor,
        {"loss": nn.PoissonNLLLoss(), "activation": nn.Sigmoid(), "solver": optim.Lion()},
        np.abs(X[:, 0]),
    ),
    "all rows": (
        MLPRegressor,
        {"solver": "lbfgs", "loss": nn.HuberLoss(delta=0.3), "activation": nn.Tanh()},
        X[:, :2],
    ),
}
# What scikit-learn's classes do not have, and so must be refused.
REFUSED = {
    "several classes": r"a hidden layer has LeakyReLU\(negative_slope=0.2\), which scikit-learn's",
    "lists": r"a hidden layer has SELU\(\), which scikit-learn's",
    "a function": r"a hidden layer has ELU\(alpha=0.5\), which scikit-learn's",
}
HAS_RATES = "loss" in theirs.MLPRegressor().get_params()

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.parametrize("case", CASES),
]


@pytest.fixture
def fitted(case: str) -> Any:
    cls, settings, y = CASES[case]
    return cls(**SMALL, **settings).fit(X, y)


def outputs(model: Any) -> Any:
    return getattr(model, "predict_proba", model.predict)(X)


def assert_goes_on(model: Any, other: Any, y: Any) -> None:
    """Both predict the same, and go on to the same values: the state of the optimizer is there."""
    np.testing.assert_array_equal(outputs(other), outputs(model))
    if model.solver == "lbfgs":
        return
    models = [copy.deepcopy(model).set_params(callbacks=None), other]
    first, second = (outputs(each.partial_fit(X, y)) for each in models)
    np.testing.assert_array_equal(second, first)


def test_clones_and_parameters(case: str, fitted: Any) -> None:
    cls, settings, y = CASES[case]
    given = fitted.get_params()
    assert all(given[name] is value for name, value in settings.items())
    for other in (clone(fitted), cls().set_params(**given)):
        assert not hasattr(other, "coefs_")
        np.testing.assert_array_equal(outputs(other.fit(X, y)), outputs(fitted))


def test_an_object_may_serve_several_estimators(case: str, fitted: Any) -> None:
    """A training changes nothing of them."""
    cls, settings, y = CASES[case]
    before = {name: repr(value) for name, value in settings.items() if name != "callbacks"}
    again = cls(**SMALL, **settings).fit(X, y)
    np.testing.assert_array_equal(outputs(again), outputs(fitted))
    assert before == {name: repr(settings[name]) for name in before}


@pytest.mark.parametrize("library", ["pickle", "joblib", "cloudpickle"])
def test_pickles(case: str, library: str, fitted: Any) -> None:
    file = io.BytesIO()
    if library == "joblib":
        joblib.dump(fitted, file)
    elif library == "cloudpickle":
        file.write(pytest.importorskip("cloudpickle").dumps(fitted))
    else:
        file.write(pickle.dumps(fitted))
    file.seek(0)
    other = joblib.load(file) if library == "joblib" else pickle.load(file)
    assert_goes_on(fitted, other, CASES[case][2])


def test_files(case: str, fitted: Any, tmp_path: Any) -> None:
    path = tmp_path / "model.npz"
    if case == "a function":
        with pytest.raises(TypeError, match=r"\[MLPRegressor.save\].* is code;.*Pickle"):
            fitted.save(path)
        return
    fitted.save(path)
    other = fastnn.load(path)
    kept = {name: value for name, value in fitted.get_params().items() if name != "callbacks"}
    found = other.get_params()
    assert found.pop("callbacks") is None
    assert {n: repr(value) for n, value in found.items()} == {n: repr(v) for n, v in kept.items()}
    assert_goes_on(fitted, other, CASES[case][2])


def test_scikit_learns_own(case: str, fitted: Any) -> None:
    if case in REFUSED:
        with pytest.raises(ValueError, match=rf"\[{type(fitted).__name__}.to_sklearn\].*"):
            fitted.to_sklearn()
        with pytest.raises(ValueError, match=REFUSED[case]):
            fitted.to_sklearn()
        return
    if case == "rates" and not HAS_RATES:
        with pytest.raises(ValueError, match="the outputs have the activation 'exp'"):
            fitted.to_sklearn()
        return
    other = fitted.to_sklearn()
    assert type(other) is getattr(theirs, type(fitted).__name__)
    other._validate_params()  # it has no object that it does not know
    np.testing.assert_allclose(outputs(other), outputs(fitted), rtol=0, atol=1e-12)
    back = type(fitted).from_sklearn(other)
    np.testing.assert_array_equal(outputs(back), outputs(fitted))


def test_onnx(case: str, fitted: Any) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(fitted.to_onnx().SerializeToString())
    dtype = fitted.coefs_[0].dtype
    found = session.run(None, {"x": X.astype(dtype)})[-1]
    close = 1e-12 if dtype == np.float64 else 1e-6
    expected = outputs(fitted)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=0, atol=close)


def test_torch(case: str, fitted: Any) -> None:
    torch = pytest.importorskip("torch")
    rows = torch.from_numpy(X.astype(fitted.coefs_[0].dtype))
    raw = fitted.to_torch().eval()(rows).detach().numpy()
    links = {"softmax": partial(softmax, axis=1), "logistic": expit, "exp": np.exp}
    found = links.get(fitted.out_activation_, np.asarray)(raw)
    close = 1e-12 if raw.dtype == np.float64 else 1e-6
    np.testing.assert_allclose(found, fitted.network_.predict(X), rtol=0, atol=close)


def test_pages_show_the_objects(case: str, fitted: Any) -> None:
    page, text = fitted._repr_html_(), repr(fitted)
    for name, value in CASES[case][1].items():
        assert name in page
        assert f"{name}=" in text
        if name in ("solver", "loss", "callbacks") and not isinstance(value, str):
            for each in value if isinstance(value, list) else [value]:
                assert f"{type(each).__name__}(" in text
                assert f"{type(each).__name__}(" in page
    assert " object at 0x" not in text + page
