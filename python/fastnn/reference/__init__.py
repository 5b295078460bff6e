# SPDX-License-Identifier: BSD-3-Clause
"""The twin: all of fastnn in plain NumPy, to be read, and as the reference of the tests.

It has forward, backward, losses, optimizers and the training loop, each in a few lines and with the
names of the engine. The tables ACTIVATIONS, LOSSES, OPTIMIZERS, SCHEDULES and LAYERS list the
members. Begin
reading with `network.py`. `import fastnn` does not import this package.

Examples
--------
>>> import numpy as np
>>> from fastnn.reference import Network
>>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
>>> y = np.array([0, 1, 1, 0])  # XOR
>>> hidden = ("linear", {"in_features": 2, "out_features": 8})
>>> output = ("linear", {"in_features": 8, "out_features": 1})
>>> network = Network([hidden, ("tanh", {}), output], dtype="float64", seed=0)
>>> network.compile("bce_with_logits", {}, "adam", {"lr": 0.05})
>>> history = network.fit(x, y, batch_size=4, epochs=200)
>>> network.predict(x).round().ravel().tolist()
[0.0, 1.0, 1.0, 0.0]
"""

from __future__ import annotations

from fastnn.reference._clipping import clip_factor
from fastnn.reference._inputs import column_statistics
from fastnn.reference._optimizer import AVERAGES, Average
from fastnn.reference.activations import ACTIVATIONS, Activation, activation, activation_backward
from fastnn.reference.functional import (
    linear,
    linear_backward,
    log_softmax,
    logistic,
    one_hot,
    perceptron,
    softmax,
    step,
)
from fastnn.reference.initializers import INITIALIZERS, Initializer, WordStream, initial_values
from fastnn.reference.layers import (
    CONTAINERS,
    INPUTS,
    LAYERS,
    ActivationLayer,
    BatchNorm1d,
    Dropout,
    Flatten,
    GaussianNoise,
    Layer,
    LayerNorm,
    Linear,
    PReLU,
    Rescale,
    Residual,
    RMSNorm,
    Sequential,
    Standardize,
)
from fastnn.reference.losses import LOSSES, Loss, loss
from fastnn.reference.metrics import METRICS, metric_sums
from fastnn.reference.network import Network
from fastnn.reference.normal import normal_quantile
from fastnn.reference.optimizers import OPTIMIZERS, Optimizer, optimizer_step
from fastnn.reference.random import (
    dropout_mask,
    normal_noise,
    permutation,
    uniform,
    words,
)
from fastnn.reference.schedules import SCHEDULES, Schedule, schedule_values, standstill

__all__ = [
    "ACTIVATIONS",
    "AVERAGES",
    "CONTAINERS",
    "INITIALIZERS",
    "INPUTS",
    "LAYERS",
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "SCHEDULES",
    "Activation",
    "ActivationLayer",
    "Average",
    "BatchNorm1d",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "Initializer",
    "Layer",
    "LayerNorm",
    "Linear",
    "Loss",
    "Network",
    "Optimizer",
    "PReLU",
    "RMSNorm",
    "Rescale",
    "Residual",
    "Schedule",
    "Sequential",
    "Standardize",
    "WordStream",
    "activation",
    "activation_backward",
    "clip_factor",
    "column_statistics",
    "dropout_mask",
    "initial_values",
    "linear",
    "linear_backward",
    "log_softmax",
    "logistic",
    "loss",
    "metric_sums",
    "normal_noise",
    "normal_quantile",
    "one_hot",
    "optimizer_step",
    "perceptron",
    "permutation",
    "schedule_values",
    "softmax",
    "standstill",
    "step",
    "uniform",
    "words",
]
