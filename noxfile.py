# SPDX-License-Identifier: BSD-3-Clause
"""Chores for people: ``nox -s tests lint isa``; ``nox -l`` lists them all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True
PROJECT = nox.project.load_toml("pyproject.toml")
CPP = [str(p) for p in sorted(Path("cpp").rglob("*")) if p.suffix in {".h", ".cpp", ".c"}]


def _group(name: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, name)


def _library(name: str) -> str:
    command = ["g++", f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@nox.session
def tests(session: nox.Session) -> None:
    """Install with all levels and run the tests."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Run the formatters and checkers, as .ci/run does."""
    session.install(*_group("lint"), "numpy>=2.0")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("clang-format", "--dry-run", "-Werror", *CPP)


@nox.session
def isa(session: nox.Session) -> None:
    """Run the tests once per level that was built and runs here."""
    session.install(".[test]")
    script = "from fastnn import _core as c; print(*(x for x in c.built if x in c.runnable))"
    levels = session.run("python", "-c", script, silent=True)
    for level in str(levels).split():
        session.run("pytest", *session.posargs, env={"FASTNN_ISA": level})


def _sanitized(session: nox.Session, kind: str, libraries: list[str], env: dict[str, str]) -> None:
    session.install(
        ".[test]",
        "-Ccmake.define.FASTNN_ISAS=native",
        "-Ccmake.define.FASTNN_TESTING=ON",
        f"-Ccmake.define.FASTNN_SANITIZE={kind}",
        "-Ccmake.build-type=Debug",
        "-Cinstall.strip=false",
    )
    # Python itself is not instrumented: the sanitizer must be the first library of the process.
    preload = " ".join(_library(name) for name in libraries)
    arguments = session.posargs or [
        "-m",
        "not slow and not nightly",
        "--deselect",
        "tests/test_package.py",
    ]
    session.run("pytest", "-p", "no:faulthandler", *arguments, env={"LD_PRELOAD": preload, **env})


@nox.session
def asan(session: nox.Session) -> None:
    """Run the tests under the address and undefined-behaviour sanitizers."""
    # CPython keeps memory until its end: leaks are not looked for. Test builds free with their own
    # operator delete what the standard library made with its operator new: both are malloc.
    env = {
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:alloc_dealloc_mismatch=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    _sanitized(session, "address", ["libasan.so", "libstdc++.so"], env)


@nox.session
def tsan(session: nox.Session) -> None:
    """Run the tests under the thread sanitizer."""
    rules = Path("tests/tsan.supp").resolve()
    _sanitized(
        session, "thread", ["libtsan.so"], {"TSAN_OPTIONS": f"suppressions={rules}:halt_on_error=1"}
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Measure a step against the NumPy twin on this machine."""
    session.install(".[test]")
    session.run("python", "-m", "fastnn", "bench", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples in the docstrings."""
    session.install(".[test]")
    session.run("pytest", "--doctest-modules", "--pyargs", "fastnn", *session.posargs)
