# SPDX-License-Identifier: BSD-3-Clause
"""The sums for metrics that the peers of `bench.parts` take of each batch, as users write them.

PyTorch and JAX have no metrics of their own. Metrics that follow from the same sums share them here
too, as in the engine: precision, recall and F1 need one confusion matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Sums = Callable[[Any, Any], dict[str, Any]]

__all__ = ["jax_sums", "torch_sums"]

CLASSES = 5  # of top_k
NEEDS = {
    "accuracy": ("right",),
    "hamming": ("right",),
    "confusion_counts": ("confusion",),
    "precision": ("confusion",),
    "recall": ("confusion",),
    "f1": ("confusion",),
    "top_k": ("among",),
    "log_loss": ("log_loss",),
    "mae": ("absolute",),
    "mse": ("squares",),
    "rmse": ("squares",),
    "mape": ("relative",),
    "r2": ("squares", "targets", "target_squares"),
}


def chosen(of: dict[str, Callable[[Any, Any], Any]], metrics: tuple[str, ...]) -> Sums:
    """Return the function of the outputs and targets of a batch that takes the sums once each."""
    names = sorted({name for metric in metrics for name in NEEDS[metric]})
    return lambda out, y: {name: of[name](out, y) for name in names}


def torch_sums(torch: Any, metrics: tuple[str, ...]) -> Sums:
    """Return what takes the sums of a batch in PyTorch."""

    def confusion(out: Any, y: Any) -> Any:
        k = out.shape[1]
        return torch.bincount(k * y + out.argmax(1), minlength=k * k)

    def log_loss(out: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(out, y, reduction="sum")

    return chosen(
        {
            "right": lambda out, y: (out.argmax(1) == y).sum(),
            "confusion": confusion,
            "among": lambda out, y: (out.topk(CLASSES, 1).indices == y[:, None]).sum(),
            "log_loss": log_loss,
            "absolute": lambda out, y: (out - y).abs().sum(0),
            "squares": lambda out, y: (out - y).square().sum(0),
            "relative": lambda out, y: ((out - y).abs() / y.abs()).sum(0),
            "targets": lambda _, y: y.sum(0),
            "target_squares": lambda _, y: y.square().sum(0),
        },
        metrics,
    )


def jax_sums(jax: Any, metrics: tuple[str, ...]) -> Sums:
    """Return what takes the sums of a batch in JAX, inside of a jitted step."""
    jnp = jax.numpy

    def confusion(out: Any, y: Any) -> Any:
        k = out.shape[1]
        return jnp.zeros((k, k), jnp.int32).at[y, out.argmax(1)].add(1)

    def log_loss(out: Any, y: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1).sum()

    return chosen(
        {
            "right": lambda out, y: (out.argmax(1) == y).sum(),
            "confusion": confusion,
            "among": lambda out, y: (jax.lax.top_k(out, CLASSES)[1] == y[:, None]).sum(),
            "log_loss": log_loss,
            "absolute": lambda out, y: abs(out - y).sum(0),
            "squares": lambda out, y: ((out - y) ** 2).sum(0),
            "relative": lambda out, y: (abs(out - y) / abs(y)).sum(0),
            "targets": lambda _, y: y.sum(0),
            "target_squares": lambda _, y: (y**2).sum(0),
        },
        metrics,
    )
