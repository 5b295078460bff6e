# SPDX-License-Identifier: BSD-3-Clause
"""NumPy-style docstrings of the classes and functions that are made from rows."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ._fields import Field
    from ._registry import Row

__all__ = ["docstring", "example_of", "parameters", "sentence", "wrapped"]

Entry = tuple[str, str]  # "name : type" and its description, which may be empty

_WIDTH = 96


def wrapped(text: str, width: int = _WIDTH) -> list[str]:
    """Return the lines of `text`, none wider than `width` unless a word is."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines


def sentence(text: str) -> str:
    """Return `text` with a capital (unless it begins with a name or formula) and a full stop."""
    first = text.split(maxsplit=1)[0]
    if first.replace("-", "").isalpha() and len(first) > 1:
        text = text[0].upper() + text[1:]
    return text if text.endswith(".") else text + "."


def example_of(row: Row) -> tuple[list[list[float]], list[Any]]:
    """Return outputs and targets of one row, for the examples of a loss."""
    each = row["outputs_per_target"]
    out = [[0.25, 0.75] if each <= 2 else [0.25, 0.5, 0.75][:each]]
    if row["target"] == "class":
        return out, [1]
    return out, [[0.5, 1.0][: len(out[0]) // each]]


def parameters(fields: Iterable[Field]) -> list[Entry]:
    """Return the entries of `fields` in the section Parameters."""
    return [
        (f"{field.name} : {field.doc_type}, default {field.default_text}", sentence(field.doc))
        for field in fields
    ]


def docstring(
    summary: str, notes: Sequence[str], sections: Mapping[str, Sequence[Entry]], example: str
) -> str:
    """Return a docstring of a summary, paragraphs, the sections that are not empty, an example."""
    lines = [summary]
    for note in notes:
        lines += ["", *wrapped(note)]
    for title, entries in sections.items():
        if not entries:
            continue
        lines += ["", title, "-" * len(title)]
        for head, text in entries:
            lines += [head, *(f"    {line}" for line in wrapped(text, _WIDTH - 4) if line)]
    if example:
        lines += ["", "Examples", "--------", *inspect.cleandoc(example).splitlines()]
    return "\n".join(lines) + "\n"
