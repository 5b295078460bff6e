# SPDX-License-Identifier: BSD-3-Clause
"""The checksum is that of hashlib, with a second thread or without one."""

from __future__ import annotations

import hashlib
import threading

import numpy as np
import pytest

import fastnn
from fastnn import ModelFileError, nn
from fastnn._files import digest, read_and_make
from fastnn._files.digest import Digest


def _sum(pieces: list[bytes], size: int) -> str:
    with Digest(b"start", size) as made:
        for piece in pieces:
            made.update(memoryview(piece))
        return made.hexdigest()


@pytest.mark.parametrize("size", [0, digest.WORTH_A_THREAD])
def test_pieces_are_hashed_in_their_order(rng, size):
    pieces = [rng.bytes(n) for n in rng.integers(0, 100_000, 50)]
    assert _sum(pieces, size) == hashlib.sha256(b"start" + b"".join(pieces)).hexdigest()


def test_without_a_thread(rng, monkeypatch):
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert _sum([b"ab", b"c"], digest.WORTH_A_THREAD) == hashlib.sha256(b"startabc").hexdigest()


def test_the_thread_ends_with_an_error():
    before = threading.active_count()

    def fail() -> None:
        with Digest(b"", digest.WORTH_A_THREAD):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert threading.active_count() == before


def test_a_large_model_and_a_damaged_one(tmp_path):
    """A large file is hashed by the thread while the model is made; then the checksum decides."""
    model = nn.Sequential(nn.Linear(1500, 1500), nn.ReLU(), nn.Linear(1500, 3), seed=1)
    for suffix in (".safetensors", ".npz"):
        path = tmp_path / f"model{suffix}"
        model.save(path)
        assert path.stat().st_size > digest.WORTH_A_THREAD
        loaded = fastnn.load(path)
        for key, array in model.state_dict().items():
            assert np.array_equal(loaded.state_dict()[key], array)
        content = bytearray(path.read_bytes())
        content[4_000_000] ^= 1
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="checksum does not fit"):
            fastnn.load(path)
        with pytest.raises(ModelFileError, match="checksum does not fit"):
            read_and_make("load", path, lambda _: 1 / 0)
