# SPDX-License-Identifier: BSD-3-Clause
"""Model files made byte by byte as docs/saving.md describes them, without the code of fastnn."""

# A case is a line, so that the lists can be read as tables.
# ruff: noqa: E501, UP031

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from typing import Any

import numpy as np

__all__ = [
    "Arrays",
    "archive",
    "compact",
    "entry",
    "npy",
    "npz",
    "safetensors",
    "sealed",
    "with_header",
    "wrong_archives",
    "wrong_headers",
    "wrong_models",
]

NAMES = {"<f8": "F64", "<f4": "F32", "<i8": "I64", "|b1": "BOOL", "|u1": "U8"}
Arrays = dict[str, np.ndarray[Any, Any]]


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def ordered(arrays: Arrays) -> list[str]:
    return sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))


def sealed(config: str, arrays: Arrays, **changes: str) -> dict[str, str]:
    """Return the texts of a header whose checksum fits."""
    table = [[k, NAMES[arrays[k].dtype.str], list(arrays[k].shape)] for k in ordered(arrays)]
    texts = {"fastnn.format": "1", "fastnn.version": "0.1.0", "fastnn.config": config, **changes}
    digest = hashlib.sha256(
        compact([*(texts[f"fastnn.{k}"] for k in ("format", "version", "config")), table]).encode()
    )
    for name in ordered(arrays):
        digest.update(arrays[name].tobytes())
    return {"fastnn.sha256": digest.hexdigest(), **texts}


def entry(dtype: Any, shape: Any, start: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def with_header(text: bytes | str | dict[str, Any], data: bytes = b"") -> bytes:
    """Return a .safetensors file with this header and these bytes of arrays."""
    if isinstance(text, dict):
        text = compact(text)
    if isinstance(text, str):
        text = text.encode()
        text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def safetensors(config: str, arrays: Arrays, texts: dict[str, str] | None = None) -> bytes:
    listed: dict[str, Any] = {"__metadata__": sealed(config, arrays) if texts is None else texts}
    data = b""
    for name in ordered(arrays):
        array = arrays[name]
        end = len(data) + array.nbytes
        listed[name] = entry(NAMES[array.dtype.str], array.shape, len(data), end)
        data += array.tobytes()
    return with_header(listed, data)


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=True)
    return file.getvalue()


def archive(
    members: list[tuple[bytes, bytes]], *, tail: bytes = b"", **fields: dict[str, Any]
) -> bytes:
    """Return a zip archive; `fields` by name and then by the member's name differ from the usual."""

    def value(field: str, name: bytes, usual: int) -> int:
        return fields.get(field, {}).get(name.decode("latin-1"), usual)

    body, directory = b"", b""
    for name, data in members:
        crc, size = zlib.crc32(data), value("size", name, len(data))
        flags, method = value("flags", name, 0), value("method", name, 0)
        both = struct.pack("<5H3I2H", 20, flags, method, 0, 0x21, crc, size, size, len(name), 0)
        offset = value("offset", name, len(body))
        body += b"PK\3\4" + both + name + data
        directory += b"PK\1\2" + struct.pack("<H", 0x314) + both
        directory += struct.pack("<3H2I", 0, 0, 0, 0o100600 << 16, offset) + name
    count = fields.get("count", {}).get("", len(members))
    end = struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), len(tail)
    )
    return body + directory + end + tail


def npz(config: str, arrays: Arrays, texts: dict[str, str] | None = None) -> bytes:
    members = [(f"{name}.npy".encode(), npy(arrays[name])) for name in ordered(arrays)]
    return archive([*members, metadata(sealed(config, arrays) if texts is None else texts)])


def metadata(texts: Any) -> tuple[bytes, bytes]:
    text = texts if isinstance(texts, bytes) else compact(texts).encode()
    return b"__metadata__.npy", npy(np.frombuffer(text, np.uint8))


ONE = np.arange(2, dtype=np.float32)
F32 = entry("F32", [2], 0, 8)
DATA = ONE.tobytes()


