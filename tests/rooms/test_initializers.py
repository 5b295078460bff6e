# SPDX-License-Identifier: BSD-3-Clause
"""Initializers draw the twin's bits, from the distributions that their names promise."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.functional as F
from fastnn import _core, nn, reference
from fastnn.nn._initializers import INITIALIZERS
from layouts import DTYPES
from models import COPIES, WITH_ITS_LAYERS, same_values

ROWS = {row["name"]: row for row in _core.registries()["initializers"]}
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)
every = pytest.mark.parametrize("name", ROWS)
OF_VECTORS = [name for name in ROWS if ROWS[name]["for_vectors"]]
N_IN, N_OUT = 300, 200


def hypers(name: str) -> list[dict[str, Any]]:
    tries = {p["name"]: p["tries"] for p in ROWS[name]["params"]}
    return [{}, *({p: v} for p, v in tries.items()), tries]


def drawn(name: str, hyper: dict[str, Any], shape: Any = (N_IN, N_OUT), seed: int = 3) -> Any:
    return getattr(F.init, name)(shape, **hyper, seed=seed, dtype="float64")


@both_dtypes
@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (40, 33), (1, 3), (3, 1)])
@every
def test_bits_are_the_twins(name: str, shape: tuple[int, int], dtype: str) -> None:
    """Of the weight and of the bias, which follows it in the same stream of words.

    So they are the same on every level, since the twin is NumPy's arithmetic.
    """
    for hyper in hypers(name):
        chosen = {"init": (name, hyper)}
        if name in OF_VECTORS:
            chosen["bias_init"] = (name, hyper)
        layers: Any = [("linear", {"in_features": shape[0], "out_features": shape[1], **chosen})]
        engine, twin = (each(layers, dtype, 5) for each in (_core.Network, reference.Network))
        for ours, theirs in zip(engine.parameters(), twin.parameters(), strict=True):
            np.testing.assert_array_equal(ours["array"], theirs["array"])
        words = reference.WordStream(9, 2**34)
        expected = reference.initial_values((name, hyper), words, shape, shape, dtype)
        given = {p: hyper[p] for p in hyper}
        if name == "uniform":
            given = {"low": hyper.get("a", 0.0), "high": hyper.get("b", 1.0)}
        got = getattr(F.init, name)(shape, **given, seed=9, dtype=dtype)
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == dtype


VARIANCES = {
    "default": 1 / (3 * N_IN),
    "xavier_uniform": 2 / (N_IN + N_OUT),
    "xavier_normal": 2 / (N_IN + N_OUT),
    "kaiming_uniform": 2 / N_IN,
    "kaiming_normal": 2 / N_IN,
    "lecun_uniform": 1 / N_IN,
    "lecun_normal": 1 / N_IN,
    "sklearn": 2 / (N_IN + N_OUT),
    "orthogonal": 1 / N_IN,
    "normal": 1.0,
}
BOUNDS = {
    "default": math.sqrt(1 / N_IN),
    "xavier_uniform": math.sqrt(6 / (N_IN + N_OUT)),
    "kaiming_uniform": math.sqrt(6 / N_IN),
    "lecun_uniform": math.sqrt(3 / N_IN),
    "lecun_normal": 2 * math.sqrt(1 / N_IN) / 0.87962566103423978,
    "sklearn": math.sqrt(6 / (N_IN + N_OUT)),
}


@pytest.mark.parametrize("name", VARIANCES)
def test_moments(name: str) -> None:
    """Mean and variance of 60,000 numbers, within five standard errors."""
    values, n = drawn(name, {}), N_IN * N_OUT
    variance = VARIANCES[name]
    assert abs(values.mean()) < 5 * math.sqrt(variance / n)
    assert abs(values.var() / variance - 1) < 5 * math.sqrt(2 / n)
    if name in BOUNDS:
        assert 0.995 * BOUNDS[name] < abs(values).max() <= BOUNDS[name]


def test_normal_numbers_are_normal() -> None:
    """The largest distance of the distribution functions (Kolmogorov and Smirnov)."""
    from statistics import NormalDist

    values = np.sort(drawn("normal", {"mean": 2.0, "std": 3.0}, 40_000, seed=5))
    expected = np.array([NormalDist(2, 3).cdf(v) for v in values])
    steps = np.arange(len(values) + 1) / len(values)
    gap = max(abs(expected - steps[1:]).max(), abs(expected - steps[:-1]).max())
    assert gap < 1.63 / math.sqrt(len(values))
    assert abs(values).max() > 2 + 3 * 3.5


def test_quantiles() -> None:
    """The inverse of the distribution function, in the middle and in both tails."""
    from statistics import NormalDist

    u = np.concatenate([(np.arange(2000) + 0.5) / 2000, 10.0 ** -np.arange(4.0, 16.0)])
    found = reference.normal_quantile(u - 0.5, np.minimum(u, 1 - u))
    expected = np.array([NormalDist().inv_cdf(v) for v in u])
    np.testing.assert_allclose(found, expected, rtol=4e-15, atol=1e-15)


def test_quantiles_in_float32() -> None:
    """As above, of words of 32 bits, from which layers make normal numbers."""
    from statistics import NormalDist

    k = np.concatenate([np.arange(0, 2**31, 2**20 + 7), np.arange(2000), 2**31 - np.arange(1, 999)])
    p, q = (((n + 0.5) / 2**32).astype(np.float32) for n in (k, k - 2.0**31))
    expected = np.array([NormalDist().inv_cdf((v + 0.5) / 2**32) for v in k.tolist()])
    for sign in (1, -1):
        found = reference.normal_quantile(sign * q, p)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, sign * expected, rtol=3.5e-7)


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (64, 64), (1, 9), (9, 1)])
def test_orthogonal(shape: tuple[int, int]) -> None:
    q = drawn("orthogonal", {"gain": 1.5}, shape)
    gram = q.T @ q if shape[0] >= shape[1] else q @ q.T
    np.testing.assert_allclose(gram, 2.25 * np.eye(min(shape)), rtol=0, atol=1e-12)
    single = F.init.orthogonal(shape, gain=1.5, seed=3)
    np.testing.assert_array_equal(single, q.astype(np.float32))


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(
    "nonlinearity", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_gains_are_torchs(torch: Any, mode: str, nonlinearity: str) -> None:
    """torch's weight is (out, in), and its fan_in is our first axis."""
    given = {"a": 0.2, "mode": mode, "nonlinearity": nonlinearity}
    theirs = torch.empty(N_OUT, N_IN, dtype=torch.float64)
    for name in ("kaiming_uniform", "kaiming_normal"):
        getattr(torch.nn.init, f"{name}_")(theirs, **given)
        ours = drawn(name, given)
        assert ours.std() == pytest.approx(theirs.std().item(), rel=0.02)
    gain = torch.nn.init.calculate_gain(nonlinearity, 0.2)
    fan = N_IN if mode == "fan_in" else N_OUT
    bound = gain * math.sqrt(3 / fan)
    assert 0.999 * bound < abs(drawn("kaiming_uniform", given)).max() <= bound * (1 + 1e-15)


