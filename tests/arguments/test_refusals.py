# SPDX-License-Identifier: BSD-3-Clause
"""Every call refuses the same mistake in the same sentence, but for its name and the argument."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import _core, _refusals, nn
from fastnn._refusals import Refused, refused

if TYPE_CHECKING:
    from collections.abc import Callable

N, COLUMNS = 20, 4
X = np.random.default_rng(3).standard_normal((N, COLUMNS))
CLASSES, NUMBERS = np.arange(N) % 3, X[:, :2] ** 2
ONES = np.ones(N)
READABLE = "bool, integers, float16, float32 or float64"


def model(loss: str, outputs: int, *, trained: bool = False) -> nn.Sequential:
    made = nn.Sequential(nn.Linear(COLUMNS, outputs), dtype="float64")
    made.compile("sgd", loss)
    if trained:
        made.forward(X)
    return made


# Each call that takes X, y and weights: its name, what it calls them, and the call.
Call = tuple[str, dict[str, str], "Callable[[nn.Sequential, Any, Any, Any], object]"]
OWN = {"X": "X", "y": "y", "w": "sample_weight"}
VALIDATION = {name: f"validation {own}" for name, own in OWN.items()}


def validated(m: nn.Sequential, x: Any, y: Any, w: Any) -> object:
    good = CLASSES if m.loss.registry_name == "cross_entropy" else np.zeros((N, m.n_outputs))  # type: ignore[union-attr]
    return m.fit(X, good, validation_data=(x, y, w))


TRAINING: list[Call] = [
    ("Sequential.fit", OWN, lambda m, x, y, w: m.fit(x, y, sample_weight=w)),
    ("Sequential.fit", OWN, lambda m, x, y, w: m.fit(x, y, sample_weight=w, shuffle=False)),
    ("Sequential.fit", VALIDATION, validated),
    ("Sequential.train_step", OWN, lambda m, x, y, w: m.train_step(x, y, sample_weight=w)),
    ("Sequential.evaluate", OWN, lambda m, x, y, w: m.evaluate(x, y, w)),
    ("Sequential.loss_and_grad", OWN, lambda m, x, y, w: m.loss_and_grad(x, y, w)),
]
BY_CLASS: Call = (
    "Sequential.fit",
    OWN,
    lambda m, x, y, w: m.fit(x, y, sample_weight=w, class_weight={0: 2.0}),
)
FORWARD: list[Call] = [
    ("Sequential.predict", OWN, lambda m, x, _y, _w: m.predict(x)),
    ("Sequential.forward", OWN, lambda m, x, _y, _w: m.forward(x)),
    (
        "Sequential.train_step",
        OWN,
        lambda m, x, _y, _w: m.train_step(x, grad=np.zeros((len(X), m.predict(X).shape[1]))),
    ),
]
OF_LOSSES = {"X": "out", "y": "target", "w": "sample_weight"}
NAMES = {"cross_entropy": "cross_entropy", "mse": "mse_loss"}
NAMES |= {"bce": "bce_loss", "bce_with_logits": "bce_with_logits"}


def losses(name: str, outputs: int) -> list[Call]:
    """Return the calls of a loss's object and of its function, on the outputs of rows."""
    made, function = model(name, outputs), getattr(F, NAMES[name])
    out = np.full((N, outputs), 0.5)
    loss = made.loss
    return [
        (type(loss).__name__, OF_LOSSES, lambda _m, _x, y, w: loss(out, y, w)),  # type: ignore[misc]
        (NAMES[name], OF_LOSSES, lambda _m, _x, y, w: function(out, y, w)),
    ]


def cell(array: Any, at: tuple[int, ...], value: Any) -> Any:
    changed = np.array(array, np.result_type(np.asarray(array), np.asarray(value)))
    changed[at] = value
    return changed


def said(call: Call, made: nn.Sequential, x: Any, y: Any, w: Any) -> str:
    where, _, function = call
    with pytest.raises((ValueError, TypeError)) as caught:
        function(made, copy.copy(x), y, w)
    assert type(caught.value) in (ValueError, TypeError)  # the words, and no part of the core
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    text = str(caught.value)
    assert text.startswith(f"[{where}] "), text
    return text.removeprefix(f"[{where}] ")


MISTAKES_OF_X: dict[str, tuple[Any, str]] = {
    "columns": (np.ones((N, 3)), "{X} has 3 columns, the model expects 4"),
    "one row": (np.ones(4), "{X} has shape (4,); expected (n, 4); one row is X.reshape(1, -1)"),
    "1-d": (np.ones(5), "{X} has shape (5,); expected (n, 4)"),
    "3-d": (
        np.ones((N, 2, 2)),
        "{X} has shape (20, 2, 2); expected (n, 4); put nn.Flatten() first in the model",
    ),
    "NaN": (
        cell(X, (5, 2), np.nan),
        "{X} has nan at row 5, column 2; expected finite numbers (as float64)",
    ),
    "infinity": (
        cell(X, (19, 3), -np.inf),
        "{X} has -inf at row 19, column 3; expected finite numbers (as float64)",
    ),
}


