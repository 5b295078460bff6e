# SPDX-License-Identifier: BSD-3-Clause
"""The programs in bench/ compute what they say; their measurements are not run here."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fastnn.metrics._chosen import BY_NAME

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (ROOT / "bench" / "turns.py").is_file(), reason="bench/ is in checkouts only"
)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT))

    def module(name: str) -> ModuleType:
        return import_module(f"bench.{name}")

    return module


def test_turns_go_round(load) -> None:
    order: list[str] = []
    turns = {name: (lambda name=name: order.append(name)) for name in "abc"}
    found = load("turns").alternate(turns, 4, pause=0.0)
    assert {name: len(values) for name, values in found.items()} == {"a": 4, "b": 4, "c": 4}
    first = order[::3]
    assert len(set(first)) > 1, "somebody is always first"


def test_the_best_of_the_medians(load) -> None:
    times = {"torch/1": [3.0, 1.0, 3.0], "torch/2": [2.0, 2.0, 9.0]}
    assert load("turns").best(times) == ("torch/2", 2.0)


def test_scaling_counts_items_and_ends_of_phases(load) -> None:
    predicted = load("scaling").predicted
    plan = [("rows", 4, 3e6), ("tiles", 12, 1e6)]
    assert predicted(plan, 100.0, 5.0, 1) == 100.0
    # Two threads divide both phases evenly; eight leave four of them without rows.
    assert predicted(plan, 100.0, 5.0, 2) == pytest.approx(50.0 + 2 * 5.0)
    assert predicted(plan, 100.0, 5.0, 8) == pytest.approx(75 / 4 + 25 / 6 + 2 * 5.0 * 4)


def test_scaling_finds_the_phases_of_every_network(load) -> None:
    scaling = load("scaling")
    for widths, batch in [*scaling._bench.NETWORKS, scaling._bench.WIDE]:
        found = scaling.phases(widths, batch)
        assert found[-1][0] == "tiles"
        assert all(items >= 1 and flops > 0 for _, items, flops in found)


def test_scaling_estimates_all_operations(load) -> None:
    scaling = load("scaling")
    (widths, batch), kept = scaling._bench.NETWORKS[0], [("rows", 2), ("tiles", 8)]
    flops = sum(flops for *_, flops in scaling.estimated(widths, batch, kept))
    assert flops == scaling._bench.Case(widths, batch, "sgd").flops


def test_mnist_recipe_sees_every_row_once_an_epoch(load) -> None:
    recipe = load("mnist98")
    phases = recipe.phases(60_001)
    seen = np.zeros(60_001, int)
    for rows, _ in phases:
        seen[rows] += 1
    assert (seen == recipe.EPOCHS).all()
    rates = [rate for _, rate in phases]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0


def test_memory_counts_what_training_needs(load) -> None:
    memory = load("memory")
    parameters = 784 * 512 + 512 * 512 + 512 * 10 + 512 + 512 + 10
    assert memory.counted("adam") - memory.counted("sgd") == 4 * 2 * parameters


def test_aims_name_the_networks_of_the_comparison(load) -> None:
    aims, compared = load("aims").AIMS, load("compare.networks").cases()
    assert set(aims) == {"-".join(map(str, case.widths)) for case in compared}


def test_aims_mark_what_is_reached(load) -> None:
    aims = load("aims")
    turns = {
        name: {"us": us, "threads": 2, "steps": 1}
        for name, us in [("fastnn/auto", 10.0), ("torch/1", 419.0), ("jax/2", 66.0)]
    }
    case = {
        "network": "64-32-10",
        "widths": [64, 32, 10],
        "batch": 32,
        "optimizer": "sgd",
        "flops": 2e6,
        # In two of three rounds both threads of the peak's loop shared a core.
        "rounds": [{"turns": turns, "peak": {"1": 5e11, "2": two}} for two in (5e11, 1e12, 5e11)],
    }
    row = aims._row(case, aims.AIMS["64-32-10"])
    assert "| 41.9 (42, 55) | **6.6** (6.5, 9) | - | - | peak 0.2 (0.45, 0.55) |" in row


def test_functional_says_what_is_missed(load) -> None:
    verdict = load("functional").verdict
    assert verdict("relu", {"fastnn": 3.8, "numpy": 2.9}) == ""
    assert verdict("relu", {"fastnn": 4.0, "numpy": 2.9}) == "NumPy 0.72"
    assert verdict("softmax", {"fastnn": 10.4, "numpy": 10.0}) == ""
    assert verdict("linear", {"fastnn": 10.0, "numpy": 12.0, "torch": 9.1}) == ""
    assert verdict("linear", {"fastnn": 10.0, "numpy": 12.0, "torch": 8.0}) == "PyTorch 0.80"
    assert verdict("sgd, momentum", {"fastnn": 10.0, "numpy": 12.0, "torch": 7.0}) == "PyTorch 0.70"


def test_functional_compares_the_same_results(load) -> None:
    functional = load("functional")
    for name, peers in functional.calls((8, 6, 5), "float64", None).items():
        if name.startswith(("sgd", "adam")):
            continue
        ours, numpy = (peers[who]() for who in ("fastnn", "numpy"))
        both = zip(*(r if isinstance(r, tuple) else (r,) for r in (ours, numpy)), strict=True)
        for mine, theirs in both:
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12, err_msg=name)


def parts_of_a_page(names: list[str]) -> str:
    """Return a page with an old table of each name."""
    blocks = [f"<!-- {name}: begin -->\nold\n<!-- {name}: end -->\n" for name in names]
    return "# Title\n" + "\n".join(blocks) + "end\n"


def conditions(command: str, load: float = 0.5) -> dict[str, object]:
    """Return what every record says about its run."""
    return {
        "build": {"isa": "v3", "compiler": "GCC", "cpu": "CPU"},
        "machine": {"cores": 2, "load": load},
        "command": command,
        "date": "2026-01-02",
        "peers": {"sklearn": "1.9"},
    }


def test_a_record_replaces_its_part_of_the_page(load, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    page, out = load("page"), tmp_path / "page.md"
    out.write_text(parts_of_a_page(["sparse", "estimator_figures"]))
    times = {"sparse": [1000.0, 3000.0, 2000.0], "dense": [8000.0]}
    sparse = {"sparse": {"9 -> 3, 1 %": {"step": times}}, **conditions("python -m bench.sparse")}
    assert page.write([sparse], out) == ["sparse"]
    text = out.read_text()
    assert "| 9 -> 3, 1 % | 2.000 | 8.000 | 4.0x |" in text
    assert "Printed by `python -m bench.sparse`.\n" in text
    assert "Level v3, GCC, CPU, 2 cores, load 0.5; scikit-learn 1.9; 2026-01-02.\n" in text
    assert "sparse: begin -->\nold" not in text
    assert "estimator_figures: begin -->\nold" in text
    assert text.endswith("end\n")
    runs = [{"figure": value, "seconds": 2.0} for value in (0.5, 0.8, 0.7)]
    entry = {"what": "A, accuracy", "published": "0.8", "aim": ">= 0.75", "reached": False}
    record = {"a": {**entry, "runs": {"fastnn": runs, "scikit-learn": runs[1:2]}}}
    page.write([{"estimator_figures": record, **conditions("other")}], out)
    assert (
        "| A, accuracy | 0.7000 | 2.00 s | 0.8000 | 2.00 s | 0.8 | >= 0.75: missed "
        "| 0.5000 0.8000 0.7000 | 0.8000 |\n"
    ) in out.read_text()
    with pytest.raises(ValueError, match="expected one of"):
        page.write([{"other": {}, **conditions("")}], out)
    out.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        page.write([sparse], out)


def test_rows_of_several_runs_are_one_table_of_the_page(load, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    page, out = load("page"), tmp_path / "page.md"
    out.write_text(parts_of_a_page(["estimators", "estimator_jobs", "estimator_overhead"]))
    fit = {
        "times": {"scikit-learn": [0.4, 0.5], "fastnn": [0.05]},
        "aim": ">= 8x",
        "reached": True,
        "peak": 0.01,
    }
    call = {
        "times": {"scikit-learn": [1e-4], "fastnn": [2e-6]},
        "aim": "<= 1.0 us",
        "reached": False,
    }
    jobs = {"times": {"n_jobs=1": [3.0], "n_jobs=2": [2.0]}, "aim": ">= 1x", "reached": True}
    more = {"times": {"whole": [0.1], "core": [0.098]}, "aim": "", "reached": True}
    records = [
        {"estimators": {"fit": {**fit, "aim": "replaced"}}, **conditions("a")},
        {"estimators": {"call": call}, "estimator_jobs": {"s": jobs}, **conditions("b", 2.0)},
        {"estimators": {"fit": fit}, "estimator_overhead": {"o": more}, **conditions("c")},
    ]
    page.write(records, out)
    text = out.read_text()
    assert "| fit | 450.0 ms | 50.0 ms | 9.0x | >= 8x | 10.0 ms | 45.0x |\n" in text
    assert "| call | 100.0 us | 2.0 us | 50.0x | <= 1.0 us: missed |  |  |\n" in text
    assert "| s | 3.00 s | 2.00 s | 1.50x | >= 1x |\n" in text
    assert "| o | 100.0 ms | 98.0 ms | 2.0 ms |  |\n" in text
    assert "Printed by `a`, `b`, `c`.\nLevel v3, GCC, CPU, 2 cores, load 0.5 to 2.0;" in text
    assert "replaced" not in text
    assert "old" not in text
    records[1]["build"] = {"isa": "v4", "compiler": "GCC", "cpu": "CPU"}
    with pytest.raises(ValueError, match="one build"):
        page.write(records, out)


def test_every_part_has_its_place_on_the_page(load) -> None:
    pytest.importorskip("sklearn")
    page = load("page")
    text = page.PAGE.read_text(encoding="utf-8")
    for name in page.PARTS:
        assert f"<!-- {name}: begin -->" in text
    assert set(re.findall(r"<!-- (\w+): begin -->", text)) == set(page.PARTS)


def test_a_record_names_its_command(load, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["program.py", "--only", "a b", "--json", "x", "--json=y"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    load("turns").finish(tmp_path / "x.json", figures=1)
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["command"] == "python program.py --only 'a b'"
    assert found["figures"] == 1


def test_seconds_have_their_unit(load) -> None:
    shown = load("turns").shown
    assert [shown(x) for x in (2.5e-6, -4e-4, 0.0314, 1.5)] == [
        "2.5 us",
        "-400.0 us",
        "31.4 ms",
        "1.50 s",
    ]


def test_sparse_rows_of_the_estimators_are_rows_of_text(load) -> None:
    pytest.importorskip("sklearn")
    x = load("estimator_rows").sparse_rows(50, 200, 0.1)
    assert x.shape == (50, 200)
    assert (np.diff(x.indptr) == 20).all()
    assert x.has_canonical_format
    assert x.indices.max() < 200


def test_rows_with_zeros_are_described_by_their_shares(load) -> None:
    zeros = load("zeros")
    rows = np.array([[1, 0, 0, 0], [0, 2, 0, 0], [0, 3, 0, 0], [4, 4, 4, 4]])
    assert zeros.described("rows", rows[:3]) == "rows, 25%"
    assert zeros.described("rows", rows) == "rows, 44%"
    times = {"zeros": [1e-3, 3e-3, 2e-3], "none": [4e-3]}
    assert "| rows -> 9 | 2.000 | 4.000 | 0.50 |" in zeros.markdown({"rows -> 9": times})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_are_measured_where_they_train_the_same(load, monkeypatch) -> None:
    pytest.importorskip("sklearn")
    rows = load("estimator_rows")
    x, y = rows.tabular(300)
    case = rows.fits("MLPClassifier", x, y, hidden_layer_sizes=(5,), max_iter=2)
    times = case.measure(2)
    assert {name: len(values) for name, values in times.items()} == {"scikit-learn": 2, "fastnn": 2}
    assert case.flops["fastnn"] == 2.0 * 300 * 2 * (3 * (17 * 5 + 5 * 6) - 17 * 5)
    monkeypatch.setattr(rows, "SAME", {"float64": -1.0})
    with pytest.raises(SystemExit, match="the first losses are"):
        case.measure(1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_a_fit_adds_to_the_core_is_measured_on_what_it_calls(load) -> None:
    pytest.importorskip("sklearn")
    rows = load("estimator_rows")
    data = rows.load_digits(return_X_y=True)
    whole, core = rows.one_fit(data, max_iter=3)
    assert whole / 10 < core < whole
    from fastnn.sklearn._training import Training

    begin, begun = Training._begin, []

    def slow(self):
        time.sleep(0.06)
        begun.append(self)
        return begin(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "_begin", slow)
        whole, core = rows.one_fit(data, max_iter=3)
    assert len(begun) == 1
    assert whole - core > 0.06


def test_aims_of_the_estimators(load) -> None:
    pytest.importorskip("sklearn")
    rows = load("estimator_rows")
    assert rows.times_faster(8).is_reached(0.8, 0.1)
    assert not rows.times_faster(8).is_reached(0.8, 0.11)
    assert not rows.at_most(1e-5).is_reached(9.0, 2e-5)
    assert rows.more_by_at_most(1e-3).is_reached(0.1009, 0.1)
    assert not rows.more_by_at_most(1e-3).is_reached(0.102, 0.1)
    tables = load("estimators").TABLES
    assert {row.table for row in rows.rows(0.1, long=True).values()} == set(tables)


def test_recipes_of_the_estimators_read_the_parts_that_they_say(load) -> None:
    pytest.importorskip("sklearn")
    if "FASTNN_DATA" not in os.environ:
        pytest.skip("FASTNN_DATA is not set")
    figures = load("estimator_figures")
    titanic, wine = figures.titanic(0), figures.wine(3)
    assert titanic.train[0].shape == (713, 12)
    assert titanic.test[0].shape == (178, 12)
    assert wine.train[0].shape == (1440, 11)
    assert wine.figure(np.zeros(159), wine.test[1]) == pytest.approx(0.8, abs=0.2)
    for name, recipe in figures.recipes().items():
        assert recipe.estimator in ("MLPClassifier", "MLPRegressor"), name
    run = figures.of_seed(figures.recipes()["titanic"], figures.fastnn, 0)
    assert run["figure"] > 0.75


def test_a_part_is_marked_where_the_measurement_tells_it_from_the_peers(load) -> None:
    parts = load("parts")
    rounds = [parts.Turn(640.0 + 64 * k, 64.0 * k) for k in (3, 1, 2, 1, 9)]
    found = parts.added(rounds, 64)
    assert found == parts.Added(11.0, 2.0, pytest.approx(1.4826))
    equal = {who: parts.Added(10.0, 0.1, 0.2) for who in ("fastnn", "jax")}
    apart = {"fastnn": parts.Added(12.0, 2.0, 0.3), "jax": parts.Added(9.0, 1.0, 0.4)}
    assert parts.missed("losses", apart, equal, 10.0, False) == "adds more than in JAX"
    cheap = {**apart, "jax": parts.Added(9.0, 1.4, 0.4)}
    assert parts.missed("losses", cheap, equal, 10.0, False) == ""
    # Two equal steps of ours differ by more than the rounds vary by.
    unequal = {**equal, "fastnn": parts.Added(10.0, -0.9, 0.2)}
    assert parts.missed("losses", apart, unequal, 10.0, False) == ""
    faster = {"fastnn": parts.Added(10.2, 0.2, 0.1), "jax": parts.Added(9.0, -0.7, 0.2)}
    assert parts.missed("losses", faster, equal, 10.0, False) == ""
    dear = {"fastnn": parts.Added(15.1, 2.0, 0.3)}
    assert parts.missed("activations", dear, equal, 10.0, False) == "more than 1.5 steps with ReLU"
    assert parts.missed("activations", dear, equal, 10.0, True) == ""


def test_a_turn_calls_both_in_both_orders(load) -> None:
    order: list[str] = []

    def quick() -> None:
        order.append("quick")

    def slow() -> None:
        order.append("slow")
        time.sleep(2e-3)

    found = load("parts").turn(quick, slow, 0.004)
    assert min(found.longer, found.us) > 1900
    assert order.count("quick") == order.count("slow")
    assert order[2:6] == ["quick", "slow", "slow", "quick"]


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_figures_of_the_peers_are_those_of_the_metrics(load, library) -> None:
    pytest.importorskip(library)
    metrics, peers = load("parts_metrics"), import_module(library)
    rng = np.random.default_rng(4)
    out, classes = rng.normal(size=(40, 6)), rng.integers(0, 6, 40)
    numbers = rng.uniform(0.5, 1.5, (40, 6))
    sums_of = getattr(metrics, f"{library}_sums")
    as_array = peers.from_numpy if library == "torch" else peers.numpy.asarray
    for name in metrics.FIGURES:
        of_numbers = name in ("mae", "mse", "rmse", "mape", "r2")
        y = numbers if of_numbers else classes
        sums = sums_of(peers, (name,))(as_array(out), as_array(y))
        found = metrics.figures((name,), sums, 40)[name]
        seen = np.exp(out) / np.exp(out).sum(axis=1, keepdims=True) if name == "log_loss" else out
        ours = np.ravel(BY_NAME[name]()(y, seen))
        theirs = [np.ravel(each) for each in (found if isinstance(found, tuple) else (found,))]
        np.testing.assert_allclose(np.concatenate(theirs), ours, rtol=1e-5, err_msg=name)
