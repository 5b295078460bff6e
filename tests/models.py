# SPDX-License-Identifier: BSD-3-Clause
"""Ways to copy a model of nn, comparison of two, and layers as the registries have them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np

from fastnn import nn
from members import REGISTRIES, Hyper, defaults_of, names, paired


def pickled(anything: Any) -> Any:
    return pickle.loads(pickle.dumps(anything))


# Copies go on as the model would; the other ways make a model of the same layers, to be compiled.
COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickled}
WITH_ITS_LAYERS = {
    "slice": lambda m: m[:],
    "layers": lambda m: nn.Sequential(*m, dtype=m.dtype, seed=m.seed),
}


def same_values(a: nn.Sequential, b: nn.Sequential) -> None:
    """Assert that two models have the same keys and the same values, to the bit."""
    left, right = a.state_dict(), b.state_dict()
    assert list(left) == list(right)
    for key in left:
        np.testing.assert_array_equal(left[key], right[key], err_msg=key)


def class_of(name: str) -> Any:
    """Return the class in nn of a layer, an activation or a preparation."""
    rooms = ("inputs", "layers", "activations")
    row = next(row for room in rooms for row in REGISTRIES[room] if row["name"] == name)
    return getattr(nn, row["class_name"])


def layer_of(name: str, hyper: Hyper) -> nn.Layer:
    """Return the layer of nn that an entry of `members.network_with` stands for."""
    if name in names("activations"):
        return class_of(name)(**paired("activations", name, hyper))
    # The twin has defaults where the class of a preparation has none.
    return class_of(name)(**(defaults_of(name) if name in names("inputs") else {}) | hyper)
