# SPDX-License-Identifier: BSD-3-Clause
"""Measures a model for `Sequential.diagnose`, on copies; `fastnn.diagnose` judges the figures."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import diagnose, functional
from fastnn._sparse import is_sparse
from fastnn.errors import TrainingDivergedError

from . import _keys, _rate_search
from ._function_loss import FunctionLoss
from ._layer import Activation, ModelLayer, ParameterLayer
from ._layers import Linear
from ._rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fastnn._validate import Array

    from ._arguments import Call
    from ._layer import Layer

__all__ = ["report"]

_ROWS = 1024  # as many are looked at, from all over X
_BATCH = 32
_DENSE = 2**22  # the most numbers of rows that come sparse
_STEPS = 300
_RATES = (1e-2, 1e-3)  # of Adam
_LOWEST, _HIGHEST, _SEARCHED = 1e-6, 10.0, 100  # rates and steps of the search, as in lr_find


def report(call: Call, model: Any, rows: Rows) -> diagnose.Report:
    """Return the report on `model`, of which only copies are trained."""
    call.check(rows)
    model = copy.deepcopy(model)
    model._tree.learn(call.where, rows.x, call.threads)
    most = _ROWS
    if is_sparse(rows.x):  # they become dense
        most = min(most, max(_BATCH, _DENSE // rows.x.shape[1]))
    chosen = np.unique(np.linspace(0, rows.n - 1, min(most, rows.n)).astype(int))
    x, y = rows.x[chosen], rows.y[chosen]
    if is_sparse(x):
        x = x.toarray()
    prepared = _prepared(model, x)
    figures: dict[str, Any] = {"rows": len(x)}
    findings = [
        *diagnose.inputs.unscaled(prepared),
        *diagnose.inputs.constant(x.reshape(len(x), -1)),
        *diagnose.inputs.constant_targets(y),
    ]
    findings += _units(model, prepared, figures)
    findings += _gradients(model, x, y, figures)
    findings += _losses(call, model, x, y, figures)
    findings += _learning(model, x, y, figures) or _rate(call, model, x, y, figures)
    return diagnose.Report(tuple(findings), figures)


def _alone(model: Any, *layers: Layer) -> Any:
    """Return a model of copies of `layers`."""
    return _base(model)(*layers, dtype=model.dtype, seed=model.seed)


def _base(model: Any) -> Any:
    """Return the class Sequential, whatever subclass of it the model is of."""
    kinds = [kind for kind in type(model).__mro__ if kind.__module__.startswith("fastnn.nn")]
    return kinds[0]


def _identity(model: Any, columns: int, *, before: Sequence[Layer] = ()) -> Any:
    """Return a model of `before` and a layer that changes nothing, which gives it a width."""
    made = _alone(model, *before, Linear(columns, columns, bias=False))
    made[len(before)].weight[...] = np.eye(columns)
    return made


def _prepared(model: Any, x: Array) -> Array:
    """Return the rows as the first layer that computes gets them."""
    preparing = [layer for layer in model if layer.prepares]
    found: Array = _identity(model, model.n_features, before=preparing).forward(x)
    return found


def _name(key: str, layer: Layer) -> str:
    return f"layer {key}, {type(layer).__name__}"


def _outputs(
    model: Any, named: Iterable[tuple[str, Layer]], rows: Array
) -> Iterator[tuple[str, Layer, Array, Array]]:
    """Yield key, layer, input and output of each layer, and of those inside of it, in order."""
    x = rows
    for key, layer in named:
        if layer.prepares:
            continue
        if _keys.is_shortcut(key):
            x = rows
        if not np.isfinite(x).all():
            return
        if layer.children:
            yield from _outputs(model, _keys.inside(layer, key), x)
        if isinstance(layer, ParameterLayer) and layer.width("diagnose", None) is not None:
            out = _alone(model, layer).forward(x)
        else:
            out = _identity(model, x.shape[1]).append(layer).forward(x)
        yield key, layer, x, out
        x = out


def _units(model: Any, x: Array, figures: dict[str, Any]) -> list[diagnose.Finding]:
    findings: list[diagnose.Finding] = []
    dead = figures["dead_units"] = {}
    for key, layer, z, a in _outputs(model, _keys.named(tuple(model)), x):
        if not isinstance(layer, Activation) or layer.row["whole_rows"]:
            continue
        saved = a if layer.row["needs"] == "output" else z
        backward = getattr(functional, f"{layer.registry_name}_backward")
        slopes = backward(np.ones_like(a), saved, **layer.hyper())
        dead[key] = len(diagnose.units.dead(slopes))
        findings += diagnose.units.find(_name(key, layer), slopes)
    return findings


def _gradients(model: Any, x: Array, y: Array, figures: dict[str, Any]) -> list[diagnose.Finding]:
    trial = copy.deepcopy(model)
    frozen = [key for key, layer in _keys.walk(tuple(trial)) if getattr(layer, "frozen", False)]
    try:
        _, gradients = trial.loss_and_grad(x, y, training=False)
    except TrainingDivergedError:
        gradients = {key: np.full_like(g, np.nan) for key, g in trial.gradients().items()}
    sizes = {
        key: float(np.sqrt(np.square(gradient, dtype=float).mean()))
        for key, gradient in gradients.items()
        if gradient.ndim == 2 and key.rpartition(".")[0] not in frozen
    }
    figures["gradients"] = sizes
    if trial.loss.hyper().get("reduction") == "sum":
        sizes = {key: size / len(x) for key, size in sizes.items()}
    return diagnose.gradients.by_layer(sizes)


def _losses(
    call: Call, model: Any, x: Array, y: Array, figures: dict[str, Any]
) -> list[diagnose.Finding]:
    loss = call.compiled.loss
    figures["first_loss"] = now = model.evaluate(x, y)["loss"]
    constant = diagnose.losses.of_a_constant(loss, y, model.n_outputs)
    figures["loss_of_a_constant"] = constant
    raw = model[:].predict(x)  # a copy that is not compiled
    return [
        *diagnose.losses.link_twice(raw, model.predict(x), loss.row["task"]),
        *diagnose.losses.first(now, constant),
    ]


def _without_noise(model: Any) -> Any:
    trial = copy.deepcopy(model)
    for _, layer in _keys.walk(tuple(trial)):
        if isinstance(layer, ModelLayer) and layer.noise:
            setattr(layer, layer.noise, 0)
    return trial


def _score(trial: Any, x: Array, y: Array) -> tuple[str, float | None]:
    """Return the name and value of what tells whether a batch is learned: accuracy or R2."""
    if isinstance(trial.loss, FunctionLoss):  # which may be of anything
        return "R2", None
    if trial.loss.row["task"] != "regression":
        return "accuracy", float(trial.evaluate(x, y)["accuracy"])
    p, t = trial.predict(x), np.asarray(y, float).reshape(len(y), -1)
    spread = ((t - t.mean(axis=0)) ** 2).sum()
    if p.shape != t.shape or spread == 0:
        return "R2", None
    return "R2", float(1 - ((p - t) ** 2).sum() / spread)


def _learning(model: Any, x: Array, y: Array, figures: dict[str, Any]) -> list[diagnose.Finding]:
    few = np.unique(np.linspace(0, len(x) - 1, min(_BATCH, len(x))).astype(int))
    x, y = x[few], y[few]
    name, best = "", None
    metrics = None if model.loss.row["task"] == "regression" else ["accuracy"]
    for rate in _RATES:
        trial = _without_noise(model)
        trial.compile("adam", trial.loss, metrics=metrics)
        trial.lr = rate
        try:
            for _ in range(_STEPS):
                trial.train_step(x, y)
            name, score = _score(trial, x, y)
        except (TrainingDivergedError, ValueError):  # the outputs left the range of the loss
            continue
        best = score if best is None or score is None else max(best, score)
        if best is None or best >= 0.99:
            break
    figures["learned_by_heart"] = {name: best} if best is not None else {}
    return diagnose.learning.by_heart(best, len(x), _STEPS, name)


def _rate(
    call: Call, model: Any, x: Array, y: Array, figures: dict[str, Any]
) -> list[diagnose.Finding]:
    """Look where the model's rate, the first one of a schedule, is among those of a search."""
    rate = model.lr
    found = _rate_search.search(
        call,
        model,
        Rows(x, y, None),
        lr_min=_LOWEST,
        lr_max=max(_HIGHEST, 10 * rate),
        steps=_SEARCHED,
        batch_size=_BATCH,
        smoothing=0.8,
        divergence=4.0,
    )
    figures["rate"] = {"lr": rate, "suggestion": found.suggestion}
    return diagnose.learning.rate(
        rate, found.rates.tolist(), found.smoothed.tolist(), found.suggestion
    )
