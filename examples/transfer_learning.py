# SPDX-License-Identifier: BSD-3-Clause
"""What was learned on the digits 0 to 4 helps with 5 to 9, of which only a few are given."""

from __future__ import annotations

import numpy as np

from fastnn import nn, optim
from fastnn.datasets import load_digits

X, X_test, y, y_test = load_digits(split=True)
low, high, high_test = y < 5, y >= 5, y_test >= 5
few = np.flatnonzero(high)[:50]  # ten pictures a digit

teacher = nn.Sequential(
    nn.Rescale(1 / 16), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5)
)
teacher.compile(optim.Adam(lr=2e-3), nn.CrossEntropyLoss(), metrics=["accuracy"])
teacher.fit(X[low], y[low], batch_size=32, epochs=30)

body = teacher[:-1].freeze()  # a copy: the teacher stays as it is
student = nn.Sequential(*body, nn.Linear(32, 5), seed=1)
before = {key: np.array(value) for key, value in student.state_dict().items()}
student.compile(optim.Adam(lr=1e-2), nn.CrossEntropyLoss(), metrics=["accuracy"])
student.fit(X[few], y[few] - 5, batch_size=10, epochs=60)
head = student.evaluate(X_test[high_test], y_test[high_test] - 5)["accuracy"]

unmoved = [key for key, value in student.state_dict().items() if np.array_equal(value, before[key])]
print("frozen, bit for bit as before:", ", ".join(unmoved))
print(f"new head on a frozen body, {len(few)} pictures: accuracy {head:.4f}")

student.unfreeze()  # fine-tuning: everything moves, in small steps
student.compile(optim.Adam(lr=1e-3), nn.CrossEntropyLoss(), metrics=["accuracy"])
student.fit(X[few], y[few] - 5, batch_size=10, epochs=60)
tuned = student.evaluate(X_test[high_test], y_test[high_test] - 5)["accuracy"]
print(f"then fine-tuned as a whole: accuracy {tuned:.4f}")
assert len(unmoved) == 4
assert tuned > 0.8
