# SPDX-License-Identifier: BSD-3-Clause
"""The house rules that a machine can keep: arrows, one place per concern, lengths, one version."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import fastnn
from fastnn import _core

ROOT = Path(__file__).resolve().parents[2]
CPP = ROOT / "cpp"
PACKAGE = ROOT / "python" / "fastnn"

BOTTOM = {"core"}
MIDDLE = BOTTOM | {"kernels"}
ROOMS = {
    "core": set(),
    "kernels": BOTTOM,
    "activations": MIDDLE,
    "losses": MIDDLE,
    "metrics": MIDDLE,
    "optimizers": MIDDLE,
    "schedules": BOTTOM,
    "inputs": MIDDLE,
    "initializers": BOTTOM,
    "layers": MIDDLE | {"activations", "initializers"},
}
ROOMS["graph"] = MIDDLE | {"initializers", "inputs", "layers"}
ROOMS["plan"] = ROOMS["graph"] | {"graph"}
ROOMS["run"] = ROOMS["plan"] | {"plan", "losses", "metrics", "optimizers", "schedules"}
ROOMS["train"] = ROOMS["run"] | {"run"}
ROOMS["bindings"] = set(ROOMS)
REGISTRY_ROOMS = (
    "activations",
    "initializers",
    "inputs",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "schedules",
)

# A module may import what stands on a line above its own, and its own package.
PYTHON_ORDER = (
    {"errors", "reference", "datasets", "_assign", "_first_use", "_hints"},
    {"_files"},
    {"_refusals"},
    {"_core"},
    {"_registry"},
    {"_sparse"},
    {"_validate"},
    {"_fields"},
    {"_docstrings"},
    {"_describe"},
    {"_schedule"},
    {"_optimizer", "_schedules"},
    {"_protocols"},
    {"_optimizers", "metrics"},
    {"functional", "optim", "callbacks", "info", "data", "diagnose", "exchange", "_threads"},
    {"nn"},
    {"_pair", "plot", "sklearn"},
    {"_loading"},
    {"_demo", "_bench", "_model_commands"},
    {"__main__"},
)
TWIN_READERS = {"_pair", "_demo", "_bench", "exchange"}
RANK = {name: rank for rank, names in enumerate(PYTHON_ORDER) for name in names}

# The same inside nn, where Sequential stands on all others.
NN_ORDER = (
    {"_history", "_keys", "_initializer"},
    {"_initializers", "_state"},
    {"_layer", "_loss"},
    {"_containers", "_function_loss", "_inputs", "_members", "_layers", "_norms"},
    {"_figures"},
    {"_entries", "_rows", "_summary", "_tree"},
    {"_compiled"},
    {"_layer_data", "_progress"},
    {"_arguments"},
    {"_parts"},
    {"_stream"},
    {"_averages", "_gradients", "_rate_search", "_run"},
    {"_config", "_diagnosis"},
    {"_backup", "_pickled"},
    {"_sequential"},
    {"_exchange", "init"},
)
# And inside sklearn, where the two estimators stand on all others.
SKLEARN_ORDER = (
    {"_counterpart", "_documentation", "_draws", "_joblib", "_learning_rate", "_notices", "_plain"},
    {"_context", "_onnx", "_parameters", "_rows", "_targets", "_versions"},
    {"_compilation", "_network", "_packing"},
    {"_saving", "_training", "_with_network"},
    {"_exchange", "_quasi_newton", "_restarts"},
    {"_perceptron"},
    {"_classifier", "_regressor"},
    {"_converter"},
)
RANKS = {
    package: {name: rank for rank, names in enumerate(order) for name in names}
    for package, order in (("nn", NN_ORDER), ("sklearn", SKLEARN_ORDER))
}

SOURCES = sorted(p for p in CPP.rglob("*") if p.suffix in {".h", ".cpp", ".c"})
MODULES = sorted(PACKAGE.rglob("*.py"))

INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^">]+)[">]', re.MULTILINE)
MAX_LINES = 450
MAX_FUNCTION = 80


def _id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _code(path: Path) -> str:
    """Return C++ text without comments, so that words in them prove nothing."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def _room(path: Path) -> str:
    return path.relative_to(CPP).parts[0]


def _includes(path: Path) -> list[str]:
    return INCLUDE.findall(_code(path))


