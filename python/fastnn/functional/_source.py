# SPDX-License-Identifier: BSD-3-Clause
"""The source of a function that is made from a registry row, and its compilation.

A function is made from a few lines of source: its signature, which the interpreter checks like that
of any other function; a call of the core with the arguments as they are; and a call of the function
that converts or refuses them, if the core declines.
"""

from __future__ import annotations
import __future__

from typing import TYPE_CHECKING, Any

from fastnn._core import plain_activation, plain_activation_backward, plain_loss, plain_step
from fastnn._fields import Field

from ._activations import backward, forward
from ._layers import layer_backward, layer_forward
from ._losses import loss
from ._optimizers import OptimizerState, average, state, step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Source"]

# What the bodies of functions call: the core first, and what converts or refuses if it declines.
_CORE = (plain_activation, plain_activation_backward, plain_loss, plain_step)
_WORKERS = (
    forward,
    backward,
    layer_backward,
    layer_forward,
    loss,
    OptimizerState,
    average,
    state,
    step,
)


class Source:
    """The source of a function; tools/stubs.py writes its signature, and `made` compiles it.

    Attributes
    ----------
    name, returns, doc : str
    arguments : list of str or Field
        As in a signature; a field is a parameter of the row.
    body : list of str
        The lines after those that collect in `values` the parameters that are not the default.
    """

    def __init__(
        self, name: str, arguments: Iterable[str | Field], returns: str, body: list[str], doc: str
    ) -> None:
        self.name = name
        self.arguments = list(arguments)
        self.returns = returns
        self.body = body
        self.doc = doc

    def signature(self) -> list[str]:
        """Return the arguments as source."""
        return [
            a if isinstance(a, str) else f"{a.name}: {a.annotation} = {a.default_text}"
            for a in self.arguments
        ]

    def made(self, module: str, more: Mapping[str, Any] | None = None) -> Callable[..., Any]:
        """Return the function, as a member of `module`; `more` are further names of the body."""
        fields = [a for a in self.arguments if isinstance(a, Field)]
        # The core has the same defaults and reads only the values that it is given. A value is
        # compared with `is`, because a user may give any object.
        arguments = ", ".join(
            a if isinstance(a, str) else f"{a.name}: {a.annotation} = default_{a.name}"
            for a in self.arguments
        )
        text = [f"def {self.name}({arguments}) -> {self.returns}:", "    values = {}"]
        for f in fields:
            text += [
                f"    if {f.name} is not default_{f.name}:",
                f'        values["{f.name}"] = {f.name}',
            ]
        text += [f"    {line}" for line in self.body]
        file = f"<{module}.{self.name}, made from its row>"
        flags = __future__.annotations.compiler_flag
        names = globals() | {f"default_{f.name}": f.default for f in fields} | dict(more or {})
        exec(compile("\n".join(text), file, "exec", flags, dont_inherit=True), names)
        function: Callable[..., Any] = names[self.name]
        function.__module__ = module
        function.__doc__ = self.doc
        return function
