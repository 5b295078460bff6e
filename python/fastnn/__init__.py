# SPDX-License-Identifier: BSD-3-Clause
"""Dense neural networks on CPUs, trained from NumPy arrays by a C++ core.

Modules and names are loaded when they are first used, so that ``import fastnn`` takes almost no
time. ``_HOME`` maps each public name to its module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .errors import FastnnError, ModelBusyError, ModelFileError, TrainingDivergedError

if TYPE_CHECKING:
    from . import (
        callbacks,
        data,
        datasets,
        functional,
        info,
        metrics,
        nn,
        optim,
        plot,
        reference,
        sklearn,
    )
    from ._files import read_tensors
    from ._loading import load
    from ._threads import threads
    from .info import build_info
    from .sklearn import MLPClassifier, MLPRegressor

__version__ = "0.1.0"

__all__ = [
    "FastnnError",
    "MLPClassifier",
    "MLPRegressor",
    "ModelBusyError",
    "ModelFileError",
    "TrainingDivergedError",
    "__version__",
    "build_info",
    "callbacks",
    "data",
    "datasets",
    "functional",
    "info",
    "load",
    "metrics",
    "nn",
    "optim",
    "plot",
    "read_tensors",
    "reference",
    "sklearn",
    "threads",
]

# Public name -> module that defines it; modules map to themselves.
_HOME = {
    "callbacks": "callbacks",
    "data": "data",
    "datasets": "datasets",
    "functional": "functional",
    "info": "info",
    "metrics": "metrics",
    "nn": "nn",
    "optim": "optim",
    "plot": "plot",
    "reference": "reference",
    "sklearn": "sklearn",
    "MLPClassifier": "sklearn",
    "MLPRegressor": "sklearn",
    "build_info": "info",
    "load": "_loading",
    "read_tensors": "_files",
    "threads": "_threads",
}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f".{home}", __name__)
    value: object = module if home == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
