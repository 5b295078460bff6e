# SPDX-License-Identifier: BSD-3-Clause
"""Predict how a step would scale to 4, 8 and 16 cores: `python -m bench.scaling`.

The prediction is a model with measured parameters. With t threads, a phase of n equal items takes
ceil(n / t) / n of the time that it takes with one thread, plus a fixed cost at its end, when the
last thread that leaves it opens the next phase. The time of one thread's step is distributed over
the phases in proportion to their operations. The cost of a phase's end is what a second thread adds
to the step of a network without work for it, and is assumed to be proportional to the number of
threads. The model is checked with two threads: unless it is right within 5 % on all networks, the
program makes no claim about more cores. (Items are not all equal: tiles at the edges are smaller.)

The model ignores memory. Cores that share a bus or a last-level cache, or that lower their clock
when all of them work, reach less, above all where the parameters are larger than the caches.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
import sys
from functools import partial
from typing import Any

import numpy as np
from bench.turns import alternate, finish, parser, per_call, table

from fastnn import _bench, _core

CORES = (4, 8, 16)
TOLERANCE = 0.05
AIM = ((784, 512, 512, 10), 8, 0.8)  # network, cores, least efficiency
EMPTY = (2, 1)  # with a batch of one row: two phases almost without work
CALL_FLOPS, MOST_STEPS = 1e9, 4096  # of one call of fit
BATCHES = {_bench.WIDE[0]: 1}
Phases = list[tuple[str, int, float]]


def phases(widths: tuple[int, ...], batch: int) -> Phases:
    """Return (kind, items, operations of all items) of the phases of a later step of a fit."""
    found = _core.testing.phase_items(list(itertools.pairwise(widths)), batch)
    # Weights are packed in a phase of the first step only; later the tiles update the packed copy.
    kept = [phase for phase in found if phase[0] != "repack"]
    if all(len(phase) == 3 for phase in kept):
        return [(kind, items, items * flops) for kind, items, flops in kept]
    return estimated(widths, batch, [(phase[0], phase[1]) for phase in kept])


def estimated(widths: tuple[int, ...], batch: int, kept: list[tuple[str, int]]) -> Phases:
    """Distribute the operations of a step where the plan does not state them: a third to tiles."""
    products = [2.0 * batch * a * b for a, b in itertools.pairwise(widths)]
    tiles, others = sum(products), 2 * sum(products) - products[0]
    blocks = sum(kind == "blocks" for kind, _ in kept)
    rows = sum(kind == "rows" for kind, _ in kept)
    # Wide layers have phases of their own; only the last, narrow layer remains in the rows phases.
    share = {"tiles": tiles, "blocks": others / max(1, blocks), "rows": others / rows}
    if blocks:
        share["rows"] = 2 * products[-1] / rows
    return [(kind, items, share[kind]) for kind, items in kept]


def predicted(plan: Phases, one: float, phase_end: float, threads: int) -> float:
    """Return microseconds per step; `phase_end` is the cost of a phase's end with two threads."""
    total = sum(flops for _, _, flops in plan)
    work = sum(one * flops / total * math.ceil(items / threads) / items for _, items, flops in plan)
    return work + (len(plan) * phase_end * threads / 2 if threads > 1 else 0.0)


class Step:
    """A network whose training steps are timed."""

    def __init__(self, widths: tuple[int, ...], batch: int, seconds: float) -> None:
        self.batch, self.batches, self.seconds = batch, BATCHES.get(widths, 16), seconds
        rng = np.random.default_rng(0)
        n = self.batches * batch
        self.x = rng.standard_normal((n, widths[0])).astype(np.float32)
        self.y = rng.standard_normal((n, widths[-1])).astype(np.float32)
        layers: list[tuple[str, dict[str, Any]]] = []
        for a, b in itertools.pairwise(widths):
            layers += [("linear", {"in_features": a, "out_features": b}), ("relu", {})]
        self.network = _core.Network(layers[:-1], "float32", 0)
        self.network.compile("mse", {}, "sgd", {"lr": 1e-4})
        # Long calls, so that the start of a call is negligible.
        steps = min(MOST_STEPS, CALL_FLOPS / _bench.Case(widths, batch, "sgd").flops)
        self.epochs = max(1, round(steps / self.batches))

    def turn(self, threads: int) -> float:
        """Return microseconds per step with this number of threads."""
        call = partial(
            self.network.fit,
            self.x,
            self.y,
            batch_size=self.batch,
            epochs=self.epochs,
            shuffle=False,
            n_threads=threads,
        )
        return per_call(call, self.seconds) / (self.batches * self.epochs)


