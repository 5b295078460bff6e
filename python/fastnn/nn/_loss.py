# SPDX-License-Identifier: BSD-3-Clause
"""Losses in Python: frozen descriptions that can be called on raw outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _core, _validate
from fastnn._describe import Description
from fastnn._docstrings import example_of, sentence
from fastnn._refusals import Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._registry import Row
    from fastnn._validate import Array

__all__ = ["Loss"]


_TASKS = {
    "regression": "predict gives the outputs as they are",
    "binary": "predict gives the probability of yes for each output",
    "multiclass": "predict gives the probabilities of the classes",
}

_MEANS = {
    "rows": "rows",
    "outputs": "all elements, rows and outputs",
    "targets": "all targets, rows and columns",
}


class Loss(Description):
    """Base of the losses, whose classes are made from the rows of the registry.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> loss, dout = nn.MSELoss()(np.array([[1.0], [3.0]]), np.array([[0.0], [3.0]]))
    >>> loss, dout.tolist()
    (0.5, [[1.0], [0.0]])
    """

    room: ClassVar[str] = "losses"
    positional: ClassVar[int | None] = 0

    @classmethod
    def _documentation(cls, row: Row) -> tuple[str, Sequence[str], str]:
        dense = row["target"] == "dense"
        targets = f"numbers (n, k){_within(row['targets'])}" if dense else "class indices (n,)"
        if row["takes_probabilities"]:
            targets += " or probabilities of the classes (n, k)"
        outputs = f" Outputs are numbers{_within(row['outputs'])}." if row["outputs"] else ""
        predicts = f"predict gives {row['predicts']}" if row["predicts"] else _TASKS[row["task"]]
        notes = [
            f"Targets are {targets}; {predicts}.{outputs}",
            f"The mean is over {_MEANS[row['mean']]}.",
            *([row["note"]] if row["note"] else []),
        ]
        return sentence(row["formula"]), notes, _example(row)

    def __call__(self, out: Any, target: Any, sample_weight: Any = None) -> tuple[float, Array]:
        """Compute the loss and its gradient with respect to `out`.

        Parameters
        ----------
        out : array_like of shape (n, k), or (n,) for one output
            Raw outputs of a network.
        target : array_like
            Class indices (n,) or numbers of the shape of `out`, depending on the loss.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows. The mean is sum(w l) / sum(w), so only their ratios matter.

        Returns
        -------
        loss : float
        dout : ndarray of the shape of `out`
            The gradient, as ``model.backward`` takes it.

        Raises
        ------
        ValueError, TypeError
            If shapes or dtypes do not fit, or targets or outputs are outside the loss's range.
        """
        where, given = type(self).__name__, {"out": out, "target": target}
        if sample_weight is not None:
            given["sample_weight"] = sample_weight
        arrays = {what: _validate.as_array(where, what, value) for what, value in given.items()}
        with Words(where, given):
            value, grad = _core.loss(self.registry_name, self.hyper(), **arrays, strict=True)
        return value, grad.reshape(arrays["out"].shape)


def _within(interval: str) -> str:
    """Return an interval as text that follows "numbers": " from 0 to 1"; "" without limits."""
    return f" from {interval}" if " to " in interval else f" {interval}".rstrip()


def _example(row: Row) -> str:
    out, target = example_of(row)
    loss, dout = _core.loss(row["name"], {}, np.array(out), np.array(target))
    return f"""
        >>> from fastnn import nn
        >>> loss, dout = nn.{row["class_name"]}()({out}, {target})
        >>> print(round(loss, 4), dout.round(4))
        {round(loss, 4)} {dout.round(4)}
        """
