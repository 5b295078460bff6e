# SPDX-License-Identifier: BSD-3-Clause
"""Files that ``numpy.load`` reads: a zip archive of arrays, none of them compressed.

The last member, ``__metadata__``, has the header as an array of the bytes of a JSON text. Nothing
depends on the time, so equal models give equal files; and since each byte outside of the arrays
follows from their names, dtypes and shapes, the reader compares all of them with what it expects.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import header, strict_json, tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .atomic import Replacement
    from .digest import Digest
    from .source import Source
    from .tensors import Entry

__all__ = ["check_size", "index", "looks_like", "write"]

METADATA = "__metadata__"
SUFFIX = ".npy"

# The records of a zip archive (APPNOTE.TXT, 4.3).
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_SIGN, _CENTRAL_SIGN, _END_SIGN = b"PK\3\4", b"PK\1\2", b"PK\5\6"
_VERSION, _UNIX, _MODE, _UTF8 = 20, 3 << 8, 0o100600 << 16, 0x800
_FIRST_DAY = 0x21  # 1 January 1980
_CRC = 14  # where the checksum is in a local record
# Without the extension for larger archives.
_MAX_SIZE, _MAX_MEMBERS = 0xFFFFFFFE, 0xFFFE

# The beginning of an .npy file (numpy.lib.format, version 1.0).
_MAGIC = b"\x93NUMPY\1\0"
_ALIGNMENT = 64
_NPY = re.compile(
    rb"\{'descr': '([<|][a-z][0-9])', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n"
)


class Member(NamedTuple):
    """A file in the archive."""

    name: str
    crc: int
    size: int
    offset: int  # of its local record

    @property
    def _fields_of_both(self) -> tuple[int, ...]:
        flags = 0 if self.name.isascii() else _UTF8
        size = len(self.name.encode())
        return _VERSION, flags, 0, 0, _FIRST_DAY, self.crc, self.size, self.size, size, 0

    def local(self) -> bytes:
        """Return the record that stands before the member."""
        return _LOCAL.pack(_LOCAL_SIGN, *self._fields_of_both) + self.name.encode()

    def central(self) -> bytes:
        """Return the record of the archive's directory."""
        fields = (_UNIX | _VERSION, *self._fields_of_both, 0, 0, 0, _MODE, self.offset)
        return _CENTRAL.pack(_CENTRAL_SIGN, *fields) + self.name.encode()

    @property
    def data(self) -> int:
        """Where its content begins."""
        return self.offset + _LOCAL.size + len(self.name.encode())

    @property
    def end(self) -> int:
        """Where its content ends."""
        return self.data + self.size


def looks_like(start: bytes) -> bool:
    """Return whether a file that begins with these bytes is an archive of arrays."""
    if not start.startswith(_LOCAL_SIGN) or len(start) < _LOCAL.size:
        return False
    length = _LOCAL.unpack_from(start)[9]
    return start[_LOCAL.size : _LOCAL.size + length].endswith(SUFFIX.encode())


def check_size(where: str, entries: Mapping[str, Entry]) -> None:
    """Raise ValueError if the arrays are too many, or too large, for an archive."""
    size = sum(entry.size + 2 * len(name) + 512 for name, entry in entries.items())
    if size > _MAX_SIZE or len(entries) >= _MAX_MEMBERS:
        raise ValueError(
            f"[{where}] {len(entries)} arrays of {size} bytes; an .npz file holds at most "
            f"{_MAX_MEMBERS} of {_MAX_SIZE}: use .safetensors"
        )


