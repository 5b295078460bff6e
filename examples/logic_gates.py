# SPDX-License-Identifier: BSD-3-Clause
"""Logic gates as step units, the perceptron algorithm that finds them, and a network for XOR."""

from __future__ import annotations

import numpy as np

import fastnn.functional as F
from fastnn import nn, optim

gate = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)

# Weights chosen by hand: the line separates the inputs with output 1 from those with output 0.
AND = F.step(F.linear(gate, [1.0, 1.0], -1.5))
OR = F.step(F.linear(gate, [1.0, 1.0], -0.5))
NAND = F.step(F.linear(gate, [-1.0, -1.0], 1.5))
XOR = F.step(F.linear(np.stack([NAND, OR], axis=1), [1.0, 1.0], -1.5))  # two layers
print("AND", AND, " OR", OR, " XOR of two layers", XOR)

# Weights found by the perceptron algorithm, which passes over the rows several times.
w, b = np.zeros(2), 0.0
for epoch in range(20):
    w, b, errors = F.perceptron_step(gate, AND, w, b, lr=0.1)
    print(f"epoch {epoch}: {errors} errors, line {w[0]:.1f} x1 + {w[1]:.1f} x2 + {b:.1f} = 0")
    if errors == 0:
        break
assert np.array_equal(F.step(F.linear(gate, w, b)), AND)

# No line separates the outputs of XOR, so the perceptron fails; a hidden layer is needed.
print("perceptron on XOR:", F.perceptron(gate, XOR, epochs=100)[2], "rows stay wrong")
model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), seed=0)
model.compile(optim.Adam(lr=0.05), nn.BCEWithLogitsLoss())
model.fit(gate, XOR, batch_size=4, epochs=300)
print("network on XOR:", model.predict(gate).ravel().round(3))
assert np.array_equal(model.predict(gate).ravel().round(), XOR)
