# SPDX-License-Identifier: BSD-3-Clause
"""Checks for developers: ``nox -s tests lint isa``; ``nox -l`` lists all sessions."""

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
    """Return the path of a library that the compiler would link, or only its name if none."""
    return _ask(compiler, f"-print-file-name={name}")


def _program(compiler: str, name: str) -> str:
    """Return the path of a program that belongs to the compiler, or only its name if none."""
    return _ask(compiler, f"-print-prog-name={name}")


@nox.session
def tests(session: nox.Session) -> None:
    """Install with all levels and run the tests."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the package once for the sessions that install it in several environments."""
    folder = _wheels(session)
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "pip", "wheel", "--no-deps", f"--wheel-dir={folder}", ".")


def _wheels(session: nox.Session) -> Path:
    return session.cache_dir / "wheels"


# The oldest that is supported, and the last release of each later series.
SCIKIT_LEARN = ("1.6.0", "1.6.*", "1.7.*", "1.8.*", "1.9.*")


@nox.session(requires=["wheel"])
@nox.parametrize("version", SCIKIT_LEARN)
def scikit_learn(session: nox.Session, version: str) -> None:
    """Run the tests of the estimators with a version of scikit-learn."""
    extras = PROJECT["project"]["optional-dependencies"]["test"]
    others = [each for each in extras if not each.startswith("scikit-learn")]
    (built,) = _wheels(session).glob("*.whl")
    # Earlier builds have the same version, so the new one would not replace them.
    session.install("--force-reinstall", "--no-deps", str(built))
    # Later versions of pytest warn of what older versions of scikit-learn give to parametrize.
    session.install(str(built), *others, "pytest<9", f"scikit-learn=={version}")
    # Older versions use options that later versions of SciPy deprecate.
    quiet = ["-W", "ignore:scipy.optimize:DeprecationWarning"]
    session.run("pytest", *quiet, *(session.posargs or ["tests/estimators"]))


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
    """Run the tests once per level that was built and that this processor can run."""
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
    """Build one level with a sanitizer, run pytest under it, fail if any process wrote a report."""
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
    # Reports are written to files, because tests capture the output of processes that they start,
    # and kill some of them. (Only undefined behaviour is always reported on stderr; it ends the
    # process, so the test fails.)
    options = {
        name: f"{value}:log_path={reports / 'report'}" if name.endswith("SAN_OPTIONS") else value
        for name, value in env.items()
    }
    # Python itself is not instrumented, so the sanitizer's runtime has to be loaded first.
    options["LD_PRELOAD"] = " ".join(preload)
    command = ["pytest", "-p", "no:faulthandler", *(session.posargs or arguments)]
    try:
        session.run(*command, env=options)
    finally:
        texts = [path.read_text(errors="replace") for path in sorted(reports.iterdir())]
        # A refused allocation also writes a line to the file, which is no report.
        found = [text for text in texts if "SUMMARY: " in text or "runtime error: " in text]
        for text in found:
            session.log(text)
    if found:
        session.error(f"{len(found)} processes left reports, see above")


NOT_UNDER_ASAN = [
    # expects Ctrl-C to work within half a second, but an item takes thirty times as long
    "tests/functional/test_long_calls.py::test_ctrl_c_ends_a_long_product",
    # uses a stack of 32 KB, which the larger frames of the sanitizer exceed
    "tests/process/test_no_threads.py::test_threads_with_a_small_stack",
    # limits the memory of a process, of which the sanitizer itself needs several times as much
    "tests/files/test_hostile.py::test_refusals_take_little_time_and_memory",
]


