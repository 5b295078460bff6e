# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""Initializers as functions."""

from typing import Any, Literal

from numpy.typing import DTypeLike, NDArray

__all__ = [
    "constant",
    "default",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sklearn",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

def default(
    shape: tuple[int, int],
    *,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw U(-1 / sqrt(in), 1 / sqrt(in)), which Linear has in torch."""

def xavier_uniform(
    shape: tuple[int, int],
    *,
    gain: float = 1.0,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw U(-c, c) with c = gain sqrt(6 / (in + out))."""

def xavier_normal(
    shape: tuple[int, int],
    *,
    gain: float = 1.0,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw N(0, s^2) with s = gain sqrt(2 / (in + out))."""

def kaiming_uniform(
    shape: tuple[int, int],
    *,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] = "leaky_relu",
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw U(-c, c) with c = gain sqrt(3 / fan)."""

def kaiming_normal(
    shape: tuple[int, int],
    *,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] = "leaky_relu",
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw N(0, s^2) with s = gain / sqrt(fan)."""

def lecun_uniform(
    shape: tuple[int, int],
    *,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw U(-c, c) with c = sqrt(3 / in)."""

def lecun_normal(
    shape: tuple[int, int],
    *,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw normal within two standard deviations, of variance 1 / in."""

def sklearn(
    shape: tuple[int, int],
    *,
    activation: Literal["identity", "logistic", "tanh", "relu"] = "relu",
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw U(-c, c) with c = sqrt(6 / (in + out)), 2 in place of 6 for logistic."""

def orthogonal(
    shape: tuple[int, int],
    *,
    gain: float = 1.0,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw gain Q with orthonormal rows or columns."""

def normal(
    shape: int | tuple[int, ...],
    *,
    mean: float = 0.0,
    std: float = 1.0,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Fill with N(mean, std^2)."""

def zeros(
    shape: int | tuple[int, ...],
    *,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Fill with 0."""

def ones(
    shape: int | tuple[int, ...],
    *,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Fill with 1."""

def constant(
    shape: int | tuple[int, ...],
    *,
    val: float = 0.0,
    seed: int = 0,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Fill with val."""
