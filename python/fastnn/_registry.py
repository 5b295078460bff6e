# SPDX-License-Identifier: BSD-3-Clause
"""The registries of the C++ core, by room and name.

They are the only list of members. A registry row is a dictionary that describes one member.
Classes, functions, stubs and tables are made from these rows.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from . import _core
from ._hints import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Parameter", "Row", "row", "rows", "unknown"]

Row = dict[str, Any]
Parameter = dict[str, Any]

_SINGULAR = {
    "activations": "activation",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "averages": "average",
    "layers": "layer",
    "metrics": "metric",
    "initializers": "initializer",
    "settings": "call",
}


@functools.cache
def rows(room: str) -> dict[str, Row]:
    """Return the registry rows of a room ("activations", "losses", ...) by name."""
    return {entry["name"]: entry for entry in _registries()[room]}


@functools.cache
def _registries() -> dict[str, list[Row]]:
    """Return the rows of all rooms; the core makes them anew for every call."""
    return _core.registries()


def row(where: str, room: str, name: str) -> dict[str, Any]:
    """Return the registry row called `name`; for an unknown name the error lists the known ones."""
    try:
        return rows(room)[name]
    except KeyError:
        raise unknown(where, _SINGULAR[room], name, rows(room)) from None


# Names in other libraries -> names here. They are only used for hints and not accepted as names.
_ELSEWHERE = {
    "acc": "accuracy",
    "binary_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "nll_loss": "nll",
    "negative_log_likelihood": "nll",
    "poisson": "poisson_nll",
    "pinball": "quantile",
    "kullback_leibler_divergence": "kl_div",
    "binary_focal_crossentropy": "focal",
    "swish": "silu",
    "log_loss": "cross_entropy",
    "softmax": "cross_entropy",
    "binary_crossentropy": "bce",
    "binary_cross_entropy": "bce",
    "binary_cross_entropy_with_logits": "bce_with_logits",
    "logistic": "bce_with_logits",
    "mean_squared_error": "mse",
    "squared_error": "mse",
    "l2": "mse",
    "mae": "l1",
    "mean_absolute_error": "l1",
    "absolute_error": "l1",
    "momentum": "sgd",
    "nesterov": "sgd",
    "nadam": "adam",
    "learning_rate": "lr",
    "decay": "weight_decay",
    "beta1": "betas",
    "beta_1": "betas",
    "epsilon": "eps",
}


def unknown(where: str, what: str, name: object, known: Iterable[str]) -> ValueError:
    """Return the error for an unknown name."""
    import difflib  # imported only when it is needed

    names = list(known)
    given = repr(name) if isinstance(name, str) else shown(name)
    text = f"[{where}] unknown {what} {given}; known: {', '.join(names)}"
    word = str(name).lower()
    if word not in _ELSEWHERE:  # a class name of torch, such as CrossEntropyLoss
        word = re.sub(r"_?loss$", "", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower())
    close = [_ELSEWHERE[word]] if _ELSEWHERE.get(word) in names else []
    close = close or difflib.get_close_matches(word, names, n=1)
    return ValueError(text + (f". Did you mean {close[0]!r}?" if close else ""))