def test_there_is_something_to_check():
    assert {_room(p) for p in SOURCES} == set(ROOMS)
    assert len(MODULES) > 5


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_rooms_include_downwards_only(path):
    allowed = ROOMS[_room(path)] | {_room(path)}
    for name in _includes(path):
        room = name.split("/")[0]
        assert room not in ROOMS or room in allowed, f"{_id(path)} must not include {name}"


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_one_place_per_concern(path):
    code, includes, room = _code(path), _includes(path), _room(path)
    is_parallel = room == "core" and path.stem.startswith("parallel")
    if room != "bindings":
        assert not re.search(r"pybind11|Python\.h|PyErr_|py::", code), "Python belongs to bindings/"
    if not is_parallel:
        assert "omp.h" not in includes, "omp.h belongs to core/parallel"
        assert not re.search(r"#\s*pragma\s+omp|std::(j?thread|async)\b", code), (
            "threads belong to core/parallel"
        )
    assert not re.search(r"Eigen::(Map|Matrix|Array|Ref)\b", code), (
        "vectors are Eigen's, products are kernels/gemm"
    )
    if path.name != "float_mode.h":
        assert not re.search(r"(ld|st)mxcsr|fpcr|fe(set|get)(env|round)", code), (
            "the floating-point mode belongs to core/float_mode.h"
        )
    assert "pybind11/eigen.h" not in includes, "its casters copy"
    assert not re.search(r"immintrin|__AVX|__SSE|__FMA__", code), "levels belong to CMake"
    if path.name != "simd.h":
        assert not re.search(r"\b_mm(256|512)?_\w+", code), "intrinsics belong to core/simd.h"


# Functions of <cmath> whose results differ between C libraries. sqrt, floor, round, ... are exact.
LIBM = re.compile(
    r"(a?(cos|sin|tan)h?|atan2|cbrt|erfc?|exp[2m]?1?|[lt]gamma|hypot|log|log1[0p]|log2|pow|sincos)"
    r"[fl]?(16|32|64|128)?x?"
)


@pytest.mark.parametrize("module", sorted(set(_core.built)))
def test_no_module_asks_the_c_library_for_one(module):
    """The linker leaves such functions to be found at run time, those that Eigen calls included."""
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("binutils are not installed")
    spec = find_spec(f"fastnn._core._{module}")
    assert spec is not None
    assert spec.origin is not None
    table = subprocess.run(
        [nm, "-D", "--undefined-only", spec.origin], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1].split("@")[0] for line in table.splitlines()}
    assert "malloc" in names or "_Znwm" in names
    assert not {name for name in names if LIBM.fullmatch(name)}


@pytest.mark.parametrize("path", [p for p in SOURCES if _room(p) != "bindings"], ids=_id)
def test_no_function_of_the_c_library_enters_a_result(path):
    """Bits would depend on the C library; core/simd_math.h has the engine's own functions."""
    found = set(re.findall(r"(?:std::|__builtin_|(?<![\w.>])::)(\w+)\s*\(", _code(path)))
    assert not {name for name in found if LIBM.fullmatch(name)}, _id(path)


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_threads_are_asked_for_by_number(path):
    code = _code(path)
    assert "omp_set_num_threads" not in code, "it changes the caller's process"
    for pragma in re.findall(r"#\s*pragma\s+omp\s+parallel[^\n]*(?:\\\n[^\n]*)*", code):
        assert "num_threads(" in pragma, pragma


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_no_exception_leaves_a_parallel_region(path):
    lines = _code(path).splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\s*#\s*pragma\s+omp\s+parallel", line):
            opened = [text for text in lines[:number] if re.match(r"[A-Za-z].*\{$", text)]
            assert re.search(r"\) noexcept \{$", opened[-1]), f"{opened[-1]} holds {line.strip()}"


@pytest.mark.parametrize("module", sorted(_core.built))
def test_no_module_turns_fast_math_on(module):
    """Linked with -ffast-math, a library sets flush-to-zero for its whole process when loaded."""
    spec = find_spec(f"fastnn._core._{module}")
    assert spec is not None
    assert spec.origin is not None
    assert b"set_fast_math" not in Path(spec.origin).read_bytes()


def test_flags_stand_in_one_file():
    # The words themselves may stand here and in comments that forbid them.
    files = [ROOT / "CMakeLists.txt", *sorted((CPP / "cmake").glob("*.cmake"))]
    code = {path.name: re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8")) for path in files}
    assert not [name for name, text in code.items() if "fast-math" in text or "Ofast" in text]
    assert [name for name, text in code.items() if "-march" in text] == ["FastnnIsa.cmake"]


@pytest.mark.parametrize("room", REGISTRY_ROOMS)
def test_no_header_is_in_no_registry(room):
    reached, todo = set(), [CPP / room / "registry.cpp"]
    while todo:
        for name in _includes(todo.pop()):
            path = CPP / name
            if name.startswith(f"{room}/") and path not in reached:
                reached.add(path)
                todo.append(path)
    orphans = set((CPP / room).glob("*.h")) - reached
    assert not orphans, f"{room}/registry.cpp does not reach {sorted(p.name for p in orphans)}"


def test_bindings_know_no_vectors():
    """They are compiled once, for the oldest processor, and linked with every level's engine."""
    reached, todo = set(), sorted((CPP / "bindings").glob("*.cpp"))
    while todo:
        path = todo.pop()
        names = _includes(path)
        assert not [name for name in names if name.startswith("Eigen")], _id(path)
        for name in names:
            if (CPP / name).is_file() and name not in reached:
                reached.add(name)
                todo.append(CPP / name)
    assert "train/model.h" in reached
    assert "core/simd.h" not in reached


TEXTS = (
    SOURCES
    + MODULES
    + sorted((ROOT / "tests").rglob("*.py"))
    + sorted((ROOT / "bench").rglob("*.py"))
)


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=_id)
def test_tests_are_in_the_folder_of_their_room(path):
    folder = path.parent.name
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert folder != "programs"
    assert f"| `tests/{folder}` |" in text, f"{_id(path)}: CONTRIBUTING.md says which folders exist"


