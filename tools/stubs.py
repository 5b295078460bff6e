# SPDX-License-Identifier: BSD-3-Clause
"""Writes the files about members that are made from rows at run time: type stubs and tables.

These are the stubs of the classes and functions, and docs/api/tables.md. After adding a row to a
registry and building the core:

    python tools/stubs.py            # writes the files that have changed
    python tools/stubs.py --check    # only lists stale files; exit status 1 if there are any

The registries of the core are the only list; tests/rooms/test_registry.py fails if a file is stale.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn import _registry, nn
from fastnn._describe import Description, fields_of_class
from fastnn._docstrings import example_of
from fastnn._fields import fields_of, meaning_and_range
from fastnn._optimizers import AVERAGES, OPTIMIZERS
from fastnn._schedule import SCHEDULES
from fastnn.functional import _initials
from fastnn.functional._functions import MAKERS, loss_name
from fastnn.metrics._chosen import BY_NAME
from fastnn.nn._initializers import INITIALIZERS
from fastnn.nn._members import ACTIVATIONS, LOSSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fastnn._registry import Row

ROOT = Path(__file__).resolve().parents[1]
NOTE = "written by tools/stubs.py from the registries of the core; do not edit"
HEAD = f"# SPDX-License-Identifier: BSD-3-Clause\n# {NOTE}\n"


def first_lines(doc: str | None, indent: str = "    ") -> str:
    """Return the docstring up to its first section, as source."""
    lines = inspect.cleandoc(doc or "").split("\n\nParameters\n")[0].splitlines()
    text = "\n".join((indent + line).rstrip() for line in lines).strip()
    return f'{indent}"""{text}' + (f"\n{indent}" if len(lines) > 1 else "") + '"""'


def exported(names: Iterable[str]) -> str:
    """Return the line of __all__."""
    return "__all__ = [\n" + "".join(f'    "{name}",\n' for name in sorted(names)) + "]"


def class_stub(cls: type[Description], row: Row) -> str:
    """Return the stub of a class made from a row, as a dataclass."""
    lines = [
        "@dataclass(repr=False, eq=False)",
        f"class {cls.__name__}({cls.__base__.__name__}):",  # type: ignore[union-attr]
        first_lines(cls.__doc__),
        "",
    ]
    keywords = False
    for field, by_name in fields_of_class(cls, row):
        if by_name and not keywords:
            lines.append("    _: KW_ONLY")
        keywords = by_name
        text = field.default_text
        long = isinstance(field.default, float) and len(text) > 10  # 1/3
        default = "..." if field.default == {} or long else text
        lines.append(f"    {field.name}: {field.annotation} = {default}")
    return "\n".join(lines).rstrip()


def classes_stub(doc: str, imports: list[str], tables: Mapping[str, Any]) -> str:
    """Return the stub of a module whose classes are made from rows; tables: name -> Members."""
    parts = [f'{HEAD}"""{doc}"""', "\n".join(imports)]
    made = [(members, name) for members in tables.values() for name in members]
    parts.append(exported(members[name].__name__ for members, name in made))
    for members, name in made:
        cls = members[name]
        parts.append(class_stub(cls, _registry.rows(cls.room)[name]))
    parts += [f"{name}: Members[{members.base.__name__}]" for name, members in tables.items()]
    return "\n\n".join(parts) + "\n"


def functions_stub() -> str:
    """Return the stub of the functions that are made from rows."""
    imports = [
        "from collections.abc import Sequence",
        "from typing import Literal",
        "",
        "from numpy.typing import ArrayLike",
        "",
        "from ._arrays import Array",
        "from ._optimizers import Arrays, OptimizerState",
    ]
    parts = [
        f'{HEAD}"""Activations, layers, losses and optimizer steps as functions."""',
        "\n".join(imports),
        exported(MAKERS),
    ]
    for maker in MAKERS.values():
        source = maker()
        arguments = "".join(f"    {argument},\n" for argument in source.signature())
        parts.append(
            f"def {source.name}(\n{arguments}) -> {source.returns}:\n{first_lines(source.doc)}"
        )
    return "\n\n".join(parts) + "\n"


def initializers_stub() -> str:
    """Return the stub of the functions of the initializers."""
    imports = [
        "from typing import Any, Literal",
        "",
        "from numpy.typing import DTypeLike, NDArray",
    ]
    parts = [f'{HEAD}"""Initializers as functions."""', "\n".join(imports)]
    parts.append(exported(_initials.__all__))
    make: Any = vars(_initials)["source"]  # which the stub does not have
    for name in _initials.__all__:
        source = make(name)
        given = [argument.replace("= np.float32", "= ...") for argument in source.signature()]
        arguments = "".join(f"    {argument},\n" for argument in given)
        parts.append(f"def {name}(\n{arguments}) -> {source.returns}:\n{first_lines(source.doc)}")
    return "\n\n".join(parts) + "\n"


# The columns of a room's table besides name, class and formula: key of the row -> heading.
COLUMNS = {
    "inputs": {},
    "layers": {},
    "containers": {},
    "initializers": {},
    "activations": {"needs": "backward needs"},
    "losses": {
        "target": "target",
        "targets": "range of targets",
        "outputs": "range of outputs",
        "task": "task",
    },
    "optimizers": {"states": "states"},
    "schedules": {},
    "averages": {},
}


def markdown(columns: Iterable[str], lines: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    names = list(columns)
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for cells in lines:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') or '-' for cell in cells)} |"


def room_tables(room: str) -> Iterator[str]:
    """Yield the lines of a table of a room's members, and of one of all their parameters."""
    rows = _registry.rows(room).values()
    extra = COLUMNS[room]
    yield from markdown(
        ["name", "class", "formula", *extra.values()],
        (
            [
                *(f"`{row[key]}`" for key in ("name", "class_name", "formula")),
                *(", ".join(row[key]) if key == "states" else row[key] for key in extra),
            ]
            for row in rows
        ),
    )
    if not any(row["params"] for row in rows):
        return
    yield ""
    yield from markdown(
        ["class", "parameter", "type", "default", "permitted", "meaning"],
        (
            [f"`{row['class_name']}`", *cells]
            for row in rows
            for cells in parameter_cells(room, row)
        ),
    )


