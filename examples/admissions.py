# SPDX-License-Identifier: BSD-3-Clause
"""Student admissions: forward, backward and update of a sigmoid unit with fastnn.functional."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastnn.functional as F

table = np.loadtxt(Path(__file__).parent / "data" / "student_data.csv", delimiter=",", skiprows=1)
y, grades, rank = table[:, 0], table[:, 1:3], table[:, 3].astype(int)
grades = (grades - grades.mean(axis=0)) / grades.std(axis=0, ddof=1)
X = np.hstack([grades, F.one_hot(rank - 1, 4, dtype=np.float64)])

np.random.seed(42)  # noqa: NPY002 - the lesson's own split and weights
train = np.random.choice(400, size=360, replace=False)  # noqa: NPY002
test = np.setdiff1d(np.arange(400), train)
np.random.seed(42)  # noqa: NPY002
w = np.random.normal(scale=1 / 6**0.5, size=6)  # noqa: NPY002

for epoch in range(1000):
    o = F.sigmoid(F.linear(X[train], w))
    _, do = F.half_mse_loss(o, y[train])
    _, dw, _ = F.linear_backward(F.sigmoid_backward(do, o), X[train], w, need_dx=False)
    F.sgd_step_(w, dw, lr=0.5)
    if epoch % 100 == 0:
        loss, _ = F.mse_loss(F.sigmoid(F.linear(X[train], w)), y[train])
        print(f"epoch {epoch:3}: train loss {loss:.16f}")

right = (F.sigmoid(F.linear(X[test], w)) > 0.5) == y[test]
print(f"test accuracy {right.mean():.3f}")
