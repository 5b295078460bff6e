# SPDX-License-Identifier: BSD-3-Clause
"""Files of the model during a training: after each epoch, or after the best ones so far."""

from __future__ import annotations

import os
from string import Formatter
from typing import TYPE_CHECKING, Any

from fastnn import _validate
from fastnn._hints import shown

from ._callback import entry
from ._monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._callback import Logs

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(Monitor):
    """Save the model after an epoch, with all that it needs to go on training.

    Parameters
    ----------
    path : str or path
        Where to, as for ``model.save``. It may have fields as in ``str.format``: ``{epoch}``, which
        counts from 1 as the progress display does, and the names in the logs, with a format:
        ``"best-{epoch:03d}-{val_loss:.3f}.safetensors"``. Without fields each file takes the place
        of the one before. The folder must exist.
    monitor : str, default "val_loss"
        The figure that decides which epoch is the best; only used by `save_best_only`.
    save_best_only : bool, default False
        Whether to save only if the figure is the best so far.
    every : int, default 1
        Look at each epoch whose number, counted from 1, is a multiple of this.
    keep : int, optional
        Keep so many files at most, and remove the oldest ones that this callback has written in
        this training. By default all are kept.
    mode : {"auto", "min", "max"}, default "auto"
        Whether the figure should become small or large. "auto" means large for accuracies and small
        for all others.
    include_optimizer : bool, default True
        As for ``model.save``: False makes smaller files, for predictions only.

    Attributes
    ----------
    files : list of str
        The files that were written and not removed, the newest last, with their folders.
    best : float
        The best value so far, with `save_best_only`.
    best_epoch : int or None
        Number of the best epoch so far, with `save_best_only`.

    Raises
    ------
    ValueError, TypeError
        When it is made: a path that is no template. When fit begins: a field or `monitor` that is
        not in the logs.
    FileNotFoundError
        When fit begins, if the folder does not exist.
    OSError
        During fit, if a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import fastnn
    >>> from fastnn import callbacks, nn
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("adam", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "epoch-{epoch:02d}.npz"
    ...     checkpoint = callbacks.ModelCheckpoint(path, keep=2)
    ...     history = model.fit(np.ones((8, 2)), np.ones(8), epochs=5, callbacks=[checkpoint])
    ...     print(sorted(file.name for file in Path(folder).iterdir()))
    ...     same = fastnn.load(checkpoint.files[-1])
    ['epoch-04.npz', 'epoch-05.npz']
    >>> same.predict([[1, 2]]) == model.predict([[1, 2]])
    array([[ True]])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        every: int = 1,
        keep: int | None = None,
        mode: str = "auto",
        *,
        include_optimizer: bool = True,
    ) -> None:
        super().__init__(monitor, 0.0, mode)
        where = type(self).__name__
        self._template = _Template(where, path)
        self.save_best_only = _validate.flag(where, "save_best_only", save_best_only)
        self.every = _validate.integer(where, "every", every)
        self.keep = None if keep is None else _validate.integer(where, "keep", keep)
        if self.keep is not None and not self._template.fields:
            raise ValueError(
                f"[{where}] keep is {self.keep}, but path has no field, and so there is one file; "
                "expected a path such as 'epoch-{epoch:03d}.safetensors'"
            )
        self.include_optimizer = _validate.flag(where, "include_optimizer", include_optimizer)

    @property
    def path(self) -> str:
        """The path with its fields."""
        return self._template.text

    @property
    def files(self) -> list[str]:
        """The files that were written and not removed, the newest last."""
        return list(self._written)

    def _forget(self) -> None:
        super()._forget()
        self._written: dict[str, dict[str, float]] = {}  # with the figures in their names

    def on_train_begin(self) -> None:
        """Reset the callback; refuse names that will not be in the logs, and a missing folder."""
        self._forget()
        if self.save_best_only:
            self._expect_figure()
        self._template.begin(type(self).__name__, self.params["metrics"])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save the model if it is the turn of this epoch, then remove the oldest file."""
        if (epoch + 1) % self.every:
            return
        if self.save_best_only and not self._improves(epoch, logs):
            return
        figures = self._template.figures(epoch, logs)
        file = self._template.filled(figures)
        self.model.save(file, include_optimizer=self.include_optimizer)
        self._written.pop(file, None)  # a name that comes again is the newest
        self._written[file] = figures
        if self.keep is None or len(self._written) <= self.keep:
            return
        from pathlib import Path  # takes 3 ms to import

        while len(self._written) > self.keep:
            oldest = next(iter(self._written))
            Path(oldest).unlink(missing_ok=True)
            del self._written[oldest]

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, and of each file the figures in its name."""
        return {**super().state_dict(), "written": list(self._written.values())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with such a state.

        The names of the files are made from `path` again. They are not part of the state, so that
        an altered one cannot have another file removed.
        """
        super().load_state_dict(state)
        where = type(self).__name__
        for figures in entry(where, state, "written", list):
            if not isinstance(figures, dict) or set(figures) != set(self._template.fields):
                raise ValueError(
                    f"[{where}] the state has a file with {shown(figures)}; expected the fields "
                    f"of {self.path!r}"
                )
            kinds = {name: int if name == "epoch" else float for name in figures}
            values = {name: entry(where, figures, name, kind) for name, kind in kinds.items()}
            self._written[self._template.filled(values)] = values