def test_scikit_learns() -> None:
    for activation, factor in (("relu", 6), ("identity", 6), ("tanh", 6), ("logistic", 2)):
        bound = math.sqrt(factor / (N_IN + N_OUT))
        model = nn.Sequential(
            nn.Linear(
                N_IN,
                N_OUT,
                init=nn.init.Sklearn(activation),
                bias_init=nn.init.Sklearn(activation),
            ),
            dtype="float64",
        )
        for values in (model[0].weight, model[0].bias):
            assert 0.9 * bound < abs(values).max() <= bound


@every
def test_seeds(name: str) -> None:
    first, again, other = (drawn(name, {}, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (name in ("zeros", "ones", "constant"))


# -- layers ----------------------------------------------------------------------------------------


def model_of(seed: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 5, init="kaiming_normal", bias_init="zeros"),
        nn.Tanh(),
        nn.Linear(5, 4, init=nn.init.Orthogonal(gain=2.0), bias_init=nn.init.Constant(0.5)),
        nn.Linear(4, 2),
        seed=seed,
    )


def test_the_default_is_torchs() -> None:
    plain, named = (nn.Sequential(nn.Linear(6, 5, **given)) for given in ({}, {"init": "default"}))
    same_values(plain, named)
    assert repr(named[0]) == "Linear(in_features=6, out_features=5, bias=True)"
    assert plain[0].init == nn.init.Default()


def test_names_and_objects() -> None:
    model = model_of()
    assert model[0].init == nn.init.KaimingNormal()
    assert (model[0].bias == 0).all()
    assert (model[2].bias == 0.5).all()
    np.testing.assert_allclose(model[2].weight @ model[2].weight.T, 4 * np.eye(4), atol=1e-5)
    assert repr(model[2]) == (
        "Linear(in_features=5, out_features=4, bias=True, init=Orthogonal(gain=2.0), "
        "bias_init=Constant(val=0.5))"
    )


@pytest.mark.parametrize("how", ["file", *COPIES, *WITH_ITS_LAYERS])
def test_copies_keep_values_and_names(how: str, tmp_path: Any) -> None:
    model = model_of()
    if how == "file":
        model.save(tmp_path / "model.npz")
        other = fastnn.load(tmp_path / "model.npz")
    else:
        other = (COPIES | WITH_ITS_LAYERS)[how](model)
    same_values(model, other)
    assert repr(model) == repr(other)
    assert other[2].init == nn.init.Orthogonal(gain=2.0)


def test_layers_without_values_draw_again() -> None:
    """A layer that moves to a model of another seed without its values draws new ones."""
    layers = [nn.Linear(6, 5, init="xavier_normal"), nn.Linear(5, 2, bias_init="ones")]
    first, second = (nn.Sequential(*copy.deepcopy(layers), seed=seed) for seed in (1, 2))
    assert (first[0].weight != second[0].weight).all()
    assert (second[1].bias == 1).all()


def test_given_arrays() -> None:
    w, b = np.arange(6.0).reshape(2, 3), np.array([0.5, 1.5], np.float32)
    layer = nn.Linear(3, 2, init=w, bias_init=b)
    w[...], b[...] = 0, 0
    for made in (nn.Sequential(layer), nn.Sequential(COPIES["pickle"](layer))):
        np.testing.assert_array_equal(made[0].weight, np.arange(6).reshape(2, 3))
        np.testing.assert_array_equal(made[0].bias, [0.5, 1.5])
    some = nn.Sequential(nn.Linear(3, 2, init=[[1, 2, 3], [4, 5, 6]]), seed=4)
    np.testing.assert_array_equal(some[0].weight, [[1, 2, 3], [4, 5, 6]])
    assert (some[0].bias != 0).all()
    one = nn.Linear(3, 2, bias_init=np.zeros(2))
    for made in (nn.Sequential(one, seed=4), nn.Sequential(COPIES["pickle"](one), seed=4)):
        np.testing.assert_array_equal(
            made[0].weight, nn.Sequential(nn.Linear(3, 2), seed=4)[0].weight
        )
        assert (made[0].bias == 0).all()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"init": "kaiming"}, r"\[Linear\] unknown init 'kaiming'; known: default, .*constant"),
        ({"init": nn.init.Zeros}, r"\[Linear\] init is the class Zeros; write Zeros\(\)"),
        ({"init": np.ones((3, 2))}, r"\[Linear\] init has shape \(3, 2\); expected \(2, 3\)"),
        ({"init": [[1, 2, np.nan]] * 2}, r"\[Linear\] init has a value that is not finite"),
        ({"init": np.ones((2, 3), complex)}, r"\[Linear\] init has dtype complex128"),
        ({"bias_init": "orthogonal"}, r"\[Linear\] bias_init is Orthogonal.*draws a matrix"),
        ({"bias_init": np.ones(3)}, r"\[Linear\] bias_init has shape \(3,\); expected \(2,\)"),
        ({"bias": False, "bias_init": "zeros"}, r"\[Linear\] bias_init came with bias=False"),
    ],
)
def test_refusals(given: dict[str, Any], text: str) -> None:
    with pytest.raises((ValueError, TypeError), match=text):
        nn.Linear(3, 2, **given)


def test_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'0\.weight' has 1e\+39, which is infinite as float32"):
        nn.Sequential(nn.Linear(3, 2, init=np.full((2, 3), 1e39)))
    nn.Sequential(nn.Linear(3, 2, init=np.full((2, 3), 1e39)), dtype="float64")
    for made in (lambda: nn.init.Uniform(1.0, 1.0), lambda: nn.init.Normal(std=-1)):
        with pytest.raises(ValueError, match="expected"):
            made()
    with pytest.raises(ValueError, match=r"^\[init\.orthogonal\] shape is 5; expected \(in, out\)"):
        F.init.orthogonal(5)
    given = {"in_features": 3, "out_features": 2, "bias_init": ("orthogonal", {})}
    with pytest.raises(ValueError, match=r"\[linear\] bias_init is orthogonal; expected"):
        _core.Network([("linear", given)])


def test_classes_are_the_twins() -> None:
    assert list(INITIALIZERS) == list(reference.INITIALIZERS)
    for name, cls in INITIALIZERS.items():
        row = reference.INITIALIZERS[name]
        assert cls.__name__ == row.class_name == ROWS[name]["class_name"]
        assert row.for_vectors == ROWS[name]["for_vectors"]
        assert getattr(nn.init, cls.__name__) is cls