@pytest.mark.parametrize("path", TEXTS, ids=_id)
def test_files_are_short_or_say_why(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    head = "\n".join(lines[:12])
    assert "SPDX-License-Identifier: BSD-3-Clause" in head
    assert len(lines) <= MAX_LINES or re.search(r"over 450 lines", head, re.IGNORECASE), (
        f"{len(lines)} lines: split the file, or say in its first comment why it is over 450 lines"
    )


def _cpp_functions(path: Path) -> list[tuple[int, int]]:
    """Return (first line, length) of the functions that open and close in column 0."""
    found, start = [], None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        opens = line.rstrip().endswith("{") and re.match(r"[A-Za-z]", line)
        if opens and not re.match(
            r"(namespace|struct|class|enum|union|extern|template <.*> (struct|class))\b", line
        ):
            start = number
        elif line.startswith("}") and start is not None:
            found.append((start, number - start + 1))
            start = None
    return found


@pytest.mark.parametrize("path", SOURCES, ids=_id)
def test_functions_are_short(path):
    long = [f"line {at}: {length}" for at, length in _cpp_functions(path) if length > MAX_FUNCTION]
    assert not long or "over 80 lines" in path.read_text(encoding="utf-8"), long


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_python_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            is_doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            doc = (first.end_lineno or 0) - first.lineno + 1 if is_doc else 0
            length = (node.end_lineno or 0) - node.lineno + 1 - doc
            assert length <= MAX_FUNCTION or "over 80 lines" in text, f"{node.name}: {length} lines"


def _imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports, for types too, relative ones made absolute."""
    package = ["fastnn", *path.relative_to(PACKAGE).with_suffix("").parts][:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            parts = [*base, *([node.module] if node.module else [])]
            stem = ".".join(parts)
            # `from fastnn import optim` and `from . import _core` name modules, not values.
            is_package = parts[0] == "fastnn" and PACKAGE.joinpath(*stem.split(".")[1:]).is_dir()
            found |= {f"{stem}.{alias.name}" for alias in node.names} if is_package else {stem}
    return found


def _unit(path: Path) -> str:
    """Return the module or package directly below fastnn that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_every_python_module_has_its_place():
    assert {_unit(path) for path in MODULES} - {"__init__"} == set(RANK)


@pytest.mark.parametrize("path", MODULES, ids=_id)
def test_python_imports_downwards_only(path):
    unit = _unit(path)
    if unit == "__init__":
        return  # The face: it names everything, lazily.
    for name in sorted(_imports(path)):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top == "fastnn" and other in RANK and other != unit:
            assert RANK[other] < RANK[unit], f"{unit} must not import {name}"
            assert other != "reference" or unit in TWIN_READERS, f"{unit} must not import the twin"


ORDERED = sorted(
    path
    for package in RANKS
    for path in (PACKAGE / package).glob("*.py")
    if path.stem != "__init__"
)


@pytest.mark.parametrize("package", RANKS)
def test_every_module_of_a_package_has_its_place(package):
    assert {path.stem for path in ORDERED if path.parent.name == package} == set(RANKS[package])


@pytest.mark.parametrize("path", ORDERED, ids=_id)
def test_a_package_imports_downwards_only(path):
    """Imports inside functions count, too: they hide a circle and do not open it."""
    package = f"fastnn.{path.parent.name}"
    ranks = RANKS[path.parent.name]
    for name in sorted(_imports(path)):
        assert name != package, f"from {package} itself only its modules, by name"
        other = name.removeprefix(f"{package}.").partition(".")[0]
        if name.startswith(f"{package}.") and other != path.stem:
            assert other in ranks, f"{name} is not a module of {package}"
            assert ranks[other] < ranks[path.stem], f"{path.stem} must not import {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "reference").glob("*.py")), ids=_id)
def test_the_twin_is_numpy_only(path):
    own = {name for name in _imports(path) if name.startswith("fastnn.reference")}
    tops = {name.partition(".")[0] for name in _imports(path) - own}
    assert tops <= sys.stdlib_module_names | {"numpy"}


def test_one_version():
    text = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE) == [fastnn.__version__]
    for name in ("pyproject.toml", "CMakeLists.txt"):
        assert fastnn.__version__ not in (ROOT / name).read_text(encoding="utf-8"), (
            f"{name} repeats the version"
        )
    assert f"## {fastnn.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
