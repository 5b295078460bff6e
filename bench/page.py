# SPDX-License-Identifier: BSD-3-Clause
"""Write docs/benchmarks.md from records: `python -m bench.page FILE...`.

A record is what another program of this folder wrote with `--json`: `bench.estimator_figures` or
`bench.sparse`. Each replaces its own part of the page, between two markers; parts without a record
stay as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import estimator_figures, sparse

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "write"]

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
# By the key of the record: the function that makes its table.
PARTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "estimator_figures": estimator_figures.markdown,
    "sparse": sparse.markdown,
}


def write(record: dict[str, Any], page: Path = PAGE) -> list[str]:
    """Replace the parts of the page that the record has; return their names.

    Raises
    ------
    ValueError
        If the page has no markers for a part, or the record no part of the page.
    """
    found = [name for name in PARTS if name in record]
    if not found:
        raise ValueError(f"the record has {', '.join(record)}; expected one of {', '.join(PARTS)}")
    text = page.read_text(encoding="utf-8")
    for name in found:
        begin, end = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{page} has no lines {begin} and {end}")
        block = f"{begin}\n{PARTS[name](record[name])}\n\n{_conditions(record)}\n{end}"
        text = pattern.sub(lambda _, block=block: block, text, count=1)
    page.write_text(text, encoding="utf-8")
    return found


def _conditions(record: dict[str, Any]) -> str:
    """Return a line about the processor's level and the machine."""
    build, machine = record["build"], record["machine"]
    cores = f"{machine['cores']} core{'s' * (machine['cores'] != 1)}"
    return f"Level {build['isa']}, {build['compiler']}, {cores}, load {machine['load']:.1f}."


def main() -> None:
    """Write the parts of all records."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("records", nargs="+", type=Path, metavar="FILE")
    made.add_argument("--page", type=Path, default=PAGE)
    given = made.parse_args()
    for file in given.records:
        names = write(json.loads(file.read_text(encoding="utf-8")), given.page)
        print(f"{given.page}: {', '.join(names)}")


if __name__ == "__main__":
    main()
