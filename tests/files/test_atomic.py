# SPDX-License-Identifier: BSD-3-Clause
"""A save replaces the file as a whole or not at all, whatever fails, whoever saves beside it."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fastnn._files import atomic
from fastnn._files.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OLD, NEW = b"old content", b"new content " * 1000
CALLS = {
    *("access", "close", "fchmod", "fchown", "fstat", "fsync", "listdir", "lstat", "open"),
    *("pwrite", "replace", "unlink", "urandom", "write", "flock"),
}


class Failing:
    """The modules os and fcntl, with one call that fails, or writes a part."""

    def __init__(self, number: int = -1, code: int = 0) -> None:
        self.number, self.code = number, code
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(os if hasattr(os, name) else fcntl, name)
        return self._counted(name, real) if name in CALLS else real

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.called.append(name)
            if len(self.called) - 1 != self.number:
                return real(*arguments, **options)
            if self.code:
                if name == "close":  # the file is closed even then
                    real(*arguments)
                raise OSError(self.code, os.strerror(self.code))
            if name in ("write", "pwrite"):  # a short write
                return real(
                    arguments[0], arguments[1][: max(1, len(arguments[1]) // 2)], *arguments[2:]
                )
            return real(*arguments, **options)

        return call


def save(path: Any, content: bytes = NEW) -> None:
    with replacing("save", str(path)) as file:
        file.write(content[:20])
        file.write(content[20:])
        file.flush()
        file.patch(3, content[3:9])


def calls(
    monkeypatch: pytest.MonkeyPatch, system: Failing, path: Path, much: int = len(NEW)
) -> None:
    monkeypatch.setattr(atomic, "_MUCH", much)
    monkeypatch.setattr(atomic, "os", system)
    monkeypatch.setattr(atomic, "fcntl", system)
    try:
        save(path)
    finally:
        monkeypatch.undo()


def prepared(folder: Path, kind: str) -> Path:
    """Return a path to save to: nothing there, a file, one of another owner, a stray beside it."""
    folder.mkdir()
    path = folder / "model.npz"
    if kind != "new":
        path.write_bytes(OLD)
    if kind == "other":
        os.chown(path, 1234, 4321)
    if kind == "stray":
        (folder / f".model.npz.{'0' * 16}.tmp").write_bytes(b"part")
    return path


KINDS = ["new", "old", "stray", *(["other"] if os.geteuid() == 0 else [])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EINTR, 0], ids=str)
def test_every_call_fails_in_turn(tmp_path, monkeypatch, code, kind):
    counting = Failing()
    calls(monkeypatch, counting, prepared(tmp_path / "count", kind))
    assert {"open", "write", "pwrite", "fsync", "replace", "close", "flock"} <= set(counting.called)
    for number, name in enumerate(counting.called):
        path = prepared(tmp_path / str(number), kind)
        strays = set(path.parent.glob(".*"))
        system = Failing(number, code)
        if code:
            with pytest.raises(OSError) as caught:
                calls(monkeypatch, system, path)
            assert caught.value.errno == code, name
            assert caught.value.filename == str(path)
            assert "[save]" in str(caught.value)
        else:
            calls(monkeypatch, system, path)
        content = path.read_bytes() if path.exists() else None
        renamed = "replace" in system.called and system.called.index("replace") < number
        expected = NEW if renamed or not code else None if kind == "new" else OLD
        assert content == expected, f"{name} {number}"
        assert set(path.parent.glob(".*")) <= strays, f"{name} {number} left a file behind"
        save(path)
        assert [p.name for p in path.parent.iterdir()] == ["model.npz"]
        assert path.read_bytes() == NEW


def test_an_error_inside_leaves_the_old_file(tmp_path):
    path = prepared(tmp_path / "f", "old")

    def write() -> None:
        with replacing("save", str(path)) as file:
            file.write(NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_bytes() == OLD
    assert len(list(path.parent.iterdir())) == 1


def test_the_order_of_calls(tmp_path, monkeypatch):
    """The content is on the disk before the name, and the name before the call returns.

    Much content begins to go to the disk earlier.
    """
    for much, early in ((len(NEW), ["fsync"]), (len(NEW) + 1, [])):
        system = Failing()
        calls(monkeypatch, system, prepared(tmp_path / str(much), "old"), much)
        late = [name for name in system.called if name in ("write", "pwrite", "fsync", "replace")]
        assert late == ["write", "write", *early, "pwrite", "fsync", "replace", "fsync"]


def test_mode_and_owner_stay(tmp_path):
    path = prepared(tmp_path / "f", "old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    before = path.stat()
    save(path)
    after = path.stat()
    assert path.read_bytes() == NEW
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert after.st_ino != before.st_ino


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    save(tmp_path / "model.npz")
    assert (tmp_path / "model.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("there", [True, False])
def test_links_are_followed(tmp_path, there):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "model.npz", tmp_path / "link.npz"
    if there:
        target.write_bytes(OLD)
    (tmp_path / "step").symlink_to("real")
    link.symlink_to("step/model.npz")
    save(link)
    assert link.is_symlink()
    assert target.read_bytes() == NEW
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.npz", "real", "step"]


def test_paths_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    cases: list[tuple[str, type[OSError], str]] = [
        ("sub", IsADirectoryError, "this is a directory"),
        (".", IsADirectoryError, "the path of a directory"),
        ("no/m.npz", FileNotFoundError, f"the folder {tmp_path / 'no'} does not exist"),
        ("file/m.npz", NotADirectoryError, "Not a directory"),
        ("loop", OSError, "leads to itself"),
        ("pipe", OSError, "a device or a pipe"),
        ("x" * 300, OSError, "name too long"),
        ("m.npz/", IsADirectoryError, "the path of a directory"),
        ("m.npz/.", IsADirectoryError, "the path of a directory"),
    ]
    for name, kind, words in cases:
        path = f"{tmp_path}/{name}"
        with pytest.raises(kind, match=words) as caught:
            save(path)
        assert caught.value.filename == str(path)
        assert str(caught.value).count("[save]") == 1
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # root may write everything
    with pytest.raises(PermissionError, match="may not be written"):
        save(tmp_path / "file")
    monkeypatch.setattr(os, "fchown", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no")))
    monkeypatch.setattr(os, "access", lambda *_, **__: True)
    monkeypatch.setattr(os, "lstat", lambda path, real=os.lstat: _of_another_user(real(path)))
    with pytest.raises(PermissionError, match="another user's"):
        save(tmp_path / "file")
    assert not list(tmp_path.glob(".*"))


def _of_another_user(found: os.stat_result) -> os.stat_result:
    return os.stat_result([*found[:4], 54321, *found[5:]])


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x" * 234])
def test_names_that_leave_no_room_for_the_temporary_one(tmp_path, name):
    stray = tmp_path / f".{atomic._shortened(name)}.0123456789abcdef.tmp"
    stray.write_bytes(b"")
    save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_that_the_system_does_not_let_grow(tmp_path):
    """As on a full disk, the error comes from the system in the middle of a write."""
    path = prepared(tmp_path / "f", "old")
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, former[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert path.read_bytes() == OLD
    assert len(list(path.parent.iterdir())) == 1


WRITER = """
import sys
from fastnn._files.atomic import replacing
with replacing("save", sys.argv[1]) as file:
    file.write(b"a part")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_files_of_killed_saves_are_removed_and_those_of_living_ones_not(tmp_path):
    path = tmp_path / "model.npz"
    (tmp_path / ".model.npz.backup.tmp").write_bytes(b"not ours")
    (tmp_path / f".other.npz.{'0' * 16}.tmp").write_bytes(b"of another target")
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        save(path)
        assert len(list(tmp_path.glob(".model.npz.*"))) == 2
        process.kill()
    assert len(list(tmp_path.glob(".model.npz.*"))) == 2
    save(path)
    names = {".model.npz.backup.tmp", f".other.npz.{'0' * 16}.tmp", "model.npz"}
    assert {p.name for p in tmp_path.iterdir()} == names


