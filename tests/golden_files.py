# SPDX-License-Identifier: BSD-3-Clause
"""Model files of each format, with their predictions, which later versions have to read.

`PYTHONPATH=tests python tests/golden_files.py` writes the files that are missing in tests/golden:
one for each member of the registries, and one for each optimizer in both dtypes. It never writes a
file anew, because such files are what users have.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import members
from fastnn import nn, optim
from fastnn.nn import _entries
from models import layer_of
from saved import WIDTH, F, K, mixed, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).with_name("golden")
OUTPUTS = FOLDER / "predictions.json"
X = np.linspace(-1.5, 2.0, 3 * F).reshape(3, F)
FORMAT = 1
DTYPES = ("float32", "float64")
SUFFIXES = (".npz", ".safetensors")


def _with_layer(name: str, dtype: str) -> nn.Sequential:
    cases = members.hyper_cases(_room(name), name)
    layers = members.network_with(name, cases[-1], F, WIDTH, K)
    model = nn.Sequential(*(layer_of(*entry) for entry in layers), dtype=dtype, seed=5)
    model.compile("adam", "cross_entropy", ["accuracy"])
    model.fit(*rows(dtype=dtype), batch_size=8, epochs=2)
    return model


def _room(name: str) -> str:
    return next(room for room in _MAKERS if name in members.names(room))


def _with_loss(name: str, dtype: str) -> nn.Sequential:
    hyper, _ = members.fitted(name, members.hyper_cases("losses", name)[-1], K)
    layers = [members.linear(F, WIDTH), ("tanh", {}), members.linear(WIDTH, K)]
    layers += members.ending(name, K, hyper)
    model = nn.Sequential(*(layer_of(*entry) for entry in layers), dtype=dtype, seed=5)
    loss = _entries.LOSSES[name](**members.paired("losses", name, hyper))
    model.compile("sgd", loss)
    model.fit(*rows(name, dtype=dtype, hyper=hyper), batch_size=8)
    return model


def _with_optimizer(name: str, dtype: str) -> nn.Sequential:
    model = mixed(dtype)
    values = members.paired("optimizers", name, members.hyper_cases("optimizers", name)[-1])
    groups = {"*.bias": {"lr": 0.001}}
    model.compile(_entries.OPTIMIZERS[name](**values, param_groups=groups), "cross_entropy")
    model.fit(*rows(dtype=dtype), batch_size=8, epochs=2)
    return model


def _with_schedule(name: str, dtype: str) -> nn.Sequential:
    values = members.paired("schedules", name, members.hyper_cases("schedules", name)[-1])
    model = mixed(dtype)
    model.compile(optim.SGD(lr=_entries.SCHEDULES[name](**values)), "cross_entropy")
    model.fit(*rows(dtype=dtype), batch_size=8, epochs=2)
    return model


_MAKERS: dict[str, Callable[[str, str], nn.Sequential]] = {
    "inputs": _with_layer,
    "layers": _with_layer,
    "activations": _with_layer,
    "losses": _with_loss,
    "optimizers": _with_optimizer,
    "schedules": _with_schedule,
}


def wanted() -> Iterator[tuple[str, str, str, str]]:
    """Yield the name of a file, a room, a member and a dtype, of each file that there has to be."""
    for room in _MAKERS:
        for name in members.names(room):
            number = zlib.crc32(name.encode())
            chosen = DTYPES if room == "optimizers" else DTYPES[number % 2 :][:1]
            for position, dtype in enumerate(chosen):
                suffix = SUFFIXES[(number // 2 + position) % 2]
                yield f"{FORMAT}-{name}-{dtype}{suffix}", room, name, dtype


def stored() -> dict[str, Any]:
    """Return the predictions of X by the name of the file."""
    found: dict[str, Any] = json.loads(OUTPUTS.read_text()) if OUTPUTS.exists() else {}
    return found


def main() -> None:
    """Write the files that are missing, and their predictions."""
    FOLDER.mkdir(exist_ok=True)
    predictions = stored()
    for file, room, name, dtype in wanted():
        if (FOLDER / file).exists():
            continue
        model = _MAKERS[room](name, dtype)
        model.save(FOLDER / file)
        predictions[file] = model.predict(X).tolist()
        lines = [
            f"{json.dumps(key)}: {json.dumps(predictions[key])}" for key in sorted(predictions)
        ]
        OUTPUTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
