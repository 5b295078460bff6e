# SPDX-License-Identifier: BSD-3-Clause
"""Handwritten digits: a classifier with dropout and batch normalisation, trained from uint8."""

from __future__ import annotations

import numpy as np

from fastnn import nn, optim
from fastnn.datasets import load_digits

X, X_test, y, y_test = load_digits(split=True)

model = nn.Sequential(
    nn.Rescale(1 / 16),  # applied while rows are read, so X stays uint8
    nn.Linear(64, 128),
    nn.BatchNorm1d(128),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(128, 10),
    seed=0,
)
model.summary()
model.compile(optim.AdamW(lr=3e-3), nn.CrossEntropyLoss(), metrics=["accuracy"])
history = model.fit(X, y, batch_size=32, epochs=20, validation_data=(X_test, y_test))
for epoch in range(0, 20, 5):
    print(epoch, {name: round(values[epoch], 4) for name, values in history.history.items()})

figures = model.evaluate(X_test, y_test)
print(f"held-out digits: loss {figures['loss']:.4f}, accuracy {figures['accuracy']:.4f}")
print("first five:", np.argmax(model.predict(X_test[:5]), axis=1), "are", y_test[:5])
assert figures["accuracy"] >= 0.95
