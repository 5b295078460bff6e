# SPDX-License-Identifier: BSD-3-Clause
"""Reuse a network that reads digits to learn another property of them from 40 labelled pictures."""

from __future__ import annotations

import numpy as np

from fastnn import nn, optim
from fastnn.datasets import load_digits

X, X_test, y, y_test = load_digits(split=True)
loop, loop_test = (np.isin(digit, [0, 6, 8, 9]) for digit in (y, y_test))  # has a closed loop
few = slice(0, 40)


def train(model: nn.Sequential, lr: float) -> float:
    model.compile(optim.Adam(lr=lr), nn.BCEWithLogitsLoss(), metrics=["accuracy"])
    model.fit(X[few], loop[few], batch_size=8, epochs=60)
    return model.evaluate(X_test, loop_test)["accuracy"]


def body() -> tuple[nn.Layer, ...]:
    return nn.Rescale(1 / 16), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()


scratch = train(nn.Sequential(*body(), nn.Linear(32, 1)), 2e-3)
print(f"from scratch: accuracy {scratch:.4f}")

reader = nn.Sequential(*body(), nn.Linear(32, 10))
reader.compile(optim.Adam(lr=2e-3), nn.CrossEntropyLoss())
reader.fit(X, y, batch_size=32, epochs=20)

model = nn.Sequential(*reader[:-1].freeze(), nn.Linear(32, 1), seed=1)  # layers are copied
before = {key: np.array(value) for key, value in model.state_dict().items()}
head = train(model, 1e-2)
kept = [key for key, value in model.state_dict().items() if np.array_equal(value, before[key])]
print(f"new head on a frozen body: accuracy {head:.4f}; as before to the bit: {', '.join(kept)}")

model.unfreeze()  # fine-tuning: all layers train, with a small learning rate
print(f"then fine-tuned as a whole: accuracy {(tuned := train(model, 1e-3)):.4f}")
assert len(kept) == 4
assert min(head, tuned) > scratch
