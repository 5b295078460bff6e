# SPDX-License-Identifier: BSD-3-Clause
"""Wrong settings of layers, losses, optimizers and compile are refused where they are written."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import nn, optim


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: nn.Linear(0, 3), ValueError, r"\[Linear\] in_features is 0; expected"),
        (lambda: nn.Linear(3, 2.0), TypeError, r"\[Linear\] out_features is 2.0; expected an int"),
        (lambda: nn.Linear(3, 2, bias="no"), TypeError, r"\[Linear\] bias is 'no'; expected True"),
        (lambda: nn.Dropout(1.5), ValueError, r"\[Dropout\] p = 1.5; expected"),
        (lambda: nn.Dropout("a"), TypeError, r"\[Dropout\] p is 'a'; expected a number"),
        (lambda: nn.BatchNorm1d(4, eps=-1), ValueError, r"\[BatchNorm1d\] eps = -1; expected"),
        (lambda: nn.Rescale(np.nan), ValueError, r"\[Rescale\] scale has a value that is not fin"),
        (lambda: nn.Rescale([1, 2], [1, 2, 3]), ValueError, "shift has 3 columns; expected 2"),
        (lambda: nn.LeakyReLU("steep"), TypeError, r"\[LeakyReLU\] negative_slope is 'steep'"),
        (lambda: nn.GELU("sigmoid"), ValueError, r"\[GELU\] unknown approximate 'sigmoid'; known"),
        (lambda: nn.MSELoss(reduction="none"), ValueError, "unknown reduction 'none'; known: mean"),
        (lambda: optim.SGD(lr=-1), ValueError, r"\[SGD\] lr = -1; expected at least 0"),
        (lambda: optim.SGD(lr=np.inf), ValueError, r"\[SGD\] lr = inf; expected at least 0"),
        (
            lambda: optim.SGD(nesterov=1),
            TypeError,
            r"\[SGD\] nesterov is 1; expected True or False",
        ),
        (lambda: optim.Adam(betas=0.9), ValueError, r"\[Adam\] betas is 0.9; expected 2 numbers"),
        (lambda: optim.Adam(betas=(0.9, 2)), ValueError, r"\[Adam\] betas\[1\] = 2; expected"),
        (
            lambda: optim.Adam(param_groups={"*": {"rl": 1}}),
            ValueError,
            r"\[Adam.param_groups\['\*'\]\] unknown parameter 'rl'; known",
        ),
        (lambda: optim.Adam(param_groups={0: {}}), TypeError, "has the key 0; expected a pattern"),
        (lambda: nn.Sequential(nn.ReLU), TypeError, r"\[Sequential\] layer 0 is the class ReLU"),
        (lambda: nn.Sequential([nn.ReLU()]), TypeError, r"is a list; write Sequential\(\*layers\)"),
        (lambda: nn.Sequential("relu"), TypeError, "layer 0 is str; expected a layer"),
        (lambda: nn.Sequential(nn.ReLU(), nn.Flatten()), ValueError, "prepares the input"),
        (
            lambda: nn.Sequential(dtype="float16"),
            ValueError,
            "dtype is 'float16'; expected float32",
        ),
        (lambda: nn.Sequential(dtype=None), ValueError, "dtype is None; expected float32"),
        (lambda: nn.Sequential(seed=-1), ValueError, "seed is -1; expected"),
        (lambda: nn.Sequential(seed=None), TypeError, "seed is None; expected an integer"),
        (lambda: nn.Sequential(n_threads=0), ValueError, "n_threads is 0; expected"),
        (
            lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(9, 2)),
            ValueError,
            r"\[Sequential: layer 2\] Linear\(.*\) comes after 8 columns; expected 9",
        ),
        (
            lambda: nn.Sequential(*[nn.Linear(4, 4)] * 2),
            ValueError,
            "layer 1 is the same object as layer 0",
        ),
    ],
)
def test_bad_descriptions(make, kind, text):
    with pytest.raises(kind, match=text):
        make()


@pytest.mark.parametrize(
    ("args", "kind", "text"),
    [
        (
            ("adamm", "mse"),
            ValueError,
            "unknown optimizer 'adamm'; known: sgd, .* 'adam'",
        ),
        (("adam", "mae"), ValueError, "unknown loss 'mae'; known: mse, "),
        ((optim.Adam, "mse"), TypeError, r"optimizer is the class Adam; write Adam\(\)"),
        ((3, "mse"), TypeError, "optimizer is 3; expected an object or a name: sgd"),
        (("sgd", "cross_entropy"), ValueError, "CrossEntropyLoss on 1 output"),
        (("sgd", "mse", ["accuracy"]), ValueError, "accuracy needs a loss of classes; MSELoss"),
        (("sgd", "bce", ["bleu"]), ValueError, "unknown metric 'bleu'; known: .*accuracy"),
        (("sgd", "bce", "accuracy"), TypeError, "metrics is 'accuracy'; expected a list"),
        (("sgd", "mse", None, 1, 1), ValueError, "max_grad_norm and max_grad_value came together"),
        (("sgd", "mse", None, 0), ValueError, "max_grad_norm = 0; expected above 0 and finite"),
        (
            (optim.SGD(param_groups={"1.*": {"lr": 1.0}}), "mse"),
            ValueError,
            "param_groups has '1.*', which is no parameter's key; the parameters are: 0.w",
        ),
    ],
)
def test_bad_compile(args, kind, text):
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    with pytest.raises(kind, match=rf"^\[Sequential.compile\] {text}"):
        model.compile(*args)