def write(
    file: Replacement,
    head: header.Header,
    entries: Mapping[str, Entry],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write a model file."""
    with head.digest(entries) as digest:
        members = [_append(file, name, entries[name], arrays[name], digest) for name in entries]
        file.flush()  # while the other thread still computes the checksum
        texts = header.texts(head._replace(sha256=digest.hexdigest()))
    text = np.frombuffer(json.dumps(texts, separators=(",", ":")).encode("ascii"), np.uint8)
    strict_json.check(text.tobytes(), file.size)
    members.append(_append(file, METADATA, tensors.Entry("U8", text.shape, 0), text))
    file.write(_directory(members, file.size))


def _append(
    file: Replacement, name: str, entry: Entry, array: NDArray[Any], digest: Digest | None = None
) -> Member:
    start = _npy_header(entry.dtype, entry.shape)
    member = Member(name + SUFFIX, 0, len(start) + entry.size, file.size)
    file.write(member.local() + start)
    crc = zlib.crc32(start)
    for piece in tensors.pieces(array):
        if digest is not None:
            digest.update(piece)
        file.write(piece)
        crc = zlib.crc32(piece, crc)
    file.patch(member.offset + _CRC, struct.pack("<I", crc))
    return member._replace(crc=crc)


def _directory(members: list[Member], offset: int) -> bytes:
    records = b"".join(member.central() for member in members)
    count = len(members)
    return records + _END.pack(_END_SIGN, 0, 0, count, count, len(records), offset, 0)


def _npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return what an array has before its bytes."""
    described = {"descr": tensors.DTYPES[dtype].str, "fortran_order": False, "shape": shape}
    text = "".join(f"{name!r}: {value!r}, " for name, value in described.items())
    length = len(_MAGIC) + 2 + len(text) + 3
    text = f"{{{text}}}{' ' * (-length % _ALIGNMENT)}\n"
    return _MAGIC + len(text).to_bytes(2, "little") + text.encode("ascii")


def index(source: Source) -> tuple[dict[str, Any] | None, dict[str, Entry]]:
    """Return the texts of the header, None if it has none, and where the arrays are."""
    members = _members(source)
    if members[-1].name != METADATA + SUFFIX:
        return None, {}
    found: dict[str, Entry] = {}
    end = 0
    for member in members:
        if member.offset != end:
            raise source.wrong(f"member '{member.name}' does not follow the one before it")
        end = member.end
        name = member.name.removesuffix(SUFFIX)
        if name in found:
            raise source.wrong(f"there are two members '{member.name}'")
        found[name] = _entry(source, name, member)
    directory = _directory(members, end)
    if source.size != end + len(directory) or source.read(end, len(directory)) != directory:
        raise source.wrong(
            "the directory of the archive is altered, or its members are not stored as fastnn does"
        )
    return _texts(source, found.pop(METADATA)), found


def _members(source: Source) -> list[Member]:
    """Return the members of the archive, as far as its directory can be read."""
    if source.size < _END.size:
        raise source.wrong(f"the file is truncated: it has {source.size} bytes")
    end = source.size - _END.size
    sign, _, _, _, count, length, start, _ = _END.unpack(source.read(end, _END.size))
    if sign != _END_SIGN or start + length != end or count * _CENTRAL.size > length or not count:
        raise source.wrong(
            "the file is truncated, or something was appended: its directory is not at its end"
        )
    directory = source.read(start, length)
    found, at = [], 0
    for _ in range(count):
        if length - at < _CENTRAL.size:
            raise source.wrong("the directory of the archive is too short")
        record = _CENTRAL.unpack_from(directory, at)
        method, crc, packed, size, name_length = record[4], *record[7:11]
        raw = directory[at + _CENTRAL.size : at + _CENTRAL.size + name_length]
        name = _member_name(source, record[0], raw)
        if method != 0 or packed != size:
            raise source.wrong(f"member '{name}' is compressed; model files never are")
        found.append(Member(name, crc, size, record[16]))
        at += _CENTRAL.size + sum(record[10:13])
    return found


def _member_name(source: Source, sign: bytes, raw: bytes) -> str:
    if sign != _CENTRAL_SIGN:
        raise source.wrong("the directory of the archive is altered")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise source.wrong("the name of a member is not UTF-8") from error
    wrong = tensors.name_error(name.removesuffix(SUFFIX))
    if wrong is not None:
        raise source.wrong(wrong)
    return name


def _entry(source: Source, name: str, member: Member) -> Entry:
    if member.end > source.size - _END.size:
        raise source.wrong(f"member '{member.name}' ends after the end of the file")
    local = member.local()
    if source.read(member.offset, len(local)) != local:
        raise source.wrong(f"member '{member.name}' has a record that does not fit the directory")
    start = source.read(member.data, min(member.size, len(_MAGIC) + 2))
    length = int.from_bytes(start[-2:], "little")
    if not start.startswith(_MAGIC) or length > member.size - len(start):
        raise source.wrong(f"member '{member.name}' is not an array of NumPy")
    start += source.read(member.data + len(start), length)
    match = _NPY.fullmatch(start, len(_MAGIC) + 2)
    try:
        if match is None:
            raise ValueError(f"'{name}' has a header that is not of an array of numbers in C order")
        dtype = _BY_DESCR.get(match[1])
        sizes = [int(text) for text in match[2].split(b",") if text.strip()]
        entry = tensors.entry(name, dtype, sizes, member.data + len(start))
        if start != _npy_header(entry.dtype, entry.shape):
            raise ValueError(f"'{name}' has an altered header")
    except ValueError as error:
        raise source.wrong(str(error)) from error
    if entry.size != member.size - len(start):
        raise source.wrong(
            f"'{name}' needs {entry.size} bytes for its shape and dtype, but has "
            f"{member.size - len(start)}"
        )
    return entry


_BY_DESCR = {dtype.str.encode("ascii"): name for name, dtype in tensors.DTYPES.items()}


def _texts(source: Source, entry: Entry) -> dict[str, Any]:
    if entry.dtype != "U8" or len(entry.shape) != 1:
        raise source.wrong(f"{METADATA} is not the bytes of a text")
    text = source.read(entry.offset, entry.size)
    try:
        strict_json.check(text, source.size - len(text))
        decoded = text.decode("ascii")
    except UnicodeDecodeError as error:
        raise source.wrong("the header is not ASCII") from error
    except ValueError as error:
        raise source.wrong(f"the header has {error}") from error
    found = header.parsed(source, "the header", decoded)
    if not isinstance(found, dict):
        raise source.wrong("the header is not a JSON object")
    return found
