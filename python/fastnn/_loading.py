# SPDX-License-Identifier: BSD-3-Clause
"""Loads what `Sequential.save`, `MLPClassifier.save` and `MLPRegressor.save` have saved."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from . import _files
from .errors import ModelFileError
from .nn import Sequential, _backup, _config
from .nn._entries import ESTIMATOR

__all__ = ["load"]

_LONGEST = 400  # characters of a message


def load(path: str | os.PathLike[str]) -> Any:
    """Load a model or an estimator that was saved, to predict with or to go on training.

    The kind of the file follows from its first bytes. Everything that it says is checked before
    memory is taken for it, its checksum and the ranges of all values included, and nothing in it is
    executed, imported or opened. Either the whole model is returned or an error is raised.

    Parameters
    ----------
    path : str or PathLike

    Returns
    -------
    Sequential, MLPClassifier or MLPRegressor
        What was saved. Its values, optimizer's state, counters and history are those of the saved
        model, so further training gives the bits that it would have given there.

    Raises
    ------
    ModelFileError
        If the file is truncated, altered, written by a newer version in another format, or of
        another library.
    OSError
        If it cannot be opened or read.
    ModuleNotFoundError
        If it is an estimator, and scikit-learn is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import fastnn
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.safetensors")
    ...     twin = fastnn.load(f"{folder}/model.safetensors")
    >>> bool((twin.predict([[1, 2, 3]]) == model.predict([[1, 2, 3]])).all())
    True
    """
    return _files.read_and_make("load", path, partial(_made, path))


def _made(path: str | os.PathLike[str], content: _files.Content) -> Any:
    try:
        if ESTIMATOR in content.config:
            from .sklearn import _saving

            return _saving.made("load", content.config, content.arrays)
        saved = _config.Saved(content.config, content.arrays)
        saved = _backup.without_training(saved)
        return _config.made("load", saved, Sequential)
    except (ValueError, TypeError) as error:
        text = str(error).removeprefix("[load] ")
        if len(text) > _LONGEST:  # it may list what the file has
            text = f"{text[:_LONGEST]} ..."
        raise ModelFileError(f"[load] {os.fspath(path)}: {text}") from error
