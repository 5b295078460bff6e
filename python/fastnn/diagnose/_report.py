# SPDX-License-Identifier: BSD-3-Clause
"""A finding, and the report of all findings with the figures behind them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Finding", "Report", "some"]

_WIDTH = 96
_SHOWN = 8


@dataclass(frozen=True)
class Finding:
    """One fault that was found.

    Attributes
    ----------
    name : str
        The kind of fault, such as ``"unscaled_inputs"``.
    where : str
        Such as ``"X"``, ``"layer 2, ReLU"`` or ``"loss"``.
    what : str
        What was measured.
    advice : str
        What to do.
    figures : mapping
        The same as numbers and lists.

    Examples
    --------
    >>> from fastnn.diagnose import Finding
    >>> print(Finding("dead_units", "layer 1, ReLU", "30 of 32 units are 0.", "Lower the rate."))
    dead_units (layer 1, ReLU): 30 of 32 units are 0.
        Lower the rate.
    """

    name: str
    where: str
    what: str
    advice: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = wrap(f"{self.name} ({self.where}): {self.what}", _WIDTH, subsequent_indent="  ")
        indent = " " * 4
        lines += wrap(self.advice, _WIDTH, initial_indent=indent, subsequent_indent=indent)
        return "\n".join(lines)


@dataclass(frozen=True, repr=False)
class Report:
    """All findings about a model: ``print(report)`` shows them.

    Attributes
    ----------
    findings : tuple of Finding
    figures : mapping
        What was measured, whether it is a fault or not.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn
    >>> model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), seed=1)
    >>> model.compile("adam", "mse")
    >>> x = np.random.default_rng(0).standard_normal((200, 3))
    >>> report = model.diagnose(x * [1, 1, 500], x[:, 0])
    >>> [finding.name for finding in report.findings]
    ['unscaled_inputs']
    >>> report.findings[0].figures["columns"]
    [2]
    """

    findings: tuple[Finding, ...]
    figures: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as dictionaries, lists, strings and numbers, as for JSON."""
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "figures": dict(self.figures),
        }

    def __str__(self) -> str:
        head = f"{len(self.findings)} finding{'s' if len(self.findings) != 1 else ''}"
        if not self.findings:
            head = "nothing was found"
        lines = [f"diagnose: {head}", *map(str, self.findings), "measured:"]
        lines += [f"    {name}: {_shown(value)}" for name, value in self.figures.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        names = ", ".join(finding.name for finding in self.findings)
        return f"<Report: {names or 'nothing was found'}>"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(each)}" for key, each in value.items())
    return str(value)


def some(items: Sequence[Any]) -> str:
    """Return the first items for a sentence, and how many more there are."""
    shown = ", ".join(map(str, items[:_SHOWN]))
    more = len(items) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