def wrong_headers() -> dict[str, tuple[bytes, str]]:
    """Return .safetensors files that are wrong before any config is read, and words of the error."""
    deep = 100_000
    cases: dict[str, tuple[bytes | str | dict[str, Any], str]] = {
        "not json": ("{{}}", "not valid"),
        "brackets that do not match": ('{"a":[}]}', "not valid"),
        "cut json": ('{"a":{"dtype":"F32"', "not a JSON object"),
        "cut string": ('{"a}', "not closed"),
        "two values": ("{}{}", "Extra data"),
        "deep arrays": ('{"a":' + "[" * deep + "]" * deep + "}", "deeper"),
        "deep objects": ('{"a":' * deep + "1" + "}" * deep, "more values|deeper"),
        "deep behind strings": ('{"a":' + '["]",' * 5000 + "1" + "]" * 5000 + "}", "deeper"),
        "too many arrays": ("{" + '"a":[' + "[]," * 3_000_000 + "1]}", "more values"),
        "too many numbers": ('{"a":[' + "1," * 5_000_000 + "1]}", "more values"),
        "too many tensors": (
            "{" + ",".join(f'"{k}":{compact(entry("U8", [], k, k + 1))}' for k in range(60_000)) + "}",
            "more values",
        ),
        "a text of 20 MB": ('{"a":"' + "a" * 20_000_000 + '"}', "not described"),
        "a wide text of 8 MB": ('{"a":"' + "a" * 8_000_000 + '\U0001f600"}', "more values"),
        "a name twice": ('{"a":%s,"a":%s}' % (compact(F32), compact(F32)), "'a' twice"),
        "dtype twice": (
            '{"a":{"dtype":"F32","dtype":"F64","shape":[2],"data_offsets":[0,8]}}',
            "'dtype' twice",
        ),
        "metadata twice": ('{"__metadata__":{},"__metadata__":{}}', "'__metadata__' twice"),
        "the same name in escapes": (
            '{"a":%s,"\\u0061":%s}' % (compact(F32), compact(F32)),
            "'a' twice",
        ),
        "hole at the start": ({"a": entry("F32", [1], 4, 8)}, "a hole before"),
        "hole inside": ({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 7, 8)}, "a hole"),
        "overlap": ({"a": entry("U8", [5], 0, 5), "b": entry("U8", [4], 4, 8)}, "an overlap"),
        "the same place": ({"a": F32, "b": F32}, "an overlap"),
        "end after the file": ({"a": entry("F32", [4], 0, 16)}, "it is truncated"),
        "offset far after the file": ({"a": entry("F32", [2], 1 << 60, (1 << 60) + 8)}, "places"),
        "nothing describes the bytes": ({}, "appended"),
        "offsets reversed": ({"a": entry("F32", [2], 8, 0)}, "but has -8"),
        "negative offset": ({"a": entry("F32", [2], -8, 0)}, "two places"),
        "offset 0.0": ({"a": entry("F32", [2], 0.0, 8)}, "two places"),
        "offset false": ({"a": entry("F32", [2], False, 8)}, "two places"),
        "offset of 10^4000": ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1%s]}}' % ("0" * 4000), "places"),
        "offset of 10^6000": ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,1%s]}}' % ("0" * 6000), "not valid"),
        "three offsets": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4, 8]}}, "places"),
        "offsets as text": ({"a": {"dtype": "F32", "shape": [2], "data_offsets": "08"}}, "places"),
        "negative size": ({"a": entry("F32", [-2], 0, 8)}, "has the shape"),
        "sizes negative twice": ({"a": entry("F32", [-1, -2], 0, 8)}, "has the shape"),
        "product overflows to 0": ({"a": entry("F32", [1 << 32, 1 << 32], 0, 8)}, "no memory"),
        "product overflows to 8": ({"a": entry("F32", [(1 << 62) + 2], 0, 8)}, "no memory"),
        "size of 2^64": ({"a": entry("F32", [1 << 64], 0, 8)}, "no memory"),
        "zero and huge": ({"a": entry("F32", [0, 1 << 62, 1 << 62], 0, 0), "b": F32}, "no memory"),
        "ten billion": ({"a": entry("F32", [10**10], 0, 8)}, "needs 40000000000 bytes"),
        "size 2.0": ({"a": entry("F32", [2.0], 0, 8)}, "has the shape"),
        "size true": ({"a": entry("U8", [True], 0, 1)}, "has the shape"),
        "size as text": ({"a": entry("F32", ["2"], 0, 8)}, "has the shape"),
        "shape null": ({"a": entry("F32", None, 0, 8)}, "has the shape"),
        "1000 sizes": ({"a": entry("F32", [1] * 1000, 0, 4)}, "has the shape"),
        "shape and bytes differ": ({"a": entry("F32", [3], 0, 8)}, "needs 12 bytes"),
        "dtype F31": ({"a": entry("F31", [2], 0, 8)}, "has the dtype 'F31'"),
        "dtype BF16": ({"a": entry("BF16", [4], 0, 8)}, "has the dtype 'BF16'"),
        "dtype of NumPy": ({"a": entry("|O", [1], 0, 8)}, "has the dtype"),
        "dtype null": ({"a": entry(None, [2], 0, 8)}, "has the dtype"),
        "dtype as list": ({"a": entry(["F32"], [2], 0, 8)}, "has the dtype"),
        "no dtype": ({"a": {"shape": [2], "data_offsets": [0, 8]}}, "not described by"),
        "one word more": ({"a": {**F32, "order": "F"}}, "not described by"),
        "a list for a tensor": ({"a": [1, 2, 3]}, "not described by"),
        "NUL in a name": ({"a\0b": F32}, "not printed"),
        "NUL in the text": (b'{"a":%s}\0\0' % compact(F32).encode(), "not a JSON object"),
        "NUL between": (b'{\0"a":%s}' % compact(F32).encode(), "not valid"),
        "a new line in a name": ({"a\nb": F32}, "not printed"),
        "half a character in a name": ({"a\ud800": F32}, "not printed"),
        "not UTF-8": (b'{"a\xff":%s}' % compact(F32).encode(), "not UTF-8"),
        "UTF-16": (b"{" + '"a":1}'.encode("utf-16"), "not UTF-8"),
        "tabs at the end": (b'{"a":%s}\t\t' % compact(F32).encode(), "not a JSON object"),
        "../ in a name": ({"../../etc/passwd": F32}, "a slash"),
        "an absolute name": ({"/etc/passwd": F32}, "a slash"),
        "..\\ in a name": ({"..\\model": F32}, "a slash"),
        "no name": ({"": F32}, "0 characters"),
        "a name of 10^5 characters": ({"a" * 100_000: F32}, "100000 characters"),
        "NaN": ('{"a":NaN}', "NaN, which is not JSON"),
        "infinity": ('{"a":-Infinity}', "which is not JSON"),
        "metadata is a list": ({"__metadata__": [], "a": F32}, "not a JSON object"),
        "a bool of 2": ({"__metadata__": sealed("{}", {}), "a": entry("BOOL", [8], 0, 8)}, "neither true"),
    }  # fmt: skip
    files = {name: (with_header(text, DATA), words) for name, (text, words) in cases.items()}
    return files | {
        "nothing": (b"", "empty"),
        "one byte": (b"\0", "no model file"),
        "only a length": ((16).to_bytes(8, "little"), "no model file"),
        "length 2^64 - 1": (b"\xff" * 8 + b"{}" + DATA, "18446744073709551615 bytes long"),
        "length 2^63": (b"\0" * 7 + b"\x80{}" + DATA, "9223372036854775808 bytes long"),
        "length 100 MB and 1": ((100_000_001).to_bytes(8, "little") + b"{}" + DATA, "at most"),
        "length beyond the file": ((1000).to_bytes(8, "little") + b"{}" + DATA, "truncated"),
        "length 0": (b"\0" * 8 + b"{}", "not a JSON object"),
        "length 1": (b"\1" + b"\0" * 7 + b"{}", "not a JSON object"),
    }


