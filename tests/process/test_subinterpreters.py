# SPDX-License-Identifier: BSD-3-Clause
"""The compiled core refuses to be imported in a sub-interpreter, in every way, and never hangs."""

from __future__ import annotations

import sys

import pytest

import probe
from fastnn import _core

CODE = """
import sys
{before}
try:
    import _interpreters as interpreters  # Python 3.13 and later
except ImportError:
    import _xxsubinterpreters as interpreters
text = '''
try:
    {statement}
except ImportError as error:
    print("refused:", error, flush=True)
else:
    print("loaded", flush=True)
'''
for _ in range(2):
    one = interpreters.create({kind})
    found = getattr(interpreters, "run_string")(one, text)
    interpreters.destroy(one)
{after}
"""


@pytest.mark.parametrize("first", [False, True], ids=["alone", "after the main one"])
@pytest.mark.parametrize(
    "statement",
    [
        "from fastnn import _core",
        "import fastnn._core",
        f"import fastnn._core._{_core.isa}",
    ],
)
def test_the_core_is_refused(statement: str, first: bool) -> None:
    if sys.version_info >= (3, 13):
        kind = "'legacy'"
    else:
        kind = "isolated=False"
    use = "from fastnn import nn; nn.Sequential(nn.Linear(2, 1)).predict([[1.0, 2.0]])"
    code = CODE.format(before=use if first else "", after=use, statement=statement, kind=kind)
    status, out, errors = probe.run("-c", code, seconds=30)
    assert status == 0, errors
    lines = out.splitlines()
    assert len(lines) == 2, out
    assert all(line.startswith("refused: ") for line in lines), out
    assert all("sub-interpreter" in line for line in lines), out
