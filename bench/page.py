# SPDX-License-Identifier: BSD-3-Clause
"""Write docs/benchmarks.md from records: `python -m bench.page FILE...`.

A record is what another program of this folder wrote with `--json`: `bench.estimators`,
`bench.estimator_figures`, `bench.sparse` or `bench.zeros`. The records of a program are put
together, so that its rows may come from several runs, and replace its part of the page, between two
markers; parts without a record stay as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import estimator_figures, estimators, sparse, zeros

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "write"]

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
# By the key of the record: the function that makes its table.
PARTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "estimator_figures": estimator_figures.markdown,
    "sparse": sparse.markdown,
    "zeros": zeros.markdown,
    **estimators.TABLES,
}
NAMES = {"sklearn": "scikit-learn", "scipy": "SciPy", "torch": "PyTorch", "jax": "JAX"}


def write(records: Sequence[dict[str, Any]], page: Path = PAGE) -> list[str]:
    """Replace the parts of the page that the records have; return their names.

    The rows of a part may come from several records, of one build; if a row is in several of them,
    the last one counts.

    Raises
    ------
    ValueError
        If the page has no markers for a part, a record no part of the page, or two records of a
        part another build or machine.
    """
    for record in records:
        if not PARTS.keys() & record:
            raise ValueError(
                f"the record has {', '.join(record)}; expected one of {', '.join(PARTS)}"
            )
    text = page.read_text(encoding="utf-8")
    found = [name for name in PARTS if any(name in record for record in records)]
    for name in found:
        having = [record for record in records if name in record]
        begin, end = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"{page} has no lines {begin} and {end}")
        rows = {row: entry for record in having for row, entry in record[name].items()}
        block = f"{begin}\n{PARTS[name](rows)}\n\n{_conditions(having)}\n{end}"
        text = pattern.sub(lambda _, block=block: block, text, count=1)
    page.write_text(text, encoding="utf-8")
    return found


def _conditions(records: Sequence[dict[str, Any]]) -> str:
    """Return lines with the commands, the processor's level, the machine and the versions."""
    builds = {
        (
            record["build"]["isa"],
            record["build"]["compiler"],
            record["build"]["cpu"],
            record["machine"]["cores"],
            ", ".join(f"{NAMES[name]} {version}" for name, version in record["peers"].items()),
        )
        for record in records
    }
    if len(builds) > 1:
        raise ValueError(f"the records are of {sorted(builds)}; expected one build and machine")
    ((isa, compiler, cpu, cores, peers),) = builds
    loads = sorted({f"{record['machine']['load']:.1f}" for record in records}, key=float)
    dates = sorted({record["date"] for record in records})
    commands = dict.fromkeys(f"`{record['command']}`" for record in records)
    return (
        f"Printed by {', '.join(commands)}.\n"
        f"Level {isa}, {compiler}, {cpu}, {cores} core{'s' * (cores != 1)}, "
        f"load {' to '.join(dict.fromkeys((loads[0], loads[-1])))}; {peers}; "
        f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}."
    )


def main() -> None:
    """Write the parts of all records."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("records", nargs="+", type=Path, metavar="FILE")
    made.add_argument("--page", type=Path, default=PAGE)
    given = made.parse_args()
    records = [json.loads(file.read_text(encoding="utf-8")) for file in given.records]
    print(f"{given.page}: {', '.join(write(records, given.page))}")


if __name__ == "__main__":
    main()
