# SPDX-License-Identifier: BSD-3-Clause
"""Chores for people: ``nox -s tests lint isa``; ``nox -l`` lists them all."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True
PROJECT = nox.project.load_toml("pyproject.toml")
CPP = [
    str(path)
    for folder in ("cpp", "bench")
    for path in sorted(Path(folder).rglob("*"))
    if path.suffix in {".h", ".cpp", ".c"}
]


def _group(name: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, name)


def _ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _library(compiler: str, name: str) -> str:
    """Return the path of a library that a compiler would link; its bare name if there is none."""
    return _ask(compiler, f"-print-file-name={name}")


def _program(compiler: str, name: str) -> str:
    """Return the path of a program beside a compiler; its bare name if there is none."""
    return _ask(compiler, f"-print-prog-name={name}")


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


def _sanitized(
    session: nox.Session,
    kind: str,
    level: str,
    preload: list[str],
    env: dict[str, str],
    *,
    defines: dict[str, str],
    arguments: list[str],
) -> None:
    """Build one level with a sanitizer, run pytest under it, fail if any process left a report."""
    reports = Path(session.create_tmp()) / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    defines = {"FASTNN_ISAS": level, "FASTNN_TESTING": "ON", "FASTNN_SANITIZE": kind, **defines}
    session.install(
        ".[test]",
        *(f"-Ccmake.define.{name}={value}" for name, value in defines.items()),
        "-Ccmake.build-type=Debug",  # Eigen's assertions; the optimisation is in FastnnFlags.cmake
        "-Cinstall.strip=false",
    )
    # A test may swallow what its own processes print, or end them itself: reports go to files.
    # Undefined behaviour alone is told on stderr whatever it is asked; it ends its process.
    options = {
        name: f"{value}:log_path={reports / 'report'}" if name.endswith("SAN_OPTIONS") else value
        for name, value in env.items()
    }
    # Python itself is not instrumented: the sanitizer must be the first library of the process.
    options["LD_PRELOAD"] = " ".join(preload)
    command = ["pytest", "-p", "no:faulthandler", *(session.posargs or arguments)]
    try:
        session.run(*command, env=options)
    finally:
        texts = [path.read_text(errors="replace") for path in sorted(reports.iterdir())]
        # An allocation refused as too large is a line in the file, but no report.
        found = [text for text in texts if "SUMMARY: " in text or "runtime error: " in text]
        for text in found:
            session.log(text)
    if found:
        session.error(f"{len(found)} processes left reports, see above")


NOT_UNDER_ASAN = [
    # an answer within half a second: an item of work takes thirty times as long
    "tests/test_functional_in_place.py::test_ctrl_c_ends_a_long_product",
    # a stack of 32 KB, which the sanitizer's larger frames exceed
    "tests/test_no_threads.py::test_threads_with_a_small_stack",
]


@nox.session
def asan(session: nox.Session) -> None:
    """Run all tests under the address and undefined-behaviour sanitizers."""
    # CPython keeps memory until its end: leaks are not looked for. Test builds free with their own
    # operator delete what the standard library made with its operator new: both are malloc.
    env = {
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:alloc_dealloc_mismatch=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    preload = [_library("g++", name) for name in ("libasan.so", "libstdc++.so")]
    arguments = [f"--deselect={name}" for name in NOT_UNDER_ASAN]
    _sanitized(session, "address", "native", preload, env, defines={}, arguments=arguments)


# Where threads meet: the engine's own, Python's beside them, signals, the tuner, the pool of lanes.
# Not tests/test_fork.py: the sanitizer does not follow threads into a forked process.
THREADED = [
    "tests/test_sanitizers.py",
    "tests/test_threads.py",
    "tests/test_bits.py",
    "tests/test_signals.py",
    "tests/test_callbacks.py",
    "tests/test_state.py",
    "tests/test_sequential.py",
    "tests/test_binding_crashes.py",
    "tests/test_binding_settings.py",
    "tests/test_allocation_failures.py",
    "tests/test_bad_values.py",
    "tests/test_thread_limits.py",
    "tests/test_copies_in_training.py",
    "tests/test_denormals.py",
    "tests/test_display.py",
    "tests/test_functional_in_place.py",
    "tests/test_settings.py",
    "tests/test_demo.py",
]
NOT_UNDER_TSAN = [
    # an answer within 0.2 s, a fit within 60 s: everything takes ten times as long
    "tests/test_signals.py::test_ctrl_c_is_answered_and_leaves_whole_steps",
    "tests/test_signals.py::test_fit_in_another_thread_neither_answers_nor_blocks",
    "tests/test_functional_in_place.py::test_ctrl_c_ends_a_long_product",
    # an assertion of libomp's own may end a process in which a daemon thread still trains
    "tests/test_signals.py::test_a_process_may_end_while_a_daemon_thread_trains",
    # kilobytes of the process, which the sanitizer's own memory exceeds; takes minutes
    "tests/test_allocation_failures.py::test_fits_and_failing_calls_do_not_grow",
]


def _clang(session: nox.Session) -> dict[str, str]:
    """Return what the thread sanitizer needs, of the first clang++ that has all of it."""
    lacks = []
    for name in ("clang++", *(f"clang++-{version}" for version in range(40, 13, -1))):
        compiler = shutil.which(name)
        if compiler is None:
            continue
        found = {
            "compiler": compiler,
            "runtime": _library(name, f"libclang_rt.tsan-{platform.machine()}.so"),
            "openmp": _library(name, "libomp.so"),
            "archer": _library(name, "libarcher.so"),
            "symbolizer": _program(name, "llvm-symbolizer"),
        }
        missing = [path for path in found.values() if not Path(path).is_file()]
        if not missing:
            return found
        lacks.append(f"{name} lacks {', '.join(missing)}")
    return session.error(
        f"{'; '.join(lacks) or 'clang++ is not installed'}. The thread sanitizer cannot see into "
        "GCC's OpenMP: this session needs clang >= 14, its sanitizers, LLVM's OpenMP with Archer, "
        "and the symbolizer. Debian and Ubuntu: apt-get install clang-19 libclang-rt-19-dev "
        "libomp-19-dev llvm-19 (any version, the same for all four)"
    )


@nox.session
def tsan(session: nox.Session) -> None:
    """Run the tests of threads under the thread sanitizer: clang, LLVM's OpenMP, Archer."""
    clang = _clang(session)
    rules = Path("tests/tsan.supp").resolve()
    env = {
        # libomp is not compiled for the sanitizer: Archer tells what its forks and joins order,
        # and what it does inside is not looked at. A process that ends while a daemon thread trains
        # joins nobody: a thread of libomp's that is left over then is no error.
        "OMP_TOOL_LIBRARIES": clang["archer"],
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:report_thread_leaks=0:"
        "allocator_may_return_null=1:"
        f"suppressions={rules}:external_symbolizer_path={clang['symbolizer']}",
    }
    # Accesses of more than 16 bytes are not instrumented: with AVX most loops would be invisible.
    level = "v2" if platform.machine() == "x86_64" else "base"
    defines = {"CMAKE_CXX_COMPILER": clang["compiler"]}
    arguments = [*THREADED, *(f"--deselect={name}" for name in NOT_UNDER_TSAN)]
    _sanitized(
        session, "thread", level, [clang["runtime"]], env, defines=defines, arguments=arguments
    )


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant wrong lines in a copy of the sources: each has to make the tests that it names fail."""
    extras = PROJECT["project"]["optional-dependencies"]["test"]
    session.install(*_group("dev"), *extras, "numpy>=2.0")
    session.run("python", "tests/mutants.py", *session.posargs)


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
