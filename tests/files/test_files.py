# SPDX-License-Identifier: BSD-3-Clause
"""What is written is what is read, in both kinds of file, byte for byte the same each time."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from typing import Any

import numpy as np
import pytest

import fastnn
import handmade
from fastnn import ModelFileError, nn
from fastnn._files import read, read_tensors, tensors, write

SUFFIXES = (".safetensors", ".npz")
CONFIG = {"layers": [{"layer": "linear", "name": "ü"}], "lr": 1e-3, "none": None, "flags": [True]}


def arrays_of_every_kind(rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
    """Return arrays of all dtypes, of awkward shapes and strides."""
    found = {}
    for number, (name, dtype) in enumerate(tensors.DTYPES.items()):
        for shape in [(), (0, 3), (1,), (7,), (5, 3), (2, 3, 4)]:
            values = np.asarray(
                rng.integers(0, 2, shape) if name == "BOOL" else rng.random(shape) * 99
            )
            key = f"{number}.{'x'.join(map(str, shape))}"
            found[key] = values.astype(dtype)
            found[f"{key}.T"] = values.astype(dtype).T
    wide = rng.random((70, 30_000))
    return found | {
        "wide": wide,
        "wide.T": wide.T,
        "every second": wide[::-1, ::2],
        "big-endian": wide[:2, :3].astype(">f4"),
        "ü": wide[0],
        "repeated": np.broadcast_to(np.float32(3), (300, 5000)),
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path, rng, suffix):
    arrays = arrays_of_every_kind(rng)
    write("save", tmp_path / f"a{suffix}", CONFIG, arrays)
    found = read("load", str(tmp_path / f"a{suffix}"))
    assert found.config == CONFIG
    assert found.version == fastnn.__version__
    assert set(found.arrays) == set(arrays)
    for name, array in arrays.items():
        got = found.arrays[name]
        assert (got.dtype, got.shape) == (array.dtype.newbyteorder("="), array.shape), name
        assert got.tobytes() == array.astype(got.dtype).tobytes(), name
        assert got.flags.writeable
        assert got.flags.aligned
    again = dict(reversed(arrays.items()))
    write("save", tmp_path / f"b{suffix}", CONFIG, again)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_both_kinds_have_the_same_checksum(tmp_path, rng):
    arrays = arrays_of_every_kind(rng)
    sums = set()
    for suffix in SUFFIXES:
        write("save", tmp_path / f"a{suffix}", CONFIG, arrays)
        sums.add(read("load", tmp_path / f"a{suffix}").sha256)
    assert len(sums) == 1
    small = {name: array for name, array in arrays.items() if array.dtype.str in handmade.NAMES}
    write("save", tmp_path / "small.npz", CONFIG, small)
    texts = handmade.sealed(handmade.compact(CONFIG), small)
    assert read("load", tmp_path / "small.npz").sha256 == texts["fastnn.sha256"]


def test_numpy_reads_the_archives(tmp_path, rng):
    arrays = arrays_of_every_kind(rng)
    write("save", tmp_path / "a.npz", CONFIG, arrays)
    with np.load(tmp_path / "a.npz") as found:
        assert set(found) == {*arrays, "__metadata__"}
        for name, array in arrays.items():
            assert np.array_equal(found[name], array)
        texts = json.loads(found["__metadata__"].tobytes())
    assert json.loads(texts["fastnn.config"]) == CONFIG
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.testzip() is None


def test_safetensors_reads_our_files_and_we_read_its_files(tmp_path, rng):
    library = pytest.importorskip("safetensors.numpy")
    for number in range(100):
        arrays = {
            f"{k}.weight": rng.random(rng.integers(0, 5, rng.integers(0, 4))).astype(dtype)
            for k, dtype in enumerate(rng.choice(["f8", "f4", "f2", "i8", "u1", "?"], 6))
        }
        path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
        write("save", path, {"number": number}, arrays)
        found = library.load_file(path)
        assert set(found) == set(arrays)
        assert all(found[k].tobytes() == arrays[k].tobytes() for k in arrays)
        with library.safe_open(path, "numpy") as file:
            texts = file.metadata()
        library.save_file(arrays, other, metadata=texts)
        assert read("load", other).sha256 == texts["fastnn.sha256"]
        library.save_file(arrays, other)
        plain = read_tensors(other)
        assert {k: (v.dtype, v.tobytes()) for k, v in plain.items()} == {
            k: (v.dtype, v.tobytes()) for k, v in arrays.items()
        }


def _of_torch(**options: Any) -> bytes:
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, file, **options)
    return file.getvalue()


def _archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"{}")
    return file.getvalue()


def _plain_npz(save: Any) -> bytes:
    file = io.BytesIO()
    save(file, a=np.zeros(3))
    return file.getvalue()


FOREIGN = {
    "torch": (_of_torch, r"PyTorch; model.load_state_dict\(torch.load"),
    "old torch": (lambda: _of_torch(_use_new_zipfile_serialization=False), "pickle, .*PyTorch's"),
    "pickle": (lambda: pickle.dumps({"a": 1}), "pickle, which runs code"),
    "keras": (lambda: _archive("metadata.json", "config.json"), "Keras; nn.from_keras"),
    "keras again": (lambda: _archive("config.json", "model.weights.h5"), "Keras"),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5, as of Keras"),
    "onnx": (lambda: b"\x08\x0a\x12\x07pytorch\x1a\x032.1", "ONNX"),
    "npy": (lambda: handmade.npy(np.zeros(3)), "NumPy's .npy"),
    "npz": (lambda: _plain_npz(np.savez), r"load_state_dict\(dict\(numpy.load\(path\)\)\)"),
    "compressed npz": (lambda: _plain_npz(np.savez_compressed), "is compressed"),
    "zip": (lambda: _archive("readme.txt"), "zip, but not of arrays"),
    "empty zip": (_archive, "zip, and it is empty"),
    "gzip": (lambda: gzip.compress(b"hello"), "compressed data"),
    "gguf": (lambda: b"GGUF\3\0\0\0" + b"\0" * 50, "GGUF"),
    "lightgbm": (lambda: b"tree\nversion=v4\n", "LightGBM"),
    "json": (lambda: b'{"learner": 1}', "JSON"),
    "text": (lambda: b"hello, world", "begins with b'hello, world'"),
    "png": (lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "no model file"),
    "plain safetensors": (
        lambda: handmade.with_header({"a": handmade.F32}, handmade.DATA),
        r"load_state_dict\(fastnn.read_tensors\(path\)\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_libraries_are_named(tmp_path, name):
    make, words = FOREIGN[name]
    path = tmp_path / "model.npz"
    path.write_bytes(make())
    with pytest.raises(ModelFileError, match=words):
        read("load", path)
    if name != "plain safetensors":
        with pytest.raises(ModelFileError, match=words):
            read_tensors(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_kind_is_decided_by_the_first_bytes(tmp_path, suffix):
    write("save", tmp_path / f"a{suffix}", CONFIG, {"a": np.zeros(3)})
    (tmp_path / f"a{suffix}").rename(tmp_path / "a.h5")
    assert read("load", tmp_path / "a.h5").config == CONFIG


def test_what_cannot_be_saved(tmp_path):
    path = tmp_path / "a.npz"
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ({"a": float("nan")}, {}, "config cannot be saved"),
        ({"a": object()}, {}, "config cannot be saved"),
        ({"a": [[]]} | {"b": json.loads("[" * 200 + "]" * 200)}, {}, "nested deeper"),
        ({}, {"a": np.zeros(2, complex)}, "dtype complex128; expected numbers"),
        ({}, {"a": np.array([{}])}, "dtype object"),
        ({}, {"../a": np.zeros(2)}, "a slash"),
        ({}, {"": np.zeros(2)}, "0 characters"),
        ({}, {"a\n": np.zeros(2)}, "not printed"),
        ({"a": [[]] * 200_000}, {}, "more values than"),
    ]
    for config, arrays, words in cases:
        for suffix in SUFFIXES:
            with pytest.raises((ValueError, TypeError), match=words) as caught:
                write("save", path.with_suffix(suffix), config, arrays)
            assert str(caught.value).startswith("[save] ")
    assert not list(tmp_path.iterdir())


def test_what_load_would_refuse_is_not_saved(tmp_path):
    """The former file stays, and the message says how to save the model nevertheless."""
    model = nn.Sequential(nn.Linear(3, 2))
    for suffix in SUFFIXES:
        path = tmp_path / f"model{suffix}"
        model.save(path)
        former = path.read_bytes()
        model[0].weight[1, 1] = np.nan
        with pytest.raises(
            ValueError, match=r"^\[Sequential.save\] '0.weight' has values that are"
        ):
            model.save(path)
        model[0].weight[1, 1] = 0.5
        count = 300_000
        model.history = nn.History(history={"loss": [0.5] * count}, epoch=list(range(count)))
        with pytest.raises(ValueError, match=r"more values than .*model.history = None"):
            model.save(path)
        assert path.read_bytes() == former
        model.history = None
        model.save(path)
        assert fastnn.load(path)[0].weight[1, 1] == 0.5


def test_large_archives_are_refused():
    entries = {"a": tensors.Entry("F64", (1 << 29,), 0)}
    with pytest.raises(ValueError, match=r"use \.safetensors"):
        fastnn._files.npz.check_size("save", entries)
    many = {str(k): tensors.Entry("U8", (1,), k) for k in range(70_000)}
    with pytest.raises(ValueError, match=r"70000 arrays"):
        fastnn._files.npz.check_size("save", many)


class _OfBytes:
    def __fspath__(self) -> bytes:
        return b"model.npz"


def test_paths(tmp_path):
    for path in (3, None, b"model.npz", io.BytesIO(), _OfBytes()):
        with pytest.raises((TypeError, ValueError), match=r"\[save\] path is"):
            write("save", path, {}, {})
        with pytest.raises((TypeError, ValueError), match=r"\[load\] path is"):
            read("load", path)
    for name in ("model", "model.h5", "model.NPZ", ".npz", "a\0.npz", "a\ud800.npz", "", "a.npz/"):
        with pytest.raises(ValueError, match=r"\[save\] path is"):
            write("save", name, {}, {})
    os.mkfifo(tmp_path / "pipe")
    cases: list[tuple[str, type[OSError], str]] = [
        ("no.npz", FileNotFoundError, "No such file"),
        ("no/no.npz", FileNotFoundError, "No such file"),
        (".", IsADirectoryError, "this is a directory; expected a model file"),
        ("pipe", OSError, "a device or a pipe"),
    ]
    for name, kind, words in cases:
        with pytest.raises(kind, match=words) as caught:
            read("load", tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
        assert re.match(r"\[Errno \d+\] \[load\] ", str(caught.value))


def test_a_file_that_shrinks_while_it_is_read(tmp_path, monkeypatch):
    """With a mapped file the process would die."""
    path = tmp_path / "a.npz"
    write("save", path, CONFIG, {"a": np.zeros(100)})
    real = os.preadv

    def preadv(*arguments: Any) -> int:
        os.truncate(path, 300)
        return real(*arguments)

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(ModelFileError, match="became shorter"):
        read("load", path)


def test_reads_may_be_short(tmp_path, monkeypatch, rng):
    arrays = {"a": rng.random((300, 1000))}
    write("save", tmp_path / "a.npz", CONFIG, arrays)
    pread, preadv = os.pread, os.preadv
    monkeypatch.setattr(os, "pread", lambda file, size, at: pread(file, max(1, size - 3), at))
    monkeypatch.setattr(os, "preadv", lambda file, views, at: preadv(file, [views[0][:77_777]], at))
    assert (read("load", tmp_path / "a.npz").arrays["a"] == arrays["a"]).all()


def test_nothing_of_it_is_imported_before_it_is_used():
    script = "import sys, fastnn, fastnn.nn; print('fastnn._files' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
