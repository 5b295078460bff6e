# SPDX-License-Identifier: BSD-3-Clause
"""The list of mutations fits the sources: `nox -s mutants` can apply each of them."""

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
def test_it_can_be_applied_and_its_tests_exist(mutation: Mutation):
    text = (ROOT / mutation.file).read_text(encoding="utf-8")
    assert mutation.applied(text) != text
    assert mutation.tests
    for test in mutation.tests:
        file, _, name = test.partition("::")
        written = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {re.escape(name)}\(", written, re.MULTILINE), test


def test_one_line_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="old stands 2 times"):
        Mutation("twice", "x.py", "a", "b", []).applied("a a")


class Pretended:
    """A fake copy of the tree in which the mutations named by ``survives`` survive."""

    survives = ""
    applied: list[str]

    def __init__(self, _: Path) -> None:
        Pretended.applied = []

    def run(self, tests: list[str]) -> tuple[str, str]:
        assert tests
        return "passed", "3 passed"

    def outcome(self, mutation: Mutation) -> tuple[str, str]:
        self.applied.append(mutation.name)
        return ("survived" if mutation.name == self.survives else "killed"), "as pretended"


@pytest.mark.parametrize("survives", ["", "outputs: ties go to the last one"])
def test_the_program_says_what_survived(monkeypatch, capsys, survives):
    monkeypatch.setattr(mutants, "Copy", Pretended)
    monkeypatch.setattr(Pretended, "survives", survives)
    monkeypatch.setattr("sys.argv", ["mutants.py", "--only", "outputs: "])
    assert mutants.main() == (1 if survives else 0)
    out = capsys.readouterr().out
    assert Pretended.applied == [
        "outputs: ties go to the last one",
        "outputs: the largest one is above zero",
    ]
    assert f"2 mutations, {1 if survives else 2} killed" in out
    assert (f"not killed: {survives} (cpp/kernels/reduce.h)" in out) == bool(survives)


def test_the_program_lists_without_running(monkeypatch, capsys):
    monkeypatch.setattr(mutants, "Copy", None)
    monkeypatch.setattr("sys.argv", ["mutants.py", "--list"])
    assert mutants.main() == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ALL)


def test_only_files_of_the_sources_are_mutated():
    for mutation in ALL:
        assert Path(mutation.file).parts[0] in ("cpp", "python"), mutation.file
