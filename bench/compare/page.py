# SPDX-License-Identifier: BSD-3-Clause
"""Write the table and the picture into docs/performance.md, between its markers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .table import TITLES, markdown, ratios

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["draw", "write"]


def write(record: dict[str, Any], page: Path, picture: bool = True) -> Path | None:
    """Write table and picture between the markers for this dtype in the page.

    Parameters
    ----------
    record : dict
        The JSON of a run.
    page : Path
    picture : bool
        Whether to draw the picture, which needs matplotlib; without it only the table is written.

    Returns
    -------
    Path or None
        The file of the picture.

    Raises
    ------
    ValueError
        If the page has no markers for this dtype.
    """
    dtype = record["settings"]["dtype"]
    begin, end = (f"<!-- compare {dtype}: {word} -->" for word in ("begin", "end"))
    text = page.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page} has no lines {begin} and {end}")
    block = markdown(record)
    drawn = draw(record, page.with_name(f"{page.stem}-{dtype}.svg")) if picture else None
    if drawn is not None:
        alt = f"How many times a peer's step takes fastnn's time, {dtype}"
        block += f"\n![{alt}]({drawn.name})\n"
    page.write_text(
        pattern.sub(lambda _: f"{begin}\n{block}{end}", text, count=1), encoding="utf-8"
    )
    return drawn


def draw(record: dict[str, Any], file: Path) -> Path | None:
    """Draw the ratios as dots on a logarithmic axis; return None if matplotlib is missing."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        return None
    rows = [(case, ratios(case)) for case in record["cases"]]
    rows = [(case, found) for case, found in rows if found]
    if not rows:
        return None
    # Otherwise the file would contain the date and random names, and differ for the same record.
    with mpl.rc_context({"svg.hashsalt": "fastnn", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8, 1.2 + 0.32 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        for number, (peer, title) in enumerate(TITLES.items()):
            points = [(found[peer], at) for at, (_, found) in enumerate(rows) if peer in found]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, "osD^vP"[number], color=f"C{number}", label=title, alpha=0.85)
        axes.axvline(1, color="black", linewidth=1)
        names = [f"{c['network']}, {c['batch']}, {c['optimizer']}" for c, _ in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlabel("the peer's time of a step over fastnn's")
        axes.grid(axis="x", which="both", linewidth=0.3)
        figure.legend(loc="outside upper center", ncols=len(TITLES))
        figure.savefig(file, metadata={"Date": None})
    return file
