# SPDX-License-Identifier: BSD-3-Clause
"""Keras 3 with `fit`, batches in order; on JAX if it is installed, otherwise on PyTorch."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax" if importlib.util.find_spec("jax") else "torch")

import keras
import numpy as np
from bench.compare.case import ADAM, WEIGHT_DECAY, Case, data, weights

PINNED = keras.backend.backend() == "jax"


def versions() -> dict[str, str]:
    """Return the version of Keras and its backend."""
    return {"keras": keras.__version__, "backend": keras.backend.backend()}


class Model:
    """See `case.Peer`."""

    def __init__(self, case: Case, threads: int) -> None:
        _limit(case, threads)
        self.case, self.threads, self.data = case, threads, data(case)
        made = weights(case)
        layers: list[Any] = [keras.Input((case.widths[0],))]
        for index, (w, _) in enumerate(made):
            hidden = index + 1 < len(made)
            layers.append(keras.layers.Dense(w.shape[1], case.activation if hidden else None))
            if hidden and case.dropout:
                layers.append(keras.layers.Dropout(case.dropout))
        self.model = keras.Sequential(layers)
        lr, (beta1, beta2, eps) = case.lr, ADAM
        adam: dict[str, Any] = {"beta_1": beta1, "beta_2": beta2, "epsilon": eps}
        optimizer = {
            "sgd": lambda: keras.optimizers.SGD(lr),
            "adam": lambda: keras.optimizers.Adam(lr, **adam),
            "adamw": lambda: keras.optimizers.AdamW(lr, WEIGHT_DECAY, **adam),
        }[case.optimizer]()
        loss = {
            "cross_entropy": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "mse": keras.losses.MeanSquaredError,
            "bce_with_logits": lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        }[case.loss]()
        # Several steps per call reduce Keras' overhead between steps; its default is one.
        self.model.compile(optimizer, loss, steps_per_execution=min(case.batches, 16))
        optimizer.build(self.model.trainable_variables)
        self.weights = [array for pair in made for array in pair]
        self.fresh = [np.array(variable) for variable in optimizer.variables]

    def reset(self) -> None:
        self.model.set_weights(self.weights)
        for variable, value in zip(self.model.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)

    def run(self, epochs: int) -> None:
        self.losses(epochs)

    def losses(self, epochs: int) -> list[float]:
        history = self.model.fit(
            *self.data, batch_size=self.case.batch, epochs=epochs, shuffle=False, verbose=0
        )
        return [float(value) for value in history.history["loss"]]

    def threads_used(self) -> int:
        return self.threads


def _limit(case: Case, threads: int) -> None:
    keras.config.set_floatx(case.dtype)
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_x64", case.dtype == "float64")
    elif keras.backend.backend() == "torch":
        import torch

        torch.set_num_threads(threads)
