# SPDX-License-Identifier: BSD-3-Clause
"""Models for the tests of exchange: every member of the registries, and networks of many of them.

Each is an `nn.Sequential` whose values are off their initial zeros and ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import nn
from members import Layers, cases, everything, linear, names, network_with, row_of
from models import layer_of, same_values

N_IN, WIDTH, N_OUT = 6, 9, 3
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}

every_member = pytest.mark.parametrize(
    ("name", "hyper"),
    [case for room in ("inputs", "layers", "activations") for case in cases(room)],
)


def residual(*layers: Any, **shortcut: Any) -> Any:
    return ("residual", {"layers": list(layers), **shortcut})


def sequential(*layers: Any) -> Any:
    return ("sequential", {"layers": list(layers)})


def layer_norm(columns: int, **hyper: Any) -> Any:
    return ("layer_norm", {"normalized_shape": columns, **hyper})


def batch_norm(columns: int) -> Any:
    return ("batch_norm1d", {"num_features": columns})


NETWORKS: dict[str, Layers] = {
    "every member": everything(N_IN, WIDTH, N_OUT),
    "nested": [
        linear(N_IN, WIDTH),
        sequential(sequential(linear(WIDTH, 5), ("relu", {})), ("dropout", {"p": 0.3})),
        sequential(batch_norm(5), linear(5, N_OUT, bias=False)),
    ],
    "residual": [
        ("rescale", {"scale": 0.5, "shift": 0.25}),
        residual(("identity", {})),
        residual(layer_norm(N_IN), linear(N_IN, WIDTH), ("tanh", {}), linear(WIDTH, N_IN)),
        residual(residual(linear(N_IN, N_IN)), sequential(("relu", {}), batch_norm(N_IN))),
        linear(N_IN, N_OUT),
    ],
    "shortcuts": [
        residual(linear(N_IN, WIDTH), ("tanh", {}), shortcut=linear(N_IN, WIDTH)),
        residual(
            linear(WIDTH, 5),
            residual(("relu", {}), linear(5, 4), shortcut=linear(5, 4, bias=False)),
            shortcut=sequential(linear(WIDTH, 4), layer_norm(4)),
        ),
        linear(4, N_OUT),
    ],
}
every_network = pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
both_dtypes = pytest.mark.parametrize("dtype", list(TOLERANCE))


def layer(name: str, hyper: dict[str, Any]) -> Any:
    """Return the layer of nn that an entry stands for, which may be a container."""
    if name not in names("containers"):
        return layer_of(name, hyper)
    cls = getattr(nn, row_of("containers", name)["class_name"])
    given = {"shortcut": layer(*hyper["shortcut"])} if "shortcut" in hyper else {}
    return cls(*(layer(*each) for each in hyper["layers"]), **given)


def model_of(layers: Layers, dtype: str, rng: np.random.Generator) -> nn.Sequential:
    """A model that looks as if it had been trained."""
    model = nn.Sequential(*(layer(*each) for each in layers), dtype=dtype, seed=3)
    for key, value in model.state_dict().items():
        if key.endswith("running_var"):
            value[...] = rng.uniform(0.5, 2.0, value.shape)
        elif value.ndim == 1:
            value[...] += rng.uniform(-0.5, 0.5, value.shape)
    return model


def model_with(
    name: str, hyper: dict[str, Any], dtype: str, rng: np.random.Generator
) -> nn.Sequential:
    return model_of(network_with(name, hyper, N_IN, WIDTH, N_OUT), dtype, rng)


def rows(rng: np.random.Generator, dtype: str, n: int = 40) -> np.ndarray:
    """Rows from small to large, so that activations are in both tails."""
    return (rng.standard_normal((n, N_IN)) * np.geomspace(0.1, 10, n)[:, None]).astype(dtype)


def agree(got: Any, expected: Any, dtype: str) -> None:
    """Assert equality within the tolerance, relative to the largest expected value."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype == dtype
    assert abs(got - expected).max() <= TOLERANCE[dtype] * max(abs(expected).max(), 1e-30)


def same_models(a: nn.Sequential, b: nn.Sequential) -> None:
    """Assert the same layers, settings, values and freeze flags."""
    assert repr(a) == repr(b)
    assert a.dtype == b.dtype
    same_values(a, b)
