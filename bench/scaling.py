# SPDX-License-Identifier: BSD-3-Clause
"""How a step would scale to 4, 8 and 16 cores: `python -m bench.scaling`.

A model from measured parts. A phase of n equal items takes t threads ceil(n / t) / n of the time
that it takes one thread, and each phase ends with a barrier. One thread's step is shared out among
the phases by their operations; the barrier is what a second thread adds to a network that has no
work for it. That predicts two threads, which are measured: unless it is right within 5 % on all
networks, nothing is claimed. Items are equal here, which tiles at the edges are not, and a barrier
of more threads is taken to cost in proportion to them.

The model knows no memory: cores that share a bus or a last-level cache, or lower their clock when
all of them work, reach less than it says, above all where the parameters outgrow the caches.
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
EMPTY = (2, 1)  # two phases of no work, at batch 1
CALL_FLOPS, MOST_STEPS = 1e9, 4096  # of one call of fit
BATCHES = {_bench.WIDE[0]: 1}
Phases = list[tuple[str, int, float]]


def phases(widths: tuple[int, ...], batch: int) -> Phases:
    """(kind, items, operations of all items) of a step's phases, without the first step's own."""
    found = _core.testing.phase_items(list(itertools.pairwise(widths)), batch)
    # Weights are laid out in panels before the first step only; later the tiles keep them.
    kept = [phase for phase in found if phase[0] != "panels"]
    if all(len(phase) == 3 for phase in kept):
        return [(kind, items, items * flops) for kind, items, flops in kept]
    return estimated(widths, batch, [(phase[0], phase[1]) for phase in kept])


def estimated(widths: tuple[int, ...], batch: int, kept: list[tuple[str, int]]) -> Phases:
    """Operations where the plan does not say them: tiles a third, the rest by kind."""
    products = [2.0 * batch * a * b for a, b in itertools.pairwise(widths)]
    tiles, others = sum(products), 2 * sum(products) - products[0]
    blocks = sum(kind == "blocks" for kind, _ in kept)
    rows = sum(kind == "rows" for kind, _ in kept)
    # Wide layers have phases of their own; what stays in rows phases is the last, narrow one.
    share = {"tiles": tiles, "blocks": others / max(1, blocks), "rows": others / rows}
    if blocks:
        share["rows"] = 2 * products[-1] / rows
    return [(kind, items, share[kind]) for kind, items in kept]


def predicted(plan: Phases, one: float, barrier: float, threads: int) -> float:
    """Microseconds of a step on `threads` threads; `barrier` is that of two, for one phase."""
    total = sum(flops for _, _, flops in plan)
    work = sum(one * flops / total * math.ceil(items / threads) / items for _, items, flops in plan)
    return work + (len(plan) * barrier * threads / 2 if threads > 1 else 0.0)


class Step:
    """A network in training: microseconds of a step."""

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
        self.network.compile("mse", {}, "sgd", {"lr": 1e-4}, {}, 0.0)
        # Long calls: starting the team is not part of a step.
        steps = min(MOST_STEPS, CALL_FLOPS / _bench.Case(widths, batch, "sgd").flops)
        self.epochs = max(1, round(steps / self.batches))

    def turn(self, threads: int) -> float:
        """Microseconds of a step on so many threads."""
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


def barrier_cost(rounds: int, seconds: float) -> float:
    """Microseconds that two threads take longer than one for a phase without work."""
    step = Step(EMPTY, 1, seconds)
    found = alternate({"1": partial(step.turn, 1), "2": partial(step.turn, 2)}, 2 * rounds)
    more = statistics.median(found["2"]) - statistics.median(found["1"])
    return max(0.0, more) / len(phases(EMPTY, 1))


def measured(widths: tuple[int, ...], batch: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Return medians of one and two threads."""
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


def judge(rows: list[dict[str, Any]], barrier: float) -> tuple[list[list[str]], float]:
    """Add predictions to the rows; return the table's lines and the largest error."""
    lines, worst = [], 0.0
    for row in rows:
        guess = predicted(row["phases"], row["one_us"], barrier, 2)
        error = guess / row["two_us"] - 1
        worst = max(worst, abs(error))
        efficiency = {
            n: row["one_us"] / (n * predicted(row["phases"], row["one_us"], barrier, n))
            for n in (2, *CORES)
        }
        row |= {"predicted_two_us": guess, "error": error, "efficiency": efficiency}
        items = " ".join(f"{kind}:{count}" for kind, count, _ in row["phases"])
        figures = [f"{row[name]:.1f}" for name in ("one_us", "two_us", "predicted_two_us")]
        lines.append([f"{row['network']}, {row['batch']}", items, *figures, f"{error:+.1%}"])
    return lines, worst


def claim(rows: list[dict[str, Any]]) -> bool:
    """Print what the model says of more cores; return whether the aim is met."""
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
    """Return 1 if the model claims too little, 2 if it may claim nothing."""
    given = parser(__doc__, rounds=7, seconds=0.25).parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        print("two cores are needed to test the model: no claim is made", file=sys.stderr)
        return 2
    barrier = barrier_cost(given.rounds, given.seconds)
    networks = [*_bench.NETWORKS, _bench.WIDE]
    rows = [measured(widths, batch, given.rounds, given.seconds) for widths, batch in networks]
    lines, worst = judge(rows, barrier)
    head = ["network", "items", "1 thread us", "2 threads us", "predicted", "error"]
    print(table(head, lines))
    print(f"\nBarrier of two threads: {barrier:.2f} us.")
    finish(given.json, barrier_us=barrier, worst=worst, rows=rows)
    if worst > TOLERANCE:
        print(f"The model is wrong by up to {worst:.0%}, more than 5 %: no claim is made.")
        return 2
    print()
    return int(not claim(rows))


if __name__ == "__main__":
    sys.exit(main())
