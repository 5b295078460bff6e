# SPDX-License-Identifier: BSD-3-Clause
"""A network: layers one after another, a loss, an optimizer, and the loop that trains them.

One training step is: forward through the layers, gradient of the loss, backward through the layers
in reverse, update of every parameter. Method by method it does what `fastnn._core.Network` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.reference._clipping import clip_factor, clip_norms, clip_values
from fastnn.reference._optimizer import AVERAGES, in_batch
from fastnn.reference.layers import (
    INPUTS,
    BatchNorm1d,
    Layer,
    backward_through,
    leaves,
    make_layer,
)
from fastnn.reference.losses import LOSSES, Sums
from fastnn.reference.optimizers import OPTIMIZERS
from fastnn.reference.random import permutation
from fastnn.reference.schedules import Clock, Fit, standstill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastnn.reference._describe import Array

__all__ = ["Network"]


class Network:
    """Layers given as [("linear", {"in_features": 4, "out_features": 3}), ("relu", {}), ...].

    A layer is named by its number, counted from 0, as in torch: "0", "1.0" inside a container.
    """

    def __init__(
        self, layers: Sequence[tuple[str, dict[str, Any]]], dtype: str = "float32", seed: int = 0
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.layers: list[Layer] = [make_layer(name, hyper) for name, hyper in layers]
        self.leaves: dict[str, Layer] = dict(leaves([x for x in self.layers if x.numbered]))
        for layer in self.layers:
            if not layer.numbered:
                layer.build(self.dtype, seed, 0)
        for number, layer in enumerate(self.leaves.values()):
            layer.build(self.dtype, seed, number)
        self.step = 0  # updates done so far
        self.draw = 0  # passes since the last update: dropout draws anew in each
        self.max_grad_norm: float | None = None
        self.max_grad_value: float | None = None
        self.penalty_in_loss = False
        self.batch_weight = 1.0  # of the batch of the last backward
        self.states: dict[tuple[str, str], list[Array]] = {}

    # -- parameters ---------------------------------------------------------------------------

    def parameters(self) -> list[dict[str, Any]]:
        """Return {key, layer, name, array, trainable} of each parameter and running statistic."""
        return [
            self._entry(key, name, array, name in layer.params)
            for key, layer in self.leaves.items()
            for name, array in (layer.params | layer.statistics).items()
        ]

    def gradients(self) -> list[dict[str, Any]]:
        """Return the same list for the gradients of the last backward, trainable ones only."""
        return [
            self._entry(key, name, layer.grads[name])
            for key, layer in self.leaves.items()
            for name in layer.params
        ]

    @staticmethod
    def _entry(layer: str, name: str, array: Array, trainable: bool = True) -> dict[str, Any]:
        key = f"{layer}.{name}"
        return {"key": key, "layer": layer, "name": name, "array": array, "trainable": trainable}

    def _named(self, key: str) -> list[Layer]:
        """The layer `key`, or all layers of a container."""
        return [x for k, x in self.leaves.items() if k == key or k.startswith(f"{key}.")]

    def set_frozen(self, layer: str, frozen: bool) -> None:
        """Freeze a layer: its parameters and running statistics no longer move."""
        for each in self._named(layer):
            each.frozen = frozen

    def frozen(self, layer: str) -> bool:
        """Whether a layer is frozen."""
        return all(each.frozen for each in self._named(layer))

    def compile(
        self,
        loss: str,
        loss_params: dict[str, Any],
        optimizer: str,
        params: dict[str, Any],
        groups: dict[str, dict[str, Any]] | None = None,
        schedule: tuple[str, dict[str, Any]] | None = None,
        average: tuple[str, dict[str, Any]] | None = None,
        limits: Sequence[tuple[float | None, Sequence[str]]] = (),
        max_grad_norm: float | None = None,
        max_grad_value: float | None = None,
        penalty_in_loss: bool = False,
        accumulate: int = 1,
    ) -> None:
        """Choose loss and optimizer, and start the optimizer's state anew.

        `groups` overrides hyperparameters of the optimizer for single parameters, by their keys.
        `schedule`, of the learning rate, and `average`, of the parameters, are pairs of a name and
        values. `limits` has limits of the norm of some gradients, with the keys of their
        parameters; `max_grad_norm` is that of all others, `max_grad_value` that of each entry. With
        `penalty_in_loss`, losses have the optimizer's penalties. `accumulate` batches have one
        update.
        """
        self.loss, self.loss_hyper = LOSSES[loss], loss_params
        self.optimizer = OPTIMIZERS[optimizer]
        self.max_grad_norm, self.max_grad_value = max_grad_norm, max_grad_value
        self.penalty_in_loss = penalty_in_loss
        self.accumulate = accumulate
        self.waiting: list[tuple[Sums, list[Array]]] = []  # batches since the last update
        self.average = None if average is None else (AVERAGES[average[0]], average[1])
        self.averaged = 0
        self.averages: dict[tuple[str, str], Array] = {}
        self.step = self.draw = 0
        self.set_optimizer_params(params, groups, schedule, limits)
        self.states = {
            key: [np.zeros_like(w) for _ in range(self.optimizer.states(self.hyper[key]))]
            for key, w in self._trainable()
        }
        self.steps = dict.fromkeys(self.states, 0)  # updates of each parameter
        self.last_lr = self.lr  # of the last update

    def set_optimizer_params(
        self,
        params: dict[str, Any],
        groups: dict[str, dict[str, Any]] | None = None,
        schedule: tuple[str, dict[str, Any]] | None = None,
        limits: Sequence[tuple[float | None, Sequence[str]]] = (),
    ) -> None:
        """Go on with other hyperparameters, as compile takes them; a schedule begins now."""
        groups = groups or {}
        self.params = self.optimizer.hypers | params
        self.hyper = {
            (layer, name): params | groups.get(f"{layer}.{name}", {})
            for (layer, name), _ in self._trainable()
        }
        self.limits = limits
        self.clock = None if schedule is None else Clock(*schedule)

    def _trainable(self) -> Iterator[tuple[tuple[str, str], Array]]:
        for key, layer in self.leaves.items():
            for name, w in layer.params.items():
                yield (key, name), w

    def optimizer_state(self) -> dict[str, Any]:
        """Return the step, those of single parameters, and a list for each state array.

        The lists are like that of parameters(). A frozen layer does not count steps.
        """
        n_states = max((len(arrays) for arrays in self.states.values()), default=0)
        return {
            "step": self.step,
            "steps": {f"{key}.{name}": count for (key, name), count in self.steps.items()},
            "state": [
                [
                    self._entry(key, name, arrays[k])
                    for (key, name), arrays in self.states.items()
                    if k < len(arrays)
                ]
                for k in range(n_states)
            ],
        }

    def set_step(self, step: int) -> None:
        """Go on counting the optimizer's steps from `step`."""
        self.step, self.draw = step, 0
        self.steps = dict.fromkeys(self.states, step)

    def num_batches(self) -> dict[str, int]:
        """From how many batches each BatchNorm1d has taken its running statistics."""
        return {
            key: layer.num_batches
            for key, layer in self.leaves.items()
            if isinstance(layer, BatchNorm1d)
        }

    # -- one step -----------------------------------------------------------------------------

    def forward(self, x: Any, training: bool = False) -> Array:
        """Return the raw outputs (B, k), kept for backward."""
        y = np.asarray(x)
        for layer in self.layers:
            if type(layer) not in INPUTS.values():  # Rescale sees the digits that X has
                y = y.astype(self.dtype, copy=False)
            y = layer.forward(y, training, self.step, self.draw)
        self.draw += training
        return y

    def backward(self, grad: Any, need_dx: bool = False) -> Array | None:
        """Leave the gradients of all parameters in the layers, given dloss/doutputs.

        The gradient of the input is returned if asked for.
        """
        grad = np.asarray(grad, dtype=self.dtype)
        self.batch_weight = float(len(grad))
        return backward_through(self.layers, grad, need_dx)

    def loss_and_grad(
        self, x: Any, y: Any, sample_weight: Any = None, training: bool = True
    ) -> float:
        """Return the loss of a batch and leave its gradients in gradients()."""
        self.outputs = self.forward(x, training)
        self.backward(self.loss.gradient(self.outputs, y, sample_weight, **self.loss_hyper))
        if sample_weight is not None:
            self.batch_weight = float(np.sum(sample_weight, dtype=np.float64))
        return self.loss.value(self.outputs, y, sample_weight, **self.loss_hyper)

    def clip_grad_norm(self, max_norm: float) -> float:
        """Shrink the gradients to a global norm of at most `max_norm`; return the norm before."""
        grads = self._trained()
        _, norm = clip_factor(list(grads.values()), max_norm)
        clip_norms(grads, (), max_norm)
        return norm

    def _trained(self) -> dict[str, Array]:
        """Return the gradients of what is not frozen, by the keys of the parameters."""
        its = [(key, layer.grads) for key, layer in self.leaves.items() if not layer.frozen]
        return {f"{key}.{name}": g for key, grads in its for name, g in grads.items()}

    def apply_gradients(self) -> None:
        """Let the optimizer move every parameter that is not frozen."""
        self.step, self.draw = self.step + 1, 0
        self.last_lr = self.lr
        for key, layer in self.leaves.items():
            if layer.frozen:
                continue
            for name, w in layer.params.items():
                state, hyper = self.states[key, name], self.hyper[key, name]
                self.steps[key, name] += 1
                t = self.steps[key, name]
                hyper = in_batch(self._scheduled(hyper), self.batch_weight)
                self.optimizer.update(w, layer.grads[name], state, t, **hyper)
        if self.clock is not None:
            self.clock.end_step()

    def _scheduled(self, hyper: dict[str, Any]) -> dict[str, Any]:
        """Return the hyperparameters of the next update."""
        if self.clock is None:
            return hyper
        known = self.optimizer.hypers
        hyper = hyper | {"lr": self.clock.rate(hyper.get("lr", known["lr"]))}
        if not self.clock.cycles_momentum:
            return hyper
        name = "momentum" if "momentum" in known else "beta1"
        return hyper | {name: self.clock.momentum()}

    @property
    def lr(self) -> float:
        """The learning rate of the next update of parameters without a rate of their own."""
        return float(self._scheduled(self.params)["lr"])

    def _add_to_average(self, epoch: int, last: bool) -> None:
        """Add the parameters after an update to their average, if the update counts."""
        if self.average is None:
            return
        row, hyper = self.average
        if row.counts(hyper, epoch, self.step - 1, last):
            self.averaged += 1
            share = row.share(self.averaged, **hyper)
            for place, w in self._trainable():
                average = self.averages.setdefault(place, np.zeros_like(w))
                average += share * (w - average)

    def penalty(self) -> float:
        """Return the optimizer's penalties of all parameters that train, for the last batch."""
        return sum(
            self.optimizer.penalty(w, self.hyper[key, name], self.batch_weight)
            for (key, name), w in self._trainable()
            if not self.leaves[key].frozen
        )

    def train_step(self, x: Any, y: Any, sample_weight: Any = None) -> float:
        """Train on one batch; return its loss before the update."""
        loss = self._step(x, y, sample_weight, 0, last=False)
        if self.clock is not None:
            self.clock.counts.rows += len(np.asarray(x))
        return loss

    def _step(self, x: Any, y: Any, w: Any, epoch: int, *, last: bool) -> float:
        """Train on one batch, which is the `last` of its epoch or not."""
        self.draw = len(self.waiting)  # of the batches that wait for an update, each has its masks
        loss = self.loss_and_grad(x, y, w)
        self.last_penalty = 0.0
        if not self._group(self._sums(y, w), last):
            return loss
        self.last_penalty = self.penalty() if self.penalty_in_loss else 0.0
        self._update()
        self._add_to_average(epoch, last)
        return loss + self.last_penalty

    def _group(self, sums: Sums, last: bool) -> bool:
        """Add the gradients of a batch to those that wait; return whether to update with the sum.

        Means of losses count with what they were divided by, so that the sum is the gradient of one
        batch of all rows.
        """
        self.waiting.append((sums, [g.copy() for g in self._gradients()]))
        if len(self.waiting) < self.accumulate and not last:
            return False
        total = Sums()
        for part, _ in self.waiting:
            total += part
        is_sum = self.loss_hyper.get("reduction") == "sum"
        for k, g in enumerate(self._gradients()):
            g[...] = sum(
                grads[k] * (1.0 if is_sum or total.divisor == 0 else part.divisor / total.divisor)
                for part, grads in self.waiting
            )
        self.batch_weight, self.waiting = total.weight * 2.0**total.exponent, []
        return True

    def _gradients(self) -> list[Array]:
        return [g for layer in self.leaves.values() for g in layer.grads.values()]

    def train_step_grad(self, x: Any, grad: Any) -> None:
        """Train on one batch with a gradient dloss/doutputs made elsewhere."""
        self.draw = 0
        self.forward(x, training=True)
        self.backward(grad)
        self._update()

    def _update(self) -> None:
        grads = self._trained()
        clip_norms(grads, self.limits, self.max_grad_norm)
        if self.max_grad_value is not None:
            clip_values(grads, self.max_grad_value)
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
        initial_epoch: int = 0,
        shuffle: bool = True,
        seed: int = 0,
        orders: Callable[[int], Array] | None = None,
        validation: tuple[Any, Any, Any] | None = None,
        metrics: bool = False,
        on_epoch: Callable[[int, dict[str, float]], bool] | None = None,
        ends: tuple[float, int] | None = None,
    ) -> dict[str, list[float]]:
        """Train the epochs from `initial_epoch` until before `epochs`, or a standstill that `ends`.

        Returns
        -------
        history : lists over epochs. "loss" is the loss of all rows with their weights, each as it
            was before its batch's update, "accuracy" the weighted share of outputs that were right;
            "val_loss" and "val_accuracy" are those of the validation data after the epoch.
        """
        x, y = np.asarray(x), np.asarray(y)
        w = None if sample_weight is None else np.asarray(sample_weight)
        history: dict[str, list[float]] = {}
        for epoch in range(initial_epoch, epochs):
            order = np.arange(len(x))
            if orders is not None:
                order = orders(epoch)
            elif shuffle:
                order = permutation(len(x), seed, epoch)
            if self.clock is not None:
                updates = -(-len(x) // (batch_size * self.accumulate))
                self.clock.fit = Fit(epochs, updates, epoch, 0)
            logs = self._epoch((x, y, w), order, batch_size, metrics, epoch)
            logs["lr"] = self.last_lr
            if self.clock is not None:
                self.clock.end_epoch(len(x), logs["loss"])
            if validation is not None:
                results = self.evaluate(*validation, metrics=metrics)
                logs |= {f"val_{name}": value for name, value in results.items()}
            for name, value in logs.items():
                history.setdefault(name, []).append(value)
            goes_on = on_epoch is None or on_epoch(epoch, logs)
            if not goes_on or (ends and standstill(history["loss"], ends[0])[1] > ends[1]):
                break
        if self.clock is not None:
            self.clock.fit = None
        return history

    def _epoch(
        self,
        data: tuple[Array, Array, Array | None],
        order: Array,
        batch_size: int,
        metrics: bool,
        epoch: int,
    ) -> dict[str, float]:
        x, y, w = data
        sums = Sums()
        losses, penalties, counts = [], [], []
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            w_rows = None if w is None else w[rows]
            last = start + batch_size >= len(order)
            losses.append(self._step(x[rows], y[rows], w_rows, epoch, last=last))
            penalties.append(self.last_penalty)
            counts.append(len(rows))
            sums += self._sums(y[rows], w_rows)
        logs = self._logs(sums, metrics)
        if self.penalty_in_loss:  # each batch counts with its rows, as in scikit-learn
            if self.loss_hyper.get("reduction") == "sum":
                return logs | {"loss": sum(losses), "penalty": sum(penalties)}
            parts = {"loss": losses, "penalty": penalties}
            logs |= {k: float(np.average(v, weights=counts)) for k, v in parts.items()}
        return logs

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
        logs = {"loss": self.loss.average(sums, self.outputs.shape[1], **self.loss_hyper)}
        if metrics and self.loss.task != "regression":
            logs["accuracy"] = sums.accuracy
        return logs

    def predict(self, x: Any, link: bool = True) -> Array:
        """Return the outputs, through the loss's link (softmax, logistic or nothing) if `link`."""
        outputs = self.forward(x, training=False)
        hyper = {name: v for name, v in self.loss_hyper.items() if name != "reduction"}
        return self.loss.link(outputs, **hyper) if link else outputs
