# SPDX-License-Identifier: BSD-3-Clause
"""Time and memory of saving and loading a large model: `python -m bench.saving [--own]`.

The model has ten million parameters and Adam's state: 126 MB. The floor is the time of writing as
many bytes with one call and fsync, or of reading them, plus their SHA-256. torch.save, np.savez and
joblib store the same arrays where they are installed, without fsync and without a checksum over
all of them. Each turn is a process of its own; the page cache has the file when it is loaded.

Memory is the peak of a call (VmHWM) above what the process had before a save, or has after a load.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.turns import alternate, finish, parser, table

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTHS = (1024, 2048, 2048, 2048, 10)
TIME_LIMIT, MEMORY_LIMIT = 1.3, 1.0  # times the floor, and the size of the file
SUFFIXES = {
    "floor": ".bin",
    "fastnn safetensors": ".safetensors",
    "fastnn npz": ".npz",
    "torch.save": ".pt",
    "np.savez": ".numpy.npz",
    "joblib": ".joblib",
}
OWN = list(SUFFIXES)[:3]
ROOT = Path(__file__).resolve().parents[1]


def model() -> Any:
    """Return the model after a step, so that Adam has its state."""
    from fastnn import nn

    layers: list[Any] = []
    for a, b in itertools.pairwise(WIDTHS):
        layers += [nn.Linear(a, b), nn.ReLU()]
    made = nn.Sequential(*layers[:-1])
    made.compile("adam", "cross_entropy")
    made.train_step(np.ones((8, WIDTHS[0]), np.float32), np.arange(8))
    return made


def arrays() -> dict[str, Any]:
    """Return arrays of the sizes of the model's parameters and states."""
    rng = np.random.default_rng(0)
    found = {}
    for number, (a, b) in enumerate(itertools.pairwise(WIDTHS)):
        for kind in ("", "optimizer.exp_avg.", "optimizer.exp_avg_sq."):
            found[f"{kind}{number}.weight"] = rng.standard_normal((b, a), dtype=np.float32)
            found[f"{kind}{number}.bias"] = rng.standard_normal(b, dtype=np.float32)
    return found


def write(path: Path, data: Any) -> None:
    """Write bytes and their checksum, with fsync."""
    with path.open("wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
        file.write(hashlib.sha256(data).digest())
        os.fsync(file.fileno())


def read(path: Path) -> Any:
    """Read bytes and compute their checksum."""
    data = np.fromfile(path, np.uint8)
    hashlib.sha256(data).digest()
    return data


def saver(name: str, path: Path) -> Callable[[], Any]:
    """Return a function that saves once; what it saves is in memory."""
    if name == "floor":
        data = np.concatenate([array.ravel() for array in arrays().values()])
        return partial(write, path, data.view(np.uint8).data)
    if name.startswith("fastnn"):
        saved = model()
        _first_use(path)
        return partial(saved.save, path)
    held = arrays()
    if name == "torch.save":
        import torch

        tensors = {key: torch.from_numpy(array) for key, array in held.items()}
        return partial(torch.save, tensors, path)
    if name == "np.savez":
        return partial(np.savez, path, **held)
    import joblib

    return partial(joblib.dump, held, path)


def _first_use(path: Path) -> None:
    """Save and load a small model: what that imports is not part of the measurement."""
    import fastnn
    from fastnn import nn

    small = path.with_name(f"small{path.suffix}")
    nn.Sequential(nn.Linear(2, 2)).save(small)
    fastnn.load(small)


def loader(name: str, path: Path) -> Callable[[], Any]:
    """Return a function that loads the file once."""
    if name == "floor":
        return partial(read, path)
    if name.startswith("fastnn"):
        import fastnn

        _first_use(path)
        return partial(fastnn.load, path)
    if name == "torch.save":
        import torch

        return partial(torch.load, path, weights_only=True)
    if name == "np.savez":
        return partial(_all_arrays, path)
    import joblib

    return partial(joblib.load, path)


def _all_arrays(path: Path) -> dict[str, Any]:
    with np.load(path) as file:
        return dict(file)


def memory(field: str) -> int:
    """Return VmRSS or VmHWM of this process in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(field)


def child(what: str, name: str, path: Path) -> None:
    """Save or load once; print seconds and bytes."""
    call = {"save": saver, "load": loader}[what](name, path)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets VmHWM
    before = memory("VmRSS")
    start = perf_counter()
    kept = call()
    seconds = perf_counter() - start
    held = before if what == "save" else memory("VmRSS")
    print(json.dumps([seconds, memory("VmHWM") - held]))
    del kept


def turn(what: str, name: str, folder: Path) -> list[float]:
    """Return seconds and bytes of one call in a process of its own."""
    path = folder / f"model{SUFFIXES[name]}"
    if what == "save":
        path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.saving", "--child", what, name, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{what} {name}: {done.stderr.strip()}")
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def is_installed(name: str) -> bool:
    """Return whether the library that `name` begins with can be imported."""
    module = name.partition(".")[0].replace("np", "numpy")
    return importlib.util.find_spec(module) is not None


def measured(
    what: str, names: list[str], folder: Path, rounds: int
) -> tuple[dict[str, Any], list[list[str]], bool]:
    """Return all rounds, the lines of the table, and whether the limits are met."""
    found = alternate({name: partial(turn, what, name, folder) for name in names}, rounds)
    size = (folder / "model.bin").stat().st_size
    lines, good = [], True
    for name in names:
        # A turn is compared with the floor's of the same round: the disk is not always as fast.
        ratio = statistics.median(
            a[0] / b[0] for a, b in zip(found[name], found["floor"], strict=True)
        )
        seconds, extra = (statistics.median(values) for values in zip(*found[name], strict=True))
        lines.append(
            [
                f"{what}, {name}",
                f"{1e3 * seconds:.0f}",
                f"{ratio:.2f}",
                f"{extra / 1e6:.0f}",
                f"{extra / size:.2f}",
            ]
        )
        if name.startswith("fastnn"):
            good = good and ratio <= TIME_LIMIT and extra <= MEMORY_LIMIT * size
    return found, lines, good


def main() -> int:
    """Print the table; return 1 if a limit is exceeded."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
        return 0
    made = parser(__doc__, rounds=5)
    made.add_argument("--own", action="store_true", help="leave out the other libraries")
    made.add_argument("--folder", help="where the files are written; by default the temporary one")
    given = made.parse_args()
    names = [name for name in SUFFIXES if name in OWN or (not given.own and is_installed(name))]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rows, good = {}, True
        lines: list[list[str]] = []
        for what in ("save", "load"):
            rows[what], more, met = measured(what, names, Path(folder), given.rounds)
            lines, good = lines + more, good and met
        size = (Path(folder) / "model.safetensors").stat().st_size
    head = ["", "median ms", "of the floor's time", "memory MB", "of the file"]
    print(table(head, lines))
    print(
        f"\n{size / 1e6:.0f} MB. fastnn: at most {TIME_LIMIT} of the floor's time, memory below "
        f"{MEMORY_LIMIT:g} times the file."
    )
    finish(given.json, rows=rows, size=size)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
