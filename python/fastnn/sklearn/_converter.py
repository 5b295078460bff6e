# SPDX-License-Identifier: BSD-3-Clause
"""The converters by which skl2onnx converts pipelines with these estimators.

They are registered when skl2onnx is imported, before or after this package, so that neither needs
the other.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ._classifier import MLPClassifier
from ._regressor import MLPRegressor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["register_when_imported"]

_LIBRARY = "skl2onnx"


def register_when_imported() -> None:
    """Register the converters now, or as soon as skl2onnx is imported."""
    if _LIBRARY in sys.modules:
        _register()
    elif not any(isinstance(each, _Watch) for each in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch(MetaPathFinder):
    """Finds no module itself; of skl2onnx it makes the import end with the registration."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of skl2onnx that all other finders give, with another loader."""
        if fullname != _LIBRARY or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)
        return spec


class _Registering(Loader):
    """A loader that registers the converters behind the module."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the loader of the module returns."""
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then register."""
        self._loader.exec_module(module)
        _register()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _register() -> None:
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

    update_registered_converter(
        MLPClassifier,
        "FastnnMLPClassifier",
        calculate_linear_classifier_output_shapes,
        _converted,
        options={
            "zipmap": [True, False, "columns"],
            "output_class_labels": [False, True],
            "nocl": [True, False],
        },
    )
    update_registered_converter(MLPRegressor, "FastnnMLPRegressor", _shape_of_numbers, _converted)


def _shape_of_numbers(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type.shape = [rows, operator.raw_operator.n_outputs_]


def _converted(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of an estimator's own ONNX model, with names of this scope."""
    import onnx

    estimator = operator.raw_operator
    made = estimator.to_onnx(opset=max(18, container.target_opset)).graph
    element = made.input[0].type.tensor_type.elem_type
    names = {made.input[0].name: scope.get_unique_variable_name("fastnn_x")}
    _node(scope, container, "Cast", operator.inputs[0].full_name, names["x"], to=element)
    for constant in made.initializer:
        names[constant.name] = scope.get_unique_variable_name("fastnn_constant")
        array = onnx.numpy_helper.to_array(constant)
        kind = constant.data_type
        container.add_initializer(names[constant.name], kind, array.shape, array.ravel().tolist())
    for node in made.node:
        for name in node.output:
            names[name] = scope.get_unique_variable_name(f"fastnn_{name}")
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        inputs = [names[name] for name in node.input]
        outputs = [names[name] for name in node.output]
        _node(scope, container, node.op_type, inputs, outputs, **attributes)
    for output, given in zip(operator.outputs, made.output, strict=True):
        _hand_over(scope, container, names[given.name], output)


def _hand_over(scope: Any, container: Any, name: str, output: Any) -> None:
    """Cast a result to the type that skl2onnx has declared, and to its shape."""
    import onnx

    kind = type(output.type).__name__
    if kind == "StringTensorType":
        _node(scope, container, "Identity", name, output.full_name)
        return
    kinds = {
        "DoubleTensorType": onnx.TensorProto.DOUBLE,
        "Int64TensorType": onnx.TensorProto.INT64,
    }
    shape = output.type.shape
    if len(shape) == 2 and shape[1] == 1:  # numbers of one output have a column
        axes = scope.get_unique_variable_name("fastnn_shape")
        container.add_initializer(axes, onnx.TensorProto.INT64, [2], [-1, 1])
        column = scope.get_unique_variable_name("fastnn_column")
        _node(scope, container, "Reshape", [name, axes], column)
        name = column
    _node(
        scope,
        container,
        "Cast",
        name,
        output.full_name,
        to=kinds.get(kind, onnx.TensorProto.FLOAT),
    )


def _node(
    scope: Any, container: Any, operator: str, inputs: Any, outputs: Any, **attributes: Any
) -> None:
    container.add_node(
        operator, inputs, outputs, name=scope.get_unique_operator_name(operator), **attributes
    )
