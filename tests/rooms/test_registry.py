# SPDX-License-Identifier: BSD-3-Clause
"""Registries, twin, classes, functions, stubs and tables have the same members."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pickle
import re
import runpy
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import fastnn
from fastnn import _core, _registry, nn, optim, reference
from fastnn._fields import default_values, fields_of, spread
from fastnn._optimizers import OPTIMIZERS
from fastnn._schedule import SCHEDULES
from fastnn.functional._functions import loss_name
from fastnn.metrics._chosen import BY_NAME
from fastnn.nn._members import ACTIVATIONS, LOSSES
from members import NO_MEMBER

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "activations": (ACTIVATIONS, reference.ACTIVATIONS, nn),
    "losses": (LOSSES, reference.LOSSES, nn),
    "optimizers": (OPTIMIZERS, reference.OPTIMIZERS, optim),
    "schedules": (SCHEDULES, reference.SCHEDULES, optim.lr_scheduler),
}
ROWS = [(room, row) for room, rows in _core.registries().items() for row in rows]
DESCRIBED = [(room, row) for room, row in ROWS if room in ROOMS]
WITH_FUNCTIONS = [(room, row) for room, row in DESCRIBED if room != "schedules"]


def ids(pairs):
    return [f"{room}-{row['name']}" for room, row in pairs]


def load_stubs():
    path = ROOT / "tools" / "stubs.py"
    spec = importlib.util.spec_from_file_location("fastnn_stubs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stubs_and_tables_are_fresh():
    installed = Path(fastnn.__file__).parent
    for path, text in load_stubs().files().items():
        inside = path.removeprefix("python/fastnn/")
        target = ROOT / path if inside == path else installed / inside
        assert target.read_text(encoding="utf-8") == text, (
            f"{path} is stale: run python tools/stubs.py"
        )


def test_the_program_that_uses_every_member_runs():
    runpy.run_path(str(ROOT / "tests" / "every_member.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_names_are_the_same_everywhere(room):
    names = [row["name"] for row in _core.registries()[room]]
    classes, twin, _ = ROOMS[room]
    assert list(classes) == names
    assert sorted(twin) == sorted(names)


def test_layers_are_the_same_everywhere():
    for room, twin in (("inputs", reference.INPUTS), ("layers", reference.LAYERS)):
        assert {row["name"] for row in _core.registries()[room]} == set(twin)
    rows = {
        row["name"]: row["class_name"]
        for room in ("inputs", "layers")
        for row in _core.registries()[room]
    }
    for name, class_name in rows.items():
        assert getattr(nn, class_name).registry_name == name
        assert class_name in nn.__all__


@pytest.mark.parametrize("row", _core.registries()["layers"], ids=lambda row: row["name"])
def test_sizes_of_layers_have_no_default(row):
    twin = inspect.signature(reference.LAYERS[row["name"]]).parameters.values()
    sizes = [p["name"] for p in row["params"] if p["required"]]
    assert sizes == [p.name for p in twin if p.default is p.empty]
    for param in row["params"]:
        assert not param["required"] or param["default"] is None
    if sizes:
        with pytest.raises(
            ValueError, match=rf"\[{row['name']}\] has no {sizes[0]}; expected a wh"
        ):
            _core.Network([(row["name"], {})])


@pytest.mark.parametrize(("room", "row"), DESCRIBED, ids=ids(DESCRIBED))
def test_defaults_are_the_same_everywhere(room, row):
    classes, twin, module = ROOMS[room]
    cls = classes[row["name"]]
    assert cls.__name__ == row["class_name"] == twin[row["name"]].class_name
    assert getattr(module, cls.__name__) is cls
    assert cls.__name__ in module.__all__
    expected = default_values(row["params"])
    assert {k: fixed(v) for k, v in cls().hyper().items()} == expected
    assert dict(twin[row["name"]].hypers) == expected
    more = {f.name for f in cls.more_fields}
    own = {f.name: f.default for f in fields(cls) if f.name not in more}
    assert MISSING not in own.values()
    assert list(spread("", row["params"], own).items()) == list(expected.items())


def fixed(value):
    return tuple(value) if isinstance(value, list) else value


def test_losses_agree_with_the_twin():
    for row in _core.registries()["losses"]:
        twin = reference.LOSSES[row["name"]]
        assert row["params"][0]["name"] == "reduction"
        for fact in ("target", "task", "mean", "takes_probabilities"):
            assert row[fact] == getattr(twin, fact), (row["name"], fact)
        assert row["outputs_per_target"] == twin.outputs_per_target()


def test_metrics_are_the_same_everywhere():
    """The rows are sums over rows, of which the classes of fastnn.metrics make figures."""
    rows = {row["name"]: row for row in _core.registries()["metrics"]}
    assert list(rows) == list(reference.METRICS)
    for name, row in rows.items():
        twin = reference.METRICS[name]
        assert row["class_name"] == twin.class_name
        assert row["sees_predictions"] == twin.sees_predictions
        own = {n: v for n, v in twin.hypers.items() if n != "boundary"}  # that of the loss
        assert default_values(row["params"]) == own
        cls = getattr(fastnn.metrics, row["class_name"])
        assert name in [known for known, _ in cls().sums()]
    used = {name for cls in BY_NAME.values() for name, _ in cls().sums()}
    assert used - {"accuracy"} == set(rows)


def test_activations_agree_with_the_twin():
    for row in _core.registries()["activations"]:
        assert row["needs"] == reference.ACTIVATIONS[row["name"]].needs


@pytest.mark.parametrize(("room", "row"), ROWS, ids=ids(ROWS))
def test_rows_are_documented(room, row):
    assert row["formula"].strip(), f"{room}.{row['name']} has no formula"
    for param in row["params"]:
        assert param["doc"].strip(), f"{row['name']}.{param['name']} has no documentation"
        if param["kind"] in ("real", "count") and param["default"] is not None:
            assert param["lowest"] <= param["default"] <= param["highest"]


def functions_of(room, row):
    """Return the names of the functions of a member."""
    if room == "activations":
        return [row["name"], f"{row['name']}_backward"]
    return [loss_name(row)] if room == "losses" else [f"{row['name']}_step_"]


@pytest.mark.parametrize(("room", "row"), WITH_FUNCTIONS, ids=ids(WITH_FUNCTIONS))
def test_every_member_has_its_functions(room, row):
    for name in functions_of(room, row):
        function = getattr(fastnn.functional, name)
        assert name in fastnn.functional.__all__
        assert function is getattr(fastnn.functional, name)
        assert (function.__module__, function.__qualname__) == ("fastnn.functional", name)
        assert pickle.loads(pickle.dumps(function)) is function
        given = inspect.signature(function).parameters
        own = fields_of(row["params"])
        assert {f.name: given[f.name].default for f in own} == {f.name: f.default for f in own}
        for f in own:
            assert f"{f.name} : {f.doc_type}, default {f.default_text}" in function.__doc__
    if room != "losses":
        assert row["formula"] in getattr(fastnn.functional, functions_of(room, row)[0]).__doc__


def test_functions_of_losses_name_their_arguments_alike():
    for row in _registry.rows("losses").values():
        given = list(inspect.signature(getattr(fastnn.functional, loss_name(row))).parameters)
        assert given[:3] == ["out", "target", "sample_weight"]


def test_members_are_made_once_and_found():
    for module in (nn, optim, optim.lr_scheduler, fastnn.functional):
        assert set(module.__all__) <= set(dir(module))
        for name in module.__all__:
            assert getattr(module, name) is getattr(module, name)
        with pytest.raises(AttributeError, match=r"has no attribute 'NoSuchThing'"):
            module.NoSuchThing  # noqa: B018
    for members in (ACTIVATIONS, LOSSES, OPTIMIZERS, SCHEDULES):
        for cls in members.values():
            assert members.named(cls.__name__) is cls
            assert cls.__module__ in ("fastnn.nn", "fastnn.optim", "fastnn.optim.lr_scheduler")
            assert pickle.loads(pickle.dumps(cls)) is cls


def test_threads_that_ask_at_once_get_one_class():
    script = """
