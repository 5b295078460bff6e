# SPDX-License-Identifier: BSD-3-Clause
"""A wrong file is refused with a ModelFileError that says what is wrong, in little memory."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import handmade
import probe
from fastnn import ModelFileError
from fastnn._files import read, write
from mutated import mutations

if TYPE_CHECKING:
    from pathlib import Path

GROUPS = (handmade.wrong_headers, handmade.wrong_models, handmade.wrong_archives)
SUFFIXES = (".safetensors", ".npz")
CONFIG = {"layers": [{"layer": "linear", "in_features": 3, "out_features": 2}], "lr": 0.001}
ARRAYS = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.bias": np.arange(2, dtype=np.float32),
    "1.num_batches_tracked": np.array(7),
}


def refusal(path: Path) -> str:
    """Return the message with which a file is refused; other errors are not caught."""
    try:
        read("load", path)
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
        if not (message.startswith(start) and re.search(words, message) and len(message) < 500):
            wrong[name] = message
    assert not wrong


def test_there_are_many_cases_and_the_right_form_of_them_is_read(tmp_path):
    assert sum(len(group()) for group in GROUPS) > 150
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
    write("save", path, CONFIG, ARRAYS)
    size = path.stat().st_size
    for length in reversed(range(size)):
        os.truncate(path, length)
        assert refusal(path), f"{length} of {size} bytes"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_refused(tmp_path, rng, suffix):
    path = tmp_path / f"model{suffix}"
    write("save", path, CONFIG, ARRAYS)
    for number, changed in enumerate(mutations(path.read_bytes(), 500, rng)):
        path.write_bytes(changed)
        assert refusal(path), f"mutation {number}"


def _many(tmp_path: Path, suffix: str, count: int) -> dict[str, Any]:
    path = tmp_path / f"model{suffix}"
    write("save", path, CONFIG, ARRAYS)
    found = probe.report("hostile_probe.py", "mutations", str(path), str(count), "1", seconds=900)
    assert found["wrong"] == {}
    assert found["count"] == count
    return found


@pytest.mark.nightly
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_100_000_damaged_files_are_refused(tmp_path, suffix):
    found = _many(tmp_path, suffix, 50_000)
    assert found["slowest"] < 1


def test_refusals_take_little_time_and_memory(tmp_path):
    """Below a second, and in address space for twice the file and 16 MB."""
    for group in GROUPS:
        for name, (content, _) in group().items():
            (tmp_path / re.sub(r"\W", "_", f"{group.__name__} {name}")).write_bytes(content)
    found = probe.report("hostile_probe.py", "limits", str(tmp_path), seconds=60)
    assert found["wrong"] == {}
    assert found["count"] > 150
    assert found["slowest"] < 1
