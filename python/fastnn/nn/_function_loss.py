# SPDX-License-Identifier: BSD-3-Clause
"""A loss of one's own: a Python function of the outputs and targets of a batch."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from fastnn._hints import shown

from ._loss import Loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn import _core
    from fastnn._validate import Array


__all__ = ["FunctionLoss"]


class _Targets(Protocol):
    """Targets and weights of rows, which may be others in each call."""

    @property
    def y(self) -> Array: ...
    @property
    def w(self) -> Array | None: ...


class _Rows(_Targets, Protocol):
    """X, targets and weights of the same rows."""

    @property
    def n(self) -> int: ...
    @property
    def x(self) -> Any: ...


class _Call(Protocol):
    """What is read of a call of the model."""

    where: str
    network: _core.Network
    threads: int


@dataclass(eq=False, repr=False)
class FunctionLoss(Loss):
    """A function as a loss: ``f(out, y)`` or ``f(out, y, sample_weight)``.

    compile makes it of every function that it gets as a loss. The function is called once a batch,
    with the raw outputs (n, k) in the model's dtype and with the rows of y, and of the weights,
    that belong to them, as they were given. A function that cannot be called without weights gets
    None where there are none. It returns the loss of the batch and its gradient with respect to the
    outputs, of their shape.

    Parameters
    ----------
    function : callable

    Raises
    ------
    TypeError
        If it cannot be called with two or with three arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> def squared(out, y):
    ...     return np.mean((out - y) ** 2), 2 * (out - y) / out.size
    >>> model = nn.Sequential(nn.Linear(1, 1))
    >>> model.compile("sgd", squared)
    >>> x = np.linspace(-1, 1, 64).reshape(64, 1)
    >>> history = model.fit(x, 2 * x, epochs=3)
    >>> sorted(model.evaluate(x, 2 * x))
    ['loss']
    """

    function: Callable[..., Any]

    registry_name: ClassVar[str] = ""
    _takes: ClassVar[tuple[int, ...]] = (2, 3)  # how many arguments; each object has its own

    def __post_init__(self) -> None:
        came = f"[FunctionLoss] function is {shown(self.function)}"
        if not callable(self.function):
            raise TypeError(f"{came}; expected a function f(out, y) -> (loss, gradient)")
        takes = tuple(count for count in self._takes if _binds(self.function, count))
        if not takes:
            raise TypeError(
                f"{came}, which takes other arguments; expected a function f(out, y), or "
                "f(out, y, sample_weight), -> (loss, gradient)"
            )
        vars(self)["_takes"] = takes

    @property
    def row(self) -> dict[str, Any]:
        """What is known of a function: predict gives the outputs as they are."""
        return {
            "name": "",
            "class_name": type(self).__name__,
            "task": "regression",
            "predicts": "",
            "outputs": "",
            "params": [],
        }

    def hyper(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}

    def __call__(self, out: Any, target: Any, sample_weight: Any = None) -> tuple[float, Array]:
        """Call the function, and check what it returns.

        Parameters
        ----------
        out : ndarray of shape (n, k)
        target : ndarray
            The targets of these rows.
        sample_weight : ndarray of shape (n,), optional

        Returns
        -------
        loss : float
        dout : ndarray of the shape and dtype of `out`

        Raises
        ------
        TypeError, ValueError
            If the function does not return a number and a finite gradient of the shape of `out`.
        """
        name = getattr(self.function, "__name__", type(self.function).__name__)
        weights = () if sample_weight is None and 2 in self._takes else (sample_weight,)
        answer = self.function(out, target, *weights)
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise TypeError(
                f"[loss {name}] it returned {shown(answer)}; expected a pair: the loss of the "
                "batch, and its gradient with respect to the outputs"
            )
        value, grad = (np.asarray(part) for part in answer)
        if value.size != 1 or value.dtype.kind not in "fiub":
            raise TypeError(
                f"[loss {name}] the loss is {shown(answer[0])}; expected one number, the loss of "
                "the batch"
            )
        if grad.dtype.kind not in "fiu":
            raise TypeError(f"[loss {name}] the gradient is {shown(answer[1])}; expected numbers")
        if grad.shape == out.shape[:1] and out.shape[1:] == (1,):
            grad = grad[:, None]
        if grad.shape != out.shape:
            n = len(out)
            joined = grad.shape == (n, n) and np.shape(target) == (n,) and out.shape == (n, 1)
            hint = f"; y has shape ({n},), so that out - y has ({n}, {n}): take y[:, None]"
            raise ValueError(
                f"[loss {name}] the gradient has shape {grad.shape}; expected that of the outputs, "
                f"{out.shape}{hint if joined else ''}"
            )
        wrong = ~np.isfinite(grad)
        if wrong.any():
            row, column = map(int, np.argwhere(wrong)[0])
            raise ValueError(
                f"[loss {name}] the gradient has {grad[row, column]} at row {row} of the batch, "
                f"column {column}; expected finite numbers"
            )
        return float(value.item()), np.ascontiguousarray(grad, out.dtype)

    def check(
        self, call: _Call, rows: _Rows, *, validation: bool = False, part: bool = False
    ) -> None:
        """Refuse rows that do not fit the model or the function."""
        call.network.check(rows.x, None, rows.w, validation=validation, part=part)
        kind = "validation " if validation else ""
        if rows.y.ndim == 0 or len(rows.y) != rows.n:
            raise ValueError(
                f"[{call.where}] {kind}y has shape {rows.y.shape}; expected {rows.n} rows, "
                f"as {kind}X has"
            )
        if rows.w is not None and 3 not in self._takes:
            raise ValueError(
                f"[{call.where}] {kind}sample_weight came, and the loss takes two arguments; "
                "expected a function f(out, y, sample_weight)"
            )

    def of_batches(self, rows: _Targets) -> Callable[[Array, Any], tuple[float, Array]]:
        """Return the function as the core calls it: with outputs and the numbers of their rows."""

        def of_batch(out: Array, which: Any) -> tuple[float, Array]:
            return self(out, rows.y[which], None if rows.w is None else rows.w[which])

        return of_batch

    def of_all(self, call: _Call, rows: _Rows) -> float:
        """Return the loss of all rows at once, in one call of the function."""
        return self(call.network.predict(rows.x, False, None, call.threads), rows.y, rows.w)[0]

    def of_each(self, call: _Call, rows: _Rows) -> Array:
        """Return the gradient of each row's loss by its outputs, in one call a row."""
        out = call.network.predict(rows.x, False, None, call.threads)
        found = np.empty_like(out)
        for r in range(len(out)):
            found[r : r + 1] = self(out[r : r + 1], rows.y[r : r + 1])[1]
        return found

    def loss_and_grad(
        self, network: _core.Network, rows: _Rows, threads: int, training: bool
    ) -> float:
        """Return the loss of a batch; its gradients are those of the network then."""
        loss, grad = self(network.forward(rows.x, training, threads), rows.y, rows.w)
        network.backward(grad, False, threads)
        return loss


def _binds(function: Callable[..., Any], count: int) -> bool:
    """Whether the function can be called with so many arguments, as far as it says."""
    try:
        inspect.signature(function).bind(*range(count))
    except ValueError:  # a built-in function without a signature
        return True
    except TypeError:
        return False
    return True
