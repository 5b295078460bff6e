# SPDX-License-Identifier: BSD-3-Clause
"""What the estimators refuse or take at the edges of their arguments, in words of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn import neural_network as theirs

import fastnn
from fastnn import MLPClassifier, MLPRegressor, callbacks, nn

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 5))
NUMBERS, CLASSES = X @ np.arange(5.0), rng.integers(0, 3, 40)
FLAGS = np.column_stack([X[:, 0] > 0, X[:, 1] > 0]).astype(int)
SMALL: dict[str, Any] = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 0}


def classifier(**settings: Any) -> MLPClassifier:
    return MLPClassifier(**{**SMALL, **settings})


def regressor(**settings: Any) -> MLPRegressor:
    return MLPRegressor(**{**SMALL, **settings})


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (nn.GaussianNLLLoss(), "GaussianNLLLoss on 1 output; expected a multiple of 2"),
        (nn.QuantileLoss(quantiles=[0.1, 0.9]), "QuantileLoss on 1 output; expected a multiple"),
        (nn.CrossEntropyLoss(), "CrossEntropyLoss on 1 output; expected one output a class"),
        (nn.CrossEntropyLoss(weight=[1, 2]), "CrossEntropyLoss weight has 2 numbers; expected"),
    ],
)
def test_a_loss_that_does_not_fit(loss: Any, words: str) -> None:
    if "weight has" in words:
        with pytest.raises(ValueError, match=rf"^\[MLPClassifier\.fit\] {words}"):
            classifier(loss=loss).fit(X, CLASSES)
        return
    with pytest.raises(ValueError, match=rf"^\[MLPRegressor\.fit\] {words}"):
        regressor(loss=loss).fit(X, NUMBERS)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_predictions_of_numbers_that_are_too_large(kind: Any) -> None:
    model = regressor(dtype="float32").fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"^\[MLPRegressor\.predict\] X has .* \(as float32\)$"):
        model.predict(kind(1e200 * X))


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({0: -1}, ValueError, "[0] is -1; expected a finite number of at least 0"),
        ({0: 1, 2: np.nan}, ValueError, "[2] is nan; expected"),
        ({1: "a"}, TypeError, "[1] is 'a'; expected"),
    ],
)
def test_weights_of_classes_are_numbers(given: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind) as caught:
        classifier(class_weight=given).fit(X, CLASSES)
    assert str(caught.value).startswith(f"[MLPClassifier.fit] class_weight{words}")


def test_a_single_row_decides_nothing() -> None:
    for model, y in ((classifier(), CLASSES), (regressor(), NUMBERS)):
        model.fit(X, y, X_val=X[:1], y_val=y[:1])
        model.set_params(early_stopping=True)
        with pytest.raises(ValueError, match=r"\.fit\] X_val has 1 row; expected at least 2"):
            model.fit(X, y, X_val=X[:1], y_val=y[:1])


def test_arrays_that_are_of_no_network() -> None:
    model = regressor().fit(X, NUMBERS)
    held = model.coefs_
    model.coefs_ = [np.ones((5, 3)), np.ones((3, 1))]
    with pytest.raises(
        ValueError, match=r"^\[MLPRegressor\] intercepts_ has the shapes .*; expect"
    ):
        model.predict(X)
    model.coefs_ = [np.ones((5, 3)), np.ones((4, 1))]
    with pytest.raises(
        ValueError, match=r"^\[MLPRegressor\] coefs_ has the shapes .*; expected \("
    ):
        model.predict(X)
    model.coefs_ = held
    assert model.predict(X).shape == (40,)
    model.coefs_, model.intercepts_ = [np.ones((5, 3)), np.ones((3, 1))], [np.ones(3), np.ones(1)]
    np.testing.assert_allclose(model.predict(X), 1 + 3 * np.maximum(X.sum(axis=1) + 1, 0))


def test_a_callback_that_needs_rows_for_validation_says_how_to_give_them() -> None:
    with pytest.raises(ValueError, match=r"\(an estimator: X_val and y_val\)$"):
        classifier(callbacks=callbacks.EarlyStopping()).fit(X, CLASSES)


def test_sparse_labels_are_predicted_as_a_sparse_matrix(tmp_path: Path) -> None:
    y = sparse.csr_matrix(FLAGS)
    ours, other = (m.MLPClassifier(**SMALL).fit(X, y).predict(X) for m in (fastnn, theirs))
    assert type(ours) is type(other)
    assert (ours.format, ours.dtype) == (other.format, other.dtype)
    np.testing.assert_array_equal(ours.toarray(), other.toarray())
    again = classifier().partial_fit(X, y, classes=[0, 1]).predict(X)
    assert sparse.issparse(again)
    fitted = classifier().fit(X, y)
    for suffix in (".npz", ".safetensors"):
        fitted.save(tmp_path / f"model{suffix}")
        loaded = fastnn.load(tmp_path / f"model{suffix}").predict(X)
        assert type(loaded) is type(other)
        assert (loaded != ours).nnz == 0
    assert type(classifier().fit(X, FLAGS).predict(X)) is np.ndarray


@pytest.mark.parametrize("dtype", ["longdouble", "float16", ">f8", "int8", "bool"])
def test_targets_of_any_real_dtype(dtype: str) -> None:
    y = NUMBERS.astype(dtype)
    ours, other = (m.MLPRegressor(**SMALL).fit(X, y).predict(X) for m in (fastnn, theirs))
    np.testing.assert_allclose(
        ours, np.asarray(other, float), rtol=1e-3 if y.itemsize == 2 else 1e-9
    )
    found = regressor().fit(X, y, X_val=X, y_val=y).validation_loss_curve_
    assert len(found) == 5


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_training_by_batches_goes_on_after_lbfgs(again: str) -> None:
    """scikit-learn's estimators lack their curves then."""
    model = regressor(solver="lbfgs", warm_start=True).fit(X, NUMBERS)
    before = model.coefs_[0].copy()
    getattr(model.set_params(solver="adam"), again)(X, NUMBERS)
    assert len(model.loss_curve_) == (5 if again == "fit" else 1)
    assert 0 < np.abs(model.coefs_[0] - before).max() < 0.1


class Narrow(MLPClassifier):
    """A subclass with fewer parameters than its base."""

    def __init__(self, width: int = 6) -> None:
        super().__init__((width,), max_iter=5, random_state=0)
        self.width = width


def test_a_subclass_is_saved_as_its_base(tmp_path: Path) -> None:
    model = Narrow(7).fit(X, CLASSES)
    model.save(tmp_path / "model.npz")
    loaded = fastnn.load(tmp_path / "model.npz")
    assert type(loaded) is MLPClassifier
    assert loaded.hidden_layer_sizes == (7,)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
