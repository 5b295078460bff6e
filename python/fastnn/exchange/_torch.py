# SPDX-License-Identifier: BSD-3-Clause
"""Modules of torch to models and back.

Layers, activations and their parameters have torch's names. So the translation is made from the
registries' rows and from the twin's column `torch`, which says where torch differs; there is no
list of members.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from fastnn._hints import shown

from ._model import LayerData, ModelData, members, needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastnn._registry import Row

__all__ = ["read", "write"]

# Arguments of torch that say nothing about what a module computes.
_NO_MEANING = {"inplace", "device", "dtype"}


@functools.cache
def _classes() -> dict[str, Any]:
    """Return the class of each member that torch has, or that _torch_modules has in its place."""
    import torch

    from . import _torch_modules

    found = {}
    for row, twin in members():
        home, name = _torch_modules, row["class_name"]
        if twin.torch is not None:
            home, name = torch.nn, twin.torch.name or name
        if hasattr(home, name):
            found[row["name"]] = getattr(home, name)
    return found


@functools.cache
def _rows() -> dict[str, tuple[Row, Any]]:
    """Return the rows of all members by name, each with the twin's column `torch`."""
    return {row["name"]: (row, twin.torch) for row, twin in members()}


def _words(name: str) -> dict[str, str]:
    """Return {parameter: what torch calls it} of a member; those that torch lacks are not in it.

    The numbers of input preparation are in no row; our own modules take them by the same names.
    """
    row, other = _rows()[name]
    if other is None:
        return {word: word for word in _arguments(_classes()[name])}
    known = [p["pair"] or p["name"] for p in row["params"]]
    return {word: other.names.get(word, word) for word in known if word not in other.lacks}


def _arguments(cls: Any) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class of torch that can be given by name."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = inspect.signature(cls).parameters
    return {name: p for name, p in found.items() if p.kind not in variable}


# -- from torch ------------------------------------------------------------------------------------


def read(where: str, module: Any, dtype: str | None) -> ModelData:
    """Return the model that `module` is; what has no counterpart is refused by its name."""
    torch = needed(where, "torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"[{where}] got {shown(module)}; expected a torch.nn.Sequential, or one of its layers"
        )
    _refuse_shared(where, module)
    top = _layer(where, "", module)
    layers = top.layers if top.name == "sequential" else (top,)
    return ModelData(layers, dtype or _dtype_of(where, module))


def _position(key: str) -> str:
    return f"module {key!r}" if key else "the module"


def _refuse_shared(where: str, module: Any) -> None:
    seen: dict[int, str] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if id(parameter) in seen:
            raise ValueError(
                f"[{where}] {name!r} and {seen[id(parameter)]!r} are the same parameter; expected "
                "one each, since tied weights do not exist here"
            )
        seen[id(parameter)] = name


def _dtype_of(where: str, module: Any) -> str:
    """Return the dtype of all parameters, or float32 if there are none."""
    found = sorted({str(p.dtype).removeprefix("torch.") for p in module.parameters()})
    if not found:
        return "float32"
    if found in (["float32"], ["float64"]):
        return found[0]
    raise ValueError(
        f"[{where}] the parameters are {' and '.join(found)}; expected float32 or float64 alone, "
        "or dtype='float32', to which they are converted"
    )


def _layer(where: str, key: str, module: Any) -> LayerData:
    names = {cls: name for name, cls in _classes().items()}
    cls: Any = next((cls for cls in type(module).__mro__ if cls in names), None)
    if cls is None or getattr(module.forward, "__func__", None) is not cls.forward:
        raise ValueError(f"[{where}] {_position(key)} is {_described(module)}")
    _refuse_changed(where, key, module)
    name = names[cls]
    if issubclass(cls, _classes()["sequential"]):
        inner = module._modules.items()  # named_children() leaves out a module's second place
        layers = tuple(_layer(where, f"{key}.{n}" if key else n, child) for n, child in inner)
        return LayerData(name, {}, key, layers=layers)
    frozen = {not p.requires_grad for p in module.parameters()}
    if len(frozen) > 1:
        states = {n: p.requires_grad for n, p in module.named_parameters()}
        raise ValueError(
            f"[{where}] {_position(key)} has requires_grad={states}; expected the same for all "
            "parameters of a layer, which are frozen together"
        )
    hyper = dict(_hyper(where, key, module, name))
    return LayerData(name, hyper, key, dict(_values(where, key, module)), frozen == {True})


def _described(module: Any) -> str:
    """Return the end of a message about a module that is not known."""
    import torch

    known = sorted(f"torch.nn.{cls.__name__}" for cls in _classes().values() if _is_torchs(cls))
    text = f"a {type(module).__name__}"
    if "forward" in vars(module):
        text += " whose forward was replaced"
    text += f"; expected one of {', '.join(known)}"
    if not _is_torchs(type(module)) and not isinstance(module, torch.nn.Sequential):
        text += (
            ". The forward of a class of one's own cannot be read: give its layers as a "
            "torch.nn.Sequential, or make the same layers here and use load_state_dict"
        )
    return text


