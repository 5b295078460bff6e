# SPDX-License-Identifier: BSD-3-Clause
"""The process of one peer: `python -m bench.compare.worker PEER THREADS`.

Requests and replies are lines of JSON on standard input and output.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .case import Case, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Peer

__all__ = ["Session", "pin", "serve"]


class Session:
    """The requests that the parent process may send."""

    def __init__(self, name: str, threads: int) -> None:
        self.threads = threads
        self.module: Any = importlib.import_module(f".peers.{name}_peer", __package__)
        if self.module.PINNED and threads:
            pin(threads)
        self.case: Case | None = None
        self.peer: Any = None

    def versions(self) -> dict[str, str]:
        versions: dict[str, str] = self.module.versions()
        return versions

    def load(self, case: dict[str, Any]) -> None:
        self.peer = None
        gc.collect()
        self.case = Case.from_json(case)
        self.peer = self.module.Model(self.case, self.threads)

    def losses(self, epochs: int) -> list[float]:
        """Return the losses of the first epochs; the timed call runs before each but the first."""
        peer: Peer = self.peer
        peer.reset()
        first = peer.losses(1)
        peer.reset()
        peer.run(1)
        return first + peer.losses(epochs - 1)

    def turn(self, seconds: float) -> dict[str, float]:
        """Time about `seconds` of training from the initial weights, after a warm-up."""
        peer: Peer = self.peer
        assert self.case is not None
        most = max(1, self.case.max_steps // self.case.batches)
        peer.reset()
        # More and more epochs until the time can be measured; all calls but the last are warm-up.
        epochs, spent = 1, self._clock(1)
        while spent < seconds / 8 and epochs < most:
            epochs = min(4 * epochs, most)
            spent = self._clock(epochs)
        epochs = max(1, min(most, round(epochs * seconds / spent)))
        gc.collect()
        spent = self._clock(epochs)
        steps = epochs * self.case.batches
        return {"seconds": spent, "steps": steps, "threads": peer.threads_used()}

    def _clock(self, epochs: int) -> float:
        start = perf_counter()
        self.peer.run(epochs)
        return perf_counter() - start


def pin(threads: int) -> None:
    """Confine this process to as many processors."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[-threads:])


def serve(make: Callable[[str, int], Any]) -> None:
    """Answer requests until the pipe closes; the first one calls `make`, which may fail."""
    # Libraries may print to standard output, so it is redirected to standard error.
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    session = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if session is None:
                session = make(sys.argv[-2], int(sys.argv[-1]))
            reply = {"result": getattr(session, request.pop("do"))(**request)}
        except (UnsupportedError, ImportError) as error:
            reply = {"unsupported": f"{error}"}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=pipe, flush=True)


if __name__ == "__main__":
    serve(Session)
