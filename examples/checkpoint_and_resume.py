# SPDX-License-Identifier: BSD-3-Clause
"""Train with checkpoints and a backup, be killed, and go on to the very result of no kill.

The training below runs in a process of its own, which kills itself after a few epochs, as a power
cut would. The same function is called again, finds the backup, and trains the epochs that are left.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

import fastnn
from fastnn import callbacks, nn, optim
from fastnn.datasets import load_digits


def train(folder: Path, kill_at: int | None = None) -> None:
    X, X_test, y, y_test = load_digits(split=True)
    model = nn.Sequential(
        nn.Rescale(1 / 16), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10), seed=0
    )
    model.compile(optim.Adam(lr=2e-3), nn.CrossEntropyLoss(), metrics=["accuracy"])

    def begin(epoch: int) -> None:
        if epoch == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    chosen = [
        callbacks.BackupAndRestore(folder / "backup.npz"),
        callbacks.ModelCheckpoint(folder / "best-{epoch:02d}.npz", save_best_only=True, keep=2),
        callbacks.EarlyStopping(patience=5),
        callbacks.LambdaCallback(on_epoch_begin=begin),
    ]
    history = model.fit(X, y, epochs=20, validation_split=0.2, callbacks=chosen)
    model.save(folder / "model.npz")
    accuracy = model.evaluate(X_test, y_test)["accuracy"]
    print(f"{len(history.epoch)} epochs, held-out accuracy {accuracy:.4f}")


if __name__ == "__main__":
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        whole, cut = Path(name) / "whole", Path(name) / "cut"
        for folder, kills in ((whole, [None]), (cut, [6, 12, None])):
            folder.mkdir()
            for kill_at in kills:
                process = processes.Process(target=train, args=(folder, kill_at))
                process.start()
                process.join()
                print(f"{folder.name}: exit code {process.exitcode}")
        print(sorted(file.name for file in cut.iterdir()))
        assert (whole / "model.npz").read_bytes() == (cut / "model.npz").read_bytes()
        print(fastnn.load(cut / "model.npz").history)
