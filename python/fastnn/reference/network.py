# SPDX-License-Identifier: BSD-3-Clause
"""A network: layers one after another, a loss, an optimizer, and the loop that trains them.

One training step is: forward through the layers, gradient of the loss, backward through the layers
in reverse, update of every parameter. Method by method it does what `fastnn._core.Network` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference.layers import Flatten, Layer, Rescale, make_layer
from fastnn.reference.losses import LOSSES, Sums
from fastnn.reference.optimizers import OPTIMIZERS, clip_factor
from fastnn.reference.random import permutation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastnn.reference._describe import Array

__all__ = ["Network"]


class Network:
    """Layers given as [("linear", {"in_features": 4, "out_features": 3}), ("relu", {}), ...]."""

    def __init__(
        self, layers: Sequence[tuple[str, dict[str, Any]]], dtype: str = "float32", seed: int = 0
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.layers: list[Layer] = [make_layer(name, hyper) for name, hyper in layers]
        self.numbered = [layer for layer in self.layers if layer.numbered]
        position = 0
        for layer in self.layers:
            layer.build(self.dtype, seed, position)
            position += layer.numbered
        self.step = 0  # updates done so far
        self.draw = 0  # passes since the last update: dropout draws anew in each
        self.num_batches = 0  # training batches that BatchNorm has learned from
        self.max_grad_norm: float | None = None
        self.max_grad_value: float | None = None
        self.states: dict[tuple[int, str], list[Array]] = {}

    # -- parameters ---------------------------------------------------------------------------

    def parameters(self) -> list[dict[str, Any]]:
        """Return {layer, name, array, trainable} of every parameter and running statistic."""
        return [
            {"layer": number, "name": name, "array": array, "trainable": name in layer.params}
            for number, layer in enumerate(self.numbered)
            for name, array in (layer.params | layer.statistics).items()
        ]

    def gradients(self) -> list[dict[str, Any]]:
        """Return the same list for the gradients of the last backward, trainable ones only."""
        return [
            {"layer": number, "name": name, "array": layer.grads[name], "trainable": True}
            for number, layer in enumerate(self.numbered)
            for name in layer.params
        ]

    def set_frozen(self, layer: int, frozen: bool) -> None:
        """Freeze a layer: its parameters and running statistics no longer move."""
        self.numbered[layer].frozen = frozen

    def frozen(self, layer: int) -> bool:
        """Whether a layer is frozen."""
        return self.numbered[layer].frozen

    def compile(
        self,
        loss: str,
        loss_params: dict[str, Any],
        optimizer: str,
        params: dict[str, Any],
        groups: dict[str, dict[str, Any]] | None = None,
        max_grad_norm: float | None = None,
        max_grad_value: float | None = None,
    ) -> None:
        """Choose loss and optimizer, and start the optimizer's state anew.

        `groups` overrides hyperparameters of the optimizer for single parameters, by their keys;
        `max_grad_norm` clips the global norm of the gradients, `max_grad_value` each of their
        entries.
        """
        self.loss, self.loss_hyper = LOSSES[loss], loss_params
        self.optimizer = OPTIMIZERS[optimizer]
        self.max_grad_norm, self.max_grad_value = max_grad_norm, max_grad_value
        self.step = self.draw = 0
        self.set_optimizer_params(params, groups)
        self.states = {
            key: [np.zeros_like(w) for _ in range(self.optimizer.states(self.hyper[key]))]
            for key, w in self._trainable()
        }
        self.steps = dict.fromkeys(self.states, 0)  # updates of each parameter

    def set_optimizer_params(
        self, params: dict[str, Any], groups: dict[str, dict[str, Any]] | None = None
    ) -> None:
        """Let the optimizer go on with other hyperparameters, as compile takes them."""
        groups = groups or {}
        self.hyper = {
            (number, name): params | groups.get(f"{number}.{name}", {})
            for (number, name), _ in self._trainable()
        }

    def _trainable(self) -> Iterator[tuple[tuple[int, str], Array]]:
        for number, layer in enumerate(self.numbered):
            for name, w in layer.params.items():
                yield (number, name), w

    def optimizer_state(self) -> dict[str, Any]:
        """Return the step, those of single parameters, and a list for each state array.

        The lists are like that of parameters(). A frozen layer does not count steps.
        """
        n_states = max((len(arrays) for arrays in self.states.values()), default=0)
        return {
            "step": self.step,
            "steps": {f"{number}.{name}": count for (number, name), count in self.steps.items()},
            "state": [
                [
                    {"layer": number, "name": name, "array": arrays[k], "trainable": True}
                    for (number, name), arrays in self.states.items()
                    if k < len(arrays)
                ]
                for k in range(n_states)
            ],
        }

    def set_step(self, step: int) -> None:
        """Go on counting the optimizer's steps from `step`."""
        self.step, self.draw = step, 0
        self.steps = dict.fromkeys(self.states, step)

    # -- one step -----------------------------------------------------------------------------

    def forward(self, x: Any, training: bool = False) -> Array:
        """Return the raw outputs (B, k), kept for backward."""
        y = np.asarray(x)
        for layer in self.layers:
            if not isinstance(layer, (Rescale, Flatten)):  # Rescale sees the digits that X has
                y = y.astype(self.dtype, copy=False)
            y = layer.forward(y, training, self.step, self.draw)
        self.draw += training
        self.num_batches += training and len(y) > 1
        return y

    def backward(self, grad: Any, need_dx: bool = False) -> Array | None:
        """Leave the gradients of all parameters in the layers, given dloss/doutputs.

        Below the first layer with parameters only the gradient of the input itself is left to find,
        which is returned if asked for.
        """
        dy: Array | None = np.asarray(grad, dtype=self.dtype)
        with_parameters = [i for i, layer in enumerate(self.layers) if layer.params]
        first = 0 if need_dx else min(with_parameters, default=len(self.layers))
        for i in range(len(self.layers) - 1, first - 1, -1):
            if dy is not None:
                dy = self.layers[i].backward(dy, need_dx=need_dx or i > first)
        return dy if need_dx else None

    def loss_and_grad(
        self, x: Any, y: Any, sample_weight: Any = None, training: bool = True
    ) -> float:
        """Return the loss of a batch and leave its gradients in gradients()."""
        self.outputs = self.forward(x, training)
        self.backward(self.loss.gradient(self.outputs, y, sample_weight, **self.loss_hyper))
        return self.loss.value(self.outputs, y, sample_weight, **self.loss_hyper)

    def clip_grad_norm(self, max_norm: float) -> float:
        """Shrink the gradients to a global norm of at most `max_norm`; return the norm before."""
        grads = [g for layer in self.numbered if not layer.frozen for g in layer.grads.values()]
        factor, norm = clip_factor(grads, max_norm)
        for g in grads:
            np.multiply(g, factor, out=g)
        return norm

    def apply_gradients(self) -> None:
        """Let the optimizer move every parameter that is not frozen."""
        self.step, self.draw = self.step + 1, 0
        for number, layer in enumerate(self.numbered):
            if layer.frozen:
                continue
            for name, w in layer.params.items():
                state, hyper = self.states[number, name], self.hyper[number, name]
                self.steps[number, name] += 1
                t = self.steps[number, name]
                self.optimizer.update(w, layer.grads[name], state, t, **hyper)

    def train_step(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Train on one batch; return its loss before the update."""
        self.draw = 0
        loss = self.loss_and_grad(x, y, sample_weight)
        self._update()
        return loss

    def train_step_grad(self, x: Any, grad: Any) -> None:
        """Train on one batch with a gradient dloss/doutputs made elsewhere."""
        self.draw = 0
        self.forward(x, training=True)
        self.backward(grad)
        self._update()

    def _update(self) -> None:
        if self.max_grad_norm is not None:
            self.clip_grad_norm(self.max_grad_norm)
        if self.max_grad_value is not None:
            for layer in self.numbered:
                for g in layer.grads.values():
                    np.clip(g, -self.max_grad_value, self.max_grad_value, out=g)
        self.apply_gradients()

    # -- the loop -----------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        batch_size: int,
        epochs: int,
        first_epoch: int = 0,
        shuffle: bool = True,
        seed: int = 0,
        orders: Callable[[int], Array] | None = None,
        validation: tuple[Any, Any, Any] | None = None,
        metrics: bool = False,
        on_epoch: Callable[[int, dict[str, float]], bool] | None = None,
    ) -> dict[str, list[float]]:
        """Run `epochs` epochs of training steps, numbered from `first_epoch`.

        Returns
        -------
        history : lists over epochs. "loss" is the loss of all rows with their weights, each as it
            was before its batch's update, "accuracy" the weighted share of outputs that were right;
            "val_loss" and "val_accuracy" are those of the validation data after the epoch.
        """
        x, y = np.asarray(x), np.asarray(y)
        w = None if sample_weight is None else np.asarray(sample_weight)
        history: dict[str, list[float]] = {}
        for epoch in range(first_epoch, first_epoch + epochs):
            order = np.arange(len(x))
            if orders is not None:
                order = orders(epoch)
            elif shuffle:
                order = permutation(len(x), seed, epoch)
            logs = self._epoch((x, y, w), order, batch_size, metrics)
            if validation is not None:
                results = self.evaluate(*validation, metrics=metrics)
                logs |= {f"val_{name}": value for name, value in results.items()}
            for name, value in logs.items():
                history.setdefault(name, []).append(value)
            if on_epoch is not None and not on_epoch(epoch, logs):
                break
        return history

    def _epoch(
        self,
        data: tuple[Array, Array, Array | None],
        order: Array,
        batch_size: int,
        metrics: bool,
    ) -> dict[str, float]:
        x, y, w = data
        sums = Sums()
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            w_rows = None if w is None else w[rows]
            self.train_step(x[rows], y[rows], w_rows)
            sums += self._sums(y[rows], w_rows)
        return self._logs(sums, metrics)

    def evaluate(
        self, x: Any, y: Any, sample_weight: Any = None, metrics: bool = True
    ) -> dict[str, float]:
        """Return the loss, and the accuracy where the loss has one, over all rows."""
        self.outputs = self.forward(x, training=False)
        return self._logs(self._sums(y, sample_weight), metrics)

    def _sums(self, y: Any, w: Any) -> Sums:
        """What the last outputs add to the loss and the accuracy of an epoch."""
        hyper = {name: v for name, v in self.loss_hyper.items() if name != "reduction"}
        return self.loss.sums(self.outputs, y, w, **hyper)

    def _logs(self, sums: Sums, metrics: bool) -> dict[str, float]:
        reduction = self.loss_hyper.get("reduction", "mean")
        logs = {"loss": self.loss.average(sums, self.outputs.shape[1], reduction)}
        if metrics and self.loss.task != "regression":
            logs["accuracy"] = sums.accuracy
        return logs

    def predict(self, x: Any, link: bool = True) -> Array:
        """Return the outputs, through the loss's link (softmax, logistic or nothing) if `link`."""
        outputs = self.forward(x, training=False)
        return self.loss.link(outputs) if link else outputs
