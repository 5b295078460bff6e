# SPDX-License-Identifier: BSD-3-Clause
"""Messages about data and names of other libraries give advice, and the advice works."""

from __future__ import annotations

import copy
import pathlib
import re
from typing import Any

import numpy as np
import pytest

from fastnn import functional as F
from fastnn import nn, optim

X = np.random.default_rng(0).standard_normal((6, 2)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 1, 2, 0])


def model(loss: str = "cross_entropy", outputs: int = 3) -> nn.Sequential:
    made = nn.Sequential(nn.Linear(2, outputs))
    made.compile("sgd", loss)
    return made


class Sparse:
    """An array that looks from outside like a sparse matrix of scipy."""

    nnz, shape = 3, (6, 2)

    def toarray(self) -> np.ndarray:
        return X


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (Sparse(), r"; X is sparse: X\.toarray\(\)$"),
        ((row for row in X), r"; X is a generator: np\.array\(list\(X\)\)$"),
        (zip(X[:, 0], X[:, 1], strict=True), r"; X is a zip: np\.array\(list\(X\)\)$"),
        (map(list, X), r"; X is a map: np\.array\(list\(X\)\)$"),
        ({1.0, 2.0}, r"; X is a set: np\.array\(list\(X\)\)$"),
        ({"a": X[:, 0]}, r"; X is a dict: np\.column_stack\(list\(X\.values\(\)\)\) has"),
        (pathlib.Path("iris.csv"), r"; X is a PosixPath: read the file first, e\.g\. with np\.l"),
        ("iris.csv", r"; X is a str: read the file first"),
        (None, r"; X is None$"),
        (object(), r"; X is a object$"),
        ([["1", "2"]], r"it holds text: np\.asarray\(X\)\.astype\('float32'\) if it is numbers"),
        ([[None, 1.0]], r"it holds missing cells: fill them$"),
        (np.array([["2020-01-01"] * 2], "M8[D]"), r"it holds dates: make numbers of them$"),
        (X + 1j, r"it is complex: X\.real, or"),
        (X.astype(np.longdouble), r": X\.astype\('float64'\)$"),
    ],
)
def test_what_is_no_array_of_numbers(x: Any, text: str) -> None:
    with pytest.raises(TypeError, match=rf"^\[Sequential.predict\] X has dtype .*{text}"):
        model().predict(x)


def test_arrays_of_libraries_that_refuse() -> None:
    class Refuses:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("requires grad; use detach()")

    with pytest.raises(TypeError, match=r"X is a \w+ Refuses that NumPy cannot read \(requires gr"):
        model().predict(Refuses())


def test_frames() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"age": X[:, 0], "city": list("abcabc")})
    text = r"X has dtype object; .*; column 'city' holds text: X\.astype\('float32'\) if it is"
    with pytest.raises(TypeError, match=text):
        model().predict(frame)
    numbers = frame.assign(city=[str(v) for v in X[:, 1]])
    with pytest.raises(TypeError, match=text):
        model().fit(numbers, CLASSES)
    made = model()
    np.testing.assert_allclose(made.predict(numbers.astype("float32")), made.predict(X), rtol=1e-6)
    mixed = pd.DataFrame({"on": [True, False] * 3, "age": X[:, 0]})
    with pytest.raises(TypeError, match=r"several dtypes, .* objects: X\.astype\('float32'\)$"):
        model().predict(mixed)
    model().predict(mixed.astype("float32"))
    dated = pd.DataFrame(
        {"age": X[:, 0], "day": pd.to_datetime(["2020-01-01"] * 6), "x": ["a"] * 6}
    )
    with pytest.raises(TypeError, match=r"column 'day' holds dates \(and 1 more\): make numbers"):
        model().predict(dated)
    missing = pd.DataFrame({"age": np.array([1, None] * 3, object), "b": X[:, 0]})
    with pytest.raises(TypeError, match=r"column 'age' holds missing cells: fill them"):
        model().predict(missing)


