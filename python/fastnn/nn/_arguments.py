# SPDX-License-Identifier: BSD-3-Clause
"""Checks and conversion of the arguments of a model's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _core, _validate

from ._rows import Rows

if TYPE_CHECKING:
    from fastnn._validate import Array

    from ._compiled import Compiled
    from ._tree import Tree

__all__ = ["Call", "n_threads"]


def n_threads(name: str, given: Any, default: int) -> int:
    """Return the number of threads for the core, where 0 means the automatic choice."""
    if given is None:
        return default
    # The text for an error message is only made if it is needed.
    if type(given) is int and 0 < given <= _core.max_threads:
        return given
    return _validate.thread_count(f"Sequential.{name}", given)


class Call:
    """One call of a model that has parameters.

    Attributes
    ----------
    where : str
        Name of the call in messages.
    network : _core.Network
    threads : int
    """

    __slots__ = ("_compiled", "_flattens", "network", "threads", "where")

    def __init__(self, name: str, tree: Tree, compiled: Compiled | None, threads: int) -> None:
        self.network = tree.need_network(name)
        self.where = f"Sequential.{name}"
        self.threads = threads
        self._compiled = compiled
        self._flattens = tree.flattens

    @property
    def compiled(self) -> Compiled:
        """The settings of compile; refused before compile was called."""
        if self._compiled is None:
            raise ValueError(
                f"[{self.where}] the model is not compiled; expected "
                "model.compile(optimizer=..., loss=...) before"
            )
        return self._compiled

    def flag(self, what: str, value: Any) -> bool:
        """An argument that is True or False."""
        return _validate.flag(self.where, what, value)

    def features(self, x: Any, what: str = "X") -> Array:
        """Return X as (n, n_features), or as (n, ...) if the model flattens its input."""
        return _validate.features(self.where, x, self.network.n_features, self._flattens, what)

    def features_of_rows(self, x: Any, what: str = "X") -> Array:
        """Return X as `features` does; it must have at least one row."""
        xs = self.features(x, what)
        if len(xs) == 0:
            raise ValueError(f"[{self.where}] {what} has no rows; expected at least one")
        return xs

    def rows(self, x: Any, y: Any, w: Any, kind: str = "") -> Rows:
        """Return X, y and weights of the same rows; `kind` precedes their names in messages."""
        loss = self.compiled.loss
        xs = self.features_of_rows(x, f"{kind}X")
        ys = _validate.targets(
            self.where, y, len(xs), loss, self.network.n_outputs, what=f"{kind}y"
        )
        if w is not None:
            w = _validate.weights(self.where, w, len(xs), f"{kind}sample_weight")
        return Rows(xs, ys, w)

    def validation(self, data: Any) -> Rows | None:
        """Return validation_data as rows, or None if there are none."""
        if data is None:
            return None
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(
                f"[{self.where}] validation_data is no pair; expected (X, y) or "
                "(X, y, sample_weight)"
            )
        return self.rows(data[0], data[1], data[2] if len(data) == 3 else None, "validation ")

    def gradient(self, value: Any) -> Array:
        """Return a gradient with respect to the outputs, (n, n_outputs)."""
        k = self.network.n_outputs
        array = _validate.as_array(self.where, "the gradient", value)
        if array.ndim == 1 and k == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != k:
            raise ValueError(
                f"[{self.where}] the gradient has shape {array.shape}; expected (n, {k})"
            )
        return array

    def takes_targets(self, y: Any, grad: Any, w: Any) -> bool:
        """Return whether a training step has targets; otherwise it has a gradient instead."""
        _ = self.compiled
        if (y is None) == (grad is None):
            raise ValueError(
                f"[{self.where}] got {'neither' if y is None else 'both'}; expected y or grad"
            )
        if y is None and w is not None:
            raise ValueError(
                f"[{self.where}] sample_weight came with grad; expected it with y only"
            )
        return y is not None

    def features_and_gradient(self, x: Any, grad: Any) -> tuple[Array, Array]:
        """Return X and the gradient of a training step, which have the same number of rows."""
        xs, gs = self.features_of_rows(x), self.gradient(grad)
        _validate.same_rows(self.where, len(xs), "grad", gs)
        return xs, gs

    def expect_converted(
        self, refused: Exception | None, given: tuple[Any, ...], arguments: tuple[Any, ...]
    ) -> None:
        """Raise what the core refused, if `arguments` are what was `given` to it already."""
        if refused is not None and all(a is b for a, b in zip(given, arguments, strict=True)):
            raise refused
