# SPDX-License-Identifier: BSD-3-Clause
"""fit(X) is fit(X, X) to the bit, without a copy of X."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fastnn import nn


def compiled(*first, loss="mse", columns=6):
    model = nn.Sequential(*first, nn.Linear(columns, 3), nn.Tanh(), nn.Linear(3, columns))
    model.compile("adam", loss)
    return model


def values(model):
    return {key: value.tobytes() for key, value in model.state_dict().items()}


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("case", ["plain", "rescale", "flatten", "strided", "list"])
def test_the_bits_are_those_of_x_as_target(rng, dtype, case):
    x = rng.integers(0, 9, (40, 12)).astype(dtype)[:, ::2]
    first = [nn.Rescale(1 / 9)] if case == "rescale" else []
    given = target = x if case == "strided" else np.ascontiguousarray(x)
    if case == "flatten":
        first, given = [nn.Flatten()], target.reshape(40, 2, 3)
    if case == "list":
        given = target.tolist()
    weights = rng.uniform(0.5, 1, 40)
    a, b = compiled(*first), compiled(*first)
    more = {"epochs": 3, "batch_size": 16, "validation_split": 0.25, "sample_weight": weights}
    assert a.fit(given, **more).history == b.fit(given, target, **more).history
    assert values(a) == values(b)
    assert a.evaluate(given) == b.evaluate(given, target)
    assert a.evaluate(given, sample_weight=weights) == b.evaluate(given, target, weights)
    one = a.fit(given, validation_data=(given,)).history
    two = b.fit(given, target, validation_data=(given, target)).history
    assert one == two
    one = a.fit(given, validation_data=(given, None, weights)).history
    assert one == b.fit(given, target, validation_data=(given, target, weights)).history
    assert a.fit(given, validation_data=(given, target)).history["val_loss"]


def test_targets_that_x_cannot_be(rng):
    x = rng.standard_normal((20, 6))
    model = nn.Sequential(nn.Linear(6, 2))
    model.compile("sgd", "mse")
    text = r"y was not given, so the targets are X, which has shape \(20, 6\); MSELoss on 2 outputs"
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=rf"^\[Sequential\.\w+\] {text}"):
            call(x)
    model = compiled(loss="bce_with_logits")
    with pytest.raises(ValueError, match=r"^\[Sequential.fit\] y has .*BCEWithLogitsLoss expects"):
        model.fit(x)
    model.fit(1 / (1 + np.exp(-x)))
    model = compiled()
    with pytest.raises(ValueError, match=r"validation_data is no pair; expected .X,., .X, y. or"):
        model.fit(x, validation_data=x)
    with pytest.raises(ValueError, match=r"validation_data is no pair; expected .X, y. or"):
        model.fit(x, x, validation_data=(x,))
    with pytest.raises(ValueError, match="X has 5 columns"):
        model.fit(x[:, :5])
    with pytest.raises(ValueError, match="X has no rows"):
        model.fit(x[:0])
    with pytest.raises(ValueError, match="validation X has 5 columns"):
        model.fit(x, validation_data=(x[:, 1:],))
    with pytest.raises(ValueError, match="not compiled"):
        nn.Sequential(nn.Linear(6, 6)).fit(x)


MEMORY = """
import numpy as np
from fastnn import nn

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

for flatten in (False, True):
    x = np.ones((100_000, 8, 16) if flatten else (100_000, 128), np.float32)  # 49 MB
    first = [nn.Flatten()] if flatten else []
    model = nn.Sequential(*first, nn.Linear(128, 2), nn.Linear(2, 128), n_threads=1)
    model.compile("sgd", "mse")
    model.fit(x[:1000], batch_size=500)
    model.evaluate(x[:1000])
    open("/proc/self/clear_refs", "w").write("5")
    before = peak()
    model.fit(x, batch_size=500, shuffle=False, validation_split=0.5)
    model.fit(x[:200], batch_size=100, validation_data=(x,))
    model.evaluate(x)
    print(peak() - before)
"""


def test_no_copy_of_x():
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    grown = [float(line) for line in run.stdout.split()]
    assert len(grown) == 2
    assert max(grown) < 10, grown
