# SPDX-License-Identifier: BSD-3-Clause
"""Kill processes while they save: `python -m bench.killed_saves [--only fastnn]`.

A process saves in a loop, each time other numbers in the same file, and reports every save that has
returned. It is killed by SIGKILL at a random moment of the loop. Then the file is read. It is

- unreadable, if its reader raises an exception or returns numbers of two saves;
- older, if it has the numbers of a save before the last one that was reported.

Other files in the folder are strays; they are counted after the kill, and again after the next
process has saved for the first time. All writers save the same arrays: a network 128-256-10 and two
arrays of an optimizer's state for each of its parameters, 0.4 MB together.
"""

from __future__ import annotations

import os
import random
import select
import signal
import statistics
import struct
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench.turns import finish, parser, say, table

import fastnn
from fastnn import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTHS = (128, 256, 10)
SAVES = 6  # the kill comes within the time that so many saves take
DEADLINE = 20.0  # seconds for a save; a process that takes longer hangs


def arrays(number: int) -> dict[str, np.ndarray]:
    """Return what the peers save: the arrays of fastnn's file, filled with a number."""
    shapes = {"0.weight": (256, 128), "0.bias": (256,), "2.weight": (10, 256), "2.bias": (10,)}
    names = ("{}", "optimizer.exp_avg.{}", "optimizer.exp_avg_sq.{}")
    return {
        name.format(key): np.full(shape, number, np.float32)
        for key, shape in shapes.items()
        for name in names
    }


def only_number(values: Iterator[np.ndarray]) -> int:
    """Return the number that all arrays are filled with; ValueError if there are several."""
    found = {float(number) for array in values for number in np.unique(np.asarray(array))}
    if len(found) != 1:
        raise ValueError(f"the file has numbers of {len(found)} saves")
    return int(found.pop())


def saves_of_fastnn(path: Path) -> Callable[[int], None]:
    """Return a function that saves a model whose parameters are all one number."""
    model = nn.Sequential(nn.Linear(*WIDTHS[:2]), nn.ReLU(), nn.Linear(*WIDTHS[1:]))
    model.compile("adam", "cross_entropy")

    def save(number: int) -> None:
        for value in model.state_dict().values():
            value[...] = number
        model.save(path)

    return save


def read_by_fastnn(path: Path) -> int:
    """Return the number of the save that is in the file."""
    return only_number(iter(fastnn.load(path).state_dict().values()))


def saves_of_numpy(path: Path) -> Callable[[int], None]:
    """np.savez, which writes into the file itself."""
    return lambda number: np.savez(path, **arrays(number))  # type: ignore[arg-type]


def read_by_numpy(path: Path) -> int:
    """Read all arrays of an .npz file."""
    with np.load(path) as file:
        return only_number(file[name] for name in file.files)


def saves_of_torch(path: Path) -> Callable[[int], None]:
    """torch.save of a dictionary of tensors."""
    import torch

    return lambda number: torch.save(
        {name: torch.from_numpy(array) for name, array in arrays(number).items()}, path
    )


def read_by_torch(path: Path) -> int:
    """torch.load, with its restricted unpickler."""
    import torch

    return only_number(tensor.numpy() for tensor in torch.load(path, weights_only=True).values())


def saves_of_joblib(path: Path) -> Callable[[int], None]:
    """joblib.dump of a dictionary of arrays."""
    import joblib

    return lambda number: joblib.dump(arrays(number), path)


def read_by_joblib(path: Path) -> int:
    """joblib.load."""
    import joblib

    return only_number(iter(joblib.load(path).values()))


@dataclass(frozen=True)
class Writer:
    """How a library saves and reads: the file, the modules that it needs, the two functions."""

    file: str
    needs: tuple[str, ...]
    saves: Callable[[Path], Callable[[int], None]]
    read: Callable[[Path], int]


WRITERS = {
    "fastnn, safetensors": Writer("model.safetensors", (), saves_of_fastnn, read_by_fastnn),
    "fastnn, npz": Writer("model.npz", (), saves_of_fastnn, read_by_fastnn),
    "torch.save": Writer("model.pt", ("torch",), saves_of_torch, read_by_torch),
    "np.savez": Writer("arrays.npz", (), saves_of_numpy, read_by_numpy),
    "joblib.dump": Writer("arrays.joblib", ("joblib",), saves_of_joblib, read_by_joblib),
}


