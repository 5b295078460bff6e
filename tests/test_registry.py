# SPDX-License-Identifier: BSD-3-Clause
"""One list of everything: registries, twin, generated classes, functions, stub and tables agree."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import fastnn
from fastnn import _core, nn, optim, reference
from fastnn._describe import PAIRS
from fastnn._optimizers import OPTIMIZERS
from fastnn.nn._activations import ACTIVATIONS
from fastnn.nn._losses import LOSSES
from members import NO_MEMBER

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "activations": (ACTIVATIONS, reference.ACTIVATIONS, nn),
    "losses": (LOSSES, reference.LOSSES, nn),
    "optimizers": (OPTIMIZERS, reference.OPTIMIZERS, optim),
}
ROWS = [(room, row) for room, rows in _core.registries().items() for row in rows]
DESCRIBED = [(room, row) for room, row in ROWS if room in ROOMS]


def ids(pairs):
    return [f"{room}-{row['name']}" for room, row in pairs]


def load_generator():
    path = ROOT / "cpp" / "bindings" / "generate.py"
    spec = importlib.util.spec_from_file_location("fastnn_generate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_fresh():
    installed = Path(fastnn.__file__).parent
    for path, text in load_generator().files().items():
        inside = path.removeprefix("python/fastnn/")
        target = ROOT / path if inside == path else installed / inside
        assert target.read_text(encoding="utf-8") == text, (
            f"{path} is stale: run python cpp/bindings/generate.py"
        )


@pytest.mark.parametrize("room", ROOMS)
def test_names_are_the_same_everywhere(room):
    names = [row["name"] for row in _core.registries()[room]]
    classes, twin, _ = ROOMS[room]
    assert list(classes) == names
    assert sorted(twin) == sorted(names)


def test_layers_are_the_same_everywhere():
    rows = {row["name"]: row["class_name"] for row in _core.registries()["layers"]}
    assert set(rows) == set(reference.LAYERS)
    for name, class_name in rows.items():
        assert getattr(nn, class_name).registry_name == name
        assert class_name in nn.__all__


@pytest.mark.parametrize(("room", "row"), DESCRIBED, ids=ids(DESCRIBED))
def test_defaults_are_the_same_everywhere(room, row):
    classes, twin, module = ROOMS[room]
    cls = classes[row["name"]]
    assert cls.__name__ == row["class_name"] == twin[row["name"]].class_name
    assert getattr(module, cls.__name__) is cls
    assert cls.__name__ in module.__all__
    expected = {hyper["name"]: hyper["default"] for hyper in row["params"]}
    assert cls().hyper() == expected
    assert dict(twin[row["name"]].hypers) == expected
    own = [f for f in fields(cls) if f.name != "per_layer"]
    spread = [part for f in own for part in PAIRS.get(f.name, (f.name,))]
    assert spread == list(expected)
    assert all(f.default is not MISSING for f in own)


def test_losses_agree_with_the_twin():
    for row in _core.registries()["losses"]:
        twin = reference.LOSSES[row["name"]]
        assert row["params"][0]["name"] == "reduction"
        for fact in ("target", "task", "mean_over_outputs"):
            assert row[fact] == getattr(twin, fact), (row["name"], fact)


def test_activations_agree_with_the_twin():
    for row in _core.registries()["activations"]:
        assert row["needs"] == reference.ACTIVATIONS[row["name"]].needs


@pytest.mark.parametrize(("room", "row"), ROWS, ids=ids(ROWS))
def test_rows_are_documented(room, row):
    assert row["formula"].strip(), f"{room}.{row['name']} has no formula"
    for hyper in row["params"]:
        documented = hyper["doc"].strip() or hyper["name"] == "reduction"
        assert documented, f"{row['name']}.{hyper['name']} has no documentation"
        if hyper["kind"] in ("real", "count"):
            assert hyper["lowest"] <= hyper["default"] <= hyper["highest"]


@pytest.mark.parametrize("row", _core.registries()["activations"], ids=lambda row: row["name"])
def test_every_activation_is_a_pair_of_functions(row):
    for name in (row["name"], f"{row['name']}_backward"):
        function = getattr(fastnn.functional, name)
        assert name in fastnn.functional.__all__
        given = inspect.signature(function).parameters
        for hyper in row["params"]:
            assert given[hyper["name"]].default == hyper["default"]
    assert f"{row['name']}(z) = {row['formula']}" in getattr(fastnn.functional, row["name"]).__doc__


def test_unknown_names_list_the_candidates():
    model = nn.Sequential(nn.Linear(2, 1))
    for room, argument in (("optimizers", 0), ("losses", 1)):
        known = ", ".join(row["name"] for row in _core.registries()[room])
        arguments = ["sgd", "mse"]
        arguments[argument] = NO_MEMBER
        with pytest.raises(ValueError, match=f"'{NO_MEMBER}'; known: {re.escape(known)}"):
            model.compile(*arguments)


def test_objects_are_values():
    a, b = optim.Adam(lr=0.1), optim.Adam(lr=0.1)
    assert a == b != optim.AdamW(lr=0.1)
    assert nn.LeakyReLU(0.2) == nn.LeakyReLU(negative_slope=0.2)
    assert hash(nn.MSELoss()) == hash(nn.MSELoss())
    with pytest.raises(AttributeError):
        a.lr = 1
    given = {0: {"lr": 0.5}}
    with_layer = optim.SGD(0.1, per_layer=given)
    given[0]["lr"] = 7
    assert with_layer.layer_hyper() == {0: {"lr": 0.5}}


def stub_names(tree):
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id


def test_stub_names_what_the_module_has():
    path = Path(fastnn.__file__).parent / "_core" / "__init__.pyi"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    stub = {name for name in stub_names(tree) if not name.startswith("_")}
    loader = {"annotations", "os", "sys", "import_module", "find_spec", "ModuleType"}
    module = {name for name in vars(_core) if not name.startswith("_")} - loader
    assert stub == module
    network = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Network")
    members = {name for name in stub_names(network) if not name.startswith("_")}
    assert members == {name for name in vars(_core.Network) if not name.startswith("_")}


def parameters_in(doc):
    """Argument names of pybind11's signature line."""
    inner = re.match(r"\w+\((.*)\) -> ", doc.splitlines()[0]).group(1)
    return [name for name in re.findall(r"(?:^|, )\*?(\w*)(?=: |, |$)", inner) if name]


def test_stub_arguments_are_those_of_the_module():
    path = Path(fastnn.__file__).parent / "_core" / "__init__.pyi"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    places = [
        (_core, tree),
        (
            _core.Network,
            next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Network"),
        ),
    ]
    for owner, body in places:
        for node in body.body:
            if not isinstance(node, ast.FunctionDef) or node.decorator_list or node.name[0] == "_":
                continue
            given = [
                a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            ]
            built = parameters_in(getattr(owner, node.name).__doc__)
            if owner is _core.Network:
                given, built = given[1:], built[1:]
            assert given == built, node.name
