# SPDX-License-Identifier: BSD-3-Clause
"""Model files: a config and arrays, written and read; what they mean is known to `nn` alone.

The kind of a new file follows from its suffix, and that of an existing file from its first bytes;
no reader is tried after another one. The modules, from the bottom up: `atomic` writes and `source`
reads bytes, `strict_json` and `tensors` check what an unknown author may have written, `digest`
computes the checksum, `header` has it and the texts, `safetensors` and `npz` the two kinds.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from fastnn import __version__

from . import foreign, header, npz, safetensors, tensors
from .atomic import replacing
from .source import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from numpy.typing import NDArray

    from .source import Source

__all__ = [
    "Content",
    "checked_path",
    "path_name",
    "read",
    "read_and_make",
    "read_tensors",
    "replacing",
    "write",
]

T = TypeVar("T")

KINDS = {".safetensors": safetensors, ".npz": npz}
_START = 256  # bytes by which the kind is recognised


class Content(NamedTuple):
    """What is in a model file."""

    config: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    version: str
    sha256: str


def path_name(where: str, path: Any) -> str:
    """Return a path as text; what is no path of a file is refused."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"[{where}] path is {path!r:.60}; expected a str or a pathlib.Path")
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"[{where}] path is of {name!r:.60}; expected one of a str")
    if not name or "\0" in name or not _is_encodable(name):
        raise ValueError(f"[{where}] path is {name!r:.60}; expected the path of a file")
    return name


def _is_encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def checked_path(where: str, path: Any) -> str:
    """Return the path of a file that can be written; one whose suffix names no kind is refused."""
    name = path_name(where, path)
    if _suffix(name) not in KINDS:
        raise ValueError(f"[{where}] path is {name!r}; expected a name that ends with {_either()}")
    return name


def write(where: str, path: Any, config: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a model file, of the kind that the suffix of its name says, as a whole or not at all.

    Parameters
    ----------
    where : str
        The public call, for messages.
    path : str or PathLike
        Ends with ``.safetensors`` or ``.npz``.
    config : mapping
        Values of JSON.
    arrays : mapping of str to ndarray
        Of any strides; they are not copied as a whole.

    Raises
    ------
    ValueError, TypeError
        If something cannot be saved.
    OSError
        If the file cannot be written; the former file stays.
    """
    name = checked_path(where, path)
    kind = KINDS[_suffix(name)]
    head = header.Header.made(where, __version__, config)
    entries = tensors.described(where, arrays)
    if kind is npz:
        npz.check_size(where, entries)
    with replacing(where, name) as file:
        try:
            kind.write(file, head, entries, arrays)
        except ValueError as error:
            raise ValueError(
                f"[{where}] the model cannot be saved: it has {error}; a long history is left out "
                "after model.history = None"
            ) from error


def _suffix(name: str) -> str:
    """Return the suffix of a file; a path that ends with a slash has none."""
    return os.path.splitext(os.path.basename(name))[1]  # noqa: PTH119, PTH122


def _either() -> str:
    return " or ".join(KINDS)


def _kind(source: Source) -> ModuleType:
    if source.size == 0:
        raise source.wrong("the file is empty")
    start = source.read(0, min(source.size, _START))
    for kind in KINDS.values():
        if kind.looks_like(start):
            return kind
    raise source.wrong(f"{foreign.described(start)}; expected a model file, {_either()}")


def read(where: str, path: Any) -> Content:
    """Read a model file and check all of it, its checksum included.

    Raises
    ------
    ModelFileError
        If something in the file is wrong, or it is of another library.
    OSError
        If it cannot be opened or read.
    """
    return read_and_make(where, path, lambda content: content)


def read_and_make(where: str, path: Any, make: Callable[[Content], T]) -> T:
    """Read a model file as `read` does, and return what `make` makes of the content.

    It is made while a second thread still computes the checksum. If that does not fit, this is the
    error, whatever `make` returned or raised.
    """
    with opened(where, path_name(where, path)) as source:
        kind = _kind(source)
        texts, entries = kind.index(source)
        if texts is None or not header.is_ours(texts):
            raise source.wrong(_PLAIN[kind])
        return _made(source, texts, entries, make)


_PLAIN = {
    safetensors: "it has arrays, but not the header of a model that fastnn has saved. Its weights: "
    "model.load_state_dict(fastnn.read_tensors(path))",
    npz: "it has arrays, but not the header of a model that fastnn has saved. Its weights: "
    "model.load_state_dict(dict(numpy.load(path)))",
}


def read_tensors(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return all arrays of a model file, or of any other file in the format safetensors.

    Parameters
    ----------
    path : str or PathLike
        A file of `Sequential.save`, ``.safetensors`` or ``.npz``, or a ``.safetensors`` file of
        another library.

    Returns
    -------
    dict of str to ndarray
        Of a file of `Sequential.save` also the states of the optimizer, whose names begin with
        ``optimizer.``.

    Raises
    ------
    ModelFileError
        If something in the file is wrong, or it is of another kind.
    OSError
        If it cannot be opened or read.

    Examples
    --------
    >>> import tempfile
    >>> import fastnn
    >>> from fastnn import nn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     nn.Sequential(nn.Linear(3, 2)).save(f"{folder}/model.safetensors")
    ...     tensors = fastnn.read_tensors(f"{folder}/model.safetensors")
    >>> {name: array.shape for name, array in tensors.items()}
    {'0.bias': (2,), '0.weight': (2, 3)}
    """
    where = "read_tensors"
    with opened(where, path_name(where, path)) as source:
        kind = _kind(source)
        texts, entries = kind.index(source)
        if texts is not None and header.is_ours(texts):
            return _made(source, texts, entries, lambda content: content.arrays)
        if kind is npz:
            raise source.wrong(_PLAIN[npz])
        return tensors.values(source, entries)


def _made(
    source: Source,
    texts: dict[str, Any],
    entries: dict[str, tensors.Entry],
    make: Callable[[Content], T],
) -> T:
    head = header.Header.of(source, texts)
    config = head.parsed_config(source)
    failure: Exception | None = None
    with head.digest(entries) as digest:
        arrays = tensors.values(source, entries, digest)
        try:
            made = make(Content(config, arrays, head.version, head.sha256))
        except Exception as error:
            failure = error
        sha256 = digest.hexdigest()
    if sha256 != head.sha256:
        raise source.wrong("the checksum does not fit: the file was altered, or is damaged")
    if failure is not None:
        raise failure
    return made
