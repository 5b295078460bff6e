# SPDX-License-Identifier: BSD-3-Clause
"""Callbacks of fit: early stopping, checkpoints, backups, progress display, and the user's own.

Whole epochs run in C++, so there are hooks at the beginning and end of an epoch and of the
training, but none for single batches (use a loop of ``train_step`` for those). Hooks run on the
thread that called fit. In them the model may predict, evaluate, be copied and be saved; its values
can be changed only in ``on_train_end``. A callback with a hook of an unknown name is refused when
fit begins.
"""

from __future__ import annotations

from ._backup import BackupAndRestore
from ._callback import Callback, LambdaCallback
from ._checkpoint import ModelCheckpoint
from ._early_stopping import EarlyStopping
from ._progress import ProgressBar

__all__ = [
    "BackupAndRestore",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "ModelCheckpoint",
    "ProgressBar",
]
