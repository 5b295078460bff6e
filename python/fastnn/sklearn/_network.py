# SPDX-License-Identifier: BSD-3-Clause
"""The model inside an estimator: how it is made, compiled, and shown as coefs_ and intercepts_."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fastnn import nn, optim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._learning_rate import LearningRate

__all__ = ["build", "compiled", "fits", "gradients", "load", "penalize", "views"]

_ACTIVATIONS = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}
# By the activation of the outputs, which is the link of the loss. A row's loss is the sum over its
# outputs, and a batch's the mean over its rows.
_LOSSES: dict[str, tuple[type[Any], dict[str, str]]] = {
    "identity": (nn.HalfMSELoss, {"reduction": "batchmean"}),
    "exp": (nn.PoissonDevianceLoss, {"reduction": "batchmean"}),
    "logistic": (nn.BCEWithLogitsLoss, {"reduction": "batchmean"}),
    "softmax": (nn.CrossEntropyLoss, {}),
}


def penalize(model: nn.Sequential, alpha: float) -> None:
    """Set another penalty from the next step on; the state of the optimizer stays."""
    compiled, network = model._compiled, model._network
    assert compiled is not None
    assert network is not None
    optimizer: Any = compiled.optimizer
    changed = replace(optimizer, weight_decay=float(alpha))
    model._compiled = compiled.with_optimizer("fit", network, changed)


def build(units: Sequence[int], activation: str, dtype: Any) -> nn.Sequential:
    """Return a model with these numbers of columns, units and outputs."""
    layers: list[Any] = []
    for fan_in, fan_out in pairwise(units):
        layers += [nn.Linear(int(fan_in), int(fan_out)), _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1], dtype=dtype)


def views(model: nn.Sequential) -> tuple[list[Any], list[Any]]:
    """Return the weights (in, out) and biases (out) of the layers, as views of the model's."""
    layers = [layer for layer in model if isinstance(layer, nn.Linear)]
    return [layer.weight.T for layer in layers], [layer.bias for layer in layers]


def gradients(model: nn.Sequential) -> list[Any]:
    """Return the gradients of all weights, (in, out), and then of all biases, as views.

    They stay the model's: those of a later call of ``loss_and_grad`` are seen in them.
    """
    found = model.gradients()
    keys = [k for k, layer in enumerate(model) if isinstance(layer, nn.Linear)]
    return [found[f"{k}.weight"].T for k in keys] + [found[f"{k}.bias"] for k in keys]


def fits(model: nn.Sequential, coefs: Sequence[Any], intercepts: Sequence[Any]) -> bool:
    """Whether the model can hold these values as they are."""
    weights, biases = views(model)
    given, held = [*coefs, *intercepts], [*weights, *biases]
    return len(coefs) == len(weights) and [(a.shape, a.dtype) for a in given] == [
        (a.shape, a.dtype) for a in held
    ]


def load(model: nn.Sequential, coefs: Sequence[Any], intercepts: Sequence[Any]) -> None:
    """Copy values into the model."""
    weights, biases = views(model)
    for target, value in zip([*weights, *biases], [*coefs, *intercepts], strict=True):
        target[...] = value


def compiled(
    model: nn.Sequential, parameters: Any, out_activation: str, rate: LearningRate | None
) -> None:
    """Compile the model, with a new state of the optimizer.

    Parameters
    ----------
    model : Sequential
    parameters : MLPClassifier or MLPRegressor
    out_activation : str
    rate : LearningRate or None
        None for the solver "lbfgs", which uses the model's loss and gradients alone.
    """
    of_link, reduction = _LOSSES[out_activation]
    loss = of_link(**reduction)
    shared: dict[str, Any] = {
        "form": "sklearn",  # weight decay of weights alone, divided by the weights of the batch
        "weight_decay": float(parameters.alpha),
    }
    if rate is None:
        model.compile(optim.SGD(**shared), loss)
        return
    shared["lr"] = float(rate.learning_rate)
    if parameters.solver == "sgd":
        momentum = float(parameters.momentum)
        nesterov = bool(parameters.nesterovs_momentum) and momentum > 0
        optimizer: Any = optim.SGD(momentum=momentum, nesterov=nesterov, **shared)
    else:
        betas = (float(parameters.beta_1), float(parameters.beta_2))
        optimizer = optim.Adam(betas=betas, eps=float(parameters.epsilon), **shared)
    model.compile(optimizer, loss, penalty_in_loss=True)