def phase_end_cost(rounds: int, seconds: float) -> float:
    """Return by how many microseconds two threads are slower than one in an empty phase."""
    step = Step(EMPTY, 1, seconds)
    found = alternate({"1": partial(step.turn, 1), "2": partial(step.turn, 2)}, 2 * rounds)
    more = statistics.median(found["2"]) - statistics.median(found["1"])
    return max(0.0, more) / len(phases(EMPTY, 1))


def measured(widths: tuple[int, ...], batch: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Return the median times of a step with one and with two threads."""
    step = Step(widths, batch, seconds)
    found = alternate({"1": partial(step.turn, 1), "2": partial(step.turn, 2)}, rounds)
    return {
        "network": "-".join(map(str, widths)),
        "batch": batch,
        "phases": phases(widths, batch),
        "one_us": statistics.median(found["1"]),
        "two_us": statistics.median(found["2"]),
        "rounds_us": found,
    }


def judge(rows: list[dict[str, Any]], phase_end: float) -> tuple[list[list[str]], float]:
    """Add predictions to the rows; return the table's lines and the largest error."""
    lines, worst = [], 0.0
    for row in rows:
        guess = predicted(row["phases"], row["one_us"], phase_end, 2)
        error = guess / row["two_us"] - 1
        worst = max(worst, abs(error))
        efficiency = {
            n: row["one_us"] / (n * predicted(row["phases"], row["one_us"], phase_end, n))
            for n in (2, *CORES)
        }
        row |= {"predicted_two_us": guess, "error": error, "efficiency": efficiency}
        items = " ".join(f"{kind}:{count}" for kind, count, _ in row["phases"])
        figures = [f"{row[name]:.1f}" for name in ("one_us", "two_us", "predicted_two_us")]
        lines.append([f"{row['network']}, {row['batch']}", items, *figures, f"{error:+.1%}"])
    return lines, worst


def claim(rows: list[dict[str, Any]]) -> bool:
    """Print the predicted efficiency with more cores; return whether the aim is met."""
    head = ["predicted efficiency", *(f"{n} cores" for n in CORES)]
    lines = [
        [f"{row['network']}, {row['batch']}", *(f"{row['efficiency'][n]:.2f}" for n in CORES)]
        for row in rows
    ]
    print(table(head, lines))
    widths, cores, least = AIM
    name = "-".join(map(str, widths))
    found = next(row["efficiency"][cores] for row in rows if row["network"] == name)
    print(f"\n{name} with {cores} cores: {found:.2f}, at least {least}.")
    return bool(found >= least)


def main() -> int:
    """Return 1 if the predicted efficiency misses the aim, 2 if the model is not good enough."""
    given = parser(__doc__, rounds=7, seconds=0.25).parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        print("two cores are needed to test the model: no claim is made", file=sys.stderr)
        return 2
    phase_end = phase_end_cost(given.rounds, given.seconds)
    networks = [*_bench.NETWORKS, _bench.WIDE]
    rows = [measured(widths, batch, given.rounds, given.seconds) for widths, batch in networks]
    lines, worst = judge(rows, phase_end)
    head = ["network", "items", "1 thread us", "2 threads us", "predicted", "error"]
    print(table(head, lines))
    print(f"\nEnd of a phase with two threads: {phase_end:.2f} us.")
    finish(given.json, phase_end_us=phase_end, worst=worst, rows=rows)
    if worst > TOLERANCE:
        print(f"The model is wrong by up to {worst:.0%}, more than 5 %: no claim is made.")
        return 2
    print()
    return int(not claim(rows))


if __name__ == "__main__":
    sys.exit(main())