@nox.session
def asan(session: nox.Session) -> None:
    """Run all tests under the address and undefined-behaviour sanitizers."""
    # Leaks are not checked, because CPython keeps memory until the process ends. In test builds,
    # memory from the standard library's operator new is freed by our operator delete; both use
    # malloc and free, so the mismatch is harmless.
    env = {
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:alloc_dealloc_mismatch=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    preload = [_library("g++", name) for name in ("libasan.so", "libstdc++.so")]
    arguments = [f"--deselect={name}" for name in NOT_UNDER_ASAN]
    _sanitized(session, "address", "native", preload, env, defines={}, arguments=arguments)


# Tests in which several threads work on the same data: the engine's threads, Python's threads,
# signal handlers. Without tests/process/test_fork.py: the sanitizer does not support threads in
# forked processes.
THREADED = [
    "tests/process/test_sanitizers.py",
    "tests/process/test_threads.py",
    "tests/engine/test_bits.py",
    "tests/process/test_signals.py",
    "tests/nn/test_callbacks.py",
    "tests/nn/test_state.py",
    "tests/nn/test_sequential.py",
    "tests/arguments/test_binding_crashes.py",
    "tests/arguments/test_binding_settings.py",
    "tests/process/test_allocations.py",
    "tests/arguments/test_bad_values.py",
    "tests/process/test_thread_limits.py",
    "tests/nn/test_copies_in_training.py",
    "tests/engine/test_denormals.py",
    "tests/nn/test_display.py",
    "tests/functional/test_products.py",
    "tests/functional/test_members.py",
    "tests/functional/test_long_calls.py",
    "tests/nn/test_settings.py",
    "tests/nn/test_config.py",
    "tests/nn/test_loading.py",
    "tests/files/test_atomic.py",
    "tests/files/test_digest.py",
    "tests/project/test_demo.py",
    "tests/nn/test_fit_stream.py",
    "tests/nn/test_own_loss.py",
    "tests/nn/test_sparse.py",
    "tests/rooms/test_metric_sums.py",
]
NOT_UNDER_TSAN = [
    # expects a call that is too short for two threads, which takes ten times as long
    "tests/process/test_thread_limits.py::test_threads_of_a_confined_caller_serve_it_alone",
    # expect an answer within 0.2 s or a fit within 60 s, but everything takes ten times as long
    "tests/process/test_signals.py::test_ctrl_c_is_answered_and_leaves_whole_steps",
    "tests/process/test_signals.py::test_fit_in_another_thread_neither_answers_nor_blocks",
    "tests/functional/test_long_calls.py::test_ctrl_c_ends_a_long_product",
    # an assertion in libomp may end a process in which a daemon thread still trains
    "tests/process/test_signals.py::test_a_process_may_end_while_a_daemon_thread_trains",
    # makes a new model for each of thousands of allocations
    "tests/process/test_allocations.py::test_a_used_model_outlives_every_failed_allocation",
    # measures kilobytes of memory, less than the sanitizer allocates itself; takes minutes
    "tests/process/test_allocations.py::test_fits_and_failing_calls_do_not_grow",
]


def _clang(session: nox.Session) -> dict[str, str]:
    """Return the files that the thread sanitizer needs, from the first clang++ that has all."""
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
        f"{'; '.join(lacks) or 'clang++ is not installed'}. The thread sanitizer does not know the "
        "synchronisation of GCC's OpenMP: this session needs clang >= 14, its sanitizers, LLVM's "
        "OpenMP with Archer, and the symbolizer. Debian, Ubuntu: apt-get install clang-19 "
        "libclang-rt-19-dev libomp-19-dev llvm-19 (any version, the same for all four)"
    )


@nox.session
def tsan(session: nox.Session) -> None:
    """Run the tests of threads under the thread sanitizer: clang, LLVM's OpenMP, Archer."""
    clang = _clang(session)
    rules = Path("tests/programs/tsan.supp").resolve()
    env = {
        # libomp is not instrumented: Archer reports the ordering of its forks and joins to the
        # sanitizer, and accesses inside of libomp are not checked. A process that ends while a
        # daemon thread trains does not join its threads, so a remaining thread is no error.
        "OMP_TOOL_LIBRARIES": clang["archer"],
        "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:report_thread_leaks=0:"
        "allocator_may_return_null=1:"
        f"suppressions={rules}:external_symbolizer_path={clang['symbolizer']}",
    }
    # Accesses of more than 16 bytes are not instrumented, so with AVX most loops would not be
    # checked.
    level = "v2" if platform.machine() == "x86_64" else "base"
    defines = {"CMAKE_CXX_COMPILER": clang["compiler"]}
    arguments = [*THREADED, *(f"--deselect={name}" for name in NOT_UNDER_TSAN)]
    _sanitized(
        session, "thread", level, [clang["runtime"]], env, defines=defines, arguments=arguments
    )


@nox.session
def mutants(session: nox.Session) -> None:
    """Insert wrong lines in a copy of the sources; each must make the tests that it names fail."""
    extras = PROJECT["project"]["optional-dependencies"]["test"]
    session.install(*_group("dev"), *extras, "numpy>=2.0")
    session.run("python", "tests/mutants.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure training steps of fastnn and of the NumPy twin on this machine."""
    session.install(".[test]")
    session.run("python", "-m", "fastnn", "bench", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples in the docstrings."""
    session.install(".[test]")
    session.run("pytest", "--doctest-modules", "--pyargs", "fastnn", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run fastnn.load under atheris for 60 seconds, or as many as are given."""
    session.install(".", "atheris>=3.0")
    seconds = session.posargs[0] if session.posargs else "60"
    folder = session.create_tmp()  # the corpus is kept from run to run
    session.run("python", "tests/programs/fuzz_load.py", folder, f"-max_total_time={seconds}")