class _Template:
    """A path with fields that are filled with the figures of an epoch.

    Attributes
    ----------
    text : str
    fields : tuple of str
        Names of its fields.
    """

    def __init__(self, where: str, path: Any) -> None:
        expected = "expected a path such as 'epoch-{epoch:03d}.safetensors'"
        if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
            raise TypeError(f"[{where}] path is {shown(path)}; {expected}")
        self.text = os.fspath(path)
        folder, name = os.path.split(self.text)
        if not name or "\0" in self.text:
            raise ValueError(f"[{where}] path is {shown(self.text)}; {expected}")
        try:
            in_folder, in_name = (list(Formatter().parse(text)) for text in (folder, name))
        except ValueError as error:
            raise ValueError(f"[{where}] path is {shown(self.text)}: {error}; {expected}") from None
        self._folder = "".join(literal for literal, *_ in in_folder)
        self._name = name
        for place, parts in (("folder", in_folder), ("name", in_name)):
            for _, field, spec, conversion in parts:
                if field is None:
                    continue
                if place == "folder" or not field.isidentifier() or conversion or "{" in str(spec):
                    raise ValueError(
                        f"[{where}] path has the field {{{field}}} in its {place}; expected fields "
                        "in the name of the file, each a figure's name with a format: {epoch:03d}"
                    )
        self.fields = tuple(dict.fromkeys(field for _, field, *_ in in_name if field is not None))

    def begin(self, where: str, names: Sequence[str]) -> None:
        """Refuse what `filled` or a save would refuse later: fields, formats, suffix, folder.

        The folder is absolute from then on, because a callback may change the current one.
        """
        from fastnn import _files  # only who saves needs it

        known = ["epoch", *names]
        for name in (field for field in self.fields if field not in known):
            import difflib  # imported only when it is needed

            near = difflib.get_close_matches(name, known, n=1)
            raise ValueError(
                f"[{where}] path has the field {{{name}}}; there are: {', '.join(known)}"
                + (f". Did you mean {near[0]!r}?" if near else "")
            )
        try:
            name = self.filled(self.figures(0, dict.fromkeys(names, 0.5)))
        except ValueError as error:
            raise ValueError(
                f"[{where}] path is {shown(self.text)}, which cannot be filled: {error}; expected "
                "formats of an integer for epoch and of floats for the others"
            ) from None
        _files.checked_path(where, name)
        from pathlib import Path

        if not Path(self._folder).is_dir():
            raise FileNotFoundError(f"[{where}] there is no folder {self._folder!r}; make it first")
        self._folder = str(Path(self._folder).absolute())

    def figures(self, epoch: int, logs: Logs) -> dict[str, Any]:
        """Return the values of the fields."""
        return {name: epoch + 1 if name == "epoch" else float(logs[name]) for name in self.fields}

    def filled(self, figures: Mapping[str, Any]) -> str:
        """Return the path of a file."""
        return os.path.join(self._folder, self._name.format_map(figures))  # noqa: PTH118
