# SPDX-License-Identifier: BSD-3-Clause
"""Peak memory of training MNIST from uint8: `FASTNN_DATA=folder python -m bench.memory`.

Each library trains 784-512-512-10 for one epoch in batches of 128, in a fresh process. Measured is
VmHWM, the peak of the resident memory of the whole process. PyTorch gets the rows as uint8 as well
and converts batch by batch. The lower bound is the memory of a process with NumPy and the images,
plus the bytes of parameters, optimizer state and the activations of one batch.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench import mnist
from bench.turns import alternate, finish, parser, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTHS, BATCH = (784, 512, 512, 10), 128
SCALE = 1 / 255
PEER_SHARE = 1 / 3  # fastnn's process over PyTorch's, at most
FLOOR_FACTOR = 1.3
STATES = {"sgd": 0, "adam": 2}  # arrays of the parameters' size
ROOT = Path(__file__).resolve().parents[1]


def numpy_only(x: NDArray[Any], y: NDArray[Any], optimizer: str) -> None:  # noqa: ARG001
    """Do nothing: only the interpreter, NumPy and the images are in memory."""
    assert int(x[0].max()) == 255
    assert int(y.max()) == 9


def fastnn_run(x: NDArray[Any], y: NDArray[Any], optimizer: str) -> None:
    """Train one epoch with Sequential.fit."""
    from fastnn import nn

    layers: list[Any] = [nn.Rescale(SCALE)]
    for a, b in itertools.pairwise(WIDTHS):
        layers += [nn.Linear(a, b), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    model.compile(optimizer, nn.CrossEntropyLoss())
    model.fit(x, y, BATCH, 1)


def torch_run(x: NDArray[Any], y: NDArray[Any], optimizer: str) -> None:
    """Train one epoch with the usual loop."""
    import torch
    from torch.nn import functional as F

    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    layers: list[Any] = []
    for a, b in itertools.pairwise(WIDTHS):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    made: Any = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    step = made(model.parameters(), lr=1e-3)
    for rows in torch.randperm(len(images)).split(BATCH):
        step.zero_grad()
        F.cross_entropy(model(images[rows].float() * SCALE), labels[rows].long()).backward()
        step.step()


RUNS = {"numpy": numpy_only, "fastnn": fastnn_run, "torch": torch_run}


def child(folder: str, name: str, optimizer: str) -> None:
    """Train, then print the peak of the memory in bytes."""
    x, y = (np.load(Path(folder) / f"{what}.npy") for what in "xy")
    RUNS[name](x, y, optimizer)
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            print(json.dumps(int(line.split()[1]) * 1024))


def peak(folder: str, name: str, optimizer: str) -> int:
    """Return the peak memory of a fresh process in bytes."""
    command = [sys.executable, "-m", "bench.memory", "--child", folder, name, optimizer]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr.strip()}")
    return int(done.stdout.splitlines()[-1])


def counted(optimizer: str) -> int:
    """Return the bytes of parameters, state, and activations of a batch with their gradients."""
    parameters = sum((a + 1) * b for a, b in itertools.pairwise(WIDTHS))
    activations = BATCH * (WIDTHS[0] + 2 * sum(WIDTHS[1:]))
    return 4 * (parameters * (1 + STATES[optimizer]) + activations)


def judged(folder: str, optimizer: str, rounds: int) -> tuple[dict[str, Any], list[str], bool]:
    """Return the figures of one optimizer, its line, and whether both goals are met."""
    turns = {name: partial(peak, folder, name, optimizer) for name in RUNS}
    found = alternate(turns, rounds, pause=0.0)
    base, own, peer = (statistics.median(found[name]) for name in ("numpy", "fastnn", "torch"))
    floor = base + counted(optimizer)
    cells = [f"{value / 1e6:.1f}" for value in (own, peer, base, counted(optimizer))]
    shares = [f"{own / peer:.2f}", f"{own / floor:.2f}"]
    row = {"optimizer": optimizer, "bytes": found, "counted": counted(optimizer)}
    good = own <= PEER_SHARE * peer and own <= FLOOR_FACTOR * floor
    return row, [optimizer, *cells, *shares], good


def main() -> int:
    """Print the table; return 1 if a goal is missed."""
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return 0
    given = parser(__doc__, rounds=3).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # Decompressed here: a measured process that did it itself would need memory for two copies.
        for name, values in zip("xy", mnist.load("train"), strict=True):
            np.save(Path(folder) / f"{name}.npy", values)
        results = [judged(folder, optimizer, given.rounds) for optimizer in STATES]
    head = ["optimizer", "fastnn MB", "PyTorch MB", "NumPy and images MB", "counted MB"]
    print(table([*head, "of PyTorch's", "of the floor"], [line for _, line, _ in results]))
    print(f"\nAt most {PEER_SHARE:.2f} of PyTorch's process and {FLOOR_FACTOR} of the floor.")
    finish(given.json, rows=[row for row, _, _ in results])
    return int(not all(good for _, _, good in results))


if __name__ == "__main__":
    sys.exit(main())
