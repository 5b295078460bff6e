# SPDX-License-Identifier: BSD-3-Clause
"""The metrics of the peers of `bench.parts`, as users write them: sums of each batch, then figures.

PyTorch and JAX have no metrics of their own. Metrics that follow from the same sums share them here
too, as in the engine: precision, recall and F1 need one confusion matrix. At the end of an epoch
the figures follow from the sums, as they do in fit, and are numbers of Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Sums = Callable[[Any, Any], dict[str, Any]]

__all__ = ["figures", "jax_sums", "torch_sums"]

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


def figures(metrics: tuple[str, ...], sums: dict[str, Any], rows: int) -> dict[str, Any]:
    """Return the figures of the sums over so many rows, which are tensors or arrays of JAX."""
    return {name: FIGURES[name](rows, *(sums[each] for each in NEEDS[name])) for name in metrics}


def of_classes(of: Callable[..., Any]) -> Callable[[int, Any], Any]:
    """Return a figure of the counts of each class: of it, said to be of it, both."""
    return lambda rows, counts: of(rows, counts.sum(1), counts.sum(0), counts.diagonal())


FIGURES: dict[str, Callable[..., Any]] = {
    "accuracy": lambda rows, right: right / rows,
    "hamming": lambda rows, right: 1 - right / rows,
    "confusion_counts": of_classes(
        lambda rows, true, said, both: (rows - true - said + both, said - both, true - both, both)
    ),
    "precision": of_classes(lambda _, _true, said, both: (both / said).mean()),
    "recall": of_classes(lambda _, true, _said, both: (both / true).mean()),
    "f1": of_classes(lambda _, true, said, both: (2 * both / (true + said)).mean()),
    "top_k": lambda rows, among: among / rows,
    "log_loss": lambda rows, log_loss: log_loss / rows,
    "mae": lambda rows, errors: (errors / rows).mean(),
    "mse": lambda rows, squares: (squares / rows).mean(),
    "rmse": lambda rows, squares: ((squares / rows) ** 0.5).mean(),
    "mape": lambda rows, errors: (errors / rows).mean(),
    "r2": lambda rows, left, sums, squares: (1 - left / (squares - sums**2 / rows)).mean(),
}


def chosen(of: dict[str, Callable[[Any, Any], Any]], metrics: tuple[str, ...]) -> Sums:
    """Return the function of the outputs and targets of a batch that takes the sums once each."""
    names = sorted({name for metric in metrics for name in NEEDS[metric]})
    return lambda out, y: {name: of[name](out, y) for name in names}


def torch_sums(torch: Any, metrics: tuple[str, ...]) -> Sums:
    """Return what takes the sums of a batch in PyTorch."""

    def confusion(out: Any, y: Any) -> Any:
        k = out.shape[1]
        return torch.bincount(k * y + out.argmax(1), minlength=k * k).view(k, k)

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
