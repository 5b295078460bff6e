# SPDX-License-Identifier: BSD-3-Clause
"""What each part adds to a training step: `python -m bench.parts [--room ...] [--only ...]`.

Activations, losses, optimizers, layers, schedules, metrics and callbacks are taken from the
registries. Each stands in three networks, and the step with it is compared with the step without
it: with Identity, the squared error, SGD, or nothing. Beside it stand the steps of PyTorch and,
where it is installed, JAX with the same part (bench/parts_steps.py), in the same process, on one
processor. They take turns, and the smallest times of the rounds are printed, because differences
of medians are as small as their noise.

A part misses its aim if it adds more than it adds in a peer, by more than what the differences vary
by; an elementwise activation also misses it if its step takes more than 1.5 times as long as that
with ReLU. Schedules, metrics and callbacks are measured in fit, in an epoch of 64 steps. The peers
have no metrics of their own: theirs are sums that users take of the outputs of each batch
(bench/parts_metrics.py).
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import itertools
import os
import warnings
from functools import partial
from typing import Any

from bench import parts_steps
from bench.turns import alternate, finish, parser, per_call, table

NETS = {
    "64-32-10": (64, 32, 10),
    "784-128-10": (784, 128, 10),
    "784-512-512-10": (784, 512, 512, 10),
}
MOST_OF_RELU = 1.5
# Of a step: what its smallest times differ by.
NOISE = {"fastnn": 0.03, "torch": 0.1, "jax": 0.1}
BASE = {"activations": "identity", "losses": "mse", "optimizers": "sgd"}
LIBRARIES = {"torch": "PyTorch", "jax": "JAX"}

Times = dict[str, dict[str, float]]  # microseconds of a step: {name of a part: {library: smallest}}


def measured(room: str, options: Any, sizes: tuple[int, ...], peers: parts_steps.Peers) -> Times:
    """Measure the parts of a room that are asked for, and what they are compared with."""
    found = dict(parts_steps.ROOMS[room]())
    base = BASE.get(room, next(iter(found)))
    if options.only:
        kept = {base, "relu", *options.only}
        found = {name: part for name, part in found.items() if kept & {name, name.split()[0]}}
    turns, calls = {}, {}
    for name, part in found.items():
        made = parts_steps.steps(part, sizes, options.batch, peers)
        for who, step in made.items():
            turns[f"{name}|{who}"] = partial(per_call, step, options.seconds)
            calls[f"{name}|{who}"] = parts_steps.FIT_STEPS if part.in_fit else 1
    gc.freeze()  # each turn collects garbage, which takes long with the objects of the peers
    smallest: Times = {base: {}}
    for key, values in alternate(turns, options.rounds, pause=0.0).items():
        name, who = key.split("|")
        smallest.setdefault(name, {})[who] = min(values) / calls[key]
    return smallest


def missed(
    room: str, us: dict[str, float], base: dict[str, float], relu: float, whole: bool
) -> str:
    """Return why a part misses its aim, or an empty text."""
    added = us["fastnn"] - base["fastnn"]
    why = []
    for who in (who for who in LIBRARIES if who in us and who in base):
        noise = sum(NOISE[each] * us[each] for each in ("fastnn", who))
        if added > us[who] - base[who] + noise:
            why.append(f"adds more than in {LIBRARIES[who]}")
    if room == "activations" and not whole and us["fastnn"] > MOST_OF_RELU * relu:
        why.append(f"more than {MOST_OF_RELU} steps with ReLU")
    return ", ".join(why)


def lines(room: str, times: Times, peers: list[str]) -> tuple[list[list[str]], int]:
    """Return the cells of the table, and how many parts miss an aim."""
    base = times[BASE.get(room, next(iter(times)))]
    rows, count = [], 0
    relu = times.get("relu", base)["fastnn"]
    whole = {name for name, row in parts_steps.rows(room).items() if row.get("whole_rows")}
    for name, us in times.items():
        why = missed(room, us, base, relu, name in whole)
        count += bool(why)
        ours = us["fastnn"]
        cells = [name, f"{ours:.2f}", f"{ours - base['fastnn']:.2f}"]
        if room == "activations":
            cells.append(f"{ours / relu:.2f}")
        for who in peers:
            there = who in us and who in base
            cells += [f"{us[who]:.1f}", f"{us[who] - base[who]:.1f}"] if there else ["", ""]
        rows.append([*cells, why])
    return rows, count


def installed(names: list[str]) -> parts_steps.Peers:
    """Return the modules of the peers that can be imported."""
    found: parts_steps.Peers = {}
    for name in names:
        needs = {"jax": ["jax", "optax"]}.get(name, [name])
        if all(importlib.util.find_spec(module) for module in needs):
            found.update({module: importlib.import_module(module) for module in needs})
    if "torch" in found:
        found["torch"].set_num_threads(1)
    return found


def main() -> int:
    """Measure and print."""
    made = parser(__doc__, rounds=5, seconds=0.004)
    made.add_argument("--net", nargs="*", choices=list(NETS), default=list(NETS))
    rooms = list(parts_steps.ROOMS)
    made.add_argument("--room", nargs="*", choices=rooms, default=rooms)
    made.add_argument("--only", nargs="*", help="names of parts")
    made.add_argument("--batch", type=int, default=64, help="rows of a step")
    made.add_argument("--peer", nargs="*", choices=list(LIBRARIES), default=list(LIBRARIES))
    options = made.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # XLA takes as many threads as there are processors.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warnings.filterwarnings("ignore")  # of torch: about reductions, and schedules before a step
    peers = installed(options.peer)
    there = [name for name in LIBRARIES if name in peers]
    absent = [text for name, text in LIBRARIES.items() if name not in peers]
    everything, misses = {}, 0
    for net, room in itertools.product(options.net, options.room):
        times = everything[f"{net} {room}"] = measured(room, options, NETS[net], peers)
        shown = [name for name in there if sum(name in us for us in times.values()) > 1]
        rows, count = lines(room, times, shown)
        misses += count
        head = [f"{room}, {net}, {options.batch} rows", "us a step", "adds"]
        head += ["of ReLU's step"] if room == "activations" else []
        for name in shown:
            head += [f"{LIBRARIES[name]}: us", "adds"]
        print(table([*head, "missed"], rows), end="\n\n", flush=True)
    finish(options.json, parts=everything)
    if absent:
        print(f"not measured: {', '.join(absent)}")
    print("nothing is missed" if not misses else f"{misses} parts miss their aim")
    return 1 if misses else 0


if __name__ == "__main__":
    raise SystemExit(main())
