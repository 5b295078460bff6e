# SPDX-License-Identifier: BSD-3-Clause
"""Stop when the validation loss no longer decreases, and restore the weights of the best epoch."""

from __future__ import annotations

import numpy as np

from fastnn import callbacks, nn, optim
from fastnn.datasets import load_digits

X, X_test, y, y_test = load_digits(split=True)
few = slice(0, 300)  # so few rows that the large network overfits

model = nn.Sequential(nn.Rescale(1 / 16), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10), seed=0)
model.compile(optim.Adam(lr=5e-3), nn.CrossEntropyLoss(), metrics=["accuracy"])
stopping = callbacks.EarlyStopping(monitor="val_loss", patience=10)
history = model.fit(
    X[few], y[few], batch_size=32, epochs=500, validation_split=0.2, callbacks=[stopping]
).history

epochs = len(history["loss"])
print(f"stopped after {epochs} epochs; best epoch {stopping.best_epoch}")
print(f"training loss   {history['loss'][-1]:.4f} at the end")
print(f"validation loss {stopping.best:.4f} at best, {history['val_loss'][-1]:.4f} at the end")
accuracy = model.evaluate(X_test, y_test)["accuracy"]
print(f"held-out accuracy with the best epoch's weights: {accuracy:.4f}")
assert epochs < 500
assert stopping.best_epoch == int(np.argmin(history["val_loss"]))
