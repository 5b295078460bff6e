# SPDX-License-Identifier: BSD-3-Clause
"""The comparison with other libraries runs, and the page is made from its record."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).with_name("compare_tiny.json")

pytestmark = pytest.mark.skipif(
    not (ROOT / "bench" / "compare").is_dir(), reason="bench/ is in checkouts only"
)


def _compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.compare", *map(str, arguments)]
    return subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def _page(folder: Path) -> Path:
    page = folder / "performance.md"
    text = "before\n<!-- compare {0}: begin -->\nold\n<!-- compare {0}: end -->\nafter\n"
    page.write_text(text.format("float32") + text.format("float64"), encoding="utf-8")
    return page


def _cells(text: str, start: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_record_becomes_the_table(tmp_path: Path) -> None:
    page = _page(tmp_path)
    assert _compare("table", TINY, "--page", page, "--no-picture").returncode == 0
    text = page.read_text(encoding="utf-8")
    # 376,832 operations in the median 8 us are 47.1 GFLOP/s of one core's median 100.
    own = ["64-32-10, 32, SGD", "8 (1)", "0.47", "4M"]
    peers = ["200 (2), **25x**", "losses differ", "40 (1), **5x**"]
    assert _cells(text, "network")[4:] == ["PyTorch", "Keras", "NumPy"]
    assert _cells(text, "64-32-10") == [*own, *peers]
    own = ["100-256-256-256-1, 256, Adam, dropout 0.15", "2000 (2)", "-", "128k"]
    assert _cells(text, "100-256") == [*own, "5000 (2), **2.5x**", "-", "-"]
    assert "Not installed: JAX." in text
    assert text.count("\nold\n") == 1, "the other dtype's part stays"
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert _compare("table", TINY, "--page", page, "--no-picture").returncode == 0
    assert page.read_text(encoding="utf-8") == text


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("nothing\n", encoding="utf-8")
    result = _compare("table", TINY, "--page", page)
    assert result.returncode == 1
    assert "<!-- compare float32: begin -->" in result.stderr
    assert page.read_text(encoding="utf-8") == "nothing\n"


def test_the_picture_is_a_function_of_the_record(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", exc_type=ImportError)
    page = _page(tmp_path)
    pictures = []
    for _ in range(2):
        assert _compare("table", TINY, "--page", page).returncode == 0
        pictures.append((tmp_path / "performance-float32.svg").read_bytes())
    assert pictures[0] == pictures[1]
    assert "](performance-float32.svg)" in page.read_text(encoding="utf-8")


def test_the_page_has_its_places() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    for dtype in ("float32", "float64"):
        assert text.count(f"<!-- compare {dtype}: begin -->") == 1
        assert text.count(f"<!-- compare {dtype}: end -->") == 1


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    chosen = ("--only", "64-32-10", "4-64-64-2", "--peers", "numpy", "--threads", 1, "--rounds", 1)
    result = _compare("--quick", *chosen, "--json", file)
    assert result.returncode == 0, result.stderr
    record = json.loads(file.read_text(encoding="utf-8"))
    assert [(c["network"], c["optimizer"]) for c in record["cases"]] == [
        ("64-32-10", "sgd"),
        ("64-32-10", "adam"),
        ("4-64-64-2", "sgd"),
    ]
    for case in record["cases"]:
        assert not case["skipped"]
        assert case["difference"]["numpy/1"] <= case["tolerance"]["numpy/1"]
        losses = case["losses"]["numpy/1"]
        assert losses[-1] < losses[0], "training that changes nothing would prove nothing"
        (entry,) = case["rounds"]
        assert set(entry["turns"]) == {"fastnn/auto", "fastnn/1", "numpy/1"}
        assert all(math.isfinite(turn["us"]) and turn["us"] > 0 for turn in entry["turns"].values())
    assert "| 64-32-10, 32, SGD |" in result.stdout


def test_an_unknown_network_is_refused() -> None:
    arguments = ("--quick", "--only", "none-such", "--peers", "numpy")
    result = _compare(*arguments)
    assert result.returncode == 2
    assert "known: 64-32-10" in result.stderr
