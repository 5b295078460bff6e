# SPDX-License-Identifier: BSD-3-Clause
"""Callbacks of fit: early stopping, limits, checkpoints, backups, records, and the user's own.

Whole epochs run in C++. Python is called at the beginning and the end of the training and of each
epoch, and between batches only if a callback has ``on_train_batch_begin`` or
``on_train_batch_end``. Hooks run on the thread that called fit. In them the model may predict,
evaluate, be copied and be saved; its values can be changed only in ``on_train_end``. A callback
with a hook of an unknown name is refused when fit begins.
"""

from __future__ import annotations

from ._backup import BackupAndRestore
from ._callback import Callback, LambdaCallback
from ._checkpoint import ModelCheckpoint
from ._csv_logger import CSVLogger
from ._early_stopping import EarlyStopping
from ._learning_rate import LearningRateScheduler, ReduceLROnPlateau
from ._loss_warning import LossWarning
from ._progress import ProgressBar
from ._terminate_on_plateau import TerminateOnPlateau
from ._time_limit import TimeLimit

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "LossWarning",
    "ModelCheckpoint",
    "ProgressBar",
    "ReduceLROnPlateau",
    "TerminateOnPlateau",
    "TimeLimit",
]
