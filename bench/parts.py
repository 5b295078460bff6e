# SPDX-License-Identifier: BSD-3-Clause
"""What each part adds to a training step: `python -m bench.parts`.

For three networks, activations and losses are taken from the registries, one after the other. The
step with an activation is compared with the same step without one (Identity), and also given in
multiples of the step with ReLU; the step with a loss is compared with the one of the squared error.
Beside it stands what PyTorch's step takes longer for the same part, in the same process and with as
many threads. The libraries and the steps they are compared with take turns, and the smallest times
of the rounds are printed, because differences of medians are as small as their noise. A part misses
its aim if it adds more than in PyTorch, by more than what the two differences vary by; an
elementwise activation also misses it if the step takes more than 1.5 times as long as with ReLU.
"""

from __future__ import annotations

import itertools
import os
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.turns import alternate, finish, parser, per_call, table

from fastnn import _core, reference

if TYPE_CHECKING:
    from collections.abc import Callable

NETS = {
    "64-32-10": (64, 32, 10),
    "784-128-10": (784, 128, 10),
    "784-512-512-10": (784, 512, 512, 10),
}
MOST_OF_RELU = 1.5
NOISE = {"fastnn": 0.03, "torch": 0.1}  # of a step: what its smallest times differ by
RATE = 1e-4
BASE = {"activations": "identity", "losses": "mse"}


