# SPDX-License-Identifier: BSD-3-Clause
"""Optimizer steps in place on your own arrays, with the rules that `fastnn.optim` describes.

Parameters are float32 or float64 arrays of any writable strides; gradients have the same shapes.
Everything is checked before anything changes. A single array may stand for a list of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastnn import _core, _registry, _validate
from fastnn._describe import checked
from fastnn._hints import shown

from ._arrays import converted, numbers
from ._optimizer_state import Arrays, OptimizerState, as_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


def sgd_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    l1: float = 0.0,
) -> None:
    """One step of stochastic gradient descent in place: W -= lr * g, with momentum W -= lr * v.

    Torch's rules: g += weight_decay W; v = momentum v + (1 - dampening) g, v = g at the first step.

    Parameters
    ----------
    params : ndarray or sequence of ndarray
        Changed in place.
    grads : array_like or sequence of array_like
        Shapes of `params`.
    state : OptimizerState, optional
        From `sgd_state`; needed with momentum, changed in place.
    lr : float
        Learning rate.
    momentum, dampening, weight_decay, nesterov, l1
        As in `fastnn.optim.SGD`.

    Raises
    ------
    ValueError, TypeError
        Arrays, shapes or values that do not fit; nothing is changed then.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> w = np.array([1.0, 2.0])
    >>> F.sgd_step_(w, [10.0, -10.0], lr=0.1)
    >>> w
    array([0., 3.])
    """
    hyper = {
        "lr": lr,
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": weight_decay,
        "nesterov": nesterov,
        "l1": l1,
    }
    if _done("sgd", hyper, params, grads, state):
        return
    if state is None and _validate.number("sgd_step_", "momentum", momentum) != 0:
        raise ValueError("[sgd_step_] momentum needs a memory: pass state=F.sgd_state(params)")
    _step("sgd", hyper, params, grads, state)


def adam_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """One step of Adam in place: W -= lr * m_hat / (sqrt(v_hat) + eps).

    Weight decay is added to the gradient, as torch's Adam does.

    Parameters
    ----------
    params : ndarray or sequence of ndarray
        Changed in place.
    grads : array_like or sequence of array_like
        Shapes of `params`.
    state : OptimizerState
        From `adam_state`; changed in place.
    lr, betas, eps, weight_decay, l1
        As in `fastnn.optim.Adam`.

    Raises
    ------
    ValueError, TypeError
        Arrays, shapes or values that do not fit; nothing is changed then.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> w = np.array([1.0, 2.0])
    >>> state = F.adam_state(w)
    >>> F.adam_step_(w, [10.0, -10.0], state, lr=0.1)
    >>> w.round(6), state.step
    (array([0.9, 2.1]), 1)
    """
    hyper = {
        "lr": lr,
        "betas": betas,
        "eps": eps,
        "weight_decay": weight_decay,
        "l1": l1,
    }
    if _done("adam", hyper, params, grads, state):
        return
    _step("adam", hyper, params, grads, state)


def adamw_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    l1: float = 0.0,
) -> None:
    """One step of AdamW in place: W -= lr * weight_decay * W first, then Adam's step.

    Parameters
    ----------
    params : ndarray or sequence of ndarray
        Changed in place.
    grads : array_like or sequence of array_like
        Shapes of `params`.
    state : OptimizerState
        From `adam_state`; changed in place.
    lr, betas, eps, weight_decay, l1
        As in `fastnn.optim.AdamW`.

    Raises
    ------
    ValueError, TypeError
        Arrays, shapes or values that do not fit; nothing is changed then.

    Examples
    --------
    >>> import numpy as np, fastnn.functional as F
    >>> w = np.array([1.0])
    >>> F.adamw_step_(w, [0.0], F.adam_state(w), lr=0.1, weight_decay=0.5)
    >>> w
    array([0.95])
    """
    hyper = {
        "lr": lr,
        "betas": betas,
        "eps": eps,
        "weight_decay": weight_decay,
        "l1": l1,
    }
    if _done("adamw", hyper, params, grads, state):
        return
    _step("adamw", hyper, params, grads, state)


def _done(
    name: str, hyper: dict[str, Any], params: Any, grads: Any, state: OptimizerState | None
) -> bool:
    """Whether the core took the step on arrays as they lie: nothing to convert or to word."""
    if state is None:
        return _core.plain_step(name, hyper, 1, params, grads, [])
    if type(state) is not OptimizerState:
        return False
    t = state.step + 1
    done = _core.plain_step(name, hyper, t, params, grads, state.arrays)
    if done:
        state.step = t
    return done


def _step(
    name: str,
    hyper: dict[str, Any],
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState | None,
) -> None:
    where = f"{name}_step_"
    values = checked(where, _registry.row(where, "optimizers", name)["params"], hyper)
    kinds = 2 if name != "sgd" else int(values["momentum"] != 0)
    arrays = as_list(where, "params", params)
    try:
        given: list[Any] = [grads] if isinstance(params, np.ndarray) else list(cast("Any", grads))
    except TypeError:
        raise TypeError(
            f"[{where}] grads is {shown(grads)}; expected one array a parameter"
        ) from None
    if len(given) != len(arrays):
        raise ValueError(f"[{where}] grads has {len(given)} arrays, but params {len(arrays)}")
    gradients = []
    for i, (array, grad) in enumerate(zip(arrays, given, strict=True)):
        gradient = numbers(where, f"grads[{i}]", grad)
        if gradient.shape != array.shape:
            raise ValueError(
                f"[{where}] grads[{i}] has shape {gradient.shape}, but its parameter {array.shape}"
            )
        gradients.append(converted(gradient, array.dtype))
    if state is None:
        state = OptimizerState()
    elif not isinstance(state, OptimizerState):
        raise TypeError(f"[{where}] state is {type(state).__name__}; expected an OptimizerState")
    memory = state.arrays if kinds else []
    like = [(array.shape, array.dtype) for array in arrays]
    if len(memory) != kinds or any([(a.shape, a.dtype) for a in m] != like for m in memory):
        raise ValueError(f"[{where}] state was made for other parameters or another optimizer")
    _core.optimizer_step(name, values, state.step + 1, arrays, gradients, memory)
    state.step += 1
