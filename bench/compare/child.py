# SPDX-License-Identifier: BSD-3-Clause
"""Worker processes as the parent process uses them."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["Child", "ChildError"]

ROOT = Path(__file__).resolve().parents[2]
THREADS = ("OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR", "VECLIB")
PATIENCE = 900.0  # seconds to wait for a reply: compilers and the widest network take minutes


class ChildError(Exception):
    """A worker failed or died; `unsupported` if its library cannot train the network."""

    def __init__(self, text: str, unsupported: bool = False) -> None:
        super().__init__(text)
        self.unsupported = unsupported


class Child:
    """The worker process of one peer with one number of threads; 0 means the peer's own choice.

    Parameters
    ----------
    peer : str
        Name of the peer: a module of `peers` without the suffix `_peer`.
    threads : int
    worker : str
        The module that the process runs; it calls `worker.serve`.
    environment : dict of str to str, optional
        Variables that are added to the environment of the caller.
    """

    def __init__(
        self,
        peer: str,
        threads: int,
        worker: str = "bench.compare.worker",
        environment: dict[str, str] | None = None,
    ) -> None:
        self.peer, self.threads, self.worker = peer, threads, worker
        added = environment or {}
        environment = {
            name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")
        }
        if threads:
            environment |= {f"{name}_NUM_THREADS": str(threads) for name in THREADS}
        environment |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(_path()), **added}
        self.environment = environment
        self._start()

    def _start(self) -> None:
        # Stays open as long as the process, so that its last output can be read when it dies.
        self.errors: Any = tempfile.TemporaryFile(  # noqa: SIM115
            "w+", encoding="utf-8", errors="replace"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.worker, self.peer, str(self.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=self.environment,
            cwd=ROOT,
            text=True,
        )

    @property
    def name(self) -> str:
        """Peer and threads: "torch/2", or "fastnn/auto" for fastnn's own choice."""
        return f"{self.peer}/{self.threads or 'auto'}"

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send a request to the worker and return its result.

        A worker that died is restarted by the request "load".

        Raises
        ------
        ChildError
            If the worker failed or died, or if its library cannot train the network.
        """
        if do == "load" and self.process.poll() is not None:
            self.close()
            self._start()
        process = self.process
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            process.stdin.flush()
        except OSError:
            raise ChildError(self._last_output()) from None
        line = self._line()
        if not line:
            raise ChildError(self._last_output())
        reply = json.loads(line)
        if "result" not in reply:
            unsupported = "unsupported" in reply
            raise ChildError(reply["unsupported" if unsupported else "error"], unsupported)
        return reply["result"]

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                self.process.kill()
                raise ChildError(f"no reply within {PATIENCE:.0f} s")
        return self.process.stdout.readline()

    def _last_output(self) -> str:
        status = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return f"the process ended ({status}): {lines[-1] if lines else 'it said nothing'}"


def _path() -> list[str]:
    """Return PYTHONPATH for the worker: the checkout, for `bench`, and the caller's paths."""
    given = os.environ.get("PYTHONPATH")
    return [str(ROOT), *([given] if given else [])]
