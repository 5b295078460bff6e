# SPDX-License-Identifier: BSD-3-Clause
"""Layers that normalise, under torch's names and with torch's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ._layer import ParameterLayer, Setting

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["BatchNorm1d", "LayerNorm", "RMSNorm"]


class BatchNorm1d(ParameterLayer):
    """Compute (x - mean) / sqrt(var + eps) * weight + bias by column, as in torch.

    Training uses the mean and the (biased) variance of the batch, and moves the running statistics
    towards them by ``momentum``; prediction uses the running statistics. Keras calls 1 - momentum
    the momentum and has other defaults (momentum 0.99, eps 1e-3).

    The variance of a batch of a single row is zero. So such a batch is normalised by the running
    statistics in training, too, and does not change them or ``num_batches_tracked``. ``fit`` with
    only such batches is refused, unless the layer is frozen. A frozen layer keeps its running
    statistics and its counter.

    Parameters
    ----------
    num_features : int
    eps : float, default 1e-5
        Added to the variance. With 0, a column of equal values ends the training. It may be
        assigned later and takes effect with the next step or prediction.
    momentum : float, default 0.1
        Weight of the new statistics in the running ones. It may be assigned later.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.BatchNorm1d(8)
    BatchNorm1d(8, eps=1e-05, momentum=0.1)
    """

    registry_name: ClassVar[str] = "batch_norm1d"

    num_features: int
    eps: Setting[float] = Setting()
    momentum: Setting[float] = Setting()

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(num_features=num_features, eps=eps, momentum=momentum)

    @property
    def weight(self) -> Array:
        """View of the factors, (num_features,)."""
        return self._value("weight")

    @property
    def bias(self) -> Array:
        """View of the shifts, (num_features,)."""
        return self._value("bias")

    @property
    def running_mean(self) -> Array:
        """View of the mean that prediction uses, (num_features,)."""
        return self._value("running_mean")

    @property
    def running_var(self) -> Array:
        """View of the variance that prediction uses, (num_features,)."""
        return self._value("running_var")

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        settings = {"num_features": self.num_features, "eps": self.eps, "momentum": self.momentum}
        return self.registry_name, settings

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return num_features."""
        return self._expected(where, n_in, self.num_features)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of factors, shifts and running statistics."""
        names = ("weight", "bias", "running_mean", "running_var")
        return dict.fromkeys(names, (self.num_features,))

    def flops(self, n_in: int) -> int:
        """Return four operations per column."""
        return 4 * self.num_features

    def __repr__(self) -> str:
        return f"BatchNorm1d({self.num_features}, eps={self.eps}, momentum={self.momentum})"


class LayerNorm(ParameterLayer):
    """(x - mean) / sqrt(var + eps) * weight + bias, each row by itself, as in torch.

    Mean and variance are those of the row over its columns: training and prediction do the same,
    and a batch may have a single row.

    Parameters
    ----------
    normalized_shape : int
        Columns of x.
    eps : float, default 1e-5
        Added to the variance; with 0, a row of equal values has no finite result. May be changed
        later: in effect from the next step or prediction on.
    elementwise_affine : bool, default True
        Whether there is a weight.
    bias : bool, default True
        Whether there is a bias, too.

    Examples
    --------
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8))
    >>> model[1]
    LayerNorm(8, eps=1e-05, elementwise_affine=True, bias=True)
    >>> model[1].weight.shape
    (8,)
    """

    registry_name: ClassVar[str] = "layer_norm"

    normalized_shape: int
    elementwise_affine: bool
    has_bias: bool
    eps: Setting[float] = Setting()

    def __init__(
        self,
        normalized_shape: int,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(
            normalized_shape=normalized_shape, eps=eps, elementwise_affine=elementwise_affine
        )
        vars(self)["has_bias"] = self._checked({"bias": bias})["bias"] and self.elementwise_affine

    @property
    def weight(self) -> Array | None:
        """(normalized_shape,) view of the factors; None without elementwise_affine."""
        return self._value("weight") if self.elementwise_affine else None

    @property
    def bias(self) -> Array | None:
        """(normalized_shape,) view of the shifts; None without bias."""
        return self._value("bias") if self.has_bias else None

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {
            "normalized_shape": self.normalized_shape,
            "eps": self.eps,
            "elementwise_affine": self.elementwise_affine,
            "bias": self.has_bias,
        }

    def width(self, where: str, n_in: int | None) -> int | None:
        """normalized_shape."""
        return self._expected(where, n_in, self.normalized_shape)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of factors and shifts."""
        has = {"weight": self.elementwise_affine, "bias": self.has_bias}
        return {name: (self.normalized_shape,) for name in has if has[name]}

    def flops(self, n_in: int) -> int:
        """Eight a column."""
        return 8 * self.normalized_shape

    def __repr__(self) -> str:
        shown = (
            f"eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.has_bias}"
        )
        return f"LayerNorm({self.normalized_shape}, {shown})"


class RMSNorm(ParameterLayer):
    """Compute x / sqrt(mean(x^2) + eps) * weight, each row by itself, as in torch.

    The mean is that of the row over its columns: training and prediction do the same, and a batch
    may have a single row. (Zhang and Sennrich, 2019.)

    Parameters
    ----------
    normalized_shape : int
        Columns of x.
    eps : float, optional
        Added to the mean square. None, the default, is the epsilon of the model's dtype: 1.2e-7 in
        float32 and 2.2e-16 in float64. It may be assigned later and takes effect with the next step
        or prediction.
    elementwise_affine : bool, default True
        Whether there is a weight.

    Examples
    --------
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.RMSNorm(8))
    >>> model[1]
    RMSNorm(8, eps=None, elementwise_affine=True)
    >>> model[1].weight.shape
    (8,)
    """

    registry_name: ClassVar[str] = "rms_norm"

    normalized_shape: int
    elementwise_affine: bool
    eps: Setting[float | None] = Setting()

    def __init__(
        self, normalized_shape: int, eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__(
            normalized_shape=normalized_shape, eps=eps, elementwise_affine=elementwise_affine
        )

    @property
    def weight(self) -> Array | None:
        """View of the factors, (normalized_shape,); None without elementwise_affine."""
        return self._value("weight") if self.elementwise_affine else None

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {
            "normalized_shape": self.normalized_shape,
            "eps": self.eps,
            "elementwise_affine": self.elementwise_affine,
        }

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return normalized_shape."""
        return self._expected(where, n_in, self.normalized_shape)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of the factors."""
        return {"weight": (self.normalized_shape,)} if self.elementwise_affine else {}

    def flops(self, n_in: int) -> int:
        """Return five operations per column."""
        return 5 * self.normalized_shape

    def __repr__(self) -> str:
        shown = f"eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"RMSNorm({self.normalized_shape}, {shown})"
