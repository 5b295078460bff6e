# SPDX-License-Identifier: BSD-3-Clause
"""The list of mutations fits the sources: `nox -s mutants` can plant each of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mutants
from mutants import ROOT, Mutation, mutations

ALL = mutations()
ROOMS = (
    "kernels",
    "activations",
    "losses",
    "optimizers",
    "layers",
    "plan",
    "run",
    "train",
    "bindings",
    "nn",
)


def test_the_list_covers_every_room():
    assert len(ALL) >= 60
    assert len({m.name for m in ALL}) == len(ALL)
    for room in ROOMS:
        assert sum(f"/{room}/" in m.file for m in ALL) >= 3, room


@pytest.mark.parametrize("mutation", ALL, ids=[m.name for m in ALL])
def test_it_can_be_planted_and_its_tests_exist(mutation: Mutation):
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert mutation.planted(text) != text
    assert mutation.tests
    for test in mutation.tests:
        file, _, name = test.partition("::")
        written = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {re.escape(name)}\(", written, re.MULTILINE), test


def test_one_line_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="old stands 2 times"):
        Mutation("twice", "x.py", "a", "b", []).planted("a a")


class Pretended:
    """A copy of the tree in which ``survives`` names what no test notices."""

    survives = ""
    planted: list[str]

    def __init__(self, _: Path) -> None:
        Pretended.planted = []

    def run(self, tests: list[str]) -> tuple[str, str]:
        assert tests
        return "passed", "3 passed"

    def outcome(self, mutation: Mutation) -> tuple[str, str]:
        self.planted.append(mutation.name)
        return ("survived" if mutation.name == self.survives else "killed"), "as pretended"


@pytest.mark.parametrize("survives", ["", "ties count as right"])
def test_the_program_says_what_survived(monkeypatch, capsys, survives):
    monkeypatch.setattr(mutants, "Copy", Pretended)
    monkeypatch.setattr(Pretended, "survives", survives)
    monkeypatch.setattr("sys.argv", ["mutants.py", "--only", "ties count"])
    assert mutants.main() == (1 if survives else 0)
    out = capsys.readouterr().out
    assert Pretended.planted == ["ties count as right", "ties count as wrong"]
    assert f"2 mutations, {1 if survives else 2} killed" in out
    assert ("not killed: ties count as right (cpp/losses/cross_entropy.h)" in out) == bool(survives)


def test_the_program_lists_without_running(monkeypatch, capsys):
    monkeypatch.setattr(mutants, "Copy", None)
    monkeypatch.setattr("sys.argv", ["mutants.py", "--list"])
    assert mutants.main() == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ALL)


def test_what_is_planted_is_a_file_of_the_sources():
    for mutation in ALL:
        assert Path(mutation.file).parts[0] in ("cpp", "python"), mutation.file
