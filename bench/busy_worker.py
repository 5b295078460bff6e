# SPDX-License-Identifier: BSD-3-Clause
"""The process of one way to train: `python -m bench.busy_worker WAY THREADS`.

A way is "fit" or "train_step", which are fastnn's, or the name of a peer of `bench.compare`, with
the number of threads that the peer uses by default.
"""

from __future__ import annotations

import os
from typing import Any

from bench.compare import worker


class Session(worker.Session):
    """The requests that the parent process may send: `versions`, `load` and `turn`."""

    def __init__(self, way: str, threads: int) -> None:
        self.way, self.own = way, way in {"fit", "train_step"}
        super().__init__("fastnn" if self.own else way, threads)
        if not self.own:
            self.threads = threads or _usual_threads(way)

    def load(self, case: dict[str, Any]) -> None:
        super().load(case)
        if self.own:
            self.peer = Kept(self.peer, single=self.way == "train_step")


class Kept:
    """The peer fastnn, compiled once, so that the tuner of threads keeps its choice between turns.

    It has the methods of `bench.compare.case.Peer`. The peer of the comparison compiles the model
    in every turn, after which the tuner begins again.
    """

    def __init__(self, peer: Any, single: bool) -> None:
        self.peer, self.single, self.model = peer, single, peer.model
        peer.reset()
        (x, y), batch = peer.data, peer.case.batch
        self.batches = [(x[at : at + batch], y[at : at + batch]) for at in range(0, len(x), batch)]

    def reset(self) -> None:
        self.model.load_state_dict(self.peer.values)

    def run(self, epochs: int) -> None:
        if not self.single:
            self.peer.run(epochs)
            return
        step, n_threads = self.model.train_step, self.peer.threads
        for _ in range(epochs):
            for x, y in self.batches:
                step(x, y, n_threads=n_threads)

    def losses(self, epochs: int) -> list[float]:
        found: list[float] = self.peer.losses(epochs)
        return found

    def threads_used(self) -> int:
        return int(self.model.threads_used)


def _usual_threads(name: str) -> int:
    """Return PyTorch's default number of threads, and for other peers the number of processors."""
    if name.startswith("torch"):
        import torch

        return torch.get_num_threads()
    return len(os.sched_getaffinity(0))


if __name__ == "__main__":
    worker.serve(Session)
