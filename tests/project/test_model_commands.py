# SPDX-License-Identifier: BSD-3-Clause
"""`python -m fastnn show`, `export` and `predict` read a model file, and say what is wrong."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fastnn import __main__, nn, optim

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(name="model")
def trained() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 4).freeze(), nn.Tanh(), nn.Linear(4, 3), seed=3)
    model.compile(optim.Adam(lr=0.02), "cross_entropy", metrics=["accuracy"], max_grad_norm=1.5)
    x = np.arange(20.0).reshape(10, 2) / 10
    model.fit(x, np.arange(10) % 3, batch_size=5, epochs=7)
    return model


X = np.array([[0.5, -1.25], [3.0, 1e-3]])


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return what a command prints."""
    assert __main__.main([str(each) for each in arguments]) == 0
    out, errors = capsys.readouterr()
    assert not errors
    return out


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the message of a command that fails."""
    assert __main__.main([str(each) for each in arguments]) == 1
    out, errors = capsys.readouterr()
    assert not out
    assert errors.startswith("error: ")
    return errors


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_show(model, tmp_path, capsys, suffix):
    path = tmp_path / f"model{suffix}"
    model.save(path)
    text = run(capsys, "show", path)
    assert str(model.summary(print_fn=None)) in text
    assert repr(model.optimizer) in text
    assert repr(model.loss) in text
    for line in ("dtype +float32", "seed +3", "metrics +accuracy", "max_grad_norm +1.5"):
        assert re.search(rf"(?m)^{line}$", text), line
    assert "\nthe checksum holds: " in text
    last = [line for line in text.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in last] == ["3", "4", "5", "6", "7"]
    assert f"loss {model.history.history['loss'][-1]:.4g}" in last[-1]


def test_show_without_training(tmp_path, capsys):
    path = tmp_path / "model.npz"
    model = nn.Sequential(nn.Linear(2, 1))
    model.save(path)
    assert "compiled  no" in run(capsys, "show", path)
    model.compile("adam", "mse")
    model.save(path, include_optimizer=False)
    assert "optimizer's state  not in the file" in run(capsys, "show", path)


def test_a_file_whose_checksum_does_not_fit(model, tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    model.save(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert "the checksum does not fit" in refused(capsys, "show", path)


def test_predict(model, tmp_path, capsys):
    path = tmp_path / "model.npz"
    model.save(path)
    expected = model.predict(X)
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.csv").write_text("a,b\n0.5,-1.25\n3.0,0.001\n", encoding="utf-8")
    (tmp_path / "bare.csv").write_text("0.5,-1.25\r\n3,1e-3", encoding="utf-8-sig")
    (tmp_path / "odd.csv").write_text('"nan",#2\n0.5,-1.25\n3,1e-3\n', encoding="utf-8")
    np.save(tmp_path / "none.npy", X[:0])
    assert not run(capsys, "predict", path, tmp_path / "none.npy")
    for rows in ("x.npy", "x.csv", "bare.csv", "odd.csv"):
        text = run(capsys, "predict", path, tmp_path / rows)
        found = np.array([line.split(",") for line in text.splitlines()], np.float32)
        np.testing.assert_array_equal(found, expected)
    for out in ("y.npy", "y.csv"):
        assert not run(capsys, "predict", path, tmp_path / "x.csv", "--out", tmp_path / out)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
    assert (tmp_path / "y.csv").read_text(encoding="ascii") == text


def test_one_row_and_one_column(tmp_path, capsys):
    path = tmp_path / "model.npz"
    model = nn.Sequential(nn.Linear(1, 1), dtype="float64")
    model.save(path)
    (tmp_path / "x.csv").write_text("0.5\n", encoding="utf-8")
    text = run(capsys, "predict", path, tmp_path / "x.csv", "--threads", 1)
    assert float(text) == model.predict([[0.5]])[0, 0]


def test_export(model, tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.npz"
    model.save(path)
    for more, outputs in (((), "predictions"), (("--raw",), "raw")):
        assert not run(capsys, "export", path, tmp_path / "model.onnx", *more)
        graph = onnx.load(tmp_path / "model.onnx").graph
        assert [output.name for output in graph.output] == [outputs]


def test_wrong_arguments(model, tmp_path: Path, capsys):
    path = tmp_path / "model.npz"
    model.save(path)
    rows = tmp_path / "x.csv"
    rows.write_text("1,2,3\n", encoding="utf-8")
    assert "No such file" in refused(capsys, "show", tmp_path / "none.npz")
    assert "this is a directory" in refused(capsys, "show", tmp_path)
    assert "JSON" in refused(capsys, "predict", _json(tmp_path), rows)
    assert "3 columns" in refused(capsys, "predict", path, rows)
    assert "No such file" in refused(capsys, "predict", path, tmp_path / "none.csv")
    rows.write_text("a,b\n1,two\n", encoding="utf-8")
    assert "expected lines of numbers" in refused(capsys, "predict", path, rows)
    for text in ("", "a,b\n", "1,2\n3\n", "1;2\n", "1,\n2,3\n", "1,x\n2,3\n", "1,2\n# a\n"):
        rows.write_text(text, encoding="utf-8")
        assert "expected lines of numbers" in refused(capsys, "predict", path, rows)
    rows.write_bytes(b"\xe9,b\n1,2\n")
    assert f"{rows}: 'utf-8' codec" in refused(capsys, "predict", path, rows)
    array = tmp_path / "x.npy"
    np.savez(tmp_path / "x.npz", X)
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    for data in (b"", b"hello", (tmp_path / "x.npz").read_bytes(), pickle.dumps(X)):
        array.write_bytes(data)
        assert f"{array}: this is no file of the kind .npy" in refused(
            capsys, "predict", path, array
        )
    assert "expected an array of numbers" in refused(
        capsys, "predict", path, tmp_path / "objects.npy"
    )


def test_a_wrong_target_does_not_replace_the_model(model, tmp_path, capsys):
    path = tmp_path / "model.npz"
    model.save(path)
    former = path.read_bytes()
    rows = tmp_path / "x.csv"
    rows.write_text("1,2\n", encoding="utf-8")
    assert "ends with .npy or .csv" in refused(capsys, "predict", path, rows, "--out", path)
    assert "ends with .onnx" in refused(capsys, "export", path, path)
    assert path.read_bytes() == former


def test_missing_arguments(tmp_path):
    path = tmp_path / "model.npz"
    for arguments in (["show"], ["predict", str(path)], ["export", str(path)], ["show", "a", "b"]):
        with pytest.raises(SystemExit) as caught:
            __main__.main(arguments)
        assert caught.value.code == 2


def _json(folder: Path) -> str:
    path = folder / "model.json"
    path.write_text("{}", encoding="utf-8")
    return str(path)


def test_as_a_program(model, tmp_path):
    path = tmp_path / "model.npz"
    model.save(path)
    command = [sys.executable, "-W", "error", "-m", "fastnn", "show", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "the checksum holds" in done.stdout