def test_a_new_temporary_file_that_is_taken_for_a_stray(tmp_path, monkeypatch):
    """Between its creation and its lock, another save may remove it; then a new one is made."""
    removed = []

    def flock(handle: int, operation: int) -> None:
        if not removed and not operation & fcntl.LOCK_NB:
            removed.extend(tmp_path.glob(".*"))
            removed[0].unlink()
        fcntl.flock(handle, operation)

    monkeypatch.setattr(atomic, "fcntl", Failing())
    monkeypatch.setattr(atomic.fcntl, "flock", flock, raising=False)
    save(tmp_path / "model.npz")
    assert removed
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]
    assert (tmp_path / "model.npz").read_bytes() == NEW


def test_a_filesystem_without_locks(tmp_path, monkeypatch):
    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    system = Failing()
    system.flock = flock
    monkeypatch.setattr(atomic, "fcntl", system)
    path = prepared(tmp_path / "f", "stray")
    save(path)
    assert path.read_bytes() == NEW
    assert len(list(path.parent.glob(".*"))) == 1, "its writer may live"


CROWD = """
import sys
from threading import Thread
from fastnn._files.atomic import replacing
def save(letter):
    for k in range(40):
        with replacing("save", sys.argv[1]) as file:
            for _ in range(30):
                file.write(letter * 1000)
threads = [Thread(target=save, args=(letter.encode(),)) for letter in sys.argv[2]]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_and_processes_that_save_at_once(tmp_path):
    path = tmp_path / "model.npz"
    path.write_bytes(b"a" * 30_000)
    command = [sys.executable, "-c", CROWD, str(path)]
    processes = [subprocess.Popen([*command, letters]) for letters in ("ab", "cd", "ef")]
    seen = set()
    done = threading.Event()
    while not done.wait(0.001):
        content = path.read_bytes()
        assert len(content) == 30_000
        seen.add(content[:1])
        assert content == content[:1] * 30_000
        if all(process.poll() is not None for process in processes):
            done.set()
    assert all(process.returncode == 0 for process in processes)
    assert len(seen) > 1
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]
    assert stat.S_ISREG(path.stat().st_mode)
