# SPDX-License-Identifier: BSD-3-Clause
"""The documentation says what is there: links lead somewhere, code runs, the diff is the code."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for folder in (".", "cpp", "docs", "docs/api", "examples", "bench")
    for path in (ROOT / folder).glob("*.md")
)
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    if "._core._" not in module.name and not module.name.endswith("__main__")
)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_the_readmes_code_runs() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["model"].evaluate(names["X_test"], names["y_test"])["accuracy"] > 0.9  # type: ignore[attr-defined]


NEEDS = {
    "estimators.md": ("sklearn", "skl2onnx", "onnxruntime"),
    "plots.md": ("matplotlib",),
    "saving.md": ("safetensors", "torch", "onnx", "onnxruntime"),
}


PAGES_WITH_CODE = ["estimators.md", "gradients.md", "optimizers.md", "plots.md", "saving.md"]
PAGES_WITH_CODE += ["training.md"]


@pytest.mark.parametrize("page", PAGES_WITH_CODE)
def test_the_code_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of a page are one program, which may write files where it is."""
    for library in NEEDS.get(page, ()):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_the_diffs_are_the_code() -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    diffs = re.findall(r"```diff\n--- \S+\n\+\+\+ b/(\S+)\n(.*?)```", text, re.DOTALL)
    assert len(diffs) == 13
    for name, diff in diffs:
        lines = {line.rstrip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()}
        stale = [line for line in diff.splitlines() if line[1:].rstrip() not in lines]
        assert not stale, f"docs/extending.md shows lines that are not in {name}"


# Packages that an example may import, and what they need themselves (tests/conftest.py).
OPTIONAL = {
    "keras": ("keras", "torch"),
    "matplotlib": ("matplotlib",),
    "onnx": ("onnx",),
    "sklearn": ("sklearn",),
    "torch": ("torch",),
}


def lacks(example: doctest.DocTest) -> bool:
    """Whether an optional package is not installed that the example imports."""
    source = "".join(line.source for line in example.examples)
    needed = [p for p in OPTIONAL if re.search(rf"^import .*\b{p}\b", source, re.MULTILINE)]
    return any(importlib.util.find_spec(own) is None for p in needed for own in OPTIONAL[p])


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    for example in doctest.DocTestFinder().find(module):
        assert lacks(example) or doctest.DocTestRunner().run(example).failed == 0


MEMBERS = (
    fastnn.callbacks,
    fastnn.data,
    fastnn.metrics,
    fastnn.nn,
    fastnn.optim,
    fastnn.plot,
    fastnn.functional,
)


def public_members() -> dict[str, object]:
    """Return public members of the modules that one trains with, methods of Sequential included."""
    members: dict[str, object] = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in MEMBERS
        for name in module.__all__
    }
    for name in dir(fastnn.nn.Sequential):
        member = inspect.getattr_static(fastnn.nn.Sequential, name)
        if not name.startswith("_") and (callable(member) or isinstance(member, property)):
            members[f"Sequential.{name}"] = member
    return members


# A module, whose names have examples of their own, and records that calls return.
NO_EXAMPLE = {f"fastnn.functional.{name}" for name in ("Comparison", "GradientReport", "init")}
NO_EXAMPLE |= {"fastnn.metrics.Counts", "fastnn.metrics.Metric"}
NO_EXAMPLE |= {"fastnn.nn.init"}


@pytest.mark.parametrize("name", public_members())
def test_every_public_member_has_an_example_that_runs(name: str) -> None:
    member = public_members()[name]
    assert ">>>" in (member.__doc__ or "") or name in NO_EXAMPLE
    finder = doctest.DocTestFinder(recurse=False)
    for test in finder.find(member, name, module=False, globs=dict(vars(fastnn.data))):
        assert lacks(test) or doctest.DocTestRunner().run(test).failed == 0
