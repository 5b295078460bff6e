# SPDX-License-Identifier: BSD-3-Clause
"""Fit the three coefficients of a quadratic by gradient descent, then a curve with relus."""

from __future__ import annotations

import numpy as np

import fastnn.functional as F
from fastnn import nn, optim

rng = np.random.default_rng(0)
x = np.linspace(-2, 2, 400)[:, None]

# y = a x^2 + b x + c is a linear layer on the columns x^2, x, 1.
y = 3 * x**2 + 2 * x + 1 + rng.normal(0, 0.1, x.shape)
columns, abc = np.hstack([x**2, x, np.ones_like(x)]), np.zeros((3, 1))
state = F.sgd_state(abc)
for _ in range(300):
    _, dy = F.mse_loss(F.matmul(columns, abc), y)
    _, gradient, _ = F.linear_backward(dy, columns, abc, need_dx=False)
    F.sgd_step_(abc, gradient, state, lr=0.05, momentum=0.9)
print("a, b, c =", abc.ravel().round(2))
assert np.allclose(abc.ravel(), [3, 2, 1], atol=0.05)

# A hidden layer of relus fits a curve whose formula is not known.
curve = np.sin(3 * x) + 0.3 * x
model = nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
model.compile(optim.Adam(lr=3e-3), nn.MSELoss())
history = model.fit(x, curve, batch_size=32, epochs=200).history
for epoch in (0, 50, 100, 199):
    print(f"epoch {epoch:3}: mean squared error {history['loss'][epoch]:.6f}")
worst = abs(model.predict(x) - curve).max()
print(f"largest error on the curve: {worst:.3f}")
assert model.evaluate(x, curve)["loss"] < 0.01
