# SPDX-License-Identifier: BSD-3-Clause
"""What a loss is in Python: a frozen description that can be called on raw outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _core, _validate
from fastnn._describe import Description

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["Loss"]


@dataclass(repr=False, eq=False)
class Loss(Description):
    """Base of the losses, which are generated from the registry.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> loss, dout = nn.MSELoss()(np.array([[1.0], [3.0]]), np.array([[0.0], [3.0]]))
    >>> loss, dout.tolist()
    (0.5, [[1.0], [0.0]])
    """

    room: ClassVar[str] = "losses"

    def __call__(self, out: Any, target: Any, sample_weight: Any = None) -> tuple[float, Array]:
        """Value of the loss and its gradient with respect to `out`.

        Parameters
        ----------
        out : array_like of shape (n, k), or (n,) for one output
            Raw outputs of a network.
        target : array_like
            Class indices (n,) or numbers of the shape of `out`, as the loss says.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows: the mean is sum(w l) / sum(w), so only their ratios count.

        Returns
        -------
        loss : float
        dout : ndarray of the shape of `out`
            What ``model.backward`` takes.

        Raises
        ------
        ValueError, TypeError
            Shapes or dtypes that do not fit; targets or outputs outside the range of the loss.
        """
        where = type(self).__name__
        raw = _validate.as_array(where, "out", out)
        if raw.ndim not in (1, 2) or raw.size == 0:
            raise ValueError(
                f"[{where}] out has shape {raw.shape}; expected (n, k) with rows and columns"
            )
        if raw.dtype not in (np.float32, np.float64):
            raw = raw.astype(np.float64)
        rows = raw if raw.ndim == 2 else raw[:, None]
        wanted = _validate.targets(where, target, len(rows), self, rows.shape[1], what="target")
        if self.row["target"] == "dense":
            wanted = wanted.reshape(rows.shape)
        if sample_weight is not None:
            sample_weight = _validate.weights(where, sample_weight, len(rows))
        value, grad = _core.loss(
            self.registry_name, self.hyper(), rows, wanted, sample_weight, where
        )
        return value, grad.reshape(raw.shape)
