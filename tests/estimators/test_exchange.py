# SPDX-License-Identifier: BSD-3-Clause
"""Estimators to and from scikit-learn's own, files, torch and ONNX: the same predictions."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn import neural_network as theirs  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

import fastnn  # noqa: E402
from fastnn import MLPClassifier, MLPRegressor, nn  # noqa: E402
from fastnn.errors import ModelFileError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
LABELS = {
    "two": Y % 2,
    "three": Y,
    "strings": np.array(["no", "yes", "perhaps"])[Y],
    "objects": np.array(["no", "yes"], object)[Y % 2],
    "booleans": Y > 0,
    "floats": Y * 2.0,
    "one": np.full(60, 3),
    "several": np.stack([Y > 0, Y > 1], 1).astype(int),
}
NUMBERS = {"one": X[:, 0], "two": X[:, :2]}


def classifier(labels: object, **settings: object) -> MLPClassifier:
    return MLPClassifier((6, 4), max_iter=3, random_state=0, **settings).fit(X, labels)


def regressor(y: object, **settings: object) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(6,), max_iter=3, random_state=0, **settings).fit(X, y)


def same(a, b) -> bool:
    """Whether two arrays are equal, and of the same dtype and shape."""
    return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize("kind", LABELS)
def test_classifiers_of_scikit_learn(kind, activation):
    ours = classifier(LABELS[kind], activation=activation)
    other = ours.to_sklearn()
    assert type(other) is theirs.MLPClassifier
    np.testing.assert_allclose(other.predict_proba(X), ours.predict_proba(X), rtol=0, atol=1e-12)
    assert same(other.predict(X), ours.predict(X))
    back = MLPClassifier.from_sklearn(other)
    assert same(back.predict_proba(X), ours.predict_proba(X))
    assert (back.loss_curve_, back.t_, back.n_iter_) == (ours.loss_curve_, ours.t_, ours.n_iter_)
    assert back.get_params() == ours.get_params()
    assert back.partial_fit(X, LABELS[kind]).t_ == ours.t_ + 60


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS)
def test_regressors_of_scikit_learn(y, early):
    ours = regressor(y, early_stopping=early, warm_start=True)
    other = ours.to_sklearn()
    assert type(other) is theirs.MLPRegressor
    np.testing.assert_allclose(other.predict(X), ours.predict(X), rtol=0, atol=1e-12)
    back = MLPRegressor.from_sklearn(other)
    assert same(back.predict(X), ours.predict(X))
    for each in (other, back):
        assert each.fit(X, y).n_iter_ == 3  # a warm start


def test_copies_share_nothing():
    ours = classifier(Y)
    other = ours.to_sklearn()
    back = MLPClassifier.from_sklearn(other)
    other.coefs_[0][...] = 0
    other.loss_curve_.clear()
    assert ours.coefs_[0].any()
    assert back.coefs_[0].any()
    assert ours.loss_curve_
    assert back.loss_curve_


def test_values_put_into_coefs_are_exchanged():
    ours = regressor(NUMBERS["one"])
    ours.coefs_[1] = np.zeros((6, 1))
    ours.intercepts_[1] = np.full(1, 2.5)
    assert (ours.to_sklearn().predict(X) == 2.5).all()


def test_what_scikit_learn_cannot_express_is_refused():
    with pytest.raises(TypeError, match=r"got .*expected a sklearn.neural_network.MLPClassifier"):
        MLPClassifier.from_sklearn(theirs.MLPRegressor())
    for call in (
        lambda: MLPClassifier.from_sklearn(theirs.MLPClassifier()),
        MLPClassifier().to_sklearn,
        MLPClassifier().to_onnx,
        MLPRegressor().to_torch,
        lambda: MLPRegressor().save("x.npz"),
    ):
        with pytest.raises(NotFittedError):
            call()


def with_layers(*layers) -> MLPClassifier:
    """Return a fitted classifier with another model inside."""
    ours = classifier(Y)
    model = nn.Sequential(nn.Linear(5, 6), *layers, nn.Linear(6, 3), dtype="float64", seed=0)
    model.compile("sgd", "cross_entropy")
    model.fit(X, Y, epochs=2, verbose=0)
    ours.network_ = model
    ours._show_values()
    return ours


def test_dropout_and_normalization_of_batches_in_scikit_learn():
    ours = with_layers(nn.BatchNorm1d(6), nn.Sigmoid(), nn.Dropout(0.4))
    other = ours.to_sklearn()
    assert other.activation == "logistic"
    np.testing.assert_allclose(other.predict_proba(X), ours.predict_proba(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.LayerNorm(6), nn.ReLU()], "a hidden layer has LayerNorm"),
        ([nn.SELU()], "a hidden layer has SELU.*identity, logistic, relu, tanh"),
        ([nn.ReLU(), nn.Linear(6, 6), nn.Tanh()], "the activations relu, tanh; expected the same"),
    ],
)
def test_layers_that_scikit_learn_lacks_are_refused(layers, message):
    with pytest.raises(ValueError, match=rf"^\[MLPClassifier.to_sklearn\] .*{message}"):
        with_layers(*layers).to_sklearn()


# Files.


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
@pytest.mark.parametrize("kind", LABELS)
def test_files_of_classifiers(kind, suffix, tmp_path):
    ours = classifier(LABELS[kind])
    path = tmp_path / f"clf.{suffix}"
    ours.save(path)
    other = fastnn.load(path)
    assert type(other) is MLPClassifier
    assert repr(other) == repr(ours)
    assert same(other.predict_proba(X), ours.predict_proba(X))
    assert same(other.predict(X), ours.predict(X))
    assert same(other.classes_, ours.classes_)
    assert vars(other).keys() == vars(ours).keys()
    assert other.loss_curve_ == ours.loss_curve_
    goes_on = [each.partial_fit(X, LABELS[kind]).coefs_[0] for each in (ours, other)]
    assert same(*goes_on)  # the optimizer's state is there


@pytest.mark.parametrize(
    "settings", [{"early_stopping": True}, {"solver": "lbfgs"}, {"solver": "sgd"}]
)
def test_files_of_regressors(settings, tmp_path):
    ours = regressor(X[:, :2], warm_start=True, **settings)
    ours.save(tmp_path / "model.npz")
    other = fastnn.load(tmp_path / "model.npz")
    assert type(other) is MLPRegressor
    assert same(other.predict(X), ours.predict(X))
    assert (
        other.validation_scores_ == ours.validation_scores_ if "early_stopping" in settings else 1
    )
    assert same(*(each.fit(X, X[:, :2]).coefs_[1] for each in (ours, other)))


def test_files_keep_names_of_columns_and_the_random_state(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcde"))
    ours = MLPClassifier((4,), max_iter=2, random_state=np.random.RandomState(3)).fit(frame, Y)
    ours.save(tmp_path / "a.npz")
    ours.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    other = fastnn.load(tmp_path / "a.npz")
    assert same(other.feature_names_in_, ours.feature_names_in_)
    assert same(other.predict(frame), ours.predict(frame))
    with pytest.warns(UserWarning, match="valid feature names"):
        other.predict(X)
    assert same(*(each.fit(frame, Y).coefs_[0] for each in (ours, other)))


def test_parameters_that_no_file_can_hold(tmp_path):
    ours = MLPClassifier(range(6, 7), max_iter=2).fit(X, Y)
    with pytest.raises(TypeError, match=r"\[MLPClassifier.save\].*Pickle the estimator"):
        ours.save(tmp_path / "clf.npz")
    assert not list(tmp_path.iterdir())


def _changed(path, change) -> None:
    """Write the file again, with a valid checksum, after a change of its config."""
    from fastnn import _files

    content = _files.read("test", path)
    config = json.loads(json.dumps(content.config))
    change(config["estimator"])
    _files.write("test", path, config, content.arrays)


CHANGES = {
    "another class": lambda e: e.update({"class": "Sequential"}),
    "a method": lambda e: e["attributes"].update(predict_={"tuple": []}, fit=1),
    "a private name": lambda e: e["attributes"].update(__class__="x"),
    "columns": lambda e: e["attributes"].update(n_features_in_=4),
    "outputs": lambda e: e["attributes"].update(n_outputs_=True),
    "a link": lambda e: e["attributes"].update(out_activation_="relu"),
    "labels": lambda e: e["attributes"].update(classes_={"labels": ["<U1", ["a", "b"]]}),
    "no labels": lambda e: e["attributes"].pop("_label_binarizer"),
    "a parameter": lambda e: e["parameters"].update(depth=3),
    "a list": lambda e: e["attributes"].update(classes_={"labels": [1]}),
    "an activation": lambda e: e["parameters"].update(activation={"layers": []}),
    "a schedule": lambda e: e["attributes"].update(_optimizer={"learning_rate": ["x"]}),
    "no dictionary": lambda e: e.update(attributes=[]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_altered_files_are_refused(change, tmp_path):
    path = tmp_path / "clf.npz"
    classifier(Y).save(path)
    fastnn.load(path)
    _changed(path, change)
    with pytest.raises(ModelFileError, match=r"^\[load\] .*clf.npz: "):
        fastnn.load(path)


def test_a_file_of_an_earlier_version_lacks_parameters(tmp_path):
    path = tmp_path / "clf.npz"
    classifier(Y, epsilon=1e-7).save(path)
    _changed(path, lambda entry: entry["parameters"].pop("epsilon"))
    assert fastnn.load(path).epsilon == 1e-8


def test_commands_read_files_of_estimators(tmp_path, capsys):
    from fastnn import _model_commands

    path = tmp_path / "clf.npz"
    classifier(LABELS["strings"]).save(path)
    assert _model_commands.show(str(path)) == 0
    assert "Linear" in capsys.readouterr().out


# Other libraries.


def test_torch():
    torch = pytest.importorskip("torch")
    ours = classifier(Y)
    raw = ours.to_torch()(torch.from_numpy(X))
    found = torch.softmax(raw, 1).detach().numpy()
    np.testing.assert_allclose(found, ours.predict_proba(X), rtol=0, atol=1e-12)


def session(made):
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(made.SerializeToString())


@pytest.mark.parametrize("kind", LABELS)
def test_onnx_of_classifiers(kind, tmp_path):
    onnx = pytest.importorskip("onnx")
    ours = classifier(LABELS[kind])
    made = ours.to_onnx(tmp_path / "clf.onnx")
    onnx.checker.check_model(made, full_check=True)
    assert (tmp_path / "clf.onnx").stat().st_size > 100
    label, probabilities = session(made).run(["label", "probabilities"], {"x": X})
    assert (label == ours.predict(X)).all()
    np.testing.assert_allclose(probabilities, ours.predict_proba(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS)
def test_onnx_of_regressors(y, loss):
    if "loss" not in theirs.MLPRegressor().get_params():
        pytest.skip("this version of scikit-learn has one loss")
    pytest.importorskip("onnx")
    ours = regressor(np.abs(y), loss=loss)
    (found,) = session(ours.to_onnx()).run(None, {"x": X})
    assert found.shape == ours.predict(X).shape
    np.testing.assert_allclose(found, ours.predict(X), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "close"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("kind", sorted(set(LABELS) - {"one", "floats"}))
def test_pipelines_by_skl2onnx(kind, dtype, close):
    skl2onnx = pytest.importorskip("skl2onnx")
    model = MLPClassifier((6, 4), max_iter=3, random_state=0)
    pipe = make_pipeline(StandardScaler(), model).fit(X, LABELS[kind])
    x = X.astype(dtype)
    made = skl2onnx.to_onnx(pipe, x[:1], options={"zipmap": False}, target_opset=18)
    label, probabilities = session(made).run(None, {"X": x})
    assert (label == pipe.predict(x)).all()
    assert probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities, pipe.predict_proba(x), rtol=0, atol=close)


@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS)
def test_pipelines_of_regressors_by_skl2onnx(y):
    skl2onnx = pytest.importorskip("skl2onnx")
    pipe = make_pipeline(StandardScaler(), MLPRegressor(max_iter=3, random_state=0)).fit(X, y)
    made = skl2onnx.to_onnx(pipe, X[:1], target_opset=18)
    (found,) = session(made).run(None, {"X": X})
    expected = pipe.predict(X)
    np.testing.assert_allclose(found, expected.reshape(60, -1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["fastnn, skl2onnx", "skl2onnx, fastnn"])
def test_the_converter_is_registered_in_either_order(order):
    pytest.importorskip("skl2onnx")
    first, second = order.split(", ")
    script = (
        f"import {first}; import {second}; import fastnn.sklearn\n"
        "from skl2onnx._supported_operators import sklearn_operator_name_map as known\n"
        "print(known[fastnn.MLPClassifier], known[fastnn.MLPRegressor])"
    )
    if first == "fastnn":
        script = "import fastnn.sklearn\n" + script
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["FastnnMLPClassifier", "FastnnMLPRegressor"]


def test_importing_estimators_imports_neither_onnx_nor_torch():
    script = (
        "import sys, fastnn.sklearn; "
        "print([name for name in ('onnx', 'skl2onnx', 'torch') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_copies_of_files_are_independent(tmp_path):
    ours = classifier(Y)
    ours.save(tmp_path / "clf.npz")
    first, second = fastnn.load(tmp_path / "clf.npz"), fastnn.load(tmp_path / "clf.npz")
    before = copy.deepcopy(second.coefs_[0])
    first.coefs_[0][...] = 0
    assert same(second.coefs_[0], before)