def _changed(**changes: Any) -> dict[str, Any]:
    texts = {**sealed("{}", {"a": ONE}), **{f"fastnn.{k}": v for k, v in changes.items()}}
    return {name: text for name, text in texts.items() if text is not None}


def wrong_models() -> dict[str, tuple[bytes, str]]:
    """Return model files of both kinds with a wrong header or config, and words of the error.

    The checksum fits unless it is what is wrong.
    """
    headers: dict[str, tuple[dict[str, Any], str]] = {
        "no checksum": (_changed(sha256=None), "the header has"),
        "checksum of zeros": (_changed(sha256="0" * 64), "checksum does not fit"),
        "checksum in capitals": (_changed(sha256=_changed()["fastnn.sha256"].upper()), "64"),
        "checksum too short": (_changed(sha256="ab"), "64 hexadecimal"),
        "checksum null": ({**_changed(), "fastnn.sha256": None}, "no ASCII text"),
        "no format": (_changed(format=None), "fastnn.format is None"),
        "format 2": (sealed("{}", {"a": ONE}, **{"fastnn.format": "2"}), "format 2, by fastnn 0.1.0"),
        "format 999999999": (_changed(format="999999999"), "format 999999999"),
        "format 0": (_changed(format="0"), "expected a number"),
        "format -1": (_changed(format="-1"), "expected a number"),
        "format 1.0": (_changed(format="1.0"), "expected a number"),
        "format in Arabic": (_changed(format="\u0661"), "expected a number"),
        "format of 10^5 digits": (_changed(format="1" * 100_000), "expected a number"),
        "format as a number": (_changed(format=1), "expected a number"),
        "another version": (_changed(version="0.1.1"), "checksum does not fit"),
        "version not ASCII": (_changed(version="\xfc"), "no ASCII text"),
        "config as an object": (_changed(config={}), "no ASCII text"),
        "one text more": (_changed(more="x"), "expected fastnn.format"),
        "a text of another library": ({**_changed(), "format": "pt"}, "expected fastnn.format"),
    }  # fmt: skip
    many = 100_000
    configs: dict[str, tuple[str, str]] = {
        "config is a list": ("[]", "not a JSON object"),
        "config is no JSON": ("{'a': 1}", "not valid"),
        "config is code": ("__import__('os').system('true')", "not valid"),
        "config has a name twice": ('{"a":1,"a":2}', "'a' twice"),
        "config of depth 10^5": ('{"a":' + "[" * many + "]" * many + "}", "deeper|more values"),
        "config with NaN": ('{"a":NaN}', "not JSON"),
        "config is cut": ('{"a":', "not valid"),
        "config is empty": ("", "not valid"),
    }
    found = {}
    for kind, made in (("safetensors", safetensors), ("npz", npz)):
        for name, (texts, words) in headers.items():
            found[f"{name}, {kind}"] = (made("{}", {"a": ONE}, texts), words)
        for name, (config, words) in configs.items():
            found[f"{name}, {kind}"] = (made(config, {"a": ONE}), words)
    return found