@pytest.mark.parametrize("call", [*TRAINING, *FORWARD, BY_CLASS], ids=lambda c: c[0])
@pytest.mark.parametrize("mistake", MISTAKES_OF_X)
def test_inputs(mistake: str, call: Call) -> None:
    x, sentence = MISTAKES_OF_X[mistake]
    text = sentence.format(**call[1])
    assert said(call, model("cross_entropy", 3), x, CLASSES, None) == text


EXPECTS_CLASSES = (
    "{{y}} has shape {}; CrossEntropyLoss expects class indices of shape (20,) or probabilities of "
    "shape (20, 3)"
)
EXPECTS_NUMBERS = "{y} has shape (20,); MSELoss on 3 outputs expects (20, 3)"
# By the kind of model: targets that do not fit it, and what is said.
MISTAKES_OF_Y: dict[str, tuple[str, int, Any, str]] = {
    "rows": ("cross_entropy", 3, CLASSES[:-1], "{y} has 19 rows, {X} has 20"),
    "one-hot": (
        "cross_entropy",
        3,
        F.one_hot(CLASSES, 4),
        EXPECTS_CLASSES.format("(20, 4)") + "; from one-hot rows take {code}.argmax(axis=1)",
    ),
    "one row": (
        "cross_entropy",
        3,
        CLASSES[None],
        EXPECTS_CLASSES.format("(1, 20)") + "; it is one row: {code}.ravel()",
    ),
    "a class beyond": (
        "cross_entropy",
        3,
        cell(CLASSES, (2,), 7),
        "{y} has 7 at row 2, column 0; expected class numbers 0 to 2",
    ),
    "a negative class": (
        "cross_entropy",
        3,
        cell(CLASSES, (19,), -1),
        "{y} has -1 at row 19, column 0; expected class numbers 0 to 2",
    ),
    "part of a class": (
        "cross_entropy",
        3,
        cell(CLASSES, (4,), 0.5),
        "{y} has 0.5 at row 4, column 0; expected class numbers 0 to 2",
    ),
    "no class": (
        "cross_entropy",
        3,
        cell(CLASSES, (4,), np.nan),
        "{y} has nan at row 4, column 0; expected class numbers 0 to 2",
    ),
    "classes for numbers": (
        "mse",
        3,
        CLASSES,
        EXPECTS_NUMBERS + "; from class indices take F.one_hot({code}, 3)",
    ),
    "outputs": (
        "mse",
        1,
        NUMBERS,
        "{y} has shape (20, 2); MSELoss on 1 output expects (20,) or (20, 1)",
    ),
    "beyond a range": (
        "bce_with_logits",
        1,
        cell(np.zeros(N), (7,), 2),
        "{y} has 2 at row 7, column 0; BCEWithLogitsLoss expects 0 to 1",
    ),
    "below a range": (
        "bce_with_logits",
        1,
        cell(np.zeros(N), (7,), -0.25),
        "{y} has -0.25 at row 7, column 0; BCEWithLogitsLoss expects 0 to 1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES_OF_Y)
def test_targets(mistake: str) -> None:
    loss, outputs, y, sentence = MISTAKES_OF_Y[mistake]
    calls = [*TRAINING, *losses(loss, outputs)]
    for call in calls + [BY_CLASS] * (loss == "cross_entropy"):
        names = call[1]
        text = sentence.format(**names, code=names["y"].split()[-1])
        assert said(call, model(loss, outputs), X, y, None) == text, call[0]


def test_numbers_that_are_not_finite() -> None:
    """Calls that train refuse them; functions and objects of losses pass them on, as NumPy does."""
    y = cell(NUMBERS, (3, 1), np.inf)
    for call in TRAINING:
        text = "{y} has inf at row 3, column 1; expected finite numbers (as float64)"
        assert said(call, model("mse", 2), X, y, None) == text.format(**call[1])


MISTAKES_OF_W: dict[str, tuple[Any, str]] = {
    "rows": (ONES[:-1], "{w} has 19 rows, {X} has 20"),
    "columns": (np.ones((N, 2)), "{w} has shape (20, 2); expected (20,)"),
    "one row": (ONES[None], "{w} has shape (1, 20); expected (20,); it is one row: {code}.ravel()"),
    "negative": (
        cell(ONES, (6,), -1),
        "{w} has -1 at row 6, column 0; expected finite numbers of at least 0",
    ),
    "NaN": (
        cell(ONES, (6,), np.nan),
        "{w} has nan at row 6, column 0; expected finite numbers of at least 0",
    ),
    "zero": (np.zeros(N), "{w} is zero for all rows; expected a positive one"),
}


@pytest.mark.parametrize("mistake", MISTAKES_OF_W)
def test_weights(mistake: str) -> None:
    w, sentence = MISTAKES_OF_W[mistake]
    of_class, function = losses("cross_entropy", 3)
    calls = [*TRAINING, of_class]
    if mistake in ("rows", "columns", "one row"):
        calls += [function, BY_CLASS]  # functions take weights of any sign: policy gradients
    if mistake in ("negative", "NaN"):
        calls.append(BY_CLASS)
    for call in calls:
        if mistake == "zero" and call[0] == "Sequential.train_step":
            continue  # batches of fit may weigh nothing as well: nothing happens
        text = sentence.format(**call[1], code=call[1]["w"].split()[-1])
        assert said(call, model("cross_entropy", 3), X, CLASSES, w) == text, call[0]


def test_weights_of_classes_that_are_zero() -> None:
    for weights, what in [(None, "class_weight"), (ONES, "class_weight times sample_weight")]:
        with pytest.raises(ValueError, match=rf"^\[Sequential.fit\] {what} is zero for all rows; "):
            model("cross_entropy", 3).fit(
                X, CLASSES, sample_weight=weights, class_weight=dict.fromkeys(range(3), 0.0)
            )


def test_a_sigmoid_that_is_missing() -> None:
    made = model("bce", 1)
    for array in made.state_dict().values():
        array[...] = 0.0
    made[0].bias[...] = 1.5
    y = np.zeros(N)
    remedy = made.loss.row["outputs_remedy"]  # type: ignore[union-attr]
    for call in TRAINING:
        if call[1] is not VALIDATION:  # training is refused before
            text = said(call, made, X, y, None)  # of any row: fit shuffles
            text = re.sub("at row [0-9]+", "at row 0", text)
            assert text == f"the outputs have 1.5 at row 0; BCELoss expects 0 to 1: {remedy}"
    out = np.full((N, 1), 1.5)
    for where, loss in (("BCELoss", made.loss), ("bce_loss", F.bce_loss)):
        text = f"[{where}] out has 1.5 at row 0, column 0; BCELoss expects 0 to 1: {remedy}"
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            loss(out, y)  # type: ignore[misc]


class Sparse:
    nnz, shape = 3, (N, COLUMNS)

    def toarray(self) -> np.ndarray:
        return X


READ_IT = "{code} is a {kind}: read the file first, e.g. with np.loadtxt"
# What no call takes for any array, the kind of the error, what came, and the hint.
# {code}: how code names it.
FOREIGN: dict[str, tuple[Any, str, str]] = {
    "objects": (
        np.full((N, COLUMNS), object()),
        "object",
        "it holds objects: {code}.astype('float32') if they are numbers",
    ),
    "text": (
        np.full((N, 3), "a"),
        "<U1",
        "it holds text: {code}.astype('float32') if it is numbers in words",
    ),
    "complex": (
        X + 1j,
        "complex128",
        "it is complex: {code}.real, or real and imaginary parts as columns",
    ),
    "dates": (np.zeros((N, 3), "M8[s]"), "datetime64[s]", "it holds dates: make numbers of them"),
    "a path": (Path("x.csv"), "object", READ_IT.replace("{kind}", "PosixPath")),
    "a string": ("x.csv", "<U5", READ_IT.replace("{kind}", "str")),
    "sparse": (Sparse(), "object", "{code} is sparse: {code}.toarray()"),
    "a generator": ((row for row in X), "object", "{code} is a generator: np.array(list({code}))"),
    "None": (None, "object", "{code} is None"),
}
OUT = np.full((N, 3), 0.5)
ARRAYS: list[tuple[str, str, Callable[[Any], object]]] = [
    (where, names[role], lambda v, f=function, r=role: f(*given(r, v)))
    for where, names, function in [*TRAINING, BY_CLASS]
    for role in ("X", "y", "w")
]


def given(role: str, value: Any) -> tuple[Any, Any, Any, Any]:
    arguments = {"X": X, "y": CLASSES, "w": ONES, role: value}
    return model("cross_entropy", 3), arguments["X"], arguments["y"], arguments["w"]


ARRAYS += [
    (where, "X", lambda v, f=function: f(model("cross_entropy", 3), v, None, None))
    for where, _, function in FORWARD
]
ARRAYS += [
    ("Sequential.train_step", "grad", lambda v: model("cross_entropy", 3).train_step(X, grad=v)),
    ("Sequential.backward", "dout", lambda v: model("mse", 3, trained=True).backward(v)),
    ("CrossEntropyLoss", "out", lambda v: nn.CrossEntropyLoss()(v, CLASSES)),
    ("CrossEntropyLoss", "target", lambda v: nn.CrossEntropyLoss()(OUT, v)),
    ("CrossEntropyLoss", "sample_weight", lambda v: nn.CrossEntropyLoss()(OUT, CLASSES, v)),
    ("cross_entropy", "out", lambda v: F.cross_entropy(v, CLASSES)),
    ("cross_entropy", "target", lambda v: F.cross_entropy(OUT, v)),
    ("cross_entropy", "sample_weight", lambda v: F.cross_entropy(OUT, CLASSES, v)),
    ("mse_loss", "out", lambda v: F.mse_loss(v, OUT)),
    ("mse_loss", "target", lambda v: F.mse_loss(OUT, v)),
    ("relu", "z", F.relu),
    ("relu_backward", "dy", lambda v: F.relu_backward(v, X)),
    ("relu_backward", "saved", lambda v: F.relu_backward(X, v)),
    ("softmax", "z", F.softmax),
    ("log_softmax", "z", F.log_softmax),
    ("linear", "x", lambda v: F.linear(v, np.ones((4, 3)))),
    ("linear", "w", lambda v: F.linear(X, v)),
    ("linear", "b", lambda v: F.linear(X, np.ones((4, 3)), v)),
    ("matmul", "x", lambda v: F.matmul(v, np.ones((4, 3)))),
    ("linear_backward", "dy", lambda v: F.linear_backward(v, X, np.ones((4, 3)))),
    ("linear_backward", "x", lambda v: F.linear_backward(OUT, v, np.ones((4, 3)))),
    ("step", "z", F.step),
    ("one_hot", "y", lambda v: F.one_hot(v, 3)),
    ("compare", "a", lambda v: F.compare(v, X)),
]
TAKES_X = {("Sequential.fit", "y"), ("Sequential.evaluate", "y")}  # as targets, without y
OPTIONAL = {"sample_weight", "validation sample_weight", "b", "grad"}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_no_call_takes(what: str) -> None:
    value, dtype, hint = FOREIGN[what]
    for where, argument, call in ARRAYS:
        if value is None and (argument in OPTIONAL or where == "Sequential.train_step"):
            continue
        if value is None and (where, argument) in TAKES_X:
            continue
        text = f"[{where}] {argument} has dtype {dtype}; expected {READABLE}; "
        assert refusal(TypeError, call, value) == text + hint.format(code=argument.split()[-1])


def test_cells_that_are_masked() -> None:
    for where, argument, call in ARRAYS:
        text = f"[{where}] {argument} has masked cells; expected an array without them: fill them "
        text += f"first, for example {argument.split()[-1]}.filled(0)"
        assert refusal(ValueError, call, np.ma.masked_array(X, X > 1)) == text


def test_lists_that_are_no_arrays() -> None:
    for where, argument, call in ARRAYS:
        text = rf"\[{re.escape(where)}\] {argument} is no rectangular array of numbers \(.*\); "
        assert re.fullmatch(text + "expected " + READABLE, refusal(ValueError, call, [[1, 2], [3]]))


def refusal(kind: type[Exception], call: Callable[[Any], object], value: Any) -> str:
    with pytest.raises(kind) as caught:
        call(value)
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_refusal_holds_data() -> None:
    """A caller of the core gets it as an exception of its own, in the same words."""
    network = _core.Network([("linear", {"in_features": 4, "out_features": 3})])
    network.compile("cross_entropy", {}, "sgd", {"lr": 0.1})
    with pytest.raises(Refused) as caught:
        network.train_step(X, cell(CLASSES, (2,), 7))
    found = caught.value
    assert isinstance(found, ValueError)
    assert (found.reason, found.argument, found.row, found.column) == ("class", "y", 2, 0)
    assert (found.value, found.lowest, found.highest) == (7, 0, 2)
    assert str(found) == "[train_step] y has 7 at row 2, column 0; expected class numbers 0 to 2"
    assert str(found.worded("fit")) == str(found).replace("train_step", "fit")
    with pytest.raises(Refused) as caught:
        network.predict([[1.0]])
    assert isinstance(caught.value, TypeError)
    assert str(caught.value) == "[predict] X is a list; expected a NumPy array"


def test_every_reason_has_its_sentence() -> None:
    header = Path(__file__).parents[2] / "cpp" / "core" / "refusal.h"
    reasons = re.findall(r'const char\* k\w+ = "(\w+)"', header.read_text(encoding="utf-8"))
    assert len(reasons) > 10
    assert set(reasons) == set(_refusals.SENTENCES)
    for reason in reasons:
        made = refused(reason, "X", came="object", shape=(2, 3), rows=3, of="y", by="MSELoss")
        assert re.match(r"\[\] \S.{10,}", str(made)), reason
        assert isinstance(made, (ValueError, TypeError))
