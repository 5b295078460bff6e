# SPDX-License-Identifier: BSD-3-Clause
"""Models to ONNX: the graph of predictions, with the weights inside of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import fastnn
from fastnn import _files, _validate, reference

from ._model import needed
from ._onnx_operators import ACTIVATIONS, LAYERS, LINKS

if TYPE_CHECKING:
    from ._model import LayerData, ModelData

__all__ = ["OPSET", "OUTPUTS", "save", "write"]

OPSET = 18  # the oldest that has the operators of _onnx_operators
IR_VERSION = 8  # the format of files that came with that opset
OUTPUTS = ("predictions", "raw")
LARGEST = 2**31 - 1  # bytes of a file of ONNX that has its weights inside


class Graph:
    """Nodes and constants of a graph that is being built."""

    def __init__(self, onnx: Any, dtype: str) -> None:
        self.onnx, self.dtype = onnx, dtype
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._key = ""

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        name = f"{self._key}.{operator}.{len(self.nodes)}".lstrip(".")
        made = self.onnx.helper.make_node(operator, inputs, [name], name=name, **attributes)
        self.nodes.append(made)
        return name

    def constant(self, value: Any, name: str = "") -> str:
        """Return the name of a constant in the dtype of the model."""
        return self._constant(np.asarray(value, self.dtype), name)

    def indices(self, *values: int) -> str:
        """Return the name of a constant of integers, such as axes."""
        return self._constant(np.array(values, np.int64), "")

    def _constant(self, array: Any, name: str) -> str:
        if not name:  # equal numbers are one constant
            identity = (array.dtype.str, array.shape, array.tobytes())
            name = self._names.setdefault(identity, f"constant.{len(self._names)}")
        if name not in self.constants:
            self.constants[name] = self.onnx.numpy_helper.from_array(array, name)
        return name

    def rows(self, name: str, columns: int) -> Any:
        """Return the description of an input or output of shape (n, columns), with any n."""
        kind = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        return self.onnx.helper.make_tensor_value_info(name, kind, ["n", columns])

    def chain(self, x: str, layers: tuple[LayerData, ...]) -> str:
        """Append layers one after the other and return the name of the last output."""
        for layer in layers:
            self._key = layer.key
            if layer.name in LAYERS:
                x = LAYERS[layer.name](self, x, layer)
            else:
                x = ACTIVATIONS[layer.name](self, x, **layer.hyper)
        return x


def write(where: str, model: ModelData, outputs: Any, opset: Any) -> Any:
    """Return the model as an onnx.ModelProto."""
    onnx = needed(where, "onnx")
    newest = onnx.defs.onnx_opset_version()
    opset = OPSET if opset is None else _validate.integer(where, "opset", opset, OPSET, newest)
    if not (isinstance(outputs, str) and outputs in OUTPUTS):
        raise ValueError(f"[{where}] outputs is {outputs!r}; expected 'predictions' or 'raw'")
    graph = Graph(onnx, model.dtype)
    x = graph.chain("x", model.layers)
    if outputs == "predictions" and model.loss is not None:
        link = LINKS[reference.LOSSES[model.loss].link.__name__]
        link(graph, x, model.outputs, **model.loss_hyper)
    graph.nodes[-1].output[0] = outputs  # the last node is the one that made x
    size = sum(len(each.raw_data) for each in graph.constants.values())
    if size > LARGEST - 2**20:
        raise ValueError(
            f"[{where}] the weights take {size} bytes; expected fewer than 2 GB, the limit of a "
            "file of ONNX with its weights inside"
        )
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "fastnn",
            [graph.rows("x", model.columns)],
            [graph.rows(outputs, model.outputs)],
            list(graph.constants.values()),
        ),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        ir_version=IR_VERSION,
        producer_name="fastnn",
        producer_version=fastnn.__version__,
    )
    facts = {"fastnn_version": fastnn.__version__, "outputs": outputs, "loss": model.loss or ""}
    onnx.helper.set_model_props(made, facts)
    return made


def save(where: str, path: Any, model: Any) -> None:
    """Write an onnx.ModelProto to a file, as a whole or not at all."""
    name = _files.path_name(where, path)
    with _files.replacing(where, name) as file:
        file.write(model.SerializeToString(deterministic=True))
