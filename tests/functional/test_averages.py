# SPDX-License-Identifier: BSD-3-Clause
"""The functions of averages: torch's formulas in place, and the bits of a model's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn.functional as F
from fastnn import nn, optim, reference
from layouts import DTYPES, LAYOUTS, close
from members import REGISTRIES

TIMES = {"start_epoch", "start_step", "every", "unit"}
SHAPES = [(7, 5), (64, 33), (17,), (1, 1), (0, 3)]
CASES = [
    (row["name"], hyper)
    for row in REGISTRIES["averages"]
    for own in [{p["name"]: p["tries"] for p in row["params"] if p["name"] not in TIMES}]
    for hyper in ({}, *({name: value} for name, value in own.items()), own)
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "hyper"), CASES)
def test_averages(rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str) -> None:
    add = getattr(F, f"{name}_")
    ours = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    theirs = [w.copy() for w in ours]
    for n in range(1, 6):
        w = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
        kept = [array.copy() for array in w]
        assert add(ours, w, n, **hyper) is None
        share = reference.AVERAGES[name].share(n, **hyper)
        for mine, other, now, was in zip(ours, theirs, w, kept, strict=True):
            np.testing.assert_array_equal(now, was)
            other[...] += np.asarray(share, dtype) * (now - other)
            close(mine, other, dtype, "optimizer") if other.size else None
            if n == 1:
                np.testing.assert_array_equal(mine, now)


def test_they_are_those_of_torch(torch: Any, rng: np.random.Generator) -> None:
    swa = torch.optim.swa_utils
    module = torch.nn.Linear(5, 3).double()
    means = [swa.AveragedModel(module, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9))]
    means += [swa.AveragedModel(module)]
    ema, mean = np.zeros((3, 5)), np.zeros((3, 5))
    for n in range(1, 20):
        w = rng.standard_normal((3, 5))
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(w))
        for each in means:
            each.update_parameters(module)
        F.ema_(ema, w, n, decay=0.9)
        F.swa_(mean, w, n)
    for ours, theirs in zip((ema, mean), means, strict=True):
        expected = theirs.module.weight.detach().numpy()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_are_those_of_a_model(rng: np.random.Generator, dtype: str) -> None:
    model = nn.Sequential(nn.Linear(5, 17), nn.Tanh(), nn.Linear(17, 3), dtype=dtype)
    model.compile(optim.SGD(lr=0.1), "mse", average=optim.EMA(0.7))
    means = {key: np.zeros_like(value) for key, value in model.state_dict().items()}
    for n in range(1, 5):
        model.train_step(rng.standard_normal((8, 5)), rng.standard_normal((8, 3)))
        F.ema_(list(means.values()), list(model.state_dict().values()), n, decay=0.7)
    with model.averaged():
        for key, value in model.state_dict().items():
            np.testing.assert_array_equal(value, means[key])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(rng: np.random.Generator, layout: str) -> None:
    w, plain = rng.standard_normal((9, 13)), rng.standard_normal((9, 13))
    other = LAYOUTS[layout](plain.copy())
    F.ema_(plain, w, 3, decay=0.5)
    if other.flags.writeable and other.dtype.isnative:
        F.ema_(other, LAYOUTS[layout](w), 3, decay=0.5)
        np.testing.assert_array_equal(other, plain)


def test_other_dtypes_and_lists_are_read() -> None:
    mean = np.zeros(3, np.float32)
    F.swa_(mean, [1, 2, 3], 1)
    F.swa_([mean], [np.array([3, 2, 1], np.int8)], 2)
    np.testing.assert_array_equal(mean, [2, 2, 2])


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda m: F.ema_(m, m, 0), ValueError, r"\[ema_\] n is 0; expected .*at least 1"),
        (lambda m: F.ema_(m, m, 1.5), TypeError, r"\[ema_\] n is 1.5; expected"),
        (lambda m: F.ema_(m, m, 1, decay=1.0), ValueError, r"decay = 1.0; expected at least 0 and"),
        (lambda m: F.ema_(m, m[:1], 1), ValueError, r"params has shape \(1,\); expected \(2,\), "),
        (lambda m: F.ema_([m], [m, m], 1), ValueError, "params has 2 arrays; expected 1, as many"),
        (lambda m: F.swa_("m", [m], 1), TypeError, r"\[swa_\] averages\[0\] is a str"),
        (lambda m: F.swa_(m.astype(int), m, 1), (TypeError, ValueError), r"averages .*int64"),
        (lambda m: F.swa_(m, ["a", "b"], 1), (TypeError, ValueError), r"\[swa_\] params"),
        (lambda m: F.swa_(m, 3, 1), ValueError, r"params has shape \(\)"),
    ],
)
def test_what_is_refused(call: Any, kind: Any, words: str) -> None:
    mean = np.ones(2)
    with pytest.raises(kind, match=words):
        call(mean)
    np.testing.assert_array_equal(mean, 1)
