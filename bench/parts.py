# SPDX-License-Identifier: BSD-3-Clause
"""What each part adds to a training step: `python -m bench.parts [--room ...] [--only ...]`.

Activations, losses, optimizers, layers, schedules, metrics and callbacks are taken from the
registries. Each stands in three networks, and the step with it is compared with the step without
it: with Identity, the squared error, SGD, or nothing. Beside it stand the steps of PyTorch and,
where it is installed, JAX with the same part (bench/parts_steps.py), in the same process, on one
processor.

What a part adds is small beside what the times of a step vary by within a minute. So the step with
it and the step without it are called in turns, a few at a time, and the median of their differences
counts. Behind it is the spread of the rounds' medians. The step without the part stands against
another one like it in the first row: two equal steps differ as well, by where their memory lies.
Models of ours are therefore made anew in each round; those of the peers, which take long to
compile, are made once.

A part misses its aim if it adds more than it adds in a peer, and the measurement can tell the two
apart: by more than the spreads of both, or what two equal steps differ by where that is more. Where
a peer's step is faster with the part than without it, the part counts as adding nothing there. An
elementwise activation also misses it if its step takes more than 1.5 times as long as that with
ReLU. Schedules, metrics and callbacks are measured in fit, in an epoch of 64 steps. The peers have
no metrics of their own: theirs are sums that users take of the outputs of each batch
(bench/parts_metrics.py).
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import itertools
import math
import os
import statistics
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import parts_steps
from bench.turns import alternate, clock, finish, parser, table

if TYPE_CHECKING:
    from collections.abc import Callable

NETS = {
    "64-32-10": (64, 32, 10),
    "784-128-10": (784, 128, 10),
    "784-512-512-10": (784, 512, 512, 10),
}
MOST_OF_RELU = 1.5
BASE = {"activations": "identity", "losses": "mse", "optimizers": "sgd"}
LIBRARIES = {"torch": "PyTorch", "jax": "JAX"}

BLOCK = 2e-4  # seconds of the calls between two looks at the clock, at least one call


class Added(NamedTuple):
    """Microseconds of a step with a part, and what the part adds, with its spread."""

    us: float
    adds: float
    spread: float


class Turn(NamedTuple):
    """Microseconds of a call: the smallest of a block, and the median of what it takes longer."""

    us: float
    longer: float


Times = dict[str, dict[str, Added]]  # {name of a part: {library: its step}}


def turn(base: Callable[[], object], step: Callable[[], object], seconds: float) -> Turn:
    """Call both in turns for twice so many seconds, in both orders."""
    calls = max(1, round(BLOCK / max(clock(base, 1), clock(step, 1))))
    gc.collect()
    if calls > 1:
        clock(base, calls), clock(step, calls)
    smallest, longer, spent, count = math.inf, [], 0.0, 0
    while spent < 2 * seconds or count < 2:
        times = {}
        for call in (base, step) if count % 2 == 0 else (step, base):
            times[call] = clock(call, calls)
        spent, count = spent + times[base] + times[step], count + 1
        smallest = min(smallest, times[step])
        longer.append(times[step] - times[base])
    return Turn(smallest / calls * 1e6, statistics.median(longer) / calls * 1e6)


def made_anew(
    base: parts_steps.Part, part: parts_steps.Part, sizes: tuple[int, ...], options: Any
) -> Turn:
    """Call both steps of ours with new models, whose memory lies elsewhere than in other rounds."""
    pair = [parts_steps.steps(each, sizes, options.batch, {})["fastnn"] for each in (base, part)]
    return turn(pair[0], pair[1], options.seconds)


def measured(room: str, options: Any, sizes: tuple[int, ...], peers: parts_steps.Peers) -> Times:
    """Measure the parts of a room that are asked for, and what they are compared with."""
    found = dict(parts_steps.ROOMS[room]())
    base = BASE.get(room, next(iter(found)))
    if options.only:
        kept = {base, "relu", *options.only}
        found = {name: part for name, part in found.items() if kept & {name, name.split()[0]}}
    bases = parts_steps.steps(found[base], sizes, options.batch, peers)
    turns: dict[str, Callable[[], Turn]] = {}
    calls = {}
    for name, part in found.items():
        for who, step in parts_steps.steps(part, sizes, options.batch, peers).items():
            if who in bases:
                turns[f"{name}|{who}"] = (
                    partial(made_anew, found[base], part, sizes, options)
                    if who == "fastnn"
                    else partial(turn, bases[who], step, options.seconds)
                )
                calls[f"{name}|{who}"] = parts_steps.FIT_STEPS if part.in_fit else 1
    gc.freeze()  # each turn collects garbage, which takes long with the objects of the peers
    times: Times = {base: {}}
    for key, values in alternate(turns, options.rounds, pause=0.0).items():
        name, who = key.split("|")
        times.setdefault(name, {})[who] = added(values, calls[key])
    return times


def added(turns: list[Turn], steps: int) -> Added:
    """Return what a part adds to one of the steps of a call, from all rounds.

    The spread is the median distance from the median, times its ratio to the standard deviation.
    """
    longer = [each.longer / steps for each in turns]
    middle = statistics.median(longer)
    spread = 1.4826 * statistics.median(abs(each - middle) for each in longer)
    return Added(min(each.us for each in turns) / steps, middle, spread)


def missed(
    room: str, own: dict[str, Added], base: dict[str, Added], relu: float, whole: bool
) -> str:
    """Return why a part misses its aim, or an empty text; base: the step without any part."""
    noise = {who: max(each.spread, abs(base[who].adds)) for who, each in own.items()}
    ours = own["fastnn"]
    why = [
        f"adds more than in {text}"
        for who, text in LIBRARIES.items()
        if who in own and ours.adds - max(0.0, own[who].adds) > noise["fastnn"] + noise[who]
    ]
    if room == "activations" and not whole and ours.us > MOST_OF_RELU * relu:
        why.append(f"more than {MOST_OF_RELU} steps with ReLU")
    return ", ".join(why)


def lines(room: str, times: Times, peers: list[str]) -> tuple[list[list[str]], int]:
    """Return the cells of the table, and how many parts miss an aim."""
    first = BASE.get(room, next(iter(times)))
    base = times[first]
    rows, count = [], 0
    relu = times.get("relu", base)["fastnn"].us
    whole = {name for name, row in parts_steps.rows(room).items() if row.get("whole_rows")}
    for name, own in times.items():
        why = "" if name == first else missed(room, own, base, relu, name in whole)
        count += bool(why)
        ours = own["fastnn"]
        cells = [name, f"{ours.us:.2f}", f"{ours.adds:.2f} ± {ours.spread:.2f}"]
        if room == "activations":
            cells.append(f"{ours.us / relu:.2f}")
        for who in peers:
            its = own.get(who)
            cells += [f"{its.us:.1f}", f"{its.adds:.1f} ± {its.spread:.1f}"] if its else ["", ""]
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
    made = parser(__doc__, rounds=7, seconds=0.004)
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
