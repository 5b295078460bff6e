# SPDX-License-Identifier: BSD-3-Clause
"""A wrong file is refused with a ModelFileError that says what is wrong, in little memory."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn
import handmade
import probe
from fastnn import ModelFileError, nn
from fastnn._files import read, write
from fastnn.nn import _config
from mutated import mutations

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".safetensors", ".npz")


def small_model() -> nn.Sequential:
    """Return a trained model whose file is short."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.ReLU(), nn.Linear(2, 1), seed=5)
    model.compile("adam", "mse")
    model.fit([[1, 2], [3, 4], [5, 6]], [1, 2, 3], epochs=2)
    return model


def wrong_configs() -> dict[str, tuple[bytes, str]]:
    """Return files whose checksum fits, but which describe no model, and words of the error."""
    saved = _config.taken("save", small_model())

    def changed(at: str, value: Any, **arrays: Any) -> bytes:
        config = copy.deepcopy(saved.config)
        part: Any = config
        *steps, last = [int(name) if name.isdigit() else name for name in at.split()]
        for step in steps:
            part = part[step]
        if value is ...:
            del part[last]
        else:
            part[last] = value
        return handmade.safetensors(handmade.compact(config), {**saved.arrays, **arrays})

    def weight(value: float) -> dict[str, Any]:
        return {"3.weight": np.full((1, 2), value, np.float32)}

    linear = saved.config["layers"][0]
    huge = {"layer": "linear", "in_features": 10**9, "out_features": 10**9, "bias": True}
    deep: Any = {"layer": "relu"}
    for _ in range(70):
        deep = {"layer": "sequential", "layers": [deep]}
    cases = {
        "a layer that is none": ("layers 0 layer", "lineal"),
        "a layer by import name": ("layers 0 layer", "torch.nn.Linear"),
        "a layer that is code": ("layers 0 layer", "__import__('os').system('true')"),
        "a layer without a name": ("layers 0", {}),
        "a layer that is a number": ("layers 0", 7),
        "layers are 10^9": ("layers", 10**9),
        "layers are text": ("layers", "linear"),
        "20,000 layers": ("layers", [{"layer": "relu"}] * 20_000),
        "4,000 layers with values": ("layers", [linear] * 4000),
        "layers in 70 containers": ("layers 2", deep),
        "a layer of 10^18 values": ("layers 0", huge),
        "as many as overflow": ("layers 0", {**huge, "in_features": 2**62, "out_features": 2**62}),
        "a negative width": ("layers 0 out_features", -2),
        "a width of 2.5": ("layers 0 out_features", 2.5),
        "a width of 10^300": ("layers 0 out_features", 10**300),
        "a width as text": ("layers 0 out_features", "2"),
        "another width": ("layers 0 out_features", 3),
        "a path in a layer": ("layers 0 path", "/etc/passwd"),
        "a missing setting": ("layers 0 bias", ...),
        "eps of -1": ("layers 1 eps", -1),
        "a place that is no place": ("layers 2", {"same_as": "77"}),
        "a place that refers to itself": ("layers 2", {"same_as": "2"}),
        "dtype float16": ("dtype", "float16"),
        "dtype object": ("dtype", "object"),
        "a seed of 2^64": ("seed", 2**64),
        "a negative seed": ("seed", -1),
        "step of 2^70": ("step", 2**70),
        "epochs of -1": ("epochs", -1),
        "epochs true": ("epochs", True),
        "frozen of a layer that is none": ("frozen", ["7"]),
        "frozen of numbers": ("frozen", [0]),
        "one name more": ("code", "import os"),
        "one name less": ("history", ...),
        "an optimizer that is none": ("compiled optimizer optimizer", "os.system"),
        "lr as text": ("compiled optimizer lr", "fast"),
        "lr of -1": ("compiled optimizer lr", -1),
        "a loss that is none": ("compiled loss loss", "builtins.eval"),
        "a loss of other outputs": ("compiled loss", {"loss": "ce", "reduction": "mean"}),
        "a metric that is none": ("compiled metrics", ["bleu"]),
        "an unknown setting": ("compiled settings", {"callback": "f"}),
        "updates of -1": ("compiled updates 0.weight", -1),
        "updates of another key": ("compiled updates", {"9.weight": 1}),
        "another optimizer": ("compiled optimizer", {"optimizer": "sgd"}),
        "a history of text": ("history history", {"loss": ["x"]}),
        "a history that is a list": ("history", [1]),
    }  # fmt: skip
    found = {name: (changed(at, value), "") for name, (at, value) in cases.items()}
    return found | {
        "a weight is NaN": (changed("seed", 1, **weight(np.nan)), "'3.weight' has values that are"),
        "a weight is infinite": (changed("seed", 1, **weight(np.inf)), "not finite"),
        "a state is NaN": (
            changed("seed", 1, **{f"optimizer.exp_avg.{k}": v for k, v in weight(np.nan).items()}),
            "NaN",
        ),
        "an array more": (changed("seed", 1, more=handmade.ONE), "unexpected: more"),
        "an array of another shape": (changed("seed", 1, **{"0.bias": handmade.ONE[:1]}), "shape"),
        "an array of float64": (changed("seed", 1, **{"0.bias": np.zeros(2)}), "float64"),
        "a variance below 0": (
            changed("seed", 1, **{"1.running_var": -handmade.ONE}),
            "at least 0",
        ),
        "no array": (handmade.safetensors(handmade.compact(saved.config), {}), "missing: 0.weight"),
    }


