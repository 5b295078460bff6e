# SPDX-License-Identifier: BSD-3-Clause
"""Layers that normalise."""
# Methods are described once, in Layer, and all layers take the same arguments.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._layer import Layer

if TYPE_CHECKING:
    from fastnn.reference._describe import Array

__all__ = ["BatchNorm1d", "LayerNorm", "RMSNorm"]


class BatchNorm1d(Layer):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, column by column.

    Training takes mean and variance from the batch, and moves the running ones towards them by
    `momentum`; otherwise the running ones are used. As in torch the batch is normalised by the
    biased variance (1/B), while the running variance collects the unbiased one (1/(B - 1)).
    A row alone has no variance: it is normalised by the running statistics, which stay as they are.
    All this is computed in double: float32 sums down a long column would lose digits.
    """

    cancels_bias = True

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.num_batches = 0  # from which the running statistics have been taken

    def build(self, dtype: Any, seed: int, number: int) -> None:
        n = self.num_features
        self.params = {"weight": np.ones(n, dtype), "bias": np.zeros(n, dtype)}
        self.statistics = {"running_mean": np.zeros(n, dtype), "running_var": np.ones(n, dtype)}

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        self.own_statistics = training and len(x) > 1
        wide = x.astype(np.float64)
        if self.own_statistics:
            mean, var = wide.mean(axis=0), wide.var(axis=0)
            if not self.frozen:
                self._update_statistics(mean, var, len(x))
        else:
            mean, var = self.statistics["running_mean"], self.statistics["running_var"]
        self.inverse_std = 1 / np.sqrt(var.astype(np.float64) + self.eps)
        self.normalised = (wide - mean) * self.inverse_std
        y: Array = self.normalised * self.params["weight"] + self.params["bias"]
        return y.astype(x.dtype)

    def _update_statistics(self, mean: Array, var: Array, n_rows: int) -> None:
        self.num_batches += 1
        unbiased = var * n_rows / (n_rows - 1)
        for name, new in (("running_mean", mean), ("running_var", unbiased)):
            running = self.statistics[name]
            running[:] = (1 - self.momentum) * running.astype(np.float64) + self.momentum * new

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        dtype, dy = dy.dtype, dy.astype(np.float64)
        dweight, dbias = (dy * self.normalised).sum(axis=0), dy.sum(axis=0)
        self.grads = {"weight": dweight.astype(dtype), "bias": dbias.astype(dtype)}
        dx = dy
        if self.own_statistics:  # mean and variance depend on x too: take out their parts of dy
            dx = dy - dy.mean(axis=0) - self.normalised * (dy * self.normalised).mean(axis=0)
        result: Array = dx * self.inverse_std * self.params["weight"]
        return result.astype(dtype)


class LayerNorm(Layer):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance of each row.

    Like BatchNorm1d, but along the other axis: a row needs no others, so there are no running
    statistics, and training and prediction do the same. Computed in double as well.
    """

    def __init__(
        self,
        normalized_shape: int,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = normalized_shape, eps
        self.elementwise_affine, self.bias = elementwise_affine, bias

    def build(self, dtype: Any, seed: int, number: int) -> None:
        n = self.normalized_shape
        self.params = {}
        if self.elementwise_affine:
            self.params["weight"] = np.ones(n, dtype)
            if self.bias:
                self.params["bias"] = np.zeros(n, dtype)

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        wide = x.astype(np.float64)
        mean, var = wide.mean(axis=1, keepdims=True), wide.var(axis=1, keepdims=True)
        self.inverse_std = 1 / np.sqrt(var + self.eps)
        self.normalised = (wide - mean) * self.inverse_std
        y: Array = self.normalised * self.params.get("weight", 1) + self.params.get("bias", 0)
        return y.astype(x.dtype)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        dtype, dy = dy.dtype, dy.astype(np.float64)
        grads = {"weight": (dy * self.normalised).sum(axis=0), "bias": dy.sum(axis=0)}
        self.grads = {name: grads[name].astype(dtype) for name in self.params}
        # Mean and variance depend on the row's x too: take out their parts.
        g = dy * self.params.get("weight", 1)
        cross = (g * self.normalised).mean(axis=1, keepdims=True)
        dx: Array = (g - g.mean(axis=1, keepdims=True) - self.normalised * cross) * self.inverse_std
        return dx.astype(dtype)


class RMSNorm(Layer):
    """y = x / sqrt(mean(x^2) + eps) * weight, the mean of each row; computed in double.

    eps None is the distance of 1 from the next number of the dtype.
    """

    narrowest = 2  # a single column becomes +1 or -1 whatever it was

    def __init__(
        self, normalized_shape: int, eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = normalized_shape, eps
        self.elementwise_affine = elementwise_affine

    def build(self, dtype: Any, seed: int, number: int) -> None:
        if self.elementwise_affine:
            self.params = {"weight": np.ones(self.normalized_shape, dtype)}

    def forward(self, x: Array, training: bool, step: int, draw: int = 0) -> Array:
        eps = float(np.finfo(x.dtype).eps) if self.eps is None else self.eps
        wide = x.astype(np.float64)
        self.inverse = 1 / np.sqrt((wide * wide).mean(axis=1, keepdims=True) + eps)
        self.normalised = wide * self.inverse
        y: Array = self.normalised * self.params.get("weight", 1)
        return y.astype(x.dtype)

    def backward(self, dy: Array, need_dx: bool = True) -> Array | None:
        dtype, dy = dy.dtype, dy.astype(np.float64)
        if self.params:
            self.grads = {"weight": (dy * self.normalised).sum(axis=0).astype(dtype)}
        g = dy * self.params.get("weight", 1)
        cross = (g * self.normalised).mean(axis=1, keepdims=True)
        dx: Array = (g - self.normalised * cross) * self.inverse
        return dx.astype(dtype)
