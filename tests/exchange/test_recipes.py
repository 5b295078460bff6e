# SPDX-License-Identifier: BSD-3-Clause
"""The recipes of docs/exchange.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "exchange.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^## ([^\n]+)\n.*?```python\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)


def test_there_are_recipes() -> None:
    assert len(RECIPES) == TEXT.count("```python") == 3


# Keras' predict converts tensors of torch in a way that warns with NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("title", "code"), RECIPES, ids=[title for title, _ in RECIPES])
def test_recipe(title: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in re.findall(r"^import (\w+)", code, re.MULTILINE):
        pytest.importorskip(package, exc_type=ImportError)
    if "to_onnx" in code:
        pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, title, "exec"), {})
