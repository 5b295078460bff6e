# SPDX-License-Identifier: BSD-3-Clause
"""A backup of a training, from which the same script goes on after it was killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastnn import _validate
from fastnn._hints import shown

from ._callback import Callback

if TYPE_CHECKING:
    from pathlib import Path

    from fastnn._protocols import BackedUp

    from ._callback import Logs

__all__ = ["BackupAndRestore"]


class BackupAndRestore(Callback):
    """Back up the training after each epoch, and go on from the backup when fit is called again.

    The same script, started again after it was killed, calls fit with this callback, which finds
    the file, restores the model and continues after the last epoch in it. The result has the bits
    of a training that nobody killed: values, state and counts of the optimizer, running statistics,
    the order of the rows, dropout masks, the history of all epochs, and what other callbacks
    remember (see ``Callback.state_dict``). The callback is called after all others, wherever it
    stands in the list.

    Parameters
    ----------
    path : str or path
        The file, as for ``model.save``; its folder must exist. It is written in one piece: a kill
        at any moment leaves this backup or the one before. ``fastnn.load`` reads the model in it.
    every : int, default 1
        Back up after each epoch whose number, counted from 1, is a multiple of this.
    delete : bool, default True
        Whether to remove the file when the training ends, as Keras does. False leaves a file that
        is marked as ended and is refused by the next fit.

    Raises
    ------
    ValueError
        When fit begins, if the file is of another model (other layers, settings or seed), of a fit
        with other arguments or callbacks, or of a training that has ended. The data themselves are
        not compared, only the number of rows.
    ModelFileError
        When fit begins, if the file is no backup, or altered.
    FileNotFoundError
        When fit begins, if the folder does not exist.
    OSError
        During fit, if the file cannot be written.

    Notes
    -----
    What happened after the last backup is trained again, to the same bits. A learning rate that a
    callback has set is part of the backup. An exception, such as that of Ctrl-C, leaves the file;
    ``model.stop()`` and ``stop_training`` end the training, and so remove it. To train anew, remove
    the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from fastnn import callbacks, nn
    >>> x, y = np.ones((8, 2)), np.ones(8)
    >>> def trained(path, *more):
    ...     model = nn.Sequential(nn.Linear(2, 1))
    ...     model.compile("adam", "mse")
    ...     backup = callbacks.BackupAndRestore(path)
    ...     return model, model.fit(x, y, epochs=5, callbacks=[backup, *more])
    >>> def power_cut(epoch, logs):
    ...     if epoch == 3:
    ...         raise OSError("power cut")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "backup.npz"
    ...     try:
    ...         trained(path, callbacks.LambdaCallback(on_epoch_end=power_cut))
    ...     except OSError as error:
    ...         print(error, path.exists())
    ...     model, history = trained(path)
    ...     print(history.epoch, path.exists())
    power cut True
    [0, 1, 2, 3, 4] False
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int = 1, *, delete: bool = True
    ) -> None:
        where = type(self).__name__
        given: Any = path
        if not isinstance(given, (str, os.PathLike)) or not isinstance(os.fspath(given), str):
            raise TypeError(f"[{where}] path is {shown(path)}; expected the path of a file")
        self.path = os.fspath(path)
        self.every = _validate.integer(where, "every", every)
        self.delete = _validate.flag(where, "delete", delete)
        self._training: BackedUp
        self._file: Path

    def go_on(self, training: BackedUp) -> None:
        """Restore what is in the file, if there is one; fit calls it before the first hook.

        Parameters
        ----------
        training : BackedUp
            The run of fit.
        """
        from pathlib import Path  # only who has a backup needs these

        from fastnn import _files

        where = type(self).__name__
        self._training = training
        # Absolute from now on: a callback may change the current folder.
        self._file = Path(_files.checked_path(where, self.path)).absolute()
        folder = self._file.parent
        if not folder.is_dir():
            raise FileNotFoundError(f"[{where}] there is no folder {str(folder)!r}; make it first")
        if self._file.exists():
            content = _files.read(where, self._file)
            training.restore(f"{where}: {self.path}", content.config, content.arrays)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the backup if it is the turn of this epoch."""
        if (epoch + 1) % self.every == 0:
            self._write(ended=False)

    def on_train_end(self) -> None:
        """Remove the backup, or mark it as that of a training that has ended."""
        if self.delete:
            self._file.resolve().unlink(missing_ok=True)  # not a link to it, as when saving
        else:
            self._write(ended=True)

    def _write(self, *, ended: bool) -> None:
        from fastnn import _files

        where = type(self).__name__
        _files.write(where, self._file, *self._training.saved(where, ended=ended))
