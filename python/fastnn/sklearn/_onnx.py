# SPDX-License-Identifier: BSD-3-Clause
"""Estimators to ONNX: the model inside, and behind it what predict and predict_proba do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._hints import shown
from fastnn.exchange import _onnx

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["INPUT", "labels_of", "written"]

INPUT = "x"
LABEL, PROBABILITIES, PREDICTIONS = "label", "probabilities", "predictions"


class _Tail:
    """Nodes and constants that are appended to the graph of the model inside."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx, self._graph = onnx, graph

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        make = self._onnx.helper.make_node
        self._graph.node.append(make(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(value, name))
        return name


def written(where: str, estimator: Any, path: Any, opset: int | None) -> Any:
    """Return a fitted estimator as an onnx.ModelProto, and write it if there is a path."""
    made = estimator.network_.to_onnx(opset=opset)
    import onnx

    graph = made.graph
    _rename(graph, "predictions", "outputs")
    tail = _Tail(onnx, graph)
    if hasattr(estimator, "classes_"):
        results = _labels(where, tail, estimator)
    else:
        results = {PREDICTIONS: _numbers(tail, estimator.n_outputs_)}
    del graph.output[:]
    dtype = np.dtype(estimator.network_.dtype)
    for name, (kind, columns) in results.items():
        element = onnx.helper.np_dtype_to_tensor_dtype(dtype if kind is None else np.dtype(kind))
        shape: list[str | int] = ["n"] if columns is None else ["n", columns]
        graph.output.append(onnx.helper.make_tensor_value_info(name, element, shape))
    if path is not None:
        _onnx.save(where, path, made)
    return made


def _rename(graph: Any, before: str, after: str) -> None:
    """Give the output of the last node another name."""
    for node in graph.node:
        for k, name in enumerate(node.output):
            if name == before:
                node.output[k] = after


_Result = tuple[Any, int | None]  # dtype, or None for the model's, and columns


def _numbers(tail: _Tail, outputs: int) -> _Result:
    if outputs > 1:
        tail.node("Identity", ["outputs"], PREDICTIONS)
        return None, outputs
    tail.node("Squeeze", ["outputs", tail.constant("axis", np.array([1]))], PREDICTIONS)
    return None, None


def _labels(where: str, tail: _Tail, estimator: Any) -> dict[str, _Result]:
    """Append the nodes for probabilities and labels, as `_targets.decoded` has them."""
    dtype = np.dtype(estimator.network_.dtype)
    binarizer, count = estimator._label_binarizer, len(estimator.classes_)
    if binarizer.y_type_.startswith("multilabel"):
        half = tail.constant("half", np.array(0.5, dtype))
        tail.node("Identity", ["outputs"], PROBABILITIES)
        over = tail.node("Greater", ["outputs", half], "over")
        tail.node("Cast", [over], LABEL, to=_element(np.int64))
        return {LABEL: (np.int64, count), PROBABILITIES: (None, count)}
    if estimator.n_outputs_ == 1:
        rest = tail.node("Sub", [tail.constant("one", np.array(1, dtype)), "outputs"], "rest")
        tail.node("Concat", [rest, "outputs"], PROBABILITIES, axis=1)
        columns = 2
    elif estimator.out_activation_ == "logistic":  # one against the rest
        axis = tail.constant("axis", np.array([1]))
        total = tail.node("ReduceSum", ["outputs", axis], "total", keepdims=1)
        tail.node("Div", ["outputs", total], PROBABILITIES)
        columns = count
    else:
        tail.node("Identity", ["outputs"], PROBABILITIES)
        columns = count
    labels = labels_of(where, estimator)
    if count < 2:  # a single class is the label of every row
        labels = np.repeat(labels, 2)
    index = tail.node("ArgMax", [PROBABILITIES], "index", axis=1, keepdims=0)
    tail.node("Gather", [tail.constant("classes", labels), index], LABEL)
    return {LABEL: (labels.dtype, None), PROBABILITIES: (None, columns)}


def _element(dtype: Any) -> int:
    import onnx

    return int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def labels_of(where: str, estimator: Any) -> Any:
    """Return the classes as an array that ONNX can hold: numbers, booleans or strings."""
    classes = estimator.classes_
    if classes.dtype.kind in "biuf":
        return classes
    if all(isinstance(each, str) for each in classes):
        return classes.astype(object)  # the dtype of strings in onnx
    if all(isinstance(each, (int, np.integer)) for each in classes):
        return classes.astype(np.int64)
    raise TypeError(
        f"[{where}] the labels are {shown(classes)}; expected numbers alone or strings alone"
    )
