# SPDX-License-Identifier: BSD-3-Clause
"""The ONNX model of every member, network and loss predicts what fastnn predicts, by the reference
evaluator of onnx and by ONNX Runtime, and passes onnx's full check."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastnn
from exchanged import (
    N_IN,
    NETWORKS,
    WIDTH,
    agree,
    both_dtypes,
    every_member,
    every_network,
    model_of,
    model_with,
    rows,
)
from fastnn import nn, reference
from fastnn.exchange import _onnx
from fastnn.exchange._onnx_operators import ACTIVATIONS, LAYERS, LINKS
from fastnn.nn._members import LOSSES
from members import Layers, cases, ending, fitted, linear, names, paired

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def onnx() -> Any:
    pytest.importorskip("onnx.reference")
    return sys.modules["onnx"]


def by_reference(onnx: Any, proto: Any, x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # some operators there compute both branches
        return onnx.reference.ReferenceEvaluator(proto).run(None, {"x": x})[0]


def by_runtime(proto: Any, x: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def check(onnx: Any, model: nn.Sequential, x: np.ndarray) -> Any:
    """Compare predictions and raw outputs, by both programs; return the model of predictions."""
    for outputs, expected in (("raw", model.forward(x)), ("predictions", model.predict(x))):
        proto = model.to_onnx(outputs=outputs)
        onnx.checker.check_model(proto, full_check=True)
        used = {name for node in proto.graph.node for name in node.input}
        assert {constant.name for constant in proto.graph.initializer} <= used
        agree(by_reference(onnx, proto, x), expected, str(model.dtype))
        agree(by_runtime(proto, x), expected, str(model.dtype))
    return proto


# -- every member has an entry, and it is right ----------------------------------------------------


def test_every_member_has_an_operator() -> None:
    """A new activation, layer or link needs an entry in _onnx_operators."""
    assert set(ACTIVATIONS) == set(names("activations"))
    assert set(LAYERS) == {n for room in ("inputs", "layers", "containers") for n in names(room)}
    assert set(LINKS) == {row.link.__name__ for row in reference.LOSSES.values()}


@both_dtypes
@every_member
def test_every_member(
    onnx: Any, rng: np.random.Generator, name: str, hyper: dict[str, Any], dtype: str
) -> None:
    check(onnx, model_with(name, hyper, dtype, rng), rows(rng, dtype))


@both_dtypes
@every_network
def test_networks(onnx: Any, rng: np.random.Generator, layers: Layers, dtype: str) -> None:
    check(onnx, model_of(layers, dtype, rng), rows(rng, dtype))


@both_dtypes
@pytest.mark.parametrize(("loss", "hyper"), cases("losses"))
def test_the_link_of_every_loss(
    onnx: Any, rng: np.random.Generator, loss: str, hyper: dict[str, Any], dtype: str
) -> None:
    hyper, _ = fitted(loss, hyper, 3)
    model = model_of([linear(N_IN, 3), *ending(loss, 3, hyper)], dtype, rng)
    model.compile("sgd", LOSSES[loss](**paired("losses", loss, hyper)))
    proto = check(onnx, model, rows(rng, dtype) / 8)
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert facts["loss"] == loss


@pytest.mark.parametrize("name", names("activations"))
def test_far_tails(onnx: Any, name: str) -> None:
    """Nothing overflows where exp would."""
    z = np.concatenate([-np.geomspace(1e-6, 800, 60), np.geomspace(1e-6, 800, 60)])[:, None]
    model = nn.Sequential(nn.Linear(1, 1), getattr(nn, class_of(name))(), dtype="float64")
    model[0].weight[...], model[0].bias[...] = 1, 0
    expected = model.forward(z)
    proto = model.to_onnx()
    for got in (by_reference(onnx, proto, z), by_runtime(proto, z)):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def class_of(name: str) -> str:
    return reference.ACTIVATIONS[name].class_name


# -- the file --------------------------------------------------------------------------------------


def test_what_is_in_the_model(onnx: Any, rng: np.random.Generator) -> None:
    model = model_of(NETWORKS["nested"], "float32", rng)
    model.compile("adam", "cross_entropy")
    proto = model.to_onnx()
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", _onnx.OPSET)]
    assert (proto.producer_name, proto.producer_version) == ("fastnn", fastnn.__version__)
    facts = {entry.key: entry.value for entry in proto.metadata_props}
    assert facts["fastnn_version"] == fastnn.__version__
    assert (facts["outputs"], facts["loss"]) == ("predictions", "cross_entropy")
    (x,), (out,) = proto.graph.input, proto.graph.output
    shape = [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
    assert (x.name, shape) == ("x", ["n", N_IN])
    assert (out.name, out.type.tensor_type.shape.dim[1].dim_value) == ("predictions", 3)
    held = {each.name: each for each in proto.graph.initializer}
    state = model.state_dict()
    for key in ("0.weight", "1.0.0.bias", "2.0.running_mean", "2.1.weight"):
        value = np.frombuffer(held[key].raw_data, np.float32).reshape(held[key].dims)
        np.testing.assert_array_equal(value, state[key])


def test_any_number_of_rows(onnx: Any, rng: np.random.Generator) -> None:
    model = model_of(NETWORKS["residual"], "float32", rng)
    proto = model.to_onnx()
    for n in (0, 1, 7, 200):
        x = rows(rng, "float32", n)
        got = by_runtime(proto, x)
        assert got.shape == (n, 3)
        np.testing.assert_allclose(got, model.predict(x), rtol=1e-5, atol=1e-5)


def test_a_file(onnx: Any, rng: np.random.Generator, tmp_path: Path) -> None:
    model = model_of(NETWORKS["nested"], "float64", rng)
    path = tmp_path / "model.onnx"
    proto = model.to_onnx(path)
    assert list(tmp_path.iterdir()) == [path]  # the weights are inside
    assert onnx.load(path) == proto
    first = path.read_bytes()
    model.to_onnx(str(path))
    assert path.read_bytes() == first
    x = rows(rng, "float64")
    agree(by_runtime(onnx.load(path), x), model.predict(x), "float64")
    with pytest.raises(IsADirectoryError, match=r"\[Sequential.to_onnx\] this is a directory"):
        model.to_onnx(tmp_path)
    with pytest.raises(TypeError, match=r"^\[Sequential.to_onnx\] path is 3; expected a str or a"):
        model.to_onnx(3)


def test_opsets(onnx: Any, rng: np.random.Generator) -> None:
    model, x = model_of(NETWORKS["every member"], "float32", rng), rows(rng, "float32")
    newest = onnx.defs.onnx_opset_version()
    for opset in range(_onnx.OPSET, newest + 1):
        proto = model.to_onnx(opset=opset)
        assert proto.opset_import[0].version == opset
        onnx.checker.check_model(proto, full_check=True)
    agree(by_reference(onnx, proto, x), model.predict(x), "float32")
    for wrong in (0, _onnx.OPSET - 1, newest + 1):
        with pytest.raises(ValueError, match=r"^\[Sequential.to_onnx\] opset is .*; expected"):
            model.to_onnx(opset=wrong)


def test_pictures(onnx: Any, rng: np.random.Generator) -> None:
    """Flattened rows: what Flatten does is the caller's part."""
    model = nn.Sequential(nn.Rescale(1 / 255), nn.Flatten(), nn.Linear(12, 2))
    x = rng.integers(0, 256, (5, 4, 3))
    model.forward(x)
    got = by_runtime(model.to_onnx(), x.reshape(5, 12).astype(np.float32))
    agree(got, model.predict(x), "float32")


# -- refusals --------------------------------------------------------------------------------------


def test_refusals(onnx: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    for wrong in ("logits", None, 3):
        with pytest.raises(ValueError, match=r"outputs is .*; expected 'predictions' or 'raw'"):
            model.to_onnx(outputs=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^\[Sequential.to_onnx\] no layer of the model has"):
        nn.Sequential(nn.ReLU()).to_onnx()


def test_more_than_a_file_can_hold(onnx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnx, "LARGEST", 2**20 + 4 * WIDTH)
    nn.Sequential(nn.Linear(2, 3)).to_onnx()
    with pytest.raises(ValueError, match="the weights take 40 bytes; expected fewer than 2 GB"):
        nn.Sequential(nn.Linear(4, 2)).to_onnx()


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = r"^\[Sequential.to_onnx\] needs onnx, .*: pip install 'fastnn-cpu\[onnx\]'$"
    with pytest.raises(ImportError, match=message):
        nn.Sequential(nn.Linear(2, 2)).to_onnx()
