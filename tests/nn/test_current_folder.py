# SPDX-License-Identifier: BSD-3-Clause
"""Relative paths of callbacks are meant from where fit was called, wherever the program goes."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fastnn import callbacks as cb
from fastnn import nn


@pytest.fixture(name="folders")
def two_folders(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # and back at the end
    return tmp_path / "here", tmp_path / "there"


def fit(there, *callbacks: cb.Callback) -> None:
    """Train for three epochs; the current folder is another one from the first epoch's end on."""
    model = nn.Sequential(nn.Linear(2, 1))
    model.compile("sgd", "mse")
    move = cb.LambdaCallback(on_epoch_end=lambda *_: os.chdir(there))
    model.fit(np.ones((8, 2)), np.ones(8), epochs=3, callbacks=[*callbacks, move])


def listed(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_checkpoints_are_written_and_removed_in_one_folder(folders):
    here, there = folders
    (there / "1.npz").write_bytes(b"mine")
    checkpoint = cb.ModelCheckpoint("{epoch}.npz", keep=2)
    fit(there, checkpoint)
    assert (listed(here), listed(there)) == (["2.npz", "3.npz"], ["1.npz"])
    assert checkpoint.files == [str(here / f"{n}.npz") for n in (2, 3)]


@pytest.mark.parametrize("delete", [True, False])
def test_backups_are_written_and_removed_in_one_folder(folders, delete):
    here, there = folders
    fit(there, cb.BackupAndRestore("backup.npz", delete=delete))
    assert (listed(here), listed(there)) == ([] if delete else ["backup.npz"], [])