def wrong_archives() -> dict[str, tuple[bytes, str]]:
    """Return .npz files that are wrong as archives or arrays, and words of the error."""
    texts = metadata(sealed("{}", {"a": ONE}))
    a = (b"a.npy", npy(ONE))

    def with_array(data: bytes) -> bytes:
        return archive([(b"a.npy", data), texts])

    def with_text(text: bytes) -> bytes:
        return with_array(
            npy(ONE).replace(npy(ONE)[10:128], text + b" " * (117 - len(text)) + b"\n")
        )

    bomb = zlib.compress(b"\0" * 50_000_000)[2:-4]
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': "
    return {
        "only an end": (archive([]), "zip, and it is empty"),
        "count 65535": (archive([a, texts], count={"": 0xFFFF}), "directory is not at its end"),
        "count 1": (archive([a, texts], count={"": 1}), "not the header of a model"),
        "a comment": (archive([a, texts], tail=b"hello"), "directory is not at its end"),
        "something before it": (b"PK\3\4" + archive([a, texts]), "no model file|not of arrays|at its end"),
        "a compressed bomb": (archive([(b"a.npy", bomb), texts], method={"a.npy": 8}, size={"a.npy": 50_000_000}), "compressed"),
        "method 99": (archive([a, texts], method={"a.npy": 99}), "compressed"),
        "encrypted": (archive([a, texts], flags={"a.npy": 1}), "does not fit"),
        "a member twice": (archive([a, a, texts]), "two members"),
        "../ in a member": (archive([a, (b"../x.npy", a[1]), texts]), "a slash"),
        "an absolute member": (archive([a, (b"/x.npy", a[1]), texts]), "a slash"),
        "NUL in a member": (archive([a, (b"x\0.npy", a[1]), texts]), "not printed"),
        "a member without a name": (archive([a, (b".npy", a[1]), texts]), "0 characters"),
        "a member not UTF-8": (archive([a, (b"\xff.npy", a[1]), texts]), "not UTF-8"),
        "a size of 4 GB": (archive([a, texts], size={"a.npy": 0xFFFFFFFF}), "ends after the end"),
        "members at the same place": (archive([a, (b"b.npy", a[1]), texts], offset={"b.npy": 0}), "does not follow"),
        "an offset beyond the file": (archive([a, texts], offset={"a.npy": 0xFFFFFFF0}), "does not follow"),
        "the header is not last": (archive([texts, a]), "not the header of a model"),
        "an array that is no array": (with_array(b"hello"), "not an array of NumPy"),
        "an empty member": (with_array(b""), "not an array of NumPy"),
        "objects": (with_array(npy(np.array([{}], object))), "array of numbers"),
        "a structured dtype": (with_array(npy(np.zeros(2, "f4,i4"))), "array of numbers"),
        "complex numbers": (with_array(npy(np.zeros(2, complex))), "array of numbers"),
        "dates": (with_array(npy(np.zeros(2, "M8[s]"))), "array of numbers"),
        "text": (with_array(npy(np.array(["ab"]))), "array of numbers"),
        "bytes": (with_array(npy(np.array([b"ab"]))), "array of numbers"),
        "big-endian": (with_array(npy(np.zeros(2, ">f4"))), "array of numbers"),
        "Fortran order": (with_array(npy(np.zeros((2, 3), order="F"))), "array of numbers"),
        "version 3 of the format": (with_array(npy(ONE).replace(b"\1\0", b"\3\0", 1)), "not an array"),
        "a header of 64 KB": (with_array(npy(ONE)[:8] + b"\xff\xff" + npy(ONE)[10:]), "not an array"),
        "a header with code": (with_text(b"{'descr': __import__('os').system('true')}"), "array of numbers"),
        "a negative size": (with_text(head + b"(-2,), }"), "array of numbers"),
        "a size that overflows": (with_text(head + b"(4294967296, 4294967296), }"), "no memory"),
        "more elements than bytes": (with_text(head + b"(1000000000,), }"), "needs 4000000000 bytes"),
        "a shape of spaces": (with_text(head + b"(2 2,), }"), "invalid literal"),
        "a shape written otherwise": (with_text(head + b"(02,), }"), "altered header"),
        "a header of numbers": (archive([a, (b"__metadata__.npy", npy(ONE))]), "not the bytes of a text"),
        "a header that is no JSON": (archive([a, metadata(b"hello")]), "not valid"),
        "a header that is a list": (archive([a, metadata(b"[]")]), "not a JSON object"),
        "a header not ASCII": (archive([a, metadata(b'{"\xc3\xbc":1}')]), "not ASCII"),
        "a header of many arrays": (archive([a, metadata(b"[" + b"[]," * 2_000_000 + b"1]")]), "more values"),
    }  # fmt: skip
