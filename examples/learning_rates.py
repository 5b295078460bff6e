# SPDX-License-Identifier: BSD-3-Clause
"""Look for a learning rate, and train with a constant rate, a schedule and a cycle."""

from __future__ import annotations

from typing import Any

from fastnn import callbacks, nn, optim
from fastnn.datasets import load_digits
from fastnn.optim import lr_scheduler

X, X_test, y, y_test = load_digits(split=True)


def model_with(rate: Any) -> nn.Sequential:
    """Return a new model with this learning rate."""
    model = nn.Sequential(
        nn.Rescale(1 / 16), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), seed=0
    )
    model.compile(optim.SGD(lr=rate, momentum=0.9), nn.CrossEntropyLoss(), metrics=["accuracy"])
    return model


found = model_with(0.01).lr_find(X, y)
assert found.suggestion is not None
print(f"{len(found.rates)} steps; the loss falls most steeply at {found.suggestion:.3g}")

best = found.suggestion
rates: dict[str, Any] = {
    "constant": best,
    "cosine": lr_scheduler.CosineAnnealingLR(best, warmup=20),
    "one cycle": lr_scheduler.OneCycleLR(3 * best),
    "halved": lambda epoch: best * 0.5 ** (epoch // 4),
}
for name, rate in rates.items():
    model = model_with(rate)
    model.fit(X, y, batch_size=32, epochs=10)
    accuracy = model.evaluate(X_test, y_test)["accuracy"]
    print(f"{name:10} held-out accuracy {accuracy:.4f}, last rate {model.lr:.3g}")
    assert accuracy > 0.93

model = model_with(best)
reduce = callbacks.ReduceLROnPlateau("val_loss", factor=0.2, patience=3)
history = model.fit(X, y, epochs=30, validation_split=0.2, callbacks=[reduce]).history
print(f"on plateaus the rate went from {history['lr'][0]:.3g} to {history['lr'][-1]:.3g}")