def test_series() -> None:
    pd = pytest.importorskip("pandas")
    y = pd.Series(CLASSES, index=range(100, 106))
    made, twin = model(), model()
    assert made.train_step(pd.DataFrame(X), y) == twin.train_step(X, CLASSES)
    names = pd.Series(list("abcbca"))
    text = r"y has dtype .*np\.unique\(y, return_inverse=True\)\[1\] if it is names of classes$"
    with pytest.raises(TypeError, match=text):
        made.fit(X, names)
    made.fit(X, np.unique(names, return_inverse=True)[1])
    with pytest.raises(ValueError, match=r"one row is np\.asarray\(X\)\.reshape\(1, -1\)$"):
        made.predict(pd.Series([1.0, 2.0]))
    made.predict(np.asarray(pd.Series([1.0, 2.0])).reshape(1, -1))


def as_matrix(values: Any) -> Any:
    return np.array(values).view(np.matrix)


def test_matrices() -> None:
    made, twin = model(), model()
    column = as_matrix(CLASSES[:, None])
    assert made.train_step(as_matrix(X), column) == twin.train_step(X, CLASSES)
    row = as_matrix([CLASSES])
    text = r"y has shape \(1, 6\); .*; it is one row: np\.asarray\(y\)\.ravel\(\)$"
    for call in (made.fit, made.train_step, made.evaluate):
        with pytest.raises(ValueError, match=text):
            call(X, row)
    assert made.train_step(X, np.asarray(row).ravel()) == twin.train_step(X, CLASSES)
    one_hot = as_matrix(F.one_hot(CLASSES, 4))
    with pytest.raises(ValueError, match=r"one-hot rows take np\.asarray\(y\)\.argmax\(axis=1\)$"):
        made.fit(X, one_hot)
    assert np.asarray(one_hot).argmax(axis=1).tolist() == CLASSES.tolist()
    with pytest.raises(ValueError, match=r"one-hot rows take y\.argmax\(axis=1\)$"):
        made.fit(X, F.one_hot(CLASSES, 4))
    with pytest.raises(
        ValueError, match=r"sample_weight has .*np\.asarray\(sample_weight\)\.ravel"
    ):
        made.fit(X, CLASSES, sample_weight=as_matrix([np.ones(6)]))
    assert type(made.predict(as_matrix(X))) is np.ndarray
    numbers = model("mse", 1)
    with pytest.raises(ValueError, match=r"it is one row: np\.asarray\(y\)\.ravel\(\)$"):
        numbers.fit(X, as_matrix([X[:, 0]]))
    with pytest.raises(ValueError, match=r"from class indices take F\.one_hot\(y, 3\)$"):
        model("mse").fit(X, CLASSES)
    model("mse").fit(X, F.one_hot(CLASSES, 3))
    loss = nn.CrossEntropyLoss()
    assert loss(as_matrix(X), as_matrix([[0], [1]] * 3))[0] == loss(X, [0, 1] * 3)[0]
    assert type(F.relu(as_matrix(X))) is np.ndarray


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("categorical_crossentropy", "cross_entropy"),
        ("sparse_categorical_crossentropy", "cross_entropy"),
        ("CrossEntropyLoss", "cross_entropy"),
        ("crossentropy", "cross_entropy"),
        ("binary_crossentropy", "bce"),
        ("BCEWithLogitsLoss", "bce_with_logits"),
        ("mean_squared_error", "mse"),
        ("MSELoss", "mse"),
        ("MSE", "mse"),
    ],
)
def test_names_that_losses_have_elsewhere(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown loss '{name}'; known: .*mean '{meant}'\?$"):
        model(name)


def test_other_names() -> None:
    made = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"unknown metric 'acc'; .* mean 'accuracy'\?$"):
        made.compile("sgd", "cross_entropy", ["acc"])
    with pytest.raises(ValueError, match=r"unknown optimizer 'Adam'; .* mean 'adam'\?$"):
        made.compile("Adam", "cross_entropy")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: optim.Adam(lr=float("nan")), r"lr = nan; expected at least 0 and finite"),
        (lambda: optim.Adam(lr=10**400), r"lr = an int; expected at least 0 and finite"),
        (
            lambda: optim.Adam(betas=(1, 0.9)),
            r"betas\[0\] = 1; expected at least 0 and below 1",
        ),
        (lambda: optim.Adam(betas=(0.9, -1)), r"betas\[1\] = -1; expected at least 0 and below 1"),
        (lambda: optim.SGD(momentum=1.1), r"momentum = 1.1; expected 0 to 1$"),
        (lambda: nn.Sequential(n_threads=2**31), r"n_threads is 2147483648; .* at most 256$"),
        (lambda: nn.Sequential(n_threads=0), r"n_threads is 0; .* of at least 1 and at most 256$"),
        (lambda: model().predict(X, n_threads=257), r"n_threads is 257; .* and at most 256$"),
        (lambda: model().fit(X, CLASSES, n_threads=2**31), r"n_threads is 2147483648; .* 256$"),
        (lambda: model().evaluate(X, CLASSES, n_threads=2**63), r"n_threads is 9.*; .* 256$"),
        (lambda: F.linear(X, X.T, n_threads=2**31), r"n_threads is 2147483648; .* 256$"),
        (
            lambda: F.one_hot(CLASSES, 2),
            r"y has 2 at row 2, column 0; expected class numbers 0 to 1$",
        ),
        (
            lambda: model().fit(X, CLASSES, class_weight={3: 1.0}),
            r"class_weight names class 3; the model has 3 classes, 0 to 2$",
        ),
    ],
)
def test_ranges_are_the_real_ones(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=rf"^\[[A-Za-z._]+\] {text}"):
        make()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: F.clip_grad_norm_([np.ones(2)], "a"), r"\[clip_grad_norm_\] max_norm is 'a'; exp"),  # type: ignore[arg-type]
        (lambda: F.clip_grad_norm_("a", 1), r"\[clip_grad_norm_\] grads\[0\] is str; expected"),  # type: ignore[arg-type]
        (lambda: F.clip_grad_norm_(3, 1), r"\[clip_grad_norm_\] grads is 3; expected arrays"),  # type: ignore[arg-type]
        (lambda: F.one_hot(CLASSES, "3"), r"\[one_hot\] n_classes is '3'; expected an integer"),  # type: ignore[arg-type]
        (lambda: model().clip_grad_norm("a"), r"\[Sequential.clip_grad_norm\] max_norm is 'a'; e"),  # type: ignore[arg-type]
        (lambda: optim.Adam(param_groups=3), r"\[Adam\] param_groups is 3; expected a dictionary"),  # type: ignore[arg-type]
    ],
)
def test_words_of_the_wrong_kind(call: Any, text: str) -> None:
    with pytest.raises(TypeError, match=rf"^{text}"):
        call()


def test_an_infinite_norm_only_measures() -> None:
    grads = [np.array([3.0]), np.array([4.0])]
    assert F.clip_grad_norm_(grads, float("inf")) == 5
    assert F.clip_grad_norm_(grads, np.float32("inf")) == 5
    assert [g.item() for g in grads] == [3, 4]


def test_descriptions_can_be_hashed() -> None:
    groups = {"0.*": {"lr": 0.1}, "*.bias": {"eps": 1e-3}}
    plain, grouped = optim.Adam(), optim.Adam(param_groups=groups)
    assert len({plain, optim.Adam(), copy.deepcopy(plain), grouped, copy.deepcopy(grouped)}) == 2
    assert hash(optim.Adam(betas=[0.9, 0.99])) == hash(optim.Adam(betas=(0.9, 0.99)))  # type: ignore[arg-type]
    assert len({nn.MSELoss(), nn.MSELoss(reduction="sum"), nn.ReLU(), nn.ReLU()}) == 3
    assert re.match(r"Adam\(", repr(plain))
