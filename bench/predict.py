# SPDX-License-Identifier: BSD-3-Clause
"""Time predictions of one row and of many rows, and `train_step`: `python -m bench.predict`.

One row of 17-64-64-6 is predicted by the method and by `predictor()`, by NumPy, and by PyTorch in
inference_mode; many rows also by PyTorch with its better number of threads. `train_step` is
compared with a step inside `fit`. Every library has its own process; they take turns, and the
tables have medians. All compute raw outputs, which must equal NumPy's.
"""

from __future__ import annotations

import os
import statistics
import sys
from functools import partial
from typing import Any

from bench.compare.child import Child, ChildError
from bench.turns import alternate, best, finish, parser, table

WORKER = "bench.predict_worker"
ONE = ((17, 64, 64, 6), 1)
ONE_LIMIT = 2.5  # microseconds
# Widths, rows, least ratio of PyTorch's time to fastnn's
MANY = [((784, 512, 512, 10), 10_000, 1.3), ((64, 32, 10), 10_000, 5.0)]
STEPS = [((4, 64, 64, 2), 1), ((64, 32, 10), 32), ((17, 64, 64, 6), 64)]
STEP_LIMIT = 2.0  # microseconds
AGREE = 1e-4


class Peers:
    """The worker processes by title."""

    def __init__(self) -> None:
        cores = len(os.sched_getaffinity(0))
        counts = sorted({1, min(2, cores)})
        ways = [("numpy", n, "") for n in counts] + [("torch", n, "") for n in counts]
        self.ways = [("fastnn", 0, "predict"), ("fastnn", 1, "predictor"), *ways]
        self.children = {way: Child(way[0], way[1], WORKER) for way in self.ways}

    def close(self) -> None:
        for child in self.children.values():
            child.close()

    def measure(
        self, widths: tuple[int, ...], rows: int, ways: list[Any], rounds: int, seconds: float
    ) -> dict[str, list[float]]:
        """Return microseconds per call by name."""
        turns, reference = {}, None
        for way in sorted(ways, key=lambda way: way[0] != "numpy"):
            child = self.children[way]
            try:
                out = child.ask("load", widths=widths, rows=rows, way=way[2])
            except ChildError as error:
                if not error.unsupported:
                    raise
                print(f"without {_name(way)}: {error}", file=sys.stderr)
                continue
            reference = reference or out
            size = max(map(abs, reference))
            if max(abs(a - b) for a, b in zip(out, reference, strict=True)) > AGREE * size:
                raise ChildError(f"{_name(way)} does not predict what NumPy does")
            turns[_name(way)] = partial(child.ask, "turn", seconds=seconds)
        return alternate(turns, rounds)


def _name(way: tuple[str, int, str]) -> str:
    peer, threads, kind = way
    return f"{peer} {kind}" if kind else f"{peer}/{threads}"


def one_row(peers: Peers, rounds: int, seconds: float) -> tuple[dict[str, Any], bool]:
    """Print the table of one row."""
    widths, rows = ONE
    ways = [way for way in peers.ways if way[0] != "numpy" or way[1] == 1]
    times = peers.measure(widths, rows, ways, rounds, seconds)
    own = best({name: t for name, t in times.items() if name.startswith("fastnn")})[1]
    lines = []
    for name, values in times.items():
        us = statistics.median(values)
        lines.append([name, f"{us:.2f}", f"{us / own:.2f}"])
    title = f"one row of {'-'.join(map(str, widths))}"
    print(table([title, "us", "over fastnn's better"], lines), end="\n\n")
    return {"widths": widths, "rows": rows, "us": times, "limit_us": ONE_LIMIT}, own <= ONE_LIMIT


def many_rows(peers: Peers, rounds: int, seconds: float) -> tuple[list[dict[str, Any]], bool]:
    """Print the table of many rows."""
    found, lines, good = [], [], True
    ways = [way for way in peers.ways if way[2] != "predictor"]
    for widths, rows, least in MANY:
        times = peers.measure(widths, rows, ways, rounds, seconds)
        own = statistics.median(times["fastnn predict"])
        cells = []
        for peer in ("torch", "numpy"):
            name, us = best({n: t for n, t in times.items() if n.startswith(peer)})
            cells.append(f"{us / 1e3:.2f} ({name[-1]}), **{us / own:.2f}x**")
            good = good and (peer != "torch" or us / own >= least)
        name = "-".join(map(str, widths))
        lines.append([name, f"{rows:,}", f"{own / 1e3:.2f}", *cells, f"{least:g}x"])
        found.append({"widths": widths, "rows": rows, "us": times, "least": least})
    head = ["many rows", "rows", "fastnn ms", "PyTorch ms (threads)", "NumPy ms (threads)", "goal"]
    print(table(head, lines), end="\n\n")
    return found, good


def single_steps(rounds: int, seconds: float) -> tuple[list[dict[str, Any]], bool]:
    """Print how much longer train_step takes than a step of fit, on one thread."""
    child = Child("fastnn", 1, WORKER)
    found, lines, good = [], [], True
    for widths, batch in STEPS:
        # Many short turns, because the difference is small compared with the noise of both times.
        pairs = [
            child.ask("overhead", widths=widths, batch=batch, seconds=seconds / 8)
            for _ in range(5 * rounds)
        ]
        single, whole = (min(values) for values in zip(*pairs, strict=True))
        middle = statistics.median(a - b for a, b in pairs)
        good = good and single - whole <= STEP_LIMIT
        cells = [f"{value:.2f}" for value in (single, whole, single - whole, middle)]
        lines.append(["-".join(map(str, widths)), batch, *cells])
        found.append({"widths": widths, "batch": batch, "pairs_us": pairs})
    child.close()
    head = ["single steps", "batch", "train_step us", "in fit us", "difference", "median of rounds"]
    print(table(head, lines))
    print(f"\nLeast times of {5 * rounds} rounds and their difference: at most {STEP_LIMIT:g} us.")
    return found, good


def main() -> int:
    """Print the tables; return 1 if a goal is missed."""
    given = parser(__doc__, rounds=7, seconds=0.25).parse_args()
    peers = Peers()
    try:
        one, one_good = one_row(peers, given.rounds, given.seconds)
        many, many_good = many_rows(peers, given.rounds, given.seconds)
    finally:
        peers.close()
    steps, steps_good = single_steps(given.rounds, given.seconds)
    finish(given.json, one=one, many=many, steps=steps)
    return int(not (one_good and many_good and steps_good))


if __name__ == "__main__":
    sys.exit(main())
