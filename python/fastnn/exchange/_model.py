# SPDX-License-Identifier: BSD-3-Clause
"""A model as plain data: registry names, parameters and arrays, by which libraries exchange it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastnn import _registry, reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastnn._registry import Row
    from fastnn._validate import Array

__all__ = ["LayerData", "ModelData", "members", "needed"]


@dataclass(frozen=True)
class LayerData:
    """A layer.

    Parameters
    ----------
    name : its name in the registries of the core
    hyper : its parameters under the names of the registry's row
    key : where it stands: its key in the model, or its name in the other library
    values : its parameters and statistics under torch's names and in torch's layout
    frozen : whether training does not change its parameters
    layers : the layers inside a container
    """

    name: str
    hyper: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    values: Mapping[str, Array] = field(default_factory=dict)
    frozen: bool = False
    layers: tuple[LayerData, ...] = ()


@dataclass(frozen=True)
class ModelData:
    """A model.

    Parameters
    ----------
    layers : its outermost layers
    dtype : "float32" or "float64"
    loss : registry name of the loss whose link predictions need; None for raw outputs
    loss_hyper : the parameters of the loss under the names of its row
    columns, outputs : numbers of columns of X and of the outputs, where they are known
    """

    layers: tuple[LayerData, ...]
    dtype: str
    loss: str | None = None
    loss_hyper: Mapping[str, Any] = field(default_factory=dict)
    columns: int = 0
    outputs: int = 0


def members() -> Iterator[tuple[Row, Any]]:
    """Yield the rows of everything that may be a layer, each with the twin's."""
    twins: dict[str, Mapping[str, Any]] = {
        "inputs": reference.INPUTS,
        "layers": reference.LAYERS,
        "containers": reference.CONTAINERS,
        "activations": reference.ACTIVATIONS,
    }
    for room, twin in twins.items():
        for name, row in _registry.rows(room).items():
            yield row, twin[name]


# What pip calls the packages, and the extra of fastnn that has them.
_INSTALL = {"torch": "torch", "keras": "keras", "onnx": "'fastnn-cpu[onnx]'"}


def needed(where: str, package: str) -> Any:
    """Return the module of an optional package; if it is missing, the error says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        if error.name == package:
            text = f"[{where}] needs {package}, which is not installed; expected: pip install "
            text += _INSTALL[package]
        else:
            text = f"[{where}] {package} cannot be imported ({error})"
        raise ImportError(text, name=error.name) from error
