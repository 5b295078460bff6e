# SPDX-License-Identifier: BSD-3-Clause
"""The layers that are not activations, under torch's names and with torch's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import _validate

from ._layer import Layer, ModelLayer, ParameterLayer, Setting

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["BatchNorm1d", "Dropout", "Flatten", "LayerNorm", "Linear", "Rescale"]


class Rescale(ModelLayer):
    """Compute x * scale + shift by column while the rows are read, without changing X.

    It has to come before the first numbered layer, has no number in ``state_dict`` and is not
    trained.

    A float32 model scales float64 and integers of 32 or 64 bits in double and rounds the result, so
    that, for example, seconds since 1970 keep their differences. (Integers beyond 2^53 are rounded
    to double first.) Values of smaller dtypes, which float32 represents exactly, are scaled in
    float32.

    Parameters
    ----------
    scale : float or array_like of shape (columns,)
        Factor of each column; 0 removes a column. It may be assigned later, as a whole, and takes
        effect with the next step or prediction. A model refuses scales that become infinite or zero
        in its dtype, such as 1e39 and 1e-46 in float32.
    shift : float or array_like of shape (columns,), default 0
        Added to each column; it may be assigned later. It must be finite in the model's dtype.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Rescale(0.5)
    Rescale(scale=0.5, shift=0.0)
    """

    registry_name: ClassVar[str] = "rescale"
    numbered: ClassVar[bool] = False
    prepares: ClassVar[bool] = True

    scale: Setting[Any] = Setting()
    shift: Setting[Any] = Setting()

    def __init__(self, scale: Any, shift: Any = 0) -> None:
        super().__init__(scale=scale, shift=shift)

    def _checked(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return `settings` as numbers, or as arrays whose lengths agree."""
        new = {what: self._factor(what, value) for what, value in settings.items()}
        self._columns("Rescale", {**vars(self), **new}, None)
        return new

    @staticmethod
    def _factor(what: str, value: Any) -> float | Array:
        array = _validate.numbers("Rescale", what, value)
        if array.ndim > 1 or array.size == 0:
            raise ValueError(
                f"[Rescale] {what} has shape {array.shape}; expected a number or (columns,)"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"[Rescale] {what} has a value that is not finite")
        return float(array) if array.ndim == 0 else array.astype(np.float64)

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {"scale": self.scale, "shift": self.shift}

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return the number of input columns; an array as a setting determines it."""
        return self._columns(where, vars(self), n_in)

    @staticmethod
    def _columns(where: str, settings: dict[str, Any], n_in: int | None) -> int | None:
        for what in ("scale", "shift"):
            value = settings[what]
            if isinstance(value, np.ndarray):
                if n_in not in (None, value.size):
                    raise ValueError(f"[{where}] {what} has {value.size} columns; expected {n_in}")
                n_in = value.size
        return n_in

    def __repr__(self) -> str:
        shown = [
            v if isinstance(v, float) else f"({v.size} values)" for v in (self.scale, self.shift)
        ]
        return f"Rescale(scale={shown[0]}, shift={shown[1]})"


class Flatten(Layer):
    """Read arrays of shape (n, ...) as (n, columns), without a copy.

    It has to come before the first layer that computes.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Flatten()
    Flatten()
    """

    registry_name: ClassVar[str] = "flatten"
    prepares: ClassVar[bool] = True

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {}

    def __repr__(self) -> str:
        return "Flatten()"


class Dropout(ModelLayer):
    """In training, set values to 0 with probability p and multiply the others by 1 / (1 - p).

    The mask depends on the model's seed, the layer, the row, the column, the step and, within a
    step, on the number of training passes since the last update: every
    ``forward(x, training=True)`` has a new mask. The first pass of a step has the mask of
    ``train_step``.

    Parameters
    ----------
    p : float, default 0.5
        From 0 to 1. It may be assigned later, as in ``model[3].p = 0``, and takes effect with the
        next step.

    Examples
    --------
    >>> from fastnn import nn
    >>> nn.Dropout(0.2)
    Dropout(p=0.2)
    """

    registry_name: ClassVar[str] = "dropout"

    p: Setting[float] = Setting()

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p=p)

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        return self.registry_name, {"p": self.p}

    def __repr__(self) -> str:
        return f"Dropout(p={self.p})"


class Linear(ParameterLayer):
    """Compute y = x W^T + b with W of shape (out_features, in_features), as in torch.

    The initial values are drawn from U(-1/sqrt(in), 1/sqrt(in)) when a Sequential is made.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool, default True

    Examples
    --------
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(4, 3))
    >>> model[0].weight.shape
    (3, 4)
    """

    registry_name: ClassVar[str] = "linear"

    in_features: int
    out_features: int
    has_bias: bool

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        settings = {"in_features": in_features, "out_features": out_features, "bias": bias}
        known = self._checked(settings)
        vars(self).update(has_bias=known.pop("bias"), **known)

    @property
    def weight(self) -> Array:
        """View of the model's values, (out_features, in_features); read-only while fit runs."""
        return self._value("weight")

    @property
    def bias(self) -> Array | None:
        """View of the model's values, (out_features,); None without bias."""
        return self._value("bias") if self.has_bias else None

    def spec(self) -> tuple[str, dict[str, Any]]:
        """The layer as the core takes it: name and settings."""
        sizes = {"in_features": self.in_features, "out_features": self.out_features}
        return self.registry_name, {**sizes, "bias": self.has_bias}

    def width(self, where: str, n_in: int | None) -> int | None:
        """Return out_features."""
        if n_in not in (None, self.in_features):
            raise ValueError(
                f"[{where}] {self!r} comes after {n_in} columns; expected {self.in_features}"
            )
        return self.out_features

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of weight and bias."""
        weight = {"weight": (self.out_features, self.in_features)}
        return weight | ({"bias": (self.out_features,)} if self.has_bias else {})

    def flops(self, n_in: int) -> int:
        """Return a multiplication and an addition for each weight."""
        return 2 * self.in_features * self.out_features

    def __repr__(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"Linear({sizes}, bias={self.has_bias})"


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
        if n_in not in (None, self.num_features):
            raise ValueError(
                f"[{where}] {self!r} comes after {n_in} columns; expected {self.num_features}"
            )
        return self.num_features

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
        if n_in not in (None, self.normalized_shape):
            raise ValueError(
                f"[{where}] {self!r} comes after {n_in} columns; expected {self.normalized_shape}"
            )
        return self.normalized_shape

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
