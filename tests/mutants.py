# SPDX-License-Identifier: BSD-3-Clause
"""Mutation tests, by ``nox -s mutants`` or as a program.

Each row of ``mutations.toml`` changes one line of the sources and names the tests that have to fail
then. The program works on a copy of the tree: it builds it, checks that the named tests pass, and
applies one mutation after the other. A mutation with which no named test fails has survived: either
a test is missing, or the line has no effect.

    python tests/mutants.py --list
    python tests/mutants.py --only tuner
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = ("build", "dist", ".git", ".nox", ".venv", "*.so", "__pycache__", ".*_cache")
SECONDS = 900  # limit for the tests of a mutation; a test that hangs counts as a failure


@dataclass(frozen=True)
class Mutation:
    """One wrong line: `old`, which occurs once in `file`, becomes `new`; `tests` have to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]

    def applied(self, text: str) -> str:
        """Return the text of the file with the wrong line."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: old stands {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)


def mutations() -> list[Mutation]:
    """Return all rows of the list."""
    with (ROOT / "tests" / "mutations.toml").open("rb") as file:
        rows = tomllib.load(file)["mutation"]
    return [Mutation(**{**row, "tests": row["tests"].split()}) for row in rows]


class Copy:
    """A copy of the tree, in which lines are changed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        shutil.copytree(ROOT, self.root, ignore=shutil.ignore_patterns(*LEFT_OUT))
        self.objects = folder / "build"
        options = {
            "CMAKE_BUILD_TYPE": "Release",
            "CMAKE_UNITY_BUILD": "OFF",  # a changed line compiles its own file
            "FASTNN_ISAS": "native",
            "FASTNN_TESTING": "ON",
            "Python_EXECUTABLE": sys.executable,
        }
        if shutil.which("ccache"):
            options["CMAKE_CXX_COMPILER_LAUNCHER"] = options["CMAKE_C_COMPILER_LAUNCHER"] = "ccache"
        defines = [f"-D{name}={value}" for name, value in options.items()]
        self._call("cmake", "-S", self.root, "-B", self.objects, "-G", "Ninja", *defines)
        if text := self.build():
            sys.exit(f"the sources do not compile\n{text}")

    @staticmethod
    def _call(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=True)

    def build(self) -> str:
        """Compile what has changed; return an error text, or nothing."""
        try:
            self._call("cmake", "--build", self.objects, "--parallel", os.environ.get("JOBS", "1"))
        except subprocess.CalledProcessError as error:
            return str(error.stdout)[-3000:]
        for module in self.objects.glob("_*.so"):
            shutil.copy(module, self.root / "python" / "fastnn" / "_core")
        return ""

    def run(self, tests: list[str]) -> tuple[str, str]:
        """Return "passed", "failed" or why nothing was run, and the last lines of pytest."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root / "python")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return "failed", f"more than {SECONDS} s"
        named = [line for line in out.splitlines() if line.startswith(("FAILED", "ERROR"))]
        said = (named or out.splitlines() or [""])[-1]
        if process.returncode == 0:
            return "passed", said
        # 2 and 4: a module cannot be imported, since the names of the tests have been checked.
        if process.returncode in (1, 2, 4) or process.returncode < 0:
            return "failed", said if process.returncode >= 0 else "the process crashed"
        return "no tests ran", out[-2000:]

    def outcome(self, mutation: Mutation) -> tuple[str, str]:
        """Apply a mutation, run its tests, and undo it."""
        path = self.root / mutation.file
        text = path.read_text(encoding="utf-8")
        path.write_text(mutation.applied(text), encoding="utf-8")
        try:
            # Also for mutations of Python, because the module may be that of the previous one.
            if wrong := self.build():
                return "does not compile", wrong
            state, said = self.run(mutation.tests)
            return {"passed": "survived", "failed": "killed"}.get(state, state), said
        finally:
            path.write_text(text, encoding="utf-8")


def main() -> int:
    """Run the selected mutations; the exit status is 0 if tests failed with each of them."""
    parser = argparse.ArgumentParser(description="Applies mutations and runs their tests.")
    parser.add_argument("--only", metavar="TEXT", help="those with this text in name or file")
    parser.add_argument("--list", action="store_true", help="names and files, nothing is run")
    parser.add_argument("--from", dest="first", metavar="NAME", help="begin with this one")
    given = parser.parse_args()
    chosen = [m for m in mutations() if not given.only or given.only in m.name + " " + m.file]
    if given.first:
        names = [m.name for m in chosen]
        chosen = chosen[names.index(given.first) :]
    if given.list:
        for mutation in chosen:
            print(f"{mutation.file:40} {mutation.name}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        state, said = copy.run(sorted({test for m in chosen for test in m.tests}))
        if state != "passed":
            sys.exit(f"without any mutation the named tests {state}: {said}")
        alive = []
        for mutation in chosen:
            start = time.monotonic()
            outcome, said = copy.outcome(mutation)
            seconds = time.monotonic() - start
            print(f"{outcome:10} {seconds:4.0f} s  {mutation.name}: {said}", flush=True)
            if outcome != "killed":
                alive.append(mutation)
        print(f"{len(chosen)} mutations, {len(chosen) - len(alive)} killed")
        for mutation in alive:
            print(f"not killed: {mutation.name} ({mutation.file})")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
