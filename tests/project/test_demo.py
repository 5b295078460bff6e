# SPDX-License-Identifier: BSD-3-Clause
"""The commands of `python -m fastnn` run as programs, and print what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import fastnn
from fastnn import _core, _demo
from fastnn._pair import Pair, curve_difference

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "fastnn", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )


def numbers(text: str, label: str) -> list[float]:
    found = re.search(rf"^{label}\s+([\d.,]+)\s+([\d.,]+)$", text, re.MULTILINE)
    assert found, f"{label} is not in\n{text}"
    return [float(group.replace(",", "")) for group in found.groups()]


def test_demo() -> None:
    done = run("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    for accuracy in numbers(done.stdout, "test accuracy"):
        assert accuracy >= 0.97
    seconds, steps = numbers(done.stdout, "seconds"), numbers(done.stdout, "steps per second")
    assert all(value > 0 for value in seconds + steps)
    faster = re.search(r"^([\d.]+) times faster than NumPy", done.stdout, re.MULTILINE)
    assert faster
    # The command prints one decimal.
    assert float(faster[1]) == pytest.approx(steps[0] / steps[1], rel=0.05, abs=0.05)
    difference = re.search(r"difference of the two loss curves: (\S+)", done.stdout)
    assert difference
    assert float(difference[1]) <= _demo.AGREEMENT
    assert len(re.findall(r"epoch 20/20", done.stdout)) == 2


def test_demo_fails_where_the_accuracy_is_not_reached() -> None:
    done = run("demo", "--epochs", "1", "--threads", "1")
    assert done.returncode == 1
    assert "FAILED: test accuracy" in done.stderr
    assert "with 1 thread(s)" in done.stdout


def test_judgement(capsys: pytest.CaptureFixture[str]) -> None:
    assert _demo._judge(0.98, 1e-6) == 0
    assert _demo._judge(0.98, 1.0) == 1
    assert _demo._judge(0.98, float("nan")) == 1
    assert "loss curves differ" in capsys.readouterr().err
    assert curve_difference([1.0, float("nan")], [1.0, 1.0]) == float("inf")
    assert curve_difference([1.0], [1.0, 1.0]) == float("inf")


def test_a_pair_starts_from_equal_weights() -> None:
    pair = Pair((3, 5, 2), "adam", {"lr": 0.1}, scale=0.5, seed=4)
    ours, theirs = (
        [entry["array"].tolist() for entry in network.parameters()]
        for network in (pair.engine, pair.twin)
    )
    assert ours == theirs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bench_quick(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "bench.json"
    done = run("bench", "--quick", "--dtype", dtype, "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("fastnn")
    lines = re.findall(r"^([\d-]+) +(\d+) +(sgd|adam)((?: +[\d.]+){5})$", done.stdout, re.MULTILINE)
    assert [line[0] for line in lines] == ["64-32-10"] * 2 + ["17-64-64-6"] * 2
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["build"]["isa"] == _core.isa
    assert record["dtype"] == dtype
    for line, result in zip(lines, record["results"], strict=True):
        ours, theirs, gflops, ratio, threads = (float(word) for word in line[3].split())
        assert result["agree"]
        assert len(result["rounds"]) == 3
        assert ours == pytest.approx(result["fastnn_us"], abs=0.06)
        assert ratio == pytest.approx(theirs / ours, rel=0.05, abs=0.06)
        assert gflops == pytest.approx(result["flops"] / result["fastnn_us"] / 1e3, abs=0.06)
        assert threads == result["threads_used"]


def test_bench_times_nothing_that_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fastnn import _bench

    monkeypatch.setattr(_bench, "AGREEMENT", {"float32": -1.0})
    monkeypatch.setattr(_bench, "NETWORKS", _bench.NETWORKS[:1])
    assert _bench.main(quick=True) == 1
    said = capsys.readouterr()
    assert "not timed" in said.out
    assert "FAILED: 64-32-10 sgd" in said.err


def test_info() -> None:
    done = run("info", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    rows = {line[:17].strip(): line[17:] for line in done.stdout.splitlines()}
    assert rows["fastnn"] == fastnn.__version__
    assert rows["instruction set"].split()[0] == _core.isa
    assert rows["threads"].startswith("1 (")
    assert "OMP_NUM_THREADS=1" in rows["threads"]
    for name in ("processor", "compiler", "Eigen", "OpenMP", "pybind11", "NumPy", "Python"):
        assert rows[name]


def test_build_info() -> None:
    info = fastnn.build_info()
    assert info["version"] == fastnn.__version__
    assert info["isa"] in info["isa_built"]
    assert info["threads"] == _core.threads_available()
    known = [n for n in info["thread_limits"].values() if n is not None]
    assert info["threads"] <= min(known)
    json.dumps(info)


def test_wrong_words_are_refused() -> None:
    assert run("train").returncode == 2
    assert "not positive" in run("demo", "--epochs", "0").stderr
    assert run("--version").stdout.strip() == f"fastnn {fastnn.__version__}"
