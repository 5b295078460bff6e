# SPDX-License-Identifier: BSD-3-Clause
"""Several yes/no questions about one picture, with one sigmoid output for each of them."""

from __future__ import annotations

import numpy as np

from fastnn import nn, optim
from fastnn.datasets import load_digits

QUESTIONS = ("even", "above four", "has a closed loop")


def answers(digit: np.ndarray) -> np.ndarray:
    loop = np.isin(digit, [0, 6, 8, 9])
    return np.stack([digit % 2 == 0, digit > 4, loop], axis=1).astype(np.float32)


X, X_test, y, y_test = load_digits(split=True)
Y, Y_test = answers(y), answers(y_test)

model = nn.Sequential(
    nn.Rescale(1 / 16), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, len(QUESTIONS)), seed=1
)
model.compile(optim.Adam(lr=3e-3), nn.BCEWithLogitsLoss(), metrics=["accuracy"])
model.fit(X, Y, batch_size=32, epochs=30)

p = model.predict(X_test)  # probabilities, one column per question
right = (p > 0.5) == (Y_test == 1)
for question, share in zip(QUESTIONS, right.mean(axis=0), strict=True):
    print(f"{question:<20}{share:.4f} right")
print(f"all three right: {right.all(axis=1).mean():.4f} of the held-out digits")
assert right.mean() > 0.96
