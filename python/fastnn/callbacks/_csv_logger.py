# SPDX-License-Identifier: BSD-3-Clause
"""A table of the epochs in a file of comma-separated values."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastnn import _validate
from fastnn._hints import shown

from ._callback import Callback, entry

if TYPE_CHECKING:
    import io
    from collections.abc import Mapping, Sequence

    from ._callback import Logs

__all__ = ["CSVLogger"]

_MISSING = "NA"  # as in Keras


class CSVLogger(Callback):
    """Write a line for each epoch to a CSV file, which ``csv``, pandas and spreadsheets read.

    The first line has the names of the columns: ``epoch``, counted from 0 as in History, and the
    figures in the logs of the first epoch. Each line is written at the end of its epoch, in one
    piece, so that a program that is killed leaves whole lines, and another program can follow them.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.
    separator : str, default ","
        The character between the values of a line.
    append : bool, default False
        Whether to add to the lines of a file that exists, whose columns are then used, and must
        all be in the logs. Otherwise it is replaced when the first epoch ends.

    Raises
    ------
    FileNotFoundError
        When fit begins, if the folder does not exist.
    ValueError
        When fit begins, if the file to add to has other columns.
    OSError
        During fit, if the file cannot be written.

    Notes
    -----
    A training that goes on from a backup continues the file, too: lines of epochs after the backup
    are removed, because these epochs are trained again. Later figures that the first epoch did not
    have are left out, and missing ones are "NA".

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from fastnn import callbacks, nn
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "log.csv"
    ...     table = callbacks.CSVLogger(path)
    ...     history = model.fit(np.ones((8, 2)), np.ones(8), epochs=2, callbacks=[table])
    ...     lines = path.read_text().splitlines()
    >>> lines[0], [line.split(",")[0] for line in lines[1:]]
    ('epoch,loss', ['0', '1'])
    """

    def __init__(
        self, path: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        where = type(self).__name__
        given: Any = path
        if not isinstance(given, (str, os.PathLike)) or not isinstance(os.fspath(given), str):
            raise TypeError(f"[{where}] path is {shown(path)}; expected the path of a file")
        character: Any = separator
        if not isinstance(character, str) or len(character) != 1 or character in '\r\n"':
            raise ValueError(f"[{where}] separator is {shown(separator)}; expected one character")
        self.path = os.fspath(path)
        self.separator = separator
        self.append = _validate.flag(where, "append", append)
        self._columns: list[str] | None = None
        self._size: int | None = None
        self._file: io.FileIO | None = None

    def on_train_begin(self) -> None:
        """Refuse a missing folder, and a file to add to that has other columns."""
        where = type(self).__name__
        import csv  # only who logs needs these
        from pathlib import Path

        folder = Path(self.path).parent
        if not folder.is_dir():
            raise FileNotFoundError(f"[{where}] there is no folder {str(folder)!r}; make it first")
        self._columns, self._size = None, None if self.append else 0
        header = self._header() if self.append else ""
        if not header:
            return
        columns = next(csv.reader([header], delimiter=self.separator), [])
        known = ["epoch", *self.params["metrics"]]
        unknown = [name for name in columns if name not in known]
        if unknown or "epoch" not in columns:
            raise ValueError(
                f"[{where}] {self.path} has the columns {', '.join(columns)}; expected some of "
                f"{', '.join(known)}: give another path, or append=False"
            )
        self._columns = columns

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the line of the epoch."""
        values = {"epoch": epoch, **logs}
        text = ""
        if self._columns is None:
            self._columns = list(values)
            text = self._line(self._columns)
        text += self._line([values.get(name, _MISSING) for name in self._columns])
        file = self._opened()
        rest = memoryview(text.encode())
        while rest:
            rest = rest[file.write(rest) :]
        self._size = file.tell()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the columns, and how many bytes the file has."""
        return {"columns": self._columns, "size": self._size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with such a state: with that part of the file which it describes."""
        where = type(self).__name__
        columns = entry(where, state, "columns", list, None)
        if columns is not None and not all(isinstance(name, str) for name in columns):
            raise ValueError(f"[{where}] columns in the state is {shown(columns)}; expected names")
        size = entry(where, state, "size", int, None)
        if size is not None and size < 0:
            raise ValueError(f"[{where}] size in the state is {size}; expected at least 0")
        if size and _size(self.path) < size:  # the file of the state is gone
            columns, size = None, 0
        self._columns, self._size = columns, size

    def _header(self) -> str:
        """Return the first line of the file; an empty text if it has no whole line."""
        from pathlib import Path

        try:
            with Path(self.path).open(encoding="utf-8", newline="") as file:
                line = file.readline()
        except FileNotFoundError:
            return ""
        return line.rstrip("\r\n") if line.endswith("\n") else ""

    def _opened(self) -> io.FileIO:
        """Return the file, opened without buffer and at its end."""
        if self._file is None:
            import io

            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            self._file = io.FileIO(handle, "r+")
            self._file.truncate(_whole(self._file) if self._size is None else self._size)
            self._file.seek(0, os.SEEK_END)
        return self._file

    def _line(self, values: Sequence[Any]) -> str:
        import csv
        import io

        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerow(values)
        return text.getvalue()


def _size(path: str) -> int:
    from pathlib import Path

    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0


def _whole(file: io.FileIO) -> int:
    """Return how many bytes of the file are whole lines."""
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        first = max(0, at - 4096)
        file.seek(first)
        found = file.read(at - first).rfind(b"\n")
        if found >= 0:
            return first + found + 1
        at = first
    return 0
