# SPDX-License-Identifier: BSD-3-Clause
"""Replaces a file as a whole: whoever reads it, and whatever happens, finds the old or the new one.

This is the only module through which bytes go to disk. The new content is written to a temporary
file beside the target, and reaches the disk (fsync) before a rename puts it in the target's place.
The rename itself reaches the disk by an fsync of the folder.

A process that writes holds a lock (flock) on its temporary file, which the kernel releases when the
process ends, however it ends. So the next save of the same target recognises what a killed one
left behind, and removes it.
"""

# Each line calls the system once, so that a test can make any call fail.
# ruff: noqa: PTH105, PTH108, PTH118, PTH119, PTH208

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Replacement", "replacing"]

# A temporary file of the target "model.npz" is called ".model.npz.0123456789abcdef.tmp".
_RANDOM = re.compile(r"[0-9a-f]{16}\.tmp")
# Longer names of targets leave no room for that: a name has at most 255 bytes.
_LONGEST_NAME = 255 - len("..0123456789abcdef.tmp")
# Bytes for which an fsync of their own is worth it.
_MUCH = 8_000_000
# Filesystems without locks: no temporary file is removed there, as its writer may live.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


class Replacement:
    """The content that a file is going to have."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.size = 0
        self._flushed = 0

    def write(self, data: Any) -> None:
        """Append all bytes of `data`, which is bytes or a contiguous array."""
        self.size += _all(lambda view, _: os.write(self._handle, view), data)

    def flush(self) -> None:
        """Bring to the disk what was written, if that is much; less is left to the end.

        It is for who still waits for something else, such as a checksum, before the last bytes.
        """
        if self.size - self._flushed >= _MUCH:
            os.fsync(self._handle)
            self._flushed = self.size

    def patch(self, offset: int, data: Any) -> None:
        """Replace bytes that were written before."""
        _all(lambda view, done: os.pwrite(self._handle, view, offset + done), data)


def _all(write: Callable[[memoryview, int], int], data: Any) -> int:
    """Call `write` until all bytes are written; a call may write fewer than it is given."""
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        count = write(view[done:], done)
        if count < 1:
            raise OSError(errno.EIO, "the system wrote nothing")
        done += count
    return done


@contextmanager
def replacing(where: str, path: str) -> Iterator[Replacement]:
    """Write the file at `path` anew; if anything fails inside, the file stays as it was.

    Mode and owner of an existing file stay. If `path` is a symbolic link, the file that it leads to
    is replaced.

    Raises
    ------
    OSError
        With the path, from any call of the system that failed.
    """
    try:
        target = os.path.realpath(path)
        if os.path.basename(path) in ("", "."):  # which realpath leaves out
            raise OSError(errno.EISDIR, "this is the path of a directory; expected that of a file")
        folder, name = os.path.split(target)
        former = _former(target)
        prefix = f".{_shortened(name)}."
        _remove_strays(folder, prefix)
        temporary, handle = _temporary(folder, prefix)
        try:
            try:
                if former is not None:
                    _keep_rights(handle, former)
                yield Replacement(handle)
                os.fsync(handle)
                os.replace(temporary, target)
            finally:
                # Closed only now, because that releases the lock.
                os.close(handle)
        except BaseException:
            with suppress(OSError):  # after the rename it has this name no longer
                os.unlink(temporary)
            raise
        _sync(folder)
    except OSError as error:
        raise OSError(error.errno, f"[{where}] {error.strerror}", path) from error


def _shortened(name: str) -> str:
    """Return the name, or a checksum of one that is too long to have something appended."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= _LONGEST_NAME else hashlib.sha256(encoded).hexdigest()


def _former(target: str) -> os.stat_result | None:
    """Return what stands at the target, which has to be a file that may be changed, or None."""
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "this is a directory; expected the path of a file")
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "this symbolic link leads to itself")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "this is a device or a pipe; expected the path of a file")
    # A rename does not ask for this right.
    if not os.access(target, os.W_OK, effective_ids=True):
        raise OSError(errno.EACCES, "the file may not be written")
    return found


def _lock(handle: int, operation: int) -> bool:
    """Return whether the file is locked now; False also where the filesystem has no locks."""
    try:
        fcntl.flock(handle, operation)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _remove_strays(folder: str, prefix: str) -> None:
    """Remove the temporary files of saves that were killed."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        raise OSError(errno.ENOENT, f"the folder {folder} does not exist; make it first") from None
    for name in names:
        if not (name.startswith(prefix) and _RANDOM.fullmatch(name, len(prefix))):
            continue
        path = os.path.join(folder, name)
        # Its writer may just have renamed or removed it; another user's is left alone.
        with suppress(FileNotFoundError, PermissionError):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
                    os.unlink(path)
            finally:
                os.close(handle)


def _temporary(folder: str, prefix: str) -> tuple[str, int]:
    """Make a temporary file and lock it; return its path and its file descriptor."""
    while True:
        path = os.path.join(folder, f"{prefix}{os.urandom(8).hex()}.tmp")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            _lock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink > 0:
                return path, handle
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            os.close(handle)
            raise
        # Before it was locked, another save has taken it for the file of a killed one.
        os.close(handle)


def _keep_rights(handle: int, former: os.stat_result) -> None:
    """Give the new file the owner and the mode of the former one, before it has any content."""
    own = os.fstat(handle)
    if (own.st_uid, own.st_gid) != (former.st_uid, former.st_gid):
        os.fchmod(handle, 0o600)
        try:
            os.fchown(handle, former.st_uid, former.st_gid)
        except PermissionError as error:
            raise OSError(
                error.errno, "the file is another user's, and would become yours"
            ) from error
    os.fchmod(handle, stat.S_IMODE(former.st_mode))


def _sync(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
