# SPDX-License-Identifier: BSD-3-Clause
"""The header of a model file: texts by name, which are the same in both kinds of file.

::

    fastnn.format   number of the format
    fastnn.version  version of fastnn that wrote the file
    fastnn.config   the model without its arrays, as JSON
    fastnn.sha256   checksum over the other three, and the names, dtypes, shapes and bytes of arrays
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from . import strict_json, tensors
from .digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .source import Source
    from .tensors import Entry

__all__ = ["FORMAT", "SHA256", "UNKNOWN_SHA256", "Header", "is_ours", "parsed", "texts"]

FORMAT = 1
NUMBER, VERSION, CONFIG, SHA256 = (
    f"fastnn.{name}" for name in ("format", "version", "config", "sha256")
)
# Stands in the place of the checksum until all bytes are written.
UNKNOWN_SHA256 = "0" * 64


class Header(NamedTuple):
    """A header, before or after its checksum is known."""

    format: str
    version: str
    config: str
    sha256: str

    @classmethod
    def made(cls, where: str, version: str, config: Mapping[str, Any]) -> Header:
        """Return the header of a new file."""
        try:
            text = json.dumps(config, allow_nan=False, separators=(",", ":"))
            strict_json.parse(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"[{where}] the config cannot be saved as JSON: {error}") from error
        return cls(str(FORMAT), version, text, UNKNOWN_SHA256)

    @classmethod
    def of(cls, source: Source, given: Mapping[str, Any]) -> Header:
        """Return the header that a file has, all of it checked but the checksum."""
        number = given.get(NUMBER)
        if not isinstance(number, str) or not re.fullmatch(r"[1-9][0-9]{0,8}", number):
            raise source.wrong(f"{NUMBER} is {number!a:.60}; expected a number")
        if int(number) > FORMAT:
            version = str(given.get(VERSION))
            by = f", by fastnn {version}" if re.fullmatch(r"[\w.+-]{1,40}", version) else ""
            raise source.wrong(
                f"it is written in format {number}{by}; this version of fastnn reads formats up to "
                f"{FORMAT}: update fastnn"
            )
        if set(given) != {NUMBER, VERSION, CONFIG, SHA256}:
            names = ", ".join(f"{name!a:.60}" for name in sorted(given)[:8])
            raise source.wrong(f"the header has {names}; expected {', '.join(_names())}")
        for name, text in given.items():
            if not (isinstance(text, str) and text.isascii()):
                raise source.wrong(f"{name} is no ASCII text")
        if not re.fullmatch(r"[0-9a-f]{64}", given[SHA256]):
            raise source.wrong(f"{SHA256} is {given[SHA256]!a:.80}; expected 64 hexadecimal digits")
        return cls(*(given[name] for name in _names()))

    def digest(self, entries: Mapping[str, Entry]) -> Digest:
        """Return a SHA-256 that the bytes of the arrays are to be added to, in their order."""
        described = [self.format, self.version, self.config, tensors.table(entries)]
        start = json.dumps(described, separators=(",", ":")).encode("ascii")
        return Digest(start, sum(entry.size for entry in entries.values()))

    def parsed_config(self, source: Source) -> dict[str, Any]:
        """Return the config as Python values."""
        found = parsed(source, "the config", self.config)
        if not isinstance(found, dict):
            raise source.wrong("the config is not a JSON object")
        return found


def is_ours(texts: Mapping[str, Any]) -> bool:
    """Return whether texts of a header are meant to be those of a model file."""
    return any(name.startswith("fastnn.") for name in texts)


def _names() -> tuple[str, ...]:
    return NUMBER, VERSION, CONFIG, SHA256


def texts(header: Header) -> dict[str, str]:
    """Return the header as a file has it. The checksum stands first, so that its place is known."""
    named = dict(zip(_names(), header, strict=True))
    return {SHA256: named.pop(SHA256), **named}


def parsed(source: Source, what: str, text: str) -> Any:
    """Return the value of a JSON text that was found in a file."""
    try:
        return strict_json.parse(text)
    except RecursionError as error:
        raise source.wrong(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise source.wrong(f"{what} is not valid: {error}") from error