def parameter_cells(room: str, row: Row) -> Iterator[list[str]]:
    """Yield name, type, default, range and meaning of each parameter of a row."""
    defaults: dict[str, str] = {}
    if room == "layers":  # sizes have none, whatever place holder the registry has
        given = inspect.signature(getattr(nn, row["class_name"])).parameters.values()
        defaults = {p.name: "" if p.default is p.empty else repr(p.default) for p in given}
    for field in fields_of(row["params"]):
        default = defaults.get(field.name, field.default_text)
        meaning, permitted = meaning_and_range(row["params"], field.name)
        yield [
            f"`{field.name}`",
            f"`{field.annotation}`",
            f"`{default}`" if default else "",
            permitted,
            meaning,
        ]


def metric_tables() -> Iterator[str]:
    """Yield the lines of the table of the metrics, classes of Python, and of their parameters."""
    rows = [
        (f"`{name}`", f"`{cls.__name__}`", (cls.__doc__ or "").splitlines()[0], cls)
        for name, cls in sorted(BY_NAME.items())
    ]
    better = {True: "large", False: "small"}
    yield from markdown(
        ["name", "class", "what it is", "is better"],
        ([*cells, better[cls.larger_is_better]] for *cells, cls in rows),
    )
    yield ""
    yield from markdown(
        ["class", "parameter", "type", "default"],
        (
            [f"`{cls.__name__}`", f"`{p.name}`", f"`{p.annotation}`", f"`{quoted(p.default)}`"]
            for *_, cls in rows
            for p in inspect.signature(cls).parameters.values()
        ),
    )


def quoted(value: object) -> str:
    """Return a default as source, texts in double quotes."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def tables_page() -> str:
    """Return the text of docs/api/tables.md."""
    text = [f"<!-- {NOTE} -->", "", "# What there is", "", "The registries of the core, as tables."]
    for room in COLUMNS:
        text += ["", f"## {room.capitalize()}", "", *room_tables(room)]
    text += ["", "## Metrics", "", *metric_tables()]
    return "\n".join(text) + "\n"


# The arguments of the program for parameters without a default.
ARGUMENTS = {"x": "x", "z": "x", "dy": "x", "saved": "x", "params": "[x]", "grads": "[x]"}
ARGUMENTS |= {"averages": "[x.copy()]", "n": "1"}
PROGRAM = f'''{HEAD}"""Uses every member once; mypy compares it with the stubs.

It is over 450 lines long because it has one for each argument.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastnn.functional as F
from fastnn import metrics, nn, optim
from fastnn.functional import OptimizerState
from fastnn.optim import lr_scheduler