GROUPS = (
    handmade.wrong_headers,
    handmade.wrong_models,
    handmade.wrong_archives,
    wrong_configs,
)


def refusal(path: Path) -> str:
    """Return the message with which a file is refused; other errors are not caught."""
    try:
        fastnn.load(path)
    except ModelFileError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("group", GROUPS)
def test_files_made_by_hand_are_refused_with_the_reason(tmp_path, group):
    cases: dict[str, tuple[bytes, str]] = group()
    path = tmp_path / "model"
    wrong = {}
    for name, (content, words) in cases.items():
        path.write_bytes(content)
        message = refusal(path)
        start = f"[load] {path}: "
        brief = len(message) < len(start) + 460
        if not (message.startswith(start) and re.search(words, message) and brief):
            wrong[name] = message
    assert not wrong


def test_there_are_many_cases_and_the_right_form_of_them_is_read(tmp_path):
    assert sum(len(group()) for group in GROUPS) > 200
    config, arrays = '{"a":[1,{}]}', {"a": handmade.ONE, "b": np.arange(3.0).reshape(3, 1)}
    for make in (handmade.safetensors, handmade.npz):
        path = tmp_path / "model"
        path.write_bytes(make(config, arrays))
        found = read("load", path)
        assert found.config == {"a": [1, {}]}
        assert {name: array.tolist() for name, array in found.arrays.items()} == {
            "a": [0, 1],
            "b": [[0], [1], [2]],
        }
        other = tmp_path / f"other.{make.__name__}"
        write("save", other, found.config, found.arrays)
        assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_truncation_is_refused(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    small_model().save(path)
    size = path.stat().st_size
    for length in reversed(range(size)):
        os.truncate(path, length)
        assert refusal(path), f"{length} of {size} bytes"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_refused(tmp_path, rng, suffix):
    path = tmp_path / f"model{suffix}"
    small_model().save(path)
    for number, changed in enumerate(mutations(path.read_bytes(), 300, rng)):
        path.write_bytes(changed)
        assert refusal(path), f"mutation {number}"


def _many(tmp_path: Path, suffix: str, count: int) -> dict[str, Any]:
    path = tmp_path / f"model{suffix}"
    small_model().save(path)
    found = probe.report("hostile_probe.py", "mutations", str(path), str(count), "1", seconds=900)
    assert found["wrong"] == {}
    assert found["count"] == count
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_100_000_damaged_files_are_refused(tmp_path, suffix):
    found = _many(tmp_path, suffix, 50_000)
    assert found["slowest"] < 1


AUDIT = """
import json, sys
import numpy as np
import fastnn
from fastnn import nn
if sys.argv[2] == "again":
    fastnn.load(sys.argv[1])
events = []
sys.addaudithook(lambda name, given: events.append([name, str(given[0]) if given else ""]))
fastnn.load(sys.argv[1])
print(json.dumps(events))
"""


def audited(path: Path, which: str) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, str(path), which], capture_output=True, text=True, check=True
    )
    events: list[list[str]] = json.loads(done.stdout)
    return events


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_load_opens_one_file_and_executes_nothing(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    small_model().save(path)
    again = [event for event in audited(path, "again") if event[0] != "builtins.id"]
    assert again == [["open", str(path)]]
    first = audited(path, "first")
    # A first load imports the reader; compiled modules of Python are unmarshalled and executed.
    imported = {name for event, name in first if event == "import"}
    known = {"fastnn", *sys.stdlib_module_names, "_hashlib"}
    assert {name.partition(".")[0] for name in imported} <= known
    harmless = {"sys._getframe", "object.__getattr__", "object.__setattr__", "builtins.id"}
    assert {event for event, _ in first} - harmless <= {
        *("import", "open", "exec", "marshal.loads", "os.listdir", "compile")
    }
    opened = [name for event, name in first if event == "open"]
    assert [name for name in opened if not name.endswith((".py", ".pyc", ".so"))] == [str(path)]


def test_refusals_take_little_time_and_memory(tmp_path):
    """Below a second, and in address space for twice the file and 16 MB."""
    for group in GROUPS:
        for name, (content, _) in group().items():
            (tmp_path / re.sub(r"\W", "_", f"{group.__name__} {name}")).write_bytes(content)
    found = probe.report("hostile_probe.py", "limits", str(tmp_path), seconds=60)
    assert found["wrong"] == {}
    assert found["count"] > 200
    assert found["slowest"] < 1
