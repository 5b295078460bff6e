# SPDX-License-Identifier: BSD-3-Clause
"""Loss functions of arrays that have to be converted or refused first.

With `sample_weight` w the value is sum(w l) / sum(w), so only the ratios of weights matter. The
elementwise losses also divide by the number of outputs. With reduction="sum" nothing is divided.
Targets and outputs outside the range of a loss are refused, and the message names the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _core, _registry
from fastnn._fields import checked
from fastnn._refusals import Words
from fastnn._validate import as_array

from ._arrays import Array, apart, checked_out, common_dtype, filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

__all__ = ["loss"]


def loss(
    where: str,
    name: str,
    values: Mapping[str, Any],
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None,
    dout: Array | None,
) -> tuple[float, Array]:
    """Return value and gradient of the loss `name`; `where` is the function in messages."""
    row = _registry.row(where, "losses", name)
    settings = checked(where, row["params"], values)
    given = {"out": out, "target": target}
    if sample_weight is not None:
        given["sample_weight"] = sample_weight
    arrays = {what: as_array(where, what, value) for what, value in given.items()}
    shape, dtype = arrays["out"].shape, common_dtype(arrays["out"])
    inputs = apart([dout], *((array, given[what]) for what, array in arrays.items()))
    gradient = checked_out(where, dout, shape, dtype, *inputs, what="dout")
    if row["target"] == "class" and len(shape) == 1:  # a vector is one row of scores
        one = np.atleast_1d(arrays["target"])
        soft = row["takes_probabilities"] and one.shape == shape and one.size > 1
        arrays |= {"out": arrays["out"][None], "target": one[None] if soft else one}
    weights = arrays.get("sample_weight")
    with Words(where, given):
        value, grad = _core.loss(name, settings, arrays["out"], arrays["target"], weights)
    return value, filled(gradient, grad.reshape(shape))