def _is_torchs(cls: type) -> bool:
    return cls.__module__.startswith("torch.")


def _refuse_changed(where: str, key: str, module: Any) -> None:
    """Refuse modules that compute something else than their class: hooks, parametrizations."""
    import torch

    if any(map(torch.nn.parameter.is_lazy, module.parameters(recurse=False))):
        raise ValueError(
            f"[{where}] {_position(key)} is a {type(module).__name__} without values; expected a "
            "module with values: call it on a row first"
        )
    if torch.nn.utils.parametrize.is_parametrized(module):
        raise ValueError(
            f"[{where}] {_position(key)} is parametrized; expected plain parameters: "
            "torch.nn.utils.parametrize.remove_parametrizations"
        )
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(
            f"[{where}] {_position(key)} has forward hooks, which would not run here; expected a "
            "module without them: remove them with their handles (a weight norm with "
            "torch.nn.utils.remove_weight_norm)"
        )


def _hyper(where: str, key: str, module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the parameters of a module in our words."""
    ours = {theirs: word for word, theirs in _words(name).items()}
    _, other = _rows()[name]
    fixed = {} if other is None else other.options
    for argument, parameter in _arguments(_classes()[name]).items():
        if argument in _NO_MEANING:
            continue
        value = _plain(getattr(module, argument, parameter.default), parameter.default)
        if argument == "dim" and value == 1:
            value = -1  # batches have two dimensions
        if argument in ours:
            yield ours[argument], value
        elif value != (expected := fixed.get(argument, parameter.default)):
            raise ValueError(
                f"[{where}] {_position(key)}, {type(module).__name__}, has {argument}="
                f"{shown(value)}; expected {expected!r}, the only choice here"
            )


def _plain(value: Any, default: Any) -> Any:
    """Return an attribute as the argument from which it was made."""
    import torch

    if isinstance(value, torch.nn.Parameter) or (value is None and isinstance(default, bool)):
        return value is not None  # bias, and whether there is one
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, tuple) and len(value) == 1:
        return value[0]  # normalized_shape
    return value


def _values(where: str, key: str, module: Any) -> Iterator[tuple[str, Any]]:
    import torch

    for name, tensor in module.state_dict().items():
        if tensor.is_meta:
            raise ValueError(
                f"[{where}] {_position(key)} is on the device meta and has no values; expected a "
                "module with values"
            )
        plain = tensor.detach().cpu()
        if plain.dtype in (torch.float16, torch.bfloat16):  # NumPy does not have the latter
            plain = plain.float()
        yield name, plain.numpy()


# -- to torch --------------------------------------------------------------------------------------


def write(where: str, model: ModelData) -> Any:
    """Return the model as a torch.nn.Sequential that has copies of the values."""
    torch = needed(where, "torch")
    pairs: list[tuple[LayerData, Any]] = []
    with torch.random.fork_rng(devices=[]):  # initial values must not change what torch draws next
        made = _chain(where, torch.nn.Sequential, model.layers, pairs)
    made.to(getattr(torch, model.dtype))
    for layer, module in pairs:
        values = {name: torch.from_numpy(value.copy()) for name, value in layer.values.items()}
        module.load_state_dict(values)
        for parameter in module.parameters():
            parameter.requires_grad_(not layer.frozen)
    return made


def _chain(where: str, cls: Any, layers: Any, pairs: list[tuple[LayerData, Any]]) -> Any:
    """Return a container; its layers and their modules are appended to `pairs`.

    Modules have the numbers of the model, and so state_dict has its keys. Input preparation, which
    is not numbered, has names such as "input0".
    """
    chain = cls()
    for layer in layers:
        prefix, _, number = layer.key.rpartition(".")
        chain.add_module(
            f"input{number}" if prefix == "input" else number, made := _module(where, layer, pairs)
        )
        if not layer.layers:
            pairs.append((layer, made))
    return chain


def _module(where: str, layer: LayerData, pairs: list[tuple[LayerData, Any]]) -> Any:
    cls = _classes().get(layer.name)
    row, other = _rows()[layer.name]
    if cls is None:
        raise ValueError(
            f"[{where}] layer {layer.key!r} is {row['class_name']}, which torch does not have; "
            "expected layers that it has"
        )
    if layer.layers:
        return _chain(where, cls, layer.layers, pairs)
    words = _words(layer.name)
    _refuse_lacking(where, layer, row, words)
    given = {words[name]: value for name, value in layer.hyper.items() if name in words}
    return cls(**given, **({} if other is None else other.options))


def _refuse_lacking(where: str, layer: LayerData, row: Row, words: Mapping[str, str]) -> None:
    """Refuse values of parameters that torch does not have, unless they are the defaults."""
    defaults = {p["name"]: p["default"] for p in row["params"]}
    for name, value in layer.hyper.items():
        if name not in words and value != defaults[name]:
            raise ValueError(
                f"[{where}] layer {layer.key!r} has {name}={shown(value)}, which torch's "
                f"{row['class_name']} does not have; expected {defaults[name]!r}"
            )