class Part:
    """A step of both libraries with one activation and one loss.

    Parameters
    ----------
    sizes : columns of the input and of each Linear
    batch : rows
    activation, loss : names of rows
    torch : the module, or None
    """

    def __init__(
        self, sizes: tuple[int, ...], batch: int, activation: str, loss: str, torch: Any
    ) -> None:
        row = next(r for r in _core.registries()["losses"] if r["name"] == loss)
        each = row["outputs_per_target"]
        self.sizes = (*sizes[:-1], -(-sizes[-1] // each) * each)
        self.activation, self.loss, self.row = activation, loss, row
        rng = np.random.default_rng(1)
        self.x = rng.standard_normal((batch, sizes[0])).astype(np.float32)
        columns = self.sizes[-1] // each
        self.y = rng.uniform(0.05, 0.95, (batch, columns)).astype(np.float32)
        if row["target"] == "class":
            self.y = rng.integers(0, columns, batch)
        self.steps: dict[str, Callable[[], object]] = {"fastnn": self._fastnn()}
        if torch is not None and self._in_torch():
            self.steps["torch"] = self._torch(torch)

    def _fastnn(self) -> Callable[[], object]:
        layers: list[tuple[str, dict[str, Any]]] = []
        for n_in, n_out in itertools.pairwise(self.sizes):
            layers += [("linear", {"in_features": n_in, "out_features": n_out})]
            layers += [(self.activation, {})]
        layers.pop()
        if self.row["outputs"] == "0 to 1":
            layers.append(("sigmoid", {}))
        network = _core.Network(layers, "float32", 0)
        network.compile(self.loss, {}, "sgd", {"lr": RATE})
        return lambda: network.train_step(self.x, self.y, None, 1)

    def _in_torch(self) -> bool:
        activation = reference.ACTIVATIONS[self.activation].torch
        return activation is not None and reference.LOSSES[self.loss].torch is not None

    def _torch(self, torch: Any) -> Callable[[], object]:
        def made(row: Any, default: str) -> Any:
            return getattr(torch.nn, row.torch.name or default)(**row.torch.options)

        activation = reference.ACTIVATIONS[self.activation]
        loss = reference.LOSSES[self.loss]
        layers: list[Any] = []
        for n_in, n_out in itertools.pairwise(self.sizes):
            layers += [torch.nn.Linear(n_in, n_out), made(activation, activation.class_name)]
        layers.pop()
        if self.row["outputs"] == "0 to 1":
            layers.append(torch.nn.Sigmoid())
        model, measure = torch.nn.Sequential(*layers), made(loss, loss.class_name)
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
        x, y, call = torch.from_numpy(self.x), torch.from_numpy(self.y), loss.torch.call

        def step() -> None:
            optimizer.zero_grad()
            out = model(x)
            (call(measure, out, y) if call else measure(out, y)).backward()
            optimizer.step()

        return step


def parts(sizes: tuple[int, ...], batch: int, room: str, names: list[str], torch: Any) -> Any:
    """Return the steps of a room's members by name."""
    made = {}
    for name in names:
        activation, loss = (name, "cross_entropy") if room == "activations" else ("relu", name)
        made[name] = Part(sizes, batch, activation, loss, torch)
    return made


def measured(
    room: str, options: Any, sizes: tuple[int, ...], torch: Any
) -> dict[str, dict[str, float]]:
    """Return microseconds of a step: {name of a member: {library: smallest}}."""
    names = [r["name"] for r in _core.registries()[room]]
    if options.only:
        kept = {BASE[room], "relu", *options.only}
        names = [name for name in names if name in kept]
    found = parts(sizes, options.batch, room, names, torch)
    turns = {
        f"{name} {who}": partial(per_call, step, options.seconds)
        for name, part in found.items()
        for who, step in part.steps.items()
    }
    smallest: dict[str, dict[str, float]] = {}
    for key, values in alternate(turns, options.rounds, pause=0.0).items():
        name, who = key.split()
        smallest.setdefault(name, {})[who] = min(values)
    return smallest


def missed(
    room: str, us: dict[str, float], base: dict[str, float], relu: float, whole: bool
) -> str:
    """Return why a part misses its aim, or an empty text."""
    added = us["fastnn"] - base["fastnn"]
    noise = sum(NOISE[who] * us[who] for who in us)
    if "torch" in us and added > us["torch"] - base["torch"] + noise:
        return "adds more than in PyTorch"
    if room == "activations" and not whole and us["fastnn"] > MOST_OF_RELU * relu:
        return f"more than {MOST_OF_RELU} steps with ReLU"
    return ""


def lines(room: str, times: dict[str, dict[str, float]]) -> tuple[list[list[str]], int]:
    """Return the cells of the table, and how many parts miss an aim."""
    base, rows, count = times[BASE[room]], [], 0
    relu = times.get("relu", base)["fastnn"]
    whole = {r["name"] for r in _core.registries()[room] if r.get("whole_rows")}
    for name, us in times.items():
        why = missed(room, us, base, relu, name in whole)
        count += bool(why)
        ours, theirs = us["fastnn"], us.get("torch")
        more = "" if theirs is None else f"{theirs - base['torch']:.1f}"
        rows.append(
            [
                name,
                f"{ours:.1f}",
                f"{ours - base['fastnn']:.1f}",
                f"{ours / relu:.2f}" if room == "activations" else "",
                "" if theirs is None else f"{theirs:.1f}",
                more,
                why,
            ]
        )
    return rows, count


def main() -> int:
    """Measure and print."""
    made = parser(__doc__, rounds=5, seconds=0.004)
    made.add_argument("--net", nargs="*", choices=list(NETS), default=list(NETS))
    made.add_argument("--room", nargs="*", choices=list(BASE), default=list(BASE))
    made.add_argument("--only", nargs="*", help="names of members")
    made.add_argument("--batch", type=int, default=64, help="rows of a step")
    made.add_argument("--without-torch", action="store_true")
    options = made.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore", message="reduction: 'mean' divides")  # KLDivLoss of torch
    torch = None
    if not options.without_torch:
        import torch

        torch.set_num_threads(1)
    everything, misses = {}, 0
    for net, room in itertools.product(options.net, options.room):
        times = everything[f"{net} {room}"] = measured(room, options, NETS[net], torch)
        rows, count = lines(room, times)
        misses += count
        head = [f"{room}, {net}, {options.batch} rows", "us a step", "adds", "of ReLU's step"]
        print(table([*head, "PyTorch: us", "adds", "missed"], rows), end="\n\n", flush=True)
    finish(options.json, parts=everything)
    print("nothing is missed" if not misses else f"{misses} parts miss their aim")
    return 1 if misses else 0


if __name__ == "__main__":
    raise SystemExit(main())
