# SPDX-License-Identifier: BSD-3-Clause
"""Prints the threads that a process with this environment uses, for test_thread_limits.py.

Arguments: names of libraries, which are imported and used in this order; one of them is fastnn.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from importlib import import_module
from typing import Any

import numpy as np

import float_register

rng = np.random.default_rng(4)
X = rng.standard_normal((512, 64)).astype(np.float32)
Y = rng.integers(0, 5, 512)


def use_fastnn() -> dict[str, Any]:
    from fastnn import _core, nn

    def model() -> nn.Sequential:
        new = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 5), seed=6)
        new.compile("adam", "cross_entropy")
        return new

    seen: dict[str, Any] = {"limits": _core.thread_limits()}
    digest = hashlib.sha256()
    for n in (None, 1, 2, 5):
        trained = model()
        history = trained.fit(X, Y, batch_size=256, epochs=3, n_threads=n)
        seen[str(n)] = history.threads_used
        bits = [np.ascontiguousarray(v).tobytes() for v in trained.state_dict().values()]
        digest.update(hashlib.sha256(b"".join(bits)).digest())
        seen.setdefault("bits", []).append(hashlib.sha256(b"".join(bits)).hexdigest())
    return seen


def use_torch() -> dict[str, Any]:
    import torch

    a = torch.ones(600, 600)
    return {"sum": float((a @ a).tanh().sum()), "threads": torch.get_num_threads()}


def use_sklearn() -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(X, Y)
    return {"score": float(model.score(X, Y))}


def pools() -> list[int]:
    from threadpoolctl import threadpool_info

    return sorted(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")


if __name__ == "__main__":
    names = sys.argv[1:]
    answers: dict[str, Any] = {"before": float_register.read()}
    for name in names:
        import_module(name)
    answers["imported"] = float_register.read()
    for name in names:
        answers[name] = {"fastnn": use_fastnn, "torch": use_torch, "sklearn": use_sklearn}[name]()
    if "torch" in names:
        answers["torch again"] = use_torch()
    answers["used"] = float_register.read()
    thread = threading.Thread(target=lambda: answers.update(thread=float_register.read()))
    thread.start()
    thread.join()
    answers["pools"] = pools() if "threadpoolctl" in sys.modules or len(names) > 1 else []
    print(json.dumps(answers))
