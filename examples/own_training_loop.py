# SPDX-License-Identifier: BSD-3-Clause
"""Three training loops: one call per step, a gradient computed in Python, and a call per part."""

from __future__ import annotations

import numpy as np

from fastnn import data, nn, optim
from fastnn.datasets import load_digits

X, X_test, y, y_test = load_digits(split=True)
y = y.astype(np.int64)


def network() -> nn.Sequential:
    layers = (nn.Rescale(1 / 16), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    model = nn.Sequential(*layers, seed=0)
    model.compile(optim.SGD(lr=0.1, momentum=0.9), nn.CrossEntropyLoss(), metrics=["accuracy"])
    return model


def accuracy(model: nn.Sequential) -> float:
    return model.evaluate(X_test, y_test)["accuracy"]


whole = network()
whole.fit(X, y, batch_size=32, epochs=5, shuffle=False)

steps = network()  # forward, backward and update in one call
for _ in range(5):
    for xb, yb in data.batches(X, y, batch_size=32):
        steps.train_step(xb, yb)
same = all(np.array_equal(a, steps.state_dict()[k]) for k, a in whole.state_dict().items())
print(f"train_step {accuracy(steps):.4f}; the same weights as fit to the bit: {same}")

own = network()  # the gradient is computed here: softmax cross-entropy with label smoothing
for _ in range(5):
    for xb, yb in data.batches(X, y, batch_size=32):
        scores = own.forward(xb)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        goal = 0.9 * np.eye(10, dtype=np.float32)[yb] + 0.01
        own.train_step(xb, grad=(p / p.sum(axis=1, keepdims=True) - goal) / len(xb))
print(f"a loss of one's own {accuracy(own):.4f}")

hand = network()  # one call for each part of a step
for _ in range(5):
    for xb, yb in data.batches(X, y, batch_size=32):
        loss, dlogits = nn.CrossEntropyLoss()(hand.forward(xb, training=True), yb)
        hand.backward(dlogits)
        hand.clip_grad_norm(1.0)
        hand.apply_gradients()
print(f"by hand, with clipping {accuracy(hand):.4f}, last loss {loss:.4f}")
assert same
assert min(map(accuracy, (steps, own, hand))) > 0.9
