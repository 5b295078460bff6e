# SPDX-License-Identifier: BSD-3-Clause
"""The parts of a training step one by one, for loops of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _validate
from fastnn.errors import FastnnError

from ._inference import REFUSALS, Inference

if TYPE_CHECKING:
    from fastnn._validate import Array

__all__ = ["OwnLoop"]


class OwnLoop(Inference):
    """One whole step, and forward, backward, gradients, clipping and update as single calls."""

    def train_step(
        self,
        x: Any,
        y: Any = None,
        *,
        grad: Any = None,
        sample_weight: Any = None,
        n_threads: int | None = None,
    ) -> float | None:
        """One step on one batch: forward, backward, update.

        Parameters
        ----------
        x : array_like of shape (n, n_features)
        y : array_like, optional
            Targets as the compiled loss wants them.
        grad : array_like of shape (n, n_outputs), optional
            Instead of y: a gradient with respect to the outputs that was made elsewhere. With
            dropout, from the first ``forward(x, training=True)`` after the last update.
        sample_weight : array_like of shape (n,), optional
            With y only. Weights of the rows are relative within the batch: its loss is
            sum(w l) / sum(w), so a batch of one row ignores them; with ``reduction="sum"`` they are
            factors.
        n_threads : int, optional

        Returns
        -------
        float or None
            The batch's loss before the update; None with `grad`.
        """
        threads = self._threads if n_threads is None else self._n_threads("train_step", n_threads)
        failure: Exception | None = None
        # The binding checks memory, dtypes and shapes; words are looked for after it refused.
        if type(x) is np.ndarray:
            try:
                if grad is None and type(y) is np.ndarray:
                    return self._network.train_step(x, y, sample_weight, threads)  # type: ignore[union-attr]
                if type(grad) is np.ndarray and y is None and sample_weight is None:
                    self._network.train_step_grad(x, grad, threads)  # type: ignore[union-attr]
                    return None
            except REFUSALS as error:
                if isinstance(error, FastnnError):
                    raise
                failure = error
        return self._train_step_in_words(
            x, y, grad, sample_weight, threads=threads, failure=failure
        )

    def _train_step_in_words(
        self, x: Any, y: Any, grad: Any, w: Any, *, threads: int, failure: Exception | None
    ) -> float | None:
        """Name what is wrong with the arguments of train_step, or convert them and step."""
        where = "Sequential.train_step"
        network, _ = self._ready("train_step")
        if (y is None) == (grad is None):
            raise ValueError(
                f"[{where}] got {'neither' if y is None else 'both'}; expected y or grad"
            )
        if y is not None:
            batch = self._batch("train_step", x, y, w)
            if failure is not None and batch[0] is x and batch[1] is y and batch[2] is w:
                raise failure
            return network.train_step(*batch, threads)
        if w is not None:
            raise ValueError(f"[{where}] sample_weight came with grad; expected it with y only")
        xs, gs = self._features("train_step", x), self._gradient("train_step", grad)
        if len(xs) == 0:
            raise ValueError(f"[{where}] X has no rows; expected at least one")
        _validate.same_rows(where, len(xs), "grad", gs)
        if failure is not None and xs is x and gs is grad:
            raise failure
        network.train_step_grad(xs, gs, threads)
        return None

    def _gradient(self, where: str, value: Any) -> Array:
        """A gradient with respect to the outputs, (n, n_outputs)."""
        k = self._net(where).n_outputs
        array = _validate.as_array(f"Sequential.{where}", "the gradient", value)
        if array.ndim == 1 and k == 1:
            array = array[:, None]
        if array.ndim != 2 or array.shape[1] != k:
            raise ValueError(
                f"[Sequential.{where}] the gradient has shape {array.shape}; expected (n, {k})"
            )
        return array

    def forward(self, x: Any, training: bool = False, *, n_threads: int | None = None) -> Array:
        """Raw outputs, without the loss's link; kept for `backward`.

        Parameters
        ----------
        x : array_like of shape (n, n_features)
        training : bool, default False
            Whether dropout drops and BatchNorm takes the batch's statistics. Each such call draws
            new masks: many of them show how sure the model is (Monte Carlo dropout).
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, n_outputs)
        """
        threads = self._n_threads("forward", n_threads)
        mode = _validate.flag("Sequential.forward", "training", training)
        return self._net("forward").forward(self._features("forward", x), mode, threads)

    def backward(
        self, dout: Any, need_dx: bool = False, *, n_threads: int | None = None
    ) -> Array | None:
        """Gradients of all parameters from the gradient of the last `forward`'s outputs.

        Parameters
        ----------
        dout : array_like of shape (n, n_outputs)
            As a loss object returns it: ``loss, dout = nn.MSELoss()(out, y)``.
        need_dx : bool, default False
            Also return the gradient with respect to X.
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, n_features) or None
        """
        network, threads = self._net("backward"), self._n_threads("backward", n_threads)
        grad = self._gradient("backward", dout)
        wanted = _validate.flag("Sequential.backward", "need_dx", need_dx)
        return network.backward(grad, wanted, threads)

    def gradients(self) -> dict[str, Array]:
        """Gradients of the last `backward` or `loss_and_grad` by torch's keys: (out, in) views."""
        network = self._net("gradients")
        found = {}
        for entry in network.gradients():
            found[f"{entry['layer']}.{entry['name']}"] = view = entry["array"].T
            network.lend(view)
        return found

    def clip_grad_norm(self, max_norm: float) -> float:
        """Scale the gradients to a common norm of at most `max_norm`; returns the norm before."""
        limit = _validate.positive("Sequential.clip_grad_norm", "max_norm", max_norm)
        return self._net("clip_grad_norm").clip_grad_norm(limit)

    def apply_gradients(self, *, n_threads: int | None = None) -> None:
        """Let the compiled optimizer update the parameters with the present gradients."""
        network, _ = self._ready("apply_gradients")
        network.apply_gradients(self._n_threads("apply_gradients", n_threads))

    def loss_and_grad(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        training: bool = True,
        n_threads: int | None = None,
    ) -> tuple[float, dict[str, Array]]:
        """Loss of a batch and the gradients of all parameters; nothing is updated.

        Each call draws new dropout masks, the first one of a step those of `train_step`.

        Parameters
        ----------
        x : array_like of shape (n, n_features)
        y : array_like
            Targets as the compiled loss wants them.
        sample_weight : array_like of shape (n,), optional
        training : bool, default True
            As in `forward`.
        n_threads : int, optional

        Returns
        -------
        loss : float
        gradients : dict of str to ndarray
            What `gradients` returns; `apply_gradients` takes them from the model.
        """
        xs, ys, w = self._batch("loss_and_grad", x, y, sample_weight)
        threads = self._n_threads("loss_and_grad", n_threads)
        mode = _validate.flag("Sequential.loss_and_grad", "training", training)
        views = self.gradients()  # before the pass: what may fail has not changed the model
        loss = self._net("loss_and_grad").loss_and_grad(xs, ys, w, threads, mode)
        return loss, views