import threading
from fastnn import nn
barrier, found = threading.Barrier(8), []
def ask():
    barrier.wait()
    found.append(nn.ReLU)
threads = [threading.Thread(target=ask) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(found) == 8 and set(found) == {nn.ReLU}, found
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_wrong_call_is_refused_by_the_interpreter():
    function = fastnn.functional.relu
    with pytest.raises(TypeError, match=r"relu\(\) missing 1 required positional argument: 'z'"):
        function()
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'slope'"):
        function([1.0], slope=1)


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
    given = {"0.*": {"lr": 0.5}}
    with_group = optim.SGD(0.1, param_groups=given)
    given["0.*"]["lr"] = 7
    assert with_group.group_hyper() == {"0.*": {"lr": 0.5}}


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


# The types that pybind11 names; of others it says less than the stub does.
TOLD = {name: name for name in ("str", "bool", "int", "float", "None")}
TOLD["typing.SupportsInt | typing.SupportsIndex"] = "int"
TOLD["typing.SupportsFloat | typing.SupportsIndex"] = "float"


def signature_of(node):
    """Return name, kind, default and annotation of each argument of a def, and of its result."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    lacking = [None] * (len(positional) - len(arguments.defaults))
    pairs = [
        *zip(positional, [*lacking, *arguments.defaults], strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    found = [
        (a.arg, a in arguments.kwonlyargs, default and ast.unparse(default), a.annotation)
        for a, default in pairs
    ]
    return [*found, ("return", False, None, node.returns)]


def disagreements(stub, built):
    """Yield what differs between a function of the stub and the signature that pybind11 made."""
    if [a[:2] for a in stub] != [a[:2] for a in built]:
        yield f"{[a[:2] for a in stub]} is {[a[:2] for a in built]}"
        return
    for (name, _, default, hint), (_, _, real_default, real_hint) in zip(stub, built, strict=True):
        if default not in (real_default, "...") or (default is None) != (real_default is None):
            yield f"{name} = {default} is {real_default}"
        told = real_hint and TOLD.get(ast.unparse(real_hint))
        if told and ast.unparse(hint) != told:
            yield f"{name}: {ast.unparse(hint)} is {told}"


def test_stub_signatures_are_those_of_the_module():
    path = Path(fastnn.__file__).parent / "_core" / "__init__.pyi"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    network = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Network")
    compared, wrong = 0, {}
    for owner, body in ((_core, tree), (_core.Network, network)):
        for node in body.body:
            if not isinstance(node, ast.FunctionDef) or node.decorator_list:
                continue
            line = getattr(owner, node.name).__doc__.splitlines()[0]
            built = ast.parse(f"def {line}: ...").body[0]
            first = 1 if owner is _core.Network else 0  # self
            found = disagreements(signature_of(node)[first:], signature_of(built)[first:])
            wrong[node.name] = list(found)
            compared += 1
    assert compared > 40
    assert {name: found for name, found in wrong.items() if found} == {}
