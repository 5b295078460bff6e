# SPDX-License-Identifier: BSD-3-Clause
"""The functions of activations, losses and optimizers, each made from its row when first used."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _core, _registry
from fastnn._docstrings import Entry, docstring, example_of, parameters
from fastnn._fields import Field, fields_of

from . import _layer_functions
from ._source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastnn._registry import Row

__all__ = ["MAKERS", "loss_name"]

_IMPORTS = ">>> import numpy as np, fastnn.functional as F"


# -- activations -----------------------------------------------------------------------------------


def _notes(row: Row) -> list[str]:
    return [row["note"]] if row["note"] else []


def _shape(row: Row) -> str:
    return "Rows along the last axis, of any number." if row["whole_rows"] else "Any shape."


def _out(own: str) -> Entry:
    return (
        "out : ndarray, optional",
        f"Array for the result, which is returned; it may be `{own}` itself.",
    )


def _refusals(own: str, fields: Iterable[Field], end: str = "") -> list[Entry]:
    values = ", or a value is out of its range" if list(fields) else ""
    return [("ValueError, TypeError", f"If {own}{values}{end}.")]


def _forward(row: Row) -> Source:
    name, fields = row["name"], fields_of(row["params"])
    z = np.array([-1.5, 0.0, 2.0])
    result = _core.activation(name, {}, z[None])[0].round(4)
    call = f'"{name}", values, z, out'
    return Source(
        name,
        ["z: ArrayLike", *fields, "*", "out: Array | None = None"],
        "Array",
        [
            f"a = plain_activation({call})",
            f"return forward({call}) if a is NotImplemented else a",
        ],
        docstring(
            f"Compute {name}(z) = {row['formula']}.",
            _notes(row),
            {
                "Parameters": [("z : array_like", _shape(row)), *parameters(fields), _out("z")],
                "Returns": [
                    (
                        "ndarray",
                        "Shape of `z`; float32 if `z` is not wider, otherwise float64.",
                    )
                ],
                "Raises": _refusals(
                    "the dtype is not one of real numbers, `out` cannot take the result", fields
                ),
            },
            f"""
            >>> import fastnn.functional as F
            >>> print(F.{name}([-1.5, 0.0, 2.0]).round(4))
            {result}
            """,
        ),
    )


def _backward(row: Row) -> Source:
    name, fields = row["name"], fields_of(row["params"])
    saved = {"input": "input z", "output": "output a"}[row["needs"]]
    given = "z" if row["needs"] == "input" else f"F.{name}(z)"
    z = np.array([[-1.5, 0.0, 2.0]])
    kept = z if row["needs"] == "input" else _core.activation(name, {}, z)
    result = _core.activation_backward(name, {}, np.ones((1, 3)), kept)[0].round(4)
    slope = "" if row["whole_rows"] else ", which is dy f'(z)"
    call = f'"{name}", values, dy, saved, out'
    return Source(
        f"{name}_backward",
        ["dy: ArrayLike", "saved: ArrayLike", *fields, "*", "out: Array | None = None"],
        "Array",
        [
            f"dz = plain_activation_backward({call})",
            f"return backward({call}) if dz is NotImplemented else dz",
        ],
        docstring(
            f"Compute the gradient by z of a = {name}(z){slope}, from the {saved}.",
            [],
            {
                "Parameters": [
                    ("dy : array_like", "Gradient with respect to a."),
                    (
                        "saved : array_like",
                        f"The {saved} of the forward call, of the shape of `dy`.",
                    ),
                    *parameters(fields),
                    _out("dy"),
                ],
                "Returns": [("ndarray", "Gradient with respect to z.")],
                "Raises": _refusals(
                    "shapes differ, dtypes are not real numbers, `out` cannot take the result",
                    fields,
                ),
            },
            f"""
            {_IMPORTS}
            >>> z = np.array([-1.5, 0.0, 2.0])
            >>> print(F.{name}_backward(np.ones(3), {given}).round(4))
            {result}
            """,
        ),
    )


# -- losses ----------------------------------------------------------------------------------------


def loss_name(row: Row) -> str:
    """Return the name of the function as in torch: mse_loss, but cross_entropy, bce_with_logits."""
    name: str = row["name"]
    return name if name.endswith(("cross_entropy", "with_logits")) else f"{name}_loss"


def _loss(row: Row) -> Source:
    name, fields, dense = row["name"], fields_of(row["params"]), row["target"] == "dense"
    function = loss_name(row)
    out, target = example_of(row)
    value, grad = _core.loss(name, {}, np.array(out), np.array(target))
    range_of = {what: f" {row[what]}".rstrip() for what in ("targets", "outputs")}
    means = {"rows": "rows", "outputs": "all elements", "targets": "all targets"}[row["mean"]]
    soft = ", or probabilities of the classes (n, k)" if row["takes_probabilities"] else ""
    same = "of the shape of `out`" if row["outputs_per_target"] == 1 else "(n, targets)"
    whole = f'loss("{function}", "{name}", values, out, target, sample_weight, dout)'
    return Source(
        function,
        [
            "out: ArrayLike",
            "target: ArrayLike",
            "sample_weight: ArrayLike | None = None",
            "*",
            *fields,
            "dout: Array | None = None",
        ],
        "tuple[float, Array]",
        [
            f'found = plain_loss("{name}", values, out, target, sample_weight, dout)',
            f"return {whole} if found is NotImplemented else found",
        ],
        docstring(
            f"Compute the mean over {means} of {row['formula']}.",
            _notes(row),
            {
                "Parameters": [
                    (
                        f"out : (n, k) or {'(n,)' if dense else '(k,)'} array_like",
                        f"Outputs of a network: numbers{range_of['outputs']}."
                        + (" (n,) and (n, 1) are the same." if dense else " (k,) is one row."),
                    ),
                    (
                        "target : (n, k) or (n,) array_like",
                        f"Numbers{range_of['targets']}, {same}.",
                    )
                    if dense
                    else (
                        "target : (n,) array_like of integers",
                        f"The right classes, 0 to k-1; one number for one row{soft}.",
                    ),
                    (
                        "sample_weight : (n,) array_like, optional",
                        "Weights of the rows: for a mean only their ratios count.",
                    ),
                    *parameters(fields),
                    (
                        "dout : ndarray, optional",
                        "Array for the gradient, which is returned; it may be `out` itself.",
                    ),
                ],
                "Returns": [
                    ("loss : float", ""),
                    ("dout : ndarray", "Gradient with respect to `out`, of its shape."),
                ],
                "Raises": _refusals(
                    "shapes do not fit, dtypes are not real numbers, `dout` cannot take the "
                    "gradient, "
                    + ("numbers are out of their range" if dense else "a class is out of range"),
                    fields,
                ),
            },
            f"""
            >>> import fastnn.functional as F
            >>> loss, dout = F.{function}({out}, {target})
            >>> print(round(loss, 4), dout.round(4))
            {round(value, 4)} {grad.round(4)}
            """,
        ),
    )


# -- optimizers ------------------------------------------------------------------------------------

_PARAMS: Entry = ("params : ndarray or sequence of ndarray", "Changed in place.")


def _step(row: Row) -> Source:
    name, fields = row["name"], fields_of(row["params"])
    states = _core.states_of(name, {})
    memory = "OptimizerState" if states else "OptimizerState | None"
    w, grad = np.array([1.0, 2.0]), np.array([10.0, -10.0])
    kept = {state: [np.zeros(2)] for state in states}
    _core.optimizer_step(name, {"lr": 0.1}, 1, [w], [grad], kept)
    given = f"F.{name}_state(w), " if states else ""
    needed = "" if states else "; optional while none is needed"
    return Source(
        f"{name}_step_",
        [
            "params: Arrays",
            "grads: ArrayLike | Sequence[ArrayLike]",
            f"state: {memory}{'' if states else ' = None'}",
            "*",
            *fields,
        ],
        "None",
        [
            "taken = type(state) is OptimizerState and plain_step(",
            f'    "{name}", values, state.step + 1, params, grads, state.arrays)',
            "if taken:",
            "    state.step += 1",
            f'elif state is not None or not plain_step("{name}", values, 1, params, grads, {{}}):',
            f'    step("{name}", values, params, grads, state)',
        ],
        docstring(
            f"Make one step in place: {row['formula']}.",
            [],
            {
                "Parameters": [
                    _PARAMS,
                    ("grads : array_like or sequence of array_like", "Shapes of `params`."),
                    (
                        f"state : OptimizerState{'' if states else ', optional'}",
                        f"From `{name}_state`{needed}; changed in place.",
                    ),
                    *parameters(fields),
                ],
                "Raises": _refusals(
                    "arrays or shapes do not fit", fields, "; nothing is changed then"
                ),
            },
            f"""
            {_IMPORTS}
            >>> w = np.array([1.0, 2.0])
            >>> F.{name}_step_(w, [10.0, -10.0], {given}lr=0.1)
            >>> print(w.round(4))
            {w.round(4)}
            """,
        ),
    )


def _state(row: Row) -> Source:
    name = row["name"]
    used = _core.states_of(name, {})
    states = " and ".join(f"`{state}`" for state in used) or "nothing"
    return Source(
        f"{name}_state",
        ["params: Arrays"],
        "OptimizerState",
        [f'return state("{name}_state", "{name}", params)'],
        docstring(
            f"Make the state of `{name}_step_`: zeros for each parameter.",
            [
                f"With its defaults it remembers {states}. A step that needs more adds zeros.",
            ],
            {
                "Parameters": [("params : ndarray or sequence of ndarray", "")],
                "Returns": [("OptimizerState", "")],
                "Raises": [
                    (
                        "ValueError, TypeError",
                        "If a parameter is not a writable array of float32 or float64.",
                    )
                ],
            },
            f"""
            {_IMPORTS}
            >>> state = F.{name}_state([np.ones(2)])
            >>> state.step, list(state.arrays)
            (0, {used})
            """,
        ),
    )


# -- averages --------------------------------------------------------------------------------------


def _average(row: Row) -> Source:
    """The parameters that every average has say when it is called; they are up to the caller."""
    name, every = row["name"], _registry.rows("averages").values()
    shared = set.intersection(*({param["name"] for param in each["params"]} for each in every))
    fields = [f for f in fields_of(row["params"]) if f.name not in shared]
    star = ["*"] if fields else []
    mean = np.array([1.0, 2.0])
    _core.add_to_averages(name, {}, 2, mean, np.array([3.0, 0.0]))
    return Source(
        f"{name}_",
        [
            "averages: Arrays",
            "params: ArrayLike | Sequence[ArrayLike]",
            "n: int",
            *star,
            *fields,
        ],
        "None",
        [f'average("{name}", values, averages, params, n)'],
        docstring(
            f"Add parameters to their averages in place: {row['formula']}.",
            ["It is what ``compile(average=...)`` does after each update."],
            {
                "Parameters": [
                    ("averages : ndarray or sequence of ndarray", "Changed in place."),
                    ("params : array_like or sequence of array_like", "Shapes of `averages`."),
                    ("n : int", "Number of the call, from 1: the first one copies `params`."),
                    *parameters(fields),
                ],
                "Raises": _refusals(
                    "arrays or shapes do not fit", fields, "; nothing is changed then"
                ),
            },
            f"""
            {_IMPORTS}
            >>> mean = np.array([1.0, 2.0])
            >>> F.{name}_(mean, [3.0, 0.0], 2)
            >>> print(mean.round(4))
            {mean.round(4)}
            """,
        ),
    )


def _makers() -> dict[str, Callable[[], Source]]:
    found: dict[str, Callable[[], Source]] = {}
    for name, row in _registry.rows("activations").items():
        found[name] = partial(_forward, row)
        found[f"{name}_backward"] = partial(_backward, row)
    found |= _layer_functions.makers()
    for row in _registry.rows("losses").values():
        found[loss_name(row)] = partial(_loss, row)
    for name, row in _registry.rows("optimizers").items():
        found[f"{name}_step_"] = partial(_step, row)
        if row["states"]:
            found[f"{name}_state"] = partial(_state, row)
    for name, row in _registry.rows("averages").items():
        found[f"{name}_"] = partial(_average, row)
    return found


# The name of each function -> a function that returns its source.
MAKERS = _makers()