@dataclass
class Outcome:
    """What was found after all kills of one writer."""

    kills: int = 0
    unreadable: int = 0
    older: int = 0
    strays: int = 0  # the largest number after a kill
    strays_later: int = 0  # the largest number after the next save
    saves: int = 0
    seconds: list[float] = field(default_factory=list)  # of a save
    errors: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, and nothing stayed in the folder."""
        return not (self.unreadable or self.older or self.strays > 1 or self.strays_later)


@contextmanager
def looping(save: Callable[[int], None], first: int) -> Iterator[tuple[int, int]]:
    """Fork a process that saves the numbers from `first` on; kill it at the end of the block.

    Yields the process id and the pipe through which it reports the number of each save.
    """
    reports, report = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks; no thread has begun here
        process = os.fork()
    if process == 0:
        os.close(reports)
        try:
            number = first
            while True:
                save(number)
                os.write(report, struct.pack("<q", number))
                number += 1
        finally:
            os._exit(1)
    os.close(report)
    try:
        yield process, reports
    finally:
        os.close(reports)


def reported(pipe: int) -> int:
    """Wait for the next report and return its number."""
    if not select.select([pipe], [], [], DEADLINE)[0]:
        raise TimeoutError(f"no save in {DEADLINE} s")
    data = os.read(pipe, 8)
    if len(data) < 8:
        raise RuntimeError("the process ended by itself")
    return int(struct.unpack("<q", data)[0])


def all_reported(pipe: int) -> list[int]:
    """Return the numbers that a killed process reported and nobody has read."""
    data = b""
    while piece := os.read(pipe, 1 << 16):
        data += piece
    return [number for (number,) in struct.iter_unpack("<q", data)]


def killed(writer: Writer, kills: int, seed: int) -> Outcome:
    """Kill `kills` processes that save with `writer`, and look at the file after each."""
    rng, outcome, first = random.Random(seed), Outcome(), 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / writer.file
        save = writer.saves(path)

        def others() -> set[str]:
            return {entry.name for entry in Path(folder).iterdir() if entry != path}

        left: set[str] = set()
        for _ in range(kills):
            with looping(save, first) as (process, pipe):
                begun = time.perf_counter()
                reported(pipe)
                outcome.strays_later = max(outcome.strays_later, len(left & others()))
                seconds = statistics.median([*outcome.seconds, time.perf_counter() - begun])
                time.sleep(rng.uniform(0, SAVES * seconds))
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                last = max([first, *all_reported(pipe)])
                outcome.seconds.append((time.perf_counter() - begun) / (last - first + 1))
            outcome.kills += 1
            outcome.saves += last - first + 1
            left = others()
            outcome.strays = max(outcome.strays, len(left))
            try:
                found = writer.read(path)
            except Exception as error:  # whatever the readers of other libraries raise
                outcome.unreadable += 1
                outcome.errors.append(f"{type(error).__name__}: {error}"[:200])
            else:
                outcome.older += found < last
            first = last + 2  # the save that was cut off may have been complete
    return outcome


def main() -> int:
    """Print the table; return 1 if a kill cost fastnn a file."""
    made = parser(__doc__, rounds=200)
    made.add_argument("--only", default="", help="writers with this in their name")
    made.add_argument("--seed", type=int, default=1, help="of the moments")
    given = made.parse_args()
    rows, found = [], {}
    for name, writer in WRITERS.items():
        if given.only not in name or not all(map(find_spec, writer.needs)):
            continue
        say(f"{name}: {given.rounds} kills")
        outcome = found[name] = killed(writer, given.rounds, given.seed)
        milliseconds = 1e3 * statistics.median(outcome.seconds)
        counts = [outcome.kills, outcome.unreadable, outcome.older, outcome.strays]
        rows.append([name, *counts, outcome.strays_later, outcome.saves, f"{milliseconds:.1f}"])
    head = ["writer", "kills", "unreadable", "older", "strays", "after the next save", "saves"]
    print(table([*head, "ms a save"], rows))
    finish(given.json, found={name: vars(outcome) for name, outcome in found.items()})
    return int(not all(outcome.good for name, outcome in found.items() if "fastnn" in name))


if __name__ == "__main__":
    sys.exit(main())