x: NDArray[Any] = np.array([0.25, 0.75])
'''


def program() -> str:
    """Return a program that uses every member, with all parameters at their defaults."""
    lines = []
    rooms = (
        (ACTIVATIONS, "nn"),
        (LOSSES, "nn"),
        (INITIALIZERS, "nn.init"),
        (OPTIMIZERS, "optim"),
        (AVERAGES, "optim"),
        (SCHEDULES, "lr_scheduler"),
    )
    for members, module in rooms:
        for name in members:
            row = _registry.rows(members.base.room)[name]
            fields = fields_of(row["params"])
            values = "".join(f"\n        {f.name}={f.default_text}," for f in fields)
            cls = f"{module}.{row['class_name']}"
            made = f"\n    {cls}({values}\n    ),\n    {cls},\n" if fields else f"{cls}(), {cls}"
            lines.append(f"assert_type({made})")
    for _, metric in sorted(BY_NAME.items()):
        parameters = inspect.signature(metric).parameters.values()
        given = ", ".join(f"{p.name}={quoted(p.default)}" for p in parameters)
        lines.append(f"assert_type(metrics.{metric.__name__}({given}), metrics.{metric.__name__})")
    lines.append(functions_used())
    return PROGRAM + "\n".join(lines) + "\n"


def functions_used() -> str:
    """Return the lines of the program that call every function of `fastnn.functional`."""
    lines = []
    examples = {loss_name(row): example_of(row) for row in _registry.rows("losses").values()}
    for maker in MAKERS.values():
        source = maker()
        given: list[str] = []
        for argument in source.signature():
            name, _, default = argument.partition(": ")
            if "=" in default or name == "*":
                break
            if name == "state":
                given.append(f"F.{source.name.removesuffix('_step_')}_state([x])")
            elif source.name in examples:
                given.append(repr(examples[source.name][name == "target"]))
            else:
                given.append(ARGUMENTS[name])
        call = f"F.{source.name}({', '.join(given)})"
        returns = source.returns.replace("Array", "NDArray[Any]")
        lines.append(call if returns == "None" else f"assert_type({call}, {returns})")
    return "\n".join(lines)


def files() -> dict[str, str]:
    """Return the expected text of each file by its path from the root of the repository."""
    common = ["from dataclasses import KW_ONLY, dataclass"]
    return {
        "python/fastnn/nn/_members.pyi": classes_stub(
            "The activations and losses.",
            [
                "from collections.abc import Sequence",
                *common,
                "from typing import Literal",
                "",
                "from fastnn._describe import Members",
                "",
                "from ._layer import Activation",
                "from ._loss import Loss",
            ],
            {"ACTIVATIONS": ACTIVATIONS, "LOSSES": LOSSES},
        ),
        "python/fastnn/_optimizers.pyi": classes_stub(
            "Optimizers and averages.",
            [
                "from collections.abc import Mapping",
                *common,
                "from typing import Any, Literal",
                "",
                "from ._describe import Members",
                "from ._optimizer import Average, Optimizer",
                "from ._schedule import LearningRate",
            ],
            {"OPTIMIZERS": OPTIMIZERS, "AVERAGES": AVERAGES},
        ),
        "python/fastnn/_schedules.pyi": classes_stub(
            "The schedules.",
            [
                "from collections.abc import Sequence",
                "from dataclasses import dataclass",
                "from typing import Literal",
                "",
                "from ._describe import Members",
                "from ._schedule import Schedule",
            ],
            {"SCHEDULES": SCHEDULES},
        ),
        "python/fastnn/nn/_initializers.pyi": classes_stub(
            "The initializers.",
            [
                *common,
                "from typing import Literal",
                "",
                "from fastnn._describe import Members",
                "",
                "from ._initializer import Initializer",
            ],
            {"INITIALIZERS": INITIALIZERS},
        ),
        "python/fastnn/functional/_initials.pyi": initializers_stub(),
        "python/fastnn/functional/_members.pyi": functions_stub(),
        "docs/api/tables.md": tables_page(),
        "tests/every_member.py": program(),
    }


def main() -> int:
    """Write the files, or with --check print those that are stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if any is stale")
    check = parser.parse_args().check
    stale = 0
    for path, text in files().items():
        target = ROOT / path
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        sys.stdout.write(f"{'stale' if check else 'written'}: {path}\n")
        if not check:
            target.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
