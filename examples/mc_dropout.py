# SPDX-License-Identifier: BSD-3-Clause
"""Uncertainty of predictions: the spread of the outputs over many dropout masks."""

from __future__ import annotations

import numpy as np

from fastnn import nn, optim

rng = np.random.default_rng(0)
X = rng.uniform(-2, 2, (400, 1)).astype(np.float32)
y = np.sin(2 * X[:, 0]) + 0.1 * rng.standard_normal(400)

model = nn.Sequential(
    nn.Linear(1, 64),
    nn.Tanh(),
    nn.Dropout(0.1),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.1),
    nn.Linear(64, 1),
    seed=0,
)
model.compile(optim.Adam(lr=5e-3), nn.MSELoss())
model.fit(X, y, batch_size=32, epochs=150)

# Each training pass without an update draws new masks, so 200 passes are samples of 200 networks.
asked = np.array([[-6.0], [-4.0], [-1.0], [0.0], [1.0], [4.0], [6.0]], np.float32)
draws = np.array([model.forward(asked, training=True)[:, 0] for _ in range(200)])
mean, spread = draws.mean(axis=0), draws.std(axis=0)

print("     x   predict      mean    spread")
for x, one, m, s in zip(asked[:, 0], model.predict(asked)[:, 0], mean, spread, strict=True):
    seen = "" if abs(x) <= 2 else "  outside the training data"
    print(f"{x:6.1f}  {one:8.3f}  {m:8.3f}  {s:8.3f}{seen}")

inside = np.abs(asked[:, 0]) <= 2
print(f"spread inside {spread[inside].mean():.3f}, outside {spread[~inside].mean():.3f}")
assert spread[~inside].min() > spread[inside].max()
