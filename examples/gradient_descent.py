# SPDX-License-Identifier: BSD-3-Clause
"""A course's gradient descent notebook: one sigmoid unit trained row by row for 100 epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fastnn import nn, optim

data = np.loadtxt(Path(__file__).parent / "data" / "gradient-descent-data.csv", delimiter=",")
X, y = data[:, :2], data[:, 2]

model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid(), dtype=np.float64)
np.random.seed(44)  # noqa: NPY002 - the notebook's own weights
start = np.random.normal(scale=1 / 2**0.5, size=2)  # noqa: NPY002
model.load_state_dict({"0.weight": start[None, :], "0.bias": np.zeros(1)})

model.compile(optim.SGD(lr=0.01), nn.BCELoss(), metrics=["accuracy"])
# The training losses that fit reports are computed before each update. The notebook computes the
# loss of all rows after each epoch, which is what validation data give.
history = model.fit(X, y, batch_size=1, epochs=100, shuffle=False, validation_data=(X, y)).history

last = np.inf
for epoch in range(0, 100, 10):
    loss, accuracy = history["val_loss"][epoch], history["val_accuracy"][epoch]
    warning = "  WARNING - Loss Increasing" if loss > last else ""
    print(f"epoch {epoch:2}: train loss {loss:.16f}  accuracy {accuracy:.2f}{warning}")
    last = loss
w1, w2 = model[0].weight[0]
print(f"boundary: {w1:.3f} x1 + {w2:.3f} x2 + {model[0].bias[0]:.3f} = 0")
